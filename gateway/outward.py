"""The wiring of the way out: the carrier, its couriers, and the notices to senders.

Promises: only the carrier's process needs what is here. Does not: decide, or run anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from certs import tls
from certs.chain import TrustStore
from certs.tls import Contexts
from dmp_bridge import receipts
from dmp_bridge.courier import DossierCourier
from gateway import app, carrying, checkers, dossier_hosts, neighbours, unsealing
from gateway.config import ConfigError, DossierSection, Settings
from gateway.doors import replies
from relay import hosts, notices, tenants
from relay.carrier import Carrier, Pace, opener
from relay.couriers.closing import Closing
from relay.couriers.kept import Kept
from relay.couriers.mailbox import MailboxCourier
from relay.couriers.peer import PEER_MODES, Near, PeerCourier, nobody_near
from relay.intake import Intake
from relay.journal import SpoolJournal
from relay.model import Courier, Mode
from relay.schedule import Policy


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


def letters_out(settings: Settings) -> Carrier:
    """The carrier of all tenants of the node, with each one's couriers."""
    shared = app.common(settings, follow=True)
    entries = {view.node.tenant: app.intake(view, shared) for view in settings.views}
    lines, near = Lines(shared.trust), neighbours.street(settings, shared, entries)
    services = {
        view.node.tenant: _service(view, entries[view.node.tenant], lines, near.near(view.node.tenant))
        for view in settings.views
    }
    return Carrier(
        client=shared.client,
        engine=app.reader(settings.database_url),
        opened=tenants.opened(services),
        couriers=tenants.couriers(services),
        notice=tenants.notice(services),
        clock=app.clock,
        worker=f"{settings.node.name}-{os.getpid()}",
        pace=_pace(settings),
    )


def _service(settings: Settings, entry: Intake, lines: Lines, near: Callable[[str], Near | None]) -> tenants.Service:
    return tenants.Service(
        opened=opener(app.bodies(settings), app.keeper_client(settings)),
        couriers=couriers(settings, entry, lines, near),
        notice=_notices(settings, entry),
        scrub=entry.pseudonyms.scrub,
    )


class Lines:
    """What tenants that show one certificate share: its TLS contexts and kept connections; and those to mailboxes."""

    def __init__(self, trust: Callable[[], TrustStore]) -> None:
        self._trust = trust
        self._peers: dict[tuple[Path, Path, str], tuple[Contexts, Kept]] = {}
        self.mailboxes = Kept()

    def peers(self, settings: Settings) -> tuple[Contexts, Kept]:
        shown = (settings.tls.certificate, settings.tls.key)
        as_whom = (*shown, settings.node.hostname)
        if as_whom not in self._peers:
            contexts = tls.renewed(app.tls_role(settings, tls.PEER_OUT), shown, self._trust)
            self._peers[as_whom] = contexts, Kept()
        return self._peers[as_whom]


def _pace(settings: Settings) -> Pace:
    told = settings.carrier
    policy = Policy(delays_s=told.retry_s, lifetime_s=told.lifetime_s, warn_s=told.warn_s, silent_s=told.silent_s)
    return Pace(threads=told.threads, per_target=told.per_target, lease_s=told.lease_s, policy=policy)


def couriers(
    settings: Settings, entry: Intake, lines: Lines | None = None, near: Callable[[str], Near | None] = nobody_near
) -> dict[Mode, Courier]:
    """One tenant's. `near`: who hands its letters to the other tenants of the node."""
    records, lines = SpoolJournal(entry.client), lines or Lines(entry.trust)
    contexts, kept = lines.peers(settings)
    peer = PeerCourier(
        hostname=settings.node.hostname,
        where=where(settings),
        context=contexts,
        trust=entry.trust,
        white_list=entry.white_list,
        keeper=app.keeper_client(settings),
        journal=records,
        clock=app.clock,
        unsure=settings.trust.cannot_tell,
        closing=Closing(entry.directory, entry.trust, records, app.clock),
        kept=kept,
        near=near,
    )
    delivery = settings.delivery
    mailbox = MailboxCourier(
        delivery.lmtp_host, delivery.lmtp_port, settings.node.hostname, app.clock, kept=lines.mailboxes
    )
    opening = unsealing.into_mailboxes(settings, entry, mailbox)
    found: dict[Mode, Courier] = {Mode.MAILBOX: opening, **dict.fromkeys(PEER_MODES, peer)}
    if settings.dossier:
        plain = dossier_courier(settings, settings.dossier, entry)
        looking = checkers.with_pictures(settings, settings.dossier.name, plain, entry)
        dossier = unsealing.into_dossier(settings, entry, looking)
        found |= {Mode.DOSSIER: dossier, Mode.DOSSIER_SHOW: dossier}
    return found


def dossier_courier(settings: Settings, section: DossierSection, entry: Intake) -> DossierCourier:
    return DossierCourier(
        hosts=dossier_hosts.hosts(settings),
        register=app.register(settings),
        store=entry.client,
        engine=app.reader(settings.database_url),
        journal=SpoolJournal(entry.client),
        institutions=frozenset({settings.node.establishment, *section.institutions}),
        undo_within=dossier_hosts.undo_within(section),
        carry=carrying.carrier(settings, section, entry),
        schema=checkers.schemas(settings, app.profile(section)),
    )


def _notices(settings: Settings, entry: Intake) -> notices.Notices:
    here = app.node(settings)
    builders = (
        partial(notices.failure, node=here, clock=app.clock, words=_words),
        partial(notices.delivered, node=here, clock=app.clock, words=_words),
        partial(receipts.receipt, node=here, clock=app.clock, words=_words),
        partial(
            notices.delayed,
            node=here,
            clock=app.clock,
            words=_words,
            lifetime=timedelta(seconds=settings.carrier.lifetime_s),
        ),
    )
    return notices.Notices(entry, app.bodies(settings), here, builders, app.clock)


def _words(reason: str) -> tuple[str, str, str]:
    reply = replies.of(reason)
    return reply.enhanced, reply.french, reply.english
