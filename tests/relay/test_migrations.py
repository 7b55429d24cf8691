"""Upgrades with data: rows of every earlier version of the tables are there, and the journal holds, after each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, MetaData, Table, insert, select, text
from sqlalchemy.types import Boolean, DateTime, Float, Integer, LargeBinary, Numeric, String

import relay.store
from gateway.app import METADATAS
from relay import journal
from relay.model import Event
from relay.store import statements
from relay.store.engine import reader_engine, writer_engine
from relay.store.migrations import upgrade

AT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
TOLD = {
    "tenant": "lilas",
    "sender": "Marie.Martin@lilas.example",
    "address": "Paul.Durand@parc.example",
    "mode": "peer-signed",
    "target": "parc.example",
    "lane": "peer-signed parc.example",
    "state": "queued",
    "verdict": "{}",
    "proof": "{}",
    "facts": "{}",
    "evidence": "[]",
    "candidates": "[]",
}
"""What means something to a step; other columns hold their name."""


def _revisions() -> list[str]:
    """Oldest first."""
    script = ScriptDirectory.from_config(Config(str(Path(relay.store.__file__).parent / "alembic.ini")))
    return [each.revision for each in script.walk_revisions()][::-1]


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/old.db"
    make: Callable[[str], str] = request.getfixturevalue("databases")
    return make(f"upgraded-{request.node.name[:20]}")


def _value(column: Column[Any], revision: str) -> Any:
    name, kind = column.name, column.type
    if name in TOLD:
        return TOLD[name]
    if isinstance(kind, DateTime):
        return AT.replace(tzinfo=None) if not kind.timezone else AT
    if isinstance(kind, Boolean):
        return True
    if isinstance(kind, Integer | Numeric | Float):
        return int(revision)
    if isinstance(kind, LargeBinary):
        return revision.encode()
    return f"{'x' if name == 'recipient_id' else name}-{revision}"[-(getattr(kind, "length", None) or 60) :]


def _tables(conn: Connection) -> Iterator[Table]:
    """As they are now, in an order in which rows may enter."""
    found = MetaData()
    found.reflect(conn)
    yield from (each for each in found.sorted_tables if each.name not in ("alembic_version", "journal"))


def _fill(url: str, revision: str) -> dict[str, dict[str, Any]]:
    """One row in every table of this revision, and a row of the journal; the rows as they are read."""
    engine = writer_engine(url)
    written = {}
    with engine.begin() as conn:
        for table in _tables(conn):
            row = {column.name: _value(column, revision) for column in table.c}
            if table.name == "recipients":
                row |= {"letter_id": f"id-{revision}", "state": "queued"}
            if table.name == "lanes":  # its step has made one of the rows before it
                row |= {"lane": f"lane-{revision}"}
            if table.name == "publications":
                row |= {"address": f"{revision}@parc.example"}
            conn.execute(insert(table), row)
            written[table.name] = dict(row)
        # Without what a later version does beside it.
        head = journal._head(conn, journal.CHAIN)
        row = journal._row(head, journal.CHAIN, "lilas", Event("accepted", f"id-{revision}"), AT)
        conn.execute(statements.new_rows(), [row])
    engine.dispose()
    return written


def _found(conn: Connection, name: str, row: dict[str, Any]) -> bool:
    """A row with the same key, in whatever columns the table has now."""
    table = next(each for each in _tables(conn) if each.name == name)
    key = [column for column in table.primary_key if column.name in row]
    return conn.execute(select(table).where(*(column == row[column.name] for column in key))).first() is not None


def test_rows_of_every_earlier_version_survive(fresh: str) -> None:
    """From the first tables to the last, each step with rows of all versions before it in place."""
    kept: list[tuple[str, dict[str, Any]]] = []
    steps = _revisions()
    for revision in steps:
        upgrade(fresh, METADATAS, revision)
        kept += _fill(fresh, revision).items()
    reader = reader_engine(fresh)
    with reader.connect() as conn:
        assert [name for name, row in kept if not _found(conn, name, row)] == []
        numbers = conn.execute(text("SELECT count(*) FROM journal")).scalar_one()
    assert numbers == len(steps)
    assert journal.verify(reader) == ()
    reader.dispose()


def test_a_lost_row_would_be_seen(fresh: str) -> None:
    """The twin: were a row gone, the look above would say so."""
    upgrade(fresh, METADATAS)
    with reader_engine(fresh).connect() as conn:
        assert not _found(conn, "letters", {"tenant": "lilas", "id": "id-0001"})


def _length_aside(context: Any, inspected: Any, declared: Any, found: Any, wanted: Any) -> bool | None:
    """SQLite's texts have no length, so steps leave the declared one as it was; all else is compared as usual."""
    texts = isinstance(found, String) and isinstance(wanted, String)
    return False if texts and context.dialect.name == "sqlite" else None


def test_the_migrations_make_the_declared_tables(fresh: str) -> None:
    """After the last step the store has the tables that the packages declare, column by column, with their types."""
    upgrade(fresh, METADATAS)
    declared = MetaData()
    for table in (table for each in METADATAS for table in each.sorted_tables):
        table.to_metadata(declared)
    with writer_engine(fresh).connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": _length_aside})
        assert compare_metadata(context, declared) == []
