"""Who was connected on which day, and how: an event of the journal, once for each mailbox, day and channel.

Promises: it is read off the doors' own log lines, and written by a thread of its own: a login waits for nothing. What
the store does not take is left out, for the next login of that day to bring. Does not: see a password, or a login that
failed.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from relay.indicators import day_of
from relay.model import Event, Journal
from relay.spooler import StoreDown, StoreRefused

CHANNELS = {"login": "submission", "introspection": "imap-token"}
"""What a log line of a successful login is called, and by which channel it was."""


class Presence:
    """A processor of structlog."""

    def __init__(self, journal: Journal, tenants: Mapping[str, str], clock: Callable[[], datetime]) -> None:
        """`tenants`: of each mail domain of ours."""
        self._journal, self._tenants, self._clock = journal, dict(tenants), clock
        self._told: set[tuple[str, str, str]] = set()
        self._day = ""
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[tuple[str, str, str]] = queue.SimpleQueue()
        threading.Thread(target=self._write, name="presence", daemon=True).start()

    def __call__(self, _logger: Any, _method: str, line: Mapping[str, Any]) -> Mapping[str, Any]:
        channel = CHANNELS.get(str(line.get("event", "")))
        account = str(line.get("account") or "").lower()
        if channel and account and line.get("active", True) and self._is_new(account, channel):
            self._queue.put((self._day, account, channel))
        return line

    def _is_new(self, account: str, channel: str) -> bool:
        today = day_of(self._clock())
        with self._lock:
            if today != self._day:
                self._day, self._told = today, set()
            if (today, account, channel) in self._told:
                return False
            self._told.add((today, account, channel))
            return True

    def _write(self) -> None:
        while True:
            day, account, channel = self._queue.get()
            tenant = self._tenants.get(account.rpartition("@")[2])
            if tenant is None:
                continue
            try:
                facts = (("mailbox", account), ("channel", channel))
                self._journal.add(tenant, [Event("connected", facts=facts)])
            except (StoreDown, StoreRefused):
                with self._lock:
                    self._told.discard((day, account, channel))
