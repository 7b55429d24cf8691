"""What a region asks of a tenant's counts (directory §1.3): each number from its rows, or why it cannot be told."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from gateway import indicators
from relay.indicators import Row

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
