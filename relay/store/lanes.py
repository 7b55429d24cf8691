"""Lanes: what waits, gathered by tenant, mode and target; and what is known of the destinations at their end.

Promises: a lane says when there may be something to take in it, never later than its first queued letter, save where
its destination is dead: then at the moment of the probe, for all who wait there. Waking one that is awake writes
nothing. Does not: choose letters (relay.store.claims), or say what a failure means (relay.feedback).

All of it runs inside the spooler.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, Select, Update, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from relay.feedback import NEW, Standing
from relay.model import State
from relay.spooler import MEMO
from relay.store import direct
from relay.store.rows import Held
from relay.store.statements import given, places
from relay.store.tables import destinations, lanes, recipients

NODE = ""
"""The tenant of what the node knows for all."""
LOOKED_AT = 64
"""Lanes that one claim looks at, at most."""
TIDIED_EACH = 16
"""Claims: an empty lane in the row costs little, a full look-out of empty ones a claim."""
_CLAIMS = "lanes.claims"
_MEMO = "lanes.awake"
_STANDING = "lanes.standing"
_AWAKE = "SELECT due_at FROM lanes WHERE tenant = ? AND lane = ?"


# --- waking -------------------------------------------------------------------------------------------------


def wake(conn: Connection, rows: Iterable[Held], at: datetime) -> None:
    """These recipients wait from `at` on. Rows need tenant, lane, mode and target."""
    for _, row in sorted({(each["tenant"], each["lane"]): each for each in rows}.items()):
        memo = conn.info.get(MEMO, {})
        known = memo.get((_MEMO, row["tenant"], row["lane"]))
        if (known is None or known > at) and not _is_awake(conn, row, at):
            told = {"tenant": row["tenant"], "lane": row["lane"], "destination": end_of(row), "at": at}
            conn.execute(_waking(conn.dialect.name), told)
            memo[_MEMO, row["tenant"], row["lane"]] = at


def _is_awake(conn: Connection, row: Held, at: datetime) -> bool:
    """On SQLite nobody else writes meanwhile, so that looking is enough; and it is asked for each letter that comes, so
    that it goes past SQLAlchemy, which takes five times as long."""
    if conn.dialect.name != "sqlite":
        return False
    found = direct.say(conn, _AWAKE, (row["tenant"], row["lane"])).fetchone()
    return bool(found and found[0] and found[0] <= f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}")


def end_of(row: Held) -> str:
    """The destination of a row."""
    kind = row["mode"] if row["mode"] in ("mailbox", "dossier") else "peer"
    return f"{'dossier' if row['mode'] == 'dossier-show' else kind} {row['target']}"


@cache
def _waking(dialect: str) -> Insert:
    """tenant, lane, destination, at. A dead destination's lane wakes for the probe."""
    d, at = destinations.c, bindparam("at", type_=lanes.c.due_at.type)
    end = bindparam("destination", type_=lanes.c.destination.type)
    dead = select(d.until).where(d.tenant == NODE, d.destination == end, d.until > at).scalar_subquery()
    new = postgresql.insert(lanes) if dialect == "postgresql" else sqlite.insert(lanes)
    row = {name: bindparam(name, type_=lanes.c[name].type) for name in ("tenant", "lane")}
    new = new.values(**row, destination=end, due_at=func.coalesce(dead, at))
    sooner = or_(lanes.c.due_at.is_(None), lanes.c.due_at > new.excluded.due_at)
    woken: Insert = new.on_conflict_do_update(
        index_elements=["tenant", "lane"], set_={"due_at": new.excluded.due_at}, where=sooner
    )
    return woken


# --- after a claim ------------------------------------------------------------------------------------------


def served(conn: Connection, taken: Iterable[tuple[str, str]], now: datetime) -> None:
    """Those that were taken from go to the end of the row, whatever is left in them; now and then those that seemed
    ready and hold nothing are put to sleep."""
    for tenant, lane in sorted(set(taken)):
        direct.run(conn, _set(), places(tenant=tenant, lane=lane) | {"due_at": now})
    conn.info[_CLAIMS] = conn.info.get(_CLAIMS, 0) + 1
    if conn.info[_CLAIMS] % TIDIED_EACH == 0:
        put_to_sleep(conn, now)


def put_to_sleep(conn: Connection, now: datetime) -> int:
    """Those that seem ready and hold nothing; how many."""
    rows = conn.execute(_seeming(), places(due_at=now)).all()
    for row in rows:
        one = places(tenant=row.tenant, lane=row.lane)
        if conn.dialect.name == "postgresql":  # whoever keeps a letter for it just now comes before, or after
            conn.execute(_locked(), one)
        conn.execute(_set(), one | {"due_at": conn.scalar(_first(), one)})
        conn.info.get(MEMO, {}).pop((_MEMO, row.tenant, row.lane), None)
    return len(rows)


@cache
def _seeming() -> Select[Any]:
    of = lanes.c
    holds = select(recipients.c.id).where(
        recipients.c.state == State.QUEUED.value,
        recipients.c.tenant == of.tenant,
        recipients.c.lane == of.lane,
        recipients.c.due_at <= given(of.due_at),
    )
    ready = select(of.tenant, of.lane).where(of.due_at <= given(of.due_at), ~holds.exists())
    return ready.order_by(of.due_at).limit(LOOKED_AT)


@cache
def _first() -> Select[Any]:
    r = recipients.c
    mine = and_(r.state == State.QUEUED.value, r.tenant == given(r.tenant), r.lane == given(r.lane))
    return select(func.min(r.due_at)).where(mine)


@cache
def _locked() -> Select[Any]:
    mine = (lanes.c.tenant == given(lanes.c.tenant), lanes.c.lane == given(lanes.c.lane))
    return select(lanes.c.lane).where(*mine).with_for_update()


@cache
def _set() -> Update:
    return update(lanes).where(lanes.c.tenant == given(lanes.c.tenant), lanes.c.lane == given(lanes.c.lane))


# --- what is known of a destination -------------------------------------------------------------------------


def standing(conn: Connection, name: str) -> Standing:
    memo = conn.info.get(MEMO, {})
    if (_STANDING, name) not in memo:
        rows = direct.rows(conn, _standing(), places(destination=name))
        memo[_STANDING, name] = Standing(*rows[0].values()) if rows else NEW
    known: Standing = memo[_STANDING, name]
    return known


@cache
def _standing() -> Select[Any]:
    d = destinations.c
    return select(d.width, d.failures, d.until).where(d.tenant == NODE, d.destination == given(d.destination))


def learn(conn: Connection, name: str, before: Standing, known: Standing, reason: str, now: datetime) -> None:
    """Keeps what was learned; of a destination that died, or lives again, all lanes hear."""
    if known == before:
        return
    conn.info.get(MEMO, {})[_STANDING, name] = known
    values = {"width": known.window, "failures": known.failures, "until": known.until, "reason": reason}
    if not direct.run(conn, _known(), places(destination=name) | values):
        conn.execute(insert(destinations), {"tenant": NODE, "destination": name, **values})
    d = lanes.c
    if known.until is None and before.until is None:
        return
    waiting = update(lanes).where(d.destination == name, d.due_at.is_not(None))
    if known.until is not None:
        conn.execute(waiting.where(d.due_at < known.until).values(due_at=known.until))
    else:
        conn.execute(waiting.values(due_at=now))


@cache
def _known() -> Update:
    d = destinations.c
    return update(destinations).where(d.tenant == NODE, d.destination == given(d.destination))


def try_now(conn: Connection, row: Held, now: datetime) -> None:
    """A person wants it: a dead destination is probed at once."""
    d, of, name = destinations.c, lanes.c, end_of(row)
    dead = update(destinations).where(d.tenant == NODE, d.destination == name, d.until > now)
    if conn.execute(dead.values(until=now)).rowcount:
        conn.info.get(MEMO, {}).pop((_STANDING, name), None)
        conn.execute(update(lanes).where(of.destination == name, of.due_at > now).values(due_at=now))


# --- care ---------------------------------------------------------------------------------------------------


def heal(conn: Connection, now: datetime) -> int:
    """Wakes lanes that sleep over what is due: none should; how many did."""
    r, of = recipients.c, lanes.c
    waiting = (
        select(r.tenant, r.lane, func.min(r.mode).label("mode"), func.min(r.target).label("target"))
        .where(r.state == State.QUEUED.value, r.due_at <= now)
        .group_by(r.tenant, r.lane)
        .subquery()
    )
    known = select(of.lane).where(of.tenant == waiting.c.tenant, of.lane == waiting.c.lane, of.due_at <= now).exists()
    rows = conn.execute(select(waiting).where(~known)).mappings().all()
    asleep = [row for row in rows if (until := standing(conn, end_of(row)).until) is None or until <= now]
    for row in asleep:
        conn.info.get(MEMO, {}).pop((_MEMO, row["tenant"], row["lane"]), None)
    wake(conn, asleep, now)
    return len(asleep)


def forgotten() -> Select[Any]:
    """Recipients that wait in a lane that does not know of them (relay.store.reads.verify)."""
    r, of = recipients.c, lanes.c
    knows = and_(of.tenant == r.tenant, of.lane == r.lane, of.due_at.is_not(None))
    return select(r.id).where(r.state == State.QUEUED.value, ~select(of.lane).where(knows).exists())
