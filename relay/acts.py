"""What a person does to letters in custody: holds, releases, sends again, sends another way, gives up.

Promises: each move is one that relay.spool's table allows, and a row of the journal with who and why; what is moved
waits in its lane at once; of many, each is moved or refused by itself. Does not: decide a route (`reroute` is told
one), or take a letter from a worker who carries it.

The functions that begin with an underscore run inside the spooler; the others are called anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeAlias

from sqlalchemy import Connection

from relay import journal, retention, settlement
from relay.model import Reason, Route, State, Word
from relay.spooler import SpoolClient, StoreRefused, Write
from relay.store import lanes, statements
from relay.store.rows import Held
from relay.store.statements import places

Table: TypeAlias = Mapping[str, Mapping[State, frozenset[State]]]
WHY_MOST = 200
AT_ONCE = 200

# --- called anywhere ----------------------------------------------------------------------------------------


def act(
    client: SpoolClient, tenant: str, action: str, recipient_id: str, by: str = "", why: str = "", after_s: float = 0
) -> None:
    """A person's act: hold, release, resend or bounce. `after_s`: what is sent again waits so long, and may be taken
    back meanwhile. Raises StoreRefused for a move that is not allowed."""
    client.write(f"relay.{action}", tenant, recipient_id=recipient_id, by=by, why=why, after_s=after_s)


def act_each(
    client: SpoolClient, tenant: str, action: str, recipient_ids: Sequence[str], by: str, why: str
) -> dict[str, str]:
    """The same for many, a few hundred to a transaction; why some were not moved, by id."""
    refused: dict[str, str] = {}
    for first in range(0, len(recipient_ids), AT_ONCE):
        some = list(recipient_ids[first : first + AT_ONCE])
        refused |= client.write("relay.act-each", tenant, action=action, ids=some, by=by, why=why)
    return refused


def reroute(client: SpoolClient, tenant: str, recipient_id: str, route: Route, by: str = "", why: str = "") -> None:
    """Another way, from now. Raises StoreRefused."""
    way = {"mode": route.mode.value, "target": route.target, "rule": route.rule}
    client.write("relay.reroute", tenant, recipient_id=recipient_id, by=by, why=why, **way)


# --- inside the spooler -------------------------------------------------------------------------------------

_Change: TypeAlias = Callable[[Held, Mapping[str, Any], datetime], dict[str, Any]]
"""The other values that an act changes."""


def _nothing(_row: Held, _params: Mapping[str, Any], _now: datetime) -> dict[str, Any]:
    return {}


def _at_once(_row: Held, _params: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"due_at": now, "lapses": 0}


def _anew(row: Held, params: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """A new life in the queue, with its own five days."""
    if row["reason"] == Reason.WITHDRAWN:
        raise StoreRefused("its author took the letter back")
    return {
        "attempts": 0,
        "lapses": 0,
        "queued_at": now,
        "due_at": now + timedelta(seconds=params.get("after_s", 0)),
        "settled_at": None,
        "reason": "",
        "reference": "",
        "notice": "",
        "warning": "",
        "word": Word.ASKED.value if row["word"] else "",
    }


def _bounced(row: Held, _params: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    reason = row["reason"] or Reason.EXPIRED.value
    return {"settled_at": now, "reason": reason, "notice": settlement.notice_of_failure(row)}


def _another_way(row: Held, params: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    if row["mode"].startswith("dossier") or params["mode"].startswith("dossier"):
        raise StoreRefused("reroute: a dossier is reached one way only")
    way = {name: params[name] for name in ("mode", "target", "rule")}
    lane = {"lane": f"{params['mode']} {params['target']}"}
    anew = _anew(row, params, now) if row["state"] == State.FAILED else _at_once(row, params, now)
    return way | lane | anew


_ACTS: dict[str, tuple[str, State, _Change]] = {
    "hold": ("held", State.HELD, _nothing),
    "release": ("released", State.QUEUED, _at_once),
    "resend": ("resent", State.QUEUED, _anew),
    "bounce": ("bounced", State.FAILED, _bounced),
    "reroute": ("rerouted", State.QUEUED, _another_way),
}
"""Its word in the journal, where it leads, what it changes."""


def _move(table: Table, action: str, conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> None:
    word, to, changed = _ACTS[action]
    one = places(tenant=tenant, id=params["recipient_id"])
    row = conn.execute(statements.recipient(), one).mappings().one_or_none()
    if row is None:
        raise StoreRefused("no such recipient")
    if to not in table[action].get(State(row["state"]), ()):
        raise StoreRefused(f"{action}: not while it is {row['state']}")
    if to is State.QUEUED and row["state"] == State.FAILED:
        retention.require_body(conn, tenant, row["letter_id"])
    values = changed(row, params, now)
    conn.execute(statements.move_recipient(), one | {"state": to.value, **values})
    if to is State.QUEUED:
        moved: dict[str, Any] = {str(name): value for name, value in row.items()}
        lanes.try_now(conn, moved | values, now)
        lanes.wake(conn, [moved | values], values["due_at"])
    way = {name: values[name] for name in ("mode", "target", "rule") if name in values}
    told = {"by": params.get("by", ""), "why": str(params.get("why", ""))[:WHY_MOST]}
    facts: dict[str, Any] = told | way
    journal.append(conn, tenant, [settlement.event(word, row, facts)], now)


def _each(table: Table, conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> dict[str, str]:
    refused = {}
    for recipient_id in params["ids"]:
        try:
            _move(table, params["action"], conn, tenant, {**params, "recipient_id": recipient_id}, now)
        except StoreRefused as error:  # it is raised before anything is written
            refused[recipient_id] = str(error)
    return refused


def writes(table: Table) -> dict[str, Write]:
    """`table`: relay.spool.TRANSITIONS."""
    each: dict[str, Write] = {f"relay.{action}": partial(_move, table, action) for action in _ACTS}
    return each | {"relay.act-each": partial(_each, table)}
