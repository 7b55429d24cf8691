"""What every test may ask for: the clock, and the corpus, which belongs to others and stays outside the project."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

CORPUS = Path(__file__).resolve().parent.parent.parent / "shared" / "corpus"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without the corpus its tests are left out, by name; CI refuses to run without it."""
    if CORPUS.is_dir():
        return
    if os.environ.get("CI"):
        raise pytest.UsageError(f"CI needs the corpus at {CORPUS}")
    left_out = [item for item in items if item.get_closest_marker("corpus")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    print(f"\nleft out: {len(left_out)} tests that read the corpus, which is not at {CORPUS}")


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of foreign samples."""
    return CORPUS


@pytest.fixture
def now() -> datetime:
    """A fixed moment, so that nothing depends on the day a test runs."""
    return datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
