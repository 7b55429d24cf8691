"""The short way to SQLite: what it writes and finds is what SQLAlchemy's own way does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError, OperationalError

from relay.store import direct, statements, tables
from relay.store.engine import writer_engine
from relay.store.statements import places
from relay.store.tables import letters

NOON = datetime(2026, 11, 2, 12, 0, 0, 7, tzinfo=UTC)


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[Connection]:
    engine = writer_engine(f"sqlite:///{tmp_path / 'store.db'}")
    with engine.begin() as made:
        tables.metadata.create_all(made)
        yield made
    engine.dispose()


def _letter(number: int, **changed: Any) -> dict[str, Any]:
    text = dict.fromkeys(("message_id", "body_name", "body_digest", "trace", "verdict", "proof", "envid"), "é'\"?")
    row = {"tenant": "lilas", "id": f"L{number}", "door": "peer", "sender": "a@b.example", "sender_key": "a@b.example"}
    return row | text | {"body_size": number, "received_at": NOON, "require_tls": True, "utf8": False} | changed


def _usual(conn: Connection, number: int) -> dict[str, Any]:
    return dict(conn.execute(select(letters).where(letters.c.id == f"L{number}")).mappings().one())


def test_rows_are_the_same_both_ways(conn: Connection) -> None:
    """Written the short way and read the usual way, or the other way round, a row has the same values and types."""
    direct.add(conn, statements.new_letter(), [_letter(1), _letter(2)])
    conn.execute(insert(letters), _letter(3))
    for number in (1, 2, 3):
        (short,) = direct.rows(conn, statements.letter(), places(tenant="lilas", id=f"L{number}"))
        assert short == _usual(conn, number) == _letter(number)
        assert {name: type(value) for name, value in short.items()} == {
            name: type(value) for name, value in _usual(conn, number).items()
        }


def test_moment_of_another_zone_is_kept_as_the_moment_it_is(conn: Connection) -> None:
    """The conversions of a column's type are applied, in and out."""
    direct.add(conn, statements.new_letter(), [_letter(1, received_at=NOON.astimezone(timezone(timedelta(hours=2))))])
    assert _usual(conn, 1)["received_at"] == NOON
    with pytest.raises(ValueError, match="without a time zone"):
        direct.add(conn, statements.new_letter(), [_letter(2, received_at=NOON.replace(tzinfo=None))])


def test_what_a_change_meets_is_counted(conn: Connection) -> None:
    """An update says how many rows it met: none where nothing is."""
    direct.add(conn, statements.new_letter(), [_letter(1)])
    mine = letters.c.id == statements.given(letters.c.id)
    change = update(letters).where(mine)
    assert direct.run(conn, change, places(id="L1") | {"envid": "new"}) == 1
    assert direct.run(conn, change, places(id="L9") | {"envid": "new"}) == 0
    assert _usual(conn, 1) == _letter(1, envid="new")


def test_fixed_value_of_a_statement_is_kept(conn: Connection) -> None:
    """A value that stands in the statement itself needs not be told."""
    direct.add(conn, statements.new_letter(), [_letter(1), _letter(2, door="api")])
    of = select(letters.c.id).where(letters.c.door == "api", letters.c.tenant == statements.given(letters.c.tenant))
    assert direct.rows(conn, of.limit(5), places(tenant="lilas")) == [{"id": "L2"}]


def test_statement_whose_text_depends_on_its_values_goes_the_usual_way(conn: Connection) -> None:
    """A list of any length is expanded by SQLAlchemy."""
    direct.add(conn, statements.new_letter(), [_letter(1), _letter(2)])
    several = select(letters.c.id).where(letters.c.id.in_(["L1", "L2", "L3"])).order_by(letters.c.id)
    assert direct.rows(conn, several, {}) == [{"id": "L1"}, {"id": "L2"}]


def _twice(conn: Connection) -> None:
    direct.add(conn, statements.new_letter(), [_letter(1), _letter(1)])


def _nowhere(conn: Connection) -> None:
    direct.say(conn, "SELECT 1 FROM nowhere")


@pytest.mark.parametrize(("act", "kind"), [(_twice, IntegrityError), (_nowhere, OperationalError)])
def test_error_is_sqlalchemys_and_tells_no_value(
    conn: Connection, act: Callable[[Connection], None], kind: type[Exception]
) -> None:
    """Whoever catches the usual exceptions catches these; they hold no row."""
    with pytest.raises(kind) as told:
        act(conn)
    assert "a@b.example" not in str(told.value)
