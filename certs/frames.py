"""One frame on a Unix socket between our own processes: four bytes of length, big-endian, then a JSON object.

Promises: a frame over the reader's limit is refused before it is read; whatever is no JSON object is a ValueError.
Does not: connect, answer or try again.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Any

_LENGTH = struct.Struct(">I")


class FrameTooLarge(ValueError):
    """A frame of more bytes than its reader takes."""


def encode(value: Mapping[str, Any], most: int) -> bytes:
    """The bytes on the wire. Raises FrameTooLarge where the JSON is over `most` bytes."""
    data = json.dumps(value, separators=(",", ":")).encode()
    _measured(len(data), most)
    return _LENGTH.pack(len(data)) + data


def receive(connection: socket.socket, most: int) -> dict[str, Any] | None:
    """The next frame; None where the other side ended before one. Raises ValueError (FrameTooLarge) or OSError."""
    head = _exactly(connection, _LENGTH.size)
    if head is None:
        return None
    data = _exactly(connection, _measured(_LENGTH.unpack(head)[0], most))
    if data is None:
        raise ConnectionError("ended within a frame")
    return _object(data)


def split(buffer: bytearray, most: int) -> Iterator[dict[str, Any]]:
    """Takes the complete frames off the buffer. Raises ValueError (FrameTooLarge)."""
    while len(buffer) >= _LENGTH.size:
        end = _LENGTH.size + _measured(_LENGTH.unpack_from(buffer)[0], most)
        if len(buffer) < end:
            return
        value = _object(buffer[_LENGTH.size : end])
        del buffer[:end]
        yield value


def _measured(length: int, most: int) -> int:
    if length > most:
        raise FrameTooLarge("frame too large")
    return length


def _object(data: bytes | bytearray) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except RecursionError as error:  # the json module's own limit on depth
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    parts, missing = [], size
    while missing:
        part = connection.recv(missing)
        if not part:
            if missing == size:
                return None
            raise ConnectionError("ended within a frame")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
