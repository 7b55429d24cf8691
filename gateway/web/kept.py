"""Connections to the mailboxes' server that wait for the next request of the same person.

Promises: one is used by one request at a time, for its own person, and ended after a minute without use. Does not: open
one (gateway.web.boxes does).
"""

from __future__ import annotations

import asyncio
import time

from gateway.imap import Mailbox

KEPT_S = 60.0
KEPT_MOST = 200


class Kept:
    """Connections that nobody uses just now. One event loop uses it, each connection in the loop that made it."""

    def __init__(self) -> None:
        self._held: list[tuple[object, str, float, Mailbox]] = []

    def take(self, account: str) -> Mailbox | None:
        self._end_old()
        loop = asyncio.get_running_loop()
        for each in self._held:
            if each[:2] == (loop, account):
                self._held.remove(each)
                return each[3]
        return None

    def give(self, account: str, mailbox: Mailbox) -> None:
        self._held.append((asyncio.get_running_loop(), account, time.monotonic(), mailbox))
        self._end_old()

    def _end_old(self) -> None:
        loop, since = asyncio.get_running_loop(), time.monotonic() - KEPT_S
        good = [each for each in self._held if each[0] is loop and each[2] > since and each[3].alive][-KEPT_MOST:]
        for each in self._held:
            if each not in good and each[0] is loop:
                each[3].close()
        self._held = good
