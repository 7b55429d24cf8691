"""The wiring of the way out: the carrier, its couriers, and the notices to senders.

Promises: only the carrier's process needs what is here. Does not: decide, or run anything.
"""

from __future__ import annotations

import os
from functools import partial

from certs import tls
from dmp_bridge import receipts
from dmp_bridge.courier import DossierCourier
from dmp_bridge.dmp import DossierClient
from gateway import app, unsealing
from gateway.config import ConfigError, DossierSection, Settings
from gateway.doors import replies
from relay import hosts, notices
from relay.carrier import Carrier, Pace
from relay.couriers.closing import Closing
from relay.couriers.mailbox import MailboxCourier
from relay.couriers.peer import PEER_MODES, PeerCourier
from relay.intake import Intake
from relay.journal import SpoolJournal
from relay.model import Courier, Mode
from relay.schedule import Policy
from relay.store import engine


def where(settings: Settings) -> hosts.Hosts:
    """Hosts of a domain: those of [peers], else by MX."""
    configured = {domain.lower(): _split(place) for domain, place in settings.peers.items()}
    door = settings.doors.peers
    us = hosts.Us(
        frozenset({settings.node.hostname.lower().rstrip(".")}), hosts.own_addresses(door.host if door else "")
    )
    told = settings.dns
    resolver = hosts.resolver(told.places)
    return hosts.Hosts(resolver, configured, us, told.peers_port, told.timeout_s)


def _split(place: str) -> tuple[str, int]:
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(f"peers: '{place}' is no host:port")
    return host.strip("[]"), int(port)


def letters_out(settings: Settings, entry: Intake) -> Carrier:
    """The carrier with its couriers."""
    reader = engine.reader_engine(settings.database_url)
    return Carrier(
        client=entry.client,
        engine=reader,
        bodies=app.bodies(settings),
        keeper=app.keeper_client(settings),
        couriers=couriers(settings, entry),
        notice=_notices(settings, entry),
        clock=app.clock,
        worker=f"{settings.node.name}-{os.getpid()}",
        pace=_pace(settings),
        scrub=entry.pseudonyms.scrub,
    )


def _pace(settings: Settings) -> Pace:
    told = settings.carrier
    policy = Policy(delays_s=told.retry_s, lifetime_s=told.lifetime_s)
    return Pace(threads=told.threads, per_target=told.per_target, lease_s=told.lease_s, policy=policy)


def couriers(settings: Settings, entry: Intake) -> dict[Mode, Courier]:
    records = SpoolJournal(entry.client)
    peer = PeerCourier(
        hostname=settings.node.hostname,
        where=where(settings),
        context=tls.renewed(
            app.tls_role(settings, tls.PEER_OUT), (settings.tls.certificate, settings.tls.key), entry.trust
        ),
        trust=entry.trust,
        white_list=entry.white_list,
        keeper=app.keeper_client(settings),
        journal=records,
        clock=app.clock,
        unsure=settings.trust.cannot_tell,
        closing=Closing(entry.directory, entry.trust, records, app.clock),
    )
    delivery = settings.delivery
    mailbox = MailboxCourier(delivery.lmtp_host, delivery.lmtp_port, settings.node.hostname, app.clock)
    opening = unsealing.into_mailboxes(settings, entry, mailbox)
    found: dict[Mode, Courier] = {Mode.MAILBOX: opening, **dict.fromkeys(PEER_MODES, peer)}
    if settings.dossier:
        dossier = unsealing.into_dossier(settings, entry, dossier_courier(settings, settings.dossier, entry))
        found |= {Mode.DOSSIER: dossier, Mode.DOSSIER_SHOW: dossier}
    return found


def dossier_client(settings: Settings, section: DossierSection) -> DossierClient:
    host = app.profile(section)
    assert host is not None
    return DossierClient(host, section.certificate, section.key, app.trust(settings))


def dossier_courier(settings: Settings, section: DossierSection, entry: Intake) -> DossierCourier:
    return DossierCourier(
        client=dossier_client(settings, section),
        register=app.register(settings),
        store=entry.client,
        engine=engine.reader_engine(settings.database_url),
        journal=SpoolJournal(entry.client),
        institutions=frozenset({settings.node.establishment, *section.institutions}),
    )


def _notices(settings: Settings, entry: Intake) -> notices.Notices:
    here = app.node(settings)
    builders = (
        partial(notices.failure, node=here, clock=app.clock, words=_words),
        partial(notices.delivered, node=here, clock=app.clock, words=_words),
        partial(receipts.receipt, node=here, clock=app.clock, words=_words),
    )
    return notices.Notices(entry, app.bodies(settings), here, builders, app.clock)


def _words(reason: str) -> tuple[str, str, str]:
    reply = replies.of(reason)
    return reply.enhanced, reply.french, reply.english
