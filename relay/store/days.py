"""The table of indicators: per tenant, day and mailbox, how often what happened; and how it is counted up.

Promises: one row per (tenant, day, mailbox, measure, key); counting is one statement whatever the database. A mailbox
is one of ours; a patient's is none, he stands as '@patient.mssante.fr'. Does not: know what is counted
(relay.indicators).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, String, Table, delete
from sqlalchemy.dialects import postgresql, sqlite

from relay.store import direct
from relay.store.tables import metadata

indicator_days = Table(
    "indicator_days",
    metadata,
    Column("tenant", String(64), primary_key=True),
    # YYYY-MM-DD in Europe/Paris
    Column("day", String(10), primary_key=True),
    Column("mailbox", String(320), primary_key=True),
    Column("measure", String(32), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("octets", BigInteger, nullable=False),
)


@cache
def _counting(dialect: str) -> Any:
    t = indicator_days
    insert: Any = (postgresql if dialect == "postgresql" else sqlite).insert(t)
    more = {
        "number": t.c.number + insert.excluded.number,
        "octets": t.c.octets + insert.excluded.octets,
    }
    return insert.on_conflict_do_update(index_elements=list(t.primary_key.columns), set_=more)


def count(conn: Connection, rows: list[dict[str, Any]]) -> None:
    """Adds `number` and `octets` of each row to what is there."""
    if rows:
        direct.add(conn, _counting(conn.dialect.name), rows)


def drop_empty(conn: Connection, tenant: str) -> None:
    """Takes out rows that count nothing any more."""
    t = indicator_days
    conn.execute(delete(t).where(t.c.tenant == tenant, t.c.number <= 0))
