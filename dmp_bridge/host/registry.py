"""Keeps lots: all of one in one transaction, or nothing of it (spec/dossier.md §8.3, "Rules against the
store").

Promises: a known uniqueId is refused, by XDSDuplicateUniqueIdInRegistry when the bytes are the same and by
XDSNonIdenticalHash when they are not; what a lot replaces is Approved before and Deprecated after. Does
not: read messages (submission.py), nor answer queries (finding.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from uuid import uuid4

from sqlalchemy import Connection, Engine, func, insert, select, update

from dmp_bridge.host import names, tables
from dmp_bridge.host.contents import Contents
from dmp_bridge.host.names import Code, refuse
from dmp_bridge.host.stored import real_ids, stored_entry, stored_link, stored_lot
from dmp_bridge.host.submission import Link, Lot


class Wrong(StrEnum):
    """Ways in which this host can be told to lie, so that its clients can be shown to notice."""

    SUCCESS_WITHOUT_STORING = "success-without-storing"
    WRONG_HASH = "wrong-hash"
    HALF_SUCCESS = "half-success"


class Registry:
    def __init__(
        self,
        engine: Engine,
        contents: Contents,
        repository_id: str,
        clock: Callable[[], datetime],
        wrong: Wrong | None = None,
    ) -> None:
        self.engine = engine
        self.contents = contents
        self.repository_id = repository_id
        self._clock = clock
        self._wrong = wrong
        self._one_writer = threading.Lock()
        with engine.connect() as connection:
            contents.sweep(set(connection.scalars(select(tables.entries.c.file))))

    def keep(self, lot: Lot) -> None:
        """Stores the lot. Raises Refused: then nothing of it is kept; OSError where the disk is full."""
        with self._one_writer:
            if self._wrong is Wrong.SUCCESS_WITHOUT_STORING:
                return
            files: list[str] = []
            try:
                with self.engine.begin() as connection:
                    self._judge(connection, lot)
                    files += self._keep_documents(lot)
                    self._insert(connection, lot, files)
            except BaseException:
                self.contents.drop(files)
                raise

    def _keep_documents(self, lot: Lot) -> list[str]:
        kept: list[str] = []
        try:
            for entry in lot.entries:
                kept.append(self.contents.keep(entry.content))
            self.contents.settle()
        except OSError:
            self.contents.drop(kept)
            raise
        if self._wrong is Wrong.HALF_SUCCESS:
            self.contents.drop(kept[len(kept) // 2 :])
        return kept

    def _judge(self, connection: Connection, lot: Lot) -> None:
        _check_patient(connection, lot)
        _check_duplicates(connection, lot)
        for link in lot.links:
            _check_target(connection, lot, link)

    def _insert(self, connection: Connection, lot: Lot, files: list[str]) -> None:
        fresh = [f"urn:uuid:{uuid4()}" for _ in range(1 + len(lot.entries) + len(lot.links))]
        ids = real_ids(lot, fresh)
        held = {"id": ids[lot.id], "unique_id": lot.unique_id, "patient_id": lot.patient_id}
        row = {"source_id": lot.source_id, "xml": stored_lot(lot, ids)}
        connection.execute(insert(tables.lots).values(**held, **row))
        for entry, file in zip(lot.entries, files, strict=True):
            said = "0" * 40 if self._wrong is Wrong.WRONG_HASH else entry.sha1
            connection.execute(
                insert(tables.entries).values(
                    id=ids[entry.id],
                    lid=ids[entry.id],
                    unique_id=entry.unique_id,
                    patient_id=entry.patient_id,
                    lot_id=ids[lot.id],
                    status=names.APPROVED,
                    sha1=entry.sha1,
                    size=entry.size,
                    mime_type=entry.mime_type,
                    file=file,
                    xml=stored_entry(entry, ids, self.repository_id, said),
                )
            )
        for link in lot.links:
            _insert_link(connection, link, ids, ids[lot.id])

    def note(self, action: str, certificate: str, outcome: str, objects: int = 0) -> None:
        """One row per access: when, what, by whom, how it went, how many objects. Never about whom."""
        row = {
            "action": action[:128],
            "certificate": certificate,
            "outcome": outcome[:128],
            "objects": objects,
        }
        at = self._clock().astimezone(UTC).replace(tzinfo=None)
        with self._one_writer, self.engine.begin() as connection:
            connection.execute(insert(tables.accesses).values(at=at, **row))

    def admit(self, patient_ids: list[str]) -> None:
        """Makes these the patients that have a dossier; without any, every patient has one."""
        with self._one_writer, self.engine.begin() as connection:
            connection.execute(tables.patients.delete())
            for each in sorted(set(patient_ids)):
                connection.execute(insert(tables.patients).values(id=each))


def patient_key(cx: str) -> str:
    """Identifier and authority of a CX: its type code (NH, PI) tells nothing about who it is."""
    return "^".join(cx.split("^")[:4])


def _check_patient(connection: Connection, lot: Lot) -> None:
    listed = connection.scalar(select(func.count()).select_from(tables.patients))
    column = tables.patients.c.id
    known = connection.scalar(select(column).where(column == patient_key(lot.patient_id)))
    if listed and known is None:
        raise refuse(Code.UNKNOWN_PATIENT, "no dossier of this patient here")


def _check_duplicates(connection: Connection, lot: Lot) -> None:
    held = tables.entries.c
    for entry in lot.entries:
        sha1 = connection.scalar(select(held.sha1).where(held.unique_id == entry.unique_id))
        if sha1 is not None and sha1 != entry.sha1:
            raise refuse(Code.OTHER_HASH, "a document of that uniqueId is here, and it is another one")
        if sha1 is not None:
            raise refuse(Code.DUPLICATE, "a document of that uniqueId is here already")
    if connection.scalar(select(tables.lots.c.id).where(tables.lots.c.unique_id == lot.unique_id)):
        raise refuse(Code.DUPLICATE, "a submission of that uniqueId is here already")
    ids = [lot.id, *(each.id for each in lot.entries), *(each.id for each in lot.links)]
    for table in (tables.entries, tables.lots, tables.links):
        if connection.scalar(select(table.c.id).where(table.c.id.in_(ids))):
            raise refuse(Code.METADATA, "an entryUUID is in use already")


def _check_target(connection: Connection, lot: Lot, link: Link) -> None:
    """An end outside of the message is an entry of this patient; a replaced one is Approved."""
    if link.target == lot.id or any(each.id == link.target for each in lot.entries):
        return
    held = tables.entries.c
    row = connection.execute(select(held.patient_id, held.status).where(held.id == link.target)).first()
    if row is None:
        raise refuse(Code.UNRESOLVED, "the target of an association is not here")
    if patient_key(row.patient_id) != patient_key(lot.patient_id):
        raise refuse(Code.OTHER_PATIENT, "the target of an association is another patient's")
    if row.status != names.APPROVED and link.kind != names.HAS_MEMBER:
        raise refuse(Code.DEPRECATED_TARGET, "the target of an association is not Approved any more")


def _insert_link(connection: Connection, link: Link, ids: dict[str, str], lot_id: str) -> None:
    source, target = ids[link.source], ids.get(link.target, link.target)
    row = {"id": ids[link.id], "kind": link.kind, "source": source, "target": target, "lot_id": lot_id}
    connection.execute(insert(tables.links).values(xml=stored_link(link, ids), **row))
    if link.kind in names.DEPRECATING:
        replaced = update(tables.entries).where(tables.entries.c.id == target)
        connection.execute(replaced.values(status=names.DEPRECATED))
