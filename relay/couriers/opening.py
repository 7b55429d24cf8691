"""Letters that are encrypted for our mailboxes: opened on their way into the mailbox or the dossier, after custody.

Promises: all keys are asked and all rows written before anything is handed over, so that a keeper or a store that is
down delays everybody and repeats nothing; a letter that does not open is delivered closed, and its sender sees what
every sender sees (no report, no other reply: format oracles, USENIX Security 2023); finders look again, and what they
refuse waits for a person and is never told to the sender. What is not encrypted passes through untouched.
Does not: decide what is opened or shown (relay.opening does), hold a key, speak a protocol.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from certs.chain import TrustStore
from certs.model import Clock
from certs.openers import Opener
from directory import address
from relay import additions, coverage, entry, opening
from relay.couriers.mailbox import NOT_OPENED, MailboxCourier, noted
from relay.fields import Malformed
from relay.intake import Finder
from relay.message import Message, scan
from relay.model import (
    Addressee,
    Courier,
    Envelope,
    Event,
    Extra,
    Job,
    Journal,
    Later,
    Letter,
    Outcome,
    Quarantined,
    Reason,
    Recipient,
    Refusal,
)
from relay.opening import Opening, Shown
from relay.scan import Scanning
from relay.spooler import SpoolClient

_log = structlog.get_logger(__name__)


class Keys(Protocol):
    """certs.keys.KeeperClient, as far as it is needed here."""

    def openers_for(self, addresses: Sequence[str], letter_id: str) -> Sequence[Opener]:
        """Who can open what was encrypted to these mailboxes. Raises KeeperDown."""
        ...


@dataclass(frozen=True)
class Unsealer:
    """Keys and trust: by them a letter is opened, wherever it goes then."""

    keys: Keys
    trust: Callable[[], TrustStore]

    def encrypted(self, job: Job) -> Message | None:
        """The letter of a job, if it is one that somebody encrypted as a whole."""
        raw = job.raw()
        if not opening.may_be_encrypted(raw):
            return None
        try:
            message = scan(raw)
        except Malformed:  # taken in by an earlier version
            return None
        return message if coverage.encrypted(message) is not None else None

    def open(self, message: Message, letter: Letter, addresses: Sequence[str]) -> Opening | None:
        """None: no key of these mailboxes opens it. Raises KeeperDown."""
        openers = self.keys.openers_for(addresses, letter.id)
        return opening.opened(message, letter.verdict, openers, self.trust(), letter.received_at)


# --- into the mailbox ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Look:
    """What was seen in an opened letter."""

    extras: tuple[Extra, ...] = ()
    refusals: Mapping[str, str] = field(default_factory=dict)
    """Reason by address, in lower case; '' stands for all."""
    delay: str = ""
    scan: str = ""
    """Verdict.scan, of what was opened."""

    def refusal(self, recipient: Recipient) -> str:
        """Why this recipient does not get it, unless a person has looked and let it go."""
        why = self.refusals.get("") or self.refusals.get(recipient.address.lower(), "")
        return "" if recipient.reason == why else why


_UNSEEN = _Look()


@dataclass(frozen=True)
class OpeningCourier:
    """`wait`: puts a letter before a person (the work list), with a reason."""

    mailbox: MailboxCourier
    unsealer: Unsealer
    finders: Sequence[Finder]
    client: SpoolClient
    journal: Journal
    clock: Clock
    wait: Callable[[Letter, str], None]
    scanning: Scanning | None = None

    def deliver(self, job: Job) -> dict[str, Outcome]:
        message = self.unsealer.encrypted(job)
        if message is None:
            return self.mailbox.deliver(job)
        seen = self._all_seen(job, message)
        for each in seen:
            self._record(job.letter, each)
        outcomes: dict[str, Outcome] = {}
        for each in seen:
            outcomes |= self._hand_in(job, each)
        return outcomes

    def _all_seen(self, job: Job, message: Message) -> list[_Seen]:
        """Each mailbox by its own keys: what is encrypted to one reader is not opened for another. Fifty readers of
        one letter need the memory and the scan of one."""
        seen: list[_Seen] = []
        for recipient in job.recipients:
            found = self.unsealer.open(message, job.letter, [recipient.address])
            same = next((each for each in seen if each.opening == found), None)
            seen.append(replace(same, recipient=recipient) if same else self._seen(job, recipient, found))
        return seen

    def _seen(self, job: Job, recipient: Recipient, found: Opening | None) -> _Seen:
        if found is None or found.shown is not Shown.OPENED:
            return _Seen(recipient, found)
        scanned = self.scanning.judge(found.letter) if self.scanning else ""
        if isinstance(scanned, Refusal):
            look = _Look(refusals={"": scanned.reason}) if scanned.permanent else _Look(delay=scanned.reason)
            return _Seen(recipient, found, look)
        return _Seen(recipient, found, replace(self._look(job, found), scan=scanned))

    def _look(self, job: Job, found: Opening) -> _Look:
        """Finders again, over what nobody could read at the door (design §4.2)."""
        message, envelope = scan(found.letter), _envelope(job)
        extras: list[Extra] = []
        refusals: dict[str, str] = {}
        for finder in self.finders:
            try:
                answer = finder(message, envelope, found.verdict)
            except Exception as surprise:  # a person looks; the sender hears nothing of what is inside
                _log.error("finder-surprise", letter=job.letter.id, type=type(surprise).__name__)
                return _Look(refusals={"": Reason.SURPRISE})
            extras += answer.extras
            refusals |= {who.key: why for who, why in answer.refusals}
        return _Look(tuple(extras), refusals)

    def _record(self, letter: Letter, seen: _Seen) -> None:
        if seen.opening is None:
            return
        self.journal.add(letter.tenant, [_event(letter, seen.recipient, seen.opening)])
        if refusal := seen.look.refusal(seen.recipient):
            self.wait(letter, refusal)
        else:
            additions.add(self.client, letter, seen.look.extras, self.clock())

    def _hand_in(self, job: Job, seen: _Seen) -> dict[str, Outcome]:
        if refusal := seen.look.refusal(seen.recipient):
            return {seen.recipient.id: Quarantined(refusal)}
        if seen.look.delay:
            return {seen.recipient.id: Later(seen.look.delay)}
        return self._deliver(job, seen)

    def _deliver(self, job: Job, seen: _Seen) -> dict[str, Outcome]:
        found, to = seen.opening, (seen.recipient,)
        if found is None:
            return self.mailbox.hand_in(job.letter, to, job.raw())
        letter = replace(job.letter, verdict=replace(found.verdict, scan=seen.look.scan or found.verdict.scan))
        match found.shown:
            case Shown.OPENED:
                return self.mailbox.hand_in(letter, to, found.letter, found.algorithm)
            case Shown.TEXT_ONLY:
                return self.mailbox.hand_in_text(letter, to, job.raw(), found.text, found.algorithm)
            case Shown.CLOSED:
                outcomes = self.mailbox.hand_in(letter, to, job.raw(), NOT_OPENED)
                return {key: noted(outcome, Shown.CLOSED.value) for key, outcome in outcomes.items()}


@dataclass(frozen=True)
class _Seen:
    """One recipient, and what became of the letter under his keys."""

    recipient: Recipient
    opening: Opening | None = field(repr=False)
    look: _Look = _UNSEEN


def _event(letter: Letter, recipient: Recipient, found: Opening) -> Event:
    if found.shown is Shown.CLOSED:
        return Event("not-opened", letter.id, recipient.id)
    how = (("shown", found.shown.value), ("algorithm", found.algorithm))
    kept = (("evidence", json.dumps(found.verdict.evidence)),) if found.verdict.evidence else ()
    return Event("opened", letter.id, recipient.id, (*how, *entry.facts_of(found.verdict), *kept))


def _envelope(job: Job) -> Envelope:
    """The letter as it stood at the door, for finders."""
    letter = job.letter
    return Envelope(
        id=letter.id,
        tenant=letter.tenant,
        door=letter.door,
        sender=address.parse(letter.sender) if letter.sender else None,
        addressees=tuple(Addressee(address.parse(each.address)) for each in job.recipients),
        proof=letter.proof,
        received_at=letter.received_at,
        envid=letter.envid,
    )


# --- into the dossier ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OpenedFor:
    """Another courier, which is handed an encrypted letter opened, by the keys of the mailboxes that it was sent to.
    `mailboxes`: their addresses. What is not vouched for is handed over closed, and nothing is found in it (EFAIL)."""

    courier: Courier
    unsealer: Unsealer
    mailboxes: Callable[[Letter], Sequence[str]]

    def deliver(self, job: Job) -> dict[str, Outcome]:
        message = self.unsealer.encrypted(job)
        found = message and self.unsealer.open(message, job.letter, self.mailboxes(job.letter))
        if not found or found.shown is not Shown.OPENED:
            return self.courier.deliver(job)
        letter = replace(job.letter, verdict=found.verdict)
        return self.courier.deliver(replace(job, letter=letter, raw=lambda: found.letter))
