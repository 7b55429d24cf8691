"""The 7-bit form of a letter's content: what a signature is made over (RFC 8551 §3.1.3).

Promises: content that is 7-bit already comes out byte for byte; otherwise only the parts that need it get
another transfer encoding, and each still decodes to the very same bytes; what is signed or encrypted inside
is never touched. Does not: sign; nor change the letter in custody, this is a copy for the way out.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import replace
from email.header import Header
from urllib.parse import quote

from relay import line_ends
from relay.fields import Field, Malformed, as_text
from relay.message import Message, Part, scan

LINE_MOST = 998
"""RFC 5322 §2.1.1, without CRLF."""
_WINDOW = 1 << 18
_UNTOUCHED = ("multipart/signed", "multipart/encrypted")
_PARAMETER = re.compile(r';(\s*)([^\s=;"*]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^\s;]*))', re.DOTALL)


def is_seven_bit(data: bytes) -> bool:
    """ASCII without NUL, every line ended by CRLF and at most 998 long."""
    return data.isascii() and b"\0" not in data and line_ends.are_whole(data) and _lines_are_short(data)


def _lines_are_short(data: bytes) -> bool:
    """Window by window: the list of all lines of a large letter would be larger than the letter."""
    at = 0
    while at < len(data):
        end = data.find(b"\n", at + _WINDOW) + 1 or len(data)
        if max(map(len, data[at:end].split(b"\r\n"))) > LINE_MOST:
            return False
        at = end
    return True


def content(message: Message) -> bytes:
    """The content of a message as a MIME entity: its Content-* fields, an empty line and its body, in 7-bit
    form."""
    root = message.root
    fields = tuple(each for each in root.fields if each.name.lower().startswith("content-"))
    return b"".join(_entity(message, replace(root, fields=fields)))


def _entity(message: Message, part: Part) -> Iterator[bytes | memoryview]:
    header = b"".join(part.message[start:end] for start, end in (each.span for each in part.fields))
    if not any(each.name.lower() == "content-type" for each in part.fields):
        header += f"Content-Type: {part.type}\r\n".encode()  # RFC 2045 §5.2: the default, said aloud
    if part.type in _UNTOUCHED or (is_seven_bit(part.body) and is_seven_bit(header)):
        yield header + b"\r\n"
        yield memoryview(part.message)[slice(*part.body_span)]  # never copied but into the whole
    elif part.is_multipart:
        yield _header(part, "7bit") + b"\r\n"
        yield from _multipart(message, part)
    elif part.type == "message/rfc822":
        yield _header(part, "7bit") + b"\r\n" + _forwarded(part.body)
    else:
        yield from _leaf(part)


def _multipart(message: Message, part: Part) -> Iterator[bytes | memoryview]:
    """Delimiters as they stand; what lies outside the parts is for no reader, and made ASCII."""
    at = part.body_span[0]
    for child in message.children(part):
        yield _glue(part.message[at : child.header_span[0]])
        yield from _entity(message, child) if child.fields else _bare(child)
        at = child.body_span[1]
    yield _glue(part.message[at : part.body_span[1]])


def _bare(part: Part) -> Iterator[bytes]:
    """A part without a header stays without one if it may."""
    if is_seven_bit(part.body):
        yield b"\r\n" + part.body
    else:
        yield f"Content-Type: {part.type}\r\n".encode()
        yield from _leaf(part)


def _leaf(part: Part) -> Iterator[bytes]:
    try:
        data = part.decode()
    except Malformed:
        data, part = part.body, replace(part, encoding="binary")
    encoding, body = _encoded(data, part.type)
    yield _header(part, encoding) + b"\r\n" + body


def _encoded(data: bytes, kind: str) -> tuple[str, bytes]:
    if kind.startswith("text/"):
        readable = binascii.b2a_qp(data, istext=True)
        if is_seven_bit(readable) and binascii.a2b_qp(readable) == data:
            return "quoted-printable", readable
    return "base64", base64.encodebytes(data).replace(b"\n", b"\r\n").removesuffix(b"\r\n")


def _forwarded(body: bytes) -> bytes:
    """RFC 2046 §5.2.1: a message/rfc822 part may only be 7-bit by what is inside it."""
    try:
        inner = scan(body)
    except Malformed:
        return body
    own = [each for each in inner.headers if not each.name.lower().startswith("content-")]
    return b"".join(_seven_bit_field(body, each) for each in own) + content(inner)


def _header(part: Part, encoding: str) -> bytes:
    """The fields of a part with another Content-Transfer-Encoding."""
    kept = [each for each in part.fields if each.name.lower() != "content-transfer-encoding"]
    lines = [_seven_bit_field(part.message, each) for each in kept]
    return b"".join([*lines, f"Content-Transfer-Encoding: {encoding}\r\n".encode()])


def _seven_bit_field(source: bytes, each: Field) -> bytes:
    raw = source[each.span[0] : each.span[1]]
    if is_seven_bit(raw):
        return raw
    if each.name.lower() in ("content-type", "content-disposition"):
        value = _PARAMETER.sub(_parameter, each.text)
    else:
        value = Header(each.text.replace("\r", " "), "utf-8", maxlinelen=900).encode(linesep="\r\n")
    return f"{each.name}: {value}".encode("ascii", "replace").rstrip(b"\r\n") + b"\r\n"


def _parameter(match: re.Match[str]) -> str:
    """RFC 2231 §4 for a value that is not ASCII; each parameter on its own line."""
    value = match.group(3) if match.group(3) is not None else match.group(4)
    if value.isascii():
        return f';\r\n\t{match.group(2)}="{value}"'
    plain = re.sub(r"\\(.)", r"\1", value)
    return f";\r\n\t{match.group(2)}*=utf-8''{quote(plain, safe='')}"


def _glue(between: bytes) -> bytes:
    if is_seven_bit(between):
        return between
    lines = as_text(between).replace("\0", "").encode("ascii", "replace").splitlines(keepends=True)
    return b"".join(line.rstrip(b"\r\n")[:LINE_MOST] + b"\r\n" for line in lines)
