"""BER as mail programs write it, made into DER; and the few DER pieces that our own signatures are built of.

Promises: `normalise` reads indefinite lengths, long lengths and octet strings in pieces, and never more
than its caps on bytes, depth and number of values; what is already DER comes back byte for byte. The order
inside a SET stays as sent, for a signature was made over it (RFC 5652 §5.4). Does not: know any type of CMS
(asn1 does), nor read bit or text strings in pieces, which no signer writes.
"""

from __future__ import annotations

from collections.abc import Iterator

MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 32
MAX_VALUES = 100_000

_CONSTRUCTED = 0x20
_OCTET_STRING = 0x04
_END = b"\x00\x00"


def tlv(tag: int, *parts: bytes) -> bytes:
    """One DER value: a one-byte tag, the shortest length (X.690 §10.1), the parts."""
    content = b"".join(parts)
    return bytes([tag]) + length(len(content)) + content


def length(size: int) -> bytes:
    if size < 0x80:
        return bytes([size])
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def set_of(*values: bytes) -> bytes:
    """A DER SET OF: the values sorted by their encoding (X.690 §11.6)."""
    return tlv(0x31, *sorted(values))


def members(content: bytes) -> Iterator[bytes]:
    """The whole values that follow one another in DER `content`. Raises ValueError where they do not fit."""
    at = 0
    while at < len(content):
        _, start, size = _header(content, at)
        if size is None or start + size > len(content):
            raise ValueError("a value runs past its end")
        yield content[at : start + size]
        at = start + size


def content(value: bytes) -> bytes:
    """What is inside one whole DER value. Raises ValueError if there is anything after it."""
    _, start, size = _header(value, 0)
    if size is None or start + size != len(value):
        raise ValueError("not one value")
    return value[start:]


def header(data: bytes, at: int) -> tuple[bytes, int, int | None]:
    """(tag octet, where the content starts, its size or None if indefinite) of the value at `at`. Raises ValueError."""
    return _header(data, at)


def normalise(data: bytes) -> bytes:
    """`data`, one BER value and nothing after it, as DER but for the order in sets. Raises ValueError."""
    if len(data) > MAX_BYTES:
        raise ValueError("too large")
    if settled(data):
        return data
    reader = _Reader(data)
    whole, end = reader.value(0, len(data), 0)
    if end != len(data):
        raise ValueError("something follows the value")
    return whole


def settled(data: bytes) -> bool:
    """Whether `data` is what `normalise` would answer: most messages are, and looking is a quarter of making."""
    at, ends, whole = 0, [len(data)], len(data)
    for _ in range(MAX_VALUES):
        if at + 2 > whole or len(ends) > MAX_DEPTH + 1:
            return False
        tag, size, start = data[at], data[at + 1], at + 2
        if size >= 0x80:
            size, start = _long(data, start, size & 0x7F)
        end = start + size
        if end > ends[-1] or size < 0 or tag & 0x1F == 0x1F or tag == _OCTET_STRING | _CONSTRUCTED:
            return False
        if tag & _CONSTRUCTED:
            ends.append(end)
            end = start
        at = end
        while at == ends[-1] and len(ends) > 1:
            ends.pop()
        if len(ends) == 1:
            return at == whole
    return False


def _long(data: bytes, at: int, octets: int) -> tuple[int, int]:
    """(size, start of the content) of a length in so many octets; a size of -1 where DER has no such length."""
    start = at + octets
    size = int.from_bytes(data[at:start], "big")
    # X.690 §10.1: the shortest form; an indefinite one has no octets, hence no size
    return (size, start) if size >= 0x80 and data[at] and start <= len(data) else (-1, start)


def _header(data: bytes, at: int) -> tuple[bytes, int, int | None]:
    """(tag octets, where the content starts, its size or None if indefinite) of the value at `at`."""
    start = at + 1
    if at >= len(data):
        raise ValueError("a value is cut short")
    if data[at] & 0x1F == 0x1F:
        raise ValueError("tags above 30 have no place in CMS")
    if start >= len(data):
        raise ValueError("a value is cut short")
    first = data[start]
    if first < 0x80:
        return data[at:start], start + 1, first
    if first == 0x80:
        return data[at:start], start + 1, None
    count = first & 0x7F
    octets = data[start + 1 : start + 1 + count]
    if len(octets) != count or count > 8:
        raise ValueError("a length is cut short or absurd")
    return data[at:start], start + 1 + count, int.from_bytes(octets, "big")


class _Reader:
    """One pass over the bytes; counts the values it has read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = MAX_VALUES

    def value(self, at: int, limit: int, depth: int) -> tuple[bytes, int]:
        """The value at `at` as DER, and where the next one starts."""
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            raise ValueError("too many values or too deep")
        tag, start, size = _header(self._data, at)
        end = limit if size is None else start + size
        if end > limit:
            raise ValueError("a value runs past its end")
        if not tag[0] & _CONSTRUCTED:
            if size is None:
                raise ValueError("an indefinite length on a primitive value")
            return tag + length(size) + self._data[start:end], end
        parts, end = self._inside(start, end, depth, indefinite=size is None)
        return _joined(tag[0], parts), end

    def _inside(self, at: int, limit: int, depth: int, *, indefinite: bool) -> tuple[list[bytes], int]:
        parts: list[bytes] = []
        while at < limit:
            if indefinite and self._data[at : min(at + 2, limit)] == _END:  # the end is inside what holds the value
                return parts, at + 2
            part, at = self.value(at, limit, depth + 1)
            parts.append(part)
        if indefinite:
            raise ValueError("an indefinite value without its end")
        return parts, at


def _joined(tag: int, parts: list[bytes]) -> bytes:
    """X.690 §8.7.3: an octet string in pieces is their concatenation; DER has it in one (§10.2)."""
    if tag != _OCTET_STRING | _CONSTRUCTED:
        return tlv(tag, *parts)
    if any(part[0] != _OCTET_STRING for part in parts):
        raise ValueError("an octet string made of something else")
    return tlv(_OCTET_STRING, *map(content, parts))
