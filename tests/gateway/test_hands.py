"""The threads of a door: what is started runs to its end, its outcome comes back, and there is a bound."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from gateway.doors.hands import Hands


def _run(play: Callable[[Hands], Any], most: int = 3) -> None:
    async def main() -> None:
        hands = Hands(most, "test")
        try:
            async with asyncio.timeout(20):
                await play(hands)
        finally:
            await asyncio.to_thread(hands.shut)

    asyncio.run(main())


def test_outcome_comes_back_and_so_does_a_surprise() -> None:
    """What the work answers, or raises, is what who waits for it sees."""

    async def play(hands: Hands) -> None:
        assert await hands.start(lambda: 7) == 7
        with pytest.raises(KeyError, match="why"):
            await hands.start(lambda: {}["why"])

    _run(play)


def test_work_is_done_though_nobody_waits_any_more() -> None:
    """A session that ends while its letter is being kept cuts nothing."""
    begun, go, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go.wait(20)
        done.set()

    async def play(hands: Hands) -> None:
        waiting = asyncio.ensure_future(hands.start(work))
        await asyncio.to_thread(begun.wait, 20)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go.set()

    _run(play)
    assert done.is_set()


def test_never_more_threads_than_allowed_and_all_work_is_done() -> None:
    """A thousand pieces on three threads; a fourth is never made, however many wait."""
    names: set[str] = set()

    async def play(hands: Hands) -> None:
        pieces = [hands.start(lambda: names.add(threading.current_thread().name)) for _ in range(1000)]
        await asyncio.gather(*pieces)

    _run(play)
    assert names <= {"test-0", "test-1", "test-2"}


def test_a_blocked_piece_delays_no_other() -> None:
    """While one thread waits, another is made for the next piece."""
    go = threading.Event()

    async def play(hands: Hands) -> None:
        slow = hands.start(lambda: go.wait(20))
        assert await hands.start(lambda: "quick") == "quick"
        go.set()
        assert await slow

    _run(play)


def test_nothing_is_started_after_the_end() -> None:
    """Once shut it says so."""

    async def play(hands: Hands) -> None:
        await asyncio.to_thread(hands.shut)
        with pytest.raises(RuntimeError, match="shut"):
            hands.start(int)

    _run(play)
