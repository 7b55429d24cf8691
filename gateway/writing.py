"""A letter written at a page: what the pages' process keeps for it, the mail that is made, and its way into custody.

Promises: it is sent as the account that is signed in, by the same intake, rights and policies as at the submission
door; it waits ten seconds in the spool, where its author may take it back (relay.withdrawal), so that this process may
die meanwhile; what a person brought is read and packed by a process apart; no key is held here: the carrier has the
letter signed. Does not: keep a draft (gateway.web.drafts), or speak HTTP.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from certs.keys import KeeperDown
from directory import address
from directory.model import Address, DirectoryDown, Entry, Found
from dmp_bridge import choices, codes
from dmp_bridge.model import Bad, Matched, Patient
from dmp_bridge.packing import Parcel
from dmp_bridge.papers import Look, Papers, Seen
from gateway import app, dossier_hosts, outgoing
from gateway.config import Settings
from gateway.outgoing import About, NotSent, Paper, Sending
from relay import withdrawal
from relay.intake import Intake
from relay.model import Addressee, Door, DoorProof, Envelope, Receipt, Refusal


class NotWritten(Exception):
    """Why there is no such letter: a key of gateway.web.sentences, or a reason that gateway.doors.replies says."""

    def __init__(self, key: str = "", reason: str = "", detail: str = "") -> None:
        super().__init__(key or reason)
        self.key, self.reason, self.detail = key, reason, detail


@dataclass(frozen=True, repr=False)
class Brought:
    """A paper with what it is."""

    name: str
    data: bytes
    look: Look


@dataclass(frozen=True, repr=False)
class Wish:
    """What somebody wants to send."""

    account: str
    to: tuple[Address, ...]
    subject: str = ""
    text: str = ""
    papers: tuple[Brought, ...] = ()
    about: About = field(default_factory=About)


@dataclass(frozen=True, repr=False)
class Filing:
    """Where a document would be filed."""

    host: str = ""
    """Empty: nowhere."""
    doubt: str = ""
    """The reason for which a person would have to look first."""


class Writing:
    """What a process of pages keeps; threads share it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._common = app.common(settings, follow=True)
        self._lock = threading.Lock()
        self._intakes: dict[str, Intake] = {}
        self.papers = Papers()

    def intake(self, tenant: str) -> Intake:
        with self._lock:
            if tenant not in self._intakes:
                self._intakes[tenant] = app.intake(self._settings.view(tenant), self._common)
            return self._intakes[tenant]

    def close(self) -> None:
        self.papers.close()
        self._common.close()


# --- before it is sent ------------------------------------------------------------------------------------------


def author(intake: Intake, account: str) -> Entry:
    """Raises NotWritten."""
    own = address.parse(account)
    refusal = intake.check_sender(own, DoorProof(account=account), Door.PAGE)
    if refusal:
        raise NotWritten(reason=refusal.reason)
    found = intake.directory.find(own)
    if isinstance(found, DirectoryDown):
        raise NotWritten("write-directory-down")
    if not isinstance(found, Found):
        raise NotWritten("write-no-entry")
    return found.entry


def filing(settings: Settings, seen: Seen) -> Filing:
    """Where the rules would put a document, as far as is known without a letter: the host that its patient chose, else
    the one of [dossier]; and whether the register is sure of him. No identity is told."""
    if settings.dossier is None or not settings.dossier.enabled:
        return Filing()
    host = next(iter(dossier_hosts.sections(settings)))
    try:
        match = app.register(settings).match(settings.node.tenant, seen.patient, seen.unique_id)
    except KeeperDown:
        return Filing(host, "dossier.cannot-tell")
    if not isinstance(match, Matched):
        return Filing(host, match.reason)
    chosen = choices.at(app.reader(settings.database_url), settings.node.tenant, match.patient_id, app.clock())
    return Filing(chosen or host)


def patient(settings: Settings, number: str) -> Patient:
    """Of the register, by the establishment's own number. Raises NotWritten."""
    try:
        found = app.register(settings).numbered(settings.node.tenant, app.local_root(settings), number)
    except KeeperDown:
        raise NotWritten(reason="keeper.down") from None
    if found is None:
        raise NotWritten("write-no-patient")
    return found


def types() -> tuple[tuple[str, str], ...]:
    """Code and label of every type that a document may have."""
    found = ((row["type"], codes.type_label(row["type"])) for row in codes.table("type_class"))
    return tuple(sorted(((code, label) for code, label in found if label), key=lambda pair: pair[1]))


# --- the mail -----------------------------------------------------------------------------------------------------


def compose(settings: Settings, writing: Writing, wish: Wish) -> bytes:
    """The mail as it will be handed in. Raises NotWritten."""
    sender = author(writing.intake(settings.node.tenant), wish.account)
    if not wish.papers and not wish.text.strip():
        raise NotWritten("write-empty")
    sending = Sending(sender, wish.to, wish.text)
    bare = [each for each in wish.papers if each.look.kind != "documents"]
    if not wish.papers or (len(bare) == len(wish.papers) and not wish.about.patient):
        return _plain(sending, bare, wish.subject)
    if bare and not wish.about.patient:
        raise NotWritten("write-whose")
    ready = [_covered(settings, each, sender, wish.about) if each in bare else each.data for each in wish.papers]
    return _packed(settings, writing, sending, wish, ready)


def _plain(sending: Sending, papers: Sequence[Brought], subject: str) -> bytes:
    """A free mail (payload §1.1)."""
    if any(each.look.kind != "application/pdf" for each in papers):
        raise NotWritten("write-pdf-alone")
    return outgoing.plain(sending, [Paper(each.name, each.data) for each in papers], " ".join(subject.split()))


def _covered(settings: Settings, paper: Brought, sender: Entry, about: About) -> bytes:
    """A CDA N1 around it; it is not read for that."""
    if codes.class_of(about.type_code) is None:
        raise NotWritten("write-no-type")
    if not sender.rpps:
        raise NotWritten("write-no-rpps")
    patient(settings, about.patient)
    try:
        return outgoing.wrapped(settings, Paper(paper.name, paper.data), sender, about).raw
    except NotSent:
        raise NotWritten("write-not-covered") from None


def _packed(settings: Settings, writing: Writing, sending: Sending, wish: Wish, ready: Sequence[bytes]) -> bytes:
    """The subject of such a mail is the norm's (ECO.2.1.3): a person's own words come first in the text."""
    source = settings.dossier.source_id if settings.dossier else outgoing.new_oid()
    text = "\n\n".join(filter(None, (wish.subject.strip(), wish.text.strip())))
    parcel = Parcel((), sending.author, wish.to, source, text, settings.node.product_number)
    packed = writing.papers.pack(ready, parcel, app.clock())
    if isinstance(packed, Bad):
        raise NotWritten(reason=str(packed.reason), detail=packed.detail)
    return packed


# --- custody ------------------------------------------------------------------------------------------------------


def send(settings: Settings, writing: Writing, wish: Wish, letter_id: str, client: str = "") -> Receipt:
    """Takes it into custody, to leave in ten seconds. Asked again with the same `letter_id` it is kept once. Raises
    NotWritten, StoreDown."""
    intake, raw = writing.intake(settings.node.tenant), compose(settings, writing, wish)
    own, now = address.parse(wish.account), app.clock()
    to = tuple(_addressee(intake, own, each, len(raw)) for each in wish.to)
    envelope = Envelope(
        letter_id, settings.node.tenant, Door.PAGE, own, to, DoorProof(account=wish.account, client=client), now,
        not_before=_leaves(now),
    )  # fmt: skip
    try:
        return outgoing.accepted(settings, intake, envelope, raw)
    except NotSent as error:
        if error.refusal is None:
            raise NotWritten("write-no-disk") from None
        raise NotWritten(reason=error.refusal.reason, detail=error.refusal.detail) from None


def _leaves(now: datetime) -> datetime:
    return now + timedelta(seconds=withdrawal.WAIT_S)


def _addressee(intake: Intake, own: Address, to: Address, size: int) -> Addressee:
    """As it is now: the directory may have changed since its card was made."""
    answer = intake.check_recipient(to, Door.PAGE)
    if isinstance(answer, Refusal):
        raise NotWritten(reason=answer.reason)
    if refusal := intake.check_route(answer, own, size):
        raise NotWritten(reason=refusal.reason)
    return answer
