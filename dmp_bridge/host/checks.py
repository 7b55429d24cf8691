"""What a lot, or a change, may not be against what is stored already (spec/dossier.md §8.3).

Promises: each check is one function that refuses by the norm's own code. Does not: write.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, func, select

from dmp_bridge.host import names, objects, tables
from dmp_bridge.host.amendment import NewStatus, NewVersion
from dmp_bridge.host.names import Code, refuse
from dmp_bridge.host.submission import Link, Lot

_FIXED = ("hash", "size", "repositoryUniqueId")


def patient_key(cx: str) -> str:
    """Identifier and authority of a CX: its type code (NH, PI) tells nothing about who it is."""
    return "^".join(cx.split("^")[:4])


def standing(connection: Connection, patient: str) -> tuple[bool, bool]:
    """(has a dossier, it is closed); where no patient is listed, every patient has one."""
    column = tables.patients.c
    closed = connection.scalar(select(column.closed).where(column.id == patient_key(patient)))
    if closed is not None:
        return True, bool(closed)
    return not connection.scalar(select(func.count()).select_from(tables.patients)), False


def lot(connection: Connection, held: Lot) -> None:
    """Raises Refused."""
    check_patient(connection, held)
    check_duplicates(connection, held)
    for link in held.links:
        check_target(connection, held, link)


def check_patient(connection: Connection, held: Lot) -> None:
    known, closed = standing(connection, held.patient_id)
    if not known:
        raise refuse(Code.UNKNOWN_PATIENT, "no dossier of this patient here")
    if closed:
        raise refuse(Code.CLOSED, "the dossier is closed")


def check_duplicates(connection: Connection, held: Lot) -> None:
    column = tables.entries.c
    wanted = [entry.unique_id for entry in held.entries]
    there = connection.execute(select(column.unique_id, column.sha1).where(column.unique_id.in_(wanted))).all()
    sent = {entry.unique_id: entry.sha1 for entry in held.entries}
    if any(sent[row.unique_id] != row.sha1 for row in there):
        raise refuse(Code.OTHER_HASH, "a document of that uniqueId is here, and it is another one")
    if there:
        raise refuse(Code.DUPLICATE, "a document of that uniqueId is here already")
    if connection.scalar(select(tables.lots.c.id).where(tables.lots.c.unique_id == held.unique_id)):
        raise refuse(Code.DUPLICATE, "a submission of that uniqueId is here already")
    ids = [held.id, *(each.id for each in held.entries), *(each.id for each in held.links)]
    for table in (tables.entries, tables.lots, tables.links):
        if connection.scalar(select(table.c.id).where(table.c.id.in_(ids))):
            raise refuse(Code.METADATA, "an entryUUID is in use already")


def check_target(connection: Connection, held: Lot, link: Link) -> None:
    """An end outside of the message is an entry of this patient; a replaced one is Approved."""
    if link.target == held.id or any(each.id == link.target for each in held.entries):
        return
    column = tables.entries.c
    row = connection.execute(select(column.patient_id, column.status).where(column.id == link.target)).first()
    if row is None:
        raise refuse(Code.UNRESOLVED, "the target of an association is not here")
    if patient_key(row.patient_id) != patient_key(held.patient_id):
        raise refuse(Code.OTHER_PATIENT, "the target of an association is another patient's")
    if row.status != names.APPROVED and link.kind != names.HAS_MEMBER:
        raise refuse(Code.DEPRECATED_TARGET, "the target of an association is not Approved any more")


# --- changes (ITI-57) ---------------------------------------------------------------------------------------------


def changed(connection: Connection, change: NewStatus | NewVersion, structure: str) -> Row[Any]:
    """The entry that may be changed so. Raises Refused."""
    column = tables.entries.c
    named = column.id == change.target if isinstance(change, NewStatus) else column.lid == change.lid
    row = connection.execute(select(tables.entries).where(named).order_by(column.version.desc())).first()
    if row is None:
        raise refuse(Code.UNRESOLVED, "what is to change is not here")
    check_author(row, structure)
    if isinstance(change, NewStatus):
        check_status(connection, row, change)
    else:
        check_version(row, change)
    return row


def check_author(row: Row[Any], structure: str) -> None:
    """Only the structure that wrote a document changes or deletes it (spec/dossier.md §1.6)."""
    if f"|{structure}|" not in row.institutions:
        raise refuse(Code.POLICY, "only a structure that wrote the document may change it")


def check_status(connection: Connection, row: Row[Any], change: NewStatus) -> None:
    newest = connection.scalar(select(func.max(tables.entries.c.version)).where(tables.entries.c.lid == row.lid))
    if row.version != newest or row.status != change.old:
        raise refuse(Code.VERSION, "the entry is not in that status any more")
    if change.old == change.new:
        raise refuse(Code.UPDATE, "the new status is the old one")


def check_version(row: Row[Any], change: NewVersion) -> None:
    if row.version != change.previous:
        raise refuse(Code.VERSION, "the entry was changed meanwhile")
    if row.status != names.APPROVED:
        raise refuse(Code.UPDATE, "the entry is not Approved")
    if patient_key(row.patient_id) != patient_key(change.patient_id):
        raise refuse(Code.PATIENT_CHANGES, "the patient may not change")
    told = {name: objects.slot(change.element, name) for name in _FIXED}
    own = {"hash": (row.sha1,), "size": (str(row.size),)}
    if row.unique_id != change.unique_id or any(told[name] not in ((), own[name]) for name in own):
        raise refuse(Code.UNMODIFIABLE, "uniqueId, hash and size may not change")
