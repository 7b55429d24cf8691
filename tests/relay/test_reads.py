"""What can be asked of the spool, and what verify() finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from relay import journal, spool
from relay.model import BodyRef, Done, Event, Later, Letter, Mode, Never, Outcome, Reason, Recipient, Route, State
from relay.store import reads

Make = Callable[..., tuple[Letter, tuple[Recipient, ...]]]

OURS = Route(Mode.MAILBOX, "lmtp", "ours")
PARC = Route(Mode.PEER_SIGNED, "parc.mssante.example", "peer")
BOIS = Route(Mode.PEER_SIGNED, "bois.mssante.example", "peer")
DOSSIER = Route(Mode.DOSSIER, "region", "xdm")


def _keep(store: Any, kept: tuple[Letter, tuple[Recipient, ...]]) -> Letter:
    letter, recipients = kept
    assert spool.keep(store.client, letter, recipients, [Event("accepted", letter.id)])
    return letter


def _claim(store: Any) -> list[spool.Claimed]:
    return spool.claim(store.client, "w1", 10, 60, 4)


def _settle(store: Any, claimed: spool.Claimed, outcome: Outcome) -> None:
    spool.settle(store.client, claimed, "w1", {each.id: outcome for each in claimed.recipients})


def test_find_by_each_key(store: Any, make_letter: Make) -> None:
    """A letter is found by Message-ID, sender, recipient or id, and not by another's."""
    letter = _keep(store, make_letter("L1"))
    _keep(store, make_letter("L2", sender="other@lilas.mssante.example"))
    for by in ({"message_id": "<L1@lilas>"}, {"sender": letter.sender}, {"id": "L1"}):
        assert spool.find(store.reader, "lilas", **by) == [letter]  # type: ignore[arg-type]
    assert len(spool.find(store.reader, "lilas", recipient="r0@parc.mssante.example")) == 2
    assert spool.find(store.reader, "lilas", id="L1", message_id="<L2@lilas>") == []


def test_queue_by_destination(store: Any, make_letter: Make) -> None:
    """Each destination has a line, with its number, its age and why it waits."""
    _keep(store, make_letter("L1", PARC, PARC, OURS))
    _settle(store, next(c for c in _claim(store) if len(c.recipients) == 2), Later(Reason.PEER_UNREACHABLE))
    lines = {(line.target, line.state): line for line in spool.queue(store.reader, "lilas")}
    assert lines[(PARC.target, State.QUEUED)].count == 2
    assert lines[(PARC.target, State.QUEUED)].reason == Reason.PEER_UNREACHABLE
    assert lines[("lmtp", State.RUNNING)].next_due is None
    assert spool.queue(store.reader, "bois") == []


def test_what_failed_is_a_trouble_until_its_author_has_dealt_with_it(store: Any, make_letter: Make) -> None:
    """His alone; said so, it is among the others; something new happens to it, and it is a trouble again."""
    letter, since = _keep(store, make_letter("L1", PARC)), store.clock()
    (claimed,) = _claim(store)
    _settle(store, claimed, Never(Reason.PEER_REFUSED))
    (row,) = claimed.recipients

    def troubled(*, dealt_with: bool, sender: str = letter.sender) -> list[str]:
        rows = reads.troubled(store.reader, "lilas", sender, since, dealt_with=dealt_with)
        return [each.id for each in rows]

    assert (troubled(dealt_with=False), troubled(dealt_with=True)) == ([row.id], [])
    assert troubled(dealt_with=False, sender="other@lilas.mssante.example") == []
    store.clock.on(seconds=5)
    journal.SpoolJournal(store.client).add("lilas", [Event(reads.DEALT_WITH, "L1", row.id)])
    assert (troubled(dealt_with=False), troubled(dealt_with=True)) == ([], [row.id])
    store.clock.on(seconds=5)
    journal.SpoolJournal(store.client).add("lilas", [Event("said-undelivered", "L1", row.id)])
    assert (troubled(dealt_with=False), troubled(dealt_with=True)) == ([row.id], [])


def test_sound_store_has_no_fault(store: Any, make_letter: Make) -> None:
    """After every kind of move the invariants and the chain hold."""
    _keep(store, make_letter("L1", OURS, PARC, BOIS, DOSSIER))
    one, two, *_ = _claim(store)
    _settle(store, one, Done("250"))
    _settle(store, two, Never("x"))
    store.clock.on(seconds=61)
    _claim(store)
    assert spool.verify(store.reader) == ()
    assert journal.verify(store.reader) == ()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("DELETE FROM letters", "recipients without a letter"),
        ("DELETE FROM recipients", "letters without a recipient"),
        ("UPDATE recipients SET state = 'running'", "running without a lease"),
        ("UPDATE recipients SET state = 'lost'", "does not exist"),
        ("UPDATE recipients SET state = 'done'", "without a moment"),
        ("UPDATE recipients SET lease_until = due_at", "do not run"),
        ("DELETE FROM journal", "does not know"),
    ],
)
def test_each_fault_is_found(store: Any, make_letter: Make, wrong: str, words: str) -> None:
    """What custody must never look like is counted."""
    _keep(store, make_letter("L1"))
    with store.writer.connect() as conn:
        if conn.dialect.name == "sqlite":
            conn.connection.execute("PRAGMA foreign_keys = OFF")
        else:
            conn.execute(text("SET session_replication_role = replica"))
        conn.execute(text(wrong))
        conn.commit()
    assert any(words in fault for fault in spool.verify(store.reader))


def test_the_bodies_of_all_tenants_letters_are_held(store: Any, make_letter: Make) -> None:
    """Whatever its tenant or state, a letter's body is named; nothing else is."""
    mine, theirs = (
        _keep(store, make_letter("L1")),
        _keep(store, make_letter("L2", tenant="parc", body=BodyRef("4567cdef", 3, "d2"))),
    )
    assert sorted(reads.body_names(store.reader)) == sorted([mine.body.name, theirs.body.name])
