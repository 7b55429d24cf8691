"""The intake: every door's letters, one list of questions, then custody.

Promises: what is knowable at RCPT is refused at RCPT; after DATA a letter is refused only if nobody can be
served; once a Receipt is given the row that answers for the letter is on disk. Bytes are kept as they came.
Does not: speak a protocol (doors do), write bodies (the door has, before it calls), or deliver (couriers do).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeAlias

import structlog

from certs import meter
from certs.chain import TrustStore
from certs.model import Clock
from directory import address
from directory.lookup import Directory
from directory.model import Address, DirectoryDown, Entry, Found
from relay import answers, entry, indicators, international, reports, smime, spool, trace
from relay import message as mime
from relay.answers import Answer
from relay.gate import Gate, Opposed, Qualified, nobody_known, nobody_opposed, too_large
from relay.message import Malformed, Message
from relay.model import (
    Addressee,
    BodyRef,
    Door,
    DoorProof,
    Envelope,
    Event,
    Extra,
    Findings,
    Letter,
    Origin,
    Reason,
    Receipt,
    Recipient,
    Refusal,
    Route,
    State,
    Verdict,
)
from relay.partners import WhiteList
from relay.policy import FACTORY_BOOK, Book, PolicyDown, Wanted
from relay.pseudonym import Pseudonyms
from relay.routing import Node
from relay.scan import Scanning
from relay.spooler import SpoolClient, StoreDown, StoreFull, StoreRefused
from relay.store import answered

Finder: TypeAlias = Callable[[Message, Envelope, Verdict], Findings]
"""Adds deliveries (a dossier) or refusals for one recipient, from the part index."""

MayUse: TypeAlias = Callable[[str, Address], bool]
"""May this account send as this address?"""

WHITE_LIST_AGE_MOST = timedelta(hours=72)
"""spec/operator.md §2.5, proposed default."""

# spec/payload.md §1.5: 15 characters; A or B may stand in position 7 (Corsica).
_INS_LOCAL = re.compile(r"\d{6}[\dABab]\d{8}", re.ASCII)
_BY_ACCOUNT = frozenset({Door.SUBMISSION, Door.PAGE})
"""There somebody has said who he is."""
_log = structlog.get_logger(__name__)


def own_address_only(account: str, sender: Address) -> bool:
    """An account is the address of its mailbox, and may use no other."""
    return account.lower() == sender.key


@dataclass(frozen=True)
class Intake:
    node: Node
    client: SpoolClient
    directory: Directory
    white_list: Callable[[], WhiteList]
    trust: Callable[[], TrustStore]
    finders: Sequence[Finder]
    pseudonyms: Pseudonyms
    clock: Clock
    may_use: MayUse = own_address_only
    white_list_age_most: timedelta = WHITE_LIST_AGE_MOST
    scanning: Scanning | None = None
    book: Callable[[], Book] = lambda: FACTORY_BOOK
    """Policy as it stands now. Raises PolicyDown."""
    opposed: Opposed = nobody_opposed
    qualified: Qualified = nobody_known

    # --- before DATA ----------------------------------------------------------------------------------------

    def check_sender(self, sender: Address | None, proof: DoorProof, door: Door) -> Refusal | None:
        """None: may go on. With the null sender the domain of From decides, after DATA (design §7)."""
        if door is Door.PEER and (stale := self._stale()):
            return stale
        if sender is None:
            return None
        if self._may_speak(sender, proof, door):
            return None
        return _never(Reason.PEER_NOT_LISTED if door is Door.PEER else Reason.SENDER_NOT_ALLOWED)

    def check_recipient(self, recipient: Address, door: Door) -> Addressee | Refusal:
        """The recipient with its directory entry, or why not; nearest entries only for our own people."""
        if self.node.serves(recipient):
            return Addressee(recipient) if door is Door.NOTICE else self._resolve(recipient, door)
        if door in (Door.PEER, Door.COLLECTED):
            return _never(Reason.NO_RELAY)
        if stale := self._stale():
            return stale
        if not self.white_list().lists(recipient.domain):
            return _never(Reason.NOT_LISTED, recipient.domain)
        if recipient.is_patient:
            known = _INS_LOCAL.fullmatch(recipient.local)
            return Addressee(recipient) if known else _never(Reason.RECIPIENT_SYNTAX)
        return Addressee(recipient) if door is Door.NOTICE else self._resolve(recipient, door)

    def check_route(self, addressee: Addressee, sender: Address | None, size: int) -> Refusal | None:
        """What policy and the register know of a recipient before there is a letter: a patient's address that is not to
        be written to, or a declared size (RFC 1870 §6.2; 0: none) that the route does not take. None: may go on, or
        nobody can tell the size now; after DATA the letter itself is measured."""
        patient = addressee.address.is_patient
        own = addressee.address if self.node.serves(addressee.address) else sender
        try:
            wanted = self.book().wanted(own, addressee.address)
        except PolicyDown:
            return Refusal(Reason.STORE_DOWN, permanent=False) if patient else None
        if patient and not may_be_written_to(self.qualified(addressee.address), wanted):
            return _never(Reason.PATIENT_NOT_QUALIFIED)
        return _never(Reason.TOO_LARGE_FOR_ROUTE) if size and too_large(addressee, wanted, size) else None

    def _resolve(self, recipient: Address, door: Door) -> Addressee | Refusal:
        with meter.step("resolve"):
            answer = self.directory.find(recipient)
        if isinstance(answer, Found):
            return Addressee(recipient, answer.entry)
        if isinstance(answer, DirectoryDown):
            return Refusal(Reason.DIRECTORY_DOWN, permanent=False)
        told = answer.suggestions if door in (*_BY_ACCOUNT, Door.COMMAND) else ()
        reason = Reason.RECIPIENT_CLOSED if answer.closed else Reason.UNKNOWN_RECIPIENT
        return _never(reason, ", ".join(_named(near) for near in told))

    def _may_speak(self, sender: Address, proof: DoorProof, door: Door) -> bool:
        if door is Door.PEER:
            return self.white_list().permits(sender.domain, proof.peer)
        if door is Door.COLLECTED:
            return True  # the operator who holds the mailbox has let it in; nothing of ours proves more
        if not self.node.serves(sender):
            return False
        return door not in _BY_ACCOUNT or self.may_use(proof.account, sender)

    def _stale(self) -> Refusal | None:
        age = self.clock() - self.white_list().generated_at
        return Refusal(Reason.WHITE_LIST_STALE, False) if age > self.white_list_age_most else None

    # --- after DATA -----------------------------------------------------------------------------------------

    def accept(self, envelope: Envelope, raw: bytes, body: BodyRef) -> Receipt | Refusal:
        """Custody of a letter whose sealed body is on disk already. On a Refusal that is certain
        the caller erases the body."""
        weighed = self.weigh(envelope, raw, body)
        if isinstance(weighed, Refusal):
            return weighed
        if refusal := _nobody(weighed.rows):
            return refusal
        with meter.step("enqueue"):
            return kept(lambda: weighed.keep(self.client), weighed)

    def weigh(self, envelope: Envelope, raw: bytes, body: BodyRef) -> Weighed | Refusal:
        """Every question but one: whether anybody is served at all (relay.tenants asks it of several tenants)."""
        with meter.step("accept"):
            message = _view(raw)
        if isinstance(message, Refusal):
            return message
        if trace.is_looping(message):
            return _never(Reason.LOOP)
        if refusal := self._check_authors(message, envelope):
            return refusal
        scanned = self._scanned(raw, envelope.door)
        if isinstance(scanned, Refusal):
            return scanned
        verdict = replace(self._judge(message, envelope), scan=scanned)
        found = self._find(message, envelope, verdict)
        if isinstance(found, Refusal):
            return found
        try:
            gate = self._gate(message, envelope)
        except PolicyDown:
            return Refusal(Reason.STORE_DOWN, permanent=False)
        asks = not verdict.automatic and asks_receipt(message)
        rows = entry.recipients(envelope, found, gate.serve, self.node, asks=asks)
        letter = entry.letter(envelope, message, verdict, body, self.node, self.pseudonyms)
        said = answered.pack(self._answers(message, envelope), self.pseudonyms.scrub)
        return Weighed(letter, rows, envelope.origin, indicators.about(message), tuple(said))

    def _answers(self, message: Message, envelope: Envelope) -> Iterator[Answer]:
        """What the letter says of letters of ours, of recipients for whom whoever is at the door may speak (design
        §4); a mailbox elsewhere proves nothing of that."""
        if envelope.door not in (Door.PEER, Door.SUBMISSION):
            return
        for each in answers.read(message):
            theirs = tuple(one for one in each.addresses if self._may_speak(one, envelope.proof, envelope.door))
            if theirs:
                yield replace(each, addresses=theirs)

    def _check_authors(self, message: Message, envelope: Envelope) -> Refusal | None:
        """From is one address with one reading, and whoever is at the door may write in its name."""
        try:
            authors = message.authors
            senders = message.addresses("Sender")
        except address.BadAddress as error:
            return _never(Reason.FROM_AMBIGUOUS, str(error))
        if len(authors) != 1 or len(senders) > 1:
            return _never(Reason.FROM_AMBIGUOUS, f"{len(authors)} in From, {len(senders)} in Sender")
        if not international.announced(envelope, (*authors, *senders)):
            return _never(Reason.UTF8_NOT_ASKED)
        allowed = all(self._may_speak(each, envelope.proof, envelope.door) for each in [*authors, *senders])
        if allowed or self._reports_for_its_own(message, envelope):
            return None
        return _never(Reason.FROM_NOT_ALLOWED)

    def _reports_for_its_own(self, message: Message, envelope: Envelope) -> bool:
        """A peer's report may come from a host whose name is not listed, about a recipient who is (design
        §7)."""
        if envelope.door is not Door.PEER or envelope.sender is not None:
            return False
        return any(self._may_speak(each, envelope.proof, envelope.door) for each in reports.reported(message))

    def _scanned(self, raw: bytes, door: Door) -> Refusal | str:
        """What the malware scan says; a notice is made of our own words."""
        if self.scanning is None or door is Door.NOTICE:
            return ""
        answer = self.scanning.judge(raw)
        if isinstance(answer, Refusal):
            _log.warning("scan", reason=answer.reason, detail=answer.detail)
        return answer

    def _judge(self, message: Message, envelope: Envelope) -> Verdict:
        verdict = smime.judge(message, self.trust(), envelope.received_at)
        automatic = mime.automatic(message, envelope.sender is None)
        findings = tuple(dict.fromkeys((*verdict.findings, *message.defects)))
        return replace(verdict, automatic=automatic, findings=findings)

    def _gate(self, message: Message, envelope: Envelope) -> Gate:
        return Gate(envelope, message, self.white_list(), self.node, self.trust(), self.book(), self.opposed)

    def route_again(self, letter: Letter, recipient: Recipient, message: Message) -> Route | str:
        """Which way one of its recipients would go by the rules, the directory and the lists of today; or why none.
        Raises PolicyDown."""
        known = self.check_recipient(address.parse(recipient.address), letter.door)
        if isinstance(known, Refusal):
            return str(known.reason)
        sender = address.parse(letter.sender) if letter.sender else None
        envelope = Envelope(
            letter.id, letter.tenant, letter.door, sender, (known,), letter.proof, letter.received_at, letter.envid,
            require_tls=letter.require_tls,
        )  # fmt: skip
        chosen = self._gate(message, envelope).serve(known).chosen
        return chosen if isinstance(chosen, Route) else str(chosen)

    def _find(self, message: Message, envelope: Envelope, verdict: Verdict) -> Findings | Refusal:
        extras: list[Extra] = []
        refusals: list[tuple[Address, str]] = []
        for finder in self.finders:
            try:
                found = finder(message, envelope, verdict)
            except Exception as surprise:
                # Later, never silence: the sender keeps the letter until we can read it
                _log.error("finder-surprise", letter=envelope.id, type=type(surprise).__name__)
                return Refusal(Reason.SURPRISE, permanent=False)
            extras += found.extras
            refusals += found.refusals
        return Findings(tuple(extras), tuple(refusals))


@dataclass(frozen=True)
class Weighed:
    """A letter about which everything is known, and which nobody keeps yet."""

    letter: Letter
    rows: tuple[Recipient, ...]
    origin: Origin | None = None
    about: entry.Facts = ()
    answers: tuple[Mapping[str, Any], ...] = ()
    """What it says of letters of ours (relay.store.answered)."""

    @property
    def events(self) -> tuple[Event, ...]:
        return entry.events(self.letter, self.rows, self.about)

    @property
    def receipt(self) -> Receipt:
        failed = [row for row in self.rows if row.state is State.FAILED]
        return Receipt(self.letter.id, tuple((address.parse(row.address), row.reason) for row in failed))

    def keep(self, client: SpoolClient) -> None:
        spool.keep(client, self.letter, self.rows, self.events, self.origin, self.answers)


def kept(keep: Callable[[], None], weighed: Weighed) -> Receipt | Refusal:
    """What becomes of a letter when the store is asked to keep it."""
    try:
        keep()
    except StoreFull:
        return Refusal(Reason.DISK_FULL, permanent=False)
    except StoreDown:
        return Refusal(Reason.STORE_DOWN, permanent=False)
    except StoreRefused as surprise:
        _log.error("store-surprise", letter=weighed.letter.id, detail=str(surprise))
        return Refusal(Reason.SURPRISE, permanent=False)
    return weighed.receipt


def may_be_written_to(qualified: bool | None, wanted: Wanted) -> bool:
    """A patient's address is made of a qualified INS only (ECO.2.2.6); of one that nobody here knows, policy says
    whether the word of the sender's software is enough."""
    return wanted["patient_ins"] != "qualified" if qualified is None else qualified


def asks_receipt(message: Message) -> bool:
    """RFC 8098 §2.1: Disposition-Notification-To names somebody."""
    return any("@" in value for value in message.values("Disposition-Notification-To"))


def _view(raw: bytes) -> Message | Refusal:
    try:
        return mime.scan(raw)
    except Malformed as error:
        return _never(Reason.MALFORMED, error.reason)


def _nobody(rows: Sequence[Recipient]) -> Refusal | None:
    """Only when no recipient can be served is the letter refused; the first one's reason is told."""
    if any(row.state is State.QUEUED for row in rows):
        return None
    return Refusal(rows[0].reason if rows else Reason.UNKNOWN_RECIPIENT, permanent=True)


def _never(reason: Reason, detail: str = "") -> Refusal:
    return Refusal(reason, permanent=True, detail=detail)


def _named(near: Entry) -> str:
    """A suggestion: a professional's or a service's mailbox, never a patient's."""
    return f"{near.display_name} <{near.address}>" if near.display_name else str(near.address)
