"""A clock that jumps, forward and back: custody loses nothing, and nobody carries what another still holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from relay import journal, spool
from relay.model import Done, Event, Later, Letter, Recipient, State
from relay.spooler import StoreRefused

Make = Callable[..., tuple[Letter, tuple[Recipient, ...]]]


def kept(store: Any, made: tuple[Letter, tuple[Recipient, ...]]) -> None:
    spool.keep(store.client, *made, [Event("accepted", made[0].id)])


def claimed(store: Any, worker: str = "w1") -> list[spool.Claimed]:
    return spool.claim(store.client, worker, 10, 60, 4)


def settled(store: Any, claim: spool.Claimed, outcome: Any, worker: str = "w1") -> None:
    spool.settle(store.client, claim, worker, {each.id: outcome for each in claim.recipients})


def states(store: Any) -> list[State]:
    found = spool.letter(store.reader, "lilas", "L1")
    assert found is not None
    return [each.state for each in found[1]]


def test_a_clock_set_back_keeps_the_lease_of_whoever_works(store: Any, make_letter: Make) -> None:
    """An hour back while a courier works: nobody else takes the letter, and he settles it."""
    kept(store, make_letter("L1"))
    (mine,) = claimed(store)
    store.clock.on(hours=-1)
    assert claimed(store, "w2") == []
    settled(store, mine, Done("250"))
    assert states(store) == [State.DONE]
    assert spool.verify(store.reader) == ()


def test_a_clock_set_back_delays_and_does_not_lose(store: Any, make_letter: Make) -> None:
    """A letter due in what is now the future waits until its moment comes again."""
    kept(store, make_letter("L1"))
    settled(store, claimed(store)[0], Later("x"))
    store.clock.on(hours=-1)
    assert claimed(store) == []
    store.clock.on(hours=2)
    settled(store, claimed(store)[0], Done("250"))
    assert states(store) == [State.DONE]


def test_a_clock_set_forward_gives_no_letter_up_untried(store: Any, make_letter: Make) -> None:
    """Ten years at once: the letter is tried before it is given up, and delivered if it can be."""
    kept(store, make_letter("L1"))
    store.clock.on(days=3650)
    (mine,) = claimed(store)
    settled(store, mine, Done("250"))
    assert states(store) == [State.DONE]


def test_a_clock_set_forward_ends_leases_and_one_settles(store: Any, make_letter: Make) -> None:
    """A jump looks like a dead worker: another takes over, and only he can settle."""
    kept(store, make_letter("L1"))
    (first,) = claimed(store)
    store.clock.on(hours=5)
    (second,) = claimed(store, "w2")
    with pytest.raises(StoreRefused):
        settled(store, first, Done("250"))
    settled(store, second, Done("250"), "w2")
    assert states(store) == [State.DONE]
    assert spool.verify(store.reader) == ()


def test_the_journal_s_chain_holds_over_a_jump(store: Any, make_letter: Make) -> None:
    """Moments out of order are facts, not faults: order is the chain's."""
    kept(store, make_letter("L1"))
    store.clock.on(days=-30)
    kept(store, make_letter("L2"))
    assert tuple(journal.verify(store.reader)) == ()
