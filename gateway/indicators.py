"""A tenant's indicators for people: totals of a month, and those that a region asks for (spec/directory.md §1.3).

Promises: every number is counted from the same rows as the exported files; one that cannot be told is empty, with the
reason, never 0. Does not: count events (relay.indicators does), nor write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, func, select

from directory import address
from directory.lookup import Directory
from directory.model import Found
from dmp_bridge.model import FilingReason, InsStatus
from dmp_bridge.tables import patients, worklist
from gateway import app, feeding, watching
from gateway.config import Settings
from gateway.exporting import Mailbox
from relay import indicators
from relay.indicators import Row
from relay.model import Mode
from relay.store import engine

IDENTITY = frozenset(
    {
        FilingReason.PATIENT_UNKNOWN,
        FilingReason.PATIENT_NOT_UNIQUE,
        FilingReason.INS_ABSENT,
        FilingReason.INS_DIFFERS,
        FilingReason.INS_INCOMPLETE,
        FilingReason.INS_NOT_QUALIFIED,
    }
)
"""Reasons of filing that are about who the patient is."""


@dataclass(frozen=True)
class Indicator:
    name: str
    value: float | None
    """None: cannot be told."""
    why: str = ""


def totals(rows: Sequence[Row]) -> dict[tuple[str, str], tuple[int, int]]:
    """(measure, key) -> (number, octets), over mailboxes and days."""
    number, octets = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for row in rows:
        number[row.measure, "" if row.measure == "fed" else row.key] += row.number
        octets[row.measure, "" if row.measure == "fed" else row.key] += row.octets
    return {place: (number[place], octets[place]) for place in sorted(number)}


# --- of the region ------------------------------------------------------------------------------------------------


def regional(settings: Settings, rows: Sequence[Row], at: datetime) -> tuple[Indicator, ...]:
    """`rows`: all that were ever counted; those of the last days are taken from them."""
    reader = engine.reader_engine(settings.database_url)
    try:
        return (
            *_dossiers(reader, settings.node.tenant, rows, at),
            *_emitters(rows, at),
            *_modes(rows),
            *_trouble(rows),
            *_reading(rows, settings.carrier.silent_s),
            *_care(rows, at),
            *_freshness(settings, at),
            *_certificates(settings, at),
        )
    finally:
        reader.dispose()


def _dossiers(reader: Engine, tenant: str, rows: Sequence[Row], at: datetime) -> Iterator[Indicator]:
    """Every holder of a qualified INS has a dossier that can be fed: those of the register are the created ones."""
    known = select(func.count()).where(
        patients.c.tenant == tenant,
        patients.c.ins != "",
        patients.c.status == InsStatus.QUALIFIED.value,
        patients.c.merged.is_(False),
    )
    with reader.connect() as conn:
        created = int(conn.scalar(known) or 0)
    fed = len({row.key for row in rows if row.measure == "fed"})
    documents = sum(row.number for row in rows if row.measure == "document")
    yield Indicator("created dossiers", created)
    yield Indicator("fed dossiers", fed)
    yield _ratio("fed/created", fed, created, "no patient with a qualified INS")
    yield Indicator("documents filed", documents)
    yield _ratio("documents per fed dossier", documents, fed, "no dossier fed yet")
    yield from _deposits(rows)
    yield from _waiting(reader, tenant, at)


def _deposits(rows: Sequence[Row]) -> Iterator[Indicator]:
    """By type of document and by the structure that wrote it; and how long they took, of any days together."""
    kinds, written, taken = Counter[str](), Counter[str](), Counter[int]()
    for row in rows:
        kinds[row.key] += row.number if row.measure == "document" else 0
        written[row.key] += row.number if row.measure == "filed-by" else 0
        if row.measure == "filed-after":
            taken[int(row.key)] += row.number
    for name, found in (("type", kinds), ("structure", written)):
        for key in sorted(each for each in found if found[each]):
            yield Indicator(f"documents filed, {name} {key or 'unknown'}", found[key])
    yield Indicator("median time to file, minutes", _median(taken), "" if taken else "no dossier fed yet")


def _waiting(reader: Engine, tenant: str, at: datetime) -> Iterator[Indicator]:
    """Of the work list, as it stands: a person who decides ends the wait."""
    open_ = select(func.count(), func.min(worklist.c.added_at)).where(
        worklist.c.tenant == tenant, worklist.c.open.is_(True)
    )
    with reader.connect() as conn:
        number, oldest = conn.execute(open_).one()
    yield Indicator("work list", int(number))
    hours = round((at - oldest).total_seconds() / 3600, 1) if oldest else None
    yield Indicator("work list, oldest, hours", hours, "" if oldest else "nothing waits")


def _emitters(rows: Sequence[Row], at: datetime) -> Iterator[Indicator]:
    for days in (7, 30, 90):
        since = indicators.day_of(at - timedelta(days=days))
        active = {row.mailbox for row in rows if row.measure == "sent" and row.day > since}
        yield Indicator(f"active emitters, {days} days", len(active))


def _modes(rows: Sequence[Row]) -> Iterator[Indicator]:
    served = Counter[str]()
    for row in rows:
        if row.measure == "served":
            served[row.key] += row.number
    for mode in Mode:
        if served[mode]:
            yield _ratio(f"share of sends, {mode}", served[mode], served.total(), "")


def _trouble(rows: Sequence[Row]) -> Iterator[Indicator]:
    failed = sum(row.number for row in rows if row.measure == "failed")
    served = sum(row.number for row in rows if row.measure == "served")
    yield _ratio("undelivered rate", failed, failed + served, "nothing settled yet")
    wrong = sum(row.number for row in rows if row.measure == "failed" and row.key in IDENTITY)
    yield Indicator("identity mismatches", wrong)


def _reading(rows: Sequence[Row], silent_s: float) -> Iterator[Indicator]:
    """Of letters whose reading was asked to be told (RFC 8098); silence is counted once, when it has lasted so long."""
    unread = sum(row.number for row in rows if row.measure == "unread")
    yield Indicator(f"unread after {silent_s / 3600:g} h", unread)
    taken = Counter[int]()
    for row in rows:
        if row.measure == "read":
            taken[int(row.key)] += row.number
    read = taken.total()
    yield Indicator("median time to read, minutes", _median(taken), "" if read else "nothing was said to be read")


def _median(taken: Counter[int]) -> float | None:
    """The lower one, of minutes counted up; hours are told to the hour (relay.indicators)."""
    left = (taken.total() + 1) // 2
    for minutes in sorted(taken):
        left -= taken[minutes]
        if left <= 0:
            return minutes
    return None


def _care(rows: Sequence[Row], at: datetime) -> Iterator[Indicator]:
    """An establishment is known by its domains: each has its own (spec/operator.md §1.3)."""
    since = indicators.day_of(at - timedelta(days=30))
    used = {
        row.mailbox.rpartition("@")[2] for row in rows if row.measure in ("connected", "letters") and row.day > since
    }
    yield Indicator("establishments connected, 30 days", len(used - {""}))
    for key, name in (("replaced", "documents replaced"), ("taken-back", "documents taken back")):
        yield Indicator(name, sum(row.number for row in rows if (row.measure, row.key) == ("correction", key)))
    yield Indicator("helpdesk contacts", sum(row.number for row in rows if row.measure == "looked-up"))
    yield Indicator("postal share", None, "no mode of this version prints letters")


def _freshness(settings: Settings, at: datetime) -> Iterator[Indicator]:
    """Of the source that said something longest ago."""
    name = "directory freshness, hours"
    if settings.feed is None:
        yield Indicator(name, None, "this node does not keep a directory")
        return
    ages = [at - datetime.fromisoformat(each.dated) for each in feeding.ledger(settings).every()]
    hours = round(max(ages).total_seconds() / 3600, 1) if ages else None
    yield Indicator(name, hours, "" if ages else "no source was taken yet")


def _certificates(settings: Settings, at: datetime) -> Iterator[Indicator]:
    ends = [each.days for each in watching.expiring(settings, at) if each.days is not None and not each.replaced]
    for days in (30, 60, 90):
        yield Indicator(f"certificates and lists ending within {days} days", sum(1 for each in ends if each <= days))


def _ratio(name: str, part: int, whole: int, why: str) -> Indicator:
    return Indicator(name, round(part / whole, 4)) if whole else Indicator(name, None, why)


# --- whose mailboxes ----------------------------------------------------------------------------------------------


def mailboxes(settings: Settings, rows: Sequence[Row]) -> tuple[Mailbox, ...]:
    """Those that have an account here or were counted, with what the directory says of them; a directory that is down
    leaves the columns empty."""
    directory = app.directory(settings)
    names = {row.mailbox for row in rows if row.mailbox and not row.mailbox.startswith("@")}
    names |= {line.account for line in app.accounts(settings).lines()}
    return tuple(_described(directory, name) for name in sorted(names))


def _described(directory: Directory, name: str) -> Mailbox:
    try:
        answer = directory.find(address.parse(name))
    except address.BadAddress:
        return Mailbox(name)
    if not isinstance(answer, Found):
        return Mailbox(name)
    entry = answer.entry
    return Mailbox(name, entry.kind.value, entry.finess or entry.structure, entry.red_list)
