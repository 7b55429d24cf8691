"""An author's letters that did not arrive, or of which nothing is heard: shown to him until he has dealt with them.

Promises: what he says of one is journalled in his name, can be taken back, and counts until something new happens to
that recipient; nobody says it of another's letter. Does not: send again, or change a letter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway import app
from gateway.config import Settings
from relay.journal import SpoolJournal
from relay.model import Event, State
from relay.store import reads

SINCE = timedelta(days=14)
"""So long a letter that failed, or of which nothing is heard, is shown first."""


@dataclass(frozen=True)
class Trouble:
    """A recipient of one's own letter that did not get it, or of whom nothing is heard."""

    letter_id: str
    recipient_id: str
    name: str
    failed: bool
    reason: str


def waiting(settings: Settings, account: str, now: datetime) -> tuple[Trouble, ...]:
    """The newest first."""
    return _troubles(settings, account, now, dealt_with=False)


def dealt_with(settings: Settings, account: str, now: datetime) -> tuple[Trouble, ...]:
    """Those of which he said so."""
    return _troubles(settings, account, now, dealt_with=True)


def _troubles(settings: Settings, account: str, now: datetime, *, dealt_with: bool) -> tuple[Trouble, ...]:
    hide, reader = app.pseudonyms(settings), app.reader(settings.database_url)
    rows = reads.troubled(reader, settings.node.tenant, account, now - SINCE, dealt_with=dealt_with)
    return tuple(
        Trouble(row.letter_id, row.id, hide.address(row.address), row.state is State.FAILED, row.reason) for row in rows
    )


def deal(settings: Settings, account: str, recipient_id: str, now: datetime) -> bool:
    """False where it is none of his troubles. Asked twice it is done once. Raises StoreDown."""
    return _say(settings, account, recipient_id, reads.DEALT_WITH, waiting(settings, account, now))


def take_up(settings: Settings, account: str, recipient_id: str, now: datetime) -> bool:
    """It is shown again. As `deal`."""
    return _say(settings, account, recipient_id, reads.TAKEN_UP, dealt_with(settings, account, now))


def _say(settings: Settings, account: str, recipient_id: str, event: str, among: Iterable[Trouble]) -> bool:
    found = next((each for each in among if each.recipient_id == recipient_id), None)
    if found is None:
        return False
    said = Event(event, found.letter_id, recipient_id, (("by", account),))
    SpoolJournal(app.client(settings)).add(settings.node.tenant, [said])
    return True
