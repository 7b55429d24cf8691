"""What a process tells systemd: that it serves, that it lives, that it ends (sd_notify(3)).

Promises: without NOTIFY_SOCKET nothing is done; what cannot be told hurts nobody; children do not inherit the socket.
Does not: link to libsystemd, a datagram says it all.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress

PLACE, EVERY, WHOSE = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


def tell(state: str) -> None:
    """One datagram, e.g. READY=1. A name that begins with @ is of the abstract namespace (unix(7)). Where nobody reads
    at the other end it is lost: who supervises does not wait."""
    place = os.environ.get(PLACE, "")
    if not place:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.setblocking(False)
        out.connect("\0" + place[1:] if place.startswith("@") else place)
        out.sendall(state.encode())


def watchdog_s() -> float:
    """How often systemd wants a sign of life; 0: not at all, or not from this process (sd_watchdog_enabled(3))."""
    told, whose = os.environ.get(EVERY, ""), os.environ.get(WHOSE, "")
    if not told.isdecimal() or (whose and whose != str(os.getpid())):
        return 0.0
    return int(told) / 1_000_000


class Watchdog:
    """Tells that we live, three times as often as asked; called again and again by who does the work."""

    def __init__(self) -> None:
        self.every = watchdog_s() / 3
        self._due = 0.0

    def __call__(self) -> None:
        if self.every and time.monotonic() >= self._due:
            self._due = time.monotonic() + self.every
            tell("WATCHDOG=1")


def serves_alone() -> None:
    """For a process that is a unit by itself: it serves, and a thread tells so from now on."""
    tell("READY=1")
    alive = Watchdog()
    if not alive.every:
        return

    def watch() -> None:
        while True:
            alive()
            time.sleep(alive.every)

    threading.Thread(target=watch, name="watchdog", daemon=True).start()


def forget() -> None:
    """For a child that was forked: what is between systemd and its parent is not its own."""
    for name in (PLACE, EVERY, WHOSE):
        os.environ.pop(name, None)


def environment() -> dict[str, str]:
    """For children: without what is between systemd and us."""
    return {name: value for name, value in os.environ.items() if name not in (PLACE, EVERY, WHOSE)}
