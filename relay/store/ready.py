"""Which lanes are served next: those with something due and room at their destination, each tenant in its turn.

Promises: what is read grows with the number of lanes asked for, not with the lanes that wait, and a dead destination's
lanes are not read at all before its probe; the room of a destination is shared by all tenants and modes, whoever
carries; the tenant for whom least is carried now comes first, then whichever lane waited longest. Does not: choose
letters (relay.store.claims), or run.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import CTE, ColumnElement, Integer, and_, bindparam, case, func, select

from relay.feedback import INITIAL
from relay.model import State
from relay.store.lanes import LOOKED_AT, NODE
from relay.store.tables import destinations, lanes, recipients


def given(name: str, like: Any = None) -> Any:
    """A parameter of the statement; its name must be none of a column's."""
    return bindparam(f"take_{name}", type_=Integer() if like is None else like.type)


def ready() -> CTE:
    """tenant, lane, destination, due_at, turn; busy and room count letters at the destination."""
    looked = _looked()
    carried = _carried("tenant", "for_tenant")
    turn = func.row_number().over(partition_by=looked.c.tenant, order_by=(looked.c.due_at, looked.c.lane))
    ranked = (
        select(looked, (turn + func.coalesce(carried.c.letters, 0)).label("turn"))
        .select_from(looked.outerjoin(carried, carried.c.tenant == looked.c.tenant))
        .cte("ranked_lanes")
    )
    return select(ranked).order_by(ranked.c.turn, ranked.c.due_at).limit(given("limit")).cte("ready")


def _looked() -> CTE:
    """The longest waiting that have room."""
    carried = _carried("destination", "at_destination")
    d, of = destinations, lanes
    busy = func.coalesce(carried.c.letters, 0)
    known = and_(d.c.tenant == NODE, d.c.destination == of.c.destination)
    joined = of.outerjoin(d, known).outerjoin(carried, carried.c.destination == of.c.destination)
    return (
        select(of.c.tenant, of.c.lane, of.c.destination, of.c.due_at, busy.label("busy"), _room().label("room"))
        .select_from(joined)
        .where(of.c.due_at <= given("now", of.c.due_at), busy + 1 <= _room())
        .order_by(of.c.due_at)
        .limit(LOOKED_AT)
        .cte("looked")
    )


def _room() -> ColumnElement[float]:
    """How many letters at once the destination may have: one where it is to be probed."""
    d = destinations.c
    most = given("per_lane", d.width)
    width = func.coalesce(d.width, INITIAL)
    dead = case((d.until <= given("now", lanes.c.due_at), 1.0), else_=0.0)
    return case((d.until.is_not(None), dead), (width > most, most), else_=width)


def _carried(by: str, name: str) -> CTE:
    """How many letters are carried now, by tenant or by destination."""
    r, of = recipients, lanes
    same = and_(of.c.tenant == r.c.tenant, of.c.lane == r.c.lane)
    letters = (
        select(r.c.tenant, of.c.destination, r.c.letter_id)
        .select_from(r.join(of, same))
        .where(r.c.state == State.RUNNING.value)
        .distinct()
        .subquery(f"letters_{name}")
    )
    return select(letters.c[by], func.count().label("letters")).group_by(letters.c[by]).cte(name)
