"""What was said of a letter of ours moves its timeline, in the transaction that keeps the report.

Promises: an answer counts for recipients of a letter of this tenant that was handed over, named by its own Message-ID
or id, at the very address the letter went to; one that names another envelope counts for nothing; words only go
forward, so that a late or repeated report changes nothing; each move is a row of the journal. Does not: read reports
(relay.answers), or ask who may speak (relay.intake).

`pack` is called anywhere, the rest inside the spooler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, insert, or_, select, update

from relay import journal
from relay.answers import Answer
from relay.feedback import INITIAL
from relay.model import Event, Reason, State, Word
from relay.store import lanes, statements
from relay.store.rows import Held
from relay.store.statements import given, places
from relay.store.tables import destinations, letters, recipients

FORWARD = {
    Word.NONE: 0,
    Word.ASKED: 0,
    Word.AWAITED: 1,
    Word.SILENT: 2,
    Word.ARRIVED: 3,
    Word.DELETED: 4,
    Word.UNFILED: 5,
    Word.READ: 6,
    Word.FILED: 6,
    Word.UNDELIVERED: 7,
}
"""A word gives way to one as far, or further."""


def pack(answers: Iterable[Answer], scrub: Callable[[str], str]) -> list[dict[str, Any]]:
    """JSON-able. `scrub`: as the rows' own Message-IDs were."""
    return [
        {
            "event": each.event,
            "word": each.word,
            "addresses": [one.key for one in each.addresses],
            "ids": [scrub(one) for one in each.message_ids],
            "envelope": each.envelope_id,
            "code": each.code,
            "bounce": each.bounce or "",
        }
        for each in answers
    ]


def hear(conn: Connection, tenant: str, answers: Sequence[Mapping[str, Any]], now: datetime) -> int:
    """How many recipients were moved."""
    return sum(_hear(conn, tenant, answer, row, now) for answer in answers for row in _meant(conn, tenant, answer))


def _meant(conn: Connection, tenant: str, answer: Mapping[str, Any]) -> Sequence[Held]:
    told = {"ids": list(answer["ids"]) or [""], "addresses": list(answer["addresses"]), "envelope": answer["envelope"]}
    given_ones = {f"given_{name}": value for name, value in told.items()}
    return conn.execute(_named(), places(tenant=tenant) | given_ones).mappings().all()


@cache
def _named() -> Select[Any]:
    """tenant, ids (Message-IDs), envelope, addresses (keys) -> recipients that were handed over."""
    r, of = recipients.c, letters.c
    ids: Any = bindparam("given_ids", type_=of.message_id.type, expanding=True)
    names: Any = bindparam("given_addresses", type_=r.address_key.type, expanding=True)
    envelope = bindparam("given_envelope", type_=of.id.type)
    by_name = of.message_id.in_(ids) & or_(of.envid == "", envelope == "", of.envid == envelope)
    mine = select(of.id).where(of.tenant == given(of.tenant), or_(by_name, of.id == envelope))
    here = (r.tenant == given(r.tenant), r.letter_id.in_(mine), r.address_key.in_(names))
    return select(recipients).where(*here, r.state == State.DONE.value, r.mode.not_like("dossier%"))


def _hear(conn: Connection, tenant: str, answer: Mapping[str, Any], row: Held, now: datetime) -> bool:
    word, before = answer["word"], Word(row["word"])
    if word is not None and not moves(before, Word(word)):
        return False
    values: dict[str, Any] = {} if word is None else {"word": word}
    if word == Word.UNDELIVERED:
        reason = {"reason": Reason.PEER_REFUSED.value, "reference": f"report {answer['code']}".strip()}
        values |= {"state": State.FAILED.value, "settled_at": now, **reason}
    if values:
        conn.execute(statements.move_recipient(), places(tenant=tenant, id=row["id"]) | values)
    told = {"code": answer["code"], "note": answer["bounce"], "minutes": _minutes(word, row, now)}
    facts = tuple((name, said) for name, said in told.items() if said)
    journal.append(conn, tenant, [Event(answer["event"], row["letter_id"], row["id"], facts)], now)
    _answers(conn, lanes.end_of(row), now)
    return True


def _minutes(word: str | None, row: Held, now: datetime) -> str:
    """How long after it was handed over a letter was read; '' of all other words."""
    if word != Word.READ or row["settled_at"] is None:
        return ""
    return str(max(0, int((now - row["settled_at"]).total_seconds() // 60)))


def moves(before: Word, word: Word) -> bool:
    """What was read or filed is delivered, whatever a server says later."""
    if word is Word.UNDELIVERED and FORWARD[before] >= FORWARD[Word.DELETED]:
        return False
    return word is not before and FORWARD[word] >= FORWARD[before]


def _answers(conn: Connection, destination: str, now: datetime) -> None:
    """This destination has been seen to answer."""
    d = destinations.c
    known = update(destinations).where(d.tenant == lanes.NODE, d.destination == destination)
    if not conn.execute(known.values(answered_at=now)).rowcount:
        row = {"width": INITIAL, "failures": 0, "reason": "", "answered_at": now}
        conn.execute(insert(destinations), {"tenant": lanes.NODE, "destination": destination, **row})
