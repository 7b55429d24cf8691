"""The host's own tables: entries, lots, links, patients and accesses, in its own SQLite file.

Promises: apart from the gateway's store in every way. Does not: hold document bytes (contents.py).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    DateTime,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    event,
)

VERSION = 2
metadata = MetaData()

entries = Table(
    "entries",
    metadata,
    Column("id", String(64), primary_key=True),
    # Changes on replacement only (spec/dossier.md §1.4, TD3.1).
    Column("lid", String(64), nullable=False, index=True),
    Column("unique_id", String(128), nullable=False, index=True),
    # Another one where an attribute was changed (ITI-57); all versions of an entry share its document.
    Column("version", Integer, nullable=False),
    Column("patient_id", String(256), nullable=False, index=True),
    Column("lot_id", String(64), nullable=False, index=True),
    Column("status", String(64), nullable=False),
    Column("sha1", String(40), nullable=False),
    Column("size", Integer, nullable=False),
    Column("mime_type", String(256), nullable=False),
    Column("file", String(64), nullable=False),
    # Structures that wrote it, each between bars; whom else it is hidden from.
    Column("institutions", String(512), nullable=False),
    Column("masked", Boolean, nullable=False),
    Column("xml", LargeBinary, nullable=False),
    UniqueConstraint("unique_id", "version"),
)

lots = Table(
    "lots",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("unique_id", String(64), nullable=False, unique=True),
    Column("patient_id", String(256), nullable=False, index=True),
    Column("source_id", String(64), nullable=False),
    Column("xml", LargeBinary, nullable=False),
)

links = Table(
    "links",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("kind", String(128), nullable=False),
    Column("source", String(64), nullable=False, index=True),
    Column("target", String(64), nullable=False, index=True),
    Column("lot_id", String(64), nullable=False, index=True),
    Column("xml", LargeBinary, nullable=False),
)

patients = Table(
    "patients",
    metadata,
    Column("id", String(256), primary_key=True),
    Column("closed", Boolean, nullable=False),
)

accesses = Table(
    "accesses",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("at", DateTime, nullable=False),
    Column("action", String(128), nullable=False),
    # SHA-256 of the client's certificate: who asked. Never about whom.
    Column("certificate", String(64), nullable=False),
    # The structure that its assertion, else its certificate, names.
    Column("structure", String(64), nullable=False),
    Column("outcome", String(128), nullable=False),
    Column("objects", Integer, nullable=False),
)


def open_store(path: Path) -> Engine:
    """The engine of the store at `path`, with its tables: a commit that returned is on the disk."""
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 10000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    _check_version(engine, path)
    metadata.create_all(engine)
    return engine


def _check_version(engine: Engine, path: Path) -> None:
    """Raises ValueError where another version of this host made the store."""
    with engine.connect() as connection:
        tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()
        version = connection.exec_driver_sql("PRAGMA user_version").scalar()
    if tables and version != VERSION:
        raise ValueError(f"{path.name} was made by another version of the dossier host")
    with engine.begin() as connection:
        connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
