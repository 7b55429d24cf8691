"""The gate after DATA: for each recipient a route, or the named reason why this letter does not go to him.

Promises: policy, certificates and the letter itself are looked at here, once per recipient; the refusal of one hurts no
other. What is knowable without the letter (unknown, closed, outside the trust space) was refused at RCPT by
relay.intake. Does not: deliver, or look anything up in a directory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from certs.chain import TrustStore
from directory.model import Address
from relay import certificates, coverage, smime
from relay.message import Message
from relay.model import INCOMING, Addressee, Asked, Door, Envelope, Mode, Reason, Route
from relay.policy import Book, Wanted
from relay.routing import Listed, Node, Terms, route

Opposed: TypeAlias = Callable[[Message, Addressee], bool]
"""Whether the patient of this letter objects to its going to this recipient (spec/payload.md §1.6, MSS/va1.20, va1.22);
who holds such objections answers."""

Qualified: TypeAlias = Callable[[Address], bool | None]
"""Whether a patient's address is made of the qualified INS of exactly one patient of ours (spec/payload.md §1.5,
ECO.2.2.6). False: our register knows better. None: nobody here knows him. Who holds the register answers."""

ENCRYPTED = frozenset({Mode.PEER_ENCRYPTED, Mode.PEER_SEALED_ENCRYPTED})
_ALWAYS_REPORTED = frozenset({"SUCCESS", "FAILURE", "DELAY"})
_SIGNATURE = 12_000
"""Bytes that a signature with its chain adds, at most."""


def nobody_opposed(message: Message, addressee: Addressee) -> bool:
    """Where no register of objections is connected."""
    return False


def nobody_known(address: Address) -> bool | None:
    """Where no register of patients is connected."""
    return None


@dataclass(frozen=True)
class Served:
    """What was decided for one recipient."""

    chosen: Route | Reason
    asked: Asked


@dataclass(frozen=True)
class Gate:
    """One letter at the gate."""

    envelope: Envelope
    message: Message
    white_list: Listed
    node: Node
    trust: TrustStore
    book: Book
    opposed: Opposed = nobody_opposed

    def serve(self, addressee: Addressee) -> Served:
        wanted = self.book.wanted(self._own(addressee), addressee.address)
        chosen = route(addressee, self.white_list, self.node, self._terms(addressee, wanted))
        if isinstance(chosen, Route) and (refusal := self._refusal(addressee, chosen, wanted)):
            chosen = refusal
        return Served(chosen, self._asked(addressee.asked, wanted))

    def _own(self, addressee: Addressee) -> Address | None:
        """Whose policy: of a letter that comes in, the mailbox's that gets it; else the author's, who signs."""
        if self.node.serves(addressee.address):
            return addressee.address
        return self.message.authors[0]

    def _terms(self, addressee: Addressee, wanted: Wanted) -> Terms:
        found = terms(
            addressee,
            wanted,
            self.trust,
            self.envelope.received_at,
            encrypted=coverage.encrypted(self.message) is not None,
            notice=self.envelope.door is Door.NOTICE,
        )
        # A letter that fits only without is one for which it is not possible
        possible = not found.encrypting("when-possible") or self._fits(addressee, wanted, Mode.PEER_ENCRYPTED)
        return found if possible else replace(found, usable=certificates.NONE)

    def _refusal(self, addressee: Addressee, chosen: Route, wanted: Wanted) -> Reason | None:
        if self.envelope.door is Door.NOTICE:
            return None
        if self.opposed(self.message, addressee):
            return Reason.OPPOSED
        mode = Mode.PEER_PLAIN if chosen.rule == "encrypted-by-author" else chosen.mode
        return None if self._fits(addressee, wanted, mode) else Reason.TOO_LARGE_FOR_ROUTE

    def _fits(self, addressee: Addressee, wanted: Wanted, mode: Mode) -> bool:
        limit = limit_of(addressee, wanted)
        signed = smime.already_signed(self.message)
        return not limit or size_on_the_way(len(self.message.raw), mode, signed=signed) <= limit

    def _asked(self, asked: Asked, wanted: Wanted) -> Asked:
        """`receipt = always`: a report is asked for as if the sender had (RFC 3461 §4.1), unless he asked for none."""
        silent = "NEVER" in asked.notify or self.envelope.sender is None or self.envelope.door in INCOMING
        if silent or wanted["receipt"] != "always":
            return asked
        return Asked(asked.notify | _ALWAYS_REPORTED, asked.orcpt)


def terms(
    addressee: Addressee,
    wanted: Wanted,
    trust: TrustStore,
    at: datetime,
    *,
    encrypted: bool = False,
    notice: bool = False,
) -> Terms:
    """Certificates are judged only where policy may want them."""
    asked = wanted["encrypt"] != "never" and not encrypted and not notice
    usable = certificates.usable(addressee.entry, trust, at) if asked else certificates.NONE
    return Terms(wanted, usable, encrypted, notice)


def limit_of(addressee: Addressee, wanted: Wanted) -> int:
    """Bytes of the letter as it goes out, by policy and by what the mailbox says of itself; 0: none."""
    said = addressee.entry.capabilities.max_bytes if addressee.entry else None
    return min((each for each in (wanted.max_bytes, said) if each), default=0)


def too_large(addressee: Addressee, wanted: Wanted, declared: int) -> bool:
    """As it is declared the letter is more than the route takes; signing and encrypting only add to it."""
    limit = limit_of(addressee, wanted)
    return bool(limit) and declared > limit


def size_on_the_way(size: int, mode: Mode, *, signed: bool) -> int:
    """The encoded letter as the route makes it; base64 makes four bytes of three, and a line end of each 76."""
    if mode in (Mode.PEER_PLAIN, Mode.MAILBOX):
        return size
    size += 0 if signed else _SIGNATURE
    return (size + 4096) * 4 // 3 * 78 // 76 if mode in ENCRYPTED else size
