"""The statements by which work is taken: which letters, for which lanes, under which caps.

Promises: one statement chooses and takes; what it reads grows with the number of lanes and of letters asked
for, not with the queue. A lane is a mode and a target, it shares a connection and a cap, whatever the tenant.
Does not: commit, journal or retry.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import CTE, Integer, Select, and_, bindparam, func, select, tuple_, update
from sqlalchemy.sql.dml import ReturningUpdate

from relay.model import State
from relay.store.tables import recipients

_QUEUED = State.QUEUED.value
_RUNNING = State.RUNNING.value


def take(
    worker: str, lease: str, limit: int, per_lane: int, now: datetime, until: datetime
) -> tuple[ReturningUpdate[Any], dict[str, Any]]:
    """Leases up to `limit` letters, of each lane as many as its cap leaves free, the oldest first.
    All recipients of a letter that share a lane go together. The statement, which returns their rows, and its
    parameters."""
    told = {"worker": worker, "lease": lease, "limit": limit, "per_lane": per_lane, "now": now, "until": until}
    parameters: dict[str, Any] = {f"take_{name}": value for name, value in told.items()}
    return _taking(), parameters | {"take_depth": max(limit, per_lane)}


def _given(name: str, like: Any = None) -> Any:
    """A parameter of the statement; its name must be none of a column's."""
    return bindparam(f"take_{name}", type_=Integer() if like is None else like.type)


@cache
def _taking() -> ReturningUpdate[Any]:
    """Built once: SQLAlchemy takes longer to build it than SQLite to run it."""
    r, of = recipients, recipients.alias("of_letter")
    chosen = _chosen().subquery("chosen")
    same = and_(of.c.tenant == chosen.c.tenant, of.c.letter_id == chosen.c.letter_id, of.c.lane == chosen.c.lane)
    # lower() keeps the planner off the index of the whole lane: it must go by the letter.
    still = and_(func.lower(of.c.state) == _QUEUED, of.c.due_at <= _given("now", r.c.due_at))
    rows = select(of.c.tenant, of.c.id).select_from(chosen.join(of, same)).where(still)
    leased = {
        "worker": _given("worker", r.c.worker),
        "lease": _given("lease", r.c.lease),
        "lease_until": _given("until", r.c.lease_until),
    }
    return (
        update(r)
        .where(tuple_(r.c.tenant, r.c.id).in_(rows))
        .values(state=_RUNNING, attempts=r.c.attempts + 1, **leased)
        .returning(r)
    )


def _chosen() -> Select[Any]:
    due = _due(_lanes())
    busy = _busy()
    place = func.row_number().over(partition_by=due.c.lane, order_by=(due.c.due_at, due.c.letter_id))
    taken = func.coalesce(busy.c.letters, 0)
    ranked = (
        select(due, place.label("place"), taken.label("taken"))
        .select_from(due.outerjoin(busy, busy.c.lane == due.c.lane))
        .cte("ranked")
    )
    return (
        select(ranked.c.tenant, ranked.c.letter_id, ranked.c.lane)
        .where(ranked.c.place + ranked.c.taken <= _given("per_lane"))
        .order_by(ranked.c.place, ranked.c.due_at)
        .limit(_given("limit"))
    )


def _lanes() -> CTE:
    """Every lane in which something is queued, found by skipping along the index from lane to lane."""
    r, following = recipients, recipients.alias("following")
    lanes = select(func.min(r.c.lane).label("lane")).where(r.c.state == _QUEUED).cte("lanes", recursive=True)
    after = select(func.min(following.c.lane)).where(following.c.state == _QUEUED, following.c.lane > lanes.c.lane)
    return lanes.union_all(select(after.scalar_subquery()).where(lanes.c.lane.is_not(None)))


def _due(lanes: CTE) -> CTE:
    """Of each lane the letters among its oldest due recipients."""
    r, oldest = recipients, recipients.alias("oldest")
    first = (
        select(oldest.c.tenant, oldest.c.id)
        .where(oldest.c.state == _QUEUED, oldest.c.lane == lanes.c.lane, oldest.c.due_at <= _given("now", r.c.due_at))
        .order_by(oldest.c.due_at)
        .limit(_given("depth"))
        .correlate(lanes)
    )
    return (
        select(r.c.tenant, r.c.letter_id, lanes.c.lane, func.min(r.c.due_at).label("due_at"))
        .select_from(lanes.join(r, tuple_(r.c.tenant, r.c.id).in_(first)))
        .group_by(r.c.tenant, r.c.letter_id, lanes.c.lane)
        .cte("due")
    )


def _busy() -> CTE:
    """How many letters each lane has running."""
    r = recipients
    return (
        select(r.c.lane, func.count(func.distinct(r.c.letter_id)).label("letters"))
        .where(r.c.state == _RUNNING)
        .group_by(r.c.lane)
        .cte("busy")
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
    returning: ReturningUpdate[Any] = freed.returning(r.c.tenant, r.c.id, r.c.letter_id, r.c.attempts)
    return returning
