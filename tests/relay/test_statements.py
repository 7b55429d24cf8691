"""The statements of custody: built once, the same on both databases, values beside the text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql, sqlite

from relay.store import statements

ALL: list[Callable[[], Any]] = [each for each in vars(statements).values() if hasattr(each, "cache_info")]


@pytest.mark.parametrize("build", ALL, ids=lambda each: each.__name__)
@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()], ids=lambda each: each.name)
def test_statement_is_built_once_for_both_databases(build: Callable[[], Any], dialect: Dialect) -> None:
    """Asked for again it is the same object, so that its SQL is not made anew; SQLite and PostgreSQL both have it."""
    assert build() is build()
    assert str(build().compile(dialect=dialect)).startswith(("SELECT", "INSERT", "UPDATE"))


def test_all_statements_are_looked_at() -> None:
    """The list above is not empty by accident."""
    assert {statements.move_recipient, statements.new_rows} <= set(ALL)


@pytest.mark.parametrize("build", ALL, ids=lambda each: each.__name__)
def test_places_never_have_a_columns_name(build: Callable[[], Any]) -> None:
    """What a row is found by is named apart from what is written into it: else a new value would also be sought."""
    names = {name for name in build().compile().params if name.startswith("given_")}
    columns = {
        column.name for table in (statements.letters, statements.recipients, statements.journal) for column in table.c
    }
    assert not names & columns
    assert names or build().is_insert
