"""Budgets of a door: how much one address block may ask of it, before it has said who it is and after.

Promises: what is counted is forgotten with its time, and the memory for it is bounded. Per process: a node with N door
processes grants N times as much. Does not: speak, or know what is counted.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from datetime import datetime, timedelta

from certs.model import Clock

_NAMES_MOST = 10_000


def block(client: str) -> str:
    """The network of an address: /24 of IPv4, /64 of IPv6, for whoever has one address there has the others too.

    What is no address (a test's socket) is its own block.
    """
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 64), strict=False))


class Rate:
    """At most so many of something in so many seconds, for each name."""

    def __init__(self, most: int, within_s: float, clock: Clock) -> None:
        self._most = most
        self._within = timedelta(seconds=within_s)
        self._clock = clock
        self._times: dict[str, deque[datetime]] = {}

    def spent(self, name: str) -> bool:
        return len(self._recent(name)) >= self._most

    def count(self, name: str) -> None:
        """Beyond room for all, whoever was counted least lately is forgotten."""
        times = self._times.pop(name, None) or deque(maxlen=self._most)
        times.append(self._clock())
        self._times[name] = times
        if len(self._times) > _NAMES_MOST:
            del self._times[next(iter(self._times))]

    def give_back(self, name: str) -> None:
        """The last one counted was none."""
        if times := self._times.get(name):
            times.pop()

    def take(self, name: str) -> bool:
        """Counts one where there is room; False where there is none."""
        if self.spent(name):
            return False
        self.count(name)
        return True

    def _recent(self, name: str) -> deque[datetime]:
        times = self._times.get(name, deque())
        while times and times[0] < self._clock() - self._within:
            times.popleft()
        return times


class Guesses:
    """Passwords tried for one login, from wherever: one account is not guessed from a thousand addresses.

    Over its budget a login is put off, not locked: attempts that are put off count not, and where it went in lately it
    goes in again, so that who guesses keeps nobody out of his usual place. A login that exists not is treated alike.
    """

    def __init__(self, most: int, within_s: float, known_s: float, clock: Clock) -> None:
        self._tried = Rate(most, within_s, clock)
        self._entered = Rate(1, known_s, clock)

    def begin(self, login: str, client: str) -> bool:
        """Counts a try; False: put off."""
        if self._tried.spent(login) and not self._entered.spent(_place(login, client)):
            return False
        self._tried.count(login)
        return True

    def succeeded(self, login: str, client: str) -> None:
        self._tried.give_back(login)
        self._entered.count(_place(login, client))


def _place(login: str, client: str) -> str:
    return f"{block(client)} {login}"
