"""Keeps lots: all of one in one transaction, or nothing of it; and changes what is kept (spec/dossier.md §8.3, "Rules
against the store").

Promises: a known uniqueId is refused, by XDSDuplicateUniqueIdInRegistry when the bytes are the same and by
XDSNonIdenticalHash when they are not; what a lot replaces is Approved before and Deprecated after; only a structure
that wrote an entry changes it; the row that tells of an access is in the transaction of what was done. Does not: read
messages (submission.py, amendment.py), nor answer queries (finding.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Engine, insert, select, update

from dmp_bridge.host import checks, names, objects, tables
from dmp_bridge.host.amendment import NewStatus, NewVersion
from dmp_bridge.host.callers import Caller
from dmp_bridge.host.contents import Batch, Contents
from dmp_bridge.host.stored import amended_entry, real_ids, stored_entry, stored_link, stored_lot
from dmp_bridge.host.submission import Entry, Link, Lot, institutions


class Wrong(StrEnum):
    """Ways in which this host can be told to lie, so that its clients can be shown to notice."""

    SUCCESS_WITHOUT_STORING = "success-without-storing"
    WRONG_HASH = "wrong-hash"
    HALF_SUCCESS = "half-success"


@dataclass(frozen=True)
class Access:
    """What is journalled of one request: never about whom."""

    action: str
    caller: Caller


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

    # --- what may be done ---------------------------------------------------------------------------------------

    def keep(self, lot: Lot, batch: Batch, access: Access) -> None:
        """Stores the lot. Raises Refused: then nothing of it is kept; OSError where the disk is full."""
        with self._one_writer:
            if self._wrong is Wrong.SUCCESS_WITHOUT_STORING:
                return
            batch.settle()
            with self.engine.begin() as connection:
                checks.lot(connection, lot)
                self._insert(connection, lot)
                self._note(connection, access, "Success", len(lot.entries))
        if self._wrong is Wrong.HALF_SUCCESS:
            self.contents.drop([each.kept.name for each in lot.entries[len(lot.entries) // 2 :]])

    def amend(self, element: Any, change: NewStatus | NewVersion, access: Access) -> None:
        """Carries out an ITI-57 request, whose SubmissionSet is `element`. Raises Refused."""
        with self._one_writer, self.engine.begin() as connection:
            row = checks.changed(connection, change, access.caller.structure)
            if isinstance(change, NewStatus):
                _set_status(connection, change.target, change.new)
            else:
                self._insert_version(connection, change, row)
            self._note(connection, access, "Success", 1)

    def note(self, access: Access, outcome: str, objects: int = 0) -> None:
        """One row: when, what, by whom, how it went, how many objects."""
        with self._one_writer, self.engine.begin() as connection:
            self._note(connection, access, outcome, objects)

    def admit(self, patient_ids: Iterable[str], closed: Iterable[str] = ()) -> None:
        """Makes these the patients that have a dossier, some of them closed; without any, every patient has one."""
        shut = set(closed)
        with self._one_writer, self.engine.begin() as connection:
            connection.execute(tables.patients.delete())
            for each in sorted({*patient_ids, *shut}):
                connection.execute(insert(tables.patients).values(id=each, closed=each in shut))

    def now(self) -> datetime:
        return self._clock()

    def standing(self, patient: str) -> tuple[bool, bool]:
        """Whether a patient has a dossier here, and whether it is closed."""
        with self.engine.connect() as connection:
            return checks.standing(connection, patient)

    # --- rows ---------------------------------------------------------------------------------------------------

    def _insert(self, connection: Connection, lot: Lot) -> None:
        fresh = [f"urn:uuid:{uuid4()}" for _ in range(1 + len(lot.entries) + len(lot.links))]
        ids = real_ids(lot, fresh)
        held = {"id": ids[lot.id], "unique_id": lot.unique_id, "patient_id": lot.patient_id}
        row = {"source_id": lot.source_id, "xml": stored_lot(lot, ids)}
        connection.execute(insert(tables.lots).values(**held, **row))
        rows = [self._entry(entry, ids, ids[lot.id]) for entry in lot.entries]
        if rows:
            connection.execute(insert(tables.entries), rows)
        for link in lot.links:
            _insert_link(connection, link, ids, ids[lot.id])

    def _entry(self, entry: Entry, ids: dict[str, str], lot_id: str) -> dict[str, Any]:
        said = "0" * 40 if self._wrong is Wrong.WRONG_HASH else entry.sha1
        return {
            "id": ids[entry.id],
            "lid": ids[entry.id],
            "unique_id": entry.unique_id,
            "version": 1,
            "patient_id": entry.patient_id,
            "lot_id": lot_id,
            "status": names.APPROVED,
            "sha1": entry.sha1,
            "size": entry.size,
            "mime_type": entry.mime_type,
            "file": entry.kept.name,
            **_whose(entry.element),
            "xml": stored_entry(entry, ids, self.repository_id, said),
        }

    def _insert_version(self, connection: Connection, change: NewVersion, row: Any) -> None:
        """The new version has the old one's status and document; the old one is Deprecated."""
        name, number = f"urn:uuid:{uuid4()}", row.version + 1
        own = {"hash": row.sha1, "size": str(row.size), "repositoryUniqueId": self.repository_id}
        kept = {each: getattr(row, each) for each in ("lid", "unique_id", "patient_id", "lot_id", "status")}
        kept |= {each: getattr(row, each) for each in ("sha1", "size", "mime_type", "file")}
        xml = amended_entry(change.element, change.id, name, change.lid, number, own)
        whose = _whose(change.element)
        connection.execute(insert(tables.entries).values(id=name, version=number, **kept, **whose, xml=xml))
        _set_status(connection, row.id, names.DEPRECATED)
        # Of a masked entry no earlier version is shown either.
        versions = update(tables.entries).where(tables.entries.c.lid == row.lid)
        connection.execute(versions.values(masked=whose["masked"]))

    def _note(self, connection: Connection, access: Access, outcome: str, objects: int) -> None:
        at = self._clock().astimezone(UTC).replace(tzinfo=None)
        row = {"action": access.action[:128], "outcome": outcome[:128], "objects": objects}
        who = {"certificate": access.caller.certificate, "structure": access.caller.structure[:64]}
        connection.execute(insert(tables.accesses).values(at=at, **row, **who))


def _whose(element: Any) -> dict[str, Any]:
    """Who wrote an entry, and whether it is hidden from others."""
    written = "".join(f"|{each}" for each in sorted(institutions(element, names.ENTRY_AUTHOR)))
    masks = {code for code, _ in objects.codes(element, names.ENTRY_CONFIDENTIALITY)}
    return {"institutions": f"{written}|"[:512], "masked": names.MASKED in masks}


def _set_status(connection: Connection, name: str, status: str) -> None:
    connection.execute(update(tables.entries).where(tables.entries.c.id == name).values(status=status))


def _insert_link(connection: Connection, link: Link, ids: dict[str, str], lot_id: str) -> None:
    source, target = ids[link.source], ids.get(link.target, link.target)
    row = {"id": ids[link.id], "kind": link.kind, "source": source, "target": target, "lot_id": lot_id}
    connection.execute(insert(tables.links).values(xml=stored_link(link, ids), **row))
    if link.kind in names.DEPRECATING:
        _set_status(connection, target, names.DEPRECATED)
