"""The statements by which custody reads and moves its rows, each built once and run with the values of the moment.

Promises: a statement is the same object at every use, so that neither its tree nor its SQL is made again (SQLAlchemy
takes longer to build one than SQLite to run it); values travel as parameters, never in the text. Does not: run, commit
or decide; taking work is in relay.store.claims.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import BindParameter, Column, Insert, Select, Update, bindparam, insert, or_, select, update

from relay.model import State
from relay.store.tables import journal, lanes, letters, recipients


def given(column: Column[Any]) -> BindParameter[Any]:
    """The place of a value to compare `column` with; `places` fills it. None of a table's columns has such a name."""
    return bindparam(f"given_{column.name}", type_=column.type)


def places(**values: Any) -> dict[str, Any]:
    """Parameters by the names of columns: places(id="L1")."""
    return {f"given_{name}": value for name, value in values.items()}


@cache
def letter_seen() -> Select[Any]:
    """tenant, id -> door, sender."""
    return select(letters.c.door, letters.c.sender).where(*_the_letter())


@cache
def letter() -> Select[Any]:
    """tenant, id -> the row."""
    return select(letters).where(*_the_letter())


def _the_letter() -> tuple[Any, Any]:
    return letters.c.tenant == given(letters.c.tenant), letters.c.id == given(letters.c.id)


@cache
def new_letter() -> Insert:
    return insert(letters)


@cache
def new_recipients() -> Insert:
    return insert(recipients)


@cache
def recipient() -> Select[Any]:
    """tenant, id -> the row."""
    return select(recipients).where(*_the_recipient())


@cache
def move_recipient() -> Update:
    """tenant, id; the parameters that have a column's own name are what changes."""
    return update(recipients).where(*_the_recipient())


def _the_recipient() -> tuple[Any, Any]:
    r = recipients
    return r.c.tenant == given(r.c.tenant), r.c.id == given(r.c.id)


@cache
def name_lease() -> Update:
    """tenant, letter_id, lane, lease; `lease` is the new name."""
    r = recipients
    return update(r).where(*(column == given(column) for column in (r.c.tenant, r.c.letter_id, r.c.lane, r.c.lease)))


@cache
def renew_lease() -> Update:
    """tenant, worker, lease; `lease_until` is the new end."""
    r = recipients
    mine = (column == given(column) for column in (r.c.tenant, r.c.worker, r.c.lease))
    return update(r).where(*mine, r.c.state == State.RUNNING.value)


@cache
def due() -> Select[Any]:
    """due_at (now) -> a lane, if there is something to take in it."""
    return select(lanes.c.lane).where(lanes.c.due_at <= given(lanes.c.due_at)).limit(1)


@cache
def lease_over() -> Select[Any]:
    """lease_until (now) -> an id, if a worker's lease is over."""
    r = recipients
    return select(r.c.id).where(r.c.state == State.RUNNING.value, r.c.lease_until < given(r.c.lease_until)).limit(1)


@cache
def notices_due() -> Select[Any]:
    """`most` -> rows of recipients whose sender is to be told: settled, or delayed."""
    due_ones = select(recipients).where(or_(recipients.c.notice == "due", recipients.c.warning == "due"))
    return due_ones.order_by(recipients.c.letter_id).limit(bindparam("given_most"))


@cache
def chain_head() -> Select[Any]:
    """chain -> number and hash of its last row."""
    j = journal
    return select(j.c.number, j.c.hash).where(j.c.chain == given(j.c.chain)).order_by(j.c.number.desc()).limit(1)


@cache
def new_rows() -> Insert:
    return insert(journal)
