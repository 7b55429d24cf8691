"""How much at once towards one destination: more as it takes letters, less as it fails, one probe once it is dead.

Promises: pure. A destination begins with few letters at once; each that it deals with, whatever it says of the letter,
widens its window by a part, so that a whole window's worth adds one; one for which it could not be reached, or that
broke, halves it. Failing several times with nothing between, it is dead: nobody calls it before a moment that grows
with each failed probe, then one letter does, for all who wait. Which letter came does not matter, only trouble of the
whole destination counts (Later.whole). As Postfix's scheduler: variable positive feedback 1/concurrency, initial
concurrency, failed cohorts (SCHEDULER_README; postconf(5) default_destination_concurrency_positive_feedback,
default_destination_concurrency_failed_cohort_limit). Does not: read or write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from relay.model import Later, Outcome, Quarantined, Reason
from relay.schedule import FACTORY, fraction

INITIAL = 2.0
"""Letters at once towards a destination of which nothing is known (Postfix: 5)."""
FAILURES_MOST = 2
"""In a row; then it is dead."""
PROBES_S = FACTORY.delays_s
"""Until the first probe of a dead one, the second...; the last one repeats. As the queue's own back-off, but:"""
PAUSE_MOST_S = 900.0
"""so that whoever comes back is noticed."""
SPREAD = 0.2
"""A pause is lengthened by up to this share, so that probes of many do not meet."""

_OURS = frozenset(
    (
        Reason.KEEPER_DOWN,
        Reason.NO_KEY,
        Reason.STORE_DOWN,
        Reason.DIRECTORY_DOWN,
        Reason.NO_CERTIFICATE,
        Reason.SURPRISE,
    )
)


@dataclass(frozen=True)
class Standing:
    """What is known of a destination."""

    window: float = INITIAL
    failures: int = 0
    """In a row, probes included."""
    until: datetime | None = None
    """Dead: not called before."""


NEW = Standing()


def whole(outcome: Outcome) -> bool:
    """Whether it says that the destination cannot be used now."""
    return isinstance(outcome, Later) and outcome.whole


def ours(outcome: Outcome) -> bool:
    """Whether it says nothing of the destination: a part of this node did not answer, or the letter is held."""
    return isinstance(outcome, Quarantined) or (isinstance(outcome, Later) and outcome.reason in _OURS)


def after(
    standing: Standing, name: str, *, failed: bool, most: int, now: datetime, pauses_s: Sequence[float] = PROBES_S
) -> Standing:
    """`most`: the widest window."""
    if not failed:
        window = 1.0 if standing.until else standing.window
        return Standing(min(float(most), window + 1 / window))
    if standing.until and now < standing.until:
        return standing  # on its way since before it was known to be dead
    failures = standing.failures + 1
    narrower = replace(standing, window=max(1.0, standing.window / 2), failures=failures)
    if failures < FAILURES_MOST:
        return narrower
    pause = min(pauses_s[min(failures - FAILURES_MOST, len(pauses_s) - 1)], PAUSE_MOST_S)
    return replace(narrower, until=now + timedelta(seconds=pause * (1 + SPREAD * fraction(name, failures))))
