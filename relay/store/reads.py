"""What can be asked of the spool, on an engine that only reads.

Promises: every question names its tenant, but those of the node's own care (due_notices, body_names, verify); an answer
is one moment's state. Does not: write, or open a body.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Engine, ScalarSelect, Select, and_, false, func, not_, or_, select

from relay.model import BodyRef, Letter, Mode, Recipient, State, Word, first_id
from relay.store import direct, lanes, statements
from relay.store.rows import letter_of, recipient_of
from relay.store.statements import places
from relay.store.tables import journal, letters, recipients


@dataclass(frozen=True)
class Step:
    """One line of a letter's timeline."""

    at: datetime
    event: str
    recipient: str
    """Recipient id; empty where the whole letter is meant."""
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Line:
    """What one destination of the queue holds."""

    mode: str
    target: str
    state: State
    count: int
    oldest: datetime
    next_due: datetime | None
    reason: str
    """One of the reasons of the last delay, the first in the alphabet; empty if there was none."""


def timeline(engine: Engine, tenant: str, letter_id: str) -> list[Step]:
    """Everything that the journal says of a letter, in the order in which it was written."""
    query = (
        select(journal)
        .where(journal.c.tenant == tenant, journal.c.letter_id == letter_id)
        .order_by(journal.c.at, journal.c.chain, journal.c.number)
    )
    with engine.connect() as conn:
        return [
            Step(row.at, row.event, row.recipient_id, tuple(json.loads(row.facts).items()))
            for row in conn.execute(query)
        ]


def letter(engine: Engine, tenant: str, letter_id: str) -> tuple[Letter, tuple[Recipient, ...]] | None:
    """A letter with its recipients, or None."""
    where = and_(letters.c.tenant == tenant, letters.c.id == letter_id)
    with engine.connect() as conn:
        row = conn.execute(select(letters).where(where)).mappings().one_or_none()
        if row is None:
            return None
        mine = and_(recipients.c.tenant == tenant, recipients.c.letter_id == letter_id)
        rows = conn.execute(select(recipients).where(mine).order_by(recipients.c.id)).mappings()
        return letter_of(row), tuple(recipient_of(each) for each in rows)


def find(
    engine: Engine,
    tenant: str,
    *,
    message_id: str | None = None,
    sender: str | None = None,
    recipient: str | None = None,
    id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 100,
) -> list[Letter]:
    """Letters that answer to everything given, the newest first. Addresses compare in lower case; `since` is in,
    `until` is out. NUL stands in none: PostgreSQL does not even compare it."""
    if any("\0" in value for value in (message_id, sender, recipient, id) if value is not None):
        return []
    wanted: dict[ColumnElement[Any], str | None] = {
        letters.c.message_id: message_id,
        letters.c.sender_key: sender.lower() if sender is not None else None,
        letters.c.id: id,
    }
    query = select(letters).where(letters.c.tenant == tenant)
    query = query.where(*(column == value for column, value in wanted.items() if value is not None))
    if recipient is not None:
        r = recipients.c
        at = select(r.letter_id).where(r.tenant == tenant, r.address_key == recipient.lower())
        query = query.where(letters.c.id.in_(at))
    query = query.where(*_between(since, until))
    with engine.connect() as conn:
        rows = conn.execute(query.order_by(letters.c.id.desc()).limit(limit)).mappings()
        return [letter_of(row) for row in rows]


NOTICES_LATER = timedelta(days=40)
"""A notice's id begins with the moment of the letter that it is about."""


def _between(since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    """Ids begin with their moment (relay.model.new_id), so that the primary key narrows what is looked through."""
    asked = []
    if since is not None:
        asked += [letters.c.received_at >= since, letters.c.id >= first_id(since - NOTICES_LATER)]
    if until is not None:
        asked += [letters.c.received_at < until, letters.c.id < first_id(until)]
    return asked


@dataclass(frozen=True)
class Waiting:
    """One recipient that an act may move."""

    id: str
    letter_id: str
    address: str
    mode: str
    state: State
    reason: str


def waiting(engine: Engine, tenant: str, recipient_id: str) -> Waiting | None:
    """One recipient, in whatever state."""
    r = recipients.c
    query = select(r.id, r.letter_id, r.address, r.mode, r.state, r.reason)
    with engine.connect() as conn:
        row = conn.execute(query.where(r.tenant == tenant, r.id == recipient_id)).one_or_none()
    return Waiting(*row[:4], State(row.state), row.reason) if row else None


def towards(engine: Engine, tenant: str, target: str, states: Sequence[State], limit: int = 100_000) -> list[Waiting]:
    """A tenant's recipients at one destination in these states, the oldest first."""
    r = recipients.c
    ways = [f"{mode.value} {target}" for mode in Mode]
    here = (r.state.in_([each.value for each in states]), r.tenant == tenant, r.lane.in_(ways))
    query = select(r.id, r.letter_id, r.address, r.mode, r.state, r.reason).where(*here).order_by(r.id).limit(limit)
    with engine.connect() as conn:
        return [Waiting(*row[:4], State(row.state), row.reason) for row in conn.execute(query)]


DEALT_WITH, TAKEN_UP = "dealt-with", "taken-up"
"""What an author says of a recipient's trouble, and takes back."""
NO_NEWS = (DEALT_WITH, "noticed", "warned", "bounced", "looked-up", "body-erased")
"""Whatever else happens to a recipient brings his trouble back."""


def troubled(
    engine: Engine, tenant: str, sender: str, since: datetime, limit: int = 50, *, dealt_with: bool = False
) -> list[Waiting]:
    """Recipients of this sender's letters that failed or are silent, the newest letter first: those with which he has
    not dealt, or those with which he has and nothing happened since."""
    r = recipients.c
    query = select(r.id, r.letter_id, r.address, r.mode, r.state, r.reason).join(
        letters, and_(letters.c.tenant == r.tenant, letters.c.id == r.letter_id)
    )
    query = query.where(letters.c.tenant == tenant, letters.c.sender_key == sender.lower(), *_between(since, None))
    query = query.where(or_(r.state == State.FAILED.value, r.word == Word.SILENT.value))
    over = _last(journal.c.event == DEALT_WITH) >= _last(journal.c.event.not_in(NO_NEWS))
    query = query.where(over if dealt_with else not_(func.coalesce(over, false())))
    with engine.connect() as conn:
        rows = conn.execute(query.order_by(letters.c.id.desc(), r.id).limit(limit))
        return [Waiting(*row[:4], State(row.state), row.reason) for row in rows]


def _last(event: ColumnElement[bool]) -> ScalarSelect[Any]:
    """When the journal last said so of a recipient."""
    r, j = recipients.c, journal.c
    mine = and_(j.tenant == r.tenant, j.letter_id == r.letter_id, j.recipient_id == r.id)
    return select(func.max(j.at)).where(mine, event).correlate(recipients).scalar_subquery()


def is_due(engine: Engine, now: datetime) -> bool:
    """Is there anything to claim: a recipient whose time has come, or one whose worker's lease is over?"""
    with engine.begin() as conn:
        asked = ((statements.due(), places(due_at=now)), (statements.lease_over(), places(lease_until=now)))
        return any(direct.rows(conn, *each) for each in asked)


def queue(engine: Engine, tenant: str) -> list[Line]:
    """What is not settled, by destination and state."""
    r = recipients
    open_states = [State.QUEUED.value, State.RUNNING.value, State.HELD.value]
    query = (
        select(
            r.c.mode,
            r.c.target,
            r.c.state,
            func.count().label("count"),
            func.min(r.c.queued_at).label("oldest"),
            func.min(r.c.due_at).label("next_due"),
            func.min(func.nullif(r.c.reason, "")).label("reason"),
        )
        .where(r.c.tenant == tenant, r.c.state.in_(open_states))
        .group_by(r.c.mode, r.c.target, r.c.state)
        .order_by(r.c.mode, r.c.target, r.c.state)
    )
    with engine.connect() as conn:
        return [_line(row) for row in conn.execute(query)]


def _line(row: Any) -> Line:
    due = row.next_due if row.state == State.QUEUED.value else None
    return Line(row.mode, row.target, State(row.state), row._mapping["count"], row.oldest, due, row.reason or "")


def due_notices(engine: Engine, limit: int = 100) -> list[tuple[Letter, tuple[Recipient, ...]]]:
    """Settled recipients whose sender is to be told, by letter; of up to `limit` recipients of this node."""
    with engine.connect() as conn:
        rows = conn.execute(statements.notices_due(), places(most=limit)).mappings().all()
        return [
            (_letter(conn, *key), tuple(recipient_of(row) for row in group))
            for key, group in groupby(rows, key=lambda row: (row["tenant"], row["letter_id"]))
        ]


def _letter(conn: Any, tenant: str, letter_id: str) -> Letter:
    return letter_of(conn.execute(statements.letter(), places(tenant=tenant, id=letter_id)).mappings().one())


def body_names(engine: Engine) -> Iterator[str]:
    """Names of all bodies that letters of this node hold."""
    with engine.connect() as conn:
        yield from conn.execution_options(yield_per=1000).scalars(select(letters.c.body_name))


def faulty_bodies(engine: Engine, tenant: str, fault: Callable[[BodyRef], str]) -> Iterator[str]:
    """Of a tenant's letters whose bytes are kept: the id, and what is wrong with them, where something is."""
    of = letters.c
    query = select(of.id, of.body_name, of.body_size, of.body_digest).where(of.tenant == tenant, of.body_name != "")
    with engine.connect() as conn:
        for row in conn.execution_options(yield_per=1000).execute(query):
            if words := fault(BodyRef(*row[1:])):
                yield f"{row.id}: {words}"


def verify(engine: Engine) -> tuple[str, ...]:
    """What is wrong with the spool's rows, one sentence per kind of fault; empty if nothing is."""
    with engine.connect() as conn:
        counts = ((words, conn.scalar(_count(query))) for words, query in _INVARIANTS.items())
        return tuple(f"spool: {count} {words}" for words, count in counts if count)


def _count(query: Select[Any]) -> Select[int]:
    return select(func.count()).select_from(query.subquery())


_r = recipients
_of_letter = and_(letters.c.tenant == _r.c.tenant, letters.c.id == _r.c.letter_id)
_no_lease = or_(_r.c.lease == "", _r.c.lease_until.is_(None), _r.c.worker == "")
_INVARIANTS: dict[str, Select[Any]] = {
    "recipients without a letter": select(_r.c.id).where(~select(letters.c.id).where(_of_letter).exists()),
    "letters without a recipient": select(letters.c.id).where(~select(_r.c.id).where(_of_letter).exists()),
    "recipients running without a lease": select(_r.c.id).where(_r.c.state == "running", _no_lease),
    "leases on recipients that do not run": select(_r.c.id).where(
        _r.c.state != "running", _r.c.lease_until.is_not(None)
    ),
    "recipients in a state that does not exist": select(_r.c.id).where(
        _r.c.state.not_in([state.value for state in State])
    ),
    "settled recipients without a moment": select(_r.c.id).where(
        _r.c.state.in_(["done", "failed"]), _r.c.settled_at.is_(None)
    ),
    "recipients failed without a reason": select(_r.c.id).where(_r.c.state == "failed", _r.c.reason == ""),
    "recipients in a lane that sleeps": lanes.forgotten(),
    "letters that the journal does not know": select(letters.c.id).where(
        ~select(journal.c.number)
        .where(journal.c.tenant == letters.c.tenant, journal.c.letter_id == letters.c.id)
        .exists()
    ),
}
