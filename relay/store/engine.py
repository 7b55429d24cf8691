"""Engines: one that writes, for the spooler alone, and one that only reads, for everybody else.

Promises: on SQLite a commit that returned is on the disk (WAL, synchronous=FULL); a reader cannot write,
whatever it tries, and sees one snapshot per transaction. Does not: create tables (relay.store.migrations).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url

_WRITER = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 10000",
)
_READER = ("PRAGMA query_only = ON", "PRAGMA busy_timeout = 10000")


class UnsupportedStore(ValueError):
    """The URL names a database that this version does not keep letters in."""


def writer_engine(url: str) -> Engine:
    """The engine of the one process that writes. `url`: sqlite:////absolute/path. Raises UnsupportedStore."""
    return _engine(create_engine(f"sqlite:///{_file(url)}"), _WRITER, "BEGIN IMMEDIATE")


def reader_engine(url: str) -> Engine:
    """An engine that refuses every write. The file must exist. Raises UnsupportedStore."""
    uri = f"file:{quote(str(_file(url)))}?mode=ro"
    address = URL.create("sqlite", database=uri, query={"uri": "true"})
    return _engine(create_engine(address), _READER, "BEGIN")


def _file(url: str) -> Path:
    address = make_url(url)
    if address.get_backend_name() != "sqlite" or not address.database or address.database == ":memory:":
        raise UnsupportedStore("letters are kept in an SQLite file: sqlite:////path/to/store.db")
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
