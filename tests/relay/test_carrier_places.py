"""A carrier's places: peers that stall fill none of them for long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from relay import spool
from relay.carrier import Carrier, Pace
from relay.model import Done, Event, Job, Letter, Mode, Outcome, Recipient, Route, State

Make = Callable[..., tuple[Letter, tuple[Recipient, ...]]]


def _carrier(store: Any, pace: Pace, deliver: Callable[[Job], dict[str, Outcome]]) -> Carrier:
    class Says:
        def deliver(self, job: Job) -> dict[str, Outcome]:
            return deliver(job)

    modes: dict[Mode, Any] = {Mode.PEER_SIGNED: Says()}
    told = (store.client, store.reader, lambda letter: b"raw", modes, lambda *_: False, store.clock, "w1", pace)
    return Carrier(*told)


def test_dead_peers_do_not_fill_the_places(store: Any, make_letter: Make) -> None:
    """Twice as many peers that never answer as there are places: a letter to a living one goes all the same."""
    forever, stop = threading.Event(), threading.Event()
    gone = threading.Event()

    def deliver(job: Job) -> dict[str, Outcome]:
        if job.recipients[0].route.target == "vif":
            gone.set()
        else:
            forever.wait(30)
        return {each.id: Done("250") for each in job.recipients}

    names = [*(f"mort{n}" for n in range(8)), "vif"]
    for n, name in enumerate(names):
        letter, rows = make_letter(f"L{n}", Route(Mode.PEER_SIGNED, name, "test"))
        assert spool.keep(store.client, letter, rows, [Event("accepted", letter.id)])
        store.clock.on(seconds=1)
    pace = Pace(threads=4, threads_most=32, slow_s=0.05, idle_s=0.02)
    thread = threading.Thread(target=_carrier(store, pace, deliver).run, args=(stop,))
    thread.start()
    try:
        assert gone.wait(20)
    finally:
        forever.set()
        stop.set()
        thread.join(20)
    found = spool.letter(store.reader, "lilas", "L8")
    assert found
    assert found[1][0].state is State.DONE


def test_places_and_their_end(store: Any) -> None:
    """Quick letters hold their places, slow ones give them up, and there is an end to that."""
    carrier = _carrier(store, Pace(threads=4, threads_most=6, slow_s=5.0), lambda job: {})
    quick: dict[Future[None], float] = {Future(): 99.0 for _ in range(3)}
    slow: dict[Future[None], float] = {Future(): 10.0 for _ in range(4)}
    assert carrier._free({}, 100.0) == 4
    assert carrier._free(quick, 100.0) == 1
    assert carrier._free(slow, 100.0) == 2
    assert carrier._free(slow | quick, 100.0) == 0
