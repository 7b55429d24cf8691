"""Engines: one that writes, for the spooler alone, and one that only reads, for everybody else.

Promises: a commit that returned is on the disk (SQLite: WAL, synchronous=FULL; PostgreSQL: synchronous_commit is never
off, its fsync is looked at by `faults`); a reader cannot write, whatever it tries, and sees one snapshot per
transaction. Does not: create tables (relay.store.migrations), or hold a password (libpq reads one from `passfile`).

On PostgreSQL the database's clock counts (`now_of`), since several nodes write; its connections are asked before use
whether they still live, so that a database that was restarted is found again.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import URL, make_url

_WRITER = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 10000",
)
_READER = ("PRAGMA query_only = ON", "PRAGMA busy_timeout = 10000")

_LIVING = {"connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""libpq: a database that is gone without a word is known as gone after half a minute."""
_OPTIONS = "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 -c timezone=UTC -c jit=off"
"""And so does the database know a node that is gone: what it held is free. JIT costs more than our statements do."""
_READ_ONLY = " -c default_transaction_read_only=on"
# Weaker than the disk is refused; what else the operator wants (a synchronous standby) stays as it is.
_DURABLE = (
    "SELECT set_config('synchronous_commit', 'on', false) "
    "WHERE current_setting('synchronous_commit') IN ('off', 'local')"
)


class UnsupportedStore(ValueError):
    """The URL names a database that this version does not keep letters in."""


def writer_engine(url: str) -> Engine:
    """The engine of a process that writes. `url`: sqlite:////absolute/path, or postgresql://…; raises
    UnsupportedStore."""
    if is_postgresql(url):
        engine = _postgresql(url, _OPTIONS, "READ COMMITTED")
        event.listen(engine, "connect", _durable)
        return engine
    return _engine(create_engine(f"sqlite:///{file_of(url)}"), _WRITER, "BEGIN IMMEDIATE")


def reader_engine(url: str) -> Engine:
    """An engine that refuses every write. The store must exist. Raises UnsupportedStore."""
    if is_postgresql(url):
        return _postgresql(url, _OPTIONS + _READ_ONLY, "REPEATABLE READ")
    uri = f"file:{quote(str(file_of(url)))}?mode=ro"
    address = URL.create("sqlite", database=uri, query={"uri": "true"})
    return _engine(create_engine(address), _READER, "BEGIN")


def now_of(conn: Connection) -> datetime:
    """The moment on the store's own clock: the database's, where several nodes share one."""
    if conn.dialect.name == "postgresql":
        moment: datetime = conn.execute(select(func.clock_timestamp())).scalar_one()
        return moment.astimezone(UTC)
    return datetime.now(UTC)


def faults(conn: Connection) -> tuple[str, ...]:
    """Settings of the database under which an answered write would not be on the disk; empty if there are none."""
    if conn.dialect.name != "postgresql":
        return ()
    wanted = {
        "fsync": ("on",),
        "full_page_writes": ("on",),
        "synchronous_commit": ("on", "remote_apply", "remote_write"),
    }
    told = {name: str(conn.exec_driver_sql(f"SHOW {name}").scalar()) for name in wanted}
    return tuple(f"{name} is {value}" for name, value in told.items() if value not in wanted[name])


def damage(conn: Connection) -> tuple[str, ...]:
    """What is wrong with the database itself: SQLite's own check, PostgreSQL's settings (`faults`)."""
    if conn.dialect.name == "postgresql":
        return faults(conn)
    told = conn.exec_driver_sql("PRAGMA quick_check(10)").scalars().all()
    return tuple(str(each) for each in told if each != "ok")


# --- PostgreSQL --------------------------------------------------------------------------------------------------


def is_postgresql(url: str) -> bool:
    return make_url(url).get_backend_name() == "postgresql"


def _postgresql(url: str, options: str, isolation: str) -> Engine:
    address = make_url(url).set(drivername="postgresql+psycopg")
    if not address.database:
        raise UnsupportedStore("the PostgreSQL database has no name: postgresql://user@host/NAME")
    told = {"options": options, "application_name": "pli", **_LIVING}
    return create_engine(address, connect_args=told, isolation_level=isolation, pool_pre_ping=True)


def _durable(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute(_DURABLE)
    connection.commit()


# --- SQLite ------------------------------------------------------------------------------------------------------


def file_of(url: str) -> Path:
    """The file of an SQLite store. Raises UnsupportedStore."""
    address = make_url(url)
    if address.get_backend_name() != "sqlite" or not address.database or address.database == ":memory:":
        raise UnsupportedStore("letters are kept in an SQLite file (sqlite:////path/to/store.db) or in PostgreSQL")
    return Path(address.database)


def _engine(engine: Engine, pragmas: tuple[str, ...], begin: str) -> Engine:
    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _record: object) -> None:
        # The driver must begin nothing by itself: it would leave SELECT and SAVEPOINT outside.
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
