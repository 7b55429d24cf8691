"""What has waited too long: warnings, letters given up untried, and silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update

from relay import overdue, spool
from relay.model import Asked, Done, Event, Later, Letter, Mode, Outcome, Reason, Recipient, Route, State, Word
from relay.overdue import Swept
from relay.schedule import Policy
from relay.store.tables import destinations

Make = Callable[..., tuple[Letter, tuple[Recipient, ...]]]
PARC = Route(Mode.PEER_SIGNED, "parc.mssante.example", "test")
DOSSIER = Route(Mode.DOSSIER, "region", "xdm")
POLICY = Policy(warn_s=3600, lifetime_s=86400, silent_s=7200)


def _keep(store: Any, make: Make, route: Route = PARC, word: Word = Word.NONE, notify: str = "") -> None:
    letter, (row,) = make("L1", route)
    row = replace(row, word=word, asked=Asked(frozenset(filter(None, [notify]))))
    assert spool.keep(store.client, letter, [row], [Event("accepted", "L1")])


def _row(store: Any) -> Recipient:
    found = spool.letter(store.reader, "lilas", "L1")
    assert found
    return found[1][0]


def _carry(store: Any, outcome: Outcome) -> None:
    (claimed,) = spool.claim(store.client, "w1", 4, 60, 8)
    spool.settle(store.client, claimed, "w1", {"L1-0": outcome})


def _events(store: Any) -> list[str]:
    return [step.event for step in spool.timeline(store.reader, "lilas", "L1")]


# --- warnings -----------------------------------------------------------------------------------------------


def test_a_sender_is_warned_once(store: Any, make_letter: Make) -> None:
    """After the policy's time the warning is due, for a letter that was tried as for one that was not; once told,
    never again."""
    _keep(store, make_letter)
    store.clock.on(seconds=3599)
    assert overdue.sweep(store.client, POLICY) == Swept(0, 0, 0, 0)
    store.clock.on(seconds=1)
    assert overdue.sweep(store.client, POLICY).warned == 1
    ((_, (due,)),) = spool.due_notices(store.reader)
    assert (due.state, due.warning) == (State.QUEUED, "due")
    spool.noticed(store.client, "lilas", ["L1-0"])
    store.clock.on(hours=3)
    assert overdue.sweep(store.client, POLICY).warned == 0
    assert spool.due_notices(store.reader) == []
    assert _events(store) == ["accepted", "warned"]


@pytest.mark.parametrize(
    ("route", "notify", "due"),
    [(PARC, "", True), (PARC, "DELAY", True), (PARC, "FAILURE", False), (PARC, "NEVER", False), (DOSSIER, "", False)],
)
def test_who_is_warned(store: Any, make_letter: Make, route: Route, notify: str, due: bool) -> None:
    """RFC 3461 §4.1: by default, or where DELAY is named; nobody is warned of a dossier."""
    _keep(store, make_letter, route, notify=notify)
    store.clock.on(hours=2)
    overdue.sweep(store.client, POLICY)
    assert bool(spool.due_notices(store.reader)) is due


def test_no_warning_where_policy_wants_none(store: Any, make_letter: Make) -> None:
    """warn_s = 0: nobody is warned, however long it lasts."""
    _keep(store, make_letter)
    store.clock.on(hours=20)
    assert overdue.sweep(store.client, replace(POLICY, warn_s=0)).warned == 0


def test_what_is_sent_again_is_warned_of_again(store: Any, make_letter: Make) -> None:
    """A new life has a new warning."""
    _keep(store, make_letter)
    store.clock.on(hours=2)
    overdue.sweep(store.client, POLICY)
    spool.noticed(store.client, "lilas", ["L1-0"])
    spool.act(store.client, "lilas", "bounce", "L1-0")
    spool.act(store.client, "lilas", "resend", "L1-0")
    assert overdue.sweep(store.client, POLICY).warned == 0
    store.clock.on(hours=2)
    assert overdue.sweep(store.client, POLICY).warned == 1


# --- given up -----------------------------------------------------------------------------------------------


def test_what_nobody_could_try_is_given_up_too(store: Any, make_letter: Make) -> None:
    """Behind a dead destination a letter expires untried, after the moment of its last attempt, and its sender is
    told."""
    _keep(store, make_letter)
    store.clock.on(seconds=86400)
    assert overdue.sweep(store.client, POLICY).expired == 0
    store.clock.on(seconds=overdue.GRACE_S)
    assert overdue.sweep(store.client, POLICY).expired == 1
    assert (_row(store).state, _row(store).reason) == (State.FAILED, Reason.EXPIRED)
    assert [letter.id for letter, _ in spool.due_notices(store.reader)] == ["L1"]
    assert _events(store) == ["accepted", "failed"]


def test_what_is_held_is_never_given_up(store: Any, make_letter: Make) -> None:
    """The refused twin: a person looks at it, however long."""
    _keep(store, make_letter)
    spool.act(store.client, "lilas", "hold", "L1-0")
    store.clock.on(days=30)
    assert overdue.sweep(store.client, POLICY).expired == 0
    assert _row(store).state is State.HELD


# --- silence ------------------------------------------------------------------------------------------------


def _answers(store: Any) -> None:
    """Its destination has been seen to answer."""
    with store.writer.begin() as conn:
        if not conn.execute(update(destinations).values(answered_at=store.clock())).rowcount:
            row = {"width": 2.0, "failures": 0, "reason": "", "answered_at": store.clock()}
            conn.execute(insert(destinations), {"tenant": "", "destination": "peer parc.mssante.example", **row})


def test_silence_of_one_that_answers_is_a_state(store: Any, make_letter: Make) -> None:
    """Asked for, handed over, and nothing said for the policy's time: 'sans nouvelle', in row and journal, once."""
    _keep(store, make_letter, word=Word.ASKED)
    _carry(store, Done("250"))
    assert _row(store).word is Word.AWAITED
    _answers(store)
    store.clock.on(seconds=7199)
    assert overdue.sweep(store.client, POLICY).silent == 0
    store.clock.on(seconds=1)
    assert [overdue.sweep(store.client, POLICY).silent for _ in range(2)] == [1, 0]
    assert (_row(store).state, _row(store).word) == (State.DONE, Word.SILENT)
    assert _events(store) == ["accepted", "relayed", "silent"]


@pytest.mark.parametrize("word", [Word.NONE, Word.ASKED])
def test_silence_is_nothing_else(store: Any, make_letter: Make, word: Word) -> None:
    """The refused twins: no receipt was asked for; or one was, of a destination that never answered anything."""
    _keep(store, make_letter, word=word)
    _carry(store, Done("250"))
    if word is Word.NONE:
        _answers(store)
    store.clock.on(hours=3)
    assert overdue.sweep(store.client, POLICY).silent == 0
    assert "silent" not in _events(store)


def test_what_is_not_handed_over_is_not_silent(store: Any, make_letter: Make) -> None:
    """A letter that still waits has no word to await."""
    _keep(store, make_letter, word=Word.ASKED)
    _carry(store, Later(Reason.PEER_DELAYED))
    _answers(store)
    store.clock.on(hours=3)
    assert overdue.sweep(store.client, POLICY).silent == 0
    assert _row(store).word is Word.ASKED


def test_a_lane_that_slept_is_woken(store: Any, make_letter: Make) -> None:
    """Care: a lane that does not know of its letters, which no path leads to, is found and said."""
    from relay.store.tables import lanes

    _keep(store, make_letter)
    with store.writer.begin() as conn:
        conn.execute(update(lanes).values(due_at=None))
    assert spool.verify(store.reader) != ()
    assert spool.claim(store.client, "w1", 4, 60, 8) == []
    assert overdue.sweep(store.client, POLICY).woken == 1
    assert len(spool.claim(store.client, "w1", 4, 60, 8)) == 1


def test_a_dead_destinations_lane_is_left_asleep(store: Any, make_letter: Make) -> None:
    """Its letters are due, its probe is not: nothing to wake."""
    _keep(store, make_letter)
    with store.writer.begin() as conn:
        row = {"width": 1.0, "failures": 2, "reason": "x", "until": store.clock() + timedelta(hours=1)}
        conn.execute(insert(destinations), {"tenant": "", "destination": "peer parc.mssante.example", **row})
    store.clock.on(minutes=5)
    assert overdue.sweep(store.client, POLICY).woken == 0
