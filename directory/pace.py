"""How often a service that counts our calls may be called.

Promises: thread-safe; in no `window_s` more than `calls` begin, wherever the window begins (a bucket that refills while
it is emptied lets nearly twice as many through). Does not: sleep, nor read a clock: `now` is passed in.
"""

from __future__ import annotations

import threading
from collections import deque


class Pace:
    def __init__(self, calls: int, window_s: float = 1.0) -> None:
        self._window_s = window_s
        self._lock = threading.Lock()
        self._begun: deque[float] = deque(maxlen=calls)

    def wait_s(self, now: float, patience_s: float) -> float | None:
        """Seconds until the place that is hereby given; None: longer than `patience_s`, and none is taken."""
        with self._lock:
            full = len(self._begun) == self._begun.maxlen
            free = max(now, self._begun[0] + self._window_s) if full else now
            # Places are given in order: who waits is not overtaken.
            free = max(free, self._begun[-1]) if self._begun else free
            if free - now > patience_s:
                return None
            self._begun.append(free)
            return free - now
