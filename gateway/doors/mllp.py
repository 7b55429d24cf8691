"""The MLLP door: messages of the hospital's bus, one after the other, each with its acknowledgement (HL7 v2 appendix
C).

Promises: who is not of a named network is let go before a byte is read; a message is within its budget of bytes and
time, or its connection ends; messages of one connection are answered in their order, and each only once it is on the
disk; a stop lets the message in hand be answered. Does not: read a message, or know what an answer means.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from gateway.doors.ports import bind

START, END = b"\x0b", b"\x1c\r"
"""<SB>, and <EB> with <CR>."""
_CHUNK = 64 * 1024
_HANDSHAKE_S = 10.0
_BETWEEN = b"\r\n"
"""What some senders put between messages; anything else there is a stream that we do not follow any more."""

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_log = structlog.get_logger("gateway.doors")


@dataclass(frozen=True)
class BusSpec:
    """One tenant's bus. `answer`: a message's bytes to its acknowledgement's; runs in a thread."""

    tenant: str
    host: str
    port: int
    answer: Callable[[bytes], bytes]
    too_large: Callable[[bytes], bytes]
    """The refusal of a message of which only the beginning was read."""
    allowed: Sequence[Network]
    tls: Callable[[], ssl.SSLContext] | None = None
    """The context of each new connection; None: plain."""
    max_bytes: int = 262_144
    connections: int = 20
    message_s: float = 30.0
    idle_s: float = 900.0


class _Ended(Exception):
    """This connection has nothing more to say, or may not say it; `why` is a word for the log."""

    def __init__(self, why: str = "") -> None:
        super().__init__(why)
        self.why = why


class _TooLarge(_Ended):
    def __init__(self, begun: bytes) -> None:
        super().__init__("too-large")
        self.begun = begun


class Bus:
    """One listening door."""

    def __init__(self, spec: BusSpec) -> None:
        self._spec = spec
        self._stopping = asyncio.Event()
        self._held: set[asyncio.Task[None]] = set()

    async def open(self) -> tuple[asyncio.Server, tuple[str, int]]:
        """Listens; answers the server and its place. Raises PortUnusable."""
        listener = bind(self._spec.host, self._spec.port, shared=False)
        server = await asyncio.start_server(self._hold, sock=listener, limit=_CHUNK, backlog=64)
        return server, (self._spec.host, int(listener.getsockname()[1]))

    async def close(self) -> None:
        """Lets the messages in hand be answered."""
        self._stopping.set()
        if self._held:
            await asyncio.wait(self._held, timeout=self._spec.message_s)
        for each in self._held:
            each.cancel()

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        client = str((writer.get_extra_info("peername") or ("",))[0])
        try:
            if not self._known(client):
                raise _Ended("not-allowed")
            if len(self._held) >= self._spec.connections:
                raise _Ended("too-many")
            self._held.add(task)
            if self._spec.tls:
                await writer.start_tls(self._spec.tls(), ssl_handshake_timeout=_HANDSHAKE_S)
            await self._converse(reader, writer)
        except _Ended as ended:
            if ended.why:
                _log.warning("mllp-ended", tenant=self._spec.tenant, client=client, why=ended.why)
        except (OSError, ssl.SSLError) as error:
            _log.info("mllp-lost", tenant=self._spec.tenant, client=client, error=type(error).__name__)
        finally:
            self._held.discard(task)
            await _closed(writer)

    def _known(self, client: str) -> bool:
        """Whether this address may speak here at all."""
        return allowed(client, self._spec.allowed)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = _Frames(reader, self._spec)
        while not self._stopping.is_set():
            try:
                data = await self._next(frames)
            except _TooLarge as large:
                await self._send(writer, await asyncio.to_thread(self._spec.too_large, large.begun))
                raise
            if data is None:
                return
            await self._send(writer, await asyncio.to_thread(self._spec.answer, data))

    async def _next(self, frames: _Frames) -> bytes | None:
        """The next message; None when the other side has ended, or we are told to stop while it is silent."""
        stopping = asyncio.create_task(self._stopping.wait())
        waiting = asyncio.create_task(frames.next())
        try:
            await asyncio.wait({stopping, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done() or frames.begun:
                return await waiting
            return None
        finally:
            stopping.cancel()
            waiting.cancel()

    async def _send(self, writer: asyncio.StreamWriter, answer: bytes) -> None:
        writer.write(START + answer + END)
        try:
            async with asyncio.timeout(self._spec.message_s):
                await writer.drain()
        except TimeoutError:
            raise _Ended("does-not-read") from None


class _Frames:
    """Messages out of a stream."""

    def __init__(self, reader: asyncio.StreamReader, spec: BusSpec) -> None:
        self._reader, self._spec = reader, spec
        self._buffer = bytearray()
        self.begun = False
        """A message is on its way."""

    async def next(self) -> bytes | None:
        """One message without its frame; None at the end of the stream. Raises _Ended."""
        self.begun = False
        if not await self._started():
            return None
        self.begun = True
        try:
            async with asyncio.timeout(self._spec.message_s):
                return await self._whole()
        except TimeoutError:
            raise _Ended("too-slow") from None

    async def _started(self) -> bool:
        """Up to <SB>. False at the end of the stream."""
        while True:
            del self._buffer[: len(self._buffer) - len(self._buffer.lstrip(_BETWEEN))]
            if self._buffer:
                break
            try:
                async with asyncio.timeout(self._spec.idle_s):
                    data = await self._reader.read(_CHUNK)
            except TimeoutError:
                raise _Ended("idle") from None
            if not data:
                return False
            self._buffer += data
        if not self._buffer.startswith(START):
            raise _Ended("no-frame")
        return True

    async def _whole(self) -> bytes:
        """Up to <EB><CR>. A second <SB> within is a message that was never ended: nobody can tell what it says."""
        at = 1
        while (end := self._buffer.find(END, at)) < 0:
            if len(self._buffer) > self._spec.max_bytes + 1:
                raise _TooLarge(bytes(self._buffer[1:4097]))
            at = max(1, len(self._buffer) - 1)
            data = await self._reader.read(_CHUNK)
            if not data:
                raise _Ended("cut-short")
            self._buffer += data
        if end - 1 > self._spec.max_bytes:
            raise _TooLarge(bytes(self._buffer[1:4097]))
        message = bytes(self._buffer[1:end])
        del self._buffer[: end + len(END)]
        if START in message:
            raise _Ended("frame-in-frame")
        return message


def allowed(client: str, networks: Sequence[Network]) -> bool:
    """Whether an address lies in one of these networks."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in each for each in networks)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
        async with asyncio.timeout(2):
            await writer.wait_closed()


async def serve(
    specs: Sequence[BusSpec],
    stop: asyncio.Event,
    listening: Callable[[tuple[tuple[str, int], ...]], None] = lambda _: None,
) -> None:
    """Opens the doors, calls `listening` with each (host, port), and serves until `stop` is set. Raises
    PortUnusable."""
    buses = [Bus(spec) for spec in specs]
    servers: list[asyncio.Server] = []
    try:
        places = []
        for bus in buses:
            server, place = await bus.open()
            servers.append(server)
            places.append(place)
        listening(tuple(places))
        await stop.wait()
    finally:
        for server in servers:
            server.close()
        await asyncio.gather(*(bus.close() for bus in buses))
