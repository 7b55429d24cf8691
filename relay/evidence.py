"""What proves a letter's way: its rows of the journal as they were hashed, and the sealed head that dates them.

Promises: a row's bytes are exactly those whose SHA-256 is its hash, so that any tool checks them; from the letter's
first row to the sealed head each row is there, and names the hash of the one before it. Does not: judge (relay.journal
verifies the chains, certs the seals), or hold content.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, select

from relay.heads import SealedHeads
from relay.journal import hashed
from relay.store.tables import journal


@dataclass(frozen=True)
class Line:
    """One row of the journal. `content`: the bytes that were hashed."""

    chain: str
    number: int
    at: datetime
    event: str
    recipient: str
    facts: dict[str, str]
    hash: str
    content: bytes


@dataclass(frozen=True)
class Dating:
    """By which sealed head a chain's rows of a letter are dated; None where none was sealed since."""

    chain: str
    last: int
    sealed: SealedHeads | None

    @property
    def until(self) -> int:
        """The row that was sealed."""
        return self.sealed.heads[self.chain].number if self.sealed else self.last


def lines(engine: Engine, tenant: str, letter_id: str) -> list[Line]:
    """Every row about a letter."""
    mine = (journal.c.tenant == tenant, journal.c.letter_id == letter_id)
    query = select(journal).where(*mine).order_by(journal.c.at, journal.c.chain, journal.c.number)
    with engine.connect() as conn:
        return [_line(row) for row in conn.execute(query)]


def links(engine: Engine, chain: str, first: int, last: int) -> Iterator[Line]:
    """A chain's rows, whosever, from `first` to `last`: what binds the letter's to the head."""
    j = journal.c
    query = select(journal).where(j.chain == chain, j.number >= first, j.number <= last).order_by(j.number)
    with engine.connect() as conn:
        for row in conn.execute(query.execution_options(yield_per=1000)):
            yield _line(row)


def _line(row: Any) -> Line:
    return Line(
        row.chain, row.number, row.at, row.event, row.recipient_id, json.loads(row.facts), row.hash, hashed(row)
    )


def datings(found: Sequence[Line], sealed: Sequence[SealedHeads]) -> list[Dating]:
    """For each chain the first sealed head that comes after the letter's last row."""
    last: dict[str, int] = {}
    for each in found:
        last[each.chain] = max(each.number, last.get(each.chain, 0))
    return [Dating(chain, number, _first_after(chain, number, sealed)) for chain, number in last.items()]


def _first_after(chain: str, number: int, sealed: Sequence[SealedHeads]) -> SealedHeads | None:
    after = (each for each in sealed if chain in each.heads and each.heads[chain].number >= number)
    return min(after, key=lambda each: each.at, default=None)
