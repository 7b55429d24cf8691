"""Letters from mailboxes that we hold at other operators: which have entered, which were refused, how collecting goes.

Promises: a letter's row and the place where it lay are one transaction (relay.spool keeps both), so that each enters
once, whatever is killed; a mailbox that its server renumbers brings nothing in twice, its letters are known by their
digest. Does not: speak IMAP, or decide what is refused.

The functions that begin with an underscore run inside the spooler; the others are called anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, and_, case, func, insert, select, update

from relay import journal
from relay.model import Event, Origin
from relay.spooler import SpoolClient, Write
from relay.store.tables import collected, collectors


class State(StrEnum):
    """How a collector is."""

    WATCHING = "watching"
    WAITING = "waiting"
    """Something of ours is in the way (store, directory): it tries again."""
    FAILING = "failing"
    """The other side or its configuration: it tries again, and somebody should look."""


@dataclass(frozen=True)
class Health:
    """One collector, as it last said of itself."""

    source: str
    state: State
    reason: str
    detail: str
    since: datetime
    well_at: datetime | None
    """When it was last watching."""
    entered: int
    refused: int


# --- called anywhere ---------------------------------------------------------------------------------------


def last_uid(engine: Engine, tenant: str, source: str, uid_validity: int) -> int:
    """The highest UID that was settled; 0 where none was. Letters are taken in rising order, so all below are too."""
    c = collected.c
    mine = and_(c.tenant == tenant, c.source == source, c.uid_validity == uid_validity)
    with engine.connect() as conn:
        return int(conn.scalar(select(func.max(c.uid)).where(mine)) or 0)


def refuse(client: SpoolClient, tenant: str, origin: Origin, digest: str, reason: str) -> None:
    """The letter does not enter; it stays where it is. Raises StoreDown."""
    client.write("collected.refuse", tenant, origin=asdict(origin), digest=digest, reason=reason)


def report(client: SpoolClient, tenant: str, source: str, state: State, reason: str = "", detail: str = "") -> None:
    """How the collector is, now. Raises StoreDown."""
    client.write("collected.report", tenant, source=source, state=state.value, reason=reason, detail=detail[:200])


def health(engine: Engine, tenant: str) -> list[Health]:
    c, of = collected.c, collectors.c
    counts = (
        select(
            c.source, func.sum(_when(c.reason == "")).label("entered"), func.sum(_when(c.reason != "")).label("refused")
        )
        .where(c.tenant == tenant)
        .group_by(c.source)
        .subquery()
    )
    query = (
        select(collectors, counts.c.entered, counts.c.refused)
        .select_from(collectors.outerjoin(counts, counts.c.source == of.source))
        .where(of.tenant == tenant)
        .order_by(of.source)
    )
    with engine.connect() as conn:
        return [_health(row) for row in conn.execute(query)]


def _when(condition: Any) -> Any:
    return case((condition, 1), else_=0)


def _health(row: Any) -> Health:
    counted = (int(row.entered or 0), int(row.refused or 0))
    return Health(row.source, State(row.state), row.reason, row.detail, row.since, row.well_at, *counted)


# --- inside the spooler ------------------------------------------------------------------------------------


def known(conn: Connection, tenant: str, origin: Origin, digest: str) -> bool:
    """Whether this letter has entered, under this number or, before the mailbox was renumbered, another."""
    c = collected.c
    mine = (c.tenant == tenant, c.source == origin.source)
    here = and_(c.uid_validity == origin.uid_validity, c.uid == origin.uid)
    before = and_(c.uid_validity != origin.uid_validity, c.digest == digest, c.digest != "")
    if conn.execute(select(c.uid).where(*mine, here)).first():
        return True
    return conn.execute(select(c.uid).where(*mine, before)).first() is not None


def enter(
    conn: Connection, tenant: str, origin: Origin, digest: str, now: datetime, *, letter_id: str = "", reason: str = ""
) -> None:
    """Notes the place once; asked again, it changes nothing."""
    c = collected.c
    here = and_(
        c.tenant == tenant, c.source == origin.source, c.uid_validity == origin.uid_validity, c.uid == origin.uid
    )
    if conn.execute(select(c.uid).where(here)).first():
        return
    values = {"letter_id": letter_id, "digest": digest, "reason": reason, "at": now}
    conn.execute(insert(collected).values(tenant=tenant, **asdict(origin), **values))


def _refuse(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> None:
    origin = Origin(**params["origin"])
    told_before = known(conn, tenant, origin, params["digest"])
    enter(conn, tenant, origin, params["digest"], now, reason=params["reason"])
    if told_before:
        return
    facts = (("source", origin.source), ("uid", str(origin.uid)), ("reason", params["reason"]))
    journal.append(conn, tenant, [Event("not-collected", facts=facts)], now)


def _report(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> None:
    of = collectors.c
    mine = (of.tenant == tenant, of.source == params["source"])
    held = conn.execute(select(collectors).where(*mine)).mappings().one_or_none()
    told = {name: params[name] for name in ("state", "reason", "detail")}
    well = {"well_at": now} if params["state"] == State.WATCHING else {}
    if held is None:
        conn.execute(insert(collectors).values(tenant=tenant, source=params["source"], since=now, **told, **well))
        return
    same = all(held[name] == value for name, value in told.items() if name != "detail")
    since = {} if same else {"since": now}
    conn.execute(update(collectors).where(*mine).values(**told, **well, **since))


WRITES: dict[str, Write] = {"collected.refuse": _refuse, "collected.report": _report}
