"""How a mailbox lives: the table of its states, and the ladder of those that nobody uses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from directory.lifecycle import CannotMove, Ladder, Lifecycle, Rung, moved, rung
from directory.roles import Act

NOW = datetime(2026, 11, 25, tzinfo=UTC)
GOES = {
    (Lifecycle.PENDING, Act.SUSPEND): Lifecycle.SUSPENDED,
    (Lifecycle.PENDING, Act.RESUME): Lifecycle.ACTIVE,
    (Lifecycle.PENDING, Act.CLOSE): Lifecycle.CLOSED,
    (Lifecycle.ACTIVE, Act.SUSPEND): Lifecycle.SUSPENDED,
    (Lifecycle.ACTIVE, Act.RESUME): Lifecycle.ACTIVE,
    (Lifecycle.ACTIVE, Act.CLOSE): Lifecycle.CLOSED,
    (Lifecycle.SUSPENDED, Act.SUSPEND): Lifecycle.SUSPENDED,
    (Lifecycle.SUSPENDED, Act.RESUME): Lifecycle.ACTIVE,
    (Lifecycle.SUSPENDED, Act.CLOSE): Lifecycle.CLOSED,
    (Lifecycle.CLOSED, Act.CLOSE): Lifecycle.CLOSED,
}


@pytest.mark.parametrize("state", Lifecycle)
@pytest.mark.parametrize("act", [Act.SUSPEND, Act.RESUME, Act.CLOSE])
def test_states_follow_one_table(state: Lifecycle, act: Act) -> None:
    """Every state with every act: the next one, or a refusal; nothing leaves `closed`."""
    if (state, act) in GOES:
        assert moved(state, act) is GOES[state, act]
    else:
        with pytest.raises(CannotMove):
            moved(state, act)


@pytest.mark.parametrize(
    ("days", "where"),
    [(0, "none"), (364, "none"), (365, "notify"), (547, "notify"), (548, "suspend"), (730, "unpublish")],
)
def test_the_ladder_counts_days_without_use(days: int, where: str) -> None:
    """One year, eighteen months, two years, to the day."""
    assert rung(NOW - timedelta(days=days), NOW, Ladder()) is Rung(where)


def test_a_rung_may_be_left_out() -> None:
    """0 days: it is never reached; without any rung nobody is looked at."""
    old = NOW - timedelta(days=5000)
    assert rung(old, NOW, Ladder(unpublish_days=0)) is Rung.SUSPEND
    assert rung(old, NOW, Ladder(0, 0, 0)) is Rung.NONE
