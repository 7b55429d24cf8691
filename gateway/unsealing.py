"""The wiring of encrypted letters: by whose keys they are opened, what looks at them then, and who is told.

Promises: only the carrier's process needs what is here. Does not: decide, or run anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway import app
from gateway.config import Settings
from relay import spool
from relay.couriers.mailbox import MailboxCourier
from relay.couriers.opening import OpenedFor, OpeningCourier, Unsealer
from relay.intake import Intake
from relay.journal import SpoolJournal
from relay.model import Courier, Letter, Mode


def unsealer(settings: Settings, entry: Intake) -> Unsealer:
    return Unsealer(app.keeper_client(settings), entry.trust)


def into_mailboxes(settings: Settings, entry: Intake, mailbox: MailboxCourier) -> OpeningCourier:
    """The courier to mailboxes, which opens what is encrypted for them."""
    return OpeningCourier(
        mailbox=mailbox,
        unsealer=unsealer(settings, entry),
        finders=entry.finders,
        client=entry.client,
        journal=SpoolJournal(entry.client),
        clock=app.clock,
        wait=_waits(entry),
        scanning=entry.scanning,
    )


def into_dossier(settings: Settings, entry: Intake, dossier: Courier) -> OpenedFor:
    """The courier to the dossier, which is handed such letters opened."""
    return OpenedFor(dossier, unsealer(settings, entry), _mailboxes(settings))


def _waits(entry: Intake) -> Callable[[Letter, str], None]:
    """A line on the work list: a letter of which no document is named."""

    def wait(letter: Letter, reason: str) -> None:
        entry.client.write("worklist.add", letter.tenant, letter_id=letter.id, document_id="", host="", reason=reason)

    return wait


def _mailboxes(settings: Settings) -> Callable[[Letter], Sequence[str]]:
    reader = app.reader(settings.database_url)

    def addresses(letter: Letter) -> Sequence[str]:
        held = spool.letter(reader, letter.tenant, letter.id)
        rows = held[1] if held else ()
        return [row.address for row in rows if row.route.mode is Mode.MAILBOX]

    return addresses
