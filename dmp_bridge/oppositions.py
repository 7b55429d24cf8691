"""What patients object to: filing, mail to them, mail about them, a result before it is announced, consultation.

Promises: each opposition says who stated it, when and why; lifting it keeps all that; what the hospital's bus says
(ZFA) moves only what the bus itself set, and never back in time. Does not: open an identity, nor decide what follows
(dmp_bridge.gatekeeper and dmp_bridge.rules do).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, update

from dmp_bridge.model import Flag
from dmp_bridge.tables import oppositions as table
from dmp_bridge.tables import patients
from relay import journal
from relay.model import Event, new_id
from relay.spooler import StoreRefused

PERSON = "person"
_ROWS_MOST = 200


@dataclass(frozen=True)
class Said:
    """Of one patient, by one source, at one moment."""

    patient_id: str
    flag: Flag
    source: str
    at: datetime
    by: str = ""
    why: str = ""
    document_id: str = ""


@dataclass(frozen=True)
class Opposition:
    id: str
    patient_id: str
    flag: str
    document_id: str
    source: str
    set_by: str
    set_at: datetime
    why: str
    lifted_by: str
    lifted_at: datetime | None
    lifted_why: str


# --- writing, in the spooler ----------------------------------------------------------------------------------------


def state(conn: Connection, tenant: str, said: Said, now: datetime) -> str:
    """Notes an opposition; one that stands already from the same source is that one."""
    standing = conn.scalar(_standing(tenant, said).where(table.c.lifted_at.is_(None)))
    if standing is not None:
        return str(standing)
    row_id = new_id(now)
    named = {"patient_id": said.patient_id, "flag": said.flag.value, "document_id": said.document_id}
    row = {
        "id": row_id,
        **named,
        "source": said.source,
        "set_by": said.by or said.source,
        "set_at": said.at,
        "why": said.why,
    }
    conn.execute(insert(table).values(tenant=tenant, **row))
    _note(conn, tenant, "patient-opposed", row, now)
    return row_id


def heard(conn: Connection, tenant: str, said: Said, *, on: bool, now: datetime) -> bool:
    """What a bus says: stated, or lifted where the bus itself stated it; older news than the last is no news. True
    where something was lifted."""
    known = table.c
    times = select(func.max(known.set_at), func.max(known.lifted_at)).where(
        known.tenant == tenant,
        known.patient_id == said.patient_id,
        known.flag == said.flag.value,
        known.source == said.source,
    )
    if any(each is not None and said.at < each for each in conn.execute(times).one()):
        return False
    if on:
        state(conn, tenant, said, now)
        return False
    rows = conn.scalars(_standing(tenant, said).where(known.lifted_at.is_(None))).all()
    for row in rows:
        _end(conn, tenant, row, {"by": said.source, "why": "", "at": said.at}, now)
    return bool(rows)


def _standing(tenant: str, said: Said) -> Any:
    held = table.c
    return select(held.id).where(
        held.tenant == tenant,
        held.patient_id == said.patient_id,
        held.flag == said.flag.value,
        held.document_id == said.document_id,
        held.source == said.source,
    )


def _end(conn: Connection, tenant: str, row_id: str, told: Mapping[str, Any], now: datetime) -> None:
    ended = update(table).where(table.c.tenant == tenant, table.c.id == row_id)
    conn.execute(ended.values(lifted_by=told["by"], lifted_at=told.get("at", now), lifted_why=told["why"]))
    row = dict(conn.execute(select(table).where(table.c.tenant == tenant, table.c.id == row_id)).one()._mapping)
    _note(conn, tenant, "patient-opposition-lifted", {**row, "set_by": told["by"], "why": told["why"]}, now)


def _note(conn: Connection, tenant: str, event: str, row: Mapping[str, Any], now: datetime) -> None:
    facts = {"patient": row["patient_id"], "flag": row["flag"], "document": row["document_id"], "opposition": row["id"]}
    facts |= {"by": row["set_by"], "why": row["why"], "source": row["source"]}
    journal.append(conn, tenant, [Event(event, facts=tuple((name, str(value)) for name, value in facts.items()))], now)


def _oppose(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> str:
    """`patient_id`, `flag`, `document_id`, `by`, `why`: a person states it."""
    if (
        conn.scalar(select(patients.c.id).where(patients.c.tenant == tenant, patients.c.id == params["patient_id"]))
        is None
    ):
        raise StoreRefused("no such patient")
    flag, document = Flag(params["flag"]), params.get("document_id", "")
    return state(
        conn, tenant, Said(params["patient_id"], flag, PERSON, now, params["by"], params["why"], document), now
    )


def _lift(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> int:
    """`patient_ids`, `flag`, `document_id`, `by`, `why`: whoever stated it. Answers how many there were."""
    held = table.c
    rows = conn.scalars(
        select(held.id).where(
            held.tenant == tenant,
            held.patient_id.in_(params["patient_ids"]),
            held.flag == Flag(params["flag"]).value,
            held.document_id == params.get("document_id", ""),
            held.lifted_at.is_(None),
        )
    ).all()
    for row in rows:
        _end(conn, tenant, row, params, now)
    return len(rows)


WRITES: dict[str, Callable[[Connection, str, Mapping[str, Any], datetime], Any]] = {
    "patients.oppose": _oppose,
    "patients.lift": _lift,
}


# --- reading --------------------------------------------------------------------------------------------------------


def of_patient(engine: Engine, tenant: str, patient_ids: Sequence[str]) -> tuple[Opposition, ...]:
    """All that was ever stated for these rows of one patient, oldest first."""
    chosen = select(table).where(table.c.tenant == tenant, table.c.patient_id.in_(list(patient_ids)))
    with engine.connect() as conn:
        rows = conn.execute(chosen.order_by(table.c.set_at, table.c.id)).all()
    return tuple(Opposition(**{name: getattr(row, name) for name in Opposition.__dataclass_fields__}) for row in rows)


def flags(
    conn: Connection, tenant: str, patient_ids: Iterable[str], document_ids: Iterable[str] = ()
) -> frozenset[Flag]:
    """What stands for these rows of one patient: for every document, or for one of these."""
    held = table.c
    chosen = select(held.flag).distinct()
    chosen = chosen.where(
        held.tenant == tenant,
        held.lifted_at.is_(None),
        held.patient_id.in_(list(patient_ids)),
        held.document_id.in_(["", *document_ids]),
    )
    return frozenset(Flag(each) for each in conn.scalars(chosen))


def family(conn: Connection, tenant: str, row_ids: Iterable[str]) -> frozenset[str]:
    """The rows that are one patient with these: what they were merged into, and what was merged into that."""
    known = frozenset(row_ids)
    fresh = known
    while fresh and len(known) < _ROWS_MOST:
        held = patients.c
        up = select(held.merged_into).where(held.tenant == tenant, held.id.in_(fresh), held.merged_into != "")
        down = select(held.id).where(held.tenant == tenant, held.merged_into.in_(fresh))
        found = frozenset(conn.scalars(up)) | frozenset(conn.scalars(down))
        fresh, known = found - known, known | found
    return known
