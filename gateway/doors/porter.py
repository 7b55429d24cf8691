"""The porter of one door: who is inside, who failed to log in, and who must leave when the service stops.

Promises: no more sessions than allowed, in all and for each address block; transactions in flight get their time,
then everyone is out; a letter that is being kept in a thread is kept to the end. Does not: speak SMTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from certs.model import Clock
from gateway.doors.budgets import Guesses, Rate, block
from gateway.doors.hands import Hands
from gateway.doors.spec import Limits

T = TypeVar("T")


class Guest(Protocol):
    """A session, as the porter sees it."""

    @property
    def busy(self) -> bool: ...

    @property
    def client(self) -> str: ...

    def say_goodbye(self) -> None: ...

    def throw_out(self) -> None: ...


class Porter:
    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._guests: set[Guest] = set()
        self._work = Hands(limits.threads, "door")
        self._logins = Hands(limits.login_threads, "login")
        self.budget = Rate(limits.failures, limits.failures_s, clock)
        """Failed logins by client address: after too many, nobody logs in from there."""
        self.guesses = Guesses(limits.guesses, limits.failures_s, limits.known_s, clock)
        self._letters = Rate(limits.letters, limits.letters_s, clock)
        self.room = asyncio.Semaphore(limits.large_letters)
        """For letters beyond data.LARGE octets: what is in memory has a bound, however many come at once."""
        self.closing = False

    def enter(self, guest: Guest) -> bool:
        """False: no room, for anyone or for this address block, or the service is stopping."""
        near = sum(block(each.client) == block(guest.client) for each in self._guests)
        if self.closing or len(self._guests) >= self._limits.sessions or near >= self._limits.sessions_of_block:
            return False
        self._guests.add(guest)
        return True

    def leave(self, guest: Guest) -> None:
        self._guests.discard(guest)

    def may_send(self, client: str) -> bool:
        """Counts a letter that begins; False where its address block has begun too many."""
        return self._letters.take(block(client))

    def start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Blocking work in a thread: once started it runs to its end, whatever becomes of the session."""
        return self._work.start(work)

    def start_login(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Logins have threads of their own: guessing passwords delays no letter."""
        return self._logins.start(work)

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
        self._work.shut()
        self._logins.shut()


def _see_off(guest: Guest, leaving: dict[Guest, float], now: float) -> None:
    """Politely first; who has not left a second later (its side of TLS stays open) is out."""
    if guest not in leaving:
        leaving[guest] = now
        guest.say_goodbye()
    elif now - leaving[guest] > 1:
        guest.throw_out()
