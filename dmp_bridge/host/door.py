"""The host's HTTP side: two services behind mutual TLS.

Promises: nobody without a certificate that our anchors, CRLs and the client profile allow gets an answer
other than 403, and nothing of his body is read; bodies are bounded in size and time, and go to the disk as they come.
Does not: know XDS
(services.py).
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from pathlib import Path

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from certs import tls
from certs.chain import TrustStore
from certs.model import Trusted
from certs.profiles import TLS_CLIENT
from certs.tls import peer_certificate
from dmp_bridge.host.callers import Caller
from dmp_bridge.host.contents import Batch
from dmp_bridge.host.registry import Access
from dmp_bridge.host.services import House, Reply, answer, refused
from dmp_bridge.mtom import Reader, SoapRefused, cut
from dmp_bridge.soap import Fault, encode_fault

_log = structlog.get_logger(__name__)
MAX_BODY = 128 * 1024 * 1024
MAX_SECONDS = 120.0
STEP = 512 * 1024
"""Bytes that are gathered before a thread writes them."""


class ShowsCertificate(H11Protocol):
    """uvicorn's protocol, which also says who is there: request.state.certificate, DER."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        shown = peer_certificate(transport.get_extra_info("ssl_object")) or b""
        self.app_state = {**self.app_state, "certificate": shown}


def server(house: House, trust: TrustStore, clock: Callable[[], datetime], cert: Path, key: Path) -> uvicorn.Server:
    """The server, not yet started: the caller hands it its listening socket."""

    def context(_config: uvicorn.Config, _default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        return tls.context(tls.HOST_IN, (cert, key), trust)

    config = uvicorn.Config(
        application(house, trust, clock),
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


def application(house: House, trust: TrustStore, clock: Callable[[], datetime]) -> Starlette:
    def route(service: str) -> Route:
        async def act(request: Request) -> Response:
            return await _serve(house, trust, clock, service, request)

        return Route(f"/{service}", act, methods=["POST"])

    return Starlette(routes=[route("repository"), route("registry"), route("patients")])


async def _serve(
    house: House, trust: TrustStore, clock: Callable[[], datetime], service: str, request: Request
) -> Response:
    certificate: bytes = request.state.certificate
    fingerprint = hashlib.sha256(certificate).hexdigest()
    judged = trust.judge(certificate, (), TLS_CLIENT, clock())
    if not isinstance(judged, Trusted):
        access = Access(service, Caller(fingerprint))
        await run_in_threadpool(house.registry.note, access, f"refused {judged.fault}")
        return _fault(403, "the client's certificate is not accepted")
    batch = house.registry.contents.batch()
    try:
        async with asyncio.timeout(MAX_SECONDS):
            reader = await _body(request, batch)
    except SoapRefused as refusal:
        await run_in_threadpool(batch.drop)
        return _response(await run_in_threadpool(refused, house, service, refusal, fingerprint))
    except (TimeoutError, ClientDisconnect, OSError) as trouble:
        await run_in_threadpool(batch.drop)
        return _untaken(trouble)
    if reader is None:
        await run_in_threadpool(batch.drop)
        return _fault(413, f"more than {MAX_BODY} bytes")
    return _response(await run_in_threadpool(_answer, house, service, reader, batch, certificate, fingerprint))


def _untaken(trouble: Exception) -> Response:
    """A request that did not come whole, or found no place on the disk."""
    if isinstance(trouble, TimeoutError | ClientDisconnect):
        return _fault(408, "the request did not end")
    _log.error("dossier-host.disk", error=type(trouble).__name__)
    return _fault(500, "the repository cannot store at present", "Receiver")


def _answer(house: House, service: str, reader: Reader, batch: Batch, certificate: bytes, fingerprint: str) -> Reply:
    try:
        return answer(house, service, reader, batch, certificate, fingerprint)
    except Exception as surprise:
        # The type only: a message may hold a value of the metadata.
        _log.error("dossier-host.surprise", service=service, error=type(surprise).__name__)
        kind, data = encode_fault(Fault("Receiver", "the host failed"))
        return Reply(500, kind, [data])


async def _body(request: Request, batch: Batch) -> Reader | None:
    """The reader that took the whole body; None where it is too large."""
    reader = Reader(request.headers.get("content-type", ""), batch.sink)
    held, size = bytearray(), 0
    async for chunk in request.stream():
        held += chunk
        size += len(chunk)
        if size > MAX_BODY:
            return None
        if len(held) >= STEP:
            await run_in_threadpool(reader.feed, bytes(held))
            held.clear()
    await run_in_threadpool(reader.feed, bytes(held))
    return reader


def _fault(status: int, reason: str, code: str = "Sender") -> Response:
    kind, data = encode_fault(Fault(code, reason))
    return _response(Reply(status, kind, [data]))


def _response(reply: Reply) -> Response:
    """Sent in portions; documents are not put together with the envelope in a copy."""
    size = sum(map(len, reply.parts))
    headers = {"Content-Type": reply.content_type, "Content-Length": str(size)}
    return StreamingResponse(_portions(reply.parts), reply.status, headers)


async def _portions(parts: Sequence[bytes]) -> AsyncIterator[bytes]:
    for each in cut(parts):
        yield each
