"""The frame of a SOAP message with documents beside it (MTOM, XOP; RFC 2387), written and read in pieces.

Promises: a document travels as its exact bytes and is never held twice: it is written from where it lies, and read
into the sink that the reader's owner gives, whatever the pieces in which it comes; parts, headers and the envelope have
budgets; what strangers really send is taken (spec/dossier.md §3.1): encoded cid, missing angle brackets, parts in any
order, LF line ends, a blank line before the first boundary. Does not: read the envelope (soap.py), nor know HTTP.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from email.message import Message
from typing import Any, Protocol
from urllib.parse import unquote

MAX_PARTS = 1000
MAX_PART_HEADERS = 16_384
MAX_ENVELOPE = 16 * 1024 * 1024
"""Bytes of the XML alone; documents beside it are counted by whoever reads the socket."""
MAX_BOUNDARY = 200
PIECE = 64 * 1024

_MAX_BLANKS = 256
"""Blanks that may follow a boundary on its line."""
_GAP = re.compile(rb"\r?\n\r?\n")
_PLAIN = ("binary", "8bit", "7bit")


class SoapRefused(ValueError):
    """The message cannot be read. `code`: the local name of a SOAP 1.2 fault code (part 1 §5.4.6)."""

    def __init__(self, reason: str, code: str = "Sender") -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True)
class Attachment:
    """One document beside the envelope. `cid`: its Content-ID, without brackets."""

    cid: str
    media_type: str
    data: bytes = field(repr=False)


class Sink(Protocol):
    """Where the bytes of one part go."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> Any:
        """What stands for the whole: its bytes, or a handle on them."""
        ...


class Memory:
    """A sink whose whole is the bytes."""

    def __init__(self, most: int | None = None) -> None:
        self._held = bytearray()
        self._most = most

    def write(self, data: bytes) -> None:
        self._held += data
        if self._most is not None and len(self._held) > self._most:
            raise SoapRefused("XML refused: the document is too large")

    def close(self) -> bytes:
        return bytes(self._held)


# --- writing -------------------------------------------------------------------------------------------------


def framed(action: str, envelope: bytes, attachments: Sequence[Attachment]) -> tuple[str, list[bytes]]:
    """(Content-Type, the pieces one after the other): documents are pieces of their own, not copies (MTOM §3.2)."""
    boundary, root = f"pli-{secrets.token_hex(16)}", f"root-{secrets.token_hex(8)}@pli"
    kind = 'application/xop+xml; charset=UTF-8; type="application/soap+xml"'
    pieces = [_head(boundary, root, kind), envelope, b"\r\n"]
    for each in attachments:
        pieces += [_head(boundary, each.cid, each.media_type), each.data, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    told = (
        f'multipart/related; boundary="{boundary}"; type="application/xop+xml"; start="<{root}>"; '
        f'start-info="application/soap+xml"; action="{action}"'
    )
    return told, pieces


def _head(boundary: str, cid: str, media_type: str) -> bytes:
    lines = (
        f"--{boundary}",
        f"Content-Type: {media_type}",
        "Content-Transfer-Encoding: binary",
        f"Content-ID: <{cid}>",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def cut(pieces: Sequence[bytes]) -> Iterator[bytes]:
    """The pieces in portions that a socket takes at once: a client that slices what is left copies it each time."""
    for piece in pieces:
        if len(piece) <= PIECE:
            yield piece
            continue
        view = memoryview(piece)
        for start in range(0, len(piece), PIECE):
            yield bytes(view[start : start + PIECE])


# --- reading -------------------------------------------------------------------------------------------------


def header(block: bytes) -> Message:
    message = Message()
    unfolded = re.sub(rb"\r?\n[ \t]+", b" ", block).decode("ascii", "replace")
    for line in unfolded.splitlines():
        name, _, value = line.partition(":")
        message[name.strip()] = value.strip()
    return message


def plain_cid(text: str) -> str:
    """One form for an id written with or without brackets, percent-encoding and blanks."""
    return unquote(text).strip().removeprefix("<").removesuffix(">").strip()


class Reader:
    """Takes the body of a message in any pieces. `sink` is asked for each document; the envelope stays in memory.

    `feed` and `close` raise SoapRefused; then what sinks hold is their owner's to drop.
    """

    def __init__(self, content_type: str, sink: Callable[[], Sink] = Memory) -> None:
        head = header(f"Content-Type: {content_type}".encode("ascii", "replace"))
        kind = head.get_content_type()
        self.attachments: dict[str, Any] = {}
        self._root: bytes | None = None
        self._parts: _Parts | None = None
        self._alone: Memory | None = None
        if kind == "multipart/related":
            self._start = plain_cid(str(head.get_param("start") or ""))
            self._parts = _Parts(_boundary(head), self._sink_for, self._took)
        elif kind in ("application/soap+xml", "application/xop+xml"):
            self._alone = Memory(MAX_ENVELOPE)
        else:
            raise SoapRefused(f"media type {kind} is not SOAP 1.2")
        self._sink = sink

    def feed(self, data: bytes) -> None:
        if self._parts is not None:
            self._parts.feed(data)
        elif self._alone is not None:
            self._alone.write(data)

    def close(self) -> bytes:
        """The envelope."""
        if self._alone is not None:
            return self._alone.close()
        assert self._parts is not None
        self._parts.close()
        if self._root is None:
            raise SoapRefused("no part is the root that Content-Type names")
        return self._root

    def _is_root(self, cid: str) -> bool:
        # RFC 2387 §3.2: without a start parameter the first part is the root.
        return self._root is None and (cid == self._start or not self._start)

    def _sink_for(self, cid: str) -> Sink:
        if self._is_root(cid):
            return Memory(MAX_ENVELOPE)
        if cid in self.attachments:
            raise SoapRefused("two parts have one Content-ID")
        return self._sink()

    def _took(self, cid: str, whole: Any) -> None:
        if self._is_root(cid):
            self._root = whole
        else:
            self.attachments[cid] = whole


def _boundary(head: Message) -> bytes:
    boundary = str(head.get_param("boundary") or "")
    if not boundary or len(boundary) > MAX_BOUNDARY:
        raise SoapRefused("multipart/related without a boundary")
    return b"--" + boundary.encode("ascii", "replace")


class _Part:
    """One part on its way: its header, then its content into a sink."""

    def __init__(self, sink_for: Callable[[str], Sink]) -> None:
        self._sink_for = sink_for
        self._head: bytearray | None = bytearray()
        self._sink: Sink | None = None
        self._rest: bytes | None = None
        self.cid = ""

    def write(self, data: bytes) -> None:
        if self._head is None:
            self._content(data)
            return
        self._head += data
        gap = _GAP.search(self._head, 0, MAX_PART_HEADERS)
        if gap is not None:
            block, content = bytes(self._head[: gap.start()]), bytes(self._head[gap.end() :])
            self._head = None
            self._open(header(block.lstrip(b"\r\n")))
            self._content(content)
        elif len(self._head) > MAX_PART_HEADERS:
            raise SoapRefused("a part has no end of header")

    def _open(self, head: Message) -> None:
        encoding = str(head.get("Content-Transfer-Encoding", "binary")).strip().lower()
        if encoding == "base64":
            self._rest = b""
        elif encoding not in _PLAIN:
            raise SoapRefused("a part has an encoding that is not known here")
        self.cid = plain_cid(str(head.get("Content-ID", "")))
        self._sink = self._sink_for(self.cid)

    def _content(self, data: bytes) -> None:
        assert self._sink is not None
        if self._rest is None:
            self._sink.write(data)
            return
        text = self._rest + b"".join(data.split())
        whole = len(text) // 4 * 4
        # What may be the last group stays until it is known to be, since only there padding may stand.
        whole = whole - 4 if whole == len(text) and whole else whole
        self._rest = text[whole:]
        if b"=" in text[:whole]:
            raise SoapRefused("base64 that cannot be read")
        self._sink.write(unbase64(text[:whole]))

    def close(self) -> Any:
        if self._sink is None:
            raise SoapRefused("a part has no end of header")
        if self._rest is not None:
            self._sink.write(unbase64(self._rest))
        return self._sink.close()


class _Parts:
    """Splits at the boundary (RFC 2046 §5.1.1): the line end before a delimiter is the delimiter's own."""

    def __init__(self, delimiter: bytes, sink_for: Callable[[str], Sink], took: Callable[[str, Any], None]) -> None:
        self._delimiter, self._sink_for, self._took = delimiter, sink_for, took
        self._buffer = bytearray(b"\n")
        """Begins with the line end that the first boundary may lack."""
        self._part: _Part | None = None
        self._count = 0
        self._ended = False

    def feed(self, data: bytes) -> None:
        if self._ended:
            return
        self._buffer += data
        self._scan(last=False)

    def close(self) -> None:
        if not self._ended:
            self._scan(last=True)
        if not self._ended:
            raise SoapRefused("the message ends before its last boundary")

    def _scan(self, last: bool) -> None:
        """Gives away what is certainly content; keeps what may be the beginning of a delimiter."""
        at = 0
        while not self._ended:
            at = self._buffer.find(b"\n" + self._delimiter, at)
            if at < 0:
                self._give(max(0, len(self._buffer) - len(self._delimiter) - 2))
                return
            end = self._line_end(at + 1 + len(self._delimiter), last)
            if end == _UNTOLD:
                self._give(max(0, at - 1))
                return
            if end is None:
                at += 1
                continue
            self._delimited(at, *end)
            at = 0

    def _line_end(self, at: int, last: bool) -> tuple[int, bool] | None:
        """(where the delimiter's line ends, whether it is the closing one); None: no delimiter, _UNTOLD: not yet."""
        closing = self._buffer[at : at + 2] == b"--"
        here = at + 2 if closing else at
        while here < len(self._buffer) and self._buffer[here] in b" \t" and here - at < _MAX_BLANKS:
            here += 1
        following = bytes(self._buffer[here : here + 2])
        if following[:1] == b"\n":
            return here + 1, closing
        if following == b"\r\n":
            return here + 2, closing
        if following in (b"", b"\r", b"-"):
            ends = last and not following
            return (here, closing) if ends else None if last else _UNTOLD
        return None

    def _delimited(self, at: int, end: int, closing: bool) -> None:
        line_end = at - 1 if at and self._buffer[at - 1 : at] == b"\r" else at
        self._give(line_end)
        del self._buffer[: end - line_end]
        if self._part is not None:
            whole = self._part.close()
            self._took(self._part.cid, whole)
        self._ended = closing
        self._count += 1
        if self._count > MAX_PARTS:
            raise SoapRefused(f"more than {MAX_PARTS} parts")
        self._part = None if closing else _Part(self._sink_for)

    def _give(self, size: int) -> None:
        if size and self._part is not None:
            self._part.write(bytes(memoryview(self._buffer)[:size]))
        del self._buffer[:size]


_UNTOLD = (-1, False)


def unbase64(text: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        raise SoapRefused("base64 that cannot be read") from None
