"""How long a settled letter's bytes are kept: the row stays as evidence, the body goes.

Promises: only a letter whose every recipient is settled, of which nobody is still to be told and whose last settling is
older than policy says, loses its body; the row forgets the name and the journal says so first, then the file goes: a
crash between leaves an orphan, which the next sweep erases. A body that is gone cannot be sent again: `resend` says so.
Does not: touch rows of patients or filings, or decide how long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, and_, exists, or_, select, update

from relay import journal
from relay.model import BodyRef, Event, State
from relay.spooler import SpoolClient, StoreRefused, Write
from relay.store.tables import letters, recipients

_log = structlog.get_logger(__name__)

GONE = ""
"""In a letter's body_name: its body was erased."""
_SETTLED = (State.DONE.value, State.FAILED.value)
AT_ONCE = 500


def forget(
    client: SpoolClient,
    engine: Engine,
    erase: Callable[[BodyRef], None],
    now: datetime,
    kept_for: timedelta,
    of: Mapping[str, timedelta] | None = None,
) -> int:
    """Erases what is due, up to AT_ONCE bodies of each policy; how many. `of`: tenants whose policy is another. Raises
    StoreDown, OSError; what is left is due next time."""
    own = of or {}
    count = _forget_due(client, erase, now - kept_for, _due(engine, now - kept_for, letters.c.tenant.not_in(own)))
    for tenant, for_it in own.items():
        before = now - for_it
        count += _forget_due(client, erase, before, _due(engine, before, letters.c.tenant == tenant))
    return count


def _forget_due(
    client: SpoolClient,
    erase: Callable[[BodyRef], None],
    before: datetime,
    due: Sequence[tuple[str, str, BodyRef]],
) -> int:
    count = 0
    for tenant, letter_id, body in due:
        if client.write("relay.forget", tenant, letter_id=letter_id, before=before.isoformat()):
            erase(body)
            count += 1
    if count:
        _log.info("bodies-erased", count=count)
    return count


def _due(engine: Engine, before: datetime, whose: Any) -> list[tuple[str, str, BodyRef]]:
    query = (
        select(letters.c.tenant, letters.c.id, letters.c.body_name, letters.c.body_size, letters.c.body_digest)
        .where(letters.c.body_name != GONE, letters.c.received_at < before, whose, ~_open(before))
        .order_by(letters.c.received_at)
        .limit(AT_ONCE)
    )
    with engine.connect() as conn:
        return [(row.tenant, row.id, BodyRef(*row[2:])) for row in conn.execute(query)]


def _open(before: datetime) -> Any:
    """A recipient for whose sake the body is still kept."""
    r = recipients.c
    mine = and_(r.tenant == letters.c.tenant, r.letter_id == letters.c.id)
    return exists(select(r.id).where(mine, or_(r.state.not_in(_SETTLED), r.notice == "due", r.settled_at >= before)))


# --- inside the spooler --------------------------------------------------------------------------------------


def _forget(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> bool:
    """Asked again inside the transaction: a resend may have come between."""
    before = datetime.fromisoformat(params["before"])
    mine = (letters.c.tenant == tenant, letters.c.id == params["letter_id"], letters.c.body_name != GONE)
    changed = conn.execute(update(letters).where(*mine, ~_open(before)).values(body_name=GONE))
    if not changed.rowcount:
        return False
    journal.append(conn, tenant, [Event("body-erased", params["letter_id"])], now)
    return True


def require_body(conn: Connection, tenant: str, letter_id: str) -> None:
    """Raises StoreRefused where the letter's bytes are gone."""
    held = conn.scalar(select(letters.c.body_name).where(letters.c.tenant == tenant, letters.c.id == letter_id))
    if held == GONE:
        raise StoreRefused("resend: its body was erased, as retention says")


WRITES: dict[str, Write] = {"relay.forget": _forget}
