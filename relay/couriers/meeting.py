"""Meeting another operator's server: its greeting, TLS, its certificate and the white list, before anything is told.

Promises: the certificate that the server shows in this very session decides, by chain and by the white list entry of
the recipient's domain (spec/operator.md §2.6); of a session that stands it is asked again for each letter, so that a
list or a revocation of this hour counts. Trouble with the peer's identity, or with ours, is Later and an alarm:
certificates and lists are renewed, letters wait. Does not: tell anything of a letter.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from certs import profiles, tls
from certs.chain import TrustStore
from certs.model import Clock
from certs.tls import Contexts
from relay.couriers import session as smtp
from relay.couriers.session import Session
from relay.hosts import Host
from relay.model import Event, Job, Journal, Later, Never, Reason
from relay.partners import WhiteList
from relay.peering import Met, Turned, Unsure, meet

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Meeting:
    """One host, on behalf of one domain."""

    context: Contexts
    trust: Callable[[], TrustStore]
    white_list: Callable[[], WhiteList]
    journal: Journal
    clock: Clock
    unsure: Unsure
    domain: str
    server: Host
    job: Job | None = None
    """For whose letter; None: nothing is to be sent."""

    def open(self, session: Session) -> Later | Never | None:
        """Until a letter may be told; None: it may. Raises session.FAILURES."""
        greeting = session.begin(*self.server)
        if greeting.code != 220:
            return Later(Reason.PEER_DELAYED, str(greeting), whole=True)
        session.ehlo()
        if not offers_tls(session):
            return self.alarm(Reason.TLS_REQUIRED, "STARTTLS is not offered")
        try:
            # smtplib drops what it had read in clear (CVE-2021-38371): nothing said before the handshake
            # counts
            code, words = session.starttls(context=self.context())
        except ssl.SSLCertVerificationError as error:
            return self.alarm(Reason.PEER_UNTRUSTED, tls.case(error), tls.case(error))
        except ssl.SSLError as error:
            return self.alarm(Reason.PEER_REFUSED_TLS, error.reason or "handshake failed", tls.case(error))
        except OSError as error:
            return self._broken_off(error)
        if code != 220:
            return self.alarm(Reason.TLS_REQUIRED, str(smtp.reply((code, words))))
        return self.check(session) or self._greet_again(session)

    def check(self, session: Session) -> Later | Never | None:
        """Who is there, by what it showed when the session began and by what is known now; None: whom we look for."""
        judged = self._judged(session)
        if isinstance(judged, Turned):
            return self._turned(judged)
        self._noted(judged)
        return None

    def still(self, session: Session) -> bool:
        """The same of a session that stood: where it does not hold any more a new one tells why."""
        judged = self._judged(session)
        if isinstance(judged, Turned):
            _log.info("kept-not-used", domain=self.domain, host=self.server[0], reason=judged.reason.value)
            return False
        self._noted(judged)
        return True

    def _judged(self, session: Session) -> Met | Turned:
        shown = shown_in(session)
        if shown is None:
            return Turned(Reason.PEER_NO_CERTIFICATE, "", permanent=False)
        met = meet(self.trust().judge(shown.der, (), profiles.TLS_PEER, self.clock()), self.unsure)
        if isinstance(met, Met) and not self.white_list().permits(self.domain, met.identity.subject):
            return Turned(Reason.PEER_NOT_LISTED, met.identity.subject, permanent=False)
        return met

    def evidence(self, session: Session) -> dict[str, str]:
        """Whom we met, and by which list it may speak: `peer` and `listed` of a Done."""
        shown = shown_in(session)
        fingerprint = hashlib.sha256(shown.der).hexdigest() if shown else ""
        return {"peer": fingerprint, "listed": self.white_list().generated_at.isoformat(timespec="seconds")}

    def _noted(self, met: Met) -> None:
        """The mark of one whose standing nobody could tell stays with the letter."""
        if met.doubt and self.job:
            letter, facts = self.job.letter, (("certificate", met.identity.fingerprint), ("doubt", met.doubt))
            self.journal.add(letter.tenant, [Event("peer-unsure", letter.id, "", facts)])

    def _turned(self, met: Turned) -> Later | Never:
        """Untrusted is Later all the same: certificates are renewed; only a policy of refusal ends a letter."""
        later = self.alarm(met.reason, met.detail)
        refused = met.permanent and met.reason is Reason.PEER_CANNOT_TELL
        return Never(later.reason, later.detail) if refused else later

    def _greet_again(self, session: Session) -> Later | None:
        try:
            code, words = session.ehlo()  # RFC 3207 §4.2
        except smtp.FAILURES as failure:
            # In TLS 1.3 a refused client certificate shows only now, at the first read (RFC 8446 §4.4.2.4)
            cause = failure.__context__ or failure
            alert = cause.reason if isinstance(cause, ssl.SSLError) else ""
            return self.alarm(Reason.PEER_REFUSED_TLS, alert or type(cause).__name__, _case(failure))
        return None if code == 250 else Later(Reason.PEER_DELAYED, str(smtp.reply((code, words))), whole=True)

    def alarm(self, reason: Reason, detail: str, case: str = "") -> Later:
        """`case`: of a failed handshake (certs.handshakes)."""
        facts = {"case": case} if case else {}
        _log.error("alarm-peer", reason=reason.value, domain=self.domain, host=self.server[0], detail=detail, **facts)
        return Later(reason, detail, whole=True)

    def _broken_off(self, error: OSError) -> Later:
        """No fault of any certificate: a line, no alarm."""
        _log.warning("tls-failed", domain=self.domain, host=self.server[0], case=_case(error))
        return Later(Reason.PEER_UNREACHABLE, type(error).__name__, whole=True)


def offers_tls(session: Session) -> bool:
    """RFC 3207 §4, and compulsory between operators: without it nothing of a letter is told."""
    return bool(session.has_extn("starttls"))


def shown_in(session: Session) -> tls.PeerShown | None:
    return tls.shown_by(session.sock if isinstance(session.sock, ssl.SSLSocket) else None)


def _case(error: BaseException) -> str:
    """smtplib hides what broke a connection behind SMTPServerDisconnected."""
    named = tls.case(error)
    return tls.case(error.__context__) if named == "unknown" and error.__context__ else named
