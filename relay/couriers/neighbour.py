"""Between two tenants of one node: a letter is handed to the other one's intake, and leaves the node nowhere.

Promises: the same questions as between two operators, of the certificates that both would have shown: chain,
revocation, white list in both directions, the sender's right, the recipient, the size; what the sender's policy signs
or encrypts is signed or encrypted; the other tenant gets a body, a row and a journal of its own, through its intake and
as from a peer, which relays to nobody: a letter cannot come back. Asked again after a crash, it is handed over once.
Does not: open a socket, or read anything of the other tenant's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import structlog

from certs import profiles
from certs.chain import TrustStore
from certs.model import Clock
from directory import address
from relay.couriers.peer import BY_PEER, Near, Wire
from relay.model import (
    Addressee,
    Done,
    Door,
    DoorProof,
    Envelope,
    Event,
    Job,
    Journal,
    Later,
    Letter,
    Never,
    Outcome,
    Reason,
    Recipient,
    Refusal,
)
from relay.partners import WhiteList
from relay.peering import Met, Turned, Unsure, meet
from relay.tenants import Desk

_log = structlog.get_logger(__name__)
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(frozen=True)
class House:
    """One tenant, as its neighbours see it."""

    desk: Desk
    hostname: str
    shown: Callable[[], bytes]
    """The certificate (DER) that it shows to peers. Raises OSError, ValueError."""


@dataclass(frozen=True)
class Street:
    """All tenants of a node, and what they share."""

    houses: tuple[House, ...]
    trust: Callable[[], TrustStore]
    white_list: Callable[[], WhiteList]
    journal: Journal
    clock: Clock
    unsure: Unsure = Unsure.DEFER

    def near(self, tenant: str) -> Callable[[str], Near | None]:
        """For the courier of one tenant: who hands its letters to which domain."""
        ours = next(house for house in self.houses if house.desk.tenant == tenant)
        doors: Mapping[str, Near] = {
            domain: NeighbourCourier(self, ours, theirs, domain).hand
            for theirs in self.houses
            if theirs is not ours
            for domain in theirs.desk.intake.node.domains
        }
        return doors.get


@dataclass(frozen=True)
class NeighbourCourier:
    """From one tenant to one domain of another."""

    street: Street
    ours: House
    theirs: House
    domain: str

    def hand(self, job: Job, wire: Wire) -> dict[str, Outcome]:
        """An outcome for each recipient of the job, as of PeerCourier."""
        proof = self._proof(job)
        if not isinstance(proof, DoorProof):
            return _all(job, proof)
        stuck, rest = self._asked(job)
        if not rest:
            return stuck
        data = wire()
        if not isinstance(data, bytes):
            return stuck | {each.id: data for each, _ in rest}
        answer = self._hand(self._envelope(job.letter, rest, proof), data)
        return stuck | {each.id: _noted(answer, each) for each, _ in rest}

    # --- who is there, on both sides

    def _proof(self, job: Job) -> DoorProof | Later | Never:
        """What a session between the two would have proven, or why there would have been none."""
        try:
            met, us = meeting(self.street, self.theirs, self.domain), meeting(self.street, self.ours)
        except (OSError, ValueError) as error:
            return self._alarm(Reason.PEER_NO_CERTIFICATE, type(error).__name__)
        if isinstance(met, Turned):
            return self._turned(met)
        if isinstance(us, Turned):  # a peer would have ended the handshake
            return self._alarm(Reason.PEER_REFUSED_TLS, us.detail)
        self._note(job.letter, met)
        identity = us.identity
        proof = DoorProof(
            peer=identity.subject,
            peer_fingerprint=identity.fingerprint,
            helo=self.ours.hostname,
            doubt=us.doubt,
            neighbour=self.ours.desk.tenant,
        )
        sender = address.parse(job.letter.sender) if job.letter.sender else None
        refusal = self.theirs.desk.intake.check_sender(sender, proof, Door.PEER)
        # As at MAIL: it is us who are not taken, not this letter (RFC 3463 §3.8)
        return self._alarm(Reason(refusal.reason), refusal.detail) if refusal else proof

    def _note(self, letter: Letter, met: Met) -> None:
        if met.doubt:
            facts = (("certificate", met.identity.fingerprint), ("doubt", met.doubt))
            self.street.journal.add(letter.tenant, [Event("peer-unsure", letter.id, "", facts)])

    def _turned(self, met: Turned) -> Later | Never:
        """As between operators: certificates are renewed, only a policy of refusal ends a letter."""
        later = self._alarm(met.reason, met.detail)
        refused = met.permanent and met.reason is Reason.PEER_CANNOT_TELL
        return Never(later.reason, later.detail) if refused else later

    def _alarm(self, reason: Reason, detail: str) -> Later:
        _log.error(
            "alarm-neighbour", reason=reason.value, detail=detail, tenant=self.ours.desk.tenant, domain=self.domain
        )
        return Later(reason, detail)

    # --- each recipient, then the letter

    def _asked(self, job: Job) -> tuple[dict[str, Outcome], list[tuple[Recipient, Addressee]]]:
        """As at RCPT: those who are not taken, and the others."""
        stuck: dict[str, Outcome] = {}
        rest: list[tuple[Recipient, Addressee]] = []
        for each in job.recipients:
            found = self.theirs.desk.intake.check_recipient(address.parse(each.address), Door.PEER)
            if isinstance(found, Refusal):
                stuck[each.id] = _refused(found)
            else:
                rest.append((each, replace(found, asked=each.asked)))
        return stuck, rest

    def _envelope(self, letter: Letter, rest: list[tuple[Recipient, Addressee]], proof: DoorProof) -> Envelope:
        return Envelope(
            id=same_id(letter, self.theirs.desk.tenant, [recipient.id for recipient, _ in rest]),
            tenant=self.theirs.desk.tenant,
            door=Door.PEER,
            sender=address.parse(letter.sender) if letter.sender else None,
            addressees=tuple(addressee for _, addressee in rest),
            proof=proof,
            received_at=self.street.clock(),
            envid=letter.envid,
            require_tls=letter.require_tls,
            utf8=letter.utf8,
        )

    def _hand(self, envelope: Envelope, data: bytes) -> Outcome:
        desk = self.theirs.desk
        try:
            body = desk.bodies.put(data)
        except OSError:
            return Later(Reason.DISK_FULL)
        answer = desk.intake.accept(envelope, data, body)
        if isinstance(answer, Refusal):
            if answer.certain:
                desk.bodies.erase(body)
            return _refused(answer)
        return Done(f"{desk.tenant} {answer.letter_id}")


def meeting(street: Street, house: House, domain: str = "") -> Met | Turned:
    """One tenant's certificate, judged as in a session; with `domain`, the white list must name it for that one too."""
    met = meet(street.trust().judge(house.shown(), (), profiles.TLS_PEER, street.clock()), street.unsure)
    if isinstance(met, Met) and domain and not street.white_list().permits(domain, met.identity.subject):
        return Turned(Reason.PEER_NOT_LISTED, met.identity.subject, permanent=False)
    return met


def same_id(letter: Letter, tenant: str, recipients: list[str]) -> str:
    """26 characters in the manner of relay.model.new_id, the same at each attempt for these recipients: what was handed
    over before a crash is known by it, and is not kept twice."""
    told = "|".join((letter.tenant, letter.id, tenant, *sorted(recipients)))
    number = int.from_bytes(hashlib.sha256(told.encode()).digest()[:10], "big")
    return letter.id[:10] + "".join(_ALPHABET[(number >> shift) & 31] for shift in range(75, -1, -5))


def _refused(refusal: Refusal) -> Later | Never:
    return (Never if refusal.permanent else Later)(refusal.reason, refusal.detail)


def _noted(outcome: Outcome, recipient: Recipient) -> Outcome:
    """The other tenant sends the report that was asked for (RFC 3461 §5.2.2)."""
    return replace(outcome, note=BY_PEER) if isinstance(outcome, Done) and recipient.asked.notify else outcome


def _all(job: Job, outcome: Outcome) -> dict[str, Outcome]:
    return {each.id: outcome for each in job.recipients}
