"""The other operators, as this node last met them: when a letter went to a domain, when one came, what is wrong.

Promises: a meeting is a letter that was taken over a TLS session whose certificate the white list allowed, as the
journal has it, among its newest rows; domains alone are named, no mailbox. Does not: call anybody (`pli audit` does).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, and_, func, select

from gateway import app
from gateway.config import ConfigError, Settings
from relay.model import Door
from relay.store import reads
from relay.store.lanes import NODE
from relay.store.tables import destinations, journal, letters, recipients

LOOKED_AT = 20_000
"""Newest journal rows of each chain that are read: who was not met in them is not shown."""
_PEER = "peer "


@dataclass(frozen=True)
class Peer:
    domain: str
    sent_at: datetime | None = None
    """When it last took a letter of ours."""
    came_at: datetime | None = None
    """When we last took one of its."""
    waiting: int = 0
    reason: str = ""
    """Why it is not called at present."""
    until: datetime | None = None


@dataclass(frozen=True)
class ListAge:
    """Of the white list in use."""

    age: timedelta | None
    most: timedelta
    domains: int = 0
    fault: str = ""


def white_list(settings: Settings) -> ListAge:
    most = timedelta(hours=settings.trust.white_list_max_age_hours)
    try:
        held = app.white_list(settings, app.trust(settings))()
    except ConfigError as error:
        return ListAge(None, most, fault=str(error))
    return ListAge(app.clock() - held.generated_at, most, len(held.domains()))


def met(settings: Settings) -> tuple[Peer, ...]:
    """One tenant's, by domain."""
    reader, tenant = app.reader(settings.database_url), settings.node.tenant
    found: dict[str, Peer] = {}
    for each in _seen(reader, tenant):
        found[each.domain] = _newer(found.get(each.domain, Peer(each.domain)), each)
    return tuple(sorted(found.values(), key=lambda each: each.domain))


def _newer(known: Peer, seen: Peer) -> Peer:
    return replace(
        known,
        sent_at=max(filter(None, (known.sent_at, seen.sent_at)), default=None),
        came_at=max(filter(None, (known.came_at, seen.came_at)), default=None),
        waiting=known.waiting + seen.waiting,
        reason=known.reason or seen.reason,
        until=known.until or seen.until,
    )


def _seen(reader: Engine, tenant: str) -> Iterator[Peer]:
    with reader.connect() as conn:
        newest = select(journal.c.chain, func.max(journal.c.number)).group_by(journal.c.chain)
        for chain, number in conn.execute(newest).all():
            yield from _of_chain(conn, tenant, chain, number - LOOKED_AT)
        yield from _dead(conn)
    for line in reads.queue(reader, tenant):
        if line.mode.startswith("peer"):
            yield Peer(line.target, waiting=line.count)


def _of_chain(conn: Connection, tenant: str, chain: str, since: int) -> Iterator[Peer]:
    j, at = journal.c, func.max(journal.c.at)
    rows = and_(j.chain == chain, j.number > since, j.tenant == tenant)
    to = and_(recipients.c.tenant == j.tenant, recipients.c.id == j.recipient_id)
    went = select(recipients.c.target, at).join_from(journal, recipients, to)
    for target, moment in conn.execute(went.where(rows, j.event == "relayed").group_by(recipients.c.target)):
        yield Peer(target, sent_at=moment)
    of = and_(letters.c.tenant == j.tenant, letters.c.id == j.letter_id, letters.c.door == Door.PEER.value)
    came = select(letters.c.sender_key, at).join_from(journal, letters, of)
    for sender, moment in conn.execute(came.where(rows, j.event == "accepted").group_by(letters.c.sender_key)):
        if domain := sender.rpartition("@")[2]:
            yield Peer(domain, came_at=moment)


def _dead(conn: Connection) -> Iterator[Peer]:
    """Destinations that are not called before a moment; the node's own knowledge, whichever tenant writes."""
    d = destinations.c
    rows = select(d.destination, d.until, d.reason).where(d.tenant == NODE, d.until.is_not(None))
    for destination, until, reason in conn.execute(rows):
        if destination.startswith(_PEER):
            yield Peer(destination.removeprefix(_PEER), reason=reason, until=until)
