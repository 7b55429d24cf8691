"""The local register of patients: who is known, with which status, and whether a document's patient is one
of them.

Promises: only a qualified INS that exactly one local patient bears, with agreeing strict traits, is a match, or one
that a person confirmed for this very document; anything else is doubtful, with a reason and the candidates side by
side. A matricule is looked up by its pseudonym, the former ones too; merged rows are one patient. An identity lies
sealed.
Does not: create or correct an identity (enrolment does), call INSi, or match by traits alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, select

from dmp_bridge import enrolment, links, matching, oppositions, worklist
from dmp_bridge.enrolment import Writer, put
from dmp_bridge.matching import Candidate, plain
from dmp_bridge.model import Doubtful, FilingReason, Flag, Ins, InsStatus, Match, Matched, Patient, Traits
from dmp_bridge.tables import patient_identifiers as identifiers
from dmp_bridge.tables import patients as table
from relay.pseudonym import Pseudonyms

__all__ = ["WRITES", "Known", "Register", "Writer", "plain", "put"]

WRITES: dict[str, Callable[[Connection, str, Mapping[str, Any], datetime], Any]] = {
    **enrolment.WRITES,
    **links.WRITES,
    **oppositions.WRITES,
    **worklist.WRITES,
}
"""All that is written about patients."""

_NEAR_MOST = 40
"""Rows born on one day, or of one name, that are opened to be compared."""
_MERGES_MOST = 32


@dataclass(frozen=True, repr=False)
class Known:
    """A patient of the register with what is known about the knowing."""

    patient: Patient
    source: str
    updated_at: datetime
    former: tuple[tuple[Ins, datetime], ...]
    """Matricules that he bore, each with the moment of its end."""
    rows: tuple[str, ...]
    """The rows that are this one patient, merged ones too."""
    flags: frozenset[Flag]


class Register:
    """Reads of the register. `unseal` opens one identity (it asks the keeper)."""

    def __init__(self, engine: Engine, pseudonyms: Pseudonyms, unseal: Callable[[bytes], bytes]) -> None:
        self._engine = engine
        self._pseudonyms = pseudonyms
        self._unseal = unseal

    # --- for people -------------------------------------------------------------------------------------------------

    def find(self, tenant: str, patient_id: str) -> Patient | None:
        """One patient, with his identity: for people who may see it. A merged row is who it was merged into."""
        return next(iter(self._read(tenant, table.c.id == patient_id)), None)

    def known(self, tenant: str, patient_id: str) -> Known | None:
        """The same, with source, former matricules and what stands against him."""
        patient = self.find(tenant, patient_id)
        if patient is None:
            return None
        with self._engine.connect() as conn:
            rows = oppositions.family(conn, tenant, [patient.id])
            held = conn.execute(select(table.c.source, table.c.updated_at).where(*_row(tenant, patient.id))).one()
            former = conn.execute(_former(tenant, rows)).all()
            standing = oppositions.flags(conn, tenant, rows)
        borne = tuple((Ins(self._unseal(each.sealed).decode(), each.root), each.until) for each in former)
        return Known(patient, held.source, held.updated_at, borne, tuple(sorted(rows)), standing)

    def numbered(self, tenant: str, root: str, value: str) -> Patient | None:
        """The patient with this local number."""
        key = enrolment.local_key(root, value, self._pseudonyms)
        return self.find(tenant, key) or next(iter(self._identified(tenant, "local", [key])), None)

    def named(self, tenant: str, wanted: Patient) -> tuple[Patient, ...]:
        """Those who could be meant by what is known of somebody: matricule, numbers, birth date, names; likeliest
        first."""
        candidates = self._candidates(tenant, wanted)
        found = matching.beside(Doubtful(FilingReason.PATIENT_UNKNOWN), wanted, candidates)
        people = {each.patient.id: each.patient for each in candidates}
        return tuple(people[each] for each in found.candidates)

    # --- matching ---------------------------------------------------------------------------------------------------

    def bearing(self, tenant: str, ins: Ins) -> tuple[Patient, ...]:
        """The patients that bear this matricule, whatever its root."""
        found = self._read(tenant, table.c.ins == self._pseudonyms.of(ins.value))
        # A row that was merged may have borne another than the patient does now
        return tuple(each for each in found if each.ins and self._same(each.ins, ins))

    def match(self, tenant: str, patient: Patient, document_id: str = "") -> Match:
        """The one local patient that a document's patient certainly is, or the reason for doubt (HL7 0533:
        902 to 905) with its candidates. `document_id`: a person may have confirmed whose this document is."""
        refused = matching.unfit(patient)
        found: Match = refused or matching.among(patient, self.bearing(tenant, patient.ins) if patient.ins else ())
        if isinstance(found, Doubtful):
            found = self._confirmed(tenant, patient, document_id) or self._doubt(tenant, patient, found)
        if not isinstance(found, Matched):
            return found
        return replace(found, flags=self.flags(tenant, found.patient_id, document_id))

    def flags(self, tenant: str, patient_id: str, document_id: str = "") -> frozenset[Flag]:
        """What stands for this patient, or for this document of his."""
        with self._engine.connect() as conn:
            rows = oppositions.family(conn, tenant, [patient_id])
            return oppositions.flags(conn, tenant, rows, [document_id] if document_id else [])

    def _confirmed(self, tenant: str, patient: Patient, document_id: str) -> Matched | None:
        """A person's word stands for traits that differ and for doubles, never for a matricule that is another's or
        that is not qualified: the document goes where its matricule says."""
        said = links.standing(self._engine, tenant, "document", [document_id] if document_id else [])
        known = self.known(tenant, said[document_id]) if said else None
        if known is None or patient.ins is None or known.patient.ins_status is not InsStatus.QUALIFIED:
            return None
        borne = {known.patient.ins, *(ins for ins, _ in known.former)}
        if patient.ins not in borne:
            return None
        now = patient.ins == known.patient.ins
        ins = (("ins", "agrees"),) if now else (("ins", "differs"), ("ins_formerly", "agrees"))
        compared = matching.compared(patient.traits, known.patient.traits)
        return Matched(known.patient.id, (*ins, *compared, ("confirmed", "agrees")))

    def _doubt(self, tenant: str, patient: Patient, doubt: Doubtful) -> Doubtful:
        beside = matching.beside(doubt, patient, self._candidates(tenant, patient))
        return replace(beside, presented=tuple(self._local_keys(patient)))

    def _candidates(self, tenant: str, patient: Patient) -> list[Candidate]:
        """By matricule, now or before; by a learned link; by a local number; by birth date or by name."""
        found: list[Candidate] = []
        if patient.ins:
            key = self._pseudonyms.of(patient.ins.value)
            found += [Candidate(each) for each in self.bearing(tenant, patient.ins)]
            now = {each.patient.id for each in found}
            formerly = self._identified(tenant, "ins", [key])
            found += [Candidate(each, formerly=True) for each in formerly if each.id not in now]
        keys = self._local_keys(patient)
        linked = links.standing(self._engine, tenant, "local", keys).values()
        found += [Candidate(each, linked=True) for each in self._read(tenant, table.c.id.in_(list(linked)))]
        found += [Candidate(each, numbered=True) for each in self._identified(tenant, "local", keys)]
        near = (Candidate(each) for each in self._near(tenant, patient))
        found += [each for each in near if matching.worth_showing(patient, each)]
        return matching.together(found)

    def _near(self, tenant: str, patient: Patient) -> list[Patient]:
        """Born on the same day, or of the same birth name and first given name."""
        keys = (enrolment.birth_key(patient, self._pseudonyms), enrolment.name_key(patient, self._pseudonyms))
        asked = zip((table.c.birth_key, table.c.name_key), keys, strict=True)
        return [each for column, key in asked if key for each in self._read(tenant, column == key, _NEAR_MOST)]

    def _local_keys(self, patient: Patient) -> list[str]:
        return [enrolment.local_key(root, value, self._pseudonyms) for root, value in patient.local_ids]

    def _same(self, one: Ins, other: Ins) -> bool:
        """With or without its key, in either case."""
        return self._pseudonyms.of(one.value) == self._pseudonyms.of(other.value)

    # --- rows -------------------------------------------------------------------------------------------------------

    def _identified(self, tenant: str, kind: str, keys: list[str]) -> list[Patient]:
        held = identifiers.c
        named = select(held.patient_id).where(held.tenant == tenant, held.kind == kind, held.key.in_(keys))
        return self._read(tenant, table.c.id.in_(named)) if keys else []

    def _read(self, tenant: str, condition: Any, most: int = 1000) -> list[Patient]:
        chosen = _chosen(tenant).where(condition).order_by(table.c.id).limit(most)
        with self._engine.connect() as conn:
            rows = _survivors(conn, tenant, conn.execute(chosen).all())
        return [_restored(row.id, row.status, self._unseal(row.identity)) for row in rows]


def _chosen(tenant: str) -> Any:
    held = table.c
    return select(held.id, held.status, held.identity, held.merged_into).where(held.tenant == tenant)


def _survivors(conn: Connection, tenant: str, rows: Sequence[Row[Any]]) -> list[Row[Any]]:
    """Each row once, a merged one as the row that it was merged into."""
    found: dict[str, Row[Any]] = {}
    for _ in range(_MERGES_MOST):
        found |= {row.id: row for row in rows if not row.merged_into}
        into = {row.merged_into for row in rows if row.merged_into}
        if not into:
            break
        rows = conn.execute(_chosen(tenant).where(table.c.id.in_(into))).all()
    return [found[each] for each in sorted(found)]


def _row(tenant: str, patient_id: str) -> tuple[Any, Any]:
    return table.c.tenant == tenant, table.c.id == patient_id


def _former(tenant: str, rows: Iterable[str]) -> Any:
    held = identifiers.c
    chosen = select(identifiers).where(held.tenant == tenant, held.patient_id.in_(list(rows)), held.kind == "ins")
    return chosen.where(held.until.is_not(None)).order_by(held.until)


def _restored(row_id: str, status: str, data: bytes) -> Patient:
    held = json.loads(data)
    born = date.fromisoformat(held["birth_date"]) if held["birth_date"] else None
    names = (held["birth_name"], held["first_given_name"], held["given_names"])
    return Patient(
        ins=Ins(*held["ins"]) if held["ins"] else None,
        traits=Traits(*names, birth_date=born, sex=held["sex"], birth_place=held["birth_place"]),
        local_ids=tuple((root, value) for root, value in held["local_ids"]),
        ins_status=InsStatus(status),
        id=row_id,
    )
