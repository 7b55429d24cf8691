"""Which host a patient chose for his dossier, since when, and who recorded it.

Promises: a choice is dated and never rewritten: the one that began last counts; a patient is named by his row in the
register, and what was chosen for a row that was merged counts for the one that it became. Does not: move documents, nor
know hosts (hosts.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Engine, Index, PrimaryKeyConstraint, String, Table, insert, or_, select

from dmp_bridge.tables import metadata, patients
from relay import journal
from relay.model import Event
from relay.store.tables import Moment

choices = Table(
    "dossier_choices",
    metadata,
    Column("tenant", String(64), nullable=False),
    Column("id", String(32), nullable=False),
    Column("patient_id", String(26), nullable=False),
    Column("host", String(64), nullable=False),
    Column("since", Moment(), nullable=False),
    Column("recorded_at", Moment(), nullable=False),
    Column("recorded_by", String(320), nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
    Index("dossier_choices_by_patient", "tenant", "patient_id", "since"),
)


@dataclass(frozen=True)
class Choice:
    host: str
    since: datetime
    recorded_at: datetime
    recorded_by: str


def _put(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> str:
    """`patient_id`, `host`, `since` (ISO 8601), `by`. The same choice asked twice is one row."""
    since = datetime.fromisoformat(params["since"])
    parts = (tenant, params["patient_id"], params["host"], since.isoformat())
    row_id = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    if conn.scalar(select(choices.c.id).where(choices.c.tenant == tenant, choices.c.id == row_id)) is None:
        told = {"patient_id": params["patient_id"], "host": params["host"], "since": since}
        conn.execute(
            insert(choices).values(tenant=tenant, id=row_id, recorded_at=now, recorded_by=params["by"], **told)
        )
        facts = (("host", params["host"]), ("patient", params["patient_id"]), ("by", params["by"]))
        journal.append(conn, tenant, [Event("dossier-chosen", facts=facts)], now)
    return row_id


WRITES: dict[str, Callable[[Connection, str, Mapping[str, Any], datetime], Any]] = {"choice.put": _put}


def of_patient(engine: Engine, tenant: str, patient_id: str) -> tuple[Choice, ...]:
    """All that was chosen for a patient, newest first."""
    held = choices.c
    merged = select(patients.c.id).where(patients.c.tenant == tenant, patients.c.merged_into == patient_id)
    chosen = select(choices).where(
        held.tenant == tenant, or_(held.patient_id == patient_id, held.patient_id.in_(merged))
    )
    with engine.connect() as conn:
        rows = conn.execute(chosen.order_by(held.since.desc(), held.recorded_at.desc())).all()
    return tuple(Choice(row.host, row.since, row.recorded_at, row.recorded_by) for row in rows)


def at(engine: Engine, tenant: str, patient_id: str, moment: datetime) -> str | None:
    """The host that counts at a moment; None where the patient chose none."""
    return next((each.host for each in of_patient(engine, tenant, patient_id) if each.since <= moment), None)
