"""Recipients that a letter gains while it is in custody: what a finder saw in it once it was opened.

Promises: a row is added once, however often the letter is opened; the rows and their journal lines are one
transaction. Does not: decide what is found (finders do), nor take a recipient away.

The function that begins with an underscore runs inside the spooler; the others are called anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from relay import entry, journal
from relay.model import Extra, Letter, State
from relay.spooler import SpoolClient, StoreRefused, Write
from relay.store import lanes
from relay.store.rows import packed, recipient_row, unpacked
from relay.store.tables import letters, recipients


def add(client: SpoolClient, letter: Letter, extras: Sequence[Extra], at: datetime) -> None:
    """New recipients of a letter in custody, queued from now. Raises StoreDown, StoreRefused."""
    rows = [entry.added(letter, extra, at) for extra in extras]
    if rows:
        events = journal.pack([entry.of_recipient(row) for row in rows])
        parts = [packed(recipient_row(row, at)) for row in rows]
        client.write("relay.add", letter.tenant, letter_id=letter.id, recipients=parts, events=events)


def _add(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> int:
    """How many were added: an address that the letter has already is passed over."""
    letter_id = params["letter_id"]
    if conn.scalar(select(letters.c.id).where(letters.c.tenant == tenant, letters.c.id == letter_id)) is None:
        raise StoreRefused("no such letter")
    held = select(recipients.c.address).where(recipients.c.tenant == tenant, recipients.c.letter_id == letter_id)
    there = set(conn.scalars(held))
    events = {each.recipient_id: each for each in journal.unpack(params["events"])}
    added = 0
    for row in map(unpacked, params["recipients"]):
        if row["address"] in there:
            continue
        if row["tenant"] != tenant or row["letter_id"] != letter_id or row["state"] != State.QUEUED:
            raise StoreRefused("a recipient is added queued, to its own letter")
        conn.execute(insert(recipients), row)
        lanes.wake(conn, [row], now)
        journal.append(conn, tenant, [events[row["id"]]], now)
        there.add(row["address"])
        added += 1
    return added


WRITES: dict[str, Write] = {"relay.add": _add}
