"""The gate's questions: does this letter's patient object to its going to this recipient? Is this patient's address
made of a qualified INS of our register?

Promises: answered by pseudonyms alone, without opening an identity, and without reading a letter where nobody objects
to anything. Does not: see into an encrypted letter, note an objection, or refuse (relay.gate does).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Select, or_, select

from directory.model import Address
from dmp_bridge import candidates
from dmp_bridge.model import Document, Flag, InsStatus, Patient
from dmp_bridge.oppositions import family, flags
from dmp_bridge.tables import oppositions as table
from dmp_bridge.tables import patient_identifiers as identifiers
from dmp_bridge.tables import patients
from relay.message import Message
from relay.model import Addressee
from relay.pseudonym import Pseudonyms


class Gatekeeper:
    """Answers relay.gate (Opposed): does this letter's patient object to its going to this recipient?

    What a letter is about is read only where somebody objects to mail about him or waits for an announcement: an
    archive is not opened at the door for nothing. An encrypted letter is not opened at all: what it is about, nobody
    knows here.
    """

    def __init__(self, engine: Engine, tenant: str, pseudonyms: Pseudonyms) -> None:
        self._engine, self._tenant, self._pseudonyms = engine, tenant, pseudonyms

    def __call__(self, message: Message, addressee: Addressee) -> bool:
        with self._engine.connect() as conn:
            standing = self._standing(conn)
            if not standing:
                return False
            to_patient = addressee.address.is_patient
            if to_patient and Flag.MAIL_TO in self._flags_of_address(conn, addressee.address):
                return True
            wanted = Flag.NOT_VISIBLE if to_patient else Flag.MAIL_ABOUT
            return wanted in standing and self._about(conn, message, wanted)

    def qualified(self, address: Address) -> bool | None:
        """Answers relay.gate (Qualified), by the pseudonym of the local part. A matricule that was borne formerly, or
        by two patients, is not one to write to."""
        key = self._pseudonyms.of(address.local)
        with self._engine.connect() as conn:
            bearers = conn.execute(self._bearers(key)).all()
            formerly = conn.execute(self._formerly(key)).first()
        now = [each.status for each in bearers if not each.merged_into]
        if now:
            return now == [InsStatus.QUALIFIED]
        return False if bearers or formerly else None

    def _bearers(self, key: str) -> Select[Any]:
        held = patients.c
        return select(held.status, held.merged_into).where(held.tenant == self._tenant, held.ins == key)

    def _formerly(self, key: str) -> Select[Any]:
        held = identifiers.c
        return select(held.key).where(held.tenant == self._tenant, held.kind == "ins", held.key == key).limit(1)

    def _standing(self, conn: Connection) -> frozenset[str]:
        held = table.c
        asked = (Flag.MAIL_TO.value, Flag.MAIL_ABOUT.value, Flag.NOT_VISIBLE.value)
        chosen = select(held.flag).distinct()
        chosen = chosen.where(held.tenant == self._tenant, held.lifted_at.is_(None), held.flag.in_(asked))
        return frozenset(conn.scalars(chosen))

    def _flags_of_address(self, conn: Connection, address: Address) -> frozenset[Flag]:
        """The local part of a patient's address is his matricule (payload §1.5)."""
        return self._flags(conn, [("ins", self._pseudonyms.of(address.local))], ())

    def _about(self, conn: Connection, message: Message, wanted: Flag) -> bool:
        documents = [each for each in candidates.documents(message) if isinstance(each, Document)]
        keys = {key for each in documents for key in self._keys(each.patient)}
        return bool(keys) and wanted in self._flags(conn, sorted(keys), [each.unique_id for each in documents])

    def _keys(self, patient: Patient) -> set[tuple[str, str]]:
        ins = {("ins", self._pseudonyms.of(patient.ins.value))} if patient.ins else set()
        return ins | {("local", self._pseudonyms.of(f"{root}^{value}")) for root, value in patient.local_ids}

    def _flags(self, conn: Connection, keys: Sequence[tuple[str, str]], documents: Iterable[str]) -> frozenset[Flag]:
        held = identifiers.c
        named = or_(*((held.kind == kind) & (held.key == key) for kind, key in keys))
        found = set(conn.scalars(select(held.patient_id).where(held.tenant == self._tenant, named)))
        # Rows written before identifiers were kept apart
        by_ins = [key for kind, key in keys if kind == "ins"]
        found |= set(
            conn.scalars(select(patients.c.id).where(patients.c.tenant == self._tenant, patients.c.ins.in_(by_ins)))
        )
        rows = family(conn, self._tenant, found)
        return flags(conn, self._tenant, rows, documents) if rows else frozenset()
