"""The courier to a dossier: opens a letter, finds whose it is, asks the rules, files, and checks what the
host says.

Promises: an attempt is on the disk before the host is asked, and the host's success is believed only after
it gave the document back byte by byte (where it lets itself be read); "already there" is Done only where
our own rows have that attempt. What is not filed stands on the work list. Does not: correct an identity,
choose a host (hosts.py), take a document back (undoing.py), or answer the sender (receipts.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import structlog
from sqlalchemy import Engine

from certs import meter
from certs.keys import KeeperDown
from dmp_bridge import candidates, ebrim, filings, rules, sameness, worklist
from dmp_bridge.confirm import contradiction, unconfirmed
from dmp_bridge.dmp import ALREADY_THERE, DossierClient, Held
from dmp_bridge.existence import Dossier, DossierState
from dmp_bridge.filings import Attempt
from dmp_bridge.hosts import ONLY, Hosts, Matches
from dmp_bridge.installed import Checked
from dmp_bridge.model import Bad, Document, FilingReason, FilingState, Match
from dmp_bridge.packing import UNDETERMINED
from dmp_bridge.patients import Register, Writer
from dmp_bridge.replacing import replacements
from dmp_bridge.undoing import UNDONE, Asked, Undoing, newest
from relay import journal
from relay.message import Malformed, scan
from relay.model import INCOMING, Done, Event, Job, Journal, Later, Letter, Mode, Never, Outcome, Reason
from relay.spooler import StoreDown

FILED, ALREADY, PROPOSED = "filed", "already-in-dossier", "proposed"
"""Notes of a Done."""
REPLACED, DELETED = "replaced", "deleted"
"""What earlier recipients are told of a document."""

Carry = Callable[[Letter, Document, str], None]
"""(the letter that filed, its document, 'replaced' or 'deleted'): see DossierCourier.carry."""
_log = structlog.get_logger(__name__)


def _nothing(letter: Letter, document: Document, what: str) -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class DossierCourier:
    """`institutions`: Struct_IdNat of the structures whose documents we may file. `look_again`: how often a
    document that a peer should have filed is looked for before a person is asked."""

    hosts: Hosts
    register: Register
    store: Writer
    engine: Engine
    journal: Journal
    institutions: frozenset[str] = field(default_factory=frozenset)
    schema: Callable[[bytes], Checked] | None = None
    look_again: int = 3
    undo_within: timedelta = timedelta(days=3)
    """So long after a deposit may it be taken back."""
    carry: Carry = _nothing
    """Told of what was replaced or taken back, so that earlier recipients hear of it."""

    def deliver(self, job: Job) -> dict[str, Outcome]:
        with meter.step("file"):
            try:
                outcome = self._outcome(job)
            except KeeperDown:
                outcome = Later(Reason.KEEPER_DOWN)
            except StoreDown:
                outcome = Later(Reason.STORE_DOWN)
        return {each.id: outcome for each in job.recipients}

    def _outcome(self, job: Job) -> Outcome:
        try:
            with meter.step("open"):
                found = candidates.documents(scan(job.raw()))
        except Malformed as malformed:
            return Never(FilingReason.NOT_A_DOCUMENT, str(malformed))
        documents = [each for each in found if isinstance(each, Document)]
        case = self._case(job, documents)
        outcomes: list[Outcome] = [case.refused(each) for each in found if isinstance(each, Bad)]
        shown = all(each.route.mode is Mode.DOSSIER_SHOW for each in job.recipients)
        outcomes += case.show(documents) if shown else case.file(documents)
        return worst(outcomes)

    def _case(self, job: Job, documents: Sequence[Document]) -> _Case:
        matches = Matches(self.register, job.letter.tenant)
        client, rule = self.hosts.of(job.letter.tenant, documents, matches.of)
        case = _Case(self, job.letter, job.attempt, client, matches)
        if documents and rule != ONLY:
            case.note("dossier-host", documents[0], ("rule", rule))
        return case


def worst(outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome for the letter: what must be tried again, then what never will be, then what is done."""
    for kind in (Later, Never):
        found = [each for each in outcomes if isinstance(each, kind)]
        if found:
            return found[0]
    done = [each for each in outcomes if isinstance(each, Done)]
    if not done:
        return Never(FilingReason.NOT_A_DOCUMENT)
    return next((each for note in (PROPOSED, FILED) for each in done if each.note == note), done[0])


@dataclass(frozen=True)
class _Case:
    """One letter on its way into one dossier."""

    courier: DossierCourier
    letter: Letter
    attempt: int
    client: DossierClient
    matches: Matches
    due: list[Event] = field(default_factory=list)
    """Events that are written with the attempt that follows, in one transaction."""

    @property
    def host(self) -> str:
        return self.client.profile.name

    # --- filing ---------------------------------------------------------------------------------------

    def file(self, documents: Sequence[Document]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        fit: list[Document] = []
        for document in documents:
            known = self._taken_back(document) or self._known(document) or self._obstacle(document)
            outcomes += [known] if known else []
            fit += [] if known else [document]
        return outcomes + [each for lot in self.matches.lots(fit) for each in self._send(lot)]

    def _taken_back(self, document: Document) -> Outcome | None:
        """A deletion that our own sender asks for (payload §2.6); None where it is none, or nothing is there."""
        if document.action != "D" or self.letter.door in INCOMING:
            return None
        held = filings.of_document(self.courier.engine, self.letter.tenant, self.host, document.unique_id)
        filing = newest(held)
        if filing is None:
            gone = any(each.state is FilingState.UNDONE for each in held)
            return Done(document.unique_id, UNDONE) if gone else None
        undoing = Undoing(self.client, self.courier.store, self.courier.journal)
        asked = Asked(f"letter:{self.letter.id}", self.letter.received_at, self.courier.undo_within)
        answer = undoing.undo(filing, document, asked)
        if isinstance(answer, Done):
            self.courier.carry(self.letter, document, DELETED)
        return answer

    def _known(self, document: Document) -> Outcome | None:
        """Done where we filed this document already: these bytes, or another form of the same document."""
        engine, tenant = self.courier.engine, self.letter.tenant
        sha1 = ebrim.sha1(document.raw)
        form = partial(sameness.digest, document.raw)
        filing = filings.filed(engine, tenant, self.host, document.unique_id, sha1, form)
        if filing is None:
            return None
        if filing.sha1 == sha1:
            return self._check([document], ALREADY, fresh=False)[0]
        self.note("dossier-same", document, ("filed-as", filing.sha1))
        return Done(document.unique_id, ALREADY)

    def _obstacle(self, document: Document) -> Never | None:
        """What keeps the document out: asked of every rule, recorded, put before a person."""
        tenant = self.letter.tenant
        match = self.matches.of(document)
        held = filings.held_version(self.courier.engine, tenant, self.host, document.set_id)
        context = rules.Context(
            document=document,
            match=match,
            profile=self.client.profile,
            institutions=self.courier.institutions,
            incoming=self.letter.door in INCOMING,
            held_version=held,
            schema=self.courier.schema,
            signature=self.letter.verdict.signature,
        )
        with meter.step("rules"):
            rulings = rules.judge(context)
        ruled = self._event("dossier-ruled", document, *rules.facts(rulings))
        self.due.append(ruled)
        obstacle = rules.obstacle(rulings)
        if obstacle is None:
            return None
        self._write_due()
        reason = obstacle.reason or FilingReason.RULE_CANNOT_TELL
        self._wait(document.unique_id, reason, match)
        return Never(reason, rules.told(obstacle))

    def _send(self, documents: list[Document]) -> list[Outcome]:
        """Begins the attempts; what an earlier one may have stored is looked for before it is sent again."""
        absent = self._absent(documents)
        if absent is not None:
            self._write_due()
            return [absent] if isinstance(absent, Later) else self._failed(documents, absent)
        lot = self._submission(documents)
        earlier = self._begin(documents, lot.unique_id)
        known = [each for each in documents if each.unique_id in earlier]
        if not known or not self.client.profile.reads:
            return self._submit(documents, lot, earlier)
        held = self.client.find([each.unique_id for each in known])
        if not isinstance(held, tuple):
            return [unconfirmed(held)]
        ids = {each.unique_id for each in held}
        there = [each for each in known if each.unique_id in ids]
        rest = [each for each in documents if each not in there]
        outcomes = self._check(there, FILED, fresh=False) if there else []
        return outcomes + (self._submit(rest, self._submission(rest), earlier) if rest else [])

    def _absent(self, documents: Sequence[Document]) -> Later | Never | None:
        """TD0.2, where the host's norm asks for it: no dossier, or a closed one, is not fed."""
        patient = documents[0].patient.ins
        if not self.client.profile.norm.asks_existence or patient is None:
            return None
        found = self.client.existence(patient)
        if not isinstance(found, Dossier):
            return found
        reason = {DossierState.NONE: FilingReason.NO_DOSSIER, DossierState.CLOSED: FilingReason.DOSSIER_CLOSED}
        return Never(reason[found.state], "TD0.2") if found.state in reason else None

    def _submit(self, documents: list[Document], lot: ebrim.Submission, earlier: frozenset[str]) -> list[Outcome]:
        patient = documents[0].patient.ins
        replaced = replacements(self.client, documents)
        if patient is None or not isinstance(replaced, tuple):
            trouble = replaced if not isinstance(replaced, tuple) else Never(FilingReason.INS_ABSENT)
            return [trouble] if isinstance(trouble, Later) else self._failed(documents, trouble)
        with meter.step("send"):
            answer = self.client.submit(documents, lot, patient, replaced, self.matches.masks(documents[0]))
        if isinstance(answer, Done):
            return self._check(documents, FILED, fresh=True)
        if isinstance(answer, Later):
            return [answer]
        if answer.detail == ALREADY_THERE:
            return self._already(documents, answer, earlier)
        return self._failed(documents, answer)

    def _already(self, documents: list[Document], answer: Never, earlier: frozenset[str]) -> list[Outcome]:
        """The host knows an id. Ours, or somebody else's? A lot is taken apart to tell (dossier.md §1.9)."""
        if len(documents) > 1:
            outcomes: list[Outcome] = []
            for each in documents:
                lot = self._submission([each])
                self._begin([each], lot.unique_id)
                outcomes += self._submit([each], lot, earlier)
            return outcomes
        if documents[0].unique_id not in earlier and not self._brought_by_another(documents[0]):
            return self._failed(documents, answer)
        # If it was looked for before, it was not there: another letter of ours may have brought it meanwhile.
        return self._check(documents, ALREADY, fresh=False)

    def _brought_by_another(self, document: Document) -> bool:
        """Whether another letter of ours has an attempt with these bytes: a sender that was not answered sent again."""
        found = filings.of_document(self.courier.engine, self.letter.tenant, self.host, document.unique_id)
        sha1, sent = ebrim.sha1(document.raw), (FilingState.BEGUN, FilingState.FILED)
        return any(each.letter_id != self.letter.id and each.sha1 == sha1 and each.state in sent for each in found)

    def _check(self, documents: list[Document], note: str, *, fresh: bool) -> list[Outcome]:
        """After a success: does the host hold, and give back, what it was sent?"""
        client = self.client
        if not client.profile.reads:
            return [self._done(each, "", note) for each in documents]
        held = client.find([each.unique_id for each in documents])
        if not isinstance(held, tuple):
            trouble = unconfirmed(held)
            return [trouble] if isinstance(trouble, Later) else self._failed(documents, trouble)
        with meter.step("confirm"):
            return [self._checked(each, held, note, fresh) for each in documents]

    def _checked(self, document: Document, held: tuple[Held, ...], note: str, fresh: bool) -> Outcome:
        found = contradiction(self.client, document, held, fresh=fresh, masks=self.matches.masks(document))
        if isinstance(found, Later):
            return found
        if found:
            return self._failed([document], Never(FilingReason.HOST_WRONG, found))[0]
        entry = next(each.entry_id for each in held if each.unique_id == document.unique_id)
        return self._done(document, entry, note)

    # --- looking --------------------------------------------------------------------------------------

    def show(self, documents: Sequence[Document]) -> list[Outcome]:
        """The sender's node files (design §8): here the document is looked for, else a person is asked."""
        client = self.client
        held = client.find([each.unique_id for each in documents]) if client.profile.reads else ()
        if not isinstance(held, tuple):
            return [held]
        there = {(each.unique_id, each.sha1): each.entry_id for each in held}
        return [self._shown(each, there) for each in documents]

    def _shown(self, document: Document, there: dict[tuple[str, str], str]) -> Outcome:
        attempt = self._attempt(document, "")
        entry = there.get((document.unique_id, attempt.sha1))
        if entry is not None:
            values = {**filings.begin_params([attempt]), "entry_id": entry}
            self.courier.store.write("filing.found", self.letter.tenant, **values)
            self.note("dossier-found", document)
            return Done(document.unique_id, ALREADY)
        if self.attempt < self.courier.look_again and self.client.profile.reads:
            return Later(FilingReason.NOT_IN_DOSSIER)
        self._wait(document.unique_id, FilingReason.NOT_IN_DOSSIER)
        return Done(document.unique_id, PROPOSED)

    def refused(self, bad: Bad) -> Never:
        self._wait("", bad.reason)
        return Never(bad.reason, bad.detail)

    # --- rows and events --------------------------------------------------------------------------------

    def _submission(self, documents: Sequence[Document]) -> ebrim.Submission:
        """The same lot has the same id and time at every attempt. 2.25: an OID made of 128 bits (X.667 §7)."""
        parts = [self.letter.tenant, self.letter.id, self.host, *(each.unique_id for each in documents)]
        number = int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:16], "big")
        return ebrim.Submission(
            unique_id=f"2.25.{number}",
            source_id=self.client.profile.source_id,
            time=self.letter.received_at,
            author=documents[0].authors[0],
            content_type=UNDETERMINED,
        )

    def _attempt(self, document: Document, lot_id: str) -> Attempt:
        return Attempt(
            letter_id=self.letter.id,
            document_id=document.unique_id,
            submission_id=lot_id,
            set_id=document.set_id,
            version=document.version,
            sha1=ebrim.sha1(document.raw),
            size=len(document.raw),
            host=self.host,
            canonical=sameness.digest(document.raw) if lot_id else "",
            hidden_from=self.matches.hidden_from(document) if lot_id else "",
        )

    def _begin(self, documents: Sequence[Document], lot_id: str) -> frozenset[str]:
        """The ids of the documents that an earlier attempt of ours may have stored."""
        begun = [self._event("dossier-begun", each, ("lot", lot_id)) for each in documents]
        params = filings.begin_params([self._attempt(each, lot_id) for each in documents], [*self.due, *begun])
        self.due.clear()
        seen = self.courier.store.write("filing.begin", self.letter.tenant, **params)
        return frozenset(each.unique_id for each, earlier in zip(documents, seen, strict=True) if earlier)

    def _end(self, document: Document, state: FilingState, *events: Event, **values: str) -> None:
        row_id = filings.attempt_id(self.letter.tenant, self._attempt(document, ""))
        told = {"id": row_id, "state": state.value, "events": journal.pack(events), **values}
        self.courier.store.write("filing.end", self.letter.tenant, **told)

    def _done(self, document: Document, entry_id: str, note: str) -> Done:
        if document.replaces and note == FILED:
            self.courier.carry(self.letter, document, REPLACED)
        written_by = next((each.institution_id for each in document.authors if each.institution_id), "")
        told = [("entry", entry_id), ("note", note), ("type", document.type.code), ("structure", written_by)]
        told += [("replaces", "1")] if document.replaces else []
        told += [("patient", whose)] if (whose := self.matches.row(document)) else []
        events = [self._event("dossier-filed", document, *told)]
        hidden = note == FILED and self.matches.hidden_from(document)
        events += [self._event("dossier-hidden", document)] if hidden else []
        self._end(document, FilingState.FILED, *events, entry_id=entry_id)
        return Done(document.unique_id, note)

    def _failed(self, documents: Sequence[Document], answer: Never) -> list[Outcome]:
        for each in documents:
            self._end(each, FilingState.FAILED, reason=answer.reason)
            self._wait(each.unique_id, answer.reason)
            event = "dossier-alarm" if answer.reason == FilingReason.HOST_WRONG else "dossier-refused"
            self.note(event, each, ("reason", str(answer.reason)), ("detail", answer.detail))
        if answer.reason == FilingReason.HOST_WRONG:
            _log.error("alarm-dossier-host", host=self.host, letter=self.letter.id, detail=answer.detail)
        return [answer for _ in documents]

    def _wait(self, document_id: str, reason: str, match: Match | None = None) -> None:
        self.courier.store.write(
            "worklist.add",
            self.letter.tenant,
            letter_id=self.letter.id,
            document_id=document_id,
            host=self.host,
            reason=str(reason),
            **worklist.told(match),
        )

    def note(self, event: str, document: Document, *facts: tuple[str, str]) -> None:
        self.courier.journal.add(self.letter.tenant, [self._event(event, document, *facts)])

    def _event(self, name: str, document: Document, *facts: tuple[str, str]) -> Event:
        named = (("host", self.host), ("document", document.unique_id), *facts)
        return Event(name, self.letter.id, facts=named)

    def _write_due(self) -> None:
        self.courier.journal.add(self.letter.tenant, self.due)
        self.due.clear()
