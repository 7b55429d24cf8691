"""The process of the pages: their port, over TLS, with the browser's certificate shown to them.

Promises: TLS by the rules of the mail doors (certs.tls), whose certificates it shows: renewed ones from the next
session on, a tenant's own under that tenant's name; a request's head is small. Does not: know any page.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator, Callable

from starlette.types import ASGIApp

from certs import tls
from gateway import app, entrance
from gateway.config import ConfigError, Settings
from gateway.doors import web
from gateway.doors.ports import PortUnusable, bind
from gateway.doors.shown import Shown, following
from gateway.web.faces import FACES
from gateway.web.passes import Passes
from gateway.web.site import Site

CONNECTIONS_MOST = 500
HEAD_MOST = 32 * 1024


def serve_until(settings: Settings, stop: threading.Event, listening: Callable[[], None]) -> None:
    """Serves until `stop`; raises ConfigError where the port cannot be opened."""
    try:
        asyncio.run(_serve(settings, stop, listening))
    except PortUnusable as error:
        raise ConfigError(str(error)) from None


async def _serve(settings: Settings, stop: threading.Event, listening: Callable[[], None]) -> None:
    Passes(settings.pass_key, app.clock).renew_key()
    site = Site(settings, FACES, app.clock)
    assert isinstance(site.houses, tuple)  # what they are told is read now, not at somebody's first click
    with contextlib.closing(site):
        async with opened(site), opened_beside(site):
            listening()
            await asyncio.to_thread(stop.wait)


def context_of(site: Site, role: tls.Role) -> ssl.SSLContext:
    return following(_contexts(site, role))


def _contexts(site: Site, role: tls.Role) -> tls.Contexts:
    """The pages' own certificate where they have one; else the mail doors', a tenant's own under its name."""
    if site.web.certificate and site.web.key:
        role = app.tls_role(site.settings, role)
        return tls.renewed(role, (site.web.certificate, site.web.key), site.trust)
    return entrance.contexts_of(site.settings, role, site.trust)


@contextlib.asynccontextmanager
async def opened(site: Site, port: int | None = None) -> AsyncIterator[int]:
    """Serves while inside; gives the port. `port`: another than the configured one."""
    at = site.web.port if port is None else port
    async with _opened(site, at, site.application(), tls.CLIENT_IN) as got:
        yield got


@contextlib.asynccontextmanager
async def opened_beside(site: Site) -> AsyncIterator[None]:
    """The port that asks for certificates, where one is wanted."""
    if site.web.certificate_port is None:
        yield
        return
    async with _opened(site, site.web.certificate_port, site.application_beside(), tls.APPLICATION_IN):
        yield


@contextlib.asynccontextmanager
async def _opened(site: Site, port: int, pages: ASGIApp, role: tls.Role) -> AsyncIterator[int]:
    listener = bind(site.web.host, port, shared=True)
    told = web.quiet(pages, CONNECTIONS_MOST, HEAD_MOST, Shown)
    told.load()
    told.ssl = context_of(site, role)
    async with web.running(told, listener) as got:
        yield got
