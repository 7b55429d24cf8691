"""The warning that a letter is delayed: who gets it, and what it says."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import pytest

from gateway.doors import replies
from relay.model import (
    Asked,
    BodyRef,
    Door,
    DoorProof,
    Letter,
    Mode,
    Reason,
    Recipient,
    Route,
    State,
    Verdict,
)
from relay.notices import _id, delayed, failure
from relay.routing import Node

AT = datetime(2026, 11, 25, 10, tzinfo=UTC)
NODE = Node("lilas", frozenset({"lilas.mssante.example"}), "mss.lilas.example")
RAW = b"From: <marie.martin@lilas.mssante.example>\r\nSubject: Resultats\r\nX-Secret: y\r\n\r\nsecret text\r\n"


def _letter(sender: str = "marie.martin@lilas.mssante.example", automatic: str = "") -> Letter:
    return Letter(
        id="01m89hep9va5c2psgxy3bh95yc",
        tenant="lilas",
        door=Door.SUBMISSION,
        sender=sender,
        message_id="<1@lilas.mssante.example>",
        body=BodyRef("n", 1, "d"),
        received_at=AT,
        trace="",
        verdict=Verdict(automatic=automatic),
        proof=DoorProof(),
        envid="env-1",
    )


def _row(state: State = State.QUEUED, warning: str = "due") -> Recipient:
    return Recipient(
        id="r1",
        letter_id="l",
        tenant="lilas",
        address="paul@parc.mssante.example",
        route=Route(Mode.PEER_SIGNED, "parc.mssante.example", "test"),
        state=state,
        reason=Reason.PEER_UNREACHABLE,
        reference="TimeoutError",
        asked=Asked(frozenset(), "rfc822;paul@parc.mssante.example"),
        queued_at=AT,
        due_at=AT + timedelta(hours=4),
        warning=warning,
    )


def _words(reason: str) -> tuple[str, str, str]:
    told = replies.of(reason)
    return told.enhanced, told.french, told.english


def _notice(letter: Letter, row: Recipient) -> bytes | None:
    return delayed(letter, (row,), lambda: RAW, NODE, lambda: AT + timedelta(hours=4), _words)


def test_a_delay_is_a_report() -> None:
    """RFC 3464 §2.3.3: delayed, a status of class 4, until when it is tried; French first; none of the content."""
    told = _notice(_letter(), _row())
    assert told
    shown = email.message_from_bytes(told, policy=email.policy.default)
    assert isinstance(shown, EmailMessage)
    assert shown["Auto-Submitted"] == "auto-replied"
    assert "en attente" in shown["Subject"]
    human, machine, _ = shown.iter_parts()
    text = human.get_content()
    assert text.index("n'est pas encore remise") < text.index("is not delivered yet")
    assert "30/11/2026 10:00 UTC" in text
    per_message, per_recipient = machine.get_payload()
    assert per_message["Original-Envelope-Id"] == "env-1"
    assert per_recipient["Action"] == "delayed"
    assert per_recipient["Status"].startswith("4.")
    assert per_recipient["Original-Recipient"] == "rfc822;paul@parc.mssante.example"
    assert per_recipient["Will-Retry-Until"] == "Mon, 30 Nov 2026 10:00:00 +0000"
    assert b"secret" not in told.lower()


@pytest.mark.parametrize(
    ("letter", "row"),
    [
        (_letter(sender=""), _row()),
        (_letter(automatic="auto-submitted"), _row()),
        (_letter(automatic="report"), _row()),
        (_letter(automatic="error-subject"), _row()),
        (_letter(), _row(warning="sent")),
        (_letter(), _row(warning="")),
        (_letter(), _row(State.FAILED)),
        (_letter(), _row(State.DONE)),
    ],
)
def test_who_is_not_warned(letter: Letter, row: Recipient) -> None:
    """No machine, nobody twice, and nobody of what is settled meanwhile."""
    assert _notice(letter, row) is None


def test_a_failure_that_overtook_its_warning_is_told_alone() -> None:
    """Settled before the warning went out: the failure says all."""
    row = _row(State.FAILED)
    assert failure(_letter(), (row,), lambda: RAW, NODE, lambda: AT, _words)
    assert _notice(_letter(), row) is None


def test_one_warning_has_one_id_however_often_the_letter_was_tried_meanwhile() -> None:
    """Asked again after a crash, the warning is the same notice; of another life it is another."""
    later = AT + timedelta(hours=5)
    first = _id(_letter(), (_row(),), 3)
    row = _row()
    tried = Recipient(**{**row.__dict__, "due_at": later, "attempts": 9, "state": State.RUNNING})
    resent = Recipient(**{**row.__dict__, "queued_at": later})
    assert _id(_letter(), (tried,), 3) == first
    assert _id(_letter(), (resent,), 3) != first
