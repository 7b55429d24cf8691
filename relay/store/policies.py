"""Policy in the store: what people have set, and each change of it.

Promises: one value at one place; each change is a row of the journal, who, before, after, in the same transaction; what
is stored was checked here once more. Does not: know what the factory or a file says (relay.policy, gateway).

The functions that begin with an underscore run inside the spooler; the others are called anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select
from sqlalchemy.exc import DBAPIError

from relay import journal
from relay.model import Event
from relay.policy import Level, Line, PolicyDown, any_value, checked
from relay.spooler import SpoolClient, StoreRefused, Write
from relay.store.tables import policies

# --- called anywhere ---------------------------------------------------------------------------------------------


def read(engine: Engine, tenant: str) -> tuple[Line, ...]:
    """What people have set. Raises PolicyDown."""
    p = policies.c
    query = select(policies).where(p.tenant == tenant).order_by(p.level, p.holder, p.key)
    try:
        with engine.connect() as conn:
            rows = conn.execute(query).all()
    except DBAPIError as error:
        raise PolicyDown(type(error.orig).__name__) from error
    return tuple(Line(Level(row.level), row.holder, row.key, row.value, row.by, row.at) for row in rows)


def put(client: SpoolClient, tenant: str, line: Line) -> str:
    """Sets one value; answers the one that stood there, or ''. Raises BadPolicy, StoreDown."""
    line = checked(line)
    told = client.write("policy.put", tenant, level=line.level, **_told(line), value=line.value)
    return str(told)


def remove(client: SpoolClient, tenant: str, line: Line) -> str:
    """Takes one value back, whatever it is; answers it, or '' where none stood there. Raises BadPolicy, StoreDown."""
    line = checked(Line(line.level, line.holder, line.key, any_value(line.key), line.by))
    return str(client.write("policy.remove", tenant, level=line.level, **_told(line)))


def _told(line: Line) -> dict[str, str]:
    return {"holder": line.holder, "key": line.key, "by": line.by}


# --- inside the spooler ------------------------------------------------------------------------------------------


def _put(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> str:
    line = _checked(params)
    before = _taken_out(conn, tenant, line)
    row = {"level": line.level.value, "holder": line.holder, "key": line.key, "value": line.value}
    conn.execute(insert(policies).values(tenant=tenant, **row, by=line.by, at=now))
    journal.append(conn, tenant, [_event("policy-set", line, before, line.value)], now)
    return before


def _remove(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> str:
    line = _checked(params)
    before = _taken_out(conn, tenant, line)
    if before:
        journal.append(conn, tenant, [_event("policy-unset", line, before, "")], now)
    return before


def _checked(params: Mapping[str, Any]) -> Line:
    """Asked again here: what is stored is what can be read."""
    try:
        value = params.get("value") or any_value(params["key"])
        return checked(Line(Level(params["level"]), params["holder"], params["key"], value, params["by"]))
    except ValueError as error:
        raise StoreRefused(str(error)) from None


def _taken_out(conn: Connection, tenant: str, line: Line) -> str:
    """The value that stood there, which stands there no more."""
    p = policies.c
    here = (p.tenant == tenant, p.level == line.level.value, p.holder == line.holder, p.key == line.key)
    before = conn.execute(select(p.value).where(*here)).scalar_one_or_none()
    conn.execute(delete(policies).where(*here))
    return str(before or "")


def _event(name: str, line: Line, before: str, after: str) -> Event:
    facts = {"by": line.by, "level": line.level.value, "holder": line.holder, "key": line.key}
    told = facts | {"before": before, "after": after}
    return Event(name, facts=tuple((key, value) for key, value in told.items() if value))


WRITES: dict[str, Write] = {"policy.put": _put, "policy.remove": _remove}
