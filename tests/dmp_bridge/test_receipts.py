"""What a bridge answers about a filing, in the form that the receiving profile gives."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from directory import address
from directory.model import Entry, Kind
from dmp_bridge import candidates, packing, receipts
from dmp_bridge.model import Document, FilingReason
from relay import answers
from relay import message as mime
from relay.model import (
    BodyRef,
    Door,
    DoorProof,
    Letter,
    Mode,
    Recipient,
    Route,
    State,
    Verdict,
    Word,
)
from relay.routing import Node

SENDER = Entry(address.parse("helene.leroux@tilleuls.mssante.fr"), Kind.PER, "Dr Hélène LEROUX")
NODE = Node("tilleuls", frozenset({"tilleuls.mssante.fr"}), "mx.tilleuls.mssante.fr")


@pytest.fixture
def packed(report: Document, now: datetime) -> bytes:
    """The letter that was to be filed; it asks for a notification."""
    to = (address.parse("marc.petit@cabinet.mssante.fr"),)
    raw = packing.pack(packing.Parcel((report,), SENDER, to, "2.25.2"), now)
    assert isinstance(raw, bytes)
    return raw


@pytest.fixture
def letter(now: datetime) -> Letter:
    body = BodyRef("body", 1, "")
    sender = str(SENDER.address)
    return Letter("01" * 13, "tilleuls", Door.SUBMISSION, sender, "<1@x>", body, now, "", Verdict(), DoorProof())


def row(state: State = State.DONE, reason: str = "", mode: Mode = Mode.DOSSIER) -> Recipient:
    route = Route(mode, "regional", "candidates.xdm")
    return Recipient("r1", "01" * 13, "tilleuls", "dossier:regional", route, state, reason=reason)


def words(reason: str) -> tuple[str, str, str]:
    return "5.0.0", f"Motif {reason}.", f"Reason {reason}."


def answered(letter: Letter, raw: bytes, recipient: Recipient, now: datetime) -> EmailMessage | None:
    notice = receipts.receipt(letter, (recipient,), lambda: raw, NODE, lambda: now, words)
    if notice is None:
        return None
    mail = message_from_bytes(notice, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


def machine(mail: EmailMessage) -> str:
    part = next(each for each in mail.walk() if each.get_content_type() == "message/disposition-notification")
    return part.as_string().replace("\n ", " ")


def without_request(raw: bytes) -> bytes:
    lines = raw.split(b"\r\n")
    return b"\r\n".join(each for each in lines if not each.startswith(b"Disposition-Notification-To"))


def test_a_filed_document_is_told(letter: Letter, packed: bytes, report: Document, now: datetime) -> None:
    """Processed, under the original's subject, with the original's attachments as they came."""
    mail = answered(letter, packed, row(), now)
    assert mail is not None
    assert mail.get_content_type() == "multipart/report"
    assert mail["Content-Type"].params["report-type"] == "disposition-notification"
    assert mail["Subject"] == mime.scan(packed).subject
    assert "Disposition: automatic-action/MDN-sent-automatically; processed\n" in machine(mail)
    assert "Original-Message-ID: <1@x>" in machine(mail)
    assert "Final-Recipient: rfc822;postmaster@tilleuls.mssante.fr" in machine(mail)
    (again,) = candidates.documents(mime.scan(mail.as_bytes(policy=policy.SMTP)))
    assert isinstance(again, Document)
    assert again.raw == report.raw


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (FilingReason.OLD_VERSION, "900"),
        (FilingReason.NOT_OURS, "901"),
        (FilingReason.PATIENT_UNKNOWN, "902"),
        (FilingReason.INS_ABSENT, "903"),
        (FilingReason.INS_DIFFERS, "904"),
        (FilingReason.INS_INCOMPLETE, "905"),
        (FilingReason.HOST_REFUSED, "906"),
        ("queue.expired", "906"),
    ],
)
def test_a_failure_has_its_code(letter: Letter, packed: bytes, now: datetime, reason: str, code: str) -> None:
    """The code stands in the subject, in the words and, before '^', in the disposition."""
    mail = answered(letter, packed, row(State.FAILED, reason), now)
    assert mail is not None
    assert mail["Subject"].startswith(f"[KO Intégration système !][{code}] XDM/1.0/DDM+")
    assert f"Disposition: automatic-action/MDN-sent-automatically; processed/Error: {code}^" in machine(mail)
    text = next(each for each in mail.walk() if each.get_content_type() == "text/plain")
    assert f"Erreur {code}" in text.get_content()


@pytest.mark.parametrize(
    ("state", "reason", "word", "code"),
    [(State.DONE, "", Word.FILED, ""), (State.FAILED, FilingReason.PATIENT_UNKNOWN, Word.UNFILED, "902")],
)
def test_the_senders_node_reads_which_mailbox_it_was(
    letter: Letter, packed: bytes, now: datetime, state: State, reason: str, word: Word, code: str
) -> None:
    """A receipt names the mailbox of ours that was written to, and moves that recipient's line at the sender's node."""
    theirs = Node("cabinet", frozenset({"cabinet.mssante.fr"}), "mx.cabinet.mssante.fr")
    came = replace(letter, door=Door.PEER)
    notice = receipts.receipt(came, (row(state, reason),), lambda: packed, theirs, lambda: now, words)
    assert notice is not None
    (said,) = answers.read(mime.scan(notice))
    assert (said.word, said.code, said.message_ids) == (word, code, ("<1@x>",))
    assert said.addresses == (address.parse("marc.petit@cabinet.mssante.fr"),)


def test_a_receipt_never_speaks_for_anothers_mailbox(letter: Letter, packed: bytes, now: datetime) -> None:
    """A mailbox of a domain that is not ours is not named: what was filed here says nothing of it."""
    notice = receipts.receipt(letter, (row(),), lambda: packed, NODE, lambda: now, words)
    assert notice is not None
    (said,) = answers.read(mime.scan(notice))
    assert said.addresses == (address.parse("postmaster@tilleuls.mssante.fr"),)


def test_a_notification_is_automatic_mail(letter: Letter, packed: bytes, now: datetime) -> None:
    """Neither kind of answer can be answered or filed in its turn."""
    for recipient in (row(), row(State.FAILED, FilingReason.INS_ABSENT)):
        for raw in (packed, without_request(packed)):
            notice = receipts.receipt(letter, (recipient,), lambda raw=raw: raw, NODE, lambda: now, words)
            if notice is not None:
                assert mime.automatic(mime.scan(notice), null_sender=False)


def test_without_a_request_only_a_failure_of_ours_is_told(letter: Letter, packed: bytes, now: datetime) -> None:
    """No request: success is silent, a failure encloses the original whole; a peer's sender is not written to."""
    raw = without_request(packed)
    failed = row(State.FAILED, FilingReason.INS_ABSENT)
    assert answered(letter, raw, row(), now) is None
    mail = answered(letter, raw, failed, now)
    assert mail is not None
    assert mail.get_content_type() == "multipart/mixed"
    assert mail["Subject"].startswith("[KO Intégration système !][903] ")
    (enclosed,) = list(mail.iter_attachments())
    assert enclosed.get_filename() == "message_original.eml"
    notice = receipts.receipt(letter, (failed,), lambda: raw, NODE, lambda: now, words)
    assert notice is not None
    assert raw in notice
    assert answered(replace(letter, door=Door.PEER), raw, failed, now) is None


@pytest.mark.parametrize(
    "asked",
    [
        b"somebody.else@cabinet.mssante.fr",
        b"helene.leroux@tilleuls.mssante.fr, another@cabinet.mssante.fr",
        b"not an address",
    ],
)
def test_a_request_for_another_address_waits_for_a_person(
    letter: Letter, packed: bytes, now: datetime, asked: bytes
) -> None:
    """Where Disposition-Notification-To is not the Return-Path, nothing is sent by itself."""
    raw = b"Disposition-Notification-To: " + asked + b"\r\n" + without_request(packed)
    assert answered(letter, raw, row(), now) is None
    assert answered(letter, raw, row(State.FAILED, FilingReason.INS_ABSENT), now) is None


def test_what_is_never_answered(letter: Letter, packed: bytes, now: datetime) -> None:
    """Automatic mail, the null sender, a row that was only shown, and a row that is still queued."""
    assert answered(replace(letter, verdict=Verdict(automatic="report")), packed, row(), now) is None
    assert answered(replace(letter, sender=""), packed, row(), now) is None
    assert answered(letter, packed, row(mode=Mode.DOSSIER_SHOW), now) is None
    assert answered(letter, packed, row(mode=Mode.MAILBOX), now) is None
    assert answered(letter, packed, row(State.QUEUED), now) is None
