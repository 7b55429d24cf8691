"""The host's HTTP side: two services behind mutual TLS.

Promises: nobody without a certificate that our anchors, CRLs and the client profile allow gets an answer
other than 403, and nothing of his body is read; bodies are bounded in size and time. Does not: know XDS
(services.py).
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from certs import tls
from certs.chain import TrustStore
from certs.model import Trusted
from certs.profiles import TLS_CLIENT
from certs.tls import peer_certificate
from dmp_bridge.host.registry import Registry
from dmp_bridge.host.services import Reply, answer
from dmp_bridge.soap import Fault, encode_fault

_log = structlog.get_logger(__name__)
MAX_BODY = 128 * 1024 * 1024
MAX_SECONDS = 120.0


class ShowsCertificate(H11Protocol):
    """uvicorn's protocol, which also says who is there: request.state.certificate, DER."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        shown = peer_certificate(transport.get_extra_info("ssl_object")) or b""
        self.app_state = {**self.app_state, "certificate": shown}


def server(
    registry: Registry, trust: TrustStore, clock: Callable[[], datetime], cert: Path, key: Path
) -> uvicorn.Server:
    """The server, not yet started: the caller hands it its listening socket."""

    def context(_config: uvicorn.Config, _default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        return tls.context(tls.HOST_IN, (cert, key), trust)

    config = uvicorn.Config(
        application(registry, trust, clock),
        http=ShowsCertificate,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        ssl_context_factory=context,
    )
    return uvicorn.Server(config)


def application(registry: Registry, trust: TrustStore, clock: Callable[[], datetime]) -> Starlette:
    def route(service: str) -> Route:
        async def act(request: Request) -> Response:
            return await _serve(registry, trust, clock, service, request)

        return Route(f"/{service}", act, methods=["POST"])

    return Starlette(routes=[route("repository"), route("registry")])


async def _serve(
    registry: Registry, trust: TrustStore, clock: Callable[[], datetime], service: str, request: Request
) -> Response:
    certificate: bytes = request.state.certificate
    fingerprint = hashlib.sha256(certificate).hexdigest()
    judged = trust.judge(certificate, (), TLS_CLIENT, clock())
    if not isinstance(judged, Trusted):
        await run_in_threadpool(registry.note, service, fingerprint, f"refused {judged.fault}")
        return _fault(403, "the client's certificate is not accepted")
    try:
        async with asyncio.timeout(MAX_SECONDS):
            data = await _body(request)
    except (TimeoutError, ClientDisconnect):
        return _fault(408, "the request did not end")
    if data is None:
        return _fault(413, f"more than {MAX_BODY} bytes")
    kind = request.headers.get("content-type", "")
    return _response(await run_in_threadpool(_answer, registry, service, kind, data, fingerprint))


def _answer(registry: Registry, service: str, kind: str, data: bytes, fingerprint: str) -> Reply:
    try:
        return answer(registry, service, kind, data, fingerprint)
    except Exception as surprise:
        # The type only: a message may hold a value of the metadata.
        _log.error("dossier-host.surprise", service=service, error=type(surprise).__name__)
        return Reply(500, *encode_fault(Fault("Receiver", "the host failed")))


async def _body(request: Request) -> bytes | None:
    """The whole body; None where it is too large."""
    held = bytearray()
    async for chunk in request.stream():
        held += chunk
        if len(held) > MAX_BODY:
            return None
    return bytes(held)


def _fault(status: int, reason: str) -> Response:
    return _response(Reply(status, *encode_fault(Fault("Sender", reason))))


def _response(reply: Reply) -> Response:
    return Response(reply.data, reply.status, {"Content-Type": reply.content_type})
