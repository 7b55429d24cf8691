"""Links to a patient of the register: a sender's number, one document, a merged row; with provenance, and ended.

Promises: a link says who made it, when, why and from what it was learned; ending it keeps all that, and it counts no
more; each is journalled in the transaction that writes it. Does not: hold a number or a name (keys are pseudonyms and
ids), nor decide that something is linked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select, update

from dmp_bridge.tables import patient_links as table
from dmp_bridge.tables import patients
from relay import journal
from relay.model import Event, new_id
from relay.spooler import StoreRefused

MERGE = "merge"
_MERGED_MOST = 32
"""Rows one behind the other."""


@dataclass(frozen=True)
class Made:
    """A link to be. `key`: the pseudonym of a number, a document's id, or the id of a row that is merged."""

    kind: str
    key: str
    patient_id: str
    learned_from: str
    made_by: str
    why: str


@dataclass(frozen=True)
class Link:
    id: str
    kind: str
    key: str
    patient_id: str
    learned_from: str
    made_by: str
    made_at: datetime
    why: str
    ended_by: str
    ended_at: datetime | None
    ended_why: str


# --- writing, in the spooler ----------------------------------------------------------------------------------------


def make(conn: Connection, tenant: str, made: Made, now: datetime) -> str:
    """Links; another link of the same thing ends. The same one again is the one that stands."""
    standing = conn.execute(_standing(tenant, made.kind, made.key)).one_or_none()
    if standing is not None and standing.patient_id == made.patient_id:
        return str(standing.id)
    if standing is not None:
        _end(conn, tenant, standing, made.made_by, "replaced", now)
    row_id = new_id(now)
    conn.execute(insert(table).values(tenant=tenant, id=row_id, made_at=now, **asdict(made)))
    facts = (("link", row_id), ("kind", made.kind), ("patient", made.patient_id), ("by", made.made_by))
    journal.append(conn, tenant, [Event("patient-linked", facts=facts)], now)
    return row_id


def _end(conn: Connection, tenant: str, row: Row[Any], by: str, why: str, now: datetime) -> None:
    ended = update(table).where(table.c.tenant == tenant, table.c.id == row.id)
    conn.execute(ended.values(ended_by=by, ended_at=now, ended_why=why))
    facts = (("link", row.id), ("kind", row.kind), ("patient", row.patient_id), ("by", by), ("why", why))
    journal.append(conn, tenant, [Event("patient-unlinked", facts=facts)], now)


def take_back(conn: Connection, tenant: str, learned_from: str, at: datetime, by: str, now: datetime) -> None:
    """Ends what was learned there; a link that it had replaced, at that moment, counts again."""
    held = table.c
    learned = select(table).where(
        held.tenant == tenant, held.learned_from == learned_from, held.made_at == at, held.ended_at.is_(None)
    )
    for row in conn.execute(learned).all():
        _end(conn, tenant, row, by, "reopened", now)
        same = select(table).where(held.tenant == tenant, held.kind == row.kind, held.key == row.key)
        for old in conn.execute(same.where(held.ended_at == at, held.ended_why == "replaced")).all():
            make(conn, tenant, Made(old.kind, old.key, old.patient_id, old.learned_from, by, "reopened"), now)


def _standing(tenant: str, kind: str, key: str) -> Any:
    return select(table).where(
        table.c.tenant == tenant, table.c.kind == kind, table.c.key == key, table.c.ended_at.is_(None)
    )


def _unlink(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> str:
    """`link`, `by`, `why`. A merge is taken apart: the row is a patient of its own again."""
    row = conn.execute(select(table).where(table.c.tenant == tenant, table.c.id == params["link"])).one_or_none()
    if row is None or row.ended_at is not None:
        raise StoreRefused("no such link, or it has ended")
    _end(conn, tenant, row, params["by"], params["why"], now)
    if row.kind == MERGE:
        _point(conn, tenant, row.key, "")
    return str(row.patient_id)


def merge(conn: Connection, tenant: str, made: Made, now: datetime) -> str:
    """Makes the row `made.key` one with the patient `made.patient_id`; nothing of either is lost."""
    if made.kind != MERGE:
        raise StoreRefused("not a merge")
    for each in (made.key, made.patient_id):
        if conn.scalar(select(patients.c.id).where(patients.c.tenant == tenant, patients.c.id == each)) is None:
            raise StoreRefused("no such patient")
    if made.key in _line(conn, tenant, made.patient_id):
        raise StoreRefused("the two are one already, the other way round")
    row_id = make(conn, tenant, made, now)
    _point(conn, tenant, made.key, made.patient_id)
    return row_id


def _line(conn: Connection, tenant: str, patient_id: str) -> list[str]:
    """The row and those into which it was merged, one after the other."""
    line = [patient_id]
    while len(line) < _MERGED_MOST:
        held = patients.c
        further = conn.scalar(select(held.merged_into).where(held.tenant == tenant, held.id == line[-1]))
        if not further:
            return line
        line.append(further)
    raise StoreRefused("too many rows merged one behind the other")


def _point(conn: Connection, tenant: str, row_id: str, into: str) -> None:
    held = patients.c
    pointed = update(patients).where(held.tenant == tenant, held.id == row_id)
    conn.execute(pointed.values(merged=bool(into), merged_into=into))


def _merge(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> str:
    """`prior`, `survivor`, `by`, `why`."""
    made = Made(MERGE, params["prior"], params["survivor"], "", params["by"], params["why"])
    return merge(conn, tenant, made, now)


def _unmerge(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> str:
    """`prior`, `by`, `why`: answers the patient that it was one with."""
    standing = conn.execute(_standing(tenant, MERGE, params["prior"])).one_or_none()
    if standing is None:
        raise StoreRefused("this patient is not merged into another")
    return _unlink(conn, tenant, {**params, "link": standing.id}, now)


WRITES: dict[str, Callable[[Connection, str, Mapping[str, Any], datetime], Any]] = {
    "patients.merge": _merge,
    "patients.unmerge": _unmerge,
    "patients.unlink": _unlink,
}


# --- reading --------------------------------------------------------------------------------------------------------


def standing(engine: Engine, tenant: str, kind: str, keys: Sequence[str]) -> dict[str, str]:
    """key -> patient, of the links that count."""
    chosen = select(table.c.key, table.c.patient_id).where(
        table.c.tenant == tenant, table.c.kind == kind, table.c.key.in_(list(keys)), table.c.ended_at.is_(None)
    )
    with engine.connect() as conn:
        return {row.key: row.patient_id for row in conn.execute(chosen)} if keys else {}


def of_patient(engine: Engine, tenant: str, patient_ids: Sequence[str]) -> tuple[Link, ...]:
    """All links of these rows, ended or not, oldest first."""
    chosen = select(table).where(table.c.tenant == tenant, table.c.patient_id.in_(list(patient_ids)))
    with engine.connect() as conn:
        rows = conn.execute(chosen.order_by(table.c.made_at, table.c.id)).all()
    return tuple(Link(**{name: getattr(row, name) for name in Link.__dataclass_fields__}) for row in rows)
