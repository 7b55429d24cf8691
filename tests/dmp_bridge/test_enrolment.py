"""How the register is fed: what a bus says, in which order, and what stays of what was said before."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dmp_bridge import enrolment
from dmp_bridge.enrolment import Notice
from dmp_bridge.model import Doubtful, FilingReason, Flag, Ins, InsStatus, Matched, Patient, Traits
from gateway.demo.sample import PATIENT
from relay.spooler import StoreRefused

TENANT = "tilleuls"
NIA = Ins("200090000000025", "1.2.250.1.213.1.4.9")
NIR = PATIENT.ins
assert NIR is not None
NAMED = replace(PATIENT, ins_status=InsStatus.UNSTATED, local_ids=())
OURS = PATIENT.local_ids[0][0]


@pytest.fixture
def say(custody: Any, now: datetime) -> Any:
    """Feeds one notice; its age in minutes."""

    def feed(patient: Patient, age: int = 0, source: str = "adt:GAM", **more: Any) -> str:
        said = now - timedelta(minutes=age)
        notice = Notice(more.pop("event", "A08"), patient, source, said, **more)
        return enrolment.feed(custody.client, TENANT, notice, custody.pseudonyms, custody.seal).outcome

    return feed


def numbered(*numbers: str, **change: Any) -> Patient:
    return replace(PATIENT, local_ids=tuple((OURS, each) for each in numbers), **change)


def doubt(custody: Any, patient: Patient) -> FilingReason:
    found = custody.register.match(TENANT, patient)
    assert isinstance(found, Doubtful)
    return found.reason


def test_what_the_bus_says_is_in_the_register(custody: Any, say: Any) -> None:
    """New, then changed; source and moment are known; each message is journalled, with no value of it."""
    assert say(PATIENT, 1, event="A01") == "new"
    assert say(PATIENT, ins_source="INSI") == "changed"
    found = custody.register.match(TENANT, NAMED)
    assert isinstance(found, Matched)
    known = custody.register.known(TENANT, found.patient_id)
    assert (known.patient, known.source) == (replace(PATIENT, id=found.patient_id), "adt:GAM")
    facts = custody.facts("patient-fed")
    assert [(each["event"], each["outcome"], each["obtained"]) for each in facts] == [
        ("A01", "new", ""),
        ("A08", "changed", "INSI"),
    ]
    assert {each["patient"] for each in facts} == {found.patient_id}


def test_what_a_source_said_earlier_does_not_undo_what_it_said_later(custody: Any, say: Any) -> None:
    """A message that was overtaken, or is sent again, is taken and changes nothing; another source's word counts."""
    say(PATIENT)
    assert say(replace(PATIENT, ins_status=InsStatus.PROVISIONAL), 5) == "older"
    assert isinstance(custody.register.match(TENANT, NAMED), Matched)
    assert say(replace(PATIENT, ins_status=InsStatus.PROVISIONAL), 5, source="adt:OTHER") == "changed"
    assert doubt(custody, NAMED) is FilingReason.INS_NOT_QUALIFIED


def test_a_status_that_falls_counts_at_once(custody: Any, say: Any) -> None:
    """Qualified, then doubtful: nothing files any more."""
    say(PATIENT, 1)
    assert isinstance(custody.register.match(TENANT, NAMED), Matched)
    say(replace(PATIENT, ins_status=InsStatus.PROVISIONAL))
    assert doubt(custody, NAMED) is FilingReason.INS_NOT_QUALIFIED


def test_a_former_matricule_still_finds_and_files_nothing(custody: Any, say: Any) -> None:
    """NIA become NIR: a document with either finds him, under their own OIDs; the old one waits for a person."""
    say(replace(PATIENT, ins=NIA), 1)
    say(PATIENT)
    (row,) = {custody.register.match(TENANT, NAMED).patient_id}
    found = custody.register.match(TENANT, replace(NAMED, ins=NIA))
    assert isinstance(found, Doubtful)
    assert found.candidates == (row,)
    assert {"ins_formerly": "agrees", "ins": "differs"}.items() <= dict(found.sides[0]).items()
    assert [ins for ins, _ in custody.register.known(TENANT, row).former] == [NIA]


def test_a_matricule_that_comes_back_is_no_former_one(custody: Any, say: Any) -> None:
    """The twin: a correction that is corrected again leaves the last word."""
    for age, ins in ((3, NIR), (2, NIA), (1, NIR)):
        say(replace(PATIENT, ins=ins), age)
    found = custody.register.match(TENANT, NAMED)
    assert isinstance(found, Matched)
    assert [ins for ins, _ in custody.register.known(TENANT, found.patient_id).former] == [NIA]


def test_each_of_his_numbers_finds_him(custody: Any, say: Any) -> None:
    """Two numbers, one row; a message that names only the second one is about him."""
    say(numbered("1", "2"), 1)
    assert say(numbered("2")) == "changed"
    first, second = (custody.register.numbered(TENANT, OURS, each) for each in "12")
    assert first == second is not None
    assert custody.register.numbered(TENANT, OURS, "3") is None


def test_a_merge_makes_one_of_two_and_loses_nothing(custody: Any, say: Any) -> None:
    """A40: both numbers find the survivor, the double is no double any more; the journal says who merged."""
    say(numbered("1"), 3)
    say(numbered("2"), 2)
    assert doubt(custody, NAMED) is FilingReason.PATIENT_NOT_UNIQUE
    say(numbered("1"), event="A40", priors=(Patient(None, Traits(), ((OURS, "2"),)),))
    found = custody.register.match(TENANT, NAMED)
    assert isinstance(found, Matched)
    assert {custody.register.numbered(TENANT, OURS, each).id for each in "12"} == {found.patient_id}
    assert [each["kind"] for each in custody.facts("patient-linked")] == ["merge"]


def test_a_merge_of_someone_unknown_is_kept_for_when_he_comes(custody: Any, say: Any) -> None:
    """Messages overtake each other: the number finds the survivor already, and its late admission makes no double."""
    say(numbered("1"), 3)
    say(numbered("1"), 1, event="A40", priors=(Patient(None, Traits(), ((OURS, "2"),)),))
    assert custody.register.numbered(TENANT, OURS, "2") == custody.register.numbered(TENANT, OURS, "1")
    say(numbered("2"), 2, event="A01")
    assert isinstance(custody.register.match(TENANT, NAMED), Matched)


def test_a_merge_in_a_circle_is_refused_whole(custody: Any, say: Any) -> None:
    """The second message contradicts the first: nothing of it is written."""
    say(numbered("1"), 3)
    say(numbered("2"), 2)
    say(numbered("1"), 1, event="A40", priors=(Patient(None, Traits(), ((OURS, "2"),)),))
    fallen = numbered("2", ins_status=InsStatus.PROVISIONAL)
    with pytest.raises(StoreRefused):
        say(fallen, event="A40", priors=(Patient(None, Traits(), ((OURS, "1"),)),))
    assert isinstance(custody.register.match(TENANT, NAMED), Matched)


def test_consent_follows_the_bus_and_its_dates(custody: Any, say: Any, now: datetime) -> None:
    """Opposed, then not: each by its own date, an older one moves nothing; silence moves nothing."""
    at = now - timedelta(days=2)
    say(PATIENT, 3, flags=((Flag.FILING, True),), flagged_at=at)
    say(PATIENT, 2)
    found = custody.register.match(TENANT, NAMED)
    assert found.flags == {Flag.FILING}
    say(PATIENT, 1, flags=((Flag.FILING, False),), flagged_at=at - timedelta(days=1))
    assert custody.register.match(TENANT, NAMED).flags == {Flag.FILING}
    say(PATIENT, flags=((Flag.FILING, False),), flagged_at=at + timedelta(days=1))
    assert custody.register.match(TENANT, NAMED).flags == frozenset()
    say(PATIENT, flags=((Flag.FILING, True),), flagged_at=at)
    assert custody.register.match(TENANT, NAMED).flags == frozenset()


def test_what_is_lifted_by_the_bus_is_told(custody: Any, now: datetime) -> None:
    """So that what waited can be sent; a no that stands, or that nobody stated, lifts nothing."""
    told = []
    for on in (False, True, True, False, False):
        notice = Notice("A08", PATIENT, "adt:GAM", now, flags=((Flag.FILING, on),))
        told.append(enrolment.feed(custody.client, TENANT, notice, custody.pseudonyms, custody.seal).lifted)
    assert told == [False, False, False, True, False]


def test_another_tenants_bus_feeds_another_register(custody: Any, say: Any) -> None:
    """Same number, same message: nobody here."""
    say(PATIENT)
    assert isinstance(custody.register.match("autre", NAMED), Doubtful)


def test_nothing_that_the_bus_says_is_in_clear_on_the_disk(custody: Any, say: Any, tmp_path: Path) -> None:
    """History, merges and numbers too; a matricule in an application's name is a pseudonym."""
    say(replace(PATIENT, ins=NIA), 2, source="adt:279035121518989")
    say(numbered("IPP-000372", "IPP-000373"), 1)
    say(PATIENT, event="A40", priors=(Patient(None, Traits(), ((OURS, "IPP-000999"),)),))
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    secrets = (NIR.value[:13], NIA.value[:13], "PAT-TROIS", "DOMINIQUE", "IPP-000", "1979-03-28", "19790328")
    assert [each for each in secrets if each.encode() in written] == []


def test_a_patient_without_a_number_is_refused(custody: Any) -> None:
    """There would be nothing to find him by."""
    nobody = replace(PATIENT, ins=None, local_ids=())
    with pytest.raises(ValueError, match="identifier"):
        custody.know(TENANT, nobody)
