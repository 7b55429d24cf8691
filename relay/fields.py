"""Header fields as bytes: where they stand, their unfolded text, their parameters and encoded words.

Promises: never re-serialises; every step has a budget; what cannot be decoded is shown as it came, never
guessed. Does not: read addresses (directory.address does), nor know about MIME parts (relay.message does).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

Span = tuple[int, int]

FIELDS_MOST = 2000
PARAMETERS_MOST = 100
WORDS_CHARS_MOST = 16_384

_BLOCK_END = re.compile(rb"\n\r?\n")
_NAME = re.compile(rb"([!-9;-~]+)[ \t]*:")
# RFC 2045 §5.1, lenient about 8-bit and about a missing closing quote.
_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"?|[^\s;]*)', re.DOTALL)
_SECTION = re.compile(r"^([^*]+)(?:\*(\d{1,3}))?(\*)?$")
_WORD = re.compile(r"=\?([^?\s]{1,40})\?([bBqQ])\?([^?\s]*)\?=")
_BETWEEN_WORDS = re.compile(r"(=\?[^?\s]{1,40}\?[bBqQ]\?[^?\s]*\?=)\s+(?==\?[^?\s]{1,40}\?[bBqQ]\?[^?\s]*\?=)")


class Malformed(ValueError):
    """A message that no two readers would read alike, or that is over a budget. `reason` is a name, never
    content."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Field:
    name: str
    """As written."""
    value: bytes = field(repr=False)
    """After the colon, without the final line end."""
    span: Span
    """From the first byte of the name to after the final line end."""

    @property
    def text(self) -> str:
        """Unfolded (RFC 5322 §2.2.3), without outer white space."""
        return as_text(self.value.replace(b"\r\n", b"").replace(b"\n", b"")).strip()

    @property
    def strict(self) -> str:
        """The same where an address is read: octets that are not UTF-8 (RFC 6532 §3), which every reader reads as he
        likes, are U+FFFD, which stands in no address."""
        return self.value.replace(b"\r\n", b"").replace(b"\n", b"").decode("utf-8", "replace").strip()


def as_text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def block_end(raw: bytes, start: int, end: int) -> tuple[int, int]:
    """(end of the fields, start of the body) of the header block that begins at `start` (RFC 5322 §2.1)."""
    for empty in (b"\r\n", b"\n"):
        if raw.startswith(empty, start, end):
            return start, start + len(empty)
    found = _BLOCK_END.search(raw, start, end)
    if found is None:
        return end, end
    return found.start() + 1, found.end()


def read_block(raw: bytes, start: int, end: int) -> tuple[tuple[Field, ...], bool]:
    """The fields between two offsets, and whether every line was one. Raises Malformed on NUL or too many."""
    if raw.find(b"\0", start, end) >= 0:
        raise Malformed("header-nul")
    spans, clean = _field_spans(raw, start, end)
    fields = []
    for begin, stop in spans:
        name = _NAME.match(raw, begin, stop)
        if name is None:
            clean = False
            continue
        value = raw[name.end() : stop].removesuffix(b"\n").removesuffix(b"\r")
        fields.append(Field(name.group(1).decode("ascii"), value, (begin, stop)))
    return tuple(fields), clean


def _field_spans(raw: bytes, start: int, end: int) -> tuple[list[Span], bool]:
    """Spans of the unfolded fields; False when the block begins with a continuation line."""
    starts, at, clean = [], start, True
    while at < end:
        if raw[at] not in b" \t":
            starts.append(at)
        elif not starts:
            clean = False
        if len(starts) > FIELDS_MOST:
            raise Malformed("header-count")
        line_end = raw.find(b"\n", at, end)
        at = end if line_end < 0 else line_end + 1
    return list(zip(starts, [*starts[1:], end], strict=False)), clean


# --- structured values --------------------------------------------------------------------------------------


def parameters(text: str) -> tuple[str, Mapping[str, str]]:
    """The lower-case value before the first ';' and its parameters, RFC 2231 sections joined and decoded.
    The first of two parameters with one name counts."""
    head = text.split(";", 1)[0].strip().lower()
    raw = raw_parameters(text)
    return head, MappingProxyType(_joined(raw)) if raw else MappingProxyType({})


def raw_parameters(text: str) -> dict[str, str]:
    """Parameters with their names as written in lower case ('filename*0*'), values unquoted but not
    decoded."""
    found: dict[str, str] = {}
    for count, match in enumerate(_PARAMETER.finditer(text), 1):
        if count > PARAMETERS_MOST:
            raise Malformed("parameters")
        found.setdefault(match.group(1).lower(), _unquote(match.group(2)))
    return found


def _unquote(value: str) -> str:
    if not value.startswith('"'):
        return value
    inner = value[1:-1] if len(value) > 1 and value.endswith('"') else value[1:]
    return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL)


def _joined(raw: Mapping[str, str]) -> dict[str, str]:
    """RFC 2231 §3 and §4: 'name*0*', 'name*1', … become 'name'."""
    plain: dict[str, str] = {}
    sections: dict[str, list[tuple[int, bool, str]]] = {}
    for key, value in raw.items():
        match = _SECTION.match(key)
        if match is None or (match.group(2) is None and match.group(3) is None):
            plain.setdefault(key, value)
            continue
        sections.setdefault(match.group(1), []).append((int(match.group(2) or 0), bool(match.group(3)), value))
    return plain | {name: _section_text(parts) for name, parts in sections.items()}


def _section_text(parts: list[tuple[int, bool, str]]) -> str:
    parts.sort(key=lambda part: part[0])
    charset, data = "utf-8", bytearray()
    for number, (_, extended, value) in enumerate(parts):
        if extended and number == 0 and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
        data += _percent(value) if extended else value.encode("utf-8", "replace")
    return _charset_text(bytes(data), charset)


def _percent(value: str) -> bytes:
    source = value.encode("utf-8", "replace")
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda found: bytes([int(found.group(1), 16)]), source)


def _charset_text(data: bytes, charset: str) -> str:
    """A charset that does not exist, or lies, gives the best reading of the bytes."""
    try:
        return data.decode(charset or "ascii")
    except (LookupError, UnicodeDecodeError, ValueError):
        return as_text(data)


# --- encoded words ------------------------------------------------------------------------------------------


def decode_words(text: str) -> str:
    """RFC 2047 §6: encoded words read, white space between two of them dropped, the rest as it stands."""
    if "=?" not in text or len(text) > WORDS_CHARS_MOST:
        return text
    return _WORD.sub(_word, _BETWEEN_WORDS.sub(r"\1", text))


def _word(match: re.Match[str]) -> str:
    charset, coding, data = match.group(1).split("*")[0], match.group(2).lower(), match.group(3)
    source = data.encode("utf-8", "replace")
    if coding == "q":
        return _charset_text(binascii.a2b_qp(source, header=True), charset)
    try:
        return _charset_text(base64.b64decode(source + b"=" * (-len(source) % 4), validate=True), charset)
    except binascii.Error:
        return match.group(0)
