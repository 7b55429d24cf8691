"""The process of the pages: their port, over TLS, with the browser's certificate shown to them.

Promises: TLS by the rules of the mail doors (certs.tls); a request's head is small. Does not: know any page, or show a
renewed certificate before this process starts again.
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
from gateway import app
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


def context_of(settings: Settings) -> ssl.SSLContext:
    assert settings.web is not None
    role = tls.APPLICATION_IN if settings.web.client_certificates else tls.CLIENT_IN
    made = tls.renewed(app.tls_role(settings, role), (settings.tls.certificate, settings.tls.key), app.trust(settings))
    return made()


@contextlib.asynccontextmanager
async def opened(site: Site, port: int | None = None) -> AsyncIterator[int]:
    """Serves while inside; gives the port. `port`: another than the configured one."""
    listener = bind(site.web.host, site.web.port if port is None else port, shared=True)
    told = web.quiet(site.application(), CONNECTIONS_MOST, HEAD_MOST, Shown)
    told.load()
    told.ssl = context_of(site.settings)
    async with web.running(told, listener) as got:
        yield got
