"""The structures of FINESS, as the open flow `finess-structures` gives them: one JSON object of any size.

Promises: one establishment (`pmej[].ege[]`) is one row, whatever else stands beside it; those that are not active are
left out, so that they are closed as any that is gone; memory holds one legal entity at a time. A file that ends before
its last brace is one that was cut. The older text file (etalab-cs1100507) is read as before.
Does not: read the groups (gco, gcc), nor translate codes.

Source: github.com/ansforge/finess, schema-structures-v1.json, and the files of 2026 (names differ in some letters).
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Sequence
from typing import Any

from directory.feed.lines import MAX_LINE, Column, FeedError, Lines, Readable, Rejected, Row, Rows, Shape, controlled

MAX_OBJECT = 1 << 26
"""Characters of one legal entity with its establishments: the largest has some megabytes."""
_DECODER = json.JSONDecoder()
_BLANKS = " \t\r\n,:"


def opened(file: Readable, columns: Sequence[Column], shape: Shape) -> Rows:
    """Whichever of its two forms it is: the first sign says."""
    first = file.readline(MAX_LINE)
    again = _Again(first, file)
    if first.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"{":
        return Structures(again, columns)
    return Lines(again, columns, shape)


class _Again:
    """A file whose first line was looked at."""

    def __init__(self, first: bytes, file: Readable) -> None:
        self._first, self._file = first, file

    def readline(self, limit: int, /) -> bytes:
        first, self._first = self._first[:limit], self._first[limit:]
        return first or self._file.readline(limit)


class Structures:
    """Rows of the columns asked for, read once. Raises FeedError for what is not this flow."""

    def __init__(self, file: Readable, columns: Sequence[Column]) -> None:
        self._text, self._columns = _Text(file), columns

    @property
    def ended(self) -> bool:
        return self._text.ended

    def __iter__(self) -> Iterator[Row | Rejected]:
        number = 0
        for entity in self._text.members("pmej"):
            for told in _establishments(entity):
                number += 1
                yield self._row(number, told)

    def _row(self, number: int, told: dict[str, str] | None) -> Row | Rejected:
        if told is None:
            return Rejected(number, "not-this-format")
        values = tuple(told.get(column.field, "") for column in self._columns)
        return Rejected(number, "control-character") if controlled(values) else Row(number, values)


def _establishments(entity: Any) -> Iterator[dict[str, str] | None]:
    """Of one legal entity, those that are active; None for one that cannot be read."""
    try:
        legal = _text(entity["informationsGeneralesPMEJ"], "numFinessPm")
        found = list(entity.get("ege") or ())
    except (KeyError, TypeError, AttributeError):
        yield None
        return
    for each in found:
        try:
            if each["etatObjet"] == "A":
                yield _named(each, legal)
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
    """One JSON object whose members are read one after the other."""

    def __init__(self, file: Readable) -> None:
        self._file, self._decoded = file, codecs.getincrementaldecoder("utf-8-sig")()
        self._buffer, self._at = "", 0
        self._over = self.ended = False

    def members(self, wanted: str) -> Iterator[Any]:
        """The elements of the list of this name; the others are passed over, one by one too."""
        self._expect("{")
        found = False
        while self._next() not in ("}", ""):
            name = self._value()
            is_list = self._next() == "["
            found = found or (name == wanted and is_list)
            for each in self._elements() if is_list else iter((self._value(),)):
                if name == wanted:
                    yield each
        self.ended = self._next() == "}"
        if not found and self.ended:
            raise FeedError(f"ce n'est pas le flux des structures FINESS : il n'y a pas de liste « {wanted} »")

    def _elements(self) -> Iterator[Any]:
        self._expect("[")
        while self._next() not in ("]", ""):
            if (value := self._value()) is not _NOTHING:
                yield value
        self._at += 1

    def _expect(self, sign: str) -> None:
        if self._next() != sign:
            raise FeedError("ce n'est pas le flux des structures FINESS : JSON inattendu")
        self._at += 1

    def _next(self) -> str:
        """The next sign that says something; empty at the end."""
        while True:
            while self._at < len(self._buffer) and self._buffer[self._at] in _BLANKS:
                self._at += 1
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._more():
                return ""

    def _value(self) -> Any:
        """One value; _NOTHING where the file ends within it."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self._buffer, self._at)
            except RecursionError:
                raise FeedError("ce n'est pas le flux des structures FINESS : trop d'étages") from None
            except ValueError:
                if not self._more():
                    self._at = len(self._buffer)
                    return _NOTHING
                continue
            self._at = end
            return value

    def _more(self) -> bool:
        """Twice as much as is waiting, so that a large value is not tried again for each line of it."""
        if self._over:
            return False
        self._buffer, self._at = self._buffer[self._at :], 0
        if len(self._buffer) > MAX_OBJECT:
            raise FeedError("ce n'est pas le flux des structures FINESS : une entité sans fin")
        pieces, wanted = [self._buffer], max(len(self._buffer), MAX_LINE)
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
