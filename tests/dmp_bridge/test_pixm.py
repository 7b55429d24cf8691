"""What an application says of patients in FHIR (ITI-104): read whole, or refused with a reason and a place."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from dmp_bridge import pixm
from dmp_bridge.enrolment import Notice
from dmp_bridge.model import Flag, Ins, InsStatus, Traits
from dmp_bridge.pixm import Speaker, Unfit

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
OURS = "1.2.250.1.999.1"
NAMED = (f"urn:oid:{OURS}", "000003")
SPEAKER = Speaker("api:gam@lilas.example", OURS)
INS = {"system": "urn:oid:1.2.250.1.213.1.4.10", "value": "279035121518989"}
PI = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PI"}]}


def reliability(code: str) -> dict[str, Any]:
    coded = {"system": "https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0445", "code": code}
    return {"url": pixm.RELIABILITY, "extension": [{"url": "identityStatus", "valueCoding": coded}]}


def opposition(flag: str, opposed: Any, at: str = "") -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"url": "flag", "valueCode": flag}, {"url": "opposed", "valueBoolean": opposed}]
    return {"url": pixm.OPPOSITION, "extension": parts + ([{"url": "at", "valueDateTime": at}] if at else [])}


BORN_AT = {
    "url": pixm.BIRTH_PLACE,
    "valueAddress": {"city": "X", "extension": [{"url": pixm.INSEE_CODE, "valueCoding": {"code": "63220"}}]},
}
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "meta": {"lastUpdated": "2026-11-26T08:00:00+01:00"},
    "extension": [reliability("VALI"), BORN_AT],
    "identifier": [{"type": PI, "system": NAMED[0], "value": NAMED[1]}, INS],
    "name": [
        {
            "use": "official",
            "family": "PAT-TROIS",
            "given": ["DOMINIQUE"],
            "extension": [{"url": pixm.GIVEN_NAMES, "valueString": "DOMINIQUE MARIE-LOUISE"}],
        },
        {"use": "usual", "family": "AUTRE", "given": ["DOM"]},
    ],
    "gender": "female",
    "birthDate": "1979-03-28",
}
TRAITS = Traits("PAT-TROIS", "DOMINIQUE", "DOMINIQUE MARIE-LOUISE", date(1979, 3, 28), "F", "63220")
MERGED = [{"other": {"identifier": {"system": NAMED[0], "value": "000009"}}, "type": "replaced-by"}]


def changed(**change: Any) -> dict[str, Any]:
    """PATIENT with these members; None takes one away."""
    made = copy.deepcopy(PATIENT) | change
    return {name: value for name, value in made.items() if value is not None}


def read(resource: dict[str, Any]) -> Notice | Unfit:
    return pixm.read(resource, NAMED, SPEAKER, NOW)


def notice(resource: dict[str, Any]) -> Notice:
    found = read(resource)
    assert isinstance(found, Notice), found
    return found


def test_a_patient_of_fr_core_is_read_whole() -> None:
    """INS, strict traits, birth place, the number of the domain, status and moment."""
    found = notice(PATIENT)
    assert found.patient.traits == TRAITS
    assert found.patient.ins == Ins(INS["value"], "1.2.250.1.213.1.4.10")
    assert (found.patient.local_ids, found.patient.ins_status) == (((OURS, "000003"),), InsStatus.QUALIFIED)
    assert (found.event, found.source) == ("ITI-104", "api:gam@lilas.example")
    assert found.said_at == datetime(2026, 11, 26, 7, tzinfo=UTC)


def test_a_patient_as_ihe_writes_him_is_read() -> None:
    """ITI-104's own example: a number without a type, a name without a use, no status: nothing is guessed."""
    plain = [{"system": NAMED[0], "value": NAMED[1]}]
    name = [{"family": "MOHR", "given": ["ALISSA", "ANNE"]}]
    found = notice(changed(identifier=plain, name=name, meta=None, extension=None, active=True)).patient
    assert (found.ins, found.ins_status, found.local_ids) == (None, InsStatus.UNSTATED, ((OURS, "000003"),))
    assert found.traits == Traits("MOHR", "ALISSA", "ALISSA ANNE", date(1979, 3, 28), "F")


@pytest.mark.parametrize(
    ("code", "with_ins", "without"),
    [("VALI", "qualified", "validated"), ("PROV", "retrieved", "provisional"), ("DOUB", "provisional", "provisional")],
)
def test_a_status_is_that_of_the_bus(code: str, with_ins: str, without: str) -> None:
    """FR Core 0445 is PID-32: one rule derives the status of an identity, whichever way it comes."""
    told = changed(extension=[reliability(code)])
    alone = told | {"identifier": told["identifier"][:1]}
    assert (notice(told).patient.ins_status, notice(alone).patient.ins_status) == (with_ins, without)


def test_numbers_of_other_domains_and_of_the_past_are_nobodys_identity() -> None:
    """What another source has given, a former number, a social security number: left where they are."""
    others = [
        {"type": PI, "system": "urn:oid:1.2.3", "value": "77"},
        {"type": PI, "use": "old", "system": NAMED[0], "value": "88"},
        {**INS, "value": "200090000000044", "period": {"end": "2020-01-01"}},
        {"type": {"coding": [{"code": "NH"}]}, "system": "urn:oid:1.2.250.1.213.1.4.99", "value": "279035121518989"},
    ]
    found = notice(changed(identifier=[*PATIENT["identifier"], *others])).patient
    assert (found.local_ids, found.ins) == (((OURS, "000003"),), Ins(INS["value"], "1.2.250.1.213.1.4.10"))


def test_duplicates_are_resolved_by_a_link() -> None:
    """replaced-by: who survives is named by his number alone, and nothing of him is changed."""
    found = notice(changed(active=False, link=MERGED))
    assert (found.patient.local_ids, found.named_only) == (((OURS, "000009"),), True)
    assert [each.traits for each in found.priors] == [TRAITS]


def test_oppositions_are_read_with_their_moment() -> None:
    """As ZFA on the bus: what is refused, what no more, and since when."""
    said = [opposition("filing", True, "2026-11-20T10:00:00Z"), opposition("mail-to-patient", False)]
    found = notice(changed(extension=said))
    assert found.flags == ((Flag.FILING, True), (Flag.MAIL_TO, False))
    assert found.flagged_at == datetime(2026, 11, 20, 10, tzinfo=UTC)


def with_name(**change: Any) -> Callable[[], dict[str, Any]]:
    return lambda: changed(name=[PATIENT["name"][0] | change])


def with_numbers(*numbers: Any) -> Callable[[], dict[str, Any]]:
    return lambda: changed(identifier=[PATIENT["identifier"][0], *numbers])


REFUSED: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "no patient": (lambda: changed(resourceType="Person"), "resourceType"),
    "another meaning": (lambda: changed(modifierExtension=[]), "Patient.modifierExtension"),
    "a key that does not hold": (with_numbers(INS | {"value": "279035121518988"}), "Patient.identifier.value"),
    "an INS of no authority": (
        with_numbers({"type": {"coding": [{"code": "INS-NIR"}]}, "system": "urn:oid:1.2.3", "value": INS["value"]}),
        "Patient.identifier.system",
    ),
    "two INS": (with_numbers(INS, INS | {"value": "200090000000044"}), "Patient.identifier"),
    "another than asked for": (
        lambda: changed(identifier=[PATIENT["identifier"][0] | {"value": "000004"}]),
        "Patient.identifier",
    ),
    "no birth name": (lambda: changed(name=[PATIENT["name"][1]]), "Patient.name"),
    "two birth names": (lambda: changed(name=[PATIENT["name"][0]] * 2), "Patient.name"),
    "half a date": (lambda: changed(birthDate="1979-03"), "Patient.birthDate"),
    "no day": (lambda: changed(birthDate="1979-02-30"), "Patient.birthDate"),
    "no gender": (lambda: changed(gender="F"), "Patient.gender"),
    "qualified, without a trait": (lambda: changed(gender=None), "Patient"),
    "a control character": (with_name(family="PAT\x0bTROIS"), "Patient.name.family"),
    "half a surrogate": (with_name(given=["\ud800"]), "Patient.name.given"),
    "a text too long": (with_name(family="P" * 251), "Patient.name.family"),
    "a list too long": (with_name(given=["P"] * 65), "Patient.name.given"),
    "no list": (lambda: changed(identifier={}), "Patient.identifier"),
    "tomorrow's word": (lambda: changed(meta={"lastUpdated": "2026-11-28T09:00:00Z"}), "Patient.meta.lastUpdated"),
    "a moment without a zone": (lambda: changed(meta={"lastUpdated": "2026-11-26T09:00"}), "Patient.meta.lastUpdated"),
    "the end of time": (
        lambda: changed(meta={"lastUpdated": "9999-12-31T23:59:59-14:00"}),
        "Patient.meta.lastUpdated",
    ),
    "gone, nobody knows where": (lambda: changed(active=False), "Patient.active"),
    "merged into himself": (
        lambda: changed(link=[{"other": {"identifier": PATIENT["identifier"][0]}, "type": "replaced-by"}]),
        "Patient.link",
    ),
    "merged into another domain's": (
        lambda: changed(link=[{"other": {"identifier": {"system": "urn:x", "value": "9"}}, "type": "replaced-by"}]),
        "Patient.link.other",
    ),
    "merged, and opposed": (lambda: changed(link=MERGED, extension=[opposition("filing", True)]), "Patient.extension"),
    "an opposition nobody knows": (lambda: changed(extension=[opposition("everything", True)]), "Patient.extension"),
    "perhaps opposed": (lambda: changed(extension=[opposition("filing", "yes")]), "Patient.extension"),
    "opposed and not": (
        lambda: changed(extension=[opposition("filing", True), opposition("filing", False)]),
        "Patient.extension",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_right_is_refused_with_its_place(case: str) -> None:
    """A reason in words of ours, without a value of what was said."""
    found = read(REFUSED[case][0]())
    assert isinstance(found, Unfit)
    assert found.at == REFUSED[case][1]
    assert not any(each in found.words for each in ("PAT", "DOMINIQUE", "2790", "1979", "000003"))


def test_a_domain_of_another_is_not_its_to_state() -> None:
    """ITI-104: one source for a domain; the same words of the source itself are taken."""
    other = Speaker("api:other@lilas.example", "1.2.3")
    assert pixm.read(PATIENT, NAMED, other, NOW) == Unfit(
        "this application is not the source of that domain", "Patient.identifier"
    )
    assert isinstance(read(PATIENT), Notice)


def test_only_a_number_with_its_system_is_asked_for() -> None:
    """`Patient?identifier=SYSTEM|VALUE`, escaped or not; nothing beside it."""
    assert pixm.asked("Patient?identifier=urn:oid:1.2.3|A%201") == ("urn:oid:1.2.3", "A 1")
    assert pixm.asked("Patient?identifier=urn%3Aoid%3A1.2.3%7CA+1") == ("urn:oid:1.2.3", "A 1")
    wrong = [
        "",
        "Patient",
        "Patient?",
        "Patient/1",
        "Patient?identifier=1",
        "Patient?identifier=urn:x|",
        "Patient?id=a|b",
    ]
    wrong += ["Person?identifier=a|b", "Patient?identifier=a|b&identifier=a|b", "http://x/Patient?identifier=a|b"]
    wrong += ["Patient?identifier=a|%ff", "Patient?identifier=a|" + "b" * 600, "Patient?identifier=a|b\n"]
    assert [each for each in wrong if not isinstance(pixm.asked(each), Unfit)] == []


def test_json_is_read_in_one_way_or_not_at_all() -> None:
    """A name twice, what is no number, another character set, depth without end: refused; an object is taken."""
    deep = b'{"a":' + b"[" * 100_000
    wrong = [b"", b"[]", b"1", b'{"a":1,"a":2}', b'{"a":NaN}', b'{"a":Infinity}', b"\xef\xbb\xbf{}", deep]
    wrong += ['{"a":"é"}'.encode("latin-1"), "{}".encode("utf-16"), b'{"a":' + b"9" * 5000 + b"}", b"{} {}"]
    assert [each[:20] for each in wrong if not isinstance(pixm.document(each), Unfit)] == []
    assert pixm.document(json.dumps(PATIENT).encode()) == PATIENT


def test_without_a_moment_the_order_of_arrival_counts() -> None:
    """No meta: said now. A clock that is a little ahead is believed."""
    assert notice(changed(meta=None)).said_at == NOW
    ahead = NOW + timedelta(hours=1)
    assert notice(changed(meta={"lastUpdated": ahead.isoformat()})).said_at == ahead
