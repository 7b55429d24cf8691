"""The local register of patients: who is known, with which status, and whether a document's patient is one
of them.

Promises: only a qualified INS that exactly one local patient bears, with agreeing strict traits, is a
match; anything else is doubtful, with a reason and the names of the traits. A matricule is looked up by its
pseudonym, an identity lies sealed. Does not: create or correct an identity from a document, call INSi, or
match by traits alone.
"""

from __future__ import annotations

import base64
import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, delete, insert, select

from dmp_bridge import cda
from dmp_bridge.model import Doubtful, FilingReason, Ins, InsStatus, Match, Matched, Patient, Traits
from dmp_bridge.tables import patients as table
from relay.pseudonym import Pseudonyms

_BATCH = 200
_COMPULSORY = ("birth_name", "first_given_name", "birth_date", "sex")

Evidence = tuple[tuple[str, str], ...]


class Writer(Protocol):
    """The part of relay's SpoolClient that is needed here."""

    def write(self, name: str, tenant: str, **params: Any) -> Any: ...


# --- writing, in the spooler --------------------------------------------------------------------------------


def _put(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> int:
    rows = [
        {**row, "tenant": tenant, "identity": base64.b64decode(row["identity"]), "updated_at": now}
        for row in params["rows"]
    ]
    keys = [row["id"] for row in rows]
    conn.execute(delete(table).where(table.c.tenant == tenant, table.c.id.in_(keys)))
    conn.execute(insert(table), rows)
    return len(rows)


WRITES: dict[str, Callable[[Connection, str, Mapping[str, Any], datetime], Any]] = {"patients.put": _put}


def put(
    client: Writer,
    tenant: str,
    patients: Sequence[Patient],
    pseudonyms: Pseudonyms,
    seal: Callable[[bytes], bytes],
) -> int:
    """Writes or replaces patients; the key is the first local identifier, else the INS. Answers how many."""
    rows = {row["id"]: row for row in (_row(patient, pseudonyms, seal) for patient in patients)}
    kept = list(rows.values())
    for start in range(0, len(kept), _BATCH):
        client.write("patients.put", tenant, rows=kept[start : start + _BATCH])
    return len(kept)


def _row(patient: Patient, pseudonyms: Pseudonyms, seal: Callable[[bytes], bytes]) -> dict[str, Any]:
    ins = pseudonyms.of(patient.ins.value) if patient.ins else ""
    local = next((f"{root}^{value}" for root, value in patient.local_ids), "")
    if not local and not ins:
        raise ValueError("a patient needs an identifier")
    return {
        "id": patient.id or (pseudonyms.of(local) if local else ins),
        "ins": ins,
        "status": patient.ins_status.value,
        "merged": False,
        "identity": base64.b64encode(seal(_serialised(patient))).decode("ascii"),
    }


def _serialised(patient: Patient) -> bytes:
    traits = patient.traits
    held = {
        "ins": [patient.ins.value, patient.ins.root] if patient.ins else None,
        "birth_name": traits.birth_name,
        "first_given_name": traits.first_given_name,
        "given_names": traits.given_names,
        "birth_date": traits.birth_date.isoformat() if traits.birth_date else "",
        "sex": traits.sex,
        "birth_place": traits.birth_place,
        "local_ids": patient.local_ids,
    }
    return json.dumps(held, ensure_ascii=False).encode()


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


# --- reading and matching -----------------------------------------------------------------------------------


class Register:
    """Reads of the register. `unseal` opens one identity (it asks the keeper)."""

    def __init__(self, engine: Engine, pseudonyms: Pseudonyms, unseal: Callable[[bytes], bytes]) -> None:
        self._engine = engine
        self._pseudonyms = pseudonyms
        self._unseal = unseal

    def find(self, tenant: str, patient_id: str) -> Patient | None:
        """One patient, with his identity: for people who may see it."""
        return next(self._read(tenant, table.c.id == patient_id), None)

    def bearing(self, tenant: str, ins: Ins) -> tuple[Patient, ...]:
        """The patients that bear this matricule, whatever its root."""
        return tuple(self._read(tenant, table.c.ins == self._pseudonyms.of(ins.value)))

    def match(self, tenant: str, patient: Patient) -> Match:
        """The one local patient that a document's patient certainly is, or the reason for doubt (HL7 0533:
        902 to 905)."""
        refused = _unfit(patient)
        if refused is not None or patient.ins is None:
            return refused or Doubtful(FilingReason.INS_ABSENT)
        return _among(patient, self.bearing(tenant, patient.ins))

    def _read(self, tenant: str, condition: Any) -> Iterator[Patient]:
        chosen = select(table.c.id, table.c.status, table.c.identity)
        chosen = chosen.where(table.c.tenant == tenant, table.c.merged.is_(False), condition)
        with self._engine.connect() as conn:
            rows = conn.execute(chosen.order_by(table.c.id)).all()
        for row in rows:
            yield _restored(row.id, row.status, self._unseal(row.identity))


def _unfit(patient: Patient) -> Doubtful | None:
    """What can be said without the register (payload §6): no INS 903, not whole 905."""
    if patient.ins is None:
        return Doubtful(FilingReason.INS_ABSENT, (("ins", "absent"),))
    if not cda.well_formed(patient.ins):
        return Doubtful(FilingReason.INS_INCOMPLETE, (("ins_key", "differs"),))
    absent = tuple((name, "absent") for name in _COMPULSORY if not getattr(patient.traits, name))
    return Doubtful(FilingReason.INS_INCOMPLETE, absent) if absent else None


def _among(patient: Patient, bearers: tuple[Patient, ...]) -> Match:
    if not bearers:
        return Doubtful(FilingReason.PATIENT_UNKNOWN, (("ins", "absent"),))
    same = [each for each in bearers if each.ins == patient.ins]
    if not same:
        # The number is known under another root, or with another key.
        return Doubtful(FilingReason.INS_DIFFERS, (("ins_root", "differs"),), _ids(bearers))
    if len(same) > 1:
        return Doubtful(FilingReason.PATIENT_NOT_UNIQUE, (("ins", "agrees"),), _ids(same))
    evidence = (("ins", "agrees"), *_compared(patient.traits, same[0].traits))
    if not all(_suffices(name, answer) for name, answer in evidence):
        return Doubtful(FilingReason.INS_DIFFERS, evidence, _ids(same))
    if same[0].ins_status is not InsStatus.QUALIFIED:
        return Doubtful(FilingReason.INS_NOT_QUALIFIED, evidence, _ids(same))
    return Matched(same[0].id, evidence)


def _suffices(name: str, answer: str) -> bool:
    """Each must agree; the birth place may be unsaid on one side, never different."""
    return answer == "agrees" or (name == "birth_place" and answer == "absent")


def _ids(found: Sequence[Patient]) -> tuple[str, ...]:
    return tuple(each.id for each in found)


def _compared(theirs: Traits, ours: Traits) -> Evidence:
    return tuple((name, _answer(getattr(theirs, name), getattr(ours, name))) for name in (*_COMPULSORY, "birth_place"))


def _answer(theirs: object, ours: object) -> str:
    if not theirs or not ours:
        return "absent"
    return "agrees" if plain(str(theirs)) == plain(str(ours)) else "differs"


def plain(text: str) -> str:
    """A name as strict traits compare it: upper case, no accents, hyphens and apostrophes as spaces."""
    # Œ and Æ have no decomposition in Unicode.
    spelt = text.upper().replace("Œ", "OE").replace("Æ", "AE")
    letters = (c for c in unicodedata.normalize("NFKD", spelt) if not unicodedata.combining(c))
    return " ".join("".join(c if c.isalnum() else " " for c in letters).split())
