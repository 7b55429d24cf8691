"""Connections that are kept between letters, and the one way to use them: taken, asked, used, given back.

Promises: a connection carries one transaction at a time; how many wait, for how long, how old they grow and how many
letters they carry is bounded, for each place and as a whole; one that is dead is found out before anything of a letter
is told, or, where it dies later, before the final dot: then the letter goes over a new one, once, so that nothing is
lost or doubled (RFC 5321 §4.1.1.4: what ends without its dot is discarded). Whoever takes one checks the other side
anew, for each letter. Does not: open a connection, or judge who is at its end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Generic, TypeAlias, TypeVar

from relay.couriers import session as smtp
from relay.couriers.session import Session

ASK_S = 10.0
"""How long a kept connection may think about RSET: longer than that it is taken for dead."""

T = TypeVar("T")
Place: TypeAlias = Hashable
"""Where a connection leads: host, port and address."""


@dataclass(frozen=True)
class Bounds:
    """Postfix keeps an idle connection for 2 s and uses one for 300 s at most (postconf(5):
    smtp_connection_cache_time_limit, smtp_connection_reuse_time_limit); ours wait longer: one process has few."""

    per_place: int = 8
    most: int = 64
    idle_s: float = 15.0
    age_s: float = 300.0
    letters: int = 500


@dataclass(frozen=True)
class Over(Generic[T]):
    """What is done over a connection. A value that is not None is trouble, and ends it."""

    begin: Callable[[Session], T | None]
    """Opens a new one and greets."""
    holds: Callable[[Session], bool]
    """Whether one that was kept still leads to whom it should: asked for each letter."""
    send: Callable[[Session], T]
    lost: Callable[[Exception], T]
    """What a connection that broke means."""
    total_s: float
    """Then it is cut off, whatever it does."""


@dataclass(frozen=True, eq=False)
class _Held:
    """A connection that waits. `like`: what it was opened with; one opened otherwise is not used any more."""

    place: Place
    session: Session
    like: object
    born: float
    since: float
    letters: int


@dataclass
class Kept:
    """Shared between threads. `now`: seconds on a clock that never jumps."""

    bounds: Bounds = Bounds()
    now: Callable[[], float] = time.monotonic
    _held: list[_Held] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sweeper: threading.Timer | None = None

    def use(self, place: Place, like: object, make: Callable[[], Session], over: Over[T]) -> T:
        """What `over` answers, over a kept connection if one holds, else over a new one. `like`: what a new one would
        be opened with."""
        while (held := self._take(place, like)) is not None:
            with smtp.cut_off(held.session, over.total_s):
                answer = self._again(held.session, over)
            if answer is not None:
                self._give(held)
                return answer
            held.session.leave()
        return self._anew(_Held(place, make(), like, self.now(), 0.0, 0), over)

    def _again(self, session: Session, over: Over[T]) -> T | None:
        """None: it is dead, or leads to another now; nothing of the letter counts as told, a new one may be used."""
        if not ask(session) or not over.holds(session):
            return None
        answer = _sent(session, over)
        return None if session.over and not session.told else answer

    def _anew(self, fresh: _Held, over: Over[T]) -> T:
        session = fresh.session
        with smtp.cut_off(session, over.total_s):
            try:
                trouble = over.begin(session)
            except smtp.FAILURES as failure:
                session.over, trouble = True, over.lost(failure)
            answer = _sent(session, over) if trouble is None else trouble
        if trouble is None:
            self._give(fresh)
        else:
            session.leave()
        return answer

    # --- those that wait

    def _take(self, place: Place, like: object) -> _Held | None:
        """The one that was used last: the others may grow old and go."""
        gone = self._tidied()
        with self._lock:
            mine = [each for each in self._held if each.place == place]
            unlike = [each for each in mine if each.like is not like]
            usable = [each for each in mine if each.like is like]
            taken = usable[-1:]
            self._held = [each for each in self._held if each not in unlike and each not in taken]
        _leave(gone + unlike)
        return taken[0] if taken else None

    def _give(self, used: _Held) -> None:
        held = replace(used, since=self.now(), letters=used.letters + 1)
        worn = held.letters >= self.bounds.letters or self.now() - held.born >= self.bounds.age_s
        if held.session.over or held.session.sock is None or worn:
            held.session.leave()
            return
        with self._lock:
            self._held.append(held)
            here = [each for each in self._held if each.place == held.place]
            surplus = here[: -self.bounds.per_place] or self._held[: -self.bounds.most]
            self._held = [each for each in self._held if each not in surplus]
            self._watch()
        _leave(surplus)

    def _tidied(self) -> list[_Held]:
        """Takes out those that waited too long, or are too old."""
        now, bounds = self.now(), self.bounds
        with self._lock:
            gone = [each for each in self._held if now - each.since > bounds.idle_s or now - each.born > bounds.age_s]
            self._held = [each for each in self._held if each not in gone]
        return gone

    def _watch(self) -> None:
        """So that a connection ends though no letter comes."""
        if self._sweeper is None:
            self._sweeper = threading.Timer(self.bounds.idle_s, self._sweep)
            self._sweeper.daemon = True
            self._sweeper.start()

    def _sweep(self) -> None:
        _leave(self._tidied())
        with self._lock:
            self._sweeper = None
            if self._held:
                self._watch()

    def close(self) -> None:
        """Ends those that wait."""
        with self._lock:
            held, self._held = self._held, []
        _leave(held)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._held)


def _sent(session: Session, over: Over[T]) -> T:
    try:
        return over.send(session)
    except smtp.FAILURES as failure:
        session.over = True
        return over.lost(failure)


def ask(session: Session) -> bool:
    """RFC 5321 §4.1.1.5: RSET forgets whatever was, and shows that somebody is there."""
    try:
        assert session.sock is not None
        session.sock.settimeout(min(ASK_S, session.command_s))
        answered = session.say("RSET").code == 250
        session.sock.settimeout(session.command_s)
    except smtp.FAILURES:
        return False
    return answered


def _leave(held: list[_Held]) -> None:
    for each in held:
        each.session.leave()
