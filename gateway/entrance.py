"""The wiring of the way in: the doors that listen, with what each may use.

Promises: a door has its TLS key, the public half of the body key, and the intake; no key that opens or signs. Does not:
decide, or speak a protocol (gateway.doors does).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from certs import tls
from certs.chain import TrustStore
from gateway import app
from gateway.accounts import Accounts, Entered
from gateway.config import ConfigError, Listen, Settings
from gateway.doors import smtp
from gateway.doors.ports import PortUnusable
from gateway.doors.spec import DoorSpec, Limits
from gateway.logins import Logins
from relay.intake import Intake
from relay.model import Door
from relay.tenants import Desk, Reception

Room: TypeAlias = tuple[Settings, Intake]
"""One tenant's settings, with its intake."""


def serve(settings: Settings, stop: threading.Event, listening: Callable[[], None]) -> None:
    """Opens the configured doors and serves until `stop`; raises ConfigError where a port cannot be opened."""
    shared = app.common(settings, follow=True)
    rooms = [(view, app.intake(view, shared)) for view in settings.views]
    specs = []
    if at := settings.doors.peers:
        specs.append(_door(settings, Door.PEER, at, contexts_of(settings, tls.PEER_IN, shared.trust), rooms))
    if at := settings.doors.submission:
        role = tls.APPLICATION_IN if settings.doors.client_certificates else tls.CLIENT_IN
        specs.append(_door(settings, Door.SUBMISSION, at, contexts_of(settings, role, shared.trust), rooms))
    try:
        asyncio.run(_serve(specs, _web(settings), stop, listening))
    except PortUnusable as error:
        raise ConfigError(str(error)) from None


def contexts_of(settings: Settings, role: tls.Role, trust: Callable[[], TrustStore]) -> tls.Contexts:
    """The node's certificate; a tenant's own where the other end names that tenant's host (RFC 6066 §3)."""

    def of(view: Settings) -> tls.Contexts:
        return tls.renewed(app.tls_role(view, role), (view.tls.certificate, view.tls.key), trust)

    own = {view.node.hostname.lower(): of(view) for view in settings.views if view.tls != settings.tls}
    return by_name(of(settings), own) if own else of(settings)


def by_name(usual: tls.Contexts, own: Mapping[str, tls.Contexts]) -> tls.Contexts:
    """`own`: contexts by host name. A name that is none of them, or none at all, gets the usual one."""

    def choose(session: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if contexts := own.get((name or "").lower()):
            session.context = contexts()

    def context() -> ssl.SSLContext:
        made = usual()
        made.sni_callback = choose
        return made

    return context


def _door(settings: Settings, kind: Door, at: Listen, contexts: tls.Contexts, rooms: Sequence[Room]) -> DoorSpec:
    """A tenant's door where there is one tenant; else one at which each recipient, or login, chooses his tenant's."""
    logins = app.logins(settings)
    specs = [_spec(view, kind, at, contexts, entry, logins) for view, entry in rooms]
    if not settings.tenants:
        return specs[0]
    desks = tuple(Desk(entry, app.bodies(view)) for view, entry in rooms)
    by_domain = {domain: spec for spec, desk in zip(specs, desks, strict=True) for domain in desk.intake.node.domains}
    return replace(
        specs[0],
        hostname=settings.node.hostname,
        tenant="",
        intake=Reception(desks, desks[0].intake.client),
        pseudonyms=app.log_names(settings),
        tenants=by_domain,
    )


def _spec(
    settings: Settings, kind: Door, at: Listen, contexts: tls.Contexts, entry: Intake, logins: Accounts | Logins
) -> DoorSpec:
    told = settings.doors
    limits = Limits(
        max_bytes=told.max_bytes,
        max_recipients=told.max_recipients,
        sessions=told.sessions,
        sessions_of_block=told.sessions_of_block,
        letters=told.letters_per_minute,
    )
    return DoorSpec(
        kind=kind,
        host=at.host,
        port=at.port,
        tls=contexts,
        hostname=settings.node.hostname,
        tenant=settings.node.tenant,
        intake=entry,
        bodies=app.bodies(settings),
        pseudonyms=entry.pseudonyms,
        clock=app.clock,
        trust=entry.trust,
        unsure=settings.trust.cannot_tell,
        accounts=logins,
        limits=limits,
    )


Web: TypeAlias = contextlib.AbstractAsyncContextManager[object]


def _web(settings: Settings) -> Web:
    """The HTTP door, or nothing where none is wanted."""
    at = settings.doors.introspection
    if at is None:
        return contextlib.nullcontext()

    from gateway import autoconfiguration  # with its web server only where one is wanted
    from gateway.doors import autoconfig, introspection, web
    from gateway.doors.budgets import Rate

    rate = Rate(introspection.ASKED_MOST, introspection.ASKED_WITHIN_S, app.clock)
    routes = [introspection.route(app.logins(settings), rate, _redeems(settings))]
    if settings.doors.autoconfig:
        files = {
            domain.lower(): autoconfiguration.files(autoconfiguration.service(view, domain.lower()))
            for view in settings.views
            for domain in view.node.domains
        }
        routes += autoconfig.routes(files)
    return web.opened(at.host, at.port, routes)


def _redeems(settings: Settings) -> Callable[[str], Entered | None] | None:
    """Passes of the pages, where there are any."""
    if settings.web is None:
        return None
    from gateway.web.passes import Passes

    passes, logins = Passes(settings.pass_key, app.clock), app.logins(settings)

    def redeem(token: str) -> Entered | None:
        found = passes.redeem(token)
        return Entered(*found) if found and logins.is_open(found[0]) else None

    return redeem


async def _serve(specs: Sequence[DoorSpec], web: Web, stop: threading.Event, listening: Callable[[], None]) -> None:
    ended = asyncio.Event()
    watching = asyncio.create_task(asyncio.to_thread(stop.wait))
    watching.add_done_callback(lambda _: ended.set())
    async with web:
        await smtp.serve(specs, ended, lambda _: listening())
