"""What a region asks of a tenant's counts (directory §1.3): each number from its rows, or why it cannot be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from dmp_bridge import tables
from gateway import indicators
from relay.indicators import Row
from relay.store import engine, migrations
from relay.store import tables as relay_tables

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)


def row(measure: str, key: str = "", number: int = 1, mailbox: str = "a@lilas.example", day: str = "2026-11-24") -> Row:
    return Row(day, mailbox, measure, key, number, 0)


def told(found: object) -> dict[str, float | None]:
    return {each.name: each.value for each in found}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("taken", "median"),
    [({}, None), ({7: 1}, 7), ({1: 1, 9: 1}, 1), ({1: 1, 9: 2}, 9), ({5: 3, 120: 2}, 5), ({5: 2, 120: 3}, 120)],
)
def test_the_median_is_the_lower_middle(taken: dict[int, int], median: float | None) -> None:
    """Of none there is none."""
    assert indicators._median(Counter(taken)) == median


def test_reading_and_silence() -> None:
    """Three were read, two were not after three days; without any the median cannot be told, and why."""
    rows = [row("read", "3"), row("read", "120", 2), row("unread", "", 2)]
    assert told(indicators._reading(rows, 259_200)) == {"unread after 72 h": 2, "median time to read, minutes": 120}
    (_, nothing) = indicators._reading([], 3600)
    assert (nothing.value, nothing.why) == (None, "nothing was said to be read")


def test_care() -> None:
    """Domains in use in thirty days, corrections, look-ups; no mode prints, which is said and is not 0."""
    rows = [
        row("connected"),
        row("letters", mailbox="b@parc.example"),
        row("letters", mailbox="c@ancien.example", day="2026-10-01"),
        row("received", mailbox="d@passif.example"),
        row("correction", "replaced", 3, mailbox=""),
        row("correction", "taken-back", mailbox=""),
        row("looked-up", "", 4, mailbox=""),
    ]
    assert told(indicators._care(rows, NOW)) == {
        "establishments connected, 30 days": 2, "documents replaced": 3, "documents taken back": 1,
        "helpdesk contacts": 4, "postal share": None,
    }  # fmt: skip


def test_deposits_by_type_by_structure_and_by_time() -> None:
    """Each type and structure has its line; three took two minutes, one two hours; without any there is no median."""
    rows = [row("document", "34112-3", 3), row("document", "11502-2"), row("filed-by", "1750000018", 4, mailbox="")]
    rows += [row("filed-after", "2", 3, mailbox=""), row("filed-after", "120", mailbox="")]
    assert told(indicators._deposits(rows)) == {
        "documents filed, type 11502-2": 1, "documents filed, type 34112-3": 3,
        "documents filed, structure 1750000018": 4, "median time to file, minutes": 2,
    }  # fmt: skip
    (nothing,) = indicators._deposits([row("sent", "operator")])
    assert (nothing.value, nothing.why) == (None, "no dossier fed yet")


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Engine]:
    """An empty store that a test may fill."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    migrations.upgrade(url, (relay_tables.metadata, tables.metadata))
    made = engine.writer_engine(url)
    yield made
    made.dispose()


def _waits(reader: Engine, tenant: str, name: str, hours: int, *, open_: bool = True) -> None:
    line = {
        "tenant": tenant,
        "id": name,
        "letter_id": name,
        "document_id": "",
        "host": "",
        "reason": "dossier.ins-absent",
    }
    told = {"evidence": "[]", "candidates": "[]", "open": open_, "added_at": NOW - timedelta(hours=hours)}
    with reader.begin() as conn:
        conn.execute(insert(tables.worklist).values(**line, **told))


def test_the_age_of_the_work_list(reader: Engine) -> None:
    """Of the oldest open line of this tenant: what was decided, and another's line, do not wait; none has no age."""
    assert told(indicators._waiting(reader, "lilas", NOW)) == {"work list": 0, "work list, oldest, hours": None}
    _waits(reader, "lilas", "a", 5)
    _waits(reader, "lilas", "b", 30)
    _waits(reader, "lilas", "c", 90, open_=False)
    _waits(reader, "parc", "d", 99)
    assert told(indicators._waiting(reader, "lilas", NOW)) == {"work list": 2, "work list, oldest, hours": 30}
