"""A document whose patient is not certain: before a person, with the reason, and in no dossier."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from dmp_bridge.model import Ins, InsStatus, Patient, Traits
from gateway.demo import sample
from gateway.demo.cast import SURGEON
from gateway.demo.looks import message_id

pytestmark = pytest.mark.journey

ROOT = "1.2.250.1.213.1.4.10"


def _patient(body: str, status: InsStatus = InsStatus.QUALIFIED) -> Patient:
    """An invented patient; `body` is a matricule without its key."""
    ins = Ins(f"{body}{97 - int(body) % 97:02}", ROOT)
    traits = Traits("VILLEDIEU", "APOLLINE", "APOLLINE ROSE", date(1985, 6, 14), "F", "35238")
    return Patient(ins, traits, ((f"{sample.ROOT}.1", f"IPP-{body[-6:]}"),), status)


UNKNOWN = _patient("2850635238011")
DIFFERING = _patient("2850635238022")
RETRIEVED = _patient("2850635238033", InsStatus.RETRIEVED)
CERTAIN = _patient("2850635238044")
WITHOUT = replace(_patient("2850635238055"), ins=None)
MARRIED = replace(DIFFERING, traits=replace(DIFFERING.traits, birth_name="CHASTELLAIN"))

CASES = {
    "an INS that the register does not hold": (None, UNKNOWN, "dossier.patient-unknown"),
    "a known INS with another birth name": (DIFFERING, MARRIED, "dossier.ins-differs"),
    "an INS that is not qualified": (RETRIEVED, RETRIEVED, "dossier.ins-not-qualified"),
}


@pytest.mark.parametrize("case", CASES)
def test_an_uncertain_patient_puts_the_document_before_a_person(world: Any, case: str) -> None:
    """The letter reaches the colleague; the document stands on the work list with its reason, and is not filed."""
    held, written, reason = CASES[case]
    if held:
        world.enrol(world.lilas, held)
    document = world.report(written)
    mail = world.packed(document)
    letter = world.submit(mail)

    assert world.settled(world.lilas, letter) == {"peer-signed": ("done", ""), "dossier": ("failed", reason)}
    rows = world.worklist(world.lilas, letter)
    assert [(row["reason"], row["document_id"]) for row in rows] == [(reason, document.unique_id)]
    assert world.entries(document) == []
    assert world.received(world.parc, SURGEON.address, message_id(mail))


def test_the_timeline_says_why_a_document_was_not_filed(world: Any) -> None:
    """The rules' answers and the failure with its reason are steps of the letter; the sentence is a French one."""
    letter = world.submit(world.packed(world.report(UNKNOWN)))
    world.settled(world.lilas, letter)
    steps = world.trail(world.lilas, letter)["steps"]
    ruled = next(step["facts"] for step in steps if step["event"] == "dossier-ruled")
    assert (ruled["patient-matched"], ruled["author-ours"]) == ("no", "yes")
    assert [s["facts"]["reason"] for s in steps if s["event"] == "failed"] == ["dossier.patient-unknown"]
    assert "filed" not in [step["event"] for step in steps]
    shown = world.pli(world.lilas, "trace", letter).stdout
    assert "non remis" in shown
    assert "dossier.patient-unknown" not in shown, "a reason is told in words"


def test_the_work_list_names_traits_and_never_their_values(world: Any) -> None:
    """Which trait differs is said; nothing of the patient's identity stands in any output about the letter."""
    world.enrol(world.lilas, DIFFERING)
    letter = world.submit(world.packed(world.report(MARRIED)))
    world.settled(world.lilas, letter)
    (row,) = world.worklist(world.lilas, letter)
    assert row["evidence"] == {
        "ins": "agrees",
        "birth_name": "differs",
        "first_given_name": "agrees",
        "birth_date": "agrees",
        "sex": "agrees",
        "birth_place": "agrees",
    }
    looks = (["worklist"], ["worklist", "--json"], ["trace", letter], ["trace", "--json", letter], ["queue"])
    said = "".join(world.pli(world.lilas, *look).stdout for look in looks).upper()
    assert letter.upper() in said
    traits = ("VILLEDIEU", "CHASTELLAIN", "APOLLINE", "1985-06-14", "14/06/1985", "19850614", "35238", "IPP-")
    assert [word for word in (*traits, "2850635238022", UNKNOWN.traits.birth_name) if word in said] == []


def test_the_work_list_is_readable_as_a_table(world: Any) -> None:
    """Each row has its letter and a French reason; `pli dossier worklist` is the same command."""
    letter = world.submit(world.packed(world.report(UNKNOWN)))
    world.settled(world.lilas, letter)
    table = world.pli(world.lilas, "worklist").stdout
    line = next(line for line in table.splitlines() if letter in line)
    assert "patient" in line.lower()
    assert "dossier." not in line
    assert world.pli(world.lilas, "dossier", "worklist").stdout == table


def test_a_document_without_an_ins_is_not_filed(world: Any) -> None:
    """No INS, no dossier: matching by traits alone never happens, even where they are those of a known patient."""
    world.enrol(world.lilas, CERTAIN)
    document = world.report(WITHOUT)
    letter = world.submit(world.packed(document))
    assert world.settled(world.lilas, letter)["dossier"] == ("failed", "dossier.ins-absent")
    assert [row["reason"] for row in world.worklist(world.lilas, letter)] == ["dossier.ins-absent"]
    assert world.entries(document) == []


def test_a_certain_patient_is_filed_and_leaves_no_row(world: Any) -> None:
    """The twin: the same document of a qualified patient with agreeing traits is filed."""
    world.enrol(world.lilas, CERTAIN)
    document = world.report(CERTAIN)
    letter = world.submit(world.packed(document))
    assert world.settled(world.lilas, letter)["dossier"] == ("done", "filed")
    assert world.worklist(world.lilas, letter) == []
    assert len(world.entries(document)) == 1
