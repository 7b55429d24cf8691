"""What has waited too long: the sender is warned once, then told that it was given up; and who did not answer.

Promises: a letter that nobody could even try, its destination being dead, is warned of and given up at the same moments
as one that was tried; a warning is due once in a recipient's life, and not where NOTIFY leaves DELAY out (RFC 3461
§4.1) or for a dossier; silence is a state only where a receipt was asked for and the destination has been seen to
answer (design §4); each is a row of the journal. Does not: send (relay.notices does), or choose another channel.

The functions that begin with an underscore run inside the spooler; the others are called anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, select

from relay import journal, settlement
from relay.model import State, Word
from relay.schedule import Policy
from relay.spooler import SpoolClient, Write
from relay.store import lanes, statements
from relay.store.rows import notified
from relay.store.statements import given, places
from relay.store.tables import destinations, recipients
from relay.store.tables import lanes as lane_rows

GRACE_S = 900.0
"""After the end of its lifetime a letter has this long for the attempt that falls on it."""
AT_ONCE = 200
"""Of each kind, in one transaction."""
LOOKED_BACK = timedelta(days=7)
"""A silence older than this is left as it is."""


@dataclass(frozen=True)
class Swept:
    """How many recipients were given up, are to be warned of, were found silent; lanes that had to be woken."""

    expired: int
    warned: int
    silent: int
    woken: int


def sweep(client: SpoolClient, policy: Policy) -> Swept:
    """For all tenants of the node, up to AT_ONCE of each; what is left is found next time. Raises StoreDown."""
    told = asdict(policy)
    return Swept(**client.write("relay.overdue", "", policy=told))


# --- inside the spooler -------------------------------------------------------------------------------------


def _sweep(conn: Connection, _tenant: str, params: Mapping[str, Any], now: datetime) -> dict[str, int]:
    told = params["policy"]
    lifetime = timedelta(seconds=told["lifetime_s"])
    expired = _expire(conn, now - lifetime - timedelta(seconds=GRACE_S), now)
    warned = _warn(conn, now - timedelta(seconds=told["warn_s"])) if told["warn_s"] else 0
    silent = _silent(conn, now - timedelta(seconds=told["silent_s"]), now) if told["silent_s"] else 0
    return {"expired": expired, "warned": warned, "silent": silent, "woken": lanes.heal(conn, now)}


def _expire(conn: Connection, before: datetime, now: datetime) -> int:
    rows = conn.execute(_waiting(), places(queued_at=before)).mappings().all()
    for row in rows:
        values, event = settlement.given_up(row, now)
        conn.execute(statements.move_recipient(), places(tenant=row["tenant"], id=row["id"]) | values)
        journal.append(conn, row["tenant"], [event], now)
    return len(rows)


@cache
def _waiting() -> Select[Any]:
    """queued_at (before) -> rows."""
    r = recipients.c
    old = select(recipients).where(r.state == State.QUEUED.value, r.queued_at <= given(r.queued_at))
    return old.order_by(r.queued_at).limit(AT_ONCE)


def _warn(conn: Connection, before: datetime) -> int:
    rows = conn.execute(_unwarned(), places(queued_at=before)).mappings().all()
    for row in rows:
        value = "due" if wants_warning(row["notify"], row["mode"]) else "none"
        conn.execute(statements.move_recipient(), places(tenant=row["tenant"], id=row["id"]) | {"warning": value})
    return len(rows)


def wants_warning(notify: str, mode: str) -> bool:
    """RFC 3461 §4.1: where NOTIFY says nothing a delay may be told; where it speaks, only if it names DELAY."""
    asked = notified(notify)
    return not mode.startswith("dossier") and (not asked or "DELAY" in asked)


@cache
def _unwarned() -> Select[Any]:
    """queued_at (before) -> rows."""
    return _waiting().where(recipients.c.warning == "")


def _silent(conn: Connection, before: datetime, now: datetime) -> int:
    rows = conn.execute(_unanswered(), {"given_before": before, "given_after": before - LOOKED_BACK}).mappings().all()
    for row in rows:
        told = places(tenant=row["tenant"], id=row["id"]) | {"word": Word.SILENT.value}
        conn.execute(statements.move_recipient(), told)
        journal.append(conn, row["tenant"], [settlement.event("silent", row, {})], now)
    return len(rows)


@cache
def _unanswered() -> Select[Any]:
    """Handed over between the two moments, to a destination that has answered before."""
    r, of, d = recipients.c, lane_rows.c, destinations.c
    moments = (bindparam(f"given_{name}", type_=r.settled_at.type) for name in ("after", "before"))
    after, before = moments
    answers = select(d.destination).where(
        of.tenant == r.tenant,
        of.lane == r.lane,
        d.tenant == lanes.NODE,
        d.destination == of.destination,
        d.answered_at.is_not(None),
    )
    quiet = and_(r.word == Word.AWAITED.value, r.settled_at > after, r.settled_at <= before)
    return select(recipients).where(quiet, answers.exists()).order_by(r.settled_at).limit(AT_ONCE)


WRITES: dict[str, Write] = {"relay.overdue": _sweep}
