"""Parts of a large plan of the directory's feed, as a page shows it: some changes at a time, and the rejected lines.

Promises: a part costs the same wherever it stands, and however large the plan is. Does not: count (the head does).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from directory.feed import plan
from directory.feed.lines import Rejected
from directory.feed.plan import Change

SHOWN, LOOKED = 20, 5_000
"""Changes in a part; lines that are looked at for them, so that a rare one is no long wait."""
REJECTED_SHOWN = 200
_TAIL = 2 << 20
"""Octets at the end of a plan in which its rejected lines stand: plan.REJECTED_KEPT of them at most."""


@dataclass(frozen=True)
class Part:
    changes: tuple[Change, ...]
    after: int
    """The octet at which the next part begins; 0 where there is none."""


def changes(path: Path, kind: str, match: str, place: int) -> Part:
    """From that octet on, of a kind and with a text where these are asked for. Raises FeedError."""
    found: list[Change] = []
    for number, (change, after) in enumerate(plan.lines_from(path, place), 1):
        if change is not None and kind in ("", change.kind.value) and match.casefold() in text(change):
            found.append(change)
        if len(found) == SHOWN or number == LOOKED:
            return Part(tuple(found), after)
    return Part(tuple(found), 0)


def text(change: Change) -> str:
    """All that is said of an entry, before and after."""
    return " ".join([*(change.before or {}).values(), *(change.after or {}).values()]).casefold()


def rejected(path: Path) -> tuple[Rejected, ...]:
    """The first of them. Raises FeedError."""
    with path.open("rb") as file:
        place = max(0, file.seek(0, 2) - _TAIL)
    return tuple(islice(plan.rejected_of(path, place), REJECTED_SHOWN))
