"""The statements by which work is taken: which letters, for which lanes, under which caps.

Promises: one statement chooses and takes; what it reads grows with the number of letters asked for, not with the queue
nor with the lanes that wait. A lane is a tenant's queue by one mode towards one target; who is at its end has one cap,
whatever the tenant and the mode (relay.store.ready).
Does not: commit, journal or retry.

On PostgreSQL several nodes take at once. A row that one of them holds is passed over (FOR UPDATE SKIP LOCKED), so that
nobody takes it twice or waits for it; `take_turns` comes before, so that the caps hold over all nodes and a letter's
recipients are not shared between two.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import CTE, Connection, Select, and_, func, select, true, tuple_, update
from sqlalchemy.sql.dml import ReturningUpdate

from relay.model import State
from relay.store import chains
from relay.store.ready import given, ready
from relay.store.tables import recipients

_QUEUED = State.QUEUED.value
_RUNNING = State.RUNNING.value


def take(
    dialect: str, worker: str, lease: str, limit: int, per_lane: int, now: datetime, until: datetime
) -> tuple[ReturningUpdate[Any], dict[str, Any]]:
    """Leases up to `limit` letters, of each lane as many as its destination has room, the oldest first.
    All recipients of a letter that share a lane go together. The statement, which returns their rows, and its
    parameters."""
    told = {"worker": worker, "lease": lease, "limit": limit, "per_lane": per_lane, "now": now, "until": until}
    parameters: dict[str, Any] = {f"take_{name}": value for name, value in told.items()}
    return _taking(dialect), parameters | {"take_depth": max(limit, per_lane)}


def take_turns(conn: Connection) -> None:
    """Waits until no other node is taking, or has taken and not yet committed; alone there is nobody to wait for."""
    if conn.dialect.name == "postgresql":
        conn.execute(_turn())


@cache
def _turn() -> Select[Any]:
    return select(func.pg_advisory_xact_lock(chains.place("claims")))


@cache
def _taking(dialect: str) -> ReturningUpdate[Any]:
    """Built once: SQLAlchemy takes longer to build it than SQLite to run it."""
    r, of = recipients, recipients.alias("of_letter")
    chosen = _chosen(_oldest if dialect == "postgresql" else _due).subquery("chosen")
    same = and_(of.c.tenant == chosen.c.tenant, of.c.letter_id == chosen.c.letter_id, of.c.lane == chosen.c.lane)
    # lower() keeps the planner off the index of the whole lane: it must go by the letter.
    still = and_(func.lower(of.c.state) == _QUEUED, of.c.due_at <= given("now", r.c.due_at))
    # Locked where the database knows such locks; a common table expression, so that it is run exactly once.
    mine = select(of.c.tenant, of.c.id).select_from(chosen.join(of, same)).where(still)
    taken = mine.with_for_update(skip_locked=True, of=of).cte("taken")
    rows = select(taken.c.tenant, taken.c.id)
    leased = {
        "worker": given("worker", r.c.worker),
        "lease": given("lease", r.c.lease),
        "lease_until": given("until", r.c.lease_until),
    }
    return (
        update(r)
        .where(tuple_(r.c.tenant, r.c.id).in_(rows))
        .values(state=_RUNNING, attempts=r.c.attempts + 1, **leased)
        .returning(r)
    )


def _chosen(of_lanes: Callable[[CTE], CTE]) -> Select[Any]:
    """Of each destination as many letters as it has room; of each tenant's letters the first of every lane come first,
    and tenants by turns."""
    due = of_lanes(ready())
    of_lane = func.row_number().over(partition_by=(due.c.tenant, due.c.lane), order_by=(due.c.due_at, due.c.letter_id))
    places = select(due, of_lane.label("place")).cte("places")
    by_place = (places.c.place, places.c.turn, places.c.due_at, places.c.letter_id)
    there = func.row_number().over(partition_by=places.c.destination, order_by=by_place)
    here = func.row_number().over(partition_by=places.c.tenant, order_by=by_place)
    first = func.min(places.c.turn).over(partition_by=places.c.tenant)
    ranked = select(places, there.label("there"), (here + first).label("here")).cte("ranked")
    return (
        select(ranked.c.tenant, ranked.c.letter_id, ranked.c.lane)
        .where(ranked.c.there + ranked.c.busy <= ranked.c.room)
        .order_by(ranked.c.here, ranked.c.due_at, ranked.c.letter_id)
        .limit(given("limit"))
    )


def _of(lanes: CTE, due_at: Any) -> tuple[Any, ...]:
    return (lanes.c.tenant, lanes.c.lane, lanes.c.destination, lanes.c.turn, lanes.c.busy, lanes.c.room, due_at)


def _due(lanes: CTE) -> CTE:
    """Of each lane the letters among its oldest due recipients."""
    r, oldest = recipients, recipients.alias("oldest")
    mine = and_(oldest.c.state == _QUEUED, oldest.c.tenant == lanes.c.tenant, oldest.c.lane == lanes.c.lane)
    first = (
        select(oldest.c.id)
        .where(mine, oldest.c.due_at <= given("now", r.c.due_at))
        .order_by(oldest.c.due_at)
        .limit(given("depth"))
        .correlate(lanes)
    )
    return (
        select(r.c.letter_id, *_of(lanes, func.min(r.c.due_at).label("due_at")))
        .select_from(lanes.join(r, and_(r.c.tenant == lanes.c.tenant, r.c.id.in_(first))))
        .group_by(r.c.letter_id, *_of(lanes, lanes.c.lane)[:6])
        .cte("due")
    )


def _oldest(lanes: CTE) -> CTE:
    """The same for PostgreSQL, which would ask the above of each lane for each row: LATERAL asks it once a lane."""
    r = recipients
    first = (
        select(r.c.letter_id, r.c.due_at)
        .where(r.c.state == _QUEUED, r.c.tenant == lanes.c.tenant, r.c.lane == lanes.c.lane)
        .where(r.c.due_at <= given("now", r.c.due_at))
        .order_by(r.c.due_at)
        .limit(given("depth"))
        .lateral("first")
    )
    return (
        select(first.c.letter_id, *_of(lanes, func.min(first.c.due_at).label("due_at")))
        .select_from(lanes.join(first, true()))
        .group_by(first.c.letter_id, *_of(lanes, lanes.c.lane)[:6])
        .cte("due")
    )


def lapse(now: datetime, most: int) -> ReturningUpdate[Any]:
    """Puts back what a dead worker held: its lease is over. Held instead after `most` lapses in a row."""
    r = recipients
    over = and_(r.c.state == _RUNNING, r.c.lease_until < now)
    again = update(r).where(over, r.c.lapses < most).values(state=_QUEUED)
    return _freed(again, r)


def set_aside(now: datetime, reason: str) -> ReturningUpdate[Any]:
    """Holds what is still running on an ended lease, for a person to look at: it kills those who carry it."""
    r = recipients
    over = and_(r.c.state == _RUNNING, r.c.lease_until < now)
    return _freed(update(r).where(over).values(state=State.HELD.value, reason=reason), r)


def _freed(statement: Any, r: Any) -> ReturningUpdate[Any]:
    freed = statement.values(worker="", lease="", lease_until=None, lapses=r.c.lapses + 1)
    returning: ReturningUpdate[Any] = freed.returning(
        r.c.tenant, r.c.id, r.c.letter_id, r.c.lane, r.c.mode, r.c.target, r.c.attempts
    )
    return returning
