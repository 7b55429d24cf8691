"""Mailboxes that nobody uses: on which rung of the ladder each stands, and what that rung asks for.

Promises: used is: a client connected, or a letter was written; what comes in is no use. A mailbox is told once until it
is used again; each rung is an act of gateway.mailboxes, asked of the roles and journalled. Does not: know the days
(lifecycle.* does), or act unless it is asked to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from sqlalchemy import select

from directory import address, lifecycle
from directory.lifecycle import Lifecycle, Rung
from directory.model import Address
from directory.roles import Act
from gateway import administration, app, mailboxes, outgoing
from gateway.config import Settings
from gateway.mailboxes import Order
from relay import indicators
from relay.indicators import PARIS
from relay.journal import SpoolJournal
from relay.model import Door, DoorProof, Envelope, Event, Refusal, new_id
from relay.store.tables import journal

USE = frozenset({"connected", "letters"})
"""Measures of relay.indicators that are somebody's use of his mailbox."""
NOTIFIED = "mailbox.notified"


@dataclass(frozen=True)
class Idle:
    address: Address
    state: Lifecycle
    used: datetime
    """The day on which it was last used, or made."""
    rung: Rung
    notified: bool
    """He was told since."""

    @property
    def due(self) -> bool:
        """Whether its rung asks for something that is not done yet."""
        if self.rung is Rung.NOTIFY:
            return not self.notified and self.state is Lifecycle.ACTIVE
        return self.rung is Rung.UNPUBLISH or (self.rung is Rung.SUSPEND and self.state is Lifecycle.ACTIVE)


def idle(settings: Settings, now: datetime, by: str = "") -> Iterator[Idle]:
    """Those that stand on a rung, by address within each domain. Raises what the desk does."""
    ladder = settings.lifecycle.ladder
    used, told = _used(settings), _told(settings)
    with administration.desk(settings, by) as at:
        for domain in settings.node.domains:
            for kept in at.every(domain.lower()):
                name = (kept.text("mail") or kept.text("mssAdresse")).lower()
                known = [each for each in (used.get(name), kept.created) if each]
                if not known or kept.state is Lifecycle.CLOSED:
                    continue
                since = max(known)
                if rung := _rung(since, now, ladder):
                    yield Idle(address.parse(name), kept.state, since, rung, told.get(name, since) > since)


def _rung(since: datetime, now: datetime, ladder: lifecycle.Ladder) -> Rung | None:
    found = lifecycle.rung(since, now, ladder)
    return None if found is Rung.NONE else found


def act(settings: Settings, one: Idle, by: str) -> str:
    """What its rung asks for; the name of what was done, or ''. Raises what gateway.mailboxes does."""
    order = Order(by, f"unused since {one.used.date().isoformat()}")
    if not one.due:
        return ""
    if one.rung is Rung.NOTIFY:
        return "notified" if _notify(settings, one, order) else ""
    if one.state is Lifecycle.ACTIVE:
        mailboxes.move(settings, one.address, Act.SUSPEND, order)
    if one.rung is Rung.UNPUBLISH:
        done = mailboxes.withdraw(settings, one.address, order)
        return "withdrawn" if done.before != done.after else ""
    return "suspended"


def _used(settings: Settings) -> dict[str, datetime]:
    """mailbox -> the last day, from the events that are counted anyway."""
    last: dict[str, datetime] = {}
    for row in indicators.read(app.reader(settings.database_url), settings.node.tenant):
        if row.measure in USE and row.mailbox:
            day = datetime.fromisoformat(row.day).replace(tzinfo=PARIS).astimezone(UTC)
            last[row.mailbox] = max(day, last.get(row.mailbox, day))
    return last


def _told(settings: Settings) -> dict[str, datetime]:
    """mailbox -> when its holder was last written to."""
    asked = select(journal.c.at, journal.c.facts).where(
        journal.c.tenant == settings.node.tenant, journal.c.event == NOTIFIED
    )
    with app.reader(settings.database_url).connect() as conn:
        rows = conn.execute(asked.order_by(journal.c.at)).all()
    return {json.loads(facts)["mailbox"]: at for at, facts in rows}


# --- the letter ---------------------------------------------------------------------------------------------------

_WORDS = """\
Bonjour,

Votre boîte {address} n'a pas servi depuis le {day}. Connectez-vous pour la garder ; sinon elle sera suspendue.

Your mailbox {address} has not been used since {day}. Log in to keep it; it will be suspended otherwise.
"""


def _notify(settings: Settings, one: Idle, order: Order) -> bool:
    """A letter like any other: through the intake, with the null sender. False: it was refused."""
    with outgoing.under_the_nodes_account(settings):
        return _written(settings, one, order)


def _written(settings: Settings, one: Idle, order: Order) -> bool:
    intake, now = app.intake(settings), app.clock()
    to = intake.check_recipient(one.address, Door.NOTICE)
    if isinstance(to, Refusal):
        return False
    raw, bodies = _letter(settings, one, now), app.bodies(settings)
    body = bodies.put(raw)
    envelope = Envelope(new_id(now), settings.node.tenant, Door.NOTICE, None, (to,), DoorProof(), now)
    answer = intake.accept(envelope, raw, body)
    if isinstance(answer, Refusal):
        if answer.certain:
            bodies.erase(body)
        return False
    facts = (("mailbox", one.address.key), ("by", order.by), ("because", order.why))
    SpoolJournal(app.client(settings)).add(settings.node.tenant, [Event(NOTIFIED, answer.letter_id, facts=facts)])
    return True


def _letter(settings: Settings, one: Idle, now: datetime) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["Date"] = format_datetime(now)
    mail["From"] = f"postmaster@{one.address.domain}"
    mail["To"] = str(one.address)
    mail["Subject"] = "Votre boîte ne sert plus / Your mailbox is not used"
    mail["Message-ID"] = f"<{new_id(now)}@{settings.node.hostname}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5
    words = _WORDS.format(address=one.address, day=one.used.date().isoformat())
    mail.set_content(words, cte="quoted-printable")
    return mail.as_bytes()
