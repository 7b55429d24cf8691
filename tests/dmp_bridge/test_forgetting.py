"""A patient taken out of the register: all that was his goes, nobody else's, and nothing that is written names him."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import inspect, text

from dmp_bridge import forgetting, worklist
from dmp_bridge.forgetting import Held
from dmp_bridge.model import Doubtful, FilingReason, Flag, Ins, InsStatus, Matched, Patient
from gateway.demo.sample import PATIENT
from relay.spooler import StoreRefused

TENANT, OTHER_TENANT = "tilleuls", "parc"
WHY = {"by": "jeanne", "kind": "patient"}
SAID = {"by": "jeanne@tilleuls.mssante.fr", "why": "pièce d'identité vue"}
ALL = {
    "patients": 2,
    "patient_identifiers": 3,
    "patient_links": 3,
    "oppositions": 1,
    "dossier_choices": 1,
    "worklist": 2,
}
"""What `_lived` leaves of him."""


def _with(number: int, *, ins: str = "") -> Patient:
    """Another row: another local number, and another matricule or none."""
    known = Ins(ins, "1.2.250.1.213.1.4.10") if ins else None
    status = InsStatus.QUALIFIED if ins else InsStatus.PROVISIONAL
    return replace(PATIENT, ins=known, ins_status=status, local_ids=(("1.2.3", f"N-{number}"),))


def _id(custody: Any, number: int) -> str:
    found = custody.register.numbered(TENANT, "1.2.3", f"N-{number}")
    assert found
    return str(found.id)


def _whose(custody: Any, matricule: str = "") -> str:
    assert PATIENT.ins
    return str(custody.pseudonyms.of(matricule or PATIENT.ins.value))


def _lived(custody: Any) -> None:
    """Two rows that were merged, an objection, a choice, and two lines of the work list: one decided, one open."""
    assert PATIENT.ins
    write = custody.client.write
    custody.know(TENANT, replace(_with(1), ins=PATIENT.ins, ins_status=InsStatus.QUALIFIED), _with(2), _with(3))
    custody.know(OTHER_TENANT, PATIENT)
    first, second = _id(custody, 1), _id(custody, 2)
    write("patients.merge", TENANT, prior=second, survivor=first, **SAID)
    write("patients.oppose", TENANT, patient_id=first, flag=Flag.FILING.value, **SAID)
    write("choice.put", TENANT, patient_id=first, host="atlas", since="2026-11-01T00:00:00+00:00", by=SAID["by"])
    for document in ("1.2.3.4", "1.2.3.5"):
        _doubted(custody, document)
    line = custody.client.write("worklist.decide", TENANT, entry=_lines(custody)[0].id, decision="confirmed",
                                patient_id=first, **SAID)  # fmt: skip
    assert line["document_id"]


def _doubted(custody: Any, document: str) -> None:
    """A document of a patient who looks like him and has no matricule."""
    unsure = replace(PATIENT, ins=None, local_ids=(("1.9", "labo-77"),))
    found = custody.register.match(TENANT, unsure, document)
    assert isinstance(found, Doubtful)
    told = {"letter_id": "01" * 13, "document_id": document, "host": "regional"}
    custody.client.write("worklist.add", TENANT, reason=FilingReason.INS_ABSENT.value, **told, **worklist.told(found))


def _lines(custody: Any) -> tuple[worklist.Entry, ...]:
    return worklist._entries(custody.engine, TENANT, limit=10)


def _everything(custody: Any) -> str:
    """Every row of every table of the store but the journal's."""
    with custody.engine.connect() as conn:
        names = set(inspect(conn).get_table_names()) - {"journal"}
        return repr([conn.execute(text(f"SELECT * FROM {name}")).all() for name in sorted(names)])  # noqa: S608


def test_all_that_was_his_goes(custody: Any) -> None:
    """Rows merged with his too; the report counts by table what the register then holds no more; again: nothing."""
    _lived(custody)
    first, second, whose = _id(custody, 1), "", _whose(custody)
    with custody.engine.connect() as conn:
        second = conn.scalar(text("SELECT key FROM patient_links WHERE kind = 'merge'"))
    before = forgetting.held(custody.engine, TENANT, whose)
    assert (before.rows, before.formerly, before.any) == (ALL, 0, True)
    assert forgetting.forget(custody.client, TENANT, whose, WHY) == ALL
    written = _everything(custody)
    assert first not in written
    assert second not in written
    assert forgetting.held(custody.engine, TENANT, whose) == Held(dict.fromkeys(ALL, 0), 0)
    assert set(forgetting.forget(custody.client, TENANT, whose, WHY).values()) == {0}
    assert len(custody.facts("patient-forgotten")) == 1


def test_others_stay(custody: Any) -> None:
    """His namesake, and the same patient of another establishment."""
    _lived(custody)
    forgetting.forget(custody.client, TENANT, _whose(custody), WHY)
    assert custody.register.find(TENANT, _id(custody, 3))
    assert isinstance(custody.register.match(OTHER_TENANT, replace(PATIENT, local_ids=())), Matched)
    assert custody.register.match(TENANT, replace(PATIENT, local_ids=())).reason is FilingReason.PATIENT_UNKNOWN


def test_the_work_list_keeps_what_was_decided_and_not_of_whom(custody: Any) -> None:
    """Who decided, when and why stays; an open line is open, without him among its candidates, and can be refused."""
    _lived(custody)
    first = _id(custody, 1)
    forgetting.forget(custody.client, TENANT, _whose(custody), WHY)
    write = custody.client.write
    decided, waiting = sorted(_lines(custody), key=lambda each: each.open)
    assert (decided.decision, decided.patient_id, decided.decided_by) == ("confirmed", "", SAID["by"])
    assert waiting.open
    assert first not in waiting.candidates
    assert len(waiting.candidates) == len(waiting.sides) > 0
    with pytest.raises(StoreRefused):
        custody.client.write(
            "worklist.decide", TENANT, entry=waiting.id, decision="confirmed", patient_id=first, **SAID
        )
    write("worklist.decide", TENANT, entry=waiting.id, decision="refused", **SAID)


def test_the_journal_says_how_many_and_names_nobody(custody: Any) -> None:
    """Who asked, a pseudonym, and counts."""
    _lived(custody)
    forgetting.forget(custody.client, TENANT, _whose(custody), {**WHY, "whose": _whose(custody)})
    (facts,) = custody.facts("patient-forgotten")
    assert facts == {**WHY, "whose": _whose(custody), **{name: str(count) for name, count in ALL.items()}}


def test_who_bore_the_matricule_once_is_somebody_else(custody: Any) -> None:
    """A matricule that was given to the wrong person: he bears another today, is counted, and stays."""
    assert PATIENT.ins
    custody.know(TENANT, replace(_with(1), ins=PATIENT.ins, ins_status=InsStatus.QUALIFIED))
    custody.know(TENANT, _with(1, ins="179035121518937"))
    found = forgetting.held(custody.engine, TENANT, _whose(custody))
    assert (found.any, found.formerly) == (False, 1)
    forgetting.forget(custody.client, TENANT, _whose(custody), WHY)
    assert custody.register.numbered(TENANT, "1.2.3", "N-1")


def test_a_row_that_became_somebody_with_another_matricule_stays(custody: Any) -> None:
    """Merged by a person into a row that bears another: whose it is, a person must say first."""
    assert PATIENT.ins
    custody.know(TENANT, replace(_with(1), ins=PATIENT.ins, ins_status=InsStatus.QUALIFIED))
    custody.know(TENANT, _with(2, ins="179035121518937"))
    custody.client.write("patients.merge", TENANT, prior=_id(custody, 1), survivor=_id(custody, 2), **SAID)
    assert not forgetting.held(custody.engine, TENANT, _whose(custody)).any


def test_it_is_one_transaction(custody: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the journal cannot be written, nothing is gone."""
    _lived(custody)

    def refuses(*_: object) -> None:
        raise StoreRefused("no room for a row")

    monkeypatch.setattr(forgetting.journal, "append", refuses)
    with pytest.raises(StoreRefused):
        forgetting.forget(custody.client, TENANT, _whose(custody), WHY)
    assert forgetting.held(custody.engine, TENANT, _whose(custody)).rows == ALL
