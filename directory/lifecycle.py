"""How a mailbox lives: its states, which follows which, and the ladder of those that nobody uses.

Promises: pure. A closed mailbox stays closed and its address is never given again (spec/operator.md §1.3: the address
is the unique key; renaming is closing and creating). Suspension is advice since version 1.3.1 of the operators' rules
(§1.4), so that every rung is policy and may be left out. Does not: look at a clock, write, or say who may.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from directory.roles import Act


class Lifecycle(StrEnum):
    """lifecycleState of our schema."""

    PENDING = "pending"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


_FROM: Mapping[Act, frozenset[Lifecycle]] = {
    Act.SUSPEND: frozenset({Lifecycle.PENDING, Lifecycle.ACTIVE}),
    Act.RESUME: frozenset({Lifecycle.PENDING, Lifecycle.SUSPENDED}),
    Act.CLOSE: frozenset({Lifecycle.PENDING, Lifecycle.ACTIVE, Lifecycle.SUSPENDED}),
}
_TO = {Act.SUSPEND: Lifecycle.SUSPENDED, Act.RESUME: Lifecycle.ACTIVE, Act.CLOSE: Lifecycle.CLOSED}


class CannotMove(Exception):
    """The text is for people, in French then English."""


def read(state: str) -> Lifecycle:
    """What an entry says; nothing is active, what nobody knows is closed: such a mailbox takes no letters either
    (directory.entries.in_force)."""
    if not state:
        return Lifecycle.ACTIVE
    return Lifecycle(state.lower()) if state.lower() in set(Lifecycle) else Lifecycle.CLOSED


def moved(state: Lifecycle, act: Act) -> Lifecycle:
    """The state after the act; the same where it is so already. Raises CannotMove."""
    after = _TO[act]
    if state is not after and state not in _FROM[act]:
        raise CannotMove(f"une boîte {state.value} ne le peut plus / a {state.value} mailbox can not: {act.value}")
    return after


# --- those that nobody uses -------------------------------------------------------------------------------------


class Rung(StrEnum):
    NONE = "none"
    NOTIFY = "notify"
    SUSPEND = "suspend"
    UNPUBLISH = "unpublish"


@dataclass(frozen=True)
class Ladder:
    """Days without use after which a rung is reached; 0: that rung is left out. The factory's are those of
    spec/operator.md §1.4: one year, eighteen months, two years, whose source is weak."""

    notify_days: int = 365
    suspend_days: int = 548
    unpublish_days: int = 730


def rung(used: datetime, now: datetime, ladder: Ladder) -> Rung:
    """The highest rung that a mailbox last used then stands on."""
    idle = now - used
    rungs = (
        (Rung.UNPUBLISH, ladder.unpublish_days),
        (Rung.SUSPEND, ladder.suspend_days),
        (Rung.NOTIFY, ladder.notify_days),
    )
    return next((each for each, days in rungs if days and idle >= timedelta(days=days)), Rung.NONE)
