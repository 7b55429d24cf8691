"""The checks of the trust space's audit (spec/operator.md §2.6), made from a live node: whom would its letters reach,
and would its own door be believed.

Promises: each domain is looked up, called, and its certificate judged by the courier that carries letters, so that what
is told is what a letter would meet; nothing is sent, no mailbox is named. Our own door is called like a stranger would.
Does not: know what the audit platform does beyond its domains' names, nor change anything.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509

from certs import profiles, tls
from certs.chain import TrustStore
from certs.identities import UNREADABLE, identity, read
from certs.model import Trusted
from gateway import app, outward
from gateway.config import Settings
from relay.couriers import session as smtp
from relay.couriers.meeting import offers_tls
from relay.couriers.peer import Looked, PeerCourier
from relay.couriers.session import Session
from relay.hosts import Host
from relay.intake import Intake
from relay.model import Later, Mode, Never, Reason
from relay.partners import WhiteList

LOOK_S = 20.0
_BLIND = tls.Role("audit-look", serves=False, theirs=ssl.CERT_NONE)
"""To read a certificate that ends every other handshake; nothing is said in it, and nothing of ours shown."""


@dataclass(frozen=True)
class Case:
    """One domain of the platform, and what an operator must answer it."""

    name: str
    reason: str = ""
    """Of the refusal; empty: letters go there."""
    detail: str = ""
    """The fault in the reason's detail, where the reason has several."""

    def expects(self, reason: str, detail: str) -> bool:
        return reason == self.reason and (not self.detail or detail == self.detail)


CASES = (
    Case("tests-operateur"),
    Case("cert-valide-audit"),
    Case("cert-expire-audit", Reason.PEER_UNTRUSTED, "expired"),
    Case("cert-revoque-audit", Reason.PEER_UNTRUSTED, "revoked"),
    Case("cert-non-igc-audit", Reason.PEER_UNTRUSTED, "unknown-issuer"),
    Case("cert-no-match-audit", Reason.PEER_NOT_LISTED),
    Case("cert-cn-diff-dn-audit", Reason.PEER_NOT_LISTED),
    Case("sans-tls-audit", Reason.TLS_REQUIRED),
)
_BY_NAME = {case.name: case for case in CASES}


def case_of(domain: str) -> Case:
    """By the domain's first label; any other domain is a peer that letters are expected to reach."""
    return _BY_NAME.get(domain.lower().partition(".")[0], Case(domain))


class Step(StrEnum):
    """How far one gets with a domain, in this order."""

    WHITE_LIST_NAMES = "white-list-names-it"
    LOOK_UP = "look-up"
    CONNECT = "connect"
    STARTTLS = "starttls"
    HANDSHAKE = "handshake"
    CERTIFICATE = "certificate"
    WHITE_LIST = "white-list"


_STEPS = {
    Reason.NOT_LISTED: Step.WHITE_LIST_NAMES,
    Reason.WHITE_LIST_STALE: Step.WHITE_LIST_NAMES,
    Reason.DNS_DOWN: Step.LOOK_UP,
    Reason.DOMAIN_UNKNOWN: Step.LOOK_UP,
    Reason.DOMAIN_NO_MAIL: Step.LOOK_UP,
    Reason.DOMAIN_NO_HOST: Step.LOOK_UP,
    Reason.DOMAIN_LOOPS: Step.LOOK_UP,
    Reason.PEER_UNREACHABLE: Step.CONNECT,
    Reason.PEER_DELAYED: Step.CONNECT,
    Reason.TLS_REQUIRED: Step.STARTTLS,
    Reason.PEER_REFUSED_TLS: Step.HANDSHAKE,
    Reason.PEER_NO_CERTIFICATE: Step.HANDSHAKE,
    Reason.PEER_UNTRUSTED: Step.CERTIFICATE,
    Reason.PEER_CANNOT_TELL: Step.CERTIFICATE,
    Reason.PEER_NOT_LISTED: Step.WHITE_LIST,
}


@dataclass(frozen=True)
class Seen:
    """A certificate that was presented, and our judgement of it."""

    subject: str
    issuer: str
    until: datetime
    fingerprint: str
    judged: str
    """'trusted', or the fault."""


@dataclass(frozen=True)
class HostLook:
    """One host of a domain. `reason` is empty where a letter would be handed over."""

    name: str
    address: str
    port: int
    reason: str
    detail: str
    tls: str = ""
    """Version and suite, where the session came so far."""
    certificate: Seen | None = None


@dataclass(frozen=True)
class DomainLook:
    """What a letter to the domain would meet: the answer of the first host that decides, as the courier asks them."""

    domain: str
    case: Case
    hosts: tuple[HostLook, ...]
    reason: str = ""
    detail: str = ""
    permanent: bool = False

    @property
    def ok(self) -> bool:
        return self.case.expects(self.reason, self.detail)

    @property
    def step(self) -> Step | None:
        """Where it ends; None: it does not."""
        return _STEPS.get(Reason(self.reason)) if self.reason else None


@dataclass(frozen=True)
class DoorLook:
    """One question about ourselves."""

    name: str
    ok: bool
    detail: str = ""
    """A fact: a date, a subject."""
    why: str = ""
    """Where it is not ok: the name of a sentence, or of a fault of the certificate."""


@dataclass(frozen=True)
class Audit:
    node: str
    at: datetime
    domains: tuple[DomainLook, ...]
    door: tuple[DoorLook, ...]

    @property
    def ok(self) -> bool:
        return all(each.ok for each in self.domains) and all(each.ok for each in self.door)


def audit(settings: Settings, domains: Sequence[str]) -> Audit:
    """Calls each domain, then our own door. Raises ConfigError."""
    entry = app.intake(settings)
    courier = outward.couriers(settings, entry)[Mode.PEER_PLAIN]
    assert isinstance(courier, PeerCourier)
    at = app.clock()
    looks = tuple(_domain(entry, courier, domain, at) for domain in domains)
    return Audit(settings.node.name, at, looks, tuple(_door(settings, entry, courier, at)))


# --- other domains --------------------------------------------------------------------------------------------------


def _domain(entry: Intake, courier: PeerCourier, domain: str, at: datetime) -> DomainLook:
    white_list, case = entry.white_list(), case_of(domain)
    if at - white_list.generated_at > entry.white_list_age_most:
        return DomainLook(domain, case, (), Reason.WHITE_LIST_STALE)
    if not white_list.lists(domain):
        return DomainLook(domain, case, (), Reason.NOT_LISTED, permanent=True)
    looked = courier.look(domain)
    if isinstance(looked, Later | Never):
        return DomainLook(domain, case, (), looked.reason, looked.detail, isinstance(looked, Never))
    hosts = tuple(_host(entry.trust(), courier, each, at) for each in looked)
    met = next((each.trouble for each in looked if not isinstance(each.trouble, Later)), looked[-1].trouble)
    if met is None:
        return DomainLook(domain, case, hosts)
    return DomainLook(domain, case, hosts, met.reason, met.detail, isinstance(met, Never))


def _host(trust: TrustStore, courier: PeerCourier, looked: Looked, at: datetime) -> HostLook:
    host, trouble = looked.host, looked.trouble
    shown = looked.shown
    if shown is None and trouble and trouble.reason == Reason.PEER_UNTRUSTED:
        shown = _read_blind(courier.hostname, host)
    reason, detail = (trouble.reason, trouble.detail) if trouble else ("", "")
    words, seen = (shown.words, _seen(trust, shown.der, at)) if shown else ("", None)
    return HostLook(host[0], Host(*host).address, host[1], reason, detail, words, seen)


def _read_blind(hostname: str, host: Host) -> tls.PeerShown | None:
    """The certificate that ended the handshake, for the report alone."""
    return _secured(hostname, host, tls.context(_BLIND, None))


def _secured(hostname: str, host: Host, context: ssl.SSLContext) -> tls.PeerShown | None:
    """What a host shows after STARTTLS; None where it comes to no session."""
    session = Session(hostname, LOOK_S)
    with smtp.cut_off(session, LOOK_S):
        try:
            session.begin(*host)
            session.ehlo()
            if not offers_tls(session):
                return None
            session.starttls(context=context)
            return tls.shown_by(session.sock if isinstance(session.sock, ssl.SSLSocket) else None)
        except smtp.FAILURES:
            return None
        finally:
            session.leave()


def _seen(trust: TrustStore, der: bytes, at: datetime) -> Seen | None:
    try:
        certificate, who = read(der), identity(der)
    except UNREADABLE:
        return None
    judged = trust.judge(der, (), profiles.TLS_PEER, at)
    word = "trusted" if isinstance(judged, Trusted) else judged.fault.value
    issuer = certificate.issuer.rfc4514_string()
    return Seen(who.subject, issuer, certificate.not_valid_after_utc, who.fingerprint, word)


# --- our own door ---------------------------------------------------------------------------------------------------


def _door(settings: Settings, entry: Intake, courier: PeerCourier, at: datetime) -> Iterator[DoorLook]:
    """Whether a peer would believe us, at our door and on the way out, where we show the same certificate."""
    white_list = entry.white_list()
    age = at - white_list.generated_at
    yield DoorLook("white-list-age", age <= entry.white_list_age_most, f"{white_list.generated_at:%Y-%m-%d %H:%M} UTC")
    own = _own_certificate(settings)
    yield from _reached(settings, courier, own)
    seen = _seen(entry.trust(), own, at) if own else None
    if seen is None:
        yield DoorLook("certificate", False, str(settings.tls.certificate), "unreadable")
        return
    trusted = seen.judged == "trusted"
    yield DoorLook("certificate", trusted, seen.subject, "" if trusted else seen.judged)
    yield DoorLook("expires", seen.until > at, f"{seen.until:%Y-%m-%d %H:%M} UTC ({(seen.until - at).days} d)")
    yield from _listed(settings, white_list, seen)


def _listed(settings: Settings, white_list: WhiteList, seen: Seen) -> Iterator[DoorLook]:
    for domain in settings.node.domains:
        permitted = white_list.permits(domain, seen.subject)
        why = "another-listed" if white_list.lists(domain) else "domain-not-listed"
        yield DoorLook(f"listed {domain}", permitted, "", "" if permitted else why)


def _reached(settings: Settings, courier: PeerCourier, own: bytes | None) -> Iterator[DoorLook]:
    """Called as a peer would call, with our own certificate to show."""
    door = settings.doors.peers
    if door is None:
        yield DoorLook("door", False, "doors.peers", "not-configured")
        return
    host = Host(settings.node.hostname, door.port, _reachable(door.host))
    shown = _secured(settings.node.hostname, host, courier.context())
    place = f"{door.host}:{door.port}"
    if shown is None:
        yield DoorLook("door", False, place, "no-session")
        return
    yield DoorLook("door", True, f"{place} {shown.words}")
    same = shown.der == own
    yield DoorLook("shows-its-certificate", same, shown.subject, "" if same else "another-shown")


def _reachable(host: str) -> str:
    """A door that listens everywhere is called on loopback."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104  # compared, not bound


def _own_certificate(settings: Settings) -> bytes | None:
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        chain = x509.load_pem_x509_certificates(settings.tls.certificate.read_bytes())
    except (OSError, ValueError):
        return None
    return chain[0].public_bytes(Encoding.DER)
