"""Erasing letters for the sake of a person: the body's key is destroyed, rows keep facts under pseudonyms.

Promises: what is still in custody, or whose sender is still to be told, is not erased but told; the row forgets and the
journal says so first, then the file goes: a crash between leaves an orphan, which the next sweep erases; the journal's
rows stay as they are, since they never held a patient's identity, and verify. Erasing twice erases once. What was
counted for the mailbox is counted for its pseudonym from then on. Does not: reach mail that was delivered (Dovecot's),
what a peer or a dossier holds, or copies (they live until they are destroyed).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, and_, delete, exists, func, or_, select, update

from relay import indicators, journal
from relay.model import BodyRef, Event, State
from relay.spooler import SpoolClient, StoreRefused, Write
from relay.store.publications import publications
from relay.store.rows import letter_of
from relay.store.tables import letters, policies, recipients

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


@dataclass(frozen=True)
class Kept:
    """What a mailbox left beside its letters: values of policy that were set for it, and its row in the outbox to the
    national directory, which stays until it is published no more."""

    policies: int
    publications: int
    published: bool


def beside(engine: Engine, tenant: str, address: str) -> Kept:
    """`address`: in lower case."""
    with engine.connect() as conn:
        set_for, rows = (
            conn.scalar(select(func.count()).where(*where)) or 0
            for where in (_set_for(tenant, address), _row(tenant, address))
        )
        published = conn.scalar(select(func.count()).where(*_row(tenant, address), ~_gone())) or 0
    return Kept(set_for, rows, published > 0)


def forget(client: SpoolClient, tenant: str, address: str, why: Mapping[str, str]) -> int:
    """Takes them out, but for what is still published; how many rows. Raises StoreDown."""
    return int(client.write("relay.forget-mailbox", tenant, address=address, why=dict(why)))


def _set_for(tenant: str, address: str) -> tuple[Any, ...]:
    return policies.c.tenant == tenant, policies.c.level == "mailbox", policies.c.holder == address


def _row(tenant: str, address: str) -> tuple[Any, ...]:
    return publications.c.tenant == tenant, func.lower(publications.c.address) == address


def _gone() -> Any:
    p = publications.c
    return and_(p.wanted == "", p.published == "", p.state == "done")


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
    counted = indicators.tallied(conn, tenant, params["letter_id"])
    if changed:
        conn.execute(update(letters).where(*of).values(**changed))
    if _forget_recipients(conn, tenant, params["letter_id"], names) or changed:
        indicators.moved(conn, tenant, counted, indicators.tallied(conn, tenant, params["letter_id"]))
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


def _forget_mailbox(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> int:
    count = conn.execute(delete(policies).where(*_set_for(tenant, params["address"]))).rowcount
    count += conn.execute(delete(publications).where(*_row(tenant, params["address"]), _gone())).rowcount
    if count:
        facts = (*params["why"].items(), ("rows", str(count)))
        journal.append(conn, tenant, [Event("forgotten", facts=facts)], now)
    return int(count)


WRITES: dict[str, Write] = {"relay.erase": _erase, "relay.forget-mailbox": _forget_mailbox}
