"""What is said of a letter of ours moves its timeline: whose word counts, and what it changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from directory import address
from relay import spool
from relay.answers import Answer
from relay.bounces import Bounce
from relay.model import Done, Event, Later, Letter, Mode, Outcome, Reason, Recipient, Route, State, Word
from relay.store import answered
from relay.store.tables import destinations

Make = Callable[..., tuple[Letter, tuple[Recipient, ...]]]
PARC = Route(Mode.PEER_SIGNED, "parc.mssante.example", "test")
TO = "r0@parc.mssante.example"


def _send(store: Any, make: Make, outcome: Outcome = Done("250"), envid: str = "", word: Word = Word.ASKED) -> None:  # noqa: B008
    letter, (row,) = make("L1", PARC)
    row, letter = replace(row, address=TO.replace("r0", "R0"), word=word), replace(letter, envid=envid)
    assert spool.keep(store.client, letter, [row], [Event("accepted", "L1")])
    (claimed,) = spool.claim(store.client, "w1", 4, 60, 8)
    spool.settle(store.client, claimed, "w1", {"L1-0": outcome})


def _say(store: Any, make: Make, word: Word | None, to: str = TO, id: str = "R1", **more: Any) -> None:
    """A report comes in, which says so."""
    told = {"message_ids": ("<L1@lilas>",)} | more
    answer = Answer(f"said-{word}", word, (address.parse(to),), **told)
    letter, rows = make(id, Route(Mode.MAILBOX, "lmtp", "ours"), sender="")
    assert spool.keep(store.client, letter, rows, [Event("accepted", id)], None, answered.pack([answer], str))


def _row(store: Any) -> Recipient:
    found = spool.letter(store.reader, "lilas", "L1")
    assert found
    return found[1][0]


def _events(store: Any) -> list[str]:
    return [step.event for step in spool.timeline(store.reader, "lilas", "L1")]


@pytest.mark.parametrize("word", [Word.ARRIVED, Word.READ, Word.DELETED, Word.FILED, Word.UNFILED])
def test_a_word_is_kept_with_the_report(store: Any, make_letter: Make, word: Word) -> None:
    """In one transaction with it; addresses compare in lower case; its destination has been seen to answer."""
    _send(store, make_letter)
    _say(store, make_letter, word, code="902")
    assert (_row(store).state, _row(store).word) == (State.DONE, word)
    assert _events(store)[-1] == f"said-{word}"
    with store.reader.connect() as conn:
        assert conn.scalar(select(destinations.c.answered_at)) == store.clock()


def test_a_report_of_failure_is_a_failure(store: Any, make_letter: Make) -> None:
    """Handed over, and given back: the recipient has failed, may be sent again, and nobody is told twice."""
    _send(store, make_letter)
    _say(store, make_letter, Word.UNDELIVERED, code="5.1.1", bounce=Bounce.UNKNOWN)
    row = _row(store)
    said = spool.timeline(store.reader, "lilas", "L1")[-1]
    assert dict(said.facts) == {"code": "5.1.1", "note": "bounce-unknown"}
    assert (row.state, row.reason, row.reference) == (State.FAILED, Reason.PEER_REFUSED, "report 5.1.1")
    assert spool.due_notices(store.reader) == []
    spool.act(store.client, "lilas", "resend", "L1-0")
    assert _row(store).word is Word.ASKED


@pytest.mark.parametrize(
    "more",
    [
        {"to": "other@parc.mssante.example"},
        {"message_ids": ("<other@lilas>",)},
        {"message_ids": ()},
        {"envelope_id": "env-of-another"},
    ],
)
def test_what_names_another_counts_for_nothing(store: Any, make_letter: Make, more: dict[str, Any]) -> None:
    """The refused twins: another recipient, another letter, none, another envelope."""
    _send(store, make_letter, envid="env-1")
    _say(store, make_letter, Word.READ, **more)
    assert _row(store).word is Word.AWAITED
    assert _events(store) == ["accepted", "relayed"]


def test_the_envelope_named_is_ours(store: Any, make_letter: Make) -> None:
    """The accepted twin: Original-Envelope-Id as we passed it on."""
    _send(store, make_letter, envid="env-1")
    _say(store, make_letter, Word.READ, envelope_id="env-1")
    assert _row(store).word is Word.READ


def test_another_tenants_letter_is_not_moved(store: Any, make_letter: Make) -> None:
    """A report kept by one tenant says nothing of another's letter of the same name."""
    _send(store, make_letter)
    _say(store, lambda *a, **k: make_letter(*a, **k, tenant="bois"), Word.READ)
    assert _row(store).word is Word.AWAITED


def test_what_is_not_handed_over_cannot_be_answered(store: Any, make_letter: Make) -> None:
    """A word about a letter that still waits here is a mistake or a forgery."""
    _send(store, make_letter, Later(Reason.PEER_DELAYED))
    _say(store, make_letter, Word.UNDELIVERED)
    assert (_row(store).state, _row(store).word) == (State.QUEUED, Word.ASKED)


@pytest.mark.parametrize(
    ("first", "second", "stays"),
    [
        (Word.READ, Word.ARRIVED, Word.READ),
        (Word.READ, Word.UNDELIVERED, Word.READ),
        (Word.ARRIVED, Word.READ, Word.READ),
        (Word.READ, Word.FILED, Word.FILED),
        (Word.ARRIVED, Word.UNDELIVERED, Word.UNDELIVERED),
        (Word.READ, Word.READ, Word.READ),
    ],
)
def test_words_go_forward(store: Any, make_letter: Make, first: Word, second: Word, stays: Word) -> None:
    """A late or repeated word changes nothing, and what was read is not undelivered."""
    _send(store, make_letter)
    _say(store, make_letter, first)
    _say(store, make_letter, second, id="R2")
    assert _row(store).word is stays
    assert len([each for each in _events(store) if each.startswith("said-")]) == 1 + (stays is second is not first)


def test_a_word_that_was_not_asked_for_counts_too(store: Any, make_letter: Make) -> None:
    """A failure comes unasked; and a delay is told, without changing anything."""
    _send(store, make_letter, word=Word.NONE)
    _say(store, make_letter, None)
    assert (_row(store).word, _events(store)[-1]) == (Word.NONE, "said-None")
    _say(store, make_letter, Word.UNDELIVERED, id="R2")
    assert _row(store).state is State.FAILED
