"""Budgets of a door: how much one address block may ask of it, before it has said who it is and after.

Promises: what is counted is forgotten with its time, and the memory for it is bounded. Per process: a node with N door
processes grants N times as much. Does not: speak, or know what is counted.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from datetime import datetime, timedelta

from certs.model import Clock

_BLOCKS_MOST = 10_000


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
        if len(self._times) >= _BLOCKS_MOST:
            self._times = {each: times for each in self._times if (times := self._recent(each))}
        self._times.setdefault(name, deque(maxlen=self._most)).append(self._clock())

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
