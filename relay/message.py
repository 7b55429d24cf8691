"""The one MIME scanner: a message's header fields and parts as spans over the bytes as they came.

Promises: bytes are never re-serialised; budgets on parts, depth, header bytes and parameters; a message over
a budget, or whose outermost header is not one, is Malformed; lesser oddities are named in `defects`. A
message/rfc822 part is a leaf: what is forwarded or returned inside is not part of this letter.
Does not: judge signatures (relay.smime does), open archives, or read any address by itself (directory.address
does).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from directory import address
from directory.model import Address
from relay.fields import (
    Field,
    Malformed,
    Span,
    block_end,
    decode_words,
    parameters,
    raw_parameters,
    read_block,
)

__all__ = ["Field", "Malformed", "Message", "Part", "automatic", "scan", "without_own_headers"]

PARTS_MOST = 1000
DEPTH_MOST = 20
HEADER_BYTES_MOST = 1 << 20
"""All header blocks of a message together."""
NEAR_DELIMITERS_MOST = 10_000
OWN_FAMILY = "x-pli-"
"""Our header family: removed from the outermost block, never read anywhere (design §7)."""

_STRUCTURAL = ("content-type", "content-transfer-encoding", "content-disposition")
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,990}>")
# payload §1.8: '[KO Intégration système !][902] XDM/…' or '[Erreur d’intégration !][902] …'; the label varies
# and its charset breaks, the three digits do not. Answers (Re:, TR:) to one stay one.
_ERROR_SUBJECT = re.compile(r"^\s*(?:\w{1,5}\s?:\s*){0,5}(?:\[[^\[\]]{0,80}\]\s*){0,3}?\[\d{3}\]")


@dataclass(frozen=True)
class Part:
    """One node of the MIME tree. Offsets count from the first byte of the message."""

    path: str
    """'1.2' in the manner of IMAP; a multipart at the top is ''."""
    type: str
    """Lower case, e.g. 'application/zip'."""
    params: Mapping[str, str] = field(repr=False)
    filename: str = field(repr=False)
    """Decoded (RFC 2231, RFC 2047), or ''. Never a path for our disk."""
    raw_filename: str = field(repr=False)
    """As written, or ''."""
    disposition: str
    encoding: str
    """Lower case; '7bit' if the part says nothing."""
    fields: tuple[Field, ...]
    header_span: Span
    """The fields, without the empty line."""
    body_span: Span
    message: bytes = field(repr=False)

    @property
    def raw(self) -> bytes:
        """Header and body, without the line end that belongs to the delimiter (RFC 2046 §5.1.1): what is
        signed."""
        return self.message[self.header_span[0] : self.body_span[1]]

    @property
    def body(self) -> bytes:
        return self.message[self.body_span[0] : self.body_span[1]]

    @property
    def is_multipart(self) -> bool:
        return self.type.startswith("multipart/")

    def decode(self, most: int | None = None) -> bytes:
        """The content without its transfer encoding. Raises Malformed if it is not base64, or over `most`
        bytes."""
        data = _decoded(self.body, self.encoding)
        if most is not None and len(data) > most:
            raise Malformed("part-size")
        return data


@dataclass(frozen=True)
class Message:
    raw: bytes = field(repr=False)
    headers: tuple[Field, ...]
    """The outermost block."""
    header_span: Span
    parts: tuple[Part, ...]
    """Document order; the first is the root."""
    defects: tuple[str, ...] = ()

    @property
    def is_international(self) -> bool:
        """Its outermost header holds more than ASCII (RFC 6532)."""
        return not self.raw[slice(*self.header_span)].isascii()

    @property
    def root(self) -> Part:
        return self.parts[0]

    def values(self, name: str) -> list[str]:
        """The unfolded text of every outermost field of that name, in order."""
        wanted = name.lower()
        return [each.text for each in self.headers if each.name.lower() == wanted]

    def value(self, name: str) -> str:
        """The first, or ''."""
        return next(iter(self.values(name)), "")

    @cached_property
    def subject(self) -> str:
        """Decoded, for people and for rules; never a source of patient identity."""
        return decode_words(self.value("Subject"))

    @cached_property
    def message_id(self) -> str:
        """'<…>' or ''."""
        found = _MESSAGE_ID.search(self.value("Message-ID"))
        return found.group(0) if found else ""

    @cached_property
    def authors(self) -> tuple[Address, ...]:
        """The addresses of From, strictly read. Raises directory.address.BadAddress if From is absent,
        repeated or could be read in two ways (CVE-2026-27444: one reading for everyone, or none)."""
        values = self.values("From")
        if len(values) != 1:
            raise address.BadAddress("From is absent" if not values else "From is repeated")
        return self.addresses("From")

    def addresses(self, name: str) -> tuple[Address, ...]:
        """Those of every outermost field of that name, strictly read. Raises directory.address.BadAddress."""
        return addresses_of([each for each in self.headers if each.name.lower() == name.lower()])

    def children(self, part: Part) -> tuple[Part, ...]:
        prefix = f"{part.path}." if part.path else ""
        if not part.is_multipart:
            return ()
        return tuple(
            each
            for each in self.parts
            if each.path != part.path and each.path.startswith(prefix) and "." not in each.path[len(prefix) :]
        )


def addresses_of(fields: Iterable[Field]) -> tuple[Address, ...]:
    """All that these fields name. Raises directory.address.BadAddress."""
    found: list[Address] = []
    for each in fields:
        found += [one for _, one in address.parse_list(each.strict)]
    return tuple(found)


# --- scanning -----------------------------------------------------------------------------------------------


@dataclass
class _Scan:
    raw: bytes
    parts: list[Part]
    defects: list[str]
    header_bytes: int = 0

    near_delimiters: int = 0

    def note(self, defect: str) -> None:
        if defect not in self.defects:
            self.defects.append(defect)

    def near_delimiter(self) -> None:
        """A line that only begins like a delimiter; millions of them would cost minutes."""
        self.near_delimiters += 1
        if self.near_delimiters > NEAR_DELIMITERS_MOST:
            raise Malformed("boundary")


def scan(raw: bytes) -> Message:
    """Index a message. Raises Malformed(reason) where design and threats want a refusal instead of a
    guess."""
    state = _Scan(raw, [], [])
    headers = _node(state, "", 0, (0, len(raw)), "text/plain")
    return Message(raw, headers, state.parts[0].header_span, tuple(state.parts), tuple(state.defects))


def _node(state: _Scan, path: str, depth: int, span: Span, default: str) -> tuple[Field, ...]:
    if depth > DEPTH_MOST:
        raise Malformed("depth")
    if len(state.parts) >= PARTS_MOST:
        raise Malformed("parts")
    fields, header, body = _header(state, span, outermost=depth == 0)
    part = _part(state, path, fields, header, (body, span[1]), default)
    state.parts.append(part)
    if part.is_multipart:
        inner = "message/rfc822" if part.type == "multipart/digest" else "text/plain"  # RFC 2046 §5.1.5
        for number, child in enumerate(_children(state, part), 1):
            _node(state, f"{part.path}.{number}".lstrip("."), depth + 1, child, inner)
    return fields


def _header(state: _Scan, span: Span, *, outermost: bool) -> tuple[tuple[Field, ...], Span, int]:
    fields_end, body = block_end(state.raw, *span)
    state.header_bytes += fields_end - span[0]
    if state.header_bytes > HEADER_BYTES_MOST:
        raise Malformed("header-size")
    fields, clean = read_block(state.raw, span[0], fields_end)
    if outermost and not clean:
        raise Malformed("header-line")  # the next hop would see another end of the header than we do
    if not clean:
        state.note("mime.header-line")
    return fields, (span[0], fields_end), body


def _part(state: _Scan, path: str, fields: tuple[Field, ...], header: Span, body: Span, default: str) -> Part:
    values = _structural(state, fields)
    kind, params = parameters(values.get("content-type", default))
    if "/" not in kind:
        kind = default if not kind else "application/octet-stream"
    disposition, about = parameters(values.get("content-disposition", ""))
    name = about.get("filename") or params.get("name") or ""
    return Part(
        path=path if path or kind.startswith("multipart/") else "1",
        type=kind,
        params=params,
        filename=decode_words(name),
        raw_filename=_raw_filename(values),
        disposition=disposition,
        encoding=values.get("content-transfer-encoding", "7bit").strip().lower(),
        fields=fields,
        header_span=header,
        body_span=body,
        message=state.raw,
    )


def _structural(state: _Scan, fields: tuple[Field, ...]) -> dict[str, str]:
    """The first of each field that decides how a part is read; a second one is a defect."""
    found: dict[str, str] = {}
    for each in fields:
        name = each.name.lower()
        if name in _STRUCTURAL and name in found:
            state.note("mime.repeated-field")
        elif name in _STRUCTURAL:
            found[name] = each.text
    return found


def _raw_filename(values: Mapping[str, str]) -> str:
    for header, wanted in (("content-disposition", "filename"), ("content-type", "name")):
        written = raw_parameters(values.get(header, ""))
        joined = "".join(value for key, value in sorted(written.items()) if key.split("*")[0] == wanted)
        if joined:
            return joined
    return ""


def _children(state: _Scan, part: Part) -> Iterator[Span]:
    """Spans between the delimiter lines of one multipart (RFC 2046 §5.1.1)."""
    boundary = part.params.get("boundary", "")
    if not boundary:
        state.note("mime.no-boundary")
        return
    start: int | None = None
    for line_start, after, closing in _delimiters(state, boundary.encode("utf-8", "replace"), part.body_span):
        if start is not None:
            yield start, max(start, _before_line_end(state.raw, line_start))
        if closing:
            return
        start = after
    state.note("mime.unclosed" if start is not None else "mime.no-part")
    if start is not None:
        yield start, part.body_span[1]


def _delimiters(state: _Scan, boundary: bytes, span: Span) -> Iterator[tuple[int, int, bool]]:
    """(start of the line, start of the next line, is it the closing one) for each delimiter line."""
    raw, needle, at = state.raw, b"\n--" + boundary, max(0, span[0] - 1)
    while (found := raw.find(needle, at, span[1])) >= 0:
        at = raw.find(b"\n", found + len(needle), span[1])
        at = span[1] if at < 0 else at
        rest = raw[found + len(needle) : at].rstrip(b" \t\r")
        if rest in (b"", b"--"):
            yield found + 1, min(at + 1, span[1]), rest == b"--"
        else:
            state.near_delimiter()


def _before_line_end(raw: bytes, at: int) -> int:
    """The line end before a delimiter belongs to the delimiter."""
    if raw[at - 2 : at] == b"\r\n":
        return at - 2
    return at - 1 if raw[at - 1 : at] == b"\n" else at


def _decoded(body: bytes, encoding: str) -> bytes:
    if encoding == "quoted-printable":
        return binascii.a2b_qp(body)
    if encoding != "base64":
        return body
    try:
        return binascii.a2b_base64(body)
    except binascii.Error:
        raise Malformed("base64") from None


# --- what the whole product asks of a message ---------------------------------------------------------------


def automatic(message: Message, null_sender: bool) -> str:
    """The name of the rule by which this is automatic mail, or ''. Such mail never qualifies for filing, a
    receipt, a rule or an absence message (design §4)."""
    if null_sender:
        return "null-sender"
    if _content_root(message).type == "multipart/report":
        return "report"  # first: a report that also says that it is automatic is never answered all the same
    if any(_auto_submitted(value) for value in message.values("Auto-Submitted")):
        return "auto-submitted"
    return "error-subject" if _ERROR_SUBJECT.match(message.subject) else ""


def _auto_submitted(value: str) -> bool:
    # RFC 3834 §5: keyword, then optional parameters; §5.1 adds comments
    keyword = re.split(r"[;(\s]", value.strip(), maxsplit=1)[0].lower()
    return keyword != "no"


def _content_root(message: Message) -> Part:
    """The root, or what a clear signature covers."""
    children = message.children(message.root)
    return children[0] if message.root.type == "multipart/signed" and children else message.root


def without_own_headers(raw: bytes) -> bytes:
    """The bytes without X-Pli-* fields of the outermost block (CVE-2026-27443: nothing a stranger wrote may
    look like our word). The very same object when there is none."""
    fields_end, _ = block_end(raw, 0, len(raw))
    fields, _ = read_block(raw, 0, fields_end)
    ours = [each.span for each in fields if each.name.lower().startswith(OWN_FAMILY)]
    if not ours:
        return raw
    kept, at = [], 0
    for start, end in ours:
        kept.append(raw[at:start])
        at = end
    return b"".join([*kept, raw[at:]])
