"""The courier to other operators: SMTP with mutual TLS, to whom the white list names, signed, sealed or
encrypted as the route says.

Promises: the certificate that the server shows in this very session decides, by chain and by the white list
entry of the recipient's domain (spec/operator.md §2.6), before any address or byte of a letter is told; what
arrived signed is passed on untouched. Trouble with the peer's identity, or with ours, is Later and an alarm:
certificates and lists are renewed, letters wait. Does not: choose routes, or hold a key (the keeper does).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol, TypeAlias

import structlog

from certs import meter, tls
from certs.chain import TrustStore
from certs.keys import KeeperDown, KeeperRefused, Signer
from certs.model import Clock
from certs.tls import Contexts
from directory import address
from relay import line_ends, smime
from relay import message as mime
from relay.couriers import session as smtp
from relay.couriers import utf8
from relay.couriers.closing import Closing, Group
from relay.couriers.kept import Kept, Over
from relay.couriers.meeting import Meeting, shown_in
from relay.couriers.session import Passenger, Reasons, Session
from relay.fields import Malformed
from relay.gate import ENCRYPTED
from relay.hosts import Host, Where
from relay.message import Message
from relay.model import (
    Done,
    Event,
    Job,
    Journal,
    Later,
    Letter,
    Mode,
    Never,
    Outcome,
    Reason,
    Recipient,
)
from relay.partners import WhiteList
from relay.peering import Unsure

BY_PEER = "receipt-by-peer"
"""Note of a Done: the peer took over the promise of a delivery report (RFC 3461 §5.2.2)."""
PEER_MODES = (
    Mode.PEER_SIGNED,
    Mode.PEER_SEALED,
    Mode.PEER_PLAIN,
    Mode.PEER_ENCRYPTED,
    Mode.PEER_SEALED_ENCRYPTED,
)
SEALED = frozenset({Mode.PEER_SEALED, Mode.PEER_SEALED_ENCRYPTED})
REASONS = Reasons(Reason.PEER_DELAYED, Reason.PEER_REFUSED, Reason.PEER_UNREACHABLE)
_log = structlog.get_logger(__name__)


class Keys(Protocol):
    """What this courier asks of the keeper (certs.keys.KeeperClient)."""

    def signer_for(self, address: str, letter_id: str) -> Signer | None: ...

    def seal_for(self, domain: str, letter_id: str = "") -> Signer | None: ...


@dataclass(frozen=True)
class Looked:
    """What one host of a domain showed, and what a letter would meet there."""

    host: Host
    shown: tls.PeerShown | None
    """None where the session did not come so far."""
    trouble: Later | Never | None


Wire: TypeAlias = Callable[[], bytes | Later | Never]
"""The letter's bytes for the way out, made when first asked for."""
Near: TypeAlias = Callable[[Job, Wire], dict[str, Outcome]]
"""Hands a letter over without a session."""


def nobody_near(domain: str) -> Near | None:
    """Where this node serves no other tenant."""
    return None


@dataclass(frozen=True)
class PeerCourier:
    hostname: str
    where: Where
    """Hosts of a domain, best first, or why there are none."""
    context: Contexts
    """Of role certs.tls.PEER_OUT, which shows our certificate; asked for each session."""
    trust: Callable[[], TrustStore]
    white_list: Callable[[], WhiteList]
    keeper: Keys
    journal: Journal
    clock: Clock
    unsure: Unsure = Unsure.DEFER
    """What is done with a peer whose standing nobody can tell."""
    closing: Closing | None = None
    """By it letters are encrypted; without it such a route waits."""
    command_s: float = smtp.COMMAND_S
    total_s: float = smtp.TOTAL_S
    kept: Kept = field(default_factory=Kept)
    """Connections that outlive a letter."""
    near: Callable[[str], Near | None] = nobody_near
    """Of a domain that another tenant of this node serves."""

    def deliver(self, job: Job) -> dict[str, Outcome]:
        if job.recipients[0].route.mode not in ENCRYPTED:
            return self._carry(Group(job))
        if self.closing is None:
            return _all(job, Later(Reason.NO_CERTIFICATE, "no directory is asked here"))
        outcomes, groups = self.closing.sort(job)
        for group in groups:
            outcomes |= self._carry(group)
        return outcomes

    def _carry(self, group: Group) -> dict[str, Outcome]:
        job = group.job
        wire = cache(lambda: self._wire(group))  # signed once a peer is there to take it, and once only
        domain = job.recipients[0].route.target
        if near := self.near(domain):
            return near(job, wire)
        found = self.where(domain)
        if isinstance(found, Later | Never):
            return _all(job, found)
        trouble = Later(Reason.PEER_UNREACHABLE, "no host is known", whole=True)
        for server in found:
            answer = self._try(job, domain, server, wire)
            if not isinstance(answer, Later):
                return answer
            trouble = answer
        return _all(job, trouble)

    def look(self, domain: str) -> tuple[Looked, ...] | Later | Never:
        """What a letter to the domain would meet at each of its hosts; nothing of a letter is told."""
        found = self.where(domain)
        if isinstance(found, Later | Never):
            return found
        return tuple(self._look(domain, server) for server in found)

    def _look(self, domain: str, server: Host) -> Looked:
        session, meeting = Session(self.hostname, self.command_s), self._meeting(domain, server)
        with smtp.cut_off(session, self.total_s):
            try:
                trouble = meeting.open(session)
                return Looked(server, shown_in(session), trouble)
            except smtp.FAILURES as failure:
                return Looked(server, None, _lost(failure))
            finally:
                session.leave()

    def _meeting(self, domain: str, server: Host, job: Job | None = None) -> Meeting:
        parts = (self.context, self.trust, self.white_list, self.journal, self.clock, self.unsure)
        return Meeting(*parts, domain, server, job)

    # --- the letter -----------------------------------------------------------------------------------------

    def _wire(self, group: Group) -> bytes | Later | Never:
        """The bytes for the way out, with our trace on top."""
        job, mode = group.job, group.job.recipients[0].route.mode
        made: bytes | Later | Never = mime.without_own_headers(job.raw())
        if mode is not Mode.PEER_PLAIN and isinstance(made, bytes):
            made = self._signed(job.letter, made, sealed=mode in SEALED)
        if group.certificates and self.closing and isinstance(made, bytes):
            made = self.closing.close(group, made)
        if not isinstance(made, bytes):
            return made
        data = job.letter.trace.encode("ascii", "replace") + made
        return data if line_ends.are_whole(data) else Never(Reason.BARE_LINE_END)

    def _signed(self, letter: Letter, raw: bytes, *, sealed: bool) -> bytes | Later | Never:
        try:
            message = mime.scan(raw)
            if smime.already_signed(message):
                return raw
            return self._sign(letter, message, sealed)
        except Malformed as error:
            return Never(Reason.MALFORMED, error.reason)
        except KeeperRefused:
            return self._keyless(letter)
        except KeeperDown:
            return Later(Reason.KEEPER_DOWN)

    def _sign(self, letter: Letter, message: Message, sealed: bool) -> bytes | Later:
        """The mailbox's signature, else its establishment's seal; the seal alone where the route says so. A notice
        without either goes as it is."""
        try:
            author = message.authors[0]
        except address.BadAddress:
            return self._keyless(letter)
        keys = self.keeper
        signer = keys.seal_for(author.domain, letter.id) if sealed else keys.signer_for(str(author), letter.id)
        if signer is None:
            return self._keyless(letter) if letter.sender else message.raw
        signed = smime.sign(message.raw, signer, self.clock())
        fingerprint = hashlib.sha256(signer.certificate).hexdigest()
        facts = (("certificate", fingerprint),)
        event = Event("sealed", letter.id, "", facts) if sealed else Event("signed", letter.id, "", facts)
        self.journal.add(letter.tenant, [event])
        return signed

    def _keyless(self, letter: Letter) -> Later:
        _log.error("alarm-no-signing-key", letter=letter.id, tenant=letter.tenant)
        return Later(Reason.NO_KEY)

    # --- the session ----------------------------------------------------------------------------------------

    def _try(self, job: Job, domain: str, server: Host, wire: Wire) -> dict[str, Outcome] | Later:
        """One host. Later: nothing of the letter was told, another host may be asked."""
        meeting = self._meeting(domain, server, job)
        over = Over[dict[str, Outcome] | Later](
            begin=lambda session: _everybody(job, meeting.open(session)),
            holds=meeting.still,
            send=lambda session: self._hand_over(session, meeting, job, wire),
            lost=_lost,
            total_s=self.total_s,
        )
        with meter.step("relay"):
            return self.kept.use(tuple(server), self.context(), lambda: Session(self.hostname, self.command_s), over)

    def _hand_over(self, session: Session, meeting: Meeting, job: Job, wire: Wire) -> dict[str, Outcome] | Later:
        data = wire()
        if not isinstance(data, bytes):
            return _all(job, data)
        left, stranded = utf8.sort(session, job, data)
        sent = self._send(session, meeting, left, data) if left.recipients else {}
        return sent if isinstance(sent, Later) else sent | stranded

    def _send(self, session: Session, meeting: Meeting, job: Job, data: bytes) -> dict[str, Outcome] | Later:
        options = _mail_options(session, job.letter, data)
        if isinstance(options, Never):
            return _all(job, options)
        options += utf8.options(session, job.letter, [each.address for each in job.recipients], data)
        begun = smtp.mail(session, job.letter.sender, options)
        if begun.code == 530 or begun.enhanced.startswith("5.7."):
            # RFC 3463 §3.8: it is us whom the peer does not trust, not this letter
            return meeting.alarm(Reason.PEER_REFUSED_TLS, str(begun))
        if not begun.ok:
            return _all(job, smtp.judge(begun, REASONS))
        riders = [_passenger(each, with_dsn=session.has_extn("dsn")) for each in job.recipients]
        outcomes = smtp.carry(session, riders, data, REASONS)
        met = meeting.evidence(session)
        return {rider.id: _noted(rider, outcomes[rider.id], met) for rider in riders}


def _mail_options(session: Session, letter: Letter, data: bytes) -> list[str] | Never:
    options = []
    if session.has_extn("size"):  # RFC 1870 §4
        most = session.esmtp_features.get("size", "").strip()
        if most.isdigit() and 0 < int(most) < len(data):
            return Never(Reason.TOO_LARGE, f"the peer takes {most} bytes")
        options.append(f"SIZE={len(data)}")
    if not data.isascii():
        # RFC 6152 §3; a signed letter cannot be converted on the way (design §7)
        if not session.has_extn("8bitmime"):
            return Never(Reason.PEER_NO_8BIT)
        options.append("BODY=8BITMIME")
    if letter.require_tls:
        # RFC 8689 §4.2.1: TLS and the peer's identity we ask of everyone; here each further hop must promise them too
        if not session.has_extn("requiretls"):
            return Never(Reason.PEER_NO_REQUIRETLS)
        options.append("REQUIRETLS")
    if session.has_extn("dsn"):
        options += ["RET=HDRS", *([f"ENVID={letter.envid}"] if letter.envid else [])]  # RFC 3461 §4.3
    return options


def _passenger(recipient: Recipient, *, with_dsn: bool) -> Passenger:
    """RFC 3461 §4.1, §4.2: what the sender asked goes along where the peer can keep it."""
    asked, options = recipient.asked, []
    if with_dsn and asked.notify:
        options.append("NOTIFY=" + ",".join(sorted(asked.notify)))
    # RFC 3461 §5.2.1: it may be added, as the recipient stood before anybody forwarded him
    orcpt = asked.orcpt or (original(recipient.address) if asked.notify else "")
    if with_dsn and orcpt:
        options.append(f"ORCPT={orcpt}")
    return Passenger(recipient.id, recipient.address, tuple(options))


def original(address: str) -> str:
    """RFC 3461 §4.2: in xtext; '' for an international address, whose form is another (RFC 6533 §3)."""
    if not address.isascii():
        return ""
    return "rfc822;" + "".join(
        each if "!" <= each <= "~" and each not in "+=" else f"+{ord(each):02X}" for each in address
    )


def _noted(rider: Passenger, outcome: Outcome, met: Mapping[str, str]) -> Outcome:
    if not isinstance(outcome, Done):
        return outcome
    told = any(option.startswith("NOTIFY=") for option in rider.options)
    return Done(outcome.reference, BY_PEER if told else outcome.note, **met)


def _lost(failure: Exception) -> Later:
    return Later(Reason.PEER_UNREACHABLE, type(failure).__name__, whole=True)


def _everybody(job: Job, trouble: Later | Never | None) -> dict[str, Outcome] | Later | None:
    """Later leaves another host to be asked, Never ends it for all."""
    return _all(job, trouble) if isinstance(trouble, Never) else trouble


def _all(job: Job, outcome: Outcome) -> dict[str, Outcome]:
    return {each.id: outcome for each in job.recipients}
