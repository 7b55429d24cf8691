"""The structures of FINESS, as the open flow `finess-structures` gives them: one JSON object of any size.

Promises: one establishment (`pmej[].ege[]`) is one row, whatever else stands beside it; those that are not active are
left out, so that they are closed as any that is gone; memory holds one establishment at a time, whatever a legal entity
has. Its number stands before them, as in the flow: without one they are rejected. A file that ends before its last
brace is one that was cut. The older text file (etalab-cs1100507) is read as before.
Does not: read the groups (gco, gcc), nor translate codes.

Source: github.com/ansforge/finess, schema-structures-v1.json, and the files of 2026 (names differ in some letters).
"""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from directory.feed.lines import MAX_LINE, Column, FeedError, Lines, Readable, Rejected, Row, Rows, Shape, controlled

MAX_OBJECT = 3 << 18
"""Characters of one establishment, or of any other value: those of 2026 have some thousands."""
MAX_LISTS = 10_000
"""Lists within as much text: making them costs far more than reading the text."""
_DECODER = json.JSONDecoder()
_BLANKS = re.compile(r"[ \t\r\n,:]*")


def opened(file: Readable, columns: Sequence[Column], shape: Shape) -> Rows:
    """Whichever of its two forms it is: the first sign says."""
    first = b""
    while len(first) < MAX_LINE and not first.removeprefix(codecs.BOM_UTF8).strip(b" \t\r\n"):
        if not (line := file.readline(MAX_LINE)):
            break
        first += line
    again = _Again(first, file)
    if first.removeprefix(codecs.BOM_UTF8).lstrip(b" \t\r\n")[:1] == b"{":
        return Structures(again, columns)
    return Lines(again, columns, shape)


class _Again:
    """A file whose first lines were looked at."""

    def __init__(self, first: bytes, file: Readable) -> None:
        self._first, self._file = io.BytesIO(first), file

    def readline(self, limit: int, /) -> bytes:
        return self._first.readline(limit) or self._file.readline(limit)


class Structures:
    """Rows of the columns asked for, read once. Raises FeedError for what is not this flow."""

    def __init__(self, file: Readable, columns: Sequence[Column]) -> None:
        self._text, self._columns = _Text(file), columns

    @property
    def ended(self) -> bool:
        return self._text.ended

    def __iter__(self) -> Iterator[Row | Rejected]:
        for number, told in enumerate(self._told(), 1):
            yield self._row(number, told)

    def _row(self, number: int, told: dict[str, str] | None) -> Row | Rejected:
        if told is None:
            return Rejected(number, "not-this-format")
        values = tuple(told.get(column.field, "") for column in self._columns)
        if controlled(values):
            return Rejected(number, "control-character")
        # JSON can name half of a character (RFC 8259 §8.2), which no file and no directory can hold.
        return Rejected(number, "not-utf-8") if any(map(_HALVES.search, values)) else Row(number, values)

    def _told(self) -> Iterator[dict[str, str] | None]:
        text, found = self._text, False
        for name in text.members():
            if name != "pmej" or text.next() != "[":
                text.skip()
                continue
            found = True
            for _ in text.elements():
                yield from self._entity()
        if not found and text.ended:
            raise FeedError("ce n'est pas le flux des structures FINESS : il n'y a pas de liste « pmej »")

    def _entity(self) -> Iterator[dict[str, str] | None]:
        """The active establishments of one legal entity; None for what cannot be read."""
        text, legal = self._text, None
        if text.next() != "{":
            yield from () if text.value() is _NOTHING else (None,)
            return
        for name in text.members():
            if name == "ege" and text.next() == "[":
                for _ in text.elements():
                    yield from _establishment(text.value(), legal)
            elif name == "ege":
                yield from (None,) if text.value() else ()
            elif name == "informationsGeneralesPMEJ":
                legal = _number(text.value())
            else:
                text.skip()


_HALVES = re.compile("[\ud800-\udfff]")


def _number(about: Any) -> str | None:
    return _text(about, "numFinessPm") if isinstance(about, dict) else None


def _establishment(told: Any, legal: str | None) -> Iterator[dict[str, str] | None]:
    """None for one that cannot be read; nothing for one that is not active, or within which the file ends."""
    try:
        if told is not _NOTHING and told["etatObjet"] == "A":
            yield None if legal is None else _named(told, legal)
    except (KeyError, TypeError, AttributeError):
        yield None


def _named(told: Any, legal: str) -> dict[str, str]:
    about, place = told["informationsGeneralesEGE"], _main(told.get("adresse") or [])
    telephones = ((each.get("telecom") or {}).get("telephone") for each in told.get("contact") or ())
    return {
        "finess": _text(about, "numFinessEge"),
        "legal_finess": legal,
        "short": _text(about, "nomEgeCourt"),
        "long": _text(about, "nomEgeLong"),
        "line6": f"{_text(place, 'codePostal')} {_text(place, 'ligneAcheminement')}".strip(),
        "phone": next((str(each) for each in telephones if each), ""),
        "category": _text(told, "categorieentiteGeographiqueExercice"),
        "siret": _text(about, "siret"),
    }


def _main(places: list[Any]) -> Any:
    """The main address (usageAdresse 03), else the first."""
    return next((each for each in places if each.get("usageAdresse") == "03"), places[0] if places else {})


def _text(told: Any, name: str) -> str:
    value = told.get(name)
    return value.strip() if isinstance(value, str) else ""


class _Text:
    """JSON of any size, read from front to back: whoever is told of a member or an element reads its value next."""

    def __init__(self, file: Readable) -> None:
        self._file, self._decoded = file, codecs.getincrementaldecoder("utf-8-sig")()
        self._buffer, self._at = "", 0
        self._depth = 0
        self._over = self.ended = False

    def members(self) -> Iterator[Any]:
        """The names in the object that begins here; the outermost one says whether the text `ended`."""
        self._expect("{")
        self._depth += 1
        while self.next() not in ("}", ""):
            yield self.value()
        self._depth -= 1
        self.ended = self._depth == 0 and self.next() == "}"
        self._at += 1

    def elements(self) -> Iterator[None]:
        """One for each element of the list that begins here."""
        self._expect("[")
        while self.next() not in ("]", ""):
            yield
        self._at += 1

    def skip(self) -> None:
        """Passes over one value, over a list element by element."""
        if self.next() != "[":
            self.value()
            return
        for _ in self.elements():
            self.value()

    def _expect(self, sign: str) -> None:
        if self.next() != sign:
            raise FeedError("ce n'est pas le flux des structures FINESS : JSON inattendu")
        self._at += 1

    def next(self) -> str:
        """The next sign that says something; empty at the end."""
        while True:
            blank = _BLANKS.match(self._buffer, self._at)
            self._at = blank.end() if blank else len(self._buffer)
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._more():
                return ""

    def value(self) -> Any:
        """One value; _NOTHING where the file ends within it."""
        self.next()
        while True:
            try:
                value, self._at = _DECODER.raw_decode(self._buffer, self._at)
            except RecursionError:
                raise FeedError("ce n'est pas le flux des structures FINESS : trop d'étages") from None
            except ValueError:
                if not self._more():
                    self._at = len(self._buffer)
                    return _NOTHING
            else:
                return value

    def _more(self) -> bool:
        """Four times as much as is waiting, so that a large value is not tried again for each line of it."""
        if self._over:
            return False
        self._buffer, self._at = self._buffer[self._at :], 0
        if len(self._buffer) > MAX_OBJECT or self._buffer.count("[") > MAX_LISTS:
            raise FeedError("ce n'est pas le flux des structures FINESS : une entité sans fin")
        wanted = min(max(3 * len(self._buffer), MAX_LINE), MAX_OBJECT + 1 - len(self._buffer))
        pieces = [self._buffer]
        while wanted > 0 and (line := self._file.readline(MAX_LINE)):
            pieces.append(self._decode(line))
            wanted -= len(line)
        self._over = wanted > 0
        self._buffer = "".join(pieces)
        return len(pieces) > 1

    def _decode(self, line: bytes) -> str:
        try:
            return self._decoded.decode(line)
        except UnicodeDecodeError:
            raise FeedError("le flux des structures FINESS n'est pas en utf-8") from None


_NOTHING = object()
