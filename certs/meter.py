"""Where CPU time goes: thread CPU seconds by step of a letter's life, for the bench and for later work.

Promises: adding a step costs microseconds and never fails; totals are per process. Does not: time on the clock,
nor carry anything about a letter.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_totals: dict[str, tuple[int, float]] = {}


@contextmanager
def step(name: str) -> Iterator[None]:
    """Adds the CPU seconds that this thread spends inside to `name`, e.g. 'accept', 'sign', 'file'."""
    begun = time.thread_time()
    try:
        yield
    finally:
        spent = time.thread_time() - begun
        with _lock:
            count, total = _totals.get(name, (0, 0.0))
            _totals[name] = (count + 1, total + spent)


def totals() -> dict[str, tuple[int, float]]:
    """(times, CPU seconds) by step, in this process."""
    with _lock:
        return dict(_totals)
