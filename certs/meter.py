"""Where CPU time goes: thread CPU seconds by step of a letter's life, for the bench and for later work.

Promises: adding a step costs microseconds and never fails; totals are per process. Does not: time on the clock,
nor carry anything about a letter.
"""

from __future__ import annotations

import threading
import time

_lock = threading.Lock()
_totals: dict[str, tuple[int, float]] = {}


class step:  # noqa: N801  (used as the function that it would be, were contextlib's not three times as slow)
    """Adds the CPU seconds that this thread spends inside to `name`, e.g. 'accept', 'sign', 'file'."""

    __slots__ = ("_begun", "_name")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._begun = time.thread_time()

    def __exit__(self, *_: object) -> None:
        spent = time.thread_time() - self._begun
        with _lock:
            count, total = _totals.get(self._name, (0, 0.0))
            _totals[self._name] = (count + 1, total + spent)


def totals() -> dict[str, tuple[int, float]]:
    """(times, CPU seconds) by step, in this process."""
    with _lock:
        return dict(_totals)
