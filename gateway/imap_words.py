"""What an IMAP server says of folders and of letters in a list, read: LIST and FETCH lines (RFC 3501 §7).

Promises: a line that is not as asked for gives nothing; names of folders are shown as people wrote them. Does not:
speak to a server (gateway.imap does), or read a header field (relay.fields does).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

_LIST = re.compile(rb'\(([^()]*)\) (?:"(?:[^"\\]|\\.)"|NIL) (.+)', re.DOTALL)
_FETCH = re.compile(rb"\d{1,10} FETCH \(")
_UID = re.compile(rb"\bUID (\d{1,10})\b")
_FLAGS = re.compile(rb"\bFLAGS \(([^()]*)\)")
_DATE = re.compile(rb'\bINTERNALDATE "([^"]{20,30})"')
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d{1,12})\b")
_SHIFTED = re.compile(r"&([^-]*)-")


@dataclass(frozen=True, order=True)
class Folder:
    shown: str
    name: str
    """As the server writes it (RFC 3501 §5.1.3), to be sent back."""


@dataclass(frozen=True)
class Head:
    """One letter in a list."""

    uid: int
    seen: bool
    at: datetime | None
    """When the server took it in, UTC."""
    size: int
    fields: bytes = field(repr=False)
    """The header block that was asked for."""
    inside: bytes = field(repr=False)
    """The header block of its first part; empty where it has none."""


def folder(line: bytes) -> Folder | None:
    """One LIST line without its `* LIST`; None for what cannot be opened (RFC 3501 §7.2.2), or is no such line."""
    found = _LIST.fullmatch(line)
    if found is None or b"\\noselect" in found[1].lower() or b"\\nonexistent" in found[1].lower():
        return None
    name = _unquoted(found[2])
    return Folder(_readable(name), name) if name else None


def _unquoted(word: bytes) -> str:
    """An atom or a quoted string, in ASCII; what is neither is no name that we could send back."""
    text = word.decode("ascii", "replace").strip()
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    return text if text.isprintable() and "\ufffd" not in text else ""


def _readable(name: str) -> str:
    """Modified UTF-7 as people wrote it; what is none is shown as it stands."""

    def unshifted(found: re.Match[str]) -> str:
        if not found[1]:
            return "&"
        data = base64.b64decode(found[1].replace(",", "/") + "=" * (-len(found[1]) % 4), validate=True)
        return data.decode("utf-16-be")

    try:
        return _SHIFTED.sub(unshifted, name)
    except (binascii.Error, UnicodeDecodeError):
        return name


def heads(lines: Sequence[bytes | bytearray]) -> list[Head]:
    """The letters of one FETCH answer, in its order; literals stand in it as bytearrays."""
    found: list[Head] = []
    said, literals = b"", list[tuple[bytes, bytes]]()
    for line in [*lines, b"0 FETCH ("]:
        if isinstance(line, bytearray):
            literals.append((said, bytes(line)))
            continue
        if _FETCH.match(line):
            found += _head(said, literals)
            said, literals = b"", []
        said += line + b" "
    return found


def _head(said: bytes, literals: list[tuple[bytes, bytes]]) -> list[Head]:
    uid, size = _UID.search(said), _SIZE.search(said)
    if uid is None:
        return []
    flags = _FLAGS.search(said)
    blocks = {"1.MIME": b"", "HEADER": b""}
    for before, content in literals:
        last = before.rpartition(b"BODY[")[2]
        blocks["1.MIME" if last.startswith(b"1.MIME]") else "HEADER"] = content
    seen = flags is not None and b"\\seen" in flags[1].lower()
    number = int(size[1]) if size else 0
    return [Head(int(uid[1]), seen, _moment(_DATE.search(said)), number, blocks["HEADER"], blocks["1.MIME"])]


def _moment(found: re.Match[bytes] | None) -> datetime | None:
    if found is None:
        return None
    try:
        return datetime.strptime(found[1].decode("ascii").strip(), "%d-%b-%Y %H:%M:%S %z").astimezone(UTC)
    except ValueError:
        return None
