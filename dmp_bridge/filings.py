"""What was sent to a dossier host, how it ended, and what waits for a person.

Promises: an attempt is on the disk before the host is asked, so that "already there" can be told from
somebody else's document; every write is idempotent; no row names a patient. Does not: ask a host.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, insert, select, update

from dmp_bridge.model import Filing, FilingReason, FilingState
from dmp_bridge.tables import filings, worklist
from relay import journal
from relay.model import Event

_HELD = (FilingState.BEGUN.value, FilingState.FILED.value)


@dataclass(frozen=True)
class Attempt:
    """One document about to be sent. `sha1` and `size` are those of its exact bytes."""

    letter_id: str
    document_id: str
    submission_id: str
    set_id: str
    version: int
    sha1: str
    size: int
    host: str
    canonical: str = ""
    """SHA-256 of the document's canonical form: the same document in another serialisation has the same."""
    hidden_from: str = ""
    """Row of the register: the patient from whom the entry is hidden."""


@dataclass(frozen=True)
class Waiting:
    """A row of the work list. Evidence: names of traits, never values."""

    id: str
    letter_id: str
    document_id: str
    host: str
    reason: str
    evidence: tuple[tuple[str, str], ...]
    candidates: tuple[str, ...]
    added_at: datetime


def attempt_id(tenant: str, attempt: Attempt) -> str:
    return _digest(tenant, attempt.letter_id, attempt.document_id, attempt.sha1, attempt.host)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


# --- writing, in the spooler ---------------------------------------------------------------------------


def begin_params(attempts: Sequence[Attempt], events: Sequence[Event] = ()) -> dict[str, Any]:
    return {"attempts": [asdict(each) for each in attempts], "events": journal.pack(events)}


def _journal(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> None:
    events = journal.unpack(params.get("events", ()))
    if events:
        journal.append(conn, tenant, events, now)


def _begin(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> list[bool]:
    """For each attempt, in order: whether an earlier one may have stored these bytes at this host. `events`: what is
    journalled with them."""
    _journal(conn, tenant, params, now)
    return [_begin_one(conn, tenant, Attempt(**each), now) for each in params["attempts"]]


def _begin_one(conn: Connection, tenant: str, attempt: Attempt, now: datetime) -> bool:
    held = filings.c
    earlier = conn.scalar(
        select(func.count()).where(
            held.tenant == tenant,
            held.host == attempt.host,
            held.document_id == attempt.document_id,
            held.sha1 == attempt.sha1,
            # A host that contradicted itself may hold it too.
            held.state.in_(_HELD) | (held.reason == FilingReason.HOST_WRONG.value),
        )
    )
    row_id = attempt_id(tenant, attempt)
    own = update(filings).where(held.tenant == tenant, held.id == row_id)
    again = own.values(attempts=held.attempts + 1, state=FilingState.BEGUN.value, submission_id=attempt.submission_id)
    if attempt.hidden_from:  # what an earlier attempt hid stays known as hidden until it is shown
        again = again.values(hidden_from=attempt.hidden_from)
    if conn.execute(again).rowcount == 0:
        fresh = {
            "state": FilingState.BEGUN.value,
            "entry_id": "",
            "reason": "",
            "attempts": 1,
            "begun_at": now,
        }
        conn.execute(insert(filings).values(tenant=tenant, id=row_id, **asdict(attempt), **fresh))
    return bool(earlier)


def _end(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> int:
    """`id`, `state`, `entry_id`, `reason`: how an attempt ended; `events` are journalled with it. Answers the number of
    rows."""
    _journal(conn, tenant, params, now)
    held = filings.c
    ended = update(filings).where(held.tenant == tenant, held.id == params["id"])
    values = {name: params.get(name, "") for name in ("entry_id", "reason")}
    state = FilingState(params["state"]).value
    return conn.execute(ended.values(state=state, ended_at=now, **values)).rowcount


def _found(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> bool:
    """`attempts` (one), `entry_id`: a document that somebody else filed. It is no attempt of ours."""
    attempt = Attempt(**params["attempts"][0])
    row_id = attempt_id(tenant, attempt)
    held = filings.c
    if conn.scalar(select(held.id).where(held.tenant == tenant, held.id == row_id)) is not None:
        return False
    told = {"state": FilingState.FOUND.value, "entry_id": params["entry_id"], "reason": "", "attempts": 0}
    row = {"tenant": tenant, "id": row_id, "begun_at": now, "ended_at": now, **asdict(attempt), **told}
    conn.execute(insert(filings).values(**row))
    return True


def _shown(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> int:
    """`id`, `events`: what was hidden from its patient is not any more. Answers the number of rows."""
    _journal(conn, tenant, params, now)
    shown = update(filings).where(filings.c.tenant == tenant, filings.c.id == params["id"])
    return conn.execute(shown.values(hidden_from="")).rowcount


def _add(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> str:
    """Puts one document before a person; the same one for the same reason stands there once."""
    key = [str(params[name]) for name in ("letter_id", "document_id", "host", "reason")]
    row_id = _digest(tenant, *key)
    held = worklist.c
    if conn.scalar(select(held.id).where(held.tenant == tenant, held.id == row_id)) is None:
        told = {name: json.dumps(params.get(name, [])) for name in ("evidence", "candidates", "sides", "presented")}
        named = dict(zip(("letter_id", "document_id", "host", "reason"), key, strict=True))
        row = {"tenant": tenant, "id": row_id, "open": True, "added_at": now, **named, **told}
        conn.execute(insert(worklist).values(**row))
    return row_id


WRITES: dict[str, Callable[[Connection, str, Mapping[str, Any], datetime], Any]] = {
    "filing.begin": _begin,
    "filing.end": _end,
    "filing.found": _found,
    "filing.shown": _shown,
    "worklist.add": _add,
}


# --- reading -------------------------------------------------------------------------------------------


def of_letter(engine: Engine, tenant: str, letter_id: str) -> tuple[Filing, ...]:
    return tuple(_filings(engine, tenant, filings.c.letter_id == letter_id))


def of_document(engine: Engine, tenant: str, host: str, document_id: str) -> tuple[Filing, ...]:
    return tuple(_filings(engine, tenant, filings.c.host == host, filings.c.document_id == document_id))


def filed(
    engine: Engine, tenant: str, host: str, document_id: str, sha1: str, canonical: Callable[[], str] = str
) -> Filing | None:
    """The filing by which this document came into the dossier: exactly these bytes, else the same canonical form.
    `canonical` is asked only where another serialisation of the document is there."""
    found = [each for each in of_document(engine, tenant, host, document_id) if each.state is FilingState.FILED]
    same = next((each for each in found if each.sha1 == sha1), None)
    if same is not None or not found:
        return same
    form = canonical()
    return next((each for each in found if form and each.canonical == form), None)


def host_of(engine: Engine, tenant: str, document_ids: Sequence[str]) -> str:
    """The host at which we began, or ended, the deposit of one of these documents; '' where there is none."""
    held = filings.c
    if not document_ids:
        return ""
    chosen = select(held.host).where(
        held.tenant == tenant, held.document_id.in_(list(document_ids)), held.state.in_(_HELD)
    )
    with engine.connect() as conn:
        return str(conn.scalar(chosen.order_by(held.begun_at.desc()).limit(1)) or "")


def held_version(engine: Engine, tenant: str, host: str, set_id: str) -> int | None:
    """The highest version of a document that we filed; None where we filed none."""
    held = filings.c
    chosen = select(func.max(held.version)).where(
        held.tenant == tenant,
        held.host == host,
        held.set_id == set_id,
        held.state == FilingState.FILED.value,
    )
    with engine.connect() as conn:
        highest: int | None = conn.scalar(chosen)
    return highest


def hidden(engine: Engine, tenant: str) -> tuple[Filing, ...]:
    """What lies in a dossier, hidden from its patient until it is announced to him."""
    held = filings.c
    return tuple(_filings(engine, tenant, held.hidden_from != "", held.state == FilingState.FILED.value))


def waiting(engine: Engine, tenant: str, limit: int = 200) -> tuple[Waiting, ...]:
    """The open work list, oldest first."""
    held = worklist.c
    chosen = select(worklist).where(held.tenant == tenant, held.open.is_(True))
    with engine.connect() as conn:
        rows = conn.execute(chosen.order_by(held.added_at, held.id).limit(limit)).all()
    return tuple(_waiting(row) for row in rows)


def _filings(engine: Engine, tenant: str, *where: Any) -> Iterator[Filing]:
    chosen = select(filings).where(filings.c.tenant == tenant, *where)
    with engine.connect() as conn:
        rows = conn.execute(chosen.order_by(filings.c.begun_at, filings.c.id)).all()
    for row in rows:
        yield Filing(
            id=row.id,
            tenant=row.tenant,
            letter_id=row.letter_id,
            document_id=row.document_id,
            submission_id=row.submission_id,
            sha1=row.sha1,
            size=row.size,
            host=row.host,
            state=FilingState(row.state),
            entry_id=row.entry_id,
            canonical=row.canonical,
            hidden_from=row.hidden_from,
            ended_at=row.ended_at,
            set_id=row.set_id,
        )


def _waiting(row: Row[Any]) -> Waiting:
    return Waiting(
        id=row.id,
        letter_id=row.letter_id,
        document_id=row.document_id,
        host=row.host,
        reason=row.reason,
        evidence=tuple((name, answer) for name, answer in json.loads(row.evidence)),
        candidates=tuple(json.loads(row.candidates)),
        added_at=row.added_at,
    )
