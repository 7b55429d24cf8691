"""The HTTP door: a small one, on loopback, within a door process and its loop.

Promises: it opens nowhere but on loopback; requests are small, and none is logged as it was written, since addresses
and tokens stand in them; a surprise is 500 and its type in the log. Does not: speak TLS (who is outside comes through
the establishment's own web server), or know what is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterator, Sequence

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.doors.ports import PortUnusable, bind

log = structlog.get_logger("gateway.doors")

BODY_MOST = 16 * 1024
"""Octets of a request's body; of its head too."""
BODY_S = 5.0
CONNECTIONS_MOST = 200


def is_loopback(host: str) -> bool:
    """An address of this machine alone. A name is none: it may come to mean another."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def body(request: Request, most: int = BODY_MOST, within_s: float = BODY_S) -> bytes | None:
    """What was sent; None where it is too large or too slow."""
    data = bytearray()
    try:
        async with asyncio.timeout(within_s):
            async for piece in request.stream():
                data += piece
                if len(data) > most:
                    return None
    except TimeoutError:
        return None
    return bytes(data)


@contextlib.asynccontextmanager
async def opened(host: str, port: int, routes: Sequence[Route]) -> AsyncIterator[int]:
    """Serves while inside; gives the port. Raises PortUnusable, at a place that is not loopback too."""
    if not is_loopback(host):
        raise PortUnusable(host, port, "this door opens on loopback only, 127.0.0.1 or ::1")
    app = Starlette(routes=list(routes), exception_handlers={Exception: surprise})
    async with running(quiet(app, CONNECTIONS_MOST, BODY_MOST), bind(host, port, shared=True)) as got:
        yield got


@contextlib.asynccontextmanager
async def running(told: uvicorn.Config, listener: socket.socket) -> AsyncIterator[int]:
    """Serves at `listener` while inside; gives the port."""
    server = _Server(told)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started and not serving.done():  # noqa: ASYNC110  (the library tells in no other way)
            await asyncio.sleep(0.01)
        yield int(listener.getsockname()[1])
    finally:
        server.should_exit = True
        await serving


def quiet(app: ASGIApp, connections_most: int, head_most: int, http: type[H11Protocol] = H11Protocol) -> uvicorn.Config:
    """A server that logs no request, believes no proxy and says not what it is. `head_most`: octets of a head."""
    return uvicorn.Config(
        app,
        http=http,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=connections_most,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=head_most,
    )


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the process's own affair."""
        yield


async def surprise(request: Request, error: Exception) -> Response:
    log.error("door-surprise", door="web", path=request.url.path, type=type(error).__name__)
    return Response(status_code=500)
