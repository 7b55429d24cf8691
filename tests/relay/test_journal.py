"""The journal's chain: what was done to it shows."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, text, update

from relay import journal
from relay.model import Event
from relay.store.tables import journal as rows


def _fill(store: Any) -> None:
    for n in range(5):
        facts = (("n", str(n)), ("mot", "délivré"))
        journal.SpoolJournal(store.client).add("lilas", [Event("signed", f"L{n}", "", facts)])


def places(store: Any) -> dict[tuple[str, int], str]:
    """The heads, as they are kept elsewhere."""
    return {(chain, head.number): head.hash for chain, head in journal.heads(store.reader).items()}


def _change(conn: Connection) -> None:
    conn.execute(update(rows).where(rows.c.number == 3).values(facts='{"n": "9"}'))


def _move_to_another_tenant(conn: Connection) -> None:
    conn.execute(update(rows).where(rows.c.number == 3).values(tenant="parc"))


def _take_out(conn: Connection) -> None:
    conn.execute(delete(rows).where(rows.c.number == 3))


def _take_out_and_close_up(conn: Connection) -> None:
    conn.execute(delete(rows).where(rows.c.number == 3))
    conn.execute(text("UPDATE journal SET number = number - 1 WHERE number > 3"))


def _put_in(conn: Connection) -> None:
    last = dict(conn.execute(select(rows).where(rows.c.number == 5)).mappings().one())
    conn.execute(insert(rows), last | {"number": 6, "event": "filed"})


def _exchange(conn: Connection) -> None:
    for old, new in ((2, 99), (3, 2), (99, 3)):
        conn.execute(update(rows).where(rows.c.number == old).values(number=new))


def test_untouched_chain_holds(store: Any) -> None:
    """A chain that nobody touched has no fault."""
    _fill(store)
    assert journal.verify(store.reader) == ()


@pytest.mark.parametrize(
    "touch", [_change, _move_to_another_tenant, _take_out, _take_out_and_close_up, _put_in, _exchange]
)
def test_touched_chain_is_found(store: Any, touch: Any) -> None:
    """A row that was changed, taken out, put in or moved is named."""
    _fill(store)
    with store.writer.begin() as conn:
        touch(conn)
    assert journal.verify(store.reader)


def test_cut_tail_is_found_by_a_kept_head(store: Any) -> None:
    """A tail that was cut leaves a sound chain; the head that was kept elsewhere shows it."""
    _fill(store)
    kept = places(store)
    assert journal.verify(store.reader, kept) == ()
    with store.writer.begin() as conn:
        conn.execute(delete(rows).where(rows.c.number > 3))
    assert journal.verify(store.reader) == ()
    assert journal.verify(store.reader, kept) == (
        "journal spool: the end is missing, row 5 was there when it was sealed",
    )


def test_rewritten_chain_is_found_by_a_kept_head(store: Any) -> None:
    """A chain built anew from some row on is sound in itself, and is not the one that was sealed."""
    _fill(store)
    kept = places(store)
    with store.writer.begin() as conn:
        conn.execute(delete(rows).where(rows.c.number > 4))
        journal.append(conn, "lilas", [Event("forged", "L4")], store.clock(), journal.CHAIN)
    assert journal.verify(store.reader) == ()
    assert journal.verify(store.reader, kept) == ("journal spool: row 5 is not the one that was sealed",)


def test_events_survive_packing() -> None:
    """An event that went through JSON is the same event."""
    event = Event("signed", "L", "R", (("b", "2"), ("a", "1")))
    assert journal.unpack(journal.pack([event])) == [event]
