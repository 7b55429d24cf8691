"""The letter itself: bytes from DATA or BDAT to the sealed body, as a stream (RFC 5321 §4.5.2, RFC 3030).

Promises: after DATA the letter ends at <CRLF>.<CRLF> and nowhere else, wherever the pieces break; a chunk of BDAT ends
after its octets, and none of them is a command; a bare CR or LF, or a
NUL, spoils it (RFC 5321 §2.3.8, RFC 6152 §3), so that no other hop can see a second letter inside; the body
is synced before the intake is called.
Does not: keep more than max_bytes, nor decide whether the letter is welcome.
"""

from __future__ import annotations

import asyncio
import errno
import io
import threading
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from certs import meter
from gateway.doors.spec import BodiesLike, Limits, WriterLike
from relay import line_ends
from relay.model import BodyRef, Reason, Receipt, Refusal

READ: Final = 4_194_304
"""More than a paused asyncio reader ever holds, so that a read empties it."""
WAITING: Final = 131_072
"""Octets of a letter that wait unread, half of what makes asyncio pause: each pause and each read has its price."""
FLUSH: Final = 262_144
"""Octets that wait before they are sealed: a hop to a thread costs 0.1 ms."""
_END: Final = b"\r\n.\r\n"

Run: TypeAlias = Callable[[Callable[[], None]], Awaitable[None]]


LARGE: Final = 524_288
"""Octets from which on a letter needs room: so few of them are in memory at once (Limits.large_letters)."""


class TooMuch(Exception):
    """The sender went on beyond every budget: the session ends."""


def unstrict(piece: bytes) -> Reason | None:
    """What spoils a piece that begins and ends between two lines or inside one, never inside a line end."""
    if not line_ends.are_whole(piece):
        return Reason.BARE_LINE_END
    return Reason.MALFORMED if b"\0" in piece else None


class Unstuffing:
    """Undoes the transparency of DATA, chunk by chunk (RFC 5321 §4.5.2)."""

    def __init__(self) -> None:
        # The line end of the DATA command stands before the first line, so that it may hold the lone dot.
        self._carry = b"\r\n"
        self._lead = 2
        self.ended = False
        self.rest = b""
        """What came after the end of data: the next commands (RFC 2920)."""
        self.fault: Reason | None = None

    def feed(self, chunk: bytes) -> bytes:
        """The octets of the letter that are certain by now."""
        seen = self._carry + chunk
        end = seen.find(_END)
        if end >= 0:
            self.ended, self.rest, self._carry = True, seen[end + len(_END) :], b""
            return self._clean(seen[: end + 2])
        held = _undecided(seen)
        self._carry = seen[len(seen) - held :]
        return self._clean(seen[: len(seen) - held])

    def _clean(self, piece: bytes) -> bytes:
        if not piece:
            return b""
        self.fault = self.fault or unstrict(piece)
        lead, self._lead = self._lead, 0
        return piece.replace(b"\r\n.", b"\r\n")[lead:]


def _undecided(seen: bytes) -> int:
    """Length of the longest ending that may still become <CRLF>.<CRLF>."""
    return next((n for n in range(min(len(_END) - 1, len(seen)), 0, -1) if seen.endswith(_END[:n])), 0)


class Incoming:
    """One letter on its way: to the sealed body and to the view. A thread seals while the door reads on."""

    def __init__(self, bodies: BodiesLike, max_bytes: int, room: asyncio.Semaphore | None = None) -> None:
        self._bodies = bodies
        self._most = max_bytes
        self._room = room
        self._until = 0.0
        """On the loop's clock; 0: it has no room, or needs none."""
        self._half = b""
        """A CR at the end of a chunk: the LF may open the next one."""
        self._lock = threading.Lock()
        self._writer: WriterLike | None = None
        # Its buffer becomes the whole letter without a copy (io.BytesIO.getvalue): a list of pieces would double it
        self._whole = io.BytesIO()
        self._due: list[bytes] = []
        self._over = False
        self.handed_over = False
        """The intake is being asked, or was."""
        self.waiting = 0
        self.size = 0
        self.fault: Reason | None = None

    def take(self, piece: bytes, fault: Reason | None) -> None:
        self.size += len(piece)
        self.fault = self.fault or fault or (Reason.TOO_LARGE if self.size > self._most else None)
        if self.fault is None:
            self._whole.write(piece)
            self._due.append(piece)
            self.waiting += len(piece)

    def take_chunked(self, piece: bytes) -> None:
        """The octets of a chunk, as they come: strict as after DATA, wherever chunks break."""
        whole = self._half + piece
        self._half = whole[-1:] if whole.endswith(b"\r") else b""
        whole = whole[: len(whole) - len(self._half)]
        self.take(whole, unstrict(whole))

    async def make_room(self, limits: Limits) -> None:
        """Of a letter that has become large: its turn is waited for, unread, so that memory has a bound."""
        if self._room and not self._until and self.size > LARGE and self.fault is None:
            await self._room.acquire()
            self._until = asyncio.get_running_loop().time() + limits.large_s

    def leave_room(self) -> None:
        if self._room and self._until:
            self._room.release()
            self._until = 0.0

    def patience(self, limits: Limits) -> float:
        """Seconds for the next piece: whoever holds room may not hold it for ever."""
        left = self._until - asyncio.get_running_loop().time() if self._until else limits.chunk_s
        return max(0.0, min(limits.chunk_s, left))

    def close(self) -> None:
        """After the last chunk: a CR that is still alone stays so."""
        if self._half:
            self.fault = self.fault or Reason.BARE_LINE_END

    def seal(self) -> None:
        """Writes what waits; a full disk becomes the letter's fault."""
        with self._lock, meter.step("accept"):
            try:
                self._seal()
            except OSError as error:
                self.fault = self.fault or _disk(error)

    def _seal(self) -> None:
        if self._over:
            raise ConnectionResetError
        self._writer = self._writer or self._bodies.writer()
        due, self._due, self.waiting = self._due, [], 0
        self._writer.write(b"".join(due))

    def keep(self, accept: Callable[[bytes, BodyRef], Receipt | Refusal]) -> Receipt | Refusal:
        """Body synced, then the intake, which answers when the row is on disk (design §4)."""
        try:
            with self._lock, meter.step("accept"):
                self._seal()
                assert self._writer is not None
                ref, raw = self._writer.finish(), self._whole.getvalue()
                self._writer, self._whole = None, io.BytesIO()
        except OSError as error:
            self.drop()
            return Refusal(_disk(error), permanent=False)
        answer = accept(raw, ref)
        if isinstance(answer, Refusal) and answer.certain:
            self._bodies.erase(ref)
        return answer

    def drop(self) -> None:
        """Nothing stays of a letter that was not kept; harmless for one that was, or is just being."""
        with self._lock:
            self._over = True
            self._whole, self._due = io.BytesIO(), []
            if self._writer is not None:
                self._writer.abort()
                self._writer = None


def _disk(error: OSError) -> Reason:
    return Reason.DISK_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else Reason.STORE_DOWN


async def receive(reader: asyncio.StreamReader, incoming: Incoming, limits: Limits, run: Run) -> None:
    """Reads one letter to its end; what is wrong with it then stands in `incoming.fault`.

    Raises TimeoutError where the sender falls silent, TooMuch where it does not end.
    """
    unstuffing = Unstuffing()
    while not unstuffing.ended:
        async with asyncio.timeout(incoming.patience(limits)):
            chunk = await reader.read(READ)
        if not chunk:
            raise ConnectionResetError
        with meter.step("accept"):
            piece = unstuffing.feed(chunk)
        incoming.take(piece, unstuffing.fault)
        if incoming.size > limits.max_bytes + limits.drain_bytes:
            raise TooMuch
        if incoming.waiting >= FLUSH and incoming.fault is None:
            await run(incoming.seal)
        await incoming.make_room(limits)
    if unstuffing.rest:
        # The reader is empty, and nobody else runs between: these are its next bytes.
        reader.feed_data(unstuffing.rest)


async def receive_chunk(reader: asyncio.StreamReader, incoming: Incoming, size: int, limits: Limits, run: Run) -> None:
    """Reads the `size` octets of one chunk, no more. Raises as `receive` does."""
    left = size
    if incoming.size + size > limits.max_bytes + limits.drain_bytes:
        raise TooMuch
    while left:
        piece = await _some(reader, left, incoming.patience(limits))
        left -= len(piece)
        with meter.step("accept"):
            incoming.take_chunked(piece)
        if incoming.waiting >= FLUSH and incoming.fault is None:
            await run(incoming.seal)
        await incoming.make_room(limits)


async def skip(reader: asyncio.StreamReader, size: int, limits: Limits) -> None:
    """Reads `size` octets and forgets them."""
    while size:
        size -= len(await _some(reader, size, limits.chunk_s))


async def _some(reader: asyncio.StreamReader, most: int, within_s: float) -> bytes:
    async with asyncio.timeout(within_s):
        piece = await reader.read(min(most, READ))
    if not piece:
        raise ConnectionResetError
    return piece
