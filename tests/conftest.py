"""What every test may ask for: the clock, and the corpus, which belongs to others and stays outside the project."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog

CORPUS = Path(__file__).resolve().parent.parent.parent / "shared" / "corpus"


LEFT_OUT: list[str] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What cannot run here is left out by name and said at the end; CI leaves nothing out."""
    if not CORPUS.is_dir():
        _leave_out(config, items, "corpus", f"read the corpus, which is not at {CORPUS}")
    if os.geteuid() != 0:
        _leave_out(config, items, "root", "need root, to mount a small disk")


def _leave_out(config: pytest.Config, items: list[pytest.Item], marker: str, why: str) -> None:
    if os.environ.get("CI"):
        raise pytest.UsageError(f"CI leaves nothing out, but tests {why}")
    left_out = [item for item in items if item.get_closest_marker(marker)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    LEFT_OUT.append(f"left out: {len(left_out)} tests that {why}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in LEFT_OUT or ["left out: nothing"]:
        terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def log_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command that ran within this process has set its log up; the next test captures lines again.

    Loggers are not cached here: one that was would keep the set-up of the command that used it first.
    """
    before, configure = structlog.get_config(), structlog.configure
    uncached = {"cache_logger_on_first_use": False}
    monkeypatch.setattr(structlog, "configure", lambda **settings: configure(**{**settings, **uncached}))
    yield
    configure(**before)


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of foreign samples."""
    return CORPUS


@pytest.fixture
def now() -> datetime:
    """A fixed moment, so that nothing depends on the day a test runs."""
    return datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
