"""What is taken back before it leaves: all of it or nothing, by its author, until its time is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from relay import acts, spool, withdrawal
from relay.model import Event, Letter, Mode, Never, Reason, Recipient, Route, State
from relay.spooler import StoreRefused

Make = Callable[..., tuple[Letter, tuple[Recipient, ...]]]
AUTHOR = "marie.martin@lilas.mssante.example"
PARC = Route(Mode.PEER_SIGNED, "parc.mssante.example", "signed-by-default")
OURS = Route(Mode.MAILBOX, "lmtp", "mailbox-here")
DOSSIER = Route(Mode.DOSSIER, "regional", "xdm")


def _keep(store: Any, make: Make, *routes: Route, wait_s: float = 10) -> None:
    letter, rows = make("L1", *routes)
    due = store.clock() + timedelta(seconds=wait_s)
    assert spool.keep(store.client, letter, [replace(row, due_at=due) for row in rows], [Event("accepted", "L1")])


def _claimed(store: Any) -> list[str]:
    return [each.id for claimed in spool.claim(store.client, "w1", 16, 60, 8) for each in claimed.recipients]


def _held(store: Any) -> tuple[Letter, tuple[Recipient, ...]]:
    found = spool.letter(store.reader, "lilas", "L1")
    assert found
    return found


def _until(store: Any, by: str = AUTHOR) -> datetime | None:
    return withdrawal.until(*_held(store), by, store.clock())


def test_a_letter_waits_its_time_and_then_leaves(store: Any, make_letter: Make) -> None:
    """Nobody is given it before, whoever died meanwhile; then it is taken by itself."""
    _keep(store, make_letter, PARC, OURS, DOSSIER)
    store.clock.on(seconds=9)
    assert _claimed(store) == []
    assert _claimed(store) == []  # its lanes were put to sleep, and have not forgotten it
    store.clock.on(seconds=2)
    assert sorted(_claimed(store)) == ["L1-0", "L1-1", "L1-2"]


def test_a_letter_that_waits_keeps_nobody_waiting(store: Any, make_letter: Make) -> None:
    """One for the same destination that came later, and may leave, leaves."""
    _keep(store, make_letter, PARC)
    letter, rows = make_letter("L2", PARC)
    spool.keep(store.client, letter, rows, [Event("accepted", "L2")])
    assert _claimed(store) == ["L2-0"]


def test_an_author_takes_back_what_waits(store: Any, make_letter: Make) -> None:
    """All recipients at once, journalled with who; nobody is told by mail; asked twice it is done once; it never leaves
    then, whoever asks for it."""
    _keep(store, make_letter, PARC, OURS, DOSSIER)
    assert _until(store) == store.clock() + timedelta(seconds=10)
    for _ in range(2):
        withdrawal.withdraw(store.client, "lilas", "L1", AUTHOR)
    rows = _held(store)[1]
    assert {(row.state, row.reason) for row in rows} == {(State.FAILED, Reason.WITHDRAWN)}
    steps = [step for step in spool.timeline(store.reader, "lilas", "L1") if step.event == "withdrawn"]
    assert [dict(step.facts)["by"] for step in steps] == [AUTHOR] * 3
    assert spool.due_notices(store.reader) == []
    store.clock.on(days=1)
    assert _claimed(store) == []
    assert _until(store) is None
    for ask in (
        lambda: acts.act(store.client, "lilas", "resend", "L1-0"),
        lambda: acts.reroute(store.client, "lilas", "L1-0", replace(PARC, target="bois.mssante.example")),
    ):
        with pytest.raises(StoreRefused, match="took the letter back"):
            ask()


@pytest.mark.parametrize("late", ["its time is over", "a worker has a part of it", "it was released"])
def test_what_has_left_is_not_taken_back(store: Any, make_letter: Make, late: str) -> None:
    """The refused twin: then nothing of it is, the rest goes its way."""
    _keep(store, make_letter, PARC, OURS)
    if late == "its time is over":
        store.clock.on(seconds=10)
    elif late == "a worker has a part of it":
        acts.reroute(store.client, "lilas", "L1-1", replace(OURS, target="other"))
        assert _claimed(store) == ["L1-1"]
    else:
        acts.act(store.client, "lilas", "hold", "L1-0")
        acts.act(store.client, "lilas", "release", "L1-0")
    before = [row.state for row in _held(store)[1]]
    assert _until(store) is None
    with pytest.raises(StoreRefused, match="it has left"):
        withdrawal.withdraw(store.client, "lilas", "L1", AUTHOR)
    assert [row.state for row in _held(store)[1]] == before


@pytest.mark.parametrize(("tenant", "by"), [("lilas", "bert@lilas.mssante.example"), ("bois", AUTHOR)])
def test_nobody_else_takes_a_letter_back(store: Any, make_letter: Make, tenant: str, by: str) -> None:
    """Neither a colleague nor somebody of another tenant; to them there is no such letter."""
    _keep(store, make_letter, PARC)
    assert _until(store, "bert@lilas.mssante.example") is None
    with pytest.raises(StoreRefused, match="no such letter"):
        withdrawal.withdraw(store.client, tenant, "L1", by)
    assert _held(store)[1][0].state is State.QUEUED


def test_a_letter_that_left_at_once_is_not_taken_back(store: Any, make_letter: Make) -> None:
    """What came in at another door has no such time."""
    letter, rows = make_letter("L1", PARC)
    spool.keep(store.client, letter, rows, [Event("accepted", "L1")])
    assert _until(store) is None
    with pytest.raises(StoreRefused, match="it has left"):
        withdrawal.withdraw(store.client, "lilas", "L1", AUTHOR)


def test_what_is_sent_again_may_wait_too(store: Any, make_letter: Make) -> None:
    """As long as it is told to (acts.act), and no longer."""
    letter, rows = make_letter("L1", DOSSIER)
    spool.keep(store.client, letter, rows, [Event("accepted", "L1")])
    for claimed in spool.claim(store.client, "w1", 16, 60, 8):
        spool.settle(store.client, claimed, "w1", {"L1-0": Never("dossier.patient-unknown")})
    acts.act(store.client, "lilas", "resend", "L1-0", "jeanne", "x", after_s=10)
    assert _claimed(store) == []
    store.clock.on(seconds=11)
    assert _claimed(store) == ["L1-0"]
