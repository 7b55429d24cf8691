"""When a delayed recipient is tried again."""

from __future__ import annotations

from datetime import datetime, timedelta

from relay.schedule import FACTORY, Policy, next_due

STEPS = Policy(delays_s=(10, 60), lifetime_s=1000, spread=0.5)


def test_delays_grow_and_the_last_repeats(now: datetime) -> None:
    """Attempt after attempt the delay follows the list; each is lengthened by no more than the spread."""
    for attempt, delay in ((1, 10), (2, 60), (3, 60), (9, 60)):
        due = next_due(STEPS, "r", attempt, now, now)
        assert due is not None
        assert delay <= (due - now).total_seconds() <= delay * 1.5


def test_same_question_same_answer(now: datetime) -> None:
    """The spread is of the recipient and the attempt, not of the moment of asking."""
    assert next_due(STEPS, "r", 1, now, now) == next_due(STEPS, "r", 1, now, now)


def test_recipients_are_spread(now: datetime) -> None:
    """A peer that comes back is not met by all at once."""
    assert len({next_due(STEPS, f"r{n}", 1, now, now) for n in range(50)}) > 40


def test_last_attempt_is_at_the_end(now: datetime) -> None:
    """An attempt that would fall behind the lifetime is made at its end."""
    late = now + timedelta(seconds=995)
    assert next_due(STEPS, "r", 5, now, late) == now + timedelta(seconds=1000)


def test_given_up_after_five_days(now: datetime) -> None:
    """At the end of the lifetime there is no further attempt; a second before there is."""
    end = now + timedelta(days=5)
    assert next_due(FACTORY, "r", 60, now, end) is None
    assert next_due(FACTORY, "r", 60, now, end - timedelta(seconds=1)) == end
