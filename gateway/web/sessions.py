"""Who is signed in: sessions in this process's memory, named by a cookie.

Promises: a name is 256 random bits, new at each sign-in, so that one that was planted before counts for nothing; a
session that nobody uses is locked: nothing is seen or done in it, and its person finds the letter that he was writing
when he signs in again at the same browser; the token of forms is bound to it. Does not: survive a restart (people sign
in again), or know roles, which are asked at each request (gateway.web.people).
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from certs.model import Clock

COOKIE = "__Host-pli"
"""The prefix makes browsers refuse it without Secure, with a Domain, or from another path (RFC 6265bis §4.1.3)."""
WARNED = timedelta(minutes=10)
"""So long before its end a session says so."""


@dataclass(frozen=True)
class Proof:
    """Who somebody proved to be elsewhere, before it is a session."""

    accounts: tuple[str, ...]
    by: str
    leaving: str = field(default="", repr=False)
    """Where the browser signs out there too."""
    there: str = ""
    """What people call that place."""


@dataclass
class Session:
    """`used`: by the person, not by a page that asks by itself."""

    account: str
    tenant: str
    used: datetime
    proof: Proof | None = None
    at: str = "/"
    """The page that was last looked at."""


class Sessions:
    """One event loop uses it."""

    def __init__(self, clock: Clock, idle: timedelta, kept: timedelta = timedelta()) -> None:
        """`idle`: then a session is locked; `kept`: and forgotten so long after."""
        self._clock, self._idle, self._kept = clock, idle, kept
        self._held: dict[str, Session] = {}
        self._proofs: dict[str, tuple[datetime, Proof]] = {}
        self._key = secrets.token_bytes(32)

    def begin(self, account: str, tenant: str, proof: Proof | None = None) -> str:
        """A new session under a new name."""
        now = self._clock()
        self._held = {name: each for name, each in self._held.items() if now - each.used < self._idle + self._kept}
        name = secrets.token_urlsafe(32)
        self._held[name] = Session(account, tenant, now, proof)
        return name

    def of(self, name: str, *, awake: bool) -> Session | None:
        """`awake`: it is used now, and lives on."""
        session = self._held.get(name)
        if session is None or self._clock() - session.used >= self._idle:
            return None
        if awake:
            session.used = self._clock()
        return session

    def locked(self, name: str) -> Session | None:
        session = self._held.get(name)
        if session is None:
            return None
        over = self._clock() - session.used
        return session if self._idle <= over < self._idle + self._kept else None

    def left(self, session: Session) -> timedelta:
        return self._idle - (self._clock() - session.used)

    def end(self, name: str) -> None:
        self._held.pop(name, None)

    def prove(self, name: str, proof: Proof) -> None:
        """Kept for some minutes, until the visitor of that name says which account it is."""
        now = self._clock()
        self._proofs = {each: held for each, held in self._proofs.items() if now - held[0] < WARNED}
        self._proofs[name] = (now, proof)

    def proved(self, name: str) -> Proof | None:
        """Once."""
        at, proof = self._proofs.pop(name, (self._clock(), None))
        return proof if self._clock() - at < WARNED else None

    def secret(self, use: str) -> bytes:
        """What nobody else can make, while this process lives."""
        return hmac.digest(self._key, f"secret {use}".encode(), "sha256")

    def token(self, name: str) -> str:
        """What a form of this session, or of a visitor who is not signed in, must bring."""
        return hmac.digest(self._key, name.encode(), "sha256").hex()


def is_token(sessions: Sessions, name: str, given: str) -> bool:
    """Was this form made by us for this session? (OWASP: signed double submit.)"""
    return bool(name) and hmac.compare_digest(sessions.token(name).encode(), given.encode())
