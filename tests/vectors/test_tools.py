"""Cross-checks with openssl, NSS, gpgsm and pyHanko: what each reads of ours, and what we read of theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.vectors.crossing import YES, Direction, outcome
from tests.vectors.laboratory import Laboratory, laboratory
from tests.vectors.rows import ROWS
from tests.vectors.table import NAMES, REASONS, Cell, cells, printed
from tests.vectors.tools import Tool, tools


@pytest.fixture(scope="session")
def lab() -> Iterator[Laboratory]:
    with laboratory() as made:
        yield made


@pytest.fixture(scope="session")
def asked(lab: Laboratory) -> Mapping[str, Tool]:
    return tools(lab)


@pytest.mark.parametrize(
    "cell", list(cells()), ids=lambda cell: f"{cell.row.name}-{cell.tool}-{cell.direction.name.lower()}"
)
def test_a_cell_of_the_table(lab: Laboratory, asked: Mapping[str, Tool], cell: Cell) -> None:
    """Each tool and Pli read each other, or the tool refuses in the very words that the table holds."""
    said = outcome(lab, asked, cell.tool, cell.direction, cell.row)
    assert cell.fits(said), f"expected {cell.expected!r}, and it said {said!r}"


def test_openssl_reads_and_writes_every_row() -> None:
    """The reference has no excuse in the table; every row is read by us from at least one other tool."""
    assert not [reason for reason in REASONS if reason.tool == "openssl"]
    assert all(Cell(row, "openssl", Direction.ITS).expected == YES for row in ROWS)


def test_every_reason_is_one_of_a_cell() -> None:
    """A line of the table that fits no cell any more, or only where another line stands before it, is told."""
    used = {next((reason for reason in REASONS if cell._fits(reason)), None) for cell in cells()}
    assert [reason for reason in REASONS if reason not in used] == []


def test_the_table_is_printed_whole() -> None:
    """A line for each row, and each reason once."""
    found = {cell: YES if cell.tool != "gpgsm" else "it cannot" for cell in cells()}
    lines = list(printed(found))
    assert len([line for line in lines if line.startswith("| ")]) == len(ROWS) + 1
    assert lines[-1] == "1. gpgsm: it cannot"
    assert all(line.count("|") == 2 * len(NAMES) + 2 for line in lines if line.startswith("| "))
