"""The outbox towards the national directory: of each mailbox what is wanted there, and what is (spec/operator.md §3.4).

Promises: one row a mailbox; a wish is kept in the transaction that journals it, and asking twice changes nothing; an
answer counts for the wish that was sent, not for one that came meanwhile. Texts of wishes are opaque here, empty: not
to be published. Does not: send (directory.announcement and its adapters do), or know when to try again.

The functions that begin with an underscore run inside the spooler; the others are called anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)

from relay import journal
from relay.model import Event
from relay.spooler import SpoolClient, Write
from relay.store.tables import Moment, metadata

AT_ONCE = 500
"""Mailboxes of one write."""

publications = Table(
    "publications",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("address", String(320), primary_key=True),
    # What people want, and what the other side has; '' is: not published.
    Column("wanted", Text, nullable=False),
    Column("published", Text, nullable=False),
    # 'due', 'sent' (a report is awaited), 'done', 'refused'
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Moment(), nullable=False),
    Column("reason", String(128), nullable=False),
    Column("changed_at", Moment(), nullable=False),
    Index("publications_by_due", "tenant", "state", "due_at"),
)


class State(StrEnum):
    DUE = "due"
    SENT = "sent"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True)
class Publication:
    address: str
    wanted: str
    published: str
    state: State
    attempts: int
    due_at: datetime
    reason: str
    changed_at: datetime


@dataclass(frozen=True)
class Settled:
    """How the sending of `wanted` went; `due_at`: when to look again, of DUE and SENT."""

    address: str
    wanted: str
    state: State
    reason: str = ""
    due_at: datetime | None = None


# --- called anywhere ---------------------------------------------------------------------------------------------


def want(client: SpoolClient, tenant: str, wishes: Mapping[str, str], by: str) -> int:
    """address -> what is wanted of it. How many changed. Raises StoreDown."""
    changed, listed = 0, list(wishes.items())
    for first in range(0, len(listed), AT_ONCE):
        changed += int(client.write("publication.want", tenant, wishes=listed[first : first + AT_ONCE], by=by))
    return changed


def settle(client: SpoolClient, tenant: str, told: Sequence[Settled]) -> None:
    """Raises StoreDown; idempotent."""
    for first in range(0, len(told), AT_ONCE):
        rows = [_packed(each) for each in told[first : first + AT_ONCE]]
        client.write("publication.settle", tenant, settled=rows)


def again(client: SpoolClient, tenant: str) -> int:
    """Those that were refused are due once more; how many."""
    return int(client.write("publication.again", tenant))


def due(engine: Engine, tenant: str, now: datetime, limit: int = 1_000) -> list[Publication]:
    """The longest due first; those whose report did not come among them."""
    p = publications.c
    states = (State.DUE.value, State.SENT.value)
    asked = select(publications).where(p.tenant == tenant, p.state.in_(states), p.due_at <= now)
    with engine.connect() as conn:
        return [_read(row) for row in conn.execute(asked.order_by(p.due_at, p.address).limit(limit))]


def counts(engine: Engine, tenant: str) -> dict[State, int]:
    p = publications.c
    asked = select(p.state, func.count()).where(p.tenant == tenant).group_by(p.state)
    with engine.connect() as conn:
        found = {State(state): int(number) for state, number in conn.execute(asked)}
    return {state: found.get(state, 0) for state in State}


def listed(engine: Engine, tenant: str, states: Sequence[State] = tuple(State)) -> list[Publication]:
    p = publications.c
    asked = select(publications).where(p.tenant == tenant, p.state.in_([each.value for each in states]))
    with engine.connect() as conn:
        return [_read(row) for row in conn.execute(asked.order_by(p.address))]


def one(engine: Engine, tenant: str, mailbox: str) -> Publication | None:
    with engine.connect() as conn:
        row = _row(conn, tenant, mailbox)
    return _read(row) if row else None


def _read(row: Row[Any]) -> Publication:
    told = row._mapping
    return Publication(
        told["address"], told["wanted"], told["published"], State(told["state"]), told["attempts"], told["due_at"],
        told["reason"], told["changed_at"],
    )  # fmt: skip


def _packed(told: Settled) -> dict[str, Any]:
    due_at = told.due_at.isoformat() if told.due_at else ""
    return {"address": told.address, "wanted": told.wanted, "state": told.state, "reason": told.reason, "due": due_at}


# --- inside the spooler ------------------------------------------------------------------------------------------


def _want(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> int:
    events = []
    for address, wanted in params["wishes"]:
        if _wish(conn, tenant, address, wanted, now):
            facts = (("mailbox", address), ("by", params["by"]), ("wanted", "published" if wanted else "withdrawn"))
            events.append(Event("publication-wanted", facts=facts))
    journal.append(conn, tenant, events, now)
    return len(events)


def _wish(conn: Connection, tenant: str, address: str, wanted: str, now: datetime) -> bool:
    row = _row(conn, tenant, address)
    if (row.wanted if row else "") == wanted:
        return False
    # A try whose fate is not known may have changed what is there: then it is asked for again, and remembered.
    unsure = bool(row and (row.state == State.SENT or (row.state == State.DUE and row.attempts)))
    state = State.DONE if row and row.published == wanted and not unsure else State.DUE
    values = {"wanted": wanted, "state": state.value, "attempts": int(unsure), "reason": ""}
    moments = {"due_at": now, "changed_at": now}
    if row:
        conn.execute(_here(tenant, address).values(**values, **moments))
    else:
        new = insert(publications).values(tenant=tenant, address=address, published="", **values, **moments)
        conn.execute(new)
    return True


def _settle(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> None:
    told = [event for each in params["settled"] if (event := _settle_one(conn, tenant, each, now))]
    journal.append(conn, tenant, told, now)


def _settle_one(conn: Connection, tenant: str, told: Mapping[str, Any], now: datetime) -> Event | None:
    """None where nothing is to be said: a further try, or an answer that is known already."""
    row, state = _row(conn, tenant, told["address"]), State(told["state"])
    if row is None:
        return None
    values: dict[str, Any] = {"published": told["wanted"]} if state is State.DONE else {}
    if row.wanted == told["wanted"] and row.state != State.DONE:
        due_at = datetime.fromisoformat(told["due"]) if told["due"] else now
        tried = 0 if state is State.DONE else row.attempts + 1
        values |= {"state": state.value, "reason": told["reason"][:128], "due_at": due_at, "attempts": tried}
        values["changed_at"] = now
    if values:
        conn.execute(_here(tenant, told["address"]).values(**values))
    known = row.state == state.value or state in (State.DUE, State.SENT)
    name = {State.DONE: "published" if told["wanted"] else "unpublished"}.get(state, "publication-refused")
    facts = (("mailbox", told["address"]), *((("reason", told["reason"]),) if told["reason"] else ()))
    return None if known else Event(name, facts=facts)


def _again(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> int:
    p = publications.c
    chosen = update(publications).where(p.tenant == tenant, p.state == State.REFUSED.value)
    return int(conn.execute(chosen.values(state=State.DUE.value, attempts=0, due_at=now, reason="")).rowcount)


def _row(conn: Connection, tenant: str, address: str) -> Row[Any] | None:
    p = publications.c
    return conn.execute(select(publications).where(p.tenant == tenant, p.address == address)).one_or_none()


def _here(tenant: str, address: str) -> Any:
    p = publications.c
    return update(publications).where(p.tenant == tenant, p.address == address)


WRITES: dict[str, Write] = {"publication.want": _want, "publication.settle": _settle, "publication.again": _again}
