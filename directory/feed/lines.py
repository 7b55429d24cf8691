"""Reads the national extractions and tables of one's own: text lines with a header, any size, line by line.

Promises: columns are found by their normalised name, in any order, with unknown ones beside them; a byte order mark,
CRLF and a last separator make no difference; a line that cannot be used is a Rejected with its number and the reason,
never its content; a missing key column, or a file that is no table at all, is a FeedError.
Does not: know what the columns mean (directory.feed.sources does), nor hold more than one line.

Source of the format: directory §3.2 (UTF-8, `|`, a header, no quoting, a trailing separator).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from directory.names import fold

MAX_LINE = 65_536
"""Bytes of one line; the longest of the national files have some 700."""

BOM = b"\xef\xbb\xbf"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# What versions of the files write behind a column's name (directory §3.2, §3.5).
_SUFFIXES = (" coord structure", " structure bal")


class Readable(Protocol):
    def readline(self, limit: int, /) -> bytes: ...


class FeedError(Exception):
    """Nothing can be taken from this source; the text is for people."""


@dataclass(frozen=True)
class Column:
    """A column that we use."""

    field: str
    names: tuple[str, ...]
    """Normalised; the first one present is taken."""
    key: bool = False
    """Without it there is no import."""


@dataclass(frozen=True)
class Row:
    number: int
    """Line in the file, from 1."""
    values: tuple[str, ...] = field(repr=False)
    """In the order of the columns asked for; empty where the file has no such column."""


@dataclass(frozen=True)
class Rejected:
    number: int
    reason: str


class Rows(Protocol):
    """What a source is read as, once."""

    @property
    def ended(self) -> bool:
        """Whether, so far as it was read, it was not cut."""

    def __iter__(self) -> Iterator[Row | Rejected]: ...


@dataclass(frozen=True)
class Shape:
    """How a source writes a line."""

    separator: str = "|"
    quoted: bool = False
    """Values may stand in quotes (RFC 4180), on one line."""
    encoding: str = "utf-8"
    header: tuple[str, ...] = ()
    """Of files whose first line names no columns; further columns may follow these."""
    only: bytes = b""
    """How the lines that count begin; others are of other tables in the same file."""


@dataclass(frozen=True)
class Table:
    """A header, understood."""

    places: tuple[int | None, ...]
    """For each column asked for, where it stands."""
    width: int
    """Values of a row."""
    closed: bool
    """Rows end with a separator, as the header does (directory §3.2)."""
    unknown: tuple[str, ...]
    """Names of columns that nobody asked for."""


def controlled(values: Iterable[str]) -> bool:
    """Whether one of them holds a control character."""
    return any(map(_CONTROL.search, values))


def normalised(name: str) -> str:
    """'L4NUMEROVOIE structure BAL' becomes 'l4numerovoie'."""
    folded = fold(name)
    for suffix in _SUFFIXES:
        folded = folded.removesuffix(suffix)
    return folded


def understood(cells: Sequence[str], columns: Sequence[Column]) -> Table:
    """A header understood. Raises FeedError where a key column is missing or a name that we use stands twice."""
    names = [normalised(cell) for cell in cells]
    if closed := len(names) > 1 and not names[-1]:
        names.pop()
    if len(names) < 2:
        raise FeedError("la première ligne n'est pas un en-tête : moins de deux colonnes")
    places = tuple(_place(column, names) for column in columns)
    unknown = tuple(name for place, name in enumerate(names) if place not in places)
    return Table(places, len(names), closed, unknown)


def _place(column: Column, names: Sequence[str]) -> int | None:
    for name in column.names:
        found = [place for place, given in enumerate(names) if given == name]
        if len(found) > 1:
            raise FeedError(f"la colonne « {name} » figure deux fois dans l'en-tête")
        if found:
            return found[0]
    if column.key:
        raise FeedError(f"la colonne « {column.names[0]} » manque dans l'en-tête")
    return None


class Lines:
    """The lines of a file after its header, read once. Raises FeedError at once where the header is of no use."""

    def __init__(self, file: Readable, columns: Sequence[Column], shape: Shape = Shape()) -> None:
        self._file, self._shape = file, shape
        first = file.readline(MAX_LINE)
        self.ended = first.endswith(b"\n")
        """Whether the last line read was ended: of a file that was cut it often is not."""
        try:
            cells = self._cells(first.removeprefix(BOM))
        except ValueError:
            raise FeedError(f"la première ligne n'est pas un en-tête en {shape.encoding}") from None
        self.table = understood(shape.header or cells, columns)

    def __iter__(self) -> Iterator[Row | Rejected]:
        for number, line in enumerate(self._whole_lines(), 2):
            if line.strip() and line.startswith(self._shape.only):
                yield self._row(number, line)

    def _whole_lines(self) -> Iterator[bytes]:
        """Lines; of one that is too long only its first part, so that it is refused and memory stays small."""
        while line := self._file.readline(MAX_LINE + 1):
            first, self.ended = line, line.endswith(b"\n")
            while not self.ended and (line := self._file.readline(MAX_LINE)):
                self.ended = line.endswith(b"\n")
            yield first

    def _row(self, number: int, line: bytes) -> Row | Rejected:
        if len(line) > MAX_LINE:
            return Rejected(number, "too-long")
        try:
            cells = self._cells(line)
        except UnicodeDecodeError:
            return Rejected(number, f"not-{self._shape.encoding}")
        except ValueError:
            return Rejected(number, "quotes")
        if self._shape.header:
            del cells[self.table.width :]
        elif not cells[-1] and (self.table.closed or len(cells) > self.table.width):
            cells.pop()
        if len(cells) != self.table.width:
            return Rejected(number, f"{len(cells)} values for {self.table.width} columns")
        values = tuple("" if place is None else cells[place].strip() for place in self.table.places)
        if controlled(values):
            return Rejected(number, "control-character")
        return Row(number, values)

    def _cells(self, line: bytes) -> list[str]:
        """Raises UnicodeDecodeError, or ValueError for quotes that do not match."""
        text = line.rstrip(b"\r\n").decode(self._shape.encoding)
        if not self._shape.quoted:
            return text.split(self._shape.separator)
        try:
            return next(csv.reader([text], delimiter=self._shape.separator, strict=True))
        except csv.Error as error:
            raise ValueError(str(error)) from None
