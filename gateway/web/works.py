"""Long works that a person begins at a page: looking for duplicates, planning an import, applying it.

Promises: one at a time on a node, since all of them ask one directory; it goes on whatever becomes of the page and of
the session, says how far it is, and can be asked to stop; how it ended stays to be read until the next of its name.
Does not: survive this process: what was applied is in the ledger, and the same work goes on from there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from certs.model import Clock

log = structlog.get_logger("gateway.web")


@dataclass
class Work:
    """One of them; its own thread writes, pages read."""

    name: str
    by: str
    begun: datetime
    total: int = 0
    """0: nobody knows yet."""
    done: int = 0
    ended: datetime | None = None
    result: Any = None
    wrong: str = ""
    """Why it came to nothing: a sentence of who did it, or the kind of a surprise."""
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def percent(self) -> int | None:
        return min(100, 100 * self.done // self.total) if self.total else None

    def told(self, count: int) -> None:
        self.done = count

    def stepped(self, count: int) -> None:
        self.done += count


class Works:
    """Threads may share it."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._held: dict[tuple[str, str], Work] = {}

    def begin(self, tenant: str, name: str, by: str, act: Callable[[Work], Any], refused: type[Exception]) -> bool:
        """False where one is under way. `refused`: what `act` raises with a sentence for people."""
        with self._lock:
            if self._running() is not None:
                return False
            work = Work(name, by, self._clock())
            self._held[tenant, name] = work
        threading.Thread(target=self._do, args=(work, act, refused), name=f"pages-{name}", daemon=True).start()
        return True

    def of(self, tenant: str, name: str) -> Work | None:
        """The last of its name."""
        return self._held.get((tenant, name))

    def running(self) -> Work | None:
        with self._lock:
            return self._running()

    def _running(self) -> Work | None:
        return next((each for each in self._held.values() if each.ended is None), None)

    def _do(self, work: Work, act: Callable[[Work], Any], refused: type[Exception]) -> None:
        try:
            work.result = act(work)
        except refused as error:
            work.wrong = str(error)
        except Exception as surprise:
            log.error("work-surprise", work=work.name, type=type(surprise).__name__)
            work.wrong = type(surprise).__name__
        finally:
            work.ended = self._clock()
            log.info("work-ended", work=work.name, by=work.by, ok=not work.wrong, stopped=work.stop.is_set())
