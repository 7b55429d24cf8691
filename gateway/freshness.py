"""How old what each source of the directory last said is: what the command and the page tell alike.

Promises: every source that was ever taken stands there, the limit is the source's own (directory.feed.sources).
Does not: fetch anything, or say of a mailbox when it was last changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from directory.feed import sources
from directory.feed.ledger import Taken
from gateway import feeding
from gateway.config import Settings


@dataclass(frozen=True)
class Fresh:
    """What one source said last."""

    taken: Taken
    title: str
    """French, for screens."""
    age: timedelta
    limit: timedelta

    @property
    def stale(self) -> bool:
        return self.age > self.limit


def every(settings: Settings, now: datetime) -> tuple[Fresh, ...]:
    """By name. Raises ConfigError where this node keeps no directory."""
    return tuple(_fresh(each, now) for each in feeding.ledger(settings).every())


def _fresh(taken: Taken, now: datetime) -> Fresh:
    source = sources.KNOWN[taken.source]
    age = now - datetime.fromisoformat(taken.dated)
    return Fresh(taken, source.title, age, timedelta(hours=source.stale_hours))


def never(found: tuple[Fresh, ...]) -> tuple[str, ...]:
    """Titles of the sources of which no file was applied to its end."""
    taken = {each.taken.source for each in found}
    return tuple(each.title for name, each in sources.KNOWN.items() if name not in taken)
