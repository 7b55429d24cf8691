"""How identities come into the register: from the hospital's bus, a file, or a caller of `put`.

Promises: identities are sealed and numbers become pseudonyms before they leave the caller, so that a door can enrol
whom it cannot read back; a matricule that is borne no more stays, with its dates, and still finds; what a source said
earlier never undoes what it said later; one message is one transaction. Does not: open an identity, match, or call
INSi.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Protocol

from sqlalchemy import Connection, insert, select, update

from dmp_bridge import links, oppositions
from dmp_bridge.matching import plain
from dmp_bridge.model import Flag, Patient
from dmp_bridge.tables import patient_identifiers as identifiers
from dmp_bridge.tables import patients as table
from relay import journal
from relay.model import Event
from relay.pseudonym import Pseudonyms
from relay.spooler import StoreRefused

BATCH = 200
CSV = "csv"

Row = dict[str, Any]
Seal = Callable[[bytes], bytes]


class Writer(Protocol):
    """The part of relay's SpoolClient that is needed here."""

    def write(self, name: str, tenant: str, **params: Any) -> Any: ...


@dataclass(frozen=True, repr=False)
class Notice:
    """What one message of the bus says of one patient."""

    event: str
    patient: Patient
    source: str
    said_at: datetime
    priors: tuple[Patient, ...] = ()
    """Identities that are this patient's too: A40."""
    named_only: bool = False
    """The patient is but named, by a number that is known: nothing of him is changed."""
    flags: tuple[tuple[Flag, bool], ...] = ()
    """What he refuses (True) or refuses no more; a flag of which nothing is said is not among them."""
    flagged_at: datetime | None = None
    ins_source: str = field(default="")
    """How the identity was obtained (ZFD-5), e.g. INSI."""


# --- in the caller's process ----------------------------------------------------------------------------------------


def put(
    client: Writer,
    tenant: str,
    patients: Sequence[Patient],
    pseudonyms: Pseudonyms,
    seal: Seal,
    source: str = CSV,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Writes or replaces patients; the key is the first local identifier, else the INS. Answers how many. `progress` is
    told how many more are written. Raises ValueError for one without an identifier, and what the spooler raises."""
    rows = {row["id"]: row for row in (row_of(patient, pseudonyms, seal, source) for patient in patients)}
    kept = list(rows.values())
    for start in range(0, len(kept), BATCH):
        client.write("patients.put", tenant, rows=kept[start : start + BATCH])
        progress(len(kept[start : start + BATCH]))
    return len(kept)


@dataclass(frozen=True)
class Fed:
    """What became of a message."""

    outcome: str
    """'new', 'changed', 'older', or 'kept' where he was but named."""
    patient_id: str
    lifted: bool
    """Something that he refused he refuses no more: what waited for that may go."""
    same: bool = False
    """What was said was known already, word for word."""


def feed(client: Writer, tenant: str, notice: Notice, pseudonyms: Pseudonyms, seal: Seal) -> Fed:
    """Enrols what a message says, in one transaction. Raises as `put`, and StoreRefused where the message contradicts
    the register."""
    said = notice.said_at.isoformat()
    source = pseudonyms.scrub(notice.source)
    made = {"event": notice.event, "source": source, "ins_source": notice.ins_source}
    rows = [row_of(each, pseudonyms, seal, source, said) for each in (notice.patient, *notice.priors)]
    flags = [[flag.value, on] for flag, on in notice.flags]
    at = (notice.flagged_at or notice.said_at).isoformat()
    told = {**made, "row": rows[0], "priors": rows[1:], "flags": flags, "flagged_at": at}
    return Fed(**client.write("patients.feed", tenant, **told, named_only=notice.named_only))


def row_of(patient: Patient, pseudonyms: Pseudonyms, seal: Seal, source: str, said_at: str = "") -> Row:
    """A patient as a row: JSON-able, sealed, without a value in clear."""
    known = list(_identifiers(patient, pseudonyms, seal))
    if not known:
        raise ValueError("a patient needs an identifier")
    ins = next((each["key"] for each in known if each["kind"] == "ins"), "")
    local = next((each["key"] for each in known if each["kind"] == "local"), "")
    return {
        "id": patient.id or local or ins,
        "ins": ins,
        "status": patient.ins_status.value,
        "identity": _text(seal(serialised(patient))),
        "source": source,
        "said_at": said_at,
        "birth_key": birth_key(patient, pseudonyms),
        "name_key": name_key(patient, pseudonyms),
        "content_key": content_key(patient, pseudonyms),
        "identifiers": known,
    }


def _identifiers(patient: Patient, pseudonyms: Pseudonyms, seal: Seal) -> Iterator[Row]:
    if patient.ins:
        sealed = _text(seal(patient.ins.value.encode()))
        yield {"kind": "ins", "key": pseudonyms.of(patient.ins.value), "root": patient.ins.root, "sealed": sealed}
    for root, value in patient.local_ids:
        key = local_key(root, value, pseudonyms)
        yield {"kind": "local", "key": key, "root": root, "sealed": _text(seal(value.encode()))}


def local_key(root: str, value: str, pseudonyms: Pseudonyms) -> str:
    """By which a local number is found."""
    return pseudonyms.of(f"{root}^{value}")


def birth_key(patient: Patient, pseudonyms: Pseudonyms) -> str:
    """By which people born on one day are found; '' where it is not said."""
    born = patient.traits.birth_date
    return pseudonyms.of(f"born:{born.isoformat()}") if born else ""


def name_key(patient: Patient, pseudonyms: Pseudonyms) -> str:
    """By which people of one birth name and first given name are found."""
    names = (plain(patient.traits.birth_name), plain(patient.traits.first_given_name))
    return pseudonyms.of(f"named:{'|'.join(names)}") if all(names) else ""


def content_key(patient: Patient, pseudonyms: Pseudonyms) -> str:
    """By which what is said again is known again, by a process that cannot open what is held."""
    said = patient.ins_status.value.encode() + b" " + serialised(patient)
    return pseudonyms.of(f"said:{sha256(said).hexdigest()}")


def serialised(patient: Patient) -> bytes:
    """What is sealed; dmp_bridge.patients reads it back."""
    traits = patient.traits
    held = {
        "ins": [patient.ins.value, patient.ins.root] if patient.ins else None,
        "birth_name": traits.birth_name,
        "first_given_name": traits.first_given_name,
        "given_names": traits.given_names,
        "birth_date": traits.birth_date.isoformat() if traits.birth_date else "",
        "sex": traits.sex,
        "birth_place": traits.birth_place,
        "local_ids": patient.local_ids,
    }
    return json.dumps(held, ensure_ascii=False).encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


# --- in the spooler -------------------------------------------------------------------------------------------------


def _put(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> int:
    for row in params["rows"]:
        _enrol(conn, tenant, row, now)
    return len(params["rows"])


def _feed(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """One message: the patient, those that are he too, and what he refuses."""
    row_id, outcome, same = _said_of(conn, tenant, params, now)
    source, event = params["source"], params["event"]
    facts = {"event": event, "patient": row_id, "source": source, "outcome": outcome, "obtained": params["ins_source"]}
    journal.append(conn, tenant, [Event("patient-fed", facts=tuple(facts.items()))], now)
    for prior in params["priors"]:
        prior_id, _ = _enrol(conn, tenant, prior, now, known_only=True)
        made = links.Made(links.MERGE, prior_id, row_id, source, source, event)
        links.merge(conn, tenant, made, now)
    before = oppositions.flags(conn, tenant, [row_id])
    lifted = False
    for flag, on in params["flags"]:
        said = oppositions.Said(row_id, Flag(flag), source, datetime.fromisoformat(params["flagged_at"]))
        lifted |= oppositions.heard(conn, tenant, said, on=on, now=now)
    same = same and oppositions.flags(conn, tenant, [row_id]) == before
    return {"outcome": outcome, "patient_id": row_id, "lifted": lifted, "same": same}


def _said_of(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> tuple[str, str, bool]:
    """(row id, outcome, whether all of it was known) of the patient of one message."""
    row = params["row"]
    held = _held(conn, tenant, row)
    if params.get("named_only"):
        if held is None:
            raise StoreRefused("no such patient")
        return held.id, "kept", False
    same = held is not None and held.content_key == row["content_key"] and not held.merged
    return (*_enrol(conn, tenant, row, now), same)


def _enrol(conn: Connection, tenant: str, row: Row, now: datetime, *, known_only: bool = False) -> tuple[str, str]:
    """(row id, 'new' | 'changed' | 'older' | 'kept'). `known_only`: of an identity that is known nothing is changed,
    since a merge names it by its number alone."""
    held = _held(conn, tenant, row)
    row_id = held.id if held is not None else row["id"]
    if held is not None and (known_only or _older(row, held)):
        return row_id, "kept" if known_only else "older"
    said = datetime.fromisoformat(row["said_at"]) if row["said_at"] else None
    told = {name: row[name] for name in ("ins", "status", "source", "birth_key", "name_key", "content_key")}
    values = {**told, "identity": base64.b64decode(row["identity"]), "said_at": said, "updated_at": now}
    if held is None:
        conn.execute(insert(table).values(tenant=tenant, id=row_id, merged=False, merged_into="", **values))
    else:
        conn.execute(update(table).where(table.c.tenant == tenant, table.c.id == row_id).values(**values))
    _identify(conn, tenant, row_id, row, now)
    return row_id, "new" if held is None else "changed"


def _held(conn: Connection, tenant: str, row: Row) -> Any:
    """The row that this identity has: by its id, else by any of its local numbers."""
    own = conn.execute(select(table).where(table.c.tenant == tenant, table.c.id == row["id"])).one_or_none()
    keys = [each["key"] for each in row["identifiers"] if each["kind"] == "local"]
    if own is not None or not keys:
        return own
    named = select(identifiers.c.patient_id).where(
        identifiers.c.tenant == tenant, identifiers.c.kind == "local", identifiers.c.key.in_(keys)
    )
    chosen = select(table).where(table.c.tenant == tenant, table.c.id.in_(named))
    return conn.execute(chosen.order_by(table.c.id).limit(1)).one_or_none()


def _older(row: Row, held: Any) -> bool:
    """Its source has said something later since: messages overtake each other, and are sent again."""
    if not row["said_at"] or held.said_at is None or held.source != row["source"]:
        return False
    earlier: bool = datetime.fromisoformat(row["said_at"]) < held.said_at
    return earlier


def _identify(conn: Connection, tenant: str, row_id: str, row: Row, now: datetime) -> None:
    """Numbers are added; a matricule that is not named any more ends, and stays (spec/dossier.md §6.2)."""
    held = identifiers.c
    mine = (held.tenant == tenant, held.patient_id == row_id)
    ended = update(identifiers).where(*mine, held.kind == "ins", held.key != row["ins"], held.until.is_(None))
    conn.execute(ended.values(until=now))
    for each in row["identifiers"]:
        place = {name: each[name] for name in ("kind", "key", "root")}
        again = update(identifiers).where(*mine, *(held[name] == value for name, value in place.items()))
        if conn.execute(again.values(until=None)).rowcount == 0:
            sealed = base64.b64decode(each["sealed"])
            fresh = {**place, "sealed": sealed, "source": row["source"], "since": now, "until": None}
            conn.execute(insert(identifiers).values(tenant=tenant, patient_id=row_id, **fresh))


WRITES: dict[str, Callable[[Connection, str, Mapping[str, Any], datetime], Any]] = {
    "patients.put": _put,
    "patients.feed": _feed,
}
