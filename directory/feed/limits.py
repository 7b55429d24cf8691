"""How much one import may change before a named person must say so, and when a file says nothing about who left.

Promises: each rule is a small function with a name that the plan records. Does not: read or write anything.

Source: directory §3.1 (outages, short files), §3.8 and §7.3 (accidental mass deletion).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Kind(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    RETURN = "return"
    """It had gone, and the source says it again."""
    DEACTIVATE = "deactivate"
    REMOVE = "remove"
    """It has been gone for as long as policy keeps it."""


@dataclass(frozen=True)
class Limit:
    """The most of one kind in one import: both must be passed for a breach, so that small directories can move."""

    count: int
    percent: float

    def broken(self, changes: int, held: int) -> bool:
        return changes > self.count and changes * 100 > self.percent * held


FACTORY = {
    Kind.CREATE: Limit(2_000, 5.0),
    Kind.UPDATE: Limit(5_000, 10.0),
    Kind.RETURN: Limit(2_000, 5.0),
    Kind.DEACTIVATE: Limit(500, 5.0),
    Kind.REMOVE: Limit(500, 5.0),
}
"""A national day moves 0.1 % (directory §3.5)."""


@dataclass(frozen=True)
class Breach:
    kind: Kind
    changes: int
    held: int


def breaches(counts: dict[Kind, int], held: int, limits: dict[Kind, Limit]) -> tuple[Breach, ...]:
    """Kinds of which there are too many. The first load of a source, when nothing is held, only creates."""
    if not held:
        return ()
    return tuple(Breach(kind, counts[kind], held) for kind in Kind if limits[kind].broken(counts[kind], held))


# --- does this file say who left? ------------------------------------------------------------------------------

SHORT_PERCENT = 10.0
"""A national month lost 5 % (directory §3.5): a file with a tenth less than the last was cut, or half made."""


@dataclass(frozen=True)
class Facts:
    """What the rules look at."""

    items: int
    before: int
    """Entries that the source's last file held; 0: there was none."""
    rejected: int
    ended: bool
    """The last line was whole."""
    age: timedelta
    stale_after: timedelta


def cut(facts: Facts) -> bool:
    return not facts.ended


def short(facts: Facts) -> bool:
    return facts.items * 100 < facts.before * (100 - SHORT_PERCENT)


def many_rejected(facts: Facts) -> bool:
    return facts.rejected * 100 > facts.items


def stale(facts: Facts) -> bool:
    return facts.age > facts.stale_after


RULES = {"cut": cut, "short": short, "many-rejected": many_rejected, "stale": stale}


def withheld(facts: Facts) -> tuple[str, ...]:
    """Why nobody may be deactivated on this file's word: the names of the rules that say so."""
    return tuple(name for name, rule in RULES.items() if rule(facts))


def retention_over(gone_since: str, now: datetime, kept_days: float) -> bool:
    return datetime.fromisoformat(gone_since) + timedelta(days=kept_days) <= now
