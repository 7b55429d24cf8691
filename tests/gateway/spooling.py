"""A node's store as it stands while the node runs: its tables made, its one writer answering. A real spooler."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from certs.model import Clock
from gateway import app, config
from gateway.accounts import Accounts
from gateway.config import Settings
from relay.spooler import Spooler
from relay.store import engine


@contextmanager
def spooler(settings: Settings, clock: Clock | None = None) -> Iterator[None]:
    app.migrate(settings)
    writer, stop = engine.writer_engine(settings.database_url), threading.Event()
    made = Spooler(writer, settings.spool_socket, app.WRITES, clock)
    thread = threading.Thread(target=made.serve, args=(stop,))
    thread.start()
    try:
        assert made.ready.wait(30)
        yield
    finally:
        stop.set()
        thread.join(10)
        writer.dispose()


def with_pages(configure: Callable[[str], Path], folder: Path, *accounts: str) -> Settings:
    """Of a node with pages and these accounts, whose store is not made yet."""
    for name in ("run", "data"):
        (folder / name).mkdir()
    Accounts(folder / "passwd").open(dict.fromkeys(accounts, ""))
    (folder / "pseudonym").write_bytes(b"k" * 32)
    return config.load(configure("[doors]\n[web]\n"))
