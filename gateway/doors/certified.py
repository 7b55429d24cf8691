"""Whose account a client certificate is, at the mail doors and at the pages: one rule.

Promises: the certificate is judged now, revocation too, for the use that it is shown for, and then looked up among what
`pli account certificate` bound. Does not: speak a protocol, or log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from certs.chain import TrustStore
from certs.model import Clock
from certs.profiles import TLS_CLIENT
from certs.tls import PeerShown
from gateway.accounts import Accounts
from gateway.logins import Logins
from relay.model import Reason
from relay.peering import Turned, Unsure, meet


@dataclass(frozen=True)
class Certified:
    """An account that a certificate opens."""

    account: str
    fingerprint: str
    doubt: str = ""


@dataclass(frozen=True)
class Judge:
    """`unsure`: what is done where revocation cannot be told."""

    trust: Callable[[], TrustStore]
    accounts: Accounts | Logins
    unsure: Unsure
    clock: Clock

    def judge(self, shown: PeerShown | None, user: str = "") -> Certified | Turned:
        """`user`: as whom, or empty for the one account that the certificate is."""
        if shown is None:
            return Turned(Reason.AUTH_FAILED, "none", permanent=True)
        now: datetime = self.clock()
        met = meet(self.trust().judge(shown.der, (), TLS_CLIENT, now), self.unsure)
        if isinstance(met, Turned):
            return met
        account = self.accounts.certificate(shown.der, user)
        if account is None:
            return Turned(Reason.AUTH_FAILED, "unbound", permanent=True)
        return Certified(account, shown.fingerprint, met.doubt)
