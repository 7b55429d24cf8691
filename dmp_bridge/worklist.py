"""The work list: what a person must look at before it is filed, and what he decided.

Promises: an entry shows for each candidate which traits agree, which differ and which are absent, never a value; a
decision closes its entry once, with who and why, in the rows and in the journal; what is learned from it is a link that
can be ended; while nothing has left a decision can be taken back. Does not: file, open an identity, or decide.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, Row, select, update

from dmp_bridge import links
from dmp_bridge.model import Doubtful, FilingReason, Match, Matched
from dmp_bridge.tables import patients, worklist
from relay import journal, withdrawal
from relay.model import Event
from relay.spooler import StoreRefused

WHOSE = frozenset(
    {
        FilingReason.PATIENT_UNKNOWN,
        FilingReason.INS_ABSENT,
        FilingReason.INS_DIFFERS,
        FilingReason.INS_INCOMPLETE,
        FilingReason.INS_NOT_QUALIFIED,
        FilingReason.PATIENT_NOT_UNIQUE,
        FilingReason.PRINTED,
    }
)
"""Doubts about whose a document is: a person may say it."""


class Decision(StrEnum):
    CONFIRMED = "confirmed"
    """It is the candidate's."""
    CORRECTED = "corrected"
    """It is another patient's, whom the person named."""
    REFUSED = "refused"
    """It is not filed."""
    ANSWERED = "answered"
    """What it waited for has happened: an opposition was lifted."""


@dataclass(frozen=True)
class Entry:
    """One line, open or closed."""

    id: str
    letter_id: str
    document_id: str
    host: str
    reason: str
    evidence: tuple[tuple[str, str], ...]
    candidates: tuple[str, ...]
    sides: tuple[tuple[tuple[str, str], ...], ...]
    added_at: datetime
    open: bool = True
    decision: str = ""
    patient_id: str = ""
    decided_by: str = ""
    decided_at: datetime | None = None
    why: str = ""

    @property
    def about_whose(self) -> bool:
        return self.reason in WHOSE


# --- what the courier tells -----------------------------------------------------------------------------------------


def told(match: Match | None) -> dict[str, Any]:
    """The parameters of `worklist.add` that say what was found: JSON-able, names and pseudonyms alone."""
    if isinstance(match, Matched):
        return {"evidence": _pairs(match.evidence), "candidates": [match.patient_id]}
    if not isinstance(match, Doubtful):
        return {"evidence": [], "candidates": []}
    return {
        "evidence": _pairs(match.evidence),
        "candidates": list(match.candidates),
        "sides": [_pairs(side) for side in match.sides],
        "presented": list(match.presented),
    }


def _pairs(evidence: tuple[tuple[str, str], ...]) -> list[list[str]]:
    return [list(each) for each in evidence]


# --- writing, in the spooler ----------------------------------------------------------------------------------------


def _decide(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> dict[str, str]:
    """`entry`, `decision`, `patient_id`, `by`, `why`. Raises StoreRefused for an entry that is not open."""
    decision = Decision(params["decision"])
    row = _open(conn, tenant, params["entry"])
    patient_id = params.get("patient_id", "")
    if decision in (Decision.CONFIRMED, Decision.CORRECTED):
        _check_patient(conn, tenant, row, decision, patient_id)
    values = {"decision": decision.value, "patient_id": patient_id, "decided_by": params["by"], "why": params["why"]}
    held = worklist.c
    closed = update(worklist).where(held.tenant == tenant, held.id == row.id, held.open.is_(True))
    if conn.execute(closed.values(open=False, decided_at=now, **values)).rowcount != 1:
        raise StoreRefused("the entry is closed")
    if patient_id:
        _learn(conn, tenant, row, values, now)
    facts = (("entry", row.id), *sorted(values.items()))
    journal.append(conn, tenant, [Event("worklist-decided", row.letter_id, facts=facts)], now)
    return {"letter_id": row.letter_id, "host": row.host, "document_id": row.document_id}


def _open(conn: Connection, tenant: str, entry: str) -> Row[Any]:
    row = conn.execute(select(worklist).where(worklist.c.tenant == tenant, worklist.c.id == entry)).one_or_none()
    if row is None:
        raise StoreRefused("no such entry")
    if not row.open:
        raise StoreRefused("the entry is closed")
    return row


def _check_patient(conn: Connection, tenant: str, row: Row[Any], decision: Decision, patient_id: str) -> None:
    if row.reason not in WHOSE:
        raise StoreRefused("the entry is not about whose the document is")
    known = select(patients.c.id).where(patients.c.tenant == tenant, patients.c.id == patient_id)
    if conn.scalar(known) is None:
        raise StoreRefused("no such patient")
    if decision is Decision.CONFIRMED and patient_id not in json.loads(row.candidates):
        raise StoreRefused("the patient is no candidate of the entry")


def _learn(conn: Connection, tenant: str, row: Row[Any], values: Mapping[str, str], now: datetime) -> None:
    """The document's link, and one for each number by which its sender knows the patient."""
    keys = [("document", row.document_id)] if row.document_id else []
    keys += [("local", key) for key in json.loads(row.presented)]
    for kind, key in keys:
        made = links.Made(kind, key, values["patient_id"], row.id, values["decided_by"], values["why"])
        links.make(conn, tenant, made, now)


def _reopen(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> None:
    """`entry`, `by`: a decision taken back, with what it learned and, while that waits (acts.act's `after_s`), what it
    sent. Raises StoreRefused where it has gone already."""
    row = conn.execute(select(worklist).where(*_one(tenant, params["entry"]))).one_or_none()
    if row is None or row.open:
        raise StoreRefused("no such entry, or it is open")
    if row.decision == Decision.ANSWERED or _decided_beside(conn, tenant, row, now):
        raise StoreRefused("another decision hangs on it")
    if row.decision != Decision.REFUSED:
        gone = {"reason": row.reason, "reference": ""}
        if not withdrawal.take_back(conn, tenant, row.letter_id, gone, ("filing-withdrawn", params["by"]), now):
            raise StoreRefused("it has left")
    links.take_back(conn, tenant, row.id, row.decided_at, params["by"], now)
    blank = {"decision": "", "patient_id": "", "decided_by": "", "decided_at": None, "why": ""}
    conn.execute(update(worklist).where(*_one(tenant, row.id)).values(open=True, **blank))
    facts = (("entry", row.id), ("decision", row.decision), ("by", params["by"]))
    journal.append(conn, tenant, [Event("worklist-reopened", row.letter_id, facts=facts)], now)


def _one(tenant: str, entry: str) -> tuple[Any, Any]:
    return worklist.c.tenant == tenant, worklist.c.id == entry


def _decided_beside(conn: Connection, tenant: str, row: Row[Any], now: datetime) -> bool:
    """Another document of the letter, which goes with the same delivery: taken back for one, both would stay behind."""
    of, lately = worklist.c, now - timedelta(seconds=2 * withdrawal.WAIT_S)
    others = select(of.id).where(
        of.tenant == tenant, of.letter_id == row.letter_id, of.id != row.id, of.open.is_(False)
    )
    if row.decision == Decision.REFUSED:
        return False
    goes = others.where(of.decision != Decision.REFUSED.value, of.decided_at >= lately)
    return conn.execute(goes.limit(1)).first() is not None


WRITES: dict[str, Callable[[Connection, str, Mapping[str, Any], datetime], Any]] = {
    "worklist.decide": _decide,
    "worklist.reopen": _reopen,
}


# --- reading --------------------------------------------------------------------------------------------------------


def entry(engine: Engine, tenant: str, entry_id: str) -> Entry | None:
    """One entry, by its id or the beginning of it where that is enough."""
    found = _entries(engine, tenant, worklist.c.id.startswith(entry_id, autoescape=True), limit=2)
    return found[0] if len(found) == 1 else None


def waiting_for(engine: Engine, tenant: str, rows: Collection[str], reason: FilingReason) -> tuple[Entry, ...]:
    """Open entries that wait for one patient (his rows), for one reason."""
    found = _entries(engine, tenant, worklist.c.open.is_(True), worklist.c.reason == reason.value, limit=10_000)
    return tuple(each for each in found if set(rows) & set(each.candidates))


def _entries(engine: Engine, tenant: str, *where: Any, limit: int) -> tuple[Entry, ...]:
    chosen = select(worklist).where(worklist.c.tenant == tenant, *where)
    with engine.connect() as conn:
        rows = conn.execute(chosen.order_by(worklist.c.added_at, worklist.c.id).limit(limit)).all()
    return tuple(_entry(row) for row in rows)


def _entry(row: Row[Any]) -> Entry:
    kept = {name: getattr(row, name) for name in Entry.__dataclass_fields__ if name not in _LISTS}
    lists = {name: json.loads(getattr(row, name)) for name in _LISTS}
    return Entry(
        **kept,
        evidence=_evidence(lists["evidence"]),
        candidates=tuple(lists["candidates"]),
        sides=tuple(_evidence(side) for side in lists["sides"]),
    )


_LISTS = ("evidence", "candidates", "sides")


def _evidence(pairs: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, answer) for name, answer in pairs)
