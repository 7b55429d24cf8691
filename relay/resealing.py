"""Values that lie sealed in rows: which are sealed to an older body key, and putting another sealing in their place.

Promises: a row changes only if it still holds what was wrapped again, so that who wrote it meanwhile is not undone; its
other columns stay. Does not: open anything (the keeper wraps again), or know whose value it is.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Table, select, update

from relay.spooler import SpoolClient, StoreRefused, Write


@dataclass(frozen=True)
class Sealed:
    """A column of sealed values. The table has a tenant."""

    table: Table
    column: str

    @property
    def name(self) -> str:
        return f"{self.table.name}.{self.column}"

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.table.primary_key)


@dataclass(frozen=True)
class Held:
    """One sealed value, and the key of its row."""

    key: Mapping[str, Any]
    value: bytes


def held(engine: Engine, tenant: str, of: Sealed) -> Iterator[Held]:
    """Every sealed value of a tenant in one column."""
    table = of.table
    columns = [table.c[name] for name in of.key]
    query = select(table.c[of.column], *columns).where(table.c.tenant == tenant)
    with engine.connect() as conn:
        for value, *key in conn.execution_options(yield_per=500).execute(query):
            yield Held(dict(zip(of.key, key, strict=True)), bytes(value))


def put(client: SpoolClient, tenant: str, of: Sealed, before: Held, after: bytes) -> bool:
    """False where the row is gone or holds another value by now. Raises StoreDown, StoreRefused."""
    told = {"old": _text(before.value), "new": _text(after), "key": dict(before.key)}
    return bool(client.write("relay.reseal", tenant, column=of.name, **told))


def writes(columns: Sequence[Sealed]) -> dict[str, Write]:
    """What the spooler runs; it changes no other columns than these."""
    known = {each.name: each for each in columns}

    def reseal(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> bool:
        of = known.get(params["column"])
        if of is None or set(params["key"]) != set(of.key) or params["key"]["tenant"] != tenant:
            raise StoreRefused("no such sealed value")
        table = of.table
        mine = [table.c[name] == value for name, value in params["key"].items()]
        same = table.c[of.column] == base64.b64decode(params["old"])
        changed = conn.execute(update(table).where(*mine, same).values({of.column: base64.b64decode(params["new"])}))
        return bool(changed.rowcount)

    return {"relay.reseal": reseal}


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
