"""The tables, the engines and the migrations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, inspect, select, text
from sqlalchemy.exc import DBAPIError, OperationalError, StatementError

from relay.store import engine, tables
from relay.store.engine import UnsupportedStore, reader_engine, writer_engine
from relay.store.migrations import upgrade


def _ours(thing: Any, name: str, kind: str, reflected: bool, other: Any) -> bool:
    """The store holds the tables of other packages too."""
    table = thing if kind == "table" else thing.table
    return table.name in tables.metadata.tables


def test_migrated_equals_declared(store_url: str) -> None:
    """The migrations build exactly the tables that the code declares."""
    with writer_engine(store_url).connect() as conn:
        context = MigrationContext.configure(conn, opts={"include_object": _ours})
        assert compare_metadata(context, tables.metadata) == []


def test_a_missing_column_would_be_found(store_url: str) -> None:
    """The comparison sees what the migrations lack."""
    with writer_engine(store_url).connect() as conn:
        conn.execute(text("ALTER TABLE recipients DROP COLUMN orcpt"))
        context = MigrationContext.configure(conn, opts={"include_object": _ours})
        assert len(compare_metadata(context, tables.metadata)) == 1
        conn.rollback()


def test_upgrade_twice(store_url: str) -> None:
    """An up-to-date store is left alone."""
    upgrade(store_url, [tables.metadata])
    assert set(inspect(reader_engine(store_url)).get_table_names()) >= {"letters", "recipients", "journal"}


def test_every_table_has_its_tenant() -> None:
    """No row is without a tenant."""
    assert all("tenant" in table.c and not table.c.tenant.nullable for table in tables.metadata.tables.values())


def test_writer_syncs(sqlite_url: str) -> None:
    """A commit that returned is on the disk: WAL, and synchronous=FULL (2)."""
    with writer_engine(sqlite_url).connect() as conn:
        assert conn.scalar(text("PRAGMA journal_mode")) == "wal"
        assert conn.scalar(text("PRAGMA synchronous")) == 2
        assert engine.faults(conn) == ()


@pytest.mark.parametrize(("told", "then"), [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")])
def test_a_writer_of_postgresql_waits_for_the_disk(emptied: Any, told: str, then: str) -> None:
    """Whatever laxity the database's owner chose, a writer's commit waits for the disk; what is stricter stays."""
    with psycopg.connect(emptied(), options=f"-c synchronous_commit={told}") as connection:
        engine._durable(connection, None)  # type: ignore[arg-type]
        assert connection.execute("SHOW synchronous_commit").fetchone() == (then,)


def test_a_database_that_syncs_nothing_is_a_fault(emptied: Any) -> None:
    """The server of these tests has fsync off: who looks at it is told."""
    with writer_engine(emptied()).connect() as conn:
        assert engine.faults(conn) == ("fsync is off", "full_page_writes is off")


def test_reader_cannot_write(store_url: str) -> None:
    """A reader's write is refused by the database itself."""
    with reader_engine(store_url).connect() as conn, pytest.raises(DBAPIError, match=r"readonly|read-only"):
        conn.execute(text("DELETE FROM letters"))


def test_reader_creates_nothing(tmp_path: Path) -> None:
    """A reader of a store that is not there fails, and leaves no empty store behind."""
    with pytest.raises(OperationalError):
        reader_engine(f"sqlite:///{tmp_path}/absent.db").connect()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "sqlite:///:memory:", "postgresql://x@y"])
def test_other_stores_are_refused(url: str) -> None:
    """What cannot keep letters is refused in words."""
    with pytest.raises(UnsupportedStore, match=r"SQLite file|has no name"):
        writer_engine(url)


def _row(at: datetime) -> dict[str, object]:
    texts = ("chain", "tenant", "event", "letter_id", "recipient_id", "facts", "previous", "hash")
    return dict.fromkeys(texts, "x") | {"number": 1, "at": at}


def test_moments_keep_their_zone(store_url: str) -> None:
    """A moment written in another zone is the same moment, in UTC, when read."""
    at = datetime(2026, 11, 25, 10, 30, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
    with writer_engine(store_url).begin() as conn:
        conn.execute(insert(tables.journal), _row(at))
        read = conn.scalar(select(tables.journal.c.at))
    assert read == at
    assert read is not None
    assert read.tzinfo is UTC


def test_moments_without_zone_are_refused(store_url: str) -> None:
    """A moment without a zone is a mistake, not a guess."""
    with writer_engine(store_url).begin() as conn, pytest.raises(StatementError):
        conn.execute(insert(tables.journal), _row(datetime(2026, 11, 25)))
