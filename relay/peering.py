"""What a node does with another operator whose certificate it judged: the same in both directions.

Promises: one rule; a peer that is not trusted is turned away, one whose standing nobody can tell is met as policy
says (design §7): it waits, is refused, or is taken with a mark that stays with the letter. Only an unknown revocation
can be taken so; whatever else cannot be told waits. Does not: judge certificates (certs does), nor ask
the white list.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from certs.model import CannotTell, Fault, Identity, Trust, Trusted
from relay.model import Reason

UNKNOWN_STANDING = frozenset({Fault.REVOCATION_UNKNOWN, Fault.STALE_CRL})


class Unsure(StrEnum):
    """What is done with a peer whose standing nobody can tell."""

    DEFER = "defer"
    REFUSE = "refuse"
    ACCEPT_MARKED = "accept-marked"


@dataclass(frozen=True)
class Met:
    """The peer is who it says."""

    identity: Identity
    doubt: str = ""
    """The mark: the fault for which its standing could not be told."""


@dataclass(frozen=True)
class Turned:
    """The peer is not met, now or at all."""

    reason: Reason
    detail: str
    permanent: bool


def meet(trust: Trust, unsure: Unsure = Unsure.DEFER) -> Met | Turned:
    """What a judgement of a peer's certificate means for its letters, or for ours to it."""
    if isinstance(trust, Trusted):
        return Met(trust.identity)
    if not isinstance(trust, CannotTell):
        return Turned(Reason.PEER_UNTRUSTED, trust.fault.value, permanent=True)
    if unsure is Unsure.ACCEPT_MARKED and trust.fault in UNKNOWN_STANDING and trust.identity is not None:
        return Met(trust.identity, trust.fault.value)
    return Turned(Reason.PEER_CANNOT_TELL, trust.fault.value, permanent=unsure is Unsure.REFUSE)
