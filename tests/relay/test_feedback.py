"""What a destination's answers make of the number of letters at once towards it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import feedback
from relay.feedback import NEW, PAUSE_MOST_S, PROBES_S, SPREAD, Standing
from relay.model import Done, Later, Never, Outcome, Quarantined, Reason

AT = datetime(2026, 11, 25, 10, tzinfo=UTC)


def _after(standing: Standing, *failed: bool, at: datetime = AT, most: int = 8) -> Standing:
    for each in failed:
        standing = feedback.after(standing, "peer parc", failed=each, most=most, now=at)
    return standing


def test_a_window_of_successes_adds_one() -> None:
    """Two letters dealt with by a new destination make room for a third; then three for a fourth."""
    assert _after(NEW, False).window == 2.5
    assert 2.8 < _after(NEW, False, False).window < 3.0
    assert _after(NEW, *[False] * 200).window == 8.0


def test_a_failure_halves_it() -> None:
    """One failure between successes narrows, and is forgotten by the next success."""
    failed = _after(Standing(window=8.0), True)
    assert (failed.window, failed.failures, failed.until) == (4.0, 1, None)
    assert _after(failed, False) == Standing(window=4.25)


def test_two_in_a_row_are_a_death_and_each_failed_probe_lasts_longer() -> None:
    """Dead for half a minute, then for a minute, up to a quarter of an hour, each a little lengthened."""
    standing, at = _after(NEW, True, True), AT
    for each in (*PROBES_S, PROBES_S[-1]):
        pause = min(each, PAUSE_MOST_S)
        assert standing.until
        assert pause <= (standing.until - at).total_seconds() <= pause * (1 + SPREAD)
        at = standing.until
        standing = _after(standing, True, at=at)


def test_failures_that_were_under_way_do_not_count() -> None:
    """Eight letters that time out together are one death, not eight."""
    dead = _after(NEW, True, True)
    assert _after(dead, True, True, True) == dead


def test_a_probe_that_succeeds_begins_anew() -> None:
    """It lives again, with few letters at once."""
    dead = _after(Standing(window=8.0), *[True] * 2)
    assert _after(dead, False, at=AT + timedelta(hours=1)) == Standing(window=2.0)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3600)), max_size=60), st.integers(1, 20))
def test_whatever_happens_something_may_go(answers: list[tuple[bool, int]], most: int) -> None:
    """The window stays between one and the most; a destination is never dead for longer than the last pause."""
    standing, at = NEW, AT
    for failed, seconds in answers:
        at += timedelta(seconds=seconds)
        standing = feedback.after(standing, "x", failed=failed, most=most, now=at)
        assert 1.0 <= standing.window <= max(2.0, most)
        assert standing.until is None or standing.until - at <= timedelta(seconds=PAUSE_MOST_S * (1 + SPREAD))


@pytest.mark.parametrize(
    ("outcome", "whole", "ours"),
    [
        (Done("250"), False, False),
        (Never(Reason.PEER_REFUSED), False, False),
        (Later(Reason.PEER_DELAYED, "451 grey"), False, False),
        (Later(Reason.PEER_UNREACHABLE, "TimeoutError", whole=True), True, False),
        (Later(Reason.KEEPER_DOWN), False, True),
        (Quarantined("x"), False, True),
    ],
)
def test_whose_trouble_it_is(outcome: Outcome, whole: bool, ours: bool) -> None:
    """A grey-listed recipient is no dead peer, and a keeper that is down says nothing of anybody."""
    assert (feedback.whole(outcome), feedback.ours(outcome)) == (whole, ours)
