"""A directory's last answers, kept for the letters that follow and for when it is down.

Promises: bounded; thread-safe; an answer older than policy allows is asked for again; one that the directory could not
confirm says so (`stale`), and after its time there is none: DirectoryDown. What is not found is never remembered.
Does not: remember a patient's address or a search, nor hear of changes by itself (directory.following tells it).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

import structlog

from certs.model import Clock
from directory.lookup import SEARCH_LIMIT, Directory
from directory.model import Address, DirectoryDown, Found, Listing, Lookup

log = structlog.get_logger("directory")


class How(StrEnum):
    """How the cache hears of changes."""

    ALONE = "alone"
    """It does not: an answer has a short life."""
    POLLED = "polled"
    """It asks for what changed, now and then; removals are not told so."""
    FOLLOWED = "followed"
    """The directory tells each change as it happens (RFC 4533)."""


@dataclass(frozen=True)
class CachePolicy:
    entries: int = 20_000
    fresh: timedelta = timedelta(minutes=1)
    """An answer is taken as it is for so long, where nobody tells of changes."""
    polled: timedelta = timedelta(minutes=10)
    followed: timedelta = timedelta(hours=6)
    stale: timedelta = timedelta(hours=24)
    """So old an answer may be while the directory is down."""
    pause: timedelta = timedelta(seconds=5)
    """A directory that was down is not asked again for so long, where an old answer will do."""

    def life(self, how: How) -> timedelta:
        return {How.ALONE: self.fresh, How.POLLED: self.polled, How.FOLLOWED: self.followed}[how]


@dataclass(frozen=True)
class Freshness:
    """For whoever asks how old what we say may be."""

    how: How
    heard: datetime | None
    """Changes up to then have been told; None: nobody tells."""
    entries: int


@dataclass(frozen=True)
class _Held:
    found: Found
    checked: datetime
    turn: int
    """Of the following under which it was asked for; an earlier one's may have missed a change."""

    def in_force(self, at: datetime) -> bool:
        return all(entry.ends is None or at < entry.ends for entry in (self.found.entry, *self.found.others))


class DirectoryCache:
    """`directory.lookup.Directory` in front of another one."""

    def __init__(self, inner: Directory, clock: Clock, policy: CachePolicy | None = None) -> None:
        self._inner, self._clock, self._policy = inner, clock, policy or CachePolicy()
        self._lock = threading.Lock()
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._named: dict[str, str] = {}
        self._how = How.ALONE
        self._heard: datetime | None = None
        self._turn = self._changes = 0
        self._down_until: datetime | None = None

    def find(self, address: Address) -> Lookup:
        """The mailbox with exactly this address; `stale` where the directory could not be asked."""
        if address.is_patient:
            return self._inner.find(address)
        now = self._clock()
        with self._lock:
            held, changes, turn = self._held.get(address.key), self._changes, self._turn
            if held and self._is_fresh(held, now):
                self._held.move_to_end(address.key)
                return held.found
            paused = self._down_until is not None and now < self._down_until
        if held and paused and self._may_be_stale(held, now):
            return replace(held.found, stale=True)
        answer = self._inner.find(address)
        if isinstance(answer, DirectoryDown):
            return self._without(answer, held, now)
        if isinstance(answer, Found) and answer.stale:
            # Not from whoever should have said it: what we hold ourselves is as good, and is kept.
            return replace(held.found, stale=True) if held and self._may_be_stale(held, now) else answer
        with self._lock:
            self._down_until = None
            self._forget(address.key)
            if isinstance(answer, Found):
                # A change that came meanwhile may have been of this very entry: what we hold is then but a stop-gap.
                self._keep(address.key, _Held(answer, now, turn if changes == self._changes else -1))
        return answer

    def search(self, text: str, limit: int = SEARCH_LIMIT) -> Listing | DirectoryDown:
        """As the directory answers now."""
        return self._inner.search(text, limit)

    def freshness(self) -> Freshness:
        with self._lock:
            return Freshness(self._how, self._heard, len(self._held))

    # --- told by whoever follows the directory ------------------------------------------------------------------

    def changed(self, names: Iterable[str]) -> None:
        """Entries with these addresses or entryUUIDs are not what they were."""
        with self._lock:
            self._changes += 1
            for name in names:
                self._forget(self._named.get(name, name))

    def heard(self, how: How) -> None:
        """Every change up to now has been told, and will be."""
        with self._lock:
            if self._how is not how:
                self._turn += 1
                log.info("directory.changes", how=how)
            self._how, self._heard = how, self._clock()

    def lost(self) -> None:
        """Changes may have been missed from now on."""
        with self._lock:
            if self._how is not How.ALONE:
                log.warning("directory.changes", how=How.ALONE)
            self._how = How.ALONE

    # --- under the lock ----------------------------------------------------------------------------------------------

    def _is_fresh(self, held: _Held, now: datetime) -> bool:
        vouched = self._how is not How.ALONE and held.turn == self._turn
        life = self._policy.life(self._how if vouched else How.ALONE)
        # -1: a change overtook it.
        return held.turn >= 0 and timedelta(0) <= now - held.checked < life and held.in_force(now)

    def _keep(self, key: str, held: _Held) -> None:
        self._held[key] = held
        for entry in (held.found.entry, *held.found.others):
            if entry.provenance.uuid:
                self._named[entry.provenance.uuid] = key
        while len(self._held) > self._policy.entries:
            self._forget(next(iter(self._held)))

    def _forget(self, key: str) -> None:
        held = self._held.pop(key, None)
        for entry in (held.found.entry, *held.found.others) if held else ():
            self._named.pop(entry.provenance.uuid, None)

    # --- without the directory ------------------------------------------------------------------------------------

    def _may_be_stale(self, held: _Held, now: datetime) -> bool:
        return timedelta(0) <= now - held.checked < self._policy.stale and held.in_force(now)

    def _without(self, down: DirectoryDown, held: _Held | None, now: datetime) -> Lookup:
        with self._lock:
            self._down_until = now + self._policy.pause
        if held is None or not self._may_be_stale(held, now):
            return down
        log.warning("directory.stale", detail=down.detail, age_s=int((now - held.checked).total_seconds()))
        return replace(held.found, stale=True)
