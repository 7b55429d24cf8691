"""What a person sees of the work list: the entries with their age; of one, its patient beside each candidate.

Promises: who looks is journalled before an identity is shown; the letter is opened by the keeper and read by a process
apart; where its text is not kept, or cannot be read, the evidence that was found then is shown alone. Does not: decide
(gateway.patients_desk does).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dmp_bridge import filings, matching
from dmp_bridge.matching import Evidence
from dmp_bridge.model import FilingReason, Patient
from dmp_bridge.papers import Papers, Seen
from dmp_bridge.patients import Known
from dmp_bridge.worklist import Entry
from gateway import app, carrying, patients_desk
from gateway.config import Settings
from gateway.patients_desk import Wanted
from relay import spool
from relay.journal import SpoolJournal
from relay.model import Event

TRAITS = (*matching.COMPULSORY, "birth_place")


@dataclass(frozen=True)
class Line:
    """One entry that waits."""

    id: str
    letter_id: str
    reason: str
    at: datetime
    age: timedelta
    evidence: tuple[tuple[str, str], ...]


@dataclass(frozen=True, repr=False)
class Trait:
    name: str
    theirs: str
    """As the document says; empty: not, or the document cannot be read."""
    ours: str
    answer: str
    """'agrees', 'differs', 'absent', or '' where it was not compared."""


@dataclass(frozen=True, repr=False)
class Side:
    """One patient of the register beside the document's."""

    known: Known
    traits: tuple[Trait, ...]


@dataclass(frozen=True, repr=False)
class Beside:
    entry: Entry
    document: Seen | None
    sides: tuple[Side, ...]
    reopens: bool
    """The decision can be taken back."""


def waiting(settings: Settings, now: datetime) -> tuple[Line, ...]:
    rows = filings.waiting(app.reader(settings.database_url), settings.node.tenant)
    return tuple(
        Line(row.id, row.letter_id, row.reason, row.added_at, now - row.added_at, tuple(row.evidence)) for row in rows
    )


def found(settings: Settings, entry_id: str) -> Entry | None:
    """By its whole id."""
    try:
        entry = patients_desk.entry(settings, entry_id)
    except patients_desk.NotDone:
        return None
    return entry if entry.id == entry_id else None


def beside(settings: Settings, papers: Papers, entry: Entry, by: str, wanted: Wanted | None = None) -> Beside:
    """`wanted`: with others of the register, looked for by hand. Raises KeeperDown, NotDone, StoreDown."""
    looked = Event("looked-up", entry.letter_id, facts=(("by", by), ("criteria", "worklist")))
    SpoolJournal(app.client(settings)).add(settings.node.tenant, [looked])
    document = _document(settings, papers, entry)
    candidates = _candidates(settings, entry)
    more = patients_desk.find(settings, wanted) if wanted else ()
    others = [each for each in more if each.patient.id not in {known.patient.id for known, _ in candidates}]
    patients_desk.reveal(settings, [*(known for known, _ in candidates), *others], by)
    theirs = document.patient if document else None
    sides = [Side(known, _traits(theirs, known.patient, evidence)) for known, evidence in candidates]
    sides += [Side(each, _traits(theirs, each.patient, _compared(theirs, each.patient))) for each in others]
    return Beside(entry, document, tuple(sides), patients_desk.may_reopen(settings, entry))


def _candidates(settings: Settings, entry: Entry) -> list[tuple[Known, Evidence]]:
    """Each with what was found then; one whose row is gone is left out."""
    register, tenant = app.register(settings), settings.node.tenant
    sides: Sequence[Evidence] = entry.sides or (entry.evidence,) * len(entry.candidates)
    pairs = [(register.known(tenant, each), side) for each, side in zip(entry.candidates, sides, strict=False)]
    return [(known, side) for known, side in pairs if known is not None]


def _compared(theirs: Patient | None, ours: Patient) -> Evidence:
    return matching.side(theirs, matching.Candidate(ours)) if theirs else ()


def _document(settings: Settings, papers: Papers, entry: Entry) -> Seen | None:
    """What the letter says now; None where it is not kept, is encrypted, or holds no such document."""
    held = spool.letter(app.reader(settings.database_url), settings.node.tenant, entry.letter_id)
    if held is None or not entry.document_id or entry.reason == FilingReason.PRINTED:
        return None
    try:
        raw = carrying.body(settings, held[0])
    except OSError:
        return None
    look = papers.letter(raw)
    return next((each for each in look.documents if each.unique_id == entry.document_id), None)


def _traits(theirs: Patient | None, ours: Patient, evidence: Evidence) -> tuple[Trait, ...]:
    """The traits, whether compared or not, then what else was found."""
    answers = dict(evidence)
    rest = [name for name in answers if name not in ("ins", *TRAITS)]
    return tuple(
        Trait(name, value(theirs, name) if theirs else "", value(ours, name), answers.get(name, ""))
        for name in ("ins", *TRAITS, *rest)
    )


def value(patient: Patient, name: str) -> str:
    """A trait as it is read; '' for what is no trait."""
    if name in ("ins", "ins_root"):
        return (patient.ins.value if name == "ins" else patient.ins.root) if patient.ins else ""
    held = getattr(patient.traits, name, "")
    return f"{held:%d/%m/%Y}" if name == "birth_date" and held else str(held or "")
