"""Taking a patient out of the register: his rows, numbers, links, objections, choices, and his place in the work list.

Promises: his rows are those that bear his matricule now, found by its pseudonym, and what was merged with them; it
happens in one transaction, and again it finds nothing; the journal says how many rows went, and names nobody. Who bore
the matricule once and bears another today is somebody else until a person says otherwise: he is counted, and stays.
Does not: take filings away, which prove a deposit and hold no identity (a document's id and hash), reach dossiers
(what is hidden from him there stays so), or keep the application that feeds the register from telling of him again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Table, and_, delete, func, or_, select, update

from dmp_bridge import oppositions
from dmp_bridge.choices import choices
from dmp_bridge.links import MERGE
from dmp_bridge.tables import filings, patient_identifiers, patient_links, patients, worklist
from dmp_bridge.tables import oppositions as objections
from relay import journal
from relay.model import Event
from relay.spooler import SpoolClient

_OWN = (patient_identifiers, patient_links, objections, choices)
"""Tables whose rows are one patient's and go with him."""


@dataclass(frozen=True)
class Held:
    """What the register holds of a patient: rows by table; `formerly`: others who bore his matricule."""

    rows: Mapping[str, int] = field(default_factory=dict)
    formerly: int = 0

    @property
    def any(self) -> bool:
        return any(self.rows.values())


def held(engine: Engine, tenant: str, whose: str) -> Held:
    """`whose`: the pseudonym of a matricule."""
    with engine.connect() as conn:
        family = _family(conn, tenant, whose)
        return Held(_counts(conn, tenant, family), _formerly(conn, tenant, whose, family))


def forget(client: SpoolClient, tenant: str, whose: str, why: Mapping[str, str]) -> dict[str, int]:
    """Rows by table that are gone or, in the work list, name him no more. Raises StoreDown."""
    told: dict[str, int] = client.write("patients.forget", tenant, whose=whose, why=dict(why))
    return told


def _family(conn: Connection, tenant: str, whose: str) -> frozenset[str]:
    """The rows that are the patient: with those that bear the matricule all that they were merged with, unless what
    they became bears another."""
    bearing = conn.scalars(select(patients.c.id).where(patients.c.tenant == tenant, patients.c.ins == whose)).all()
    families = (oppositions.family(conn, tenant, [each]) for each in bearing)
    return frozenset().union(*(each for each in families if _bear(conn, tenant, each) <= {"", whose}))


def _bear(conn: Connection, tenant: str, family: frozenset[str]) -> set[str]:
    """The matricules, as pseudonyms, of the rows that were merged into none."""
    c = patients.c
    return set(conn.scalars(select(c.ins).where(c.tenant == tenant, c.id.in_(family), c.merged_into == "")))


def _formerly(conn: Connection, tenant: str, whose: str, family: frozenset[str]) -> int:
    c = patient_identifiers.c
    bore = select(c.patient_id).where(c.tenant == tenant, c.kind == "ins", c.key == whose)
    return len(set(conn.scalars(bore)) - family)


def _counts(conn: Connection, tenant: str, family: frozenset[str]) -> dict[str, int]:
    told = {"patients": _count(conn, patients, patients.c.tenant == tenant, patients.c.id.in_(family))}
    told |= {table.name: _count(conn, table, *_of(table, tenant, family)) for table in _OWN}
    return told | {"worklist": len(_lines(conn, tenant, family))}


def _count(conn: Connection, table: Table, *where: Any) -> int:
    return conn.scalar(select(func.count()).select_from(table).where(*where)) or 0


def _of(table: Table, tenant: str, family: frozenset[str]) -> tuple[Any, Any]:
    """A merge names its other row by its key."""
    his: list[Any] = [table.c.patient_id.in_(family)]
    if table is patient_links:
        his.append(and_(table.c.kind == MERGE, table.c.key.in_(family)))
    return table.c.tenant == tenant, or_(*his)


def _lines(conn: Connection, tenant: str, family: frozenset[str]) -> list[Any]:
    """Of the work list: decided for him, or with him among the candidates."""
    c = worklist.c
    named = [c.candidates.contains(json.dumps(each), autoescape=True) for each in family]
    if not family:
        return []
    where = (c.tenant == tenant, or_(c.patient_id.in_(family), *named))
    return list(conn.execute(select(c.id, c.patient_id, c.candidates, c.sides).where(*where)))


# --- inside the spooler --------------------------------------------------------------------------------------------


def _forget(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> dict[str, int]:
    """`whose`, `why`."""
    family = _family(conn, tenant, params["whose"])
    told = _counts(conn, tenant, family)
    if not any(told.values()):
        return told
    for line in _lines(conn, tenant, family):
        _clear(conn, tenant, line, family)
    hidden = update(filings).where(filings.c.tenant == tenant, filings.c.hidden_from.in_(family))
    conn.execute(hidden.values(hidden_from=""))
    for table in _OWN:
        conn.execute(delete(table).where(*_of(table, tenant, family)))
    conn.execute(delete(patients).where(patients.c.tenant == tenant, patients.c.id.in_(family)))
    facts = (*params["why"].items(), *((name, str(count)) for name, count in told.items() if count))
    journal.append(conn, tenant, [Event("patient-forgotten", facts=facts)], now)
    return told


def _clear(conn: Connection, tenant: str, line: Any, family: frozenset[str]) -> None:
    """He is a candidate no more; where it was decided for him, the line keeps what was decided, not of whom."""
    candidates, sides = json.loads(line.candidates), json.loads(line.sides)
    kept = [place for place, each in enumerate(candidates) if each not in family]
    values = {"candidates": json.dumps([candidates[place] for place in kept])}
    values["sides"] = json.dumps([sides[place] for place in kept if place < len(sides)])
    if line.patient_id in family:
        values |= {"patient_id": "", "presented": "[]"}
    conn.execute(update(worklist).where(worklist.c.tenant == tenant, worklist.c.id == line.id).values(**values))


WRITES: dict[str, Callable[[Connection, str, Mapping[str, Any], datetime], Any]] = {"patients.forget": _forget}
