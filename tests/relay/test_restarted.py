"""A PostgreSQL that goes and comes back under a running spooler: it is asked again, and nothing answered is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from gateway.demo.postgresql import Postgresql
from gateway.demo.processes import new_folder
from relay import journal, spool
from relay.model import Event, Letter, Recipient
from relay.spooler import StoreDown
from relay.store import tables
from relay.store.migrations import upgrade

Make = Callable[..., tuple[Letter, tuple[Recipient, ...]]]


@pytest.fixture
def server() -> Iterator[Postgresql]:
    """One that syncs, with custody's tables."""
    folder = new_folder("pli-pg-")
    made = Postgresql(folder)
    made.start()
    upgrade(made.url(), [tables.metadata])
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("end", [Postgresql.stop, Postgresql.kill])
def test_a_database_that_restarts(server: Postgresql, store_of: Any, make_letter: Make, end: Any) -> None:
    """Stopped, or killed as by a power cut: askers are told to ask again, answered letters are there, the next one is
    kept, and the spooler's chain of the journal goes on where it was."""
    store = store_of(server.url())

    def keep(id: str) -> None:
        letter, recipients = make_letter(id)
        spool.keep(store.client, letter, recipients, [Event("accepted", id)])

    keep("L1")
    end(server)
    with pytest.raises(StoreDown):
        keep("L2")
    server.start()
    keep("L2")
    assert [each.id for each in spool.find(store.reader, "lilas")] == ["L2", "L1"]
    assert list(journal.heads(store.reader)) == ["spool"]
    assert journal.verify(store.reader) == ()
    with psycopg.connect(server.url()) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
