"""The short way of a statement to SQLite: compiled once by SQLAlchemy, then handed to the driver as it is.

Most of the spooler's time was SQLAlchemy's, which makes a context, a cursor and a result anew for each of some fifteen
small statements of a letter; the driver needs a tenth of that. On another database, for a statement whose text depends
on its values, and outside a transaction, the usual way is taken.

Promises: the same text, the same conversions of values and the same exceptions as SQLAlchemy's own way (tests compare
them). Does not: begin, commit, or keep a row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Connection, Insert, Select, Update
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

Statement: TypeAlias = Insert | Select[Any] | Update
Row: TypeAlias = dict[str, Any]
_Convert: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True)
class _Ready:
    """A statement for one set of parameters' names. `values`: each with what it is by itself, where it is fixed."""

    text: str
    names: tuple[str, ...]
    converted: tuple[tuple[int, _Convert], ...]
    fixed: Mapping[str, Any]
    columns: tuple[str, ...]
    made: tuple[tuple[int, _Convert], ...]

    def values(self, told: Mapping[str, Any]) -> list[Any]:
        if self.fixed:
            told = {**self.fixed, **told}
        found = [told[name] for name in self.names]
        for place, convert in self.converted:
            found[place] = convert(found[place])
        return found

    def row(self, found: Sequence[Any]) -> Row:
        if self.made:
            found = list(found)
            for place, make in self.made:
                found[place] = make(found[place])
        return dict(zip(self.columns, found, strict=True))


_READY: dict[tuple[Statement, tuple[str, ...]], _Ready | None] = {}
"""Statements are few and live as long as the process (relay.store.statements)."""


def rows(conn: Connection, statement: Select[Any], told: Mapping[str, Any]) -> list[Row]:
    """What a select finds, as dicts by the columns' names."""
    ready = _prepared(conn, statement, told)
    if ready is None:
        return [dict(each) for each in conn.execute(statement, told).mappings()]
    return [ready.row(each) for each in _driver(conn, ready.text, ready.values(told)).fetchall()]


def run(conn: Connection, statement: Update, told: Mapping[str, Any]) -> int:
    """How many rows it met."""
    ready = _prepared(conn, statement, told)
    if ready is None:
        return int(conn.execute(statement, told).rowcount)
    return int(_driver(conn, ready.text, ready.values(told)).rowcount)


def add(conn: Connection, statement: Insert, told: Sequence[Mapping[str, Any]]) -> None:
    """Inserts one row or more, all with the same columns."""
    ready = _prepared(conn, statement, told[0])
    if ready is None:
        conn.execute(statement, list(told))
        return
    for each in told:
        _driver(conn, ready.text, ready.values(each))


def say(conn: Connection, text: str, values: Sequence[Any] = ()) -> Any:
    """A text in SQLite's own words, with its values as SQLite keeps them; answers what has fetchone()."""
    return _driver(conn, text, values) if _is_direct(conn) else conn.exec_driver_sql(text, tuple(values))


def _is_direct(conn: Connection) -> bool:
    return conn.dialect.name == "sqlite" and conn.in_transaction()


def _driver(conn: Connection, text: str, values: Sequence[Any]) -> sqlite3.Cursor:
    driver: Any = conn.connection.dbapi_connection
    try:
        found: sqlite3.Cursor = driver.execute(text, values)
        return found
    except sqlite3.Error as error:
        # Without the values: they are nobody's business where an exception is told
        raise DBAPIError.instance(text, None, error, sqlite3.Error, dialect=conn.dialect) from error


def _prepared(conn: Connection, statement: Statement, told: Mapping[str, Any]) -> _Ready | None:
    """None: this one goes the usual way."""
    if not _is_direct(conn):
        return None
    key = (statement, tuple(told))
    if key not in _READY:
        _READY[key] = _compiled(statement, conn.dialect, told)
    return _READY[key]


def _compiled(statement: Statement, dialect: Dialect, told: Mapping[str, Any]) -> _Ready | None:
    many = isinstance(statement, Insert)  # as executemany: nothing is asked back
    made: Any = statement.compile(dialect=dialect, column_keys=sorted(told), for_executemany=many)
    if made.post_compile_params or made.literal_execute_params or made.insert_prefetch or made.update_prefetch:
        return None
    names = tuple(made.positiontup or ())
    columns = statement.selected_columns if isinstance(statement, Select) else ()
    kinds = [(str(column.key), column.type.dialect_impl(dialect)) for column in columns]
    return _Ready(
        text=made.string,
        names=names,
        converted=_conversions([made.binds[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names]),
        fixed=_fixed(made, names, told),
        columns=tuple(name for name, _ in kinds),
        made=_conversions([kind.result_processor(dialect, None) for _, kind in kinds]),
    )


def _conversions(found: Sequence[_Convert | None]) -> tuple[tuple[int, _Convert], ...]:
    return tuple((place, each) for place, each in enumerate(found) if each is not None)


def _fixed(made: SQLCompiler, names: Sequence[str], told: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: made.params[name] for name in names if name not in told}
