"""Brings a store's schema up to date, one numbered step after the other.

Promises: an up-to-date store is left alone; all steps are one transaction, and of several nodes one takes them while
the others wait. Does not: go down; a store is restored from its copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import MetaData, func, select

from relay.store import chains
from relay.store.engine import writer_engine


def upgrade(url: str, metadatas: Sequence[MetaData], to: str = "head") -> None:
    """Creates or upgrades the store at `url`. `metadatas`: the tables of every package; `to`: an earlier revision."""
    config = Config(str(Path(__file__).parent.parent / "alembic.ini"))
    engine = writer_engine(url)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(chains.place("migrations"))))
            config.attributes["metadatas"] = tuple(metadatas)
            config.attributes["connection"] = connection
            command.upgrade(config, to)
    finally:
        engine.dispose()
