"""What is taken back before it leaves: a letter by its author, a filing by who has just allowed it.

Promises: all of it or nothing, in one transaction, and only while its time to wait (Envelope.not_before, acts.act's
`after_s`) is not over and no worker has had it; a letter taken back is never sent again; each recipient's row of the
journal says who did it. Does not: keep that time (the writer's clock does: a door may die meanwhile), or send anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Update, select, update

from relay import journal, settlement
from relay.model import Letter, Reason, Recipient, State
from relay.spooler import SpoolClient, StoreRefused, Write
from relay.store import direct, statements
from relay.store.rows import Held
from relay.store.statements import places
from relay.store.tables import recipients

WAIT_S = 10.0
"""Between a person's word and the first worker who may take what he said."""


# --- called anywhere ----------------------------------------------------------------------------------------------


def withdraw(client: SpoolClient, tenant: str, letter_id: str, by: str) -> None:
    """Asked twice it is done once. Raises StoreRefused where `by` is not its author, or some of it has left."""
    client.write("relay.withdraw", tenant, letter_id=letter_id, by=by)


def until(letter: Letter, rows: Sequence[Recipient], by: str, now: datetime) -> datetime | None:
    """Till when this letter may be taken back by `by`; None: not, or no more."""
    open_ones = [each for each in rows if each.state is State.QUEUED and not each.attempts]
    rest = [each for each in rows if each not in open_ones and each.state is not State.FAILED]
    due = [each.due_at for each in open_ones if each.due_at and each.due_at > now]
    own = letter.sender.lower() == by.lower()
    return min(due) if own and due and len(due) == len(open_ones) and not rest else None


# --- inside the spooler -------------------------------------------------------------------------------------------


def _withdraw(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> None:
    letter_id, by = params["letter_id"], params["by"]
    held = direct.rows(conn, statements.letter(), places(tenant=tenant, id=letter_id))
    if not held or held[0]["sender"].lower() != by.lower():
        raise StoreRefused("no such letter")
    others = _others(conn, tenant, letter_id)
    if others and all(each["reason"] == Reason.WITHDRAWN for each in others):
        return
    gone = {"reason": Reason.WITHDRAWN.value, "reference": ""}
    moved = take_back(conn, tenant, letter_id, gone, ("withdrawn", by), now)
    if not moved or any(each["state"] != State.FAILED for each in _others(conn, tenant, letter_id)):
        raise StoreRefused("it has left")


def take_back(
    conn: Connection, tenant: str, letter_id: str, values: Mapping[str, Any], said: tuple[str, str], now: datetime
) -> list[Held]:
    """The recipients of a letter that wait for their time, failed now with `values`; nobody is told by mail, who did it
    knows. `said`: the event and who did it. Their rows as they are."""
    settled = {"state": State.FAILED.value, "settled_at": now, "notice": "", **values}
    rows = list(conn.execute(_waiting(tenant, letter_id, now).values(settled).returning(recipients)).mappings())
    event, by = said
    told = [settlement.event(event, row, {"by": by}) for row in rows]
    if told:
        journal.append(conn, tenant, told, now)
    return [dict(row) for row in rows]


def _waiting(tenant: str, letter_id: str, now: datetime) -> Update:
    r = recipients.c
    mine = update(recipients).where(r.tenant == tenant, r.letter_id == letter_id)
    return mine.where(r.state == State.QUEUED.value, r.attempts == 0, r.due_at > now)


def _others(conn: Connection, tenant: str, letter_id: str) -> list[Held]:
    r = recipients.c
    rows = conn.execute(select(recipients).where(r.tenant == tenant, r.letter_id == letter_id)).mappings()
    return [dict(row) for row in rows]


WRITES: dict[str, Write] = {"relay.withdraw": _withdraw}
