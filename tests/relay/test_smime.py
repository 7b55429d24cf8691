"""S/MIME around a letter, with OpenSSL as the other reader: what we sign, and its seven-bit form."""

from __future__ import annotations

import asyncio
import email
import email.policy
import smtplib
import subprocess
from collections.abc import Callable
from datetime import datetime

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from hypothesis import given, settings
from hypothesis import strategies as st

from certs.chain import TrustStore
from certs.throwaway import Issued, Pki
from relay import canonical, smime
from relay.message import scan
from relay.model import SignatureState, Signer

FROM = "marie.martin@lilas.mssante.example"
DOMAIN = "lilas.mssante.example"
ZIP = b"PK\x03\x04" + bytes(range(256)) * 300
Mail = Callable[..., bytes]


@pytest.fixture(scope="module")
def openssl_verifies(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], bytes]:
    """`openssl cms -verify` on a whole letter: the content it vouches for, or CalledProcessError."""
    folder = tmp_path_factory.mktemp("openssl")
    root, _ = pki.root.write(folder, "root")

    def verify(letter: bytes) -> bytes:
        path = folder / "letter.eml"
        path.write_bytes(letter)
        command = [
            "openssl",
            "cms",
            "-verify",
            "-in",
            str(path),
            "-CAfile",
            str(root),
            "-purpose",
            "smimesign",
        ]
        return subprocess.run(command, capture_output=True, check=True).stdout

    return verify


def attached(letter: bytes) -> dict[str, bytes]:
    """Attachments as an independent reader sees them."""
    parsed = email.message_from_bytes(letter, policy=email.policy.SMTP)
    return {
        part.get_filename(): part.get_payload(decode=True)
        for part in parsed.walk()
        if part.get_filename() and part.get_filename() != "smime.p7s"
    }


HARD = (
    ("IHE_XDM.zip", "application/zip", ZIP),
    ("Compte rendu été.pdf", "application/pdf", b"%PDF-1.4\n\x00\xff" * 99),
)


@pytest.mark.parametrize("key", ["rsa", "p256"])
def test_openssl_verifies_what_we_sign(
    pki: Pki, today: datetime, make_mail: Mail, openssl_verifies: Callable[[bytes], bytes], key: str
) -> None:
    """Subject and X-MSS-* stay outside, the archive stays reachable, attachments are byte-identical."""
    issued = pki.smime(FROM, "Marie MARTIN", "IMAGERIE DES LILAS", "1750000001", key=key)
    raw = make_mail("Un résumé.\n", HARD, Subject="XDM/1.0/DDM+CR", X_MSS_INS="O", X_MSS_CODECDA="18748-4")
    signed = smime.sign(raw, issued.signer(), today)
    openssl_verifies(signed)
    outer = scan(signed)
    assert outer.values("X-MSS-CODECDA") == ["18748-4"]
    assert outer.value("Subject") == "XDM/1.0/DDM+CR"
    assert outer.root.params["micalg"] == "sha-256"
    assert attached(signed) == {name: data for name, _, data in HARD}
    assert canonical.is_seven_bit(signed)


def test_openssl_refuses_an_altered_letter(
    mailbox: Issued, today: datetime, make_mail: Mail, openssl_verifies: Callable[[bytes], bytes]
) -> None:
    """The twin: one changed byte in the content."""
    signed = smime.sign(make_mail(), mailbox.signer(), today)
    with pytest.raises(subprocess.CalledProcessError):
        openssl_verifies(signed.replace(b"voici", b"voila"))


class Kept:
    """A real SMTP server's memory."""

    def __init__(self) -> None:
        self.letters: list[bytes] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.original_content, bytes)
        self.letters.append(envelope.original_content)
        return "250 2.0.0 kept"


def test_a_signature_survives_a_real_smtp_round(
    serve: Callable[[Callable[[], asyncio.Protocol]], int],
    mailbox: Issued,
    today: datetime,
    trust: TrustStore,
    make_mail: Mail,
    openssl_verifies: Callable[[bytes], bytes],
) -> None:
    """Dots, long lines, 8-bit text and binary come through, and both OpenSSL and we say valid."""
    kept = Kept()
    port = serve(lambda: SMTP(kept))
    raw = make_mail(".a dot\n" + "é" * 2000 + "\n.\n", HARD)
    signed = smime.sign(raw, mailbox.signer(), today)
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.sendmail(FROM, ["b@x.example"], signed)
    openssl_verifies(kept.letters[0])
    verdict = smime.judge(scan(kept.letters[0]), trust, today)
    assert (verdict.signature, verdict.signer) == (SignatureState.VALID, Signer.MAILBOX)
    assert attached(kept.letters[0]) == {name: data for name, _, data in HARD}


def leaf(kind: str, encoding: str, body: bytes, extra: bytes = b"") -> bytes:
    head = f"From: {FROM}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n"
    return head.encode() + extra + b"\r\n" + body


@pytest.mark.parametrize(
    "raw",
    [
        leaf("text/plain; charset=utf-8", "8bit", "été\r\nligne \r\n.\r\n".encode()),
        leaf("text/plain; charset=utf-8", "8bit", b"a" * 5000 + b"\r\n"),
        leaf("text/plain", "7bit", b"nul \0 inside\r\n"),
        leaf("application/octet-stream", "binary", bytes(range(256))),
        leaf("application/zip", "base64", b"UEsDBA==" * 1, b""),
        leaf("application/zip", "base64", b"QUJD" * 1000),
        leaf("text/plain", "quoted-printable", b"=C3=A9" * 400 + b"\r\n"),
        leaf("text/plain", "x-unknown", "été".encode()),
        leaf("text/plain", "7bit", b"bare \n line\r end"),
        leaf('text/plain; name="été.txt"', "8bit", "é".encode()),
        f"From: {FROM}\r\n\r\nno MIME at all, é\r\n".encode(),
    ],
)
def test_every_part_becomes_seven_bit_and_decodes_to_the_same(raw: bytes, mailbox: Issued, today: datetime) -> None:
    """8-bit, long lines, NUL and bare line ends get another transfer encoding, the content stays."""
    before = scan(raw).root
    signed = smime.sign(raw, mailbox.signer(), today)
    inner = scan(signed).parts[1]
    assert canonical.is_seven_bit(signed)
    assert inner.decode() == before.decode()
    assert inner.type == before.type
    assert inner.filename == before.filename


def test_what_is_seven_bit_already_is_copied_byte_for_byte(make_mail: Mail) -> None:
    """The twin: no re-encoding where none is needed."""
    raw = make_mail(attachments=(("IHE_XDM.zip", "application/zip", ZIP),))
    message = scan(raw)
    assert canonical.content(message).endswith(message.root.body)


def test_a_forwarded_eight_bit_letter_is_converted_inside() -> None:
    """RFC 2046 §5.2.1 lets a message/rfc822 part have no transfer encoding of its own."""
    inner = "Subject: s\r\nContent-Type: text/plain; charset=utf-8\r\n\r\né\r\n".encode()
    raw = (
        f"From: {FROM}\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\né preamble\r\n--b\r\n".encode()
        + b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        + inner
        + b"\r\n--b\r\n\r\n\xe9 bare\r\n--b--\r\n"
    )
    content = canonical.content(scan(raw))
    assert canonical.is_seven_bit(content)
    parts = scan(content).parts
    assert scan(parts[1].body).root.decode() == "é\r\n".encode()
    assert parts[2].decode() == b"\xe9 bare"


def test_a_part_signed_inside_is_never_touched() -> None:
    """What arrived signed stays as it is, 8-bit or not."""
    part = b"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\n\xe9\r\n--s--"
    raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + part + b"\r\n--b--\r\n"
    assert part in canonical.content(scan(raw))


TEXTS = st.text(alphabet="aé .\t=\n", max_size=60).map(lambda text: text.replace("\n", "\r\n").encode())
BODIES = st.one_of(TEXTS, st.binary(max_size=60), st.just(b"x" * 1200), st.just(b"From a.\r\n.\r\n-- \r\n"))
KINDS = st.sampled_from(["text/plain; charset=utf-8", 'application/pdf; name="é.pdf"', "text/html"])


@given(st.lists(st.tuples(KINDS, BODIES), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_the_seven_bit_form_keeps_every_content(parts: list[tuple[str, bytes]]) -> None:
    """Whatever the parts hold, the copy to be signed is 7-bit and each part decodes to the very same
    bytes."""
    raw = b"Content-Type: multipart/mixed; boundary=zz\r\n\r\n"
    for kind, data in parts:
        head = f"--zz\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        raw += head.encode() + data + b"\r\n"
    raw += b"--zz--\r\n"
    before, content = scan(raw), canonical.content(scan(raw))
    assert canonical.is_seven_bit(content)
    after = scan(content)
    assert [part.decode() for part in after.parts[1:]] == [part.decode() for part in before.parts[1:]]
    assert [part.filename for part in after.parts] == [part.filename for part in before.parts]
