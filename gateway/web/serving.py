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
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from certs import tls
from gateway import app, entrance
from gateway.config import ConfigError, Settings
from gateway.doors import web
from gateway.doors.ports import PortUnusable, bind
from gateway.web.faces import FACES
from gateway.web.passes import Passes
from gateway.web.site import Site

CONNECTIONS_MOST = 500
HEAD_MOST = 32 * 1024


class Shown(H11Protocol):
    """No ASGI server shows the client's certificate: it goes into the request's state."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        session = transport.get_extra_info("ssl_object")
        der = session.getpeercert(binary_form=True) if session else None
        self.app_state = {**self.app_state, "client_certificate": der}


def serve_until(settings: Settings, stop: threading.Event, listening: Callable[[], None]) -> None:
    """Serves until `stop`; raises ConfigError where the port cannot be opened."""
    try:
        asyncio.run(_serve(settings, stop, listening))
    except PortUnusable as error:
        raise ConfigError(str(error)) from None


async def _serve(settings: Settings, stop: threading.Event, listening: Callable[[], None]) -> None:
    Passes(settings.pass_key, app.clock).renew_key()
    async with opened(Site(settings, FACES, app.clock)):
        listening()
        await asyncio.to_thread(stop.wait)


class Following(ssl.SSLContext):
    """What a web server is given once: each new session is one of the context that counts now."""

    contexts: tls.Contexts

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        return self.contexts().wrap_bio(*args, **kwargs)


def context_of(settings: Settings) -> ssl.SSLContext:
    assert settings.web is not None
    role = tls.APPLICATION_IN if settings.web.client_certificates else tls.CLIENT_IN
    made = Following(ssl.PROTOCOL_TLS_SERVER)
    made.contexts = entrance.contexts_of(settings, role, app.trust(settings))
    return made


@contextlib.asynccontextmanager
async def opened(site: Site, port: int | None = None) -> AsyncIterator[int]:
    """Serves while inside; gives the port. `port`: another than the configured one."""
    listener = bind(site.web.host, site.web.port if port is None else port, shared=True)
    told = web.quiet(site.application(), CONNECTIONS_MOST, HEAD_MOST, Shown)
    told.load()
    told.ssl = context_of(site.settings)
    async with web.running(told, listener) as got:
        yield got
