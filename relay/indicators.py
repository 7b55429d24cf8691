"""Indicators of activity: what the events of the journal mean for a mailbox and a day (spec/operator.md §5).

Promises: an event is counted in the transaction that journals it, by `counts`, a pure function; counting the journal
anew with the same function gives the same (`recomputed`), so that a display can be checked. A letter counts for its
sender when a recipient enters custody, for its recipient when it is delivered. Rows name mailboxes of ours and
categories, never a patient. Does not: make files (gateway.indicators does), nor count what no event tells.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, Select, and_, select

from relay.message import Message
from relay.model import INCOMING, Door, Event, Mode
from relay.store import days, direct
from relay.store.days import indicator_days
from relay.store.statements import given, places
from relay.store.tables import journal, letters, recipients

PARIS: Final = ZoneInfo("Europe/Paris")
PATIENTS: Final = "patient.mssante.fr"
INTERNAL, OPERATOR, PATIENT = "internal", "operator", "patient"
"""On whose side the other one is (spec/operator.md §5)."""
_DOSSIERS = frozenset({Mode.DOSSIER.value, Mode.DOSSIER_SHOW.value})
_WORD = re.compile(r"[A-Za-z0-9._\-]{1,64}")
_LONG = re.compile(r"\d{13}")


@dataclass(frozen=True)
class Count:
    mailbox: str
    measure: str
    key: str = ""
    octets: int = 0


@dataclass(frozen=True)
class Seen:
    """An event with what is known of its letter and its recipient; empty where it has none."""

    event: str
    facts: Mapping[str, str]
    door: str = ""
    sender: str = ""
    size: int = 0
    mode: str = ""
    address: str = ""
    minutes: int | None = None
    """Since its letter was accepted."""

    @property
    def ours(self) -> bool:
        """Written by somebody of ours: neither come from outside nor made by us."""
        return bool(self.door) and self.door not in (*INCOMING, Door.NOTICE)

    @property
    def author(self) -> str:
        return shown(self.sender)


# --- what an event counts for -------------------------------------------------------------------------------


def shown(address: str) -> str:
    """A patient's address names him: he is one of all patients."""
    local, at, domain = address.lower().rpartition("@")
    return f"@{domain}" if at and domain == PATIENTS else f"{local}{at}{domain}"


def side(mode: str, address: str) -> str:
    if address.lower().endswith(f"@{PATIENTS}"):
        return PATIENT
    return INTERNAL if mode == Mode.MAILBOX else OPERATOR


def _accepted(seen: Seen) -> Iterator[Count]:
    if not seen.ours:
        return
    yield Count(seen.author, "letters", "xdm" if seen.facts.get("xdm") else "other", seen.size)
    if nil := seen.facts.get("nil"):
        yield Count(seen.author, "product", nil)
    if ins := seen.facts.get("ins"):
        yield Count(seen.author, "ins", ins)
    for code in filter(None, seen.facts.get("codes", "").split(",")):
        yield Count(seen.author, "cda", code)


def _queued(seen: Seen) -> Iterator[Count]:
    if seen.ours and seen.mode not in _DOSSIERS:
        yield Count(seen.author, "sent", side(seen.mode, seen.address), seen.size)
    if seen.door == Door.NOTICE and seen.mode not in _DOSSIERS:
        yield Count("", "notices", side(seen.mode, seen.address))


def _delivered(seen: Seen) -> Iterator[Count]:
    if seen.door == Door.NOTICE:
        yield Count(shown(seen.address), "received", "notice", seen.size)
        return
    whence = INTERNAL if seen.ours else side("", seen.sender)
    yield Count(shown(seen.address), "received", whence, seen.size)
    yield from _served(seen)


def _served(seen: Seen) -> Iterator[Count]:
    if seen.ours:
        yield Count(seen.author, "served", seen.mode)


def _failed(seen: Seen) -> Iterator[Count]:
    if seen.ours:
        yield Count(seen.author, "failed", seen.facts.get("reason", ""))


def _delayed(seen: Seen) -> Iterator[Count]:
    if seen.ours:
        yield Count(seen.author, "delayed", seen.facts.get("reason", ""))


def _filed(seen: Seen) -> Iterator[Count]:
    """One document in one dossier; the patient is an opaque number of the register, the structure the one that wrote
    it."""
    if seen.facts.get("note") == "filed":
        yield Count(seen.author if seen.ours else "", "document", seen.facts.get("type", ""))
        yield Count("", "fed", seen.facts.get("patient", ""))
        yield Count("", "filed-by", seen.facts.get("structure", ""))
        if seen.minutes is not None:
            yield Count("", "filed-after", str(_rounded(seen.minutes)))
        if seen.facts.get("replaces"):
            yield Count("", "correction", "replaced")


def _undone(seen: Seen) -> Iterator[Count]:
    yield Count("", "correction", "taken-back")


def _read(seen: Seen) -> Iterator[Count]:
    """By how long it took, so that a median can be told of any days together."""
    minutes = seen.facts.get("minutes", "")
    if seen.ours and minutes.isdecimal():
        yield Count(seen.author, "read", str(_rounded(int(minutes))))


def _rounded(minutes: int) -> int:
    """To the minute within an hour, to the hour within a month, and no further."""
    return minutes if minutes < 60 else min(minutes // 60 * 60, 30 * 24 * 60)


def _silent(seen: Seen) -> Iterator[Count]:
    if seen.ours:
        yield Count(seen.author, "unread")


def _looked_up(seen: Seen) -> Iterator[Count]:
    """One search, however many letters it found."""
    if seen.facts.get("search"):
        yield Count("", "looked-up")


def _connected(seen: Seen) -> Iterator[Count]:
    yield Count(shown(seen.facts.get("mailbox", "")), "connected", seen.facts.get("channel", ""))


_MEANING: Final = {
    "accepted": _accepted,
    "queued": _queued,
    "delivered": _delivered,
    "relayed": _served,
    "filed": _served,
    "failed": _failed,
    "delayed": _delayed,
    "dossier-filed": _filed,
    "dossier-undone": _undone,
    "said-read": _read,
    "silent": _silent,
    "looked-up": _looked_up,
    "connected": _connected,
}
COUNTED: Final = frozenset(_MEANING)


def counts(seen: Seen) -> tuple[Count, ...]:
    """What an event adds to the day it is journalled on."""
    meaning = _MEANING.get(seen.event)
    return tuple(meaning(seen)) if meaning else ()


def day_of(at: datetime) -> str:
    return at.astimezone(PARIS).date().isoformat()


# --- what a letter says of itself ---------------------------------------------------------------------------


def about(message: Message) -> tuple[tuple[str, str], ...]:
    """Facts for its `accepted` event: the archive, and the fields of spec/operator.md §2.7. A value that is no plain
    word is left out: a field is written by others, and may hold anything."""
    archive = any(part.filename.upper() == "IHE_XDM.ZIP" for part in message.parts)
    ins = _first(message, "X-MSS-INS")
    codes = [each.strip() for each in _first(message, "X-MSS-CODECDA").split(",")]
    told = {
        "xdm": "1" if archive else "",
        "nil": _word(_first(message, "X-MSS-NIL")),
        "ins": ins if ins in ("O", "N") else "",
        "codes": ",".join(dict.fromkeys(filter(None, map(_word, codes[:20])))),
    }
    return tuple((name, value) for name, value in told.items() if value)


def _first(message: Message, name: str) -> str:
    return next((value.strip() for value in message.values(name)), "")


def _word(text: str) -> str:
    """Thirteen digits in a row may be a matricule."""
    return text if _WORD.fullmatch(text) and not _LONG.search(text) else ""


# --- in the transaction of the events -----------------------------------------------------------------------


@cache
def _letter() -> Select[Any]:
    """tenant, id -> the letter beside each of its recipients."""
    same = and_(recipients.c.tenant == letters.c.tenant, recipients.c.letter_id == letters.c.id)
    return (
        select(
            letters.c.door,
            letters.c.sender,
            letters.c.body_size.label("size"),
            letters.c.received_at,
            recipients.c.id,
            recipients.c.mode,
            recipients.c.address,
        )
        .select_from(letters.outerjoin(recipients, same))
        .where(letters.c.tenant == given(letters.c.tenant), letters.c.id == given(letters.c.id))
    )


Tally: TypeAlias = dict[tuple[str, str, str], list[int]]
"""(mailbox, measure, key) -> [number, octets]."""


def count(conn: Connection, tenant: str, events: Sequence[Event], now: datetime) -> None:
    """Called where events are journalled, once their letter's rows are written."""
    tally: Tally = {}
    known: dict[str, list[direct.Row]] = {}
    for event in events:
        if event.name in COUNTED:
            _add(tally, counts(_seen(conn, tenant, event, known, now)))
    same = {"tenant": tenant, "day": day_of(now)}
    days.count(conn, [same | row for row in _rows(tally)])


def _seen(conn: Connection, tenant: str, event: Event, known: dict[str, list[direct.Row]], now: datetime) -> Seen:
    facts = dict(event.facts)
    if not event.letter_id:
        return Seen(event.name, facts)
    if event.letter_id not in known:
        known[event.letter_id] = direct.rows(conn, _letter(), places(tenant=tenant, id=event.letter_id))
    rows = known[event.letter_id]
    if not rows:
        return Seen(event.name, facts)
    mine = next((row for row in rows if row["id"] == event.recipient_id), None)
    mode, address = (mine["mode"], mine["address"]) if mine is not None else ("", "")
    taken = _minutes(rows[0]["received_at"], now)
    return Seen(event.name, facts, rows[0]["door"], rows[0]["sender"], rows[0]["size"], mode, address, taken)


def _minutes(since: datetime, at: datetime) -> int:
    return max(0, int((at - since).total_seconds() // 60))


def _add(tally: Tally, found: Sequence[Count]) -> None:
    for each in found:
        total = tally.setdefault((each.mailbox[:320], each.measure, each.key[:128]), [0, 0])
        total[0] += 1
        total[1] += each.octets


def _rows(tally: Tally) -> Iterator[dict[str, Any]]:
    for (mailbox, measure, key), (number, octets) in tally.items():
        yield {"mailbox": mailbox, "measure": measure, "key": key, "number": number, "octets": octets}


# --- reading ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """How often, and how many octets, on one day for one mailbox."""

    day: str
    mailbox: str
    measure: str
    key: str
    number: int
    octets: int


def read(engine: Engine, tenant: str, month: str = "") -> list[Row]:
    """What is displayed; `month`: YYYY-MM, or everything."""
    t = indicator_days
    wanted = select(t.c.day, t.c.mailbox, t.c.measure, t.c.key, t.c.number, t.c.octets).where(
        t.c.tenant == tenant, t.c.day.like(f"{month}%")
    )
    with engine.connect() as conn:
        return [Row(*row) for row in conn.execute(wanted.order_by(t.c.day, t.c.mailbox, t.c.measure, t.c.key))]


def recomputed(engine: Engine, tenant: str, month: str = "") -> list[Row]:
    """The same, counted anew from the journal and the letters it is about."""
    with engine.connect() as conn:
        tallies = tallied(conn, tenant)
    found = [Row(day, **row) for day, tally in tallies.items() if day.startswith(month) for row in _rows(tally)]
    return sorted(found, key=lambda row: (row.day, row.mailbox, row.measure, row.key))


def tallied(conn: Connection, tenant: str, letter_id: str = "") -> dict[str, Tally]:
    """What the journal's rows count for, by day; `letter_id`: those of one letter alone."""
    tallies: dict[str, Tally] = {}
    j, r = journal, recipients
    letter = and_(letters.c.tenant == j.c.tenant, letters.c.id == j.c.letter_id)
    recipient = and_(r.c.tenant == j.c.tenant, r.c.id == j.c.recipient_id)
    rows = (
        select(
            j.c.event,
            j.c.at,
            j.c.facts,
            letters.c.door,
            letters.c.sender,
            letters.c.body_size,
            r.c.mode,
            r.c.address,
            letters.c.received_at,
        )
        .select_from(j.outerjoin(letters, letter).outerjoin(r, recipient))
        .where(j.c.tenant == tenant, j.c.event.in_(COUNTED), *([j.c.letter_id == letter_id] if letter_id else []))
        .execution_options(yield_per=1000)
    )
    for event, at, facts, door, sender, size, mode, address, since in conn.execute(rows):
        taken = _minutes(since, at) if since else None
        seen = Seen(event, json.loads(facts), door or "", sender or "", size or 0, mode or "", address or "", taken)
        _add(tallies.setdefault(day_of(at), {}), counts(seen))
    return tallies


def moved(conn: Connection, tenant: str, before: Mapping[str, Tally], after: Mapping[str, Tally]) -> None:
    """A letter counts for others from now on (relay.erasure): what is shown follows."""
    for tallies, sign in ((before, -1), (after, 1)):
        for day, tally in tallies.items():
            rows = [row | {name: sign * row[name] for name in ("number", "octets")} for row in _rows(tally)]
            days.count(conn, [{"tenant": tenant, "day": day} | row for row in rows])
    days.drop_empty(conn, tenant)
