"""Letters that are being written: in this process's memory, each of one session.

Promises: nobody reaches another session's; what all of them hold is bounded, the one that was used longest ago is
forgotten first; one that nobody touches ends as its session does, and one of a locked session
passes to the next session of the same person. Does not: survive a restart (nor does a session), or
send: what is sent is the spool's.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from certs.model import Clock
from directory.model import Entry
from gateway.outgoing import About
from gateway.recipient_cards import Card
from gateway.writing import Brought

EACH = 4
"""Of one session."""
ALL = 10
"""Times what one sending may hold: what all of them hold, at most."""
PAPERS = 10
RECIPIENTS = 50


@dataclass
class Draft:
    id: str
    owner: str
    """The session's name."""
    used: datetime
    to: dict[str, Card] = field(default_factory=dict)
    """By the address's key."""
    asked: tuple[Entry, ...] = ()
    """Homonyms, of whom one must be chosen first."""
    papers: dict[str, Brought] = field(default_factory=dict)
    subject: str = ""
    text: str = ""
    about: About = field(default_factory=About)
    letter: str = ""
    """The id of the letter that it becomes, from the first try on: tried again it is the same."""
    sent: bool = False
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def begun(self) -> bool:
        """Something stands in it."""
        return bool(self.text.strip() or self.subject or self.to or self.papers)

    @property
    def size(self) -> int:
        return sum(len(each.data) for each in self.papers.values())


class Drafts:
    """One event loop uses it."""

    def __init__(self, clock: Clock, idle: timedelta, most: int) -> None:
        """`most`: octets that all drafts may hold."""
        self._clock, self._idle, self._most = clock, idle, most
        self._held: dict[str, Draft] = {}

    def of(self, owner: str, draft: str) -> Draft:
        """The one that is named, where it is this session's; else a new one."""
        now = self._clock()
        self._tidy(now)
        held = self._held.get(draft)
        if held is None or held.owner != owner:
            held = Draft(secrets.token_urlsafe(16), owner, now)
        self._held.pop(held.id, None)
        self._held[held.id] = held  # the one used last stands last
        held.used = now
        self._bound(held)
        return held

    def known(self, owner: str, draft: str) -> Draft | None:
        self._tidy(self._clock())
        held = self._held.get(draft)
        return held if held is not None and held.owner == owner else None

    def pass_on(self, owner: str, to: str) -> str:
        """From a session to the one that follows it; the letter on which the person was working, or nothing."""
        self._tidy(self._clock())
        own = [each for each in self._held.values() if each.owner == owner]
        for each in own:
            each.owner = to
        return next((each.id for each in reversed(own) if each.begun and not each.sent), "")

    def forget(self, owner: str) -> None:
        """All of a session that ends."""
        self._held = {name: each for name, each in self._held.items() if each.owner != owner}

    def made_room(self, kept: Draft) -> None:
        """After a paper came: others are forgotten, never the one that is written now."""
        self._bound(kept)

    def _tidy(self, now: datetime) -> None:
        self._held = {name: each for name, each in self._held.items() if now - each.used < self._idle}

    def _bound(self, kept: Draft) -> None:
        own = [each for each in self._held.values() if each.owner == kept.owner]
        for each in own[:-EACH]:
            del self._held[each.id]
        for each in list(self._held.values()):
            if sum(one.size for one in self._held.values()) <= self._most:
                return
            if each is not kept:
                del self._held[each.id]
