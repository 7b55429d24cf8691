"""Custody: the nouns of a letter, from the moment it is accepted until each recipient is settled.

Promises: frozen values, one home each; outcomes are values, a surprise is Later and a log line.
Does not: read or write anything.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from directory.model import Address, Entry
from relay.reasons import Reason as Reason

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(at: datetime) -> str:
    """A letter's or row's id: 26 characters, 48 bits of milliseconds then 80 random bits, sortable by time."""
    return _spelt((int(at.timestamp() * 1000) << 80) | secrets.randbits(80))


def first_id(at: datetime) -> str:
    """No id of this moment or later comes before it."""
    return _spelt(int(at.timestamp() * 1000) << 80)


def _spelt(number: int) -> str:
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


class Door(StrEnum):
    """By which door a letter came in."""

    PEER = "peer"
    SUBMISSION = "submission"
    COMMAND = "command"
    PAGE = "page"
    """Written by somebody who is signed in at the pages."""
    NOTICE = "notice"
    COLLECTED = "collected"
    """Fetched from a mailbox of ours at another operator (IMAP)."""


INCOMING = frozenset({Door.PEER, Door.COLLECTED})
"""By these a letter comes from another operator's people: its sender's node files (design §8)."""


# --- what a courier answers ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Done:
    reference: str
    """The other side's words or identifier (SMTP reply, submission-set id), free of patient identity."""
    note: str = ""
    """A word for the timeline, e.g. 'filed', 'already-in-dossier', 'warning-letter'."""
    peer: str = field(default="", compare=False)
    """SHA-256 of the certificate that the other side showed; empty where none was asked for."""
    listed: str = field(default="", compare=False)
    """When the white list that permitted it was made, ISO 8601."""


@dataclass(frozen=True)
class Later:
    reason: str
    detail: str = ""
    """For operators; no content, no patient identity."""
    whole: bool = field(default=False, compare=False)
    """It is the destination that could not be used, whichever letter came: others need not meet it too."""


@dataclass(frozen=True)
class Never:
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Quarantined:
    """Held for a person: the sender is told nothing, since only what was opened after custody is (design §4.2)."""

    reason: str
    detail: str = ""


Outcome: TypeAlias = Done | Later | Never | Quarantined


# --- what a door hands over, and what it is answered -------------------------------------------------------------


@dataclass(frozen=True)
class DoorProof:
    """How the door knows who is there. `peer` is set by the peers' door (RFC 4514 subject), `account` by a login."""

    account: str = ""
    peer: str = ""
    peer_fingerprint: str = ""
    tls: str = ""
    client: str = ""
    """Address of the other end, for the trace field."""
    helo: str = ""
    doubt: str = ""
    """Why the peer's standing could not be told, where policy took it all the same (relay.peering)."""
    neighbour: str = ""
    """Another tenant of this node, which handed the letter over without a session (relay.couriers.neighbour)."""


@dataclass(frozen=True)
class Asked:
    """What a sender asked for one recipient (RFC 3461 §4.1, §4.2)."""

    notify: frozenset[str] = frozenset()
    """Among NEVER, SUCCESS, FAILURE, DELAY; empty means the default."""
    orcpt: str = ""


@dataclass(frozen=True)
class Addressee:
    """A recipient as accepted at RCPT: already resolved, so that nothing is looked up twice."""

    address: Address
    entry: Entry | None = None
    """None where no directory entry is needed (a patient's address)."""
    asked: Asked = field(default_factory=Asked)


@dataclass(frozen=True)
class Origin:
    """Where a collected letter lay: by this it enters once (RFC 3501 §2.3.1.1)."""

    source: str
    """The collector's name in the configuration."""
    uid_validity: int
    uid: int


@dataclass(frozen=True)
class Envelope:
    id: str
    """ULID-like: 26 characters, sortable by time; also the trace id."""
    tenant: str
    door: Door
    sender: Address | None
    """None is the null sender, <>."""
    addressees: tuple[Addressee, ...]
    proof: DoorProof
    received_at: datetime
    envid: str = ""
    return_full: bool = False
    require_tls: bool = False
    """RFC 8689: asked of each further hop too."""
    utf8: bool = False
    """SMTPUTF8 was said at MAIL (RFC 6531 §3.4)."""
    origin: Origin | None = None
    """Of a collected letter."""
    not_before: datetime | None = None
    """It waits until then, and its author may take it back (relay.withdrawal); None: it leaves at once."""


@dataclass(frozen=True)
class BodyRef:
    """Where the sealed bytes of one letter lie. The name is random; the digest is keyed per tenant."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class Receipt:
    letter_id: str
    refused: tuple[tuple[Address, str], ...] = ()
    """Recipients that cannot be served although the letter was kept: each gets a DSN."""


@dataclass(frozen=True)
class Refusal:
    reason: str
    permanent: bool
    detail: str = ""

    @property
    def certain(self) -> bool:
        """False where the store did not answer: the letter may be in custody all the same, its body must stay."""
        return self.reason != Reason.STORE_DOWN


# --- what was found on entry ------------------------------------------------------------------------------------


class Signer(StrEnum):
    """Whose name a valid signature carries (design §7)."""

    MAILBOX = "mailbox"
    ESTABLISHMENT = "establishment"
    AUTHOR = "author"


class SignatureState(StrEnum):
    NONE = "none"
    VALID = "valid"
    INVALID = "invalid"
    CANNOT_TELL = "cannot-tell"
    PARTIAL = "partial"


@dataclass(frozen=True)
class Verdict:
    """What was found on entry. Kept in the letter's row and shown; findings are names, never content."""

    signature: SignatureState = SignatureState.NONE
    signer: Signer | None = None
    signer_name: str = ""
    """Subject CN, or the organisation for an establishment."""
    signer_fingerprint: str = ""
    fault: str = ""
    findings: tuple[str, ...] = ()
    automatic: str = ""
    """Name of the automatic-mail rule that matched, or empty: then the letter may qualify, be answered, be filed."""
    scan: str = ""
    """'clean', 'unscanned:' with why, or empty where no scan is configured."""
    evidence: tuple[dict[str, Any], ...] = field(default=(), hash=False)
    """JSON-able, one per signer: chain and lists on which the answer stands (relay.smime.evidence)."""


# --- routes and recipients ---------------------------------------------------------------------------------------


class Mode(StrEnum):
    """How a recipient is served: the name of a courier."""

    PEER_SIGNED = "peer-signed"
    PEER_SEALED = "peer-sealed"
    """By the establishment."""
    PEER_PLAIN = "peer-plain"
    """As it is, within the trust space's TLS."""
    PEER_ENCRYPTED = "peer-encrypted"
    """Signed, then encrypted."""
    PEER_SEALED_ENCRYPTED = "peer-sealed-encrypted"
    MAILBOX = "mailbox"
    DOSSIER = "dossier"
    DOSSIER_SHOW = "dossier-show"


@dataclass(frozen=True)
class Route:
    mode: Mode
    target: str
    """Destination that shares a connection and a cap: a domain, 'lmtp', a host profile's name."""
    rule: str
    """Name of the rule that chose."""


class State(StrEnum):
    """States of one recipient; the transitions stand in relay/spool.py."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    HELD = "held"


class Word(StrEnum):
    """What the other side's people, or their server, were asked to say of a letter, and said (RFC 8098, RFC 3464)."""

    NONE = ""
    """Nothing was asked."""
    ASKED = "asked"
    """Not handed over yet."""
    AWAITED = "awaited"
    SILENT = "silent"
    """'Sans nouvelle': awaited for long, from a destination that has been seen to answer."""
    ARRIVED = "arrived"
    """Its server delivered it."""
    DELETED = "deleted"
    """Unread."""
    READ = "read"
    FILED = "filed"
    """By the other side's bridge."""
    UNFILED = "unfiled"
    """Their bridge could not file it; the letter itself is there."""
    UNDELIVERED = "undelivered"
    """Its server could not deliver it after all: the recipient has failed."""


@dataclass(frozen=True)
class Recipient:
    id: str
    letter_id: str
    tenant: str
    address: str
    """Mail address; for a dossier 'dossier:<host>', the patient is not named."""
    route: Route
    state: State
    attempts: int = 0
    due_at: datetime | None = None
    reason: str = ""
    reference: str = ""
    note: str = ""
    asked: Asked = field(default_factory=Asked)
    word: Word = Word.NONE
    queued_at: datetime | None = field(default=None, compare=False)
    """When its five days began."""
    warning: str = field(default="", compare=False)
    """'due' where its sender is to be told that it is delayed."""


@dataclass(frozen=True)
class Letter:
    """A letter in custody, as its row says."""

    id: str
    tenant: str
    door: Door
    sender: str
    """Empty: null sender."""
    message_id: str
    body: BodyRef
    received_at: datetime
    trace: str
    """Trace fields to put on top (RFC 5321 §4.4), CRLF lines, without Return-Path."""
    verdict: Verdict
    proof: DoorProof
    envid: str = ""
    require_tls: bool = False
    utf8: bool = False
    """International, in header or envelope (relay.international)."""


@dataclass(frozen=True)
class Job:
    """One letter for those of its recipients that share a route: what a courier is handed."""

    letter: Letter
    recipients: tuple[Recipient, ...]
    raw: Callable[[], bytes]
    """Opens the body through the keeper: the bytes as received."""
    attempt: int


class Courier(Protocol):
    def deliver(self, job: Job) -> dict[str, Outcome]:
        """An outcome for each recipient id of the job. A missing one, or an exception, counts as Later."""


# --- finders -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Extra:
    """One more delivery found in the letter: for a dossier."""

    address: str
    route: Route
    finding: str
    """Name of what was found, e.g. 'xdm'."""


@dataclass(frozen=True)
class Findings:
    extras: tuple[Extra, ...] = ()
    refusals: tuple[tuple[Address, str], ...] = ()


# --- the journal -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """One journal row to be. Values are names, numbers, pseudonyms and hashes; never content or identity."""

    name: str
    letter_id: str = ""
    recipient_id: str = ""
    facts: tuple[tuple[str, str], ...] = ()


class Journal(Protocol):
    def add(self, tenant: str, events: Sequence[Event]) -> None: ...
