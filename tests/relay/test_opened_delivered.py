"""Encrypted letters on their way to a mailbox: opened for it, delivered closed, or waiting."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from certs.chain import TrustStore
from certs.keys import KeeperDown, KeeperRefused
from certs.openers import Opener
from certs.throwaway import Issued, Pki
from relay import coverage, opening, smime, spool
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
    State,
    Verdict,
)
from relay.scan import CannotScan, Clean, Infected, Scanned, Scanning, Unable
from relay.warning import AS_TEXT, AS_WARNING
from tests.relay.sealed import CBC, FROM, GCM, TO, Mail, altered, parts_of, replace_key


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
