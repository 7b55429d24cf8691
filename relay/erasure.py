"""Erasing letters for the sake of a person: the body's key is destroyed, rows keep facts under pseudonyms.

Promises: what is still in custody, or whose sender is still to be told, is not erased but told; the row forgets and the
journal says so first, then the file goes: a crash between leaves an orphan, which the next sweep erases; the journal's
rows stay as they are, since they never held an identity, and verify. Erasing twice erases once. Does not: reach mail
that was delivered (Dovecot's), what a peer or a dossier holds, or copies (they live until they are destroyed).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, and_, exists, or_, select, update

from relay import journal
from relay.model import BodyRef, Event, State
from relay.spooler import SpoolClient, StoreRefused, Write
from relay.store.rows import letter_of
from relay.store.tables import letters, recipients

ERASED = "erased.invalid"
"""Domain of what stands in a row for an erased mailbox (RFC 6761 §6.4)."""
_OPEN = (State.QUEUED.value, State.RUNNING.value, State.HELD.value)


@dataclass(frozen=True)
class Found:
    """A letter to erase. `kept_for`: why not yet; empty if it can go."""

    letter_id: str
    received_at: datetime
    body: BodyRef
    kept_for: str


def of_mailbox(engine: Engine, tenant: str, address: str) -> list[Found]:
    """Letters from a mailbox or to it, oldest first. `address`: in lower case."""
    r = recipients.c
    to = exists(select(r.id).where(r.tenant == letters.c.tenant, r.letter_id == letters.c.id, r.address_key == address))
    return list(_found(engine, tenant, or_(letters.c.sender_key == address, to)))


def with_body(engine: Engine, tenant: str) -> Iterator[tuple[Found, Any]]:
    """Letters whose bytes are still here, each with its Letter: for who must look inside."""
    query = select(letters).where(letters.c.tenant == tenant, letters.c.body_name != "").order_by(letters.c.received_at)
    with engine.connect() as conn:
        rows = conn.execute(query).mappings().all()
    for row in rows:
        (found,) = _found(engine, tenant, letters.c.id == row["id"])
        yield found, letter_of(row)


def _found(engine: Engine, tenant: str, which: Any) -> Iterator[Found]:
    columns = (letters.c.id, letters.c.received_at, letters.c.body_name, letters.c.body_size, letters.c.body_digest)
    query = select(*columns, _open().label("open"), _untold().label("untold"))
    with engine.connect() as conn:
        rows = conn.execute(query.where(letters.c.tenant == tenant, which).order_by(letters.c.received_at)).all()
    for row in rows:
        kept_for = "in custody" if row.open else "its sender is to be told" if row.untold else ""
        yield Found(row.id, row.received_at, BodyRef(*row[2:5]), kept_for)


def _mine() -> Any:
    return and_(recipients.c.tenant == letters.c.tenant, recipients.c.letter_id == letters.c.id)


def _open() -> Any:
    return exists(select(recipients.c.id).where(_mine(), recipients.c.state.in_(_OPEN)))


def _untold() -> Any:
    return exists(select(recipients.c.id).where(_mine(), recipients.c.notice == "due"))


def erase(
    client: SpoolClient,
    tenant: str,
    found: Iterable[Found],
    names: Mapping[str, str],
    why: Mapping[str, str],
    destroy: Callable[[BodyRef], None],
) -> int:
    """Erases what can go; how many letters. `names`: address in lower case -> what stands for it from now on; `why`:
    facts for the journal (who asked, a pseudonym), never an identity. Raises StoreDown, OSError."""
    count = 0
    for each in found:
        if each.kept_for:
            continue
        if client.write("relay.erase", tenant, letter_id=each.letter_id, names=dict(names), why=dict(why)):
            count += 1
        if each.body.name:
            destroy(each.body)
    return count


# --- inside the spooler --------------------------------------------------------------------------------------


def _erase(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> bool:
    """False where nothing was left to erase."""
    of = (letters.c.tenant == tenant, letters.c.id == params["letter_id"])
    row = conn.execute(select(letters).where(*of)).mappings().one_or_none()
    if row is None:
        return False
    if conn.scalar(select(letters.c.id).where(*of, or_(_open(), _untold()))) is not None:
        raise StoreRefused("erase: not while it is in custody")
    names: Mapping[str, str] = params["names"]
    sender = names.get(row["sender_key"])
    forgotten = {"body_name": "", "trace": "", "proof": "{}", "message_id": ""}
    changed = {name: value for name, value in forgotten.items() if row[name] != value}
    if sender is not None:
        changed |= {"sender": sender, "sender_key": sender.lower()}
    if changed:
        conn.execute(update(letters).where(*of).values(**changed))
    if _forget_recipients(conn, tenant, params["letter_id"], names) or changed:
        journal.append(conn, tenant, [Event("erased", params["letter_id"], facts=tuple(params["why"].items()))], now)
        return True
    return False


def _forget_recipients(conn: Connection, tenant: str, letter_id: str, names: Mapping[str, str]) -> int:
    r, count = recipients, 0
    for address, name in names.items():
        mine = (r.c.tenant == tenant, r.c.letter_id == letter_id, r.c.address_key == address)
        gone = {"address": name, "address_key": name.lower(), "orcpt": "", "reference": ""}
        count += conn.execute(update(r).where(*mine).values(**gone)).rowcount
    return count


WRITES: dict[str, Write] = {"relay.erase": _erase}
