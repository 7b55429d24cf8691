"""Files of indicators, made by templates: a template says a file's name, its lines and its columns.

Promises: exactly the columns of the template, in its order and format; a value that holds the separator or a line end
is quoted (RFC 4180); a cell never begins with what a spreadsheet takes for a formula. Does not: count (relay.indicators
does), nor hold one operator's format: templates are data (gateway/exports, or a folder of the operator's).
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from gateway.config import ConfigError
from relay.indicators import Row

SHIPPED = Path(__file__).parent / "exports"
LINES = ("mailbox-day", "mailbox", "key", "tenant")
FIELDS = ("mailbox", "domain", "kind", "structure", "red_list", "day", "last_day", "key")


@dataclass(frozen=True)
class Column:
    name: str
    field: str = ""
    """One of FIELDS; empty: a number."""
    measure: str = ""
    keys: tuple[str, ...] = ()
    octets: bool = False


@dataclass(frozen=True)
class Template:
    file: str
    lines: str
    columns: tuple[Column, ...]
    measure: str = ""
    """Which rows make lines by day or by key."""
    separator: str = ";"
    line_end: str = "\r\n"
    encoding: str = "utf-8"
    day: str = "%Y-%m-%d"
    no_day: str = ""


@dataclass(frozen=True)
class Mailbox:
    """What the directory says of a mailbox of ours."""

    address: str
    kind: str = ""
    structure: str = ""
    red_list: bool = False


@dataclass(frozen=True)
class _Line:
    mailbox: Mailbox | None = None
    day: str = ""
    key: str = ""
    rows: tuple[Row, ...] = field(default_factory=tuple)


# --- templates --------------------------------------------------------------------------------------------------


def load(folder: Path = SHIPPED) -> tuple[Template, ...]:
    """Every template of a folder, by name. Raises ConfigError with a sentence."""
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise ConfigError(f"{folder} holds no template (NAME.toml)")
    return tuple(_template(file) for file in files)


def _template(file: Path) -> Template:
    try:
        told = tomllib.loads(file.read_text("utf-8"))
        columns = tuple(Column(**{**each, "keys": tuple(each.get("keys", ()))}) for each in told.pop("columns"))
        made = replace(Template(**told, columns=columns))
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ConfigError(f"{file}: no template of an export: {error}") from None
    if fault := _fault(made):
        raise ConfigError(f"{file}: {fault}")
    return made


def _fault(made: Template) -> str:
    if made.lines not in LINES:
        return f"lines is one of {', '.join(LINES)}, not '{made.lines}'"
    if made.lines in ("mailbox-day", "key") and not made.measure:
        return f"lines by {made.lines} need a measure"
    if "/" in made.file:
        return "file is a name, not a path"
    unknown = [each.field for each in made.columns if each.field and each.field not in FIELDS]
    return f"unknown fields: {', '.join(unknown)}; known: {', '.join(FIELDS)}" if unknown else ""


# --- one file ---------------------------------------------------------------------------------------------------


def write(
    template: Template, folder: Path, tenant: str, month: str, rows: Sequence[Row], boxes: Sequence[Mailbox]
) -> Path:
    """The file, written beside its place and moved there whole. Raises OSError."""
    path = folder / template.file.format(tenant=tenant, month=month)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(text(template, rows, boxes).encode(template.encoding))
    part.rename(path)
    return path


def text(template: Template, rows: Sequence[Row], boxes: Sequence[Mailbox]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=template.separator, lineterminator=template.line_end)
    writer.writerow([column.name for column in template.columns])
    for line in _lines(template, rows, boxes):
        writer.writerow([plain(_cell(template, column, line)) for column in template.columns])
    return out.getvalue()


def plain(cell: str) -> str:
    """What a spreadsheet would compute is shown as text instead."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _lines(template: Template, rows: Sequence[Row], boxes: Sequence[Mailbox]) -> Iterator[_Line]:
    if template.lines == "tenant":
        yield _Line(rows=tuple(rows))
    elif template.lines == "key":
        mine = [row for row in rows if row.measure == template.measure]
        for key in sorted({row.key for row in mine}):
            yield _Line(key=key, rows=tuple(row for row in mine if row.key == key))
    else:
        yield from _of_mailboxes(template, rows, boxes)


def _of_mailboxes(template: Template, rows: Sequence[Row], boxes: Sequence[Mailbox]) -> Iterator[_Line]:
    by_address: dict[str, list[Row]] = {}
    for row in rows:
        by_address.setdefault(row.mailbox, []).append(row)
    known = {box.address: box for box in boxes}
    unlisted = [Mailbox(address) for address in by_address if address and address[0] != "@" and address not in known]
    for box in sorted([*known.values(), *unlisted], key=lambda each: each.address):
        mine = tuple(by_address.get(box.address, ()))
        if template.lines == "mailbox":
            yield _Line(box, rows=mine)
            continue
        days = sorted({row.day for row in mine if row.measure == template.measure})
        for day in days or [""]:
            yield _Line(box, day, rows=tuple(row for row in mine if row.day == day))


def _cell(template: Template, column: Column, line: _Line) -> str:
    if column.field:
        return _FIELD[column.field](template, column, line)
    mine = [row for row in line.rows if row.measure == column.measure and (not column.keys or row.key in column.keys)]
    return str(sum(row.octets if column.octets else row.number for row in mine))


def _last_day(template: Template, column: Column, line: _Line) -> str:
    return _day(template, max((row.day for row in line.rows if row.measure == column.measure), default=""))


def _day(template: Template, day: str) -> str:
    return date.fromisoformat(day).strftime(template.day) if day else template.no_day


_FIELD: dict[str, Callable[[Template, Column, _Line], str]] = {
    "mailbox": lambda _t, _c, line: line.mailbox.address if line.mailbox else "",
    "domain": lambda _t, _c, line: line.mailbox.address.rpartition("@")[2] if line.mailbox else "",
    "kind": lambda _t, _c, line: line.mailbox.kind if line.mailbox else "",
    "structure": lambda _t, _c, line: line.mailbox.structure if line.mailbox else "",
    "red_list": lambda _t, _c, line: ("O" if line.mailbox.red_list else "N") if line.mailbox else "",
    "day": lambda template, _c, line: _day(template, line.day),
    "last_day": _last_day,
    "key": lambda _t, _c, line: line.key,
}


def as_json(row: Row) -> dict[str, Any]:
    return dict(row.__dict__)
