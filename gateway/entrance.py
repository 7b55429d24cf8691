"""The wiring of the way in: the doors that listen, with what each may use.

Promises: a door has its TLS key, the public half of the body key, and the intake; no key that opens or signs. Does not:
decide, or speak a protocol (gateway.doors does).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import TypeAlias

from certs import tls
from gateway import app
from gateway.config import ConfigError, Listen, Settings
from gateway.doors import smtp
from gateway.doors.ports import PortUnusable
from gateway.doors.spec import DoorSpec, Limits
from relay.intake import Intake
from relay.model import Door


def serve(settings: Settings, stop: threading.Event, listening: Callable[[], None]) -> None:
    """Opens the configured doors and serves until `stop`; raises ConfigError where a port cannot be opened."""
    entry = app.intake(settings)
    shown = (settings.tls.certificate, settings.tls.key)
    specs = []
    if at := settings.doors.peers:
        specs.append(
            _door(settings, Door.PEER, at, tls.renewed(app.tls_role(settings, tls.PEER_IN), shown, entry.trust), entry)
        )
    if at := settings.doors.submission:
        role = app.tls_role(settings, tls.APPLICATION_IN if settings.doors.client_certificates else tls.CLIENT_IN)
        specs.append(_door(settings, Door.SUBMISSION, at, tls.renewed(role, shown, entry.trust), entry))
    try:
        asyncio.run(_serve(specs, _web(settings), stop, listening))
    except PortUnusable as error:
        raise ConfigError(str(error)) from None


def _door(settings: Settings, kind: Door, at: Listen, contexts: tls.Contexts, entry: Intake) -> DoorSpec:
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
        accounts=app.accounts(settings),
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
    routes = [introspection.route(app.accounts(settings), rate)]
    if settings.doors.autoconfig:
        domains = [each.lower() for each in settings.node.domains]
        files = {each: autoconfiguration.files(autoconfiguration.service(settings, each)) for each in domains}
        routes += autoconfig.routes(files)
    return web.opened(at.host, at.port, routes)


async def _serve(specs: Sequence[DoorSpec], web: Web, stop: threading.Event, listening: Callable[[], None]) -> None:
    ended = asyncio.Event()
    watching = asyncio.create_task(asyncio.to_thread(stop.wait))
    watching.add_done_callback(lambda _: ended.set())
    async with web:
        await smtp.serve(specs, ended, lambda _: listening())
