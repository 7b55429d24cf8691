"""What a door is told before it opens: where, with which limits, and whom it calls.

Promises: frozen values; the intake and the body store are named by what a door uses of them.
Does not: open sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from certs.chain import TrustStore
from certs.model import Clock
from certs.tls import Contexts
from directory.model import Address
from gateway.accounts import Accounts
from gateway.logins import Logins
from relay.model import Addressee, BodyRef, Door, DoorProof, Envelope, Receipt, Refusal
from relay.peering import Unsure
from relay.pseudonym import Pseudonyms


class IntakeLike(Protocol):
    """What a door uses of relay.intake.Intake; a door decides nothing itself."""

    def check_sender(self, sender: Address | None, proof: DoorProof, door: Door) -> Refusal | None: ...

    def check_recipient(self, recipient: Address, door: Door) -> Addressee | Refusal: ...

    def check_route(self, addressee: Addressee, sender: Address | None, size: int) -> Refusal | None: ...

    def accept(self, envelope: Envelope, raw: bytes, body: BodyRef) -> Receipt | Refusal: ...


class WriterLike(Protocol):
    def write(self, data: bytes) -> None: ...

    def finish(self) -> BodyRef: ...

    def abort(self) -> None: ...


class BodiesLike(Protocol):
    """What a door uses of relay.store.bodies.BodyStore: it seals, it cannot open."""

    def writer(self) -> WriterLike: ...

    def erase(self, ref: BodyRef) -> None: ...


@dataclass(frozen=True)
class Limits:
    max_bytes: int = 36_700_160
    """ESMTP SIZE (RFC 1870), after dot-unstuffing."""
    drain_bytes: int = 16_777_216
    """What is still read, and thrown away, beyond max_bytes before the session ends."""
    max_recipients: int = 100
    sessions: int = 500
    """Per process."""
    sessions_of_block: int = 100
    """Of them, from one address block (budgets.block)."""
    letters: int = 12_000
    """Letters that one address block may begin within letters_s."""
    letters_s: float = 60.0
    unknown_bytes: int = 65_536
    """Octets of command lines before the other end has said who it is."""
    known_bytes: int = 16_777_216
    """And after, in one session."""
    command_s: float = 300.0
    """RFC 5321 §4.5.3.2.7."""
    chunk_s: float = 180.0
    """Silence inside DATA, RFC 5321 §4.5.3.2.5."""
    data_s: float = 3600.0
    """The whole of one DATA: ends a sender of one byte a minute."""
    large_letters: int = 3
    """Letters beyond data.LARGE octets that one process takes in at once; the others' turn comes, unread till then."""
    large_s: float = 600.0
    """And how long one of them may take, from when its turn has come: 42 kB/s for 25 MB."""
    logins: int = 3
    """Failed logins that end a session."""
    failures: int = 20
    """Failed logins per client address within failures_s; then nobody logs in from there."""
    failures_s: float = 600.0
    guesses: int = 50
    """Passwords tried for one login within failures_s, from everywhere; then it is put off, but where it is known."""
    known_s: float = 604_800.0
    """How long an address block where a login went in is known for it."""
    login_pause_s: float = 1.0
    """Times the number of failures so far."""
    threads: int = 16
    login_threads: int = 2
    stop_s: float = 10.0
    """For transactions in flight when the service stops."""


@dataclass(frozen=True)
class DoorSpec:
    """One listening door. `trust` is asked again for each transaction of a peer, and for each login by certificate;
    `accounts` is for Door.SUBMISSION."""

    kind: Door
    host: str
    port: int
    tls: Contexts
    """Asked for each session: a renewed certificate counts from the next one on."""
    hostname: str
    tenant: str
    intake: IntakeLike
    bodies: BodiesLike
    pseudonyms: Pseudonyms
    clock: Clock
    trust: Callable[[], TrustStore] | None = None
    unsure: Unsure = Unsure.DEFER
    """What is done with a peer, or a client's certificate, whose standing nobody can tell."""
    accounts: Accounts | Logins | None = None
    limits: Limits = field(default_factory=Limits)

    tenants: Mapping[str, DoorSpec] = field(default_factory=dict)
    """Of a node with several tenants, by mail domain: the same door as that tenant's alone."""

    def of(self, address: str) -> DoorSpec:
        """The door of the tenant to whom this account, or recipient, belongs. KeyError: to none of them."""
        return self.tenants[address.rpartition("@")[2].lower()] if self.tenants else self

    def __post_init__(self) -> None:
        if self.kind is Door.PEER and self.trust is None:
            raise ValueError("the peers' door needs a trust store")
        if self.kind is Door.SUBMISSION and self.accounts is None:
            raise ValueError("the submission door needs accounts")
        if self.kind not in (Door.PEER, Door.SUBMISSION):
            raise ValueError(f"{self.kind} is not a door that listens")
