"""The journal: what happened to every letter, in an append-only chain of hashes.

Promises: a row names the hash of the row before it, so that one that was changed, taken out or put in is
found by verify(); a cut tail is found by who kept a head. Rows hold names, numbers, pseudonyms and hashes.
Does not: change or delete a row, know what an event means, or scrub what it is given (who makes it does).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, select

from relay import indicators
from relay.model import Event
from relay.spooler import MEMO, SpoolClient
from relay.store import chains, direct, statements
from relay.store.statements import places
from relay.store.tables import journal

CHAIN = "spool"
"""The chain of the one writer of an SQLite store; on PostgreSQL each writer has its own (relay.store.chains)."""
_START = "0" * 64
_MEMO = "journal.head"
_FACTS = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode
_PLAIN = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


@dataclass(frozen=True)
class Head:
    """The end of a chain at some moment: kept elsewhere, it shows a tail that was cut later."""

    number: int
    hash: str


def pack(events: Sequence[Event]) -> list[dict[str, Any]]:
    """JSON-able, for a write's parameters; `unpack` undoes it."""
    return [
        {"name": e.name, "letter": e.letter_id, "recipient": e.recipient_id, "facts": dict(e.facts)} for e in events
    ]


def unpack(packed: Sequence[Mapping[str, Any]]) -> list[Event]:
    return [Event(each["name"], each["letter"], each["recipient"], tuple(each["facts"].items())) for each in packed]


def append(conn: Connection, tenant: str, events: Sequence[Event], now: datetime, chain: str = "") -> None:
    """Adds the events at the end of the writer's own chain, or of the one named. Only the chain's writer calls it,
    inside its transaction."""
    if not events:
        return
    chain = chain or chains.own(conn, CHAIN)
    head = _remembered(conn, chain) or _head(conn, chain)
    rows = []
    for event in events:
        row = _row(head, chain, tenant, event, now)
        head = Head(row["number"], row["hash"])
        rows.append(row)
    direct.add(conn, statements.new_rows(), rows)
    indicators.count(conn, tenant, events, now)
    _remember(conn, chain, head)


def heads(engine: Engine) -> dict[str, Head]:
    """The head of every chain."""
    with engine.connect() as conn:
        names = conn.scalars(select(journal.c.chain).distinct()).all()
        return {name: _head(conn, name) for name in names}


def verify(engine: Engine, known: Mapping[tuple[str, int], str] | None = None) -> tuple[str, ...]:
    """What is wrong, one sentence per fault; empty if the chains hold. `known`: hashes by (chain, number) that were
    sealed earlier and kept elsewhere (relay.heads)."""
    wanted = {place: sealed for place, sealed in (known or {}).items() if place[1]}
    faults: list[str] = []
    with engine.connect() as conn:
        rows = conn.execute(
            select(journal).order_by(journal.c.chain, journal.c.number).execution_options(yield_per=1000)
        )
        faults.extend(_faults(rows, wanted))
    return (*faults, *_missing(wanted))


def _missing(wanted: Mapping[tuple[str, int], str]) -> Iterator[str]:
    """Of each chain the last row that was sealed and is no more."""
    last: dict[str, int] = {}
    for chain, number in wanted:
        last[chain] = max(number, last.get(chain, 0))
    for chain, number in last.items():
        yield f"journal {chain}: the end is missing, row {number} was there when it was sealed"


def _faults(rows: Any, wanted: dict[tuple[str, int], str]) -> Iterator[str]:
    """Walks the chains; takes off `wanted` the heads that it met."""
    chain, before = "", Head(0, _START)
    for row in rows:
        if row.chain != chain:
            chain, before = row.chain, Head(0, _START)
        if row.number != before.number + 1 or row.previous != before.hash:
            yield f"journal {chain}: row {row.number} does not follow row {before.number}"
        if row.hash != _hash(_content(row)):
            yield f"journal {chain}: row {row.number} was changed"
        before = Head(row.number, row.hash)
        sealed = wanted.pop((chain, before.number), before.hash)
        if sealed != before.hash:
            yield f"journal {chain}: row {row.number} is not the one that was sealed"


def _head(conn: Connection, chain: str) -> Head:
    row = conn.execute(statements.chain_head(), places(chain=chain)).one_or_none()
    return Head(row.number, row.hash) if row else Head(0, _START)


def _remembered(conn: Connection, chain: str) -> Head | None:
    """The chain's head if an earlier append of this very transaction left it; only the spooler has such a memory."""
    head: Head | None = conn.info.get(MEMO, {}).get((_MEMO, chain))
    return head


def _remember(conn: Connection, chain: str, head: Head) -> None:
    """Not inside a savepoint that the spooler did not make: it would not know that the row was taken back."""
    memo = conn.info.get(MEMO, {})
    if conn.in_nested_transaction():
        memo.pop((_MEMO, chain), None)
    else:
        memo[_MEMO, chain] = head


def _row(head: Head, chain: str, tenant: str, event: Event, now: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {
        "chain": chain,
        "number": head.number + 1,
        "tenant": tenant,
        "at": now,
        "event": event.name,
        "letter_id": event.letter_id,
        "recipient_id": event.recipient_id,
        "facts": _FACTS(dict(event.facts)),
        "previous": head.hash,
    }
    return row | {"hash": _hash(row)}


def _content(row: Row[Any]) -> dict[str, Any]:
    content = dict(row._mapping)
    del content["hash"]
    return content


def hashed(row: Row[Any]) -> bytes:
    """The bytes of which a row's hash is the SHA-256: for who checks it by other means."""
    return _plain(_content(row))


def _hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(_plain(content)).hexdigest()


def _plain(content: Mapping[str, Any]) -> bytes:
    """The row's values, each with its name, in one unambiguous form."""
    return _PLAIN({**content, "at": content["at"].isoformat(timespec="microseconds")}).encode()


class SpoolJournal:
    """relay.model.Journal through the spooler: returns when the rows are on the disk."""

    def __init__(self, client: SpoolClient) -> None:
        self._client = client

    def add(self, tenant: str, events: Sequence[Event]) -> None:
        """Raises StoreDown, StoreFull."""
        self._client.write("relay.note", tenant, events=pack(events))
