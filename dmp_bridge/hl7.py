"""The one reader of HL7 v2: a strict view over bytes that stay as they came.

Promises: bytes are split once, within budgets, before any is believed; the character set is the one that MSH-18
names, and bytes that are none of it are refused; escape sequences mean what HL7 v2.5 §2.7 says, or are refused;
positions count as in the norm (PID-3 is field(3), from 1). Does not: know a segment's meaning, nor write more than an
acknowledgement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from functools import cached_property

MAX_BYTES = 1024 * 1024
MAX_SEGMENTS = 1000
MAX_FIELDS = 300
MAX_REPETITIONS = 200
MAX_COMPONENTS = 100

# HL7 table 0211, those of one byte or of UTF-8; an empty MSH-18 is ASCII (v2.5 §2.15.9.18).
CHARSETS = {
    "": "ascii",
    "ASCII": "ascii",
    "UNICODE UTF-8": "utf-8",
    **{f"8859/{part}": f"iso8859-{part}" for part in (*range(1, 10), 15)},
}

_MSH = re.compile(rb"MSH([!-/:-@\[-`{-~])")
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# YYYY[MM[DD[HH[MM[SS[.S…]]]]]][+/-ZZZZ], v2.5 §2.A.22
_TIME = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.\d{1,4})?)?)?)?)?)?([+-]\d{4})?", re.ASCII
)


class Malformed(ValueError):
    """What is no HL7 v2, or more of it than we read. `check` names what did not hold; no value of the message."""

    def __init__(self, check: str) -> None:
        super().__init__(check)
        self.check = check


@dataclass(frozen=True)
class Marks:
    """The delimiters that MSH-1 and MSH-2 name."""

    field: str
    component: str
    repetition: str
    escape: str
    sub: str


@dataclass(frozen=True, repr=False)
class Field:
    """One field, as text with its delimiters."""

    text: str
    marks: Marks
    charset: str

    @property
    def repetitions(self) -> tuple[Field, ...]:
        """Each repetition as a field of its own; none where the field is empty or null."""
        parts = _split(self.text, self.marks.repetition, MAX_REPETITIONS, "repetitions")
        return tuple(Field(part, self.marks, self.charset) for part in parts if part not in ("", '""'))

    def component(self, number: int, sub: int = 1) -> str:
        """A component's (sub)component as people write it, unescaped; '' where it is absent or null. Of the first
        repetition. Raises Malformed for an escape sequence that means nothing here."""
        first = self.text.partition(self.marks.repetition)[0]
        components = _split(first, self.marks.component, MAX_COMPONENTS, "components")
        whole = components[number - 1] if number <= len(components) else ""
        subs = _split(whole, self.marks.sub, MAX_COMPONENTS, "components")
        value = subs[sub - 1] if sub <= len(subs) else ""
        return "" if value == '""' else unescaped(value, self.marks, self.charset)

    @property
    def value(self) -> str:
        return self.component(1)


@dataclass(frozen=True, repr=False)
class Segment:
    name: str
    fields: tuple[str, ...]
    """fields[n] is field n, as it came; fields[0] is the name."""
    marks: Marks
    charset: str

    def field(self, number: int) -> Field:
        text = self.fields[number] if number < len(self.fields) else ""
        return Field(text, self.marks, self.charset)


@dataclass(frozen=True, repr=False)
class Message:
    raw: bytes
    segments: tuple[Segment, ...]
    marks: Marks
    charset: str

    @cached_property
    def header(self) -> Segment:
        return self.segments[0]

    def segment(self, name: str) -> Segment | None:
        return next((each for each in self.segments if each.name == name), None)

    def each(self, name: str) -> Iterator[Segment]:
        return (each for each in self.segments if each.name == name)

    @property
    def kind(self) -> tuple[str, str]:
        """MSH-9: ('ADT', 'A01')."""
        named = self.header.field(9)
        return named.component(1), named.component(2)

    @property
    def control_id(self) -> str:
        return self.header.field(10).value


# --- reading --------------------------------------------------------------------------------------------------------


def read(data: bytes) -> Message:
    """The view of one message. Raises Malformed."""
    if len(data) > MAX_BYTES:
        raise Malformed("size")
    marks = _marks(data)
    lines = _lines(data)
    charset = _charset(lines[0], marks)
    try:
        texts = [line.decode(charset) for line in lines]
    except UnicodeDecodeError:
        raise Malformed("charset") from None
    if any(_CONTROL.search(text) for text in texts):
        raise Malformed("control-character")
    segments = tuple(_segment(text, marks, charset) for text in texts)
    if segments[0].name != "MSH" or any(each.name == "MSH" for each in segments[1:]):
        raise Malformed("one-header")
    return Message(data, segments, marks, charset)


def header(data: bytes) -> Message | None:
    """MSH alone, of a message that cannot be read whole: so that its sender learns which one it was."""
    try:
        return read(re.split(rb"[\r\n]", data[:4096], maxsplit=1)[0])
    except Malformed:
        return None


def _marks(data: bytes) -> Marks:
    """MSH-1 and MSH-2: five different marks, of which none is a letter, a digit or a space."""
    found = _MSH.match(data)
    if found is None:
        raise Malformed("no-header")
    field = found[1]
    told = data[4:16].partition(field)[0]
    # v2.7 knows a fifth one, for truncation: read, and never meant
    if len(told) not in (4, 5) or len({field, *(told[i : i + 1] for i in range(len(told)))}) != len(told) + 1:
        raise Malformed("delimiters")
    if not re.fullmatch(rb"[!-/:-@\[-`{-~]+", told):
        raise Malformed("delimiters")
    return Marks(field.decode("ascii"), *(chr(each) for each in told[:4]))


def _lines(data: bytes) -> list[bytes]:
    """Segments end in CR (v2.5 §2.5.2); LF after it is what some add. A message without any CR is a file's: LF ends its
    lines. A bare LF between CRs belongs to no one reading and is refused."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\r")
        if b"\n" in data:
            raise Malformed("line-end")
    lines = [line for line in re.split(rb"[\r\n]", data) if line]
    if len(lines) > MAX_SEGMENTS:
        raise Malformed("segments")
    return lines


def _charset(first: bytes, marks: Marks) -> str:
    """MSH-18, of which the first repetition holds for all that is not escaped."""
    fields = first.split(marks.field.encode("ascii"))
    told = fields[17].partition(marks.repetition.encode("ascii"))[0] if len(fields) > 17 else b""
    charset = CHARSETS.get(told.decode("latin-1").strip())
    if charset is None:
        raise Malformed("charset-unknown")
    return charset


def _segment(text: str, marks: Marks, charset: str) -> Segment:
    fields = _split(text, marks.field, MAX_FIELDS, "fields")
    if not _NAME.fullmatch(fields[0]):
        raise Malformed("segment-name")
    if fields[0] == "MSH":
        fields.insert(1, marks.field)
    return Segment(fields[0], tuple(fields), marks, charset)


def _split(text: str, mark: str, most: int, check: str) -> list[str]:
    if text.count(mark) >= most:
        raise Malformed(check)
    return text.split(mark)


def unescaped(text: str, marks: Marks, charset: str) -> str:
    """v2.5 §2.7: delimiters, hexadecimal bytes of the message's own set, and line ends of formatted text;
    highlighting is left out. Anything else, a change of character set too, is Malformed."""
    if marks.escape not in text:
        return text
    pieces = text.split(marks.escape)
    if len(pieces) % 2 == 0:
        raise Malformed("escape")
    for at in range(1, len(pieces), 2):
        pieces[at] = _meant(pieces[at], marks, charset)
    return "".join(pieces)


def _meant(code: str, marks: Marks, charset: str) -> str:
    plain = {"F": marks.field, "S": marks.component, "T": marks.sub, "R": marks.repetition, "E": marks.escape}
    plain |= {"H": "", "N": "", ".br": "\n"}
    if code in plain:
        return plain[code]
    if not re.fullmatch(r"X([0-9A-Fa-f]{2})+", code):
        raise Malformed("escape")
    try:
        meant = bytes.fromhex(code[1:]).decode(charset)
    except UnicodeDecodeError:
        raise Malformed("escape") from None
    if _CONTROL.search(meant):
        raise Malformed("control-character")
    return meant


def day(text: str) -> date | None:
    """A date that is whole: a year alone, or a day 00, is not. Raises Malformed for what is no time at all."""
    found = _TIME.fullmatch(text) if text else None
    if text and found is None:
        raise Malformed("time")
    if found is None or not found[3] or "00" in (found[2], found[3]):
        return None
    try:
        return date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        raise Malformed("time") from None


def moment(text: str, zone: tzinfo) -> datetime:
    """A time to the second, or to what is said of it; where it names no zone it is the sender's. Raises Malformed."""
    found = _TIME.fullmatch(text)
    if found is None or not found[3]:
        raise Malformed("time")
    shape = f"{found[1]}{found[2]}{found[3]}{found[4] or '00'}{found[5] or '00'}{found[6] or '00'}"
    try:
        if found[7]:
            return datetime.strptime(shape + found[7], "%Y%m%d%H%M%S%z")
        return datetime.strptime(shape, "%Y%m%d%H%M%S").replace(tzinfo=zone)
    except ValueError:
        raise Malformed("time") from None


# --- acknowledging --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """Why a message is not accepted: HL7 table 0357, the place, and words without a value of the message."""

    code: str
    location: str
    words: str


@dataclass(frozen=True)
class Acknowledged:
    """AA, AE or AR (v2.5 §2.9.2)."""

    code: str
    fault: Fault | None = None


def acknowledgement(message: Message | None, answer: Acknowledged, control_id: str, at: datetime) -> bytes:
    """ACK to a message, with sender and receiver changed over; to bytes that are no message, with nothing to refer to.

    In ASCII: what it repeats of theirs (application, facility, control id) is repeated only where it is ASCII too.
    """
    marks = message.marks if message else Marks("|", "^", "~", "\\", "&")
    theirs = message.header.fields if message else ()

    def echoed(number: int) -> str:
        text = theirs[number] if number < len(theirs) else ""
        return text if text.isascii() and len(text) <= 250 else ""

    event = message.header.field(9).text.split(marks.component)[1:2] if message else []
    named = [each for each in event if each.isalnum() and each.isascii() and len(each) == 3]
    kind = marks.component.join(("ACK", named[0], "ACK")) if named else "ACK"
    told = marks.component + marks.repetition + marks.escape + marks.sub
    head = [
        "MSH",
        told,
        echoed(5),
        echoed(6),
        echoed(3),
        echoed(4),
        at.strftime("%Y%m%d%H%M%S%z"),
        "",
        kind,
        control_id,
    ]
    head += [echoed(11) or "P", echoed(12) or "2.5"]
    lines = [head, ["MSA", answer.code, echoed(10)]]
    if answer.fault:
        coded = marks.component.join((answer.fault.code, _safe(answer.fault.words, marks), "HL70357"))
        lines.append(["ERR", "", answer.fault.location.replace("-", marks.component), coded, "E"])
    return "".join(marks.field.join(line) + "\r" for line in lines).encode("ascii")


def _safe(words: str, marks: Marks) -> str:
    """Our own words: no mark of theirs in them, and ASCII."""
    kept = "".join(
        " " if each in (marks.field, marks.component, marks.repetition, marks.escape, marks.sub) else each
        for each in words
    )
    return kept.encode("ascii", "replace").decode("ascii")
