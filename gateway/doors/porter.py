"""The porter of one door: who is inside, who failed to log in, and who must leave when the service stops.

Promises: no more sessions than allowed; transactions in flight get their time, then everyone is out; a letter
that is being kept in a thread is kept to the end. Does not: speak SMTP.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from certs.model import Clock
from gateway.doors.spec import Limits

T = TypeVar("T")

_ADDRESSES_MOST = 10_000


class Guest(Protocol):
    """A session, as the porter sees it."""

    @property
    def busy(self) -> bool: ...

    def say_goodbye(self) -> None: ...

    def throw_out(self) -> None: ...


class LoginBudget:
    """Failed logins by client address, in this process: after too many, nobody logs in from there."""

    def __init__(self, most: int, within_s: float, clock: Clock) -> None:
        self._most = most
        self._within = timedelta(seconds=within_s)
        self._clock = clock
        self._failures: dict[str, deque[datetime]] = {}

    def spent(self, client: str) -> bool:
        return len(self._recent(client)) >= self._most

    def failed(self, client: str) -> None:
        if len(self._failures) >= _ADDRESSES_MOST:
            self._failures = {each: times for each in self._failures if (times := self._recent(each))}
        self._failures.setdefault(client, deque(maxlen=self._most)).append(self._clock())

    def _recent(self, client: str) -> deque[datetime]:
        times = self._failures.get(client, deque())
        while times and times[0] < self._clock() - self._within:
            times.popleft()
        return times


class Porter:
    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._guests: set[Guest] = set()
        self._work = ThreadPoolExecutor(limits.threads, "door")
        self._logins = ThreadPoolExecutor(limits.login_threads, "login")
        self.budget = LoginBudget(limits.failures, limits.failures_s, clock)
        self.closing = False

    def enter(self, guest: Guest) -> bool:
        """False: no room, or the service is stopping."""
        if self.closing or len(self._guests) >= self._limits.sessions:
            return False
        self._guests.add(guest)
        return True

    def leave(self, guest: Guest) -> None:
        self._guests.discard(guest)

    def start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Blocking work in a thread: once started it runs to its end, whatever becomes of the session."""
        return asyncio.get_running_loop().run_in_executor(self._work, work)

    def start_login(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Logins have threads of their own: guessing passwords delays no letter."""
        return asyncio.get_running_loop().run_in_executor(self._logins, work)

    async def close(self) -> None:
        """Whoever is idle leaves now, whoever is in a transaction has stop_s seconds."""
        self.closing = True
        loop = asyncio.get_running_loop()
        until = loop.time() + self._limits.stop_s
        leaving: dict[Guest, float] = {}
        while self._guests and loop.time() < until:
            for guest in [each for each in self._guests if not each.busy]:
                _see_off(guest, leaving, loop.time())
            await asyncio.sleep(0.02)
        for guest in list(self._guests):
            guest.throw_out()
        await loop.run_in_executor(None, self._shut)

    def _shut(self) -> None:
        """Threads end their letters: what the intake has begun to keep is kept."""
        self._work.shutdown(wait=True)
        self._logins.shutdown(wait=True, cancel_futures=True)


def _see_off(guest: Guest, leaving: dict[Guest, float], now: float) -> None:
    """Politely first; who has not left a second later (its side of TLS stays open) is out."""
    if guest not in leaving:
        leaving[guest] = now
        guest.say_goodbye()
    elif now - leaving[guest] > 1:
        guest.throw_out()
