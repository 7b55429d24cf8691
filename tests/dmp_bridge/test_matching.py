"""Whose is it: the candidates side by side, in an order for people, and the links that a person makes and ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from dmp_bridge import links, matching, worklist
from dmp_bridge.model import Doubtful, FilingReason, Ins, InsStatus, Matched, Patient, Traits
from gateway.demo.sample import PATIENT
from relay.spooler import StoreRefused

TENANT = "tilleuls"
ROOT = "1.2.250.1.213.1.4.10"
OURS = PATIENT.local_ids[0][0]
BY = {"by": "ide.martin", "why": "pièce d'identité vue"}


def someone(body: str, number: str, status: InsStatus = InsStatus.QUALIFIED, **traits: Any) -> Patient:
    ins = Ins(f"{body}{97 - int(body) % 97:02}", ROOT)
    return Patient(ins, replace(PATIENT.traits, **traits), ((OURS, number),), status)


TWIN = someone("2790351215190", "T", first_given_name="DELPHINE")
MOTHER = someone("2510351215111", "M", birth_date=date(1951, 3, 2))
STRANGER = someone("2790351215222", "S", birth_name="QUELQU'UN", first_given_name="ZOE", given_names="ZOE")
NAMED = replace(PATIENT, ins_status=InsStatus.UNSTATED, local_ids=(("1.9", "labo-77"),))


def match(custody: Any, patient: Patient, document: str = "") -> Any:
    return custody.register.match(TENANT, patient, document)


def row(custody: Any, patient: Patient) -> str:
    found = custody.register.numbered(TENANT, *patient.local_ids[0])
    assert found is not None
    return str(found.id)


def wait(custody: Any, patient: Patient, document: str = "1.2.3") -> str:
    """The line that the courier would write."""
    told = {"letter_id": "l1", "document_id": document, "host": "regional"}
    found = match(custody, patient, document)
    assert isinstance(found, Doubtful)
    entry: str = custody.client.write("worklist.add", TENANT, reason=found.reason.value, **told, **worklist.told(found))
    return entry


def decide(custody: Any, entry: str, decision: str, patient: str = "") -> Any:
    return custody.client.write("worklist.decide", TENANT, entry=entry, decision=decision, patient_id=patient, **BY)


# --- side by side -------------------------------------------------------------------------------------------------


def test_without_an_ins_those_who_could_be_meant_are_shown(custody: Any) -> None:
    """Himself first, with all traits in agreement; then his twin; nobody who was only born that day."""
    custody.know(TENANT, PATIENT, TWIN, MOTHER, STRANGER)
    found = match(custody, replace(NAMED, ins=None))
    assert found.reason is FilingReason.INS_ABSENT
    assert list(found.candidates) == [row(custody, each) for each in (PATIENT, TWIN)]
    first, second = (dict(each) for each in found.sides)
    assert {first[name] for name in (*matching.COMPULSORY, "birth_place", "ins_qualified")} == {"agrees"}
    assert (first["ins"], second["first_given_name"], second["birth_date"]) == ("absent", "differs", "agrees")


def test_who_was_merely_born_that_day_is_no_candidate(custody: Any) -> None:
    """The twin of the above: the same day with other names, the same names (his mother) on another day."""
    custody.know(TENANT, STRANGER, MOTHER)
    assert match(custody, replace(NAMED, ins=None)).candidates == ()


@pytest.mark.parametrize(
    "slip",
    [
        {"birth_name": "PAT-TROIE"},
        {"birth_date": date(1979, 3, 23)},
        {"birth_date": date(1979, 8, 23)},
        {"birth_name": "DOMINIQUE", "first_given_name": "PAT TROIS"},
        {"sex": "M"},
        {"birth_place": ""},
    ],
)
def test_a_slip_still_finds_him(custody: Any, slip: dict[str, Any]) -> None:
    """A letter, a digit, names that changed places, the other sex: shown, with what differs or is absent."""
    custody.know(TENANT, PATIENT)
    theirs = replace(NAMED, ins=None, traits=replace(NAMED.traits, **slip))
    found = match(custody, theirs)
    assert found.candidates == (row(custody, PATIENT),)
    wrong = {name for name, answer in found.sides[0] if answer != "agrees"} - {"ins"}
    assert wrong == set(slip)


def test_doubles_stand_side_by_side(custody: Any) -> None:
    """Two bearers: both shown, neither taken."""
    custody.know(TENANT, PATIENT, replace(PATIENT, local_ids=((OURS, "other"),)))
    found = match(custody, NAMED)
    assert found.reason is FilingReason.PATIENT_NOT_UNIQUE
    assert [dict(side)["ins"] for side in found.sides] == ["agrees", "agrees"]


def test_no_value_of_anybody_is_in_a_doubt(custody: Any) -> None:
    """Names of traits, answers, and pseudonyms alone."""
    custody.know(TENANT, PATIENT, TWIN)
    said = repr(match(custody, replace(NAMED, ins=None)))
    secrets = ("PAT-TROIS", "DOMINIQUE", "279035121518989", "1979", "labo-77", "IPP-")
    assert [each for each in secrets if each in said] == []


# --- decisions and links ------------------------------------------------------------------------------------------


def test_a_confirmed_document_matches_and_no_other_does(custody: Any) -> None:
    """Traits that differ, then a person's word: this document is his; the next one waits, with the learned link."""
    custody.know(TENANT, PATIENT)
    married = replace(NAMED, traits=replace(NAMED.traits, birth_name="EPOUX"))
    entry = wait(custody, married)
    decide(custody, entry, "confirmed", row(custody, PATIENT))
    found = match(custody, married, "1.2.3")
    assert isinstance(found, Matched)
    assert dict(found.evidence) | {"confirmed": "agrees", "birth_name": "differs"} == dict(found.evidence)
    other = match(custody, married, "1.2.4")
    assert isinstance(other, Doubtful)
    assert dict(other.sides[0])["learned_link"] == "agrees"


def test_a_decision_closes_its_entry_once_with_who_and_why(custody: Any) -> None:
    """Closed entries stay, with the decision; a second decision is refused; the journal has the first."""
    custody.know(TENANT, PATIENT)
    entry = wait(custody, replace(NAMED, ins=None))
    decide(custody, entry, "refused")
    with pytest.raises(StoreRefused, match="closed"):
        decide(custody, entry, "confirmed", row(custody, PATIENT))
    held = worklist.entry(custody.engine, TENANT, entry[:8])
    assert held is not None
    assert (held.open, held.decision, held.decided_by, held.why) == (False, "refused", *BY.values())
    (facts,) = custody.facts("worklist-decided")
    assert facts == {"entry": entry, "decision": "refused", "patient_id": "", "decided_by": BY["by"], "why": BY["why"]}


def test_confirmed_is_a_candidate_and_corrected_is_anyone_known(custody: Any) -> None:
    """To confirm names who was shown; to correct, another patient of the register; nobody names a stranger."""
    custody.know(TENANT, PATIENT, STRANGER)
    entry = wait(custody, replace(NAMED, ins=None))
    with pytest.raises(StoreRefused, match="no candidate"):
        decide(custody, entry, "confirmed", row(custody, STRANGER))
    with pytest.raises(StoreRefused, match="no such patient"):
        decide(custody, entry, "corrected", "p:nobody")
    decide(custody, entry, "corrected", row(custody, STRANGER))


def test_what_is_not_about_whose_it_is_cannot_be_confirmed(custody: Any) -> None:
    """A masked document is nobody's to confirm by naming a patient; it can be refused."""
    custody.know(TENANT, PATIENT)
    told = {"letter_id": "l1", "document_id": "1.2.3", "host": "regional", "reason": "dossier.masked"}
    entry = custody.client.write("worklist.add", TENANT, candidates=[row(custody, PATIENT)], **told)
    with pytest.raises(StoreRefused, match="whose"):
        decide(custody, entry, "confirmed", row(custody, PATIENT))
    decide(custody, entry, "refused")


def test_a_persons_word_never_files_under_another_matricule(custody: Any) -> None:
    """The document bears the twin's INS, or her own is not qualified: confirmed or not, it does not match."""
    custody.know(TENANT, PATIENT, replace(TWIN, ins_status=InsStatus.RETRIEVED))
    hers = replace(NAMED, ins=TWIN.ins)
    entry = wait(custody, hers)
    decide(custody, entry, "corrected", row(custody, PATIENT))
    assert match(custody, hers, "1.2.3").reason is FilingReason.INS_DIFFERS
    again = wait(custody, hers, "1.2.5")
    decide(custody, again, "confirmed", row(custody, TWIN))
    assert isinstance(match(custody, hers, "1.2.5"), Doubtful)


def test_every_link_is_reversible(custody: Any) -> None:
    """Ended links count no more, and stay with who, when and why."""
    custody.know(TENANT, PATIENT)
    married = replace(NAMED, traits=replace(NAMED.traits, birth_name="EPOUX"))
    decide(custody, wait(custody, married), "confirmed", row(custody, PATIENT))
    made = links.of_patient(custody.engine, TENANT, [row(custody, PATIENT)])
    assert {(each.kind, each.made_by, each.why) for each in made} == {
        ("document", *BY.values()),
        ("local", *BY.values()),
    }
    for each in made:
        custody.client.write("patients.unlink", TENANT, link=each.id, by="dim.petit", why="erreur de saisie")
    after = match(custody, married, "1.2.3")
    assert isinstance(after, Doubtful)
    assert "learned_link" not in dict(after.sides[0])
    ended = links.of_patient(custody.engine, TENANT, [row(custody, PATIENT)])
    assert {(each.ended_by, each.ended_why) for each in ended} == {("dim.petit", "erreur de saisie")}
    with pytest.raises(StoreRefused):
        custody.client.write("patients.unlink", TENANT, link=made[0].id, by="x", why="")


def test_a_merge_is_taken_apart_again_with_nothing_lost(custody: Any) -> None:
    """Before, after and before again: the same two patients, bit by bit."""
    other = replace(PATIENT, local_ids=((OURS, "other"),))
    custody.know(TENANT, PATIENT, other)
    before = [custody.register.numbered(TENANT, *each.local_ids[0]) for each in (PATIENT, other)]
    told = {"prior": before[1].id, "survivor": before[0].id, **BY}
    custody.client.write("patients.merge", TENANT, **told)
    assert isinstance(match(custody, NAMED), Matched)
    assert custody.register.find(TENANT, before[1].id) == before[0]
    with pytest.raises(StoreRefused, match="other way"):
        custody.client.write("patients.merge", TENANT, prior=before[0].id, survivor=before[1].id, **BY)
    custody.client.write("patients.unmerge", TENANT, prior=before[1].id, **BY)
    assert [custody.register.numbered(TENANT, *each.local_ids[0]) for each in (PATIENT, other)] == before
    assert match(custody, NAMED).reason is FilingReason.PATIENT_NOT_UNIQUE
    with pytest.raises(StoreRefused, match="not merged"):
        custody.client.write("patients.unmerge", TENANT, prior=before[1].id, **BY)


def test_a_local_number_of_ours_alone_matches_nobody(custody: Any) -> None:
    """Even all traits and our own number are evidence for a person, not a match."""
    custody.know(TENANT, PATIENT)
    found = match(custody, replace(PATIENT, ins=None))
    assert isinstance(found, Doubtful)
    assert dict(found.sides[0])["local_number"] == "agrees"


def test_traits_compare_as_strict_traits_do() -> None:
    """Accents, hyphens and ligatures are spelling; another letter is another name."""
    ours = Traits("L'HÉRITIER-CŒUR", "ANNE MARIE", "", date(2000, 1, 1), "F")
    theirs = replace(ours, birth_name="L HERITIER COEUR", first_given_name="Anne-Marie")
    assert {answer for name, answer in matching.compared(theirs, ours) if name != "birth_place"} == {"agrees"}
    assert dict(matching.compared(replace(theirs, birth_name="LHERITIER COEUR"), ours))["birth_name"] == "differs"
