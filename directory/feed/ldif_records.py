"""An export of another directory in LDIF (RFC 2849), read as the rows of a table are.

Promises: an attribute is a column, found by its name without options or case; those that nobody asked for are not
decoded; an entry without an address is no mailbox, and passed over; a record that cannot be used is a Rejected with the
number of its first line. Nothing is ever read from where a `:<` URL points.
Does not: apply changes (a record of one is rejected), follow a DN, nor hold more than one record.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence

from directory.feed.lines import BOM, Column, FeedError, Readable, Rejected, Row, controlled

MAX_RECORD = 1 << 20
"""Bytes of one entry: certificates and a photograph."""
MAX_LINES = 50_000
"""Of one entry, as they stand in the file: a photograph in base64 has some ten thousand."""
BETWEEN = "\n"
"""Between the values of an attribute that has several: none holds one itself."""


class _Unusable(ValueError):
    """The text is a reason for the list of rejected records."""


class Records:
    """Rows of the columns asked for, read once. Raises FeedError where the file does not begin as LDIF."""

    def __init__(self, file: Readable, columns: Sequence[Column]) -> None:
        self._file, self._columns = file, columns
        self._wanted = {name.encode() for column in columns for name in column.names} | {b"changetype"}
        self.ended = True
        """Whether the last line was ended: of a file that was cut it often is not."""
        self._held = file.readline(MAX_RECORD).removeprefix(BOM)
        self._line = 1
        if not self._held.lower().startswith((b"dn:", b"version:", b"#")):
            raise FeedError("ce n'est pas du LDIF : la première ligne n'est ni « version: » ni « dn: »")

    def __iter__(self) -> Iterator[Row | Rejected]:
        for number, lines in self._records():
            try:
                values = self._values(lines)
            except _Unusable as error:
                yield Rejected(number, str(error))
                continue
            if values is not None:
                yield Row(number, values)

    def _records(self) -> Iterator[tuple[int, list[bytes]]]:
        """(number of its first line, its lines as they stand in the file). One that is too long goes on past its
        budget by one line, which is what says so."""
        lines: list[bytes] = []
        first = size = 0
        while self._held:
            line, number = self._held.rstrip(b"\r\n"), self._line
            self.ended = self._held.endswith(b"\n")
            self._held = self._file.readline(MAX_RECORD)
            self._line += 1
            if not line and lines:
                yield first, lines
                lines, size = [], 0
            elif line and size <= MAX_RECORD and len(lines) <= MAX_LINES:
                first = first if lines else number
                size += len(line)
                lines.append(line)
        if lines:
            yield first, lines

    def _values(self, lines: Sequence[bytes]) -> tuple[str, ...] | None:
        """None for an entry that is no mailbox. Raises _Unusable."""
        if len(lines) > MAX_LINES or sum(map(len, lines)) > MAX_RECORD:
            raise _Unusable("too-long")
        said: dict[str, list[str]] = {}
        for line in _unfolded(lines):
            self._note(said, line)
        if "changetype" in said and said["changetype"] != ["add"]:
            raise _Unusable("change-record")
        values = tuple(BETWEEN.join(_of(said, column)) for column in self._columns)
        keys = [value for value, column in zip(values, self._columns, strict=True) if column.key]
        return values if all(keys) else None

    def _note(self, said: dict[str, list[str]], line: bytes) -> None:
        name, colon, value = line.partition(b":")
        attribute = name.partition(b";")[0].strip().lower()
        if not colon or not attribute or line[:1] == b" ":
            raise _Unusable("not-ldif")
        if attribute in self._wanted:
            said.setdefault(attribute.decode(), []).append(_decoded(value))


def _unfolded(lines: Sequence[bytes]) -> Iterator[bytes]:
    """RFC 2849 note 2; a comment may be folded too."""
    for line in b"\n".join(lines).replace(b"\n ", b"").split(b"\n"):
        if line[:1] != b"#" and not line.lower().startswith(b"version:"):
            yield line


def _decoded(value: bytes) -> str:
    if value[:1] == b"<":
        raise _Unusable("url")
    try:
        raw = base64.b64decode(value[1:].strip(), validate=True) if value[:1] == b":" else value.lstrip(b" ")
        return raw.decode("utf-8").strip()
    except (binascii.Error, UnicodeDecodeError):
        raise _Unusable("not-utf-8") from None


def _of(said: dict[str, list[str]], column: Column) -> list[str]:
    found = next((said[name] for name in column.names if name in said), [])
    if controlled(found):
        raise _Unusable("control-character")
    return found
