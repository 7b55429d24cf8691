"""What every test may ask for: the clock, and the corpus, which belongs to others and stays outside the project."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog

from gateway.app import METADATAS
from gateway.demo.postgresql import Postgresql
from gateway.demo.processes import new_folder
from relay.store.migrations import upgrade

CORPUS = Path(__file__).resolve().parent.parent.parent / "shared" / "corpus"


CLOSING: dict[str, list[str]] = {"left out": [], "shown": []}
"""Lines for the end of the run. With several workers each one's are handed to the process that prints."""


def pytest_configure(config: pytest.Config) -> None:
    """CI leaves nothing out."""
    absent = [why for _, why in _absent()]
    if os.environ.get("CI") and absent:
        raise pytest.UsageError(f"CI leaves nothing out, but tests {absent[0]}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What cannot run here is left out by name and said at the end."""
    for marker, why in _absent():
        left_out = [item for item in items if item.get_closest_marker(marker)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
        CLOSING["left out"].append(f"left out: {len(left_out)} tests that {why}")
    items.sort(key=_short)


LONG = ("journeys", "crash", "test_bench.py", "demo")
"""Where a few tests take minutes: they come first, so that no worker begins one when the others are done."""


def _short(item: pytest.Item) -> bool:
    return not any(part in LONG for part in item.path.parts)


def _absent() -> Iterator[tuple[str, str]]:
    """(marker, why its tests cannot run here)."""
    if not CORPUS.is_dir():
        yield "corpus", f"read the corpus, which is not at {CORPUS}"
    if os.geteuid() != 0:
        yield "root", "need root, to mount a small disk or write for another account"


def pytest_sessionfinish(session: pytest.Session) -> None:
    if output := getattr(session.config, "workeroutput", None):
        output["closing"] = CLOSING


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker ended: its lines are ours. Each has left out the same."""
    for part, lines in getattr(node, "workeroutput", {}).get("closing", {}).items():
        CLOSING[part] += [line for line in lines if line not in CLOSING[part]]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in [*CLOSING["shown"], *(CLOSING["left out"] or ["left out: nothing"])]:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def summary() -> list[str]:
    """Lines that a test wants shown at the end of the run."""
    return CLOSING["shown"]


_configure = structlog.configure


def _uncached(**settings: Any) -> None:
    """A logger that was cached would keep the set-up of the command, or the fixture, that used it first."""
    _configure(**{**settings, "cache_logger_on_first_use": False})


structlog.configure = _uncached


@pytest.fixture(autouse=True)
def account_as_before() -> Iterator[None]:
    """Whoever ran a command within this process is himself again: what is left as another account fails far away."""
    before = os.geteuid(), os.getegid(), os.getgroups()
    yield
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """A command that ran within this process has set its log up; each test begins with the log as it comes."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """A private PostgreSQL 15 that syncs nothing."""
    folder = new_folder("pli-pg-")
    server = Postgresql(folder, durable=False)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def databases(postgresql: Postgresql) -> Callable[[str], str]:
    """Makes an empty database; its URL."""

    def make(name: str) -> str:
        with psycopg.connect(postgresql.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" STRATEGY file_copy'.encode())
        return postgresql.url(name)

    return make


@pytest.fixture(scope="session")
def shared_database(databases: Callable[[str], str]) -> str:
    """A database with every package's tables, shared by the tests that ask for it emptied."""
    url = databases("shared")
    upgrade(url, METADATAS)
    return url


@pytest.fixture
def emptied(shared_database: str) -> Callable[[], str]:
    """Ends whoever an earlier test left on the shared database, and empties its tables; its URL."""

    def empty() -> str:
        with psycopg.connect(shared_database, autocommit=True) as connection:
            left = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database()"
            connection.execute(f"{left} AND pid <> pg_backend_pid()".encode())
            tables = "SELECT string_agg(tablename, ', ') FROM pg_tables WHERE schemaname = 'public' AND tablename <> "
            names = connection.execute((tables + "'alembic_version'").encode()).fetchone()
            connection.execute(f"TRUNCATE {names[0] if names else ''}".encode())
        return shared_database

    return empty


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of foreign samples."""
    return CORPUS


@pytest.fixture
def now() -> datetime:
    """A fixed moment, so that nothing depends on the day a test runs."""
    return datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
