"""Who is signed in: sessions in this process's memory, named by a cookie.

Promises: a name is 256 random bits, new at each sign-in, so that one that was planted before counts for nothing; a
session that nobody uses ends; the token of forms is bound to it. Does not: survive a restart (people sign in again), or
know roles, which are asked at each request (gateway.web.people).
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from certs.model import Clock

COOKIE = "__Host-pli"
"""The prefix makes browsers refuse it without Secure, with a Domain, or from another path (RFC 6265bis §4.1.3)."""
WARNED = timedelta(minutes=10)
"""So long before its end a session says so."""


@dataclass
class Session:
    """`used`: by the person, not by a page that asks by itself."""

    account: str
    tenant: str
    used: datetime


class Sessions:
    """One event loop uses it."""

    def __init__(self, clock: Clock, idle: timedelta) -> None:
        self._clock, self._idle = clock, idle
        self._held: dict[str, Session] = {}
        self._key = secrets.token_bytes(32)

    def begin(self, account: str, tenant: str) -> str:
        """A new session under a new name."""
        now = self._clock()
        self._held = {name: each for name, each in self._held.items() if now - each.used < self._idle}
        name = secrets.token_urlsafe(32)
        self._held[name] = Session(account, tenant, now)
        return name

    def of(self, name: str, *, awake: bool) -> Session | None:
        """`awake`: it is used now, and lives on."""
        session = self._held.get(name)
        if session is None or self._clock() - session.used >= self._idle:
            self._held.pop(name, None)
            return None
        if awake:
            session.used = self._clock()
        return session

    def left(self, session: Session) -> timedelta:
        return self._idle - (self._clock() - session.used)

    def end(self, name: str) -> None:
        self._held.pop(name, None)

    def token(self, name: str) -> str:
        """What a form of this session, or of a visitor who is not signed in, must bring."""
        return hmac.digest(self._key, name.encode(), "sha256").hex()


def is_token(sessions: Sessions, name: str, given: str) -> bool:
    """Was this form made by us for this session? (OWASP: signed double submit.)"""
    return bool(name) and hmac.compare_digest(sessions.token(name).encode(), given.encode())
