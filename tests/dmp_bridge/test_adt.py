"""ADT messages of the hospital: which are taken, what they say of a patient, and with which code the others go back."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from dmp_bridge import adt, hl7
from dmp_bridge.enrolment import Notice
from dmp_bridge.hl7 import Acknowledged
from dmp_bridge.model import Flag, Ins, InsStatus, Traits

ROOT = "1.2.250.1.213.1.4.10"
INS = f"279035121518989^^^ASIP-SANTE-INS-NIR&{ROOT}&ISO^INS^^20101207"
PROFILE = adt.Profile({"CHU-X": "2.25.77"}, frozenset({"P"}))
TODAY = datetime(2026, 11, 25, 9, tzinfo=UTC)

LINES = {
    "MSH": r"MSH|^~\&|GAM|CHU-X|PLI|CHU-X|20240306111154||ADT^A01^ADT_A01|3975|P|2.5^FRA^2.11|||||FRA|UNICODE UTF-8",
    "PID": f"PID|1||000003^^^CHU-X&000897406&N^PI~{INS}||PAT-TROIS^DOMINIQUE^DOMINIQUE MARIE^^^^L||19790328|F|||"
    "28 Av^^PARIS^^75007^FRA^H~^^^^^^BDL^^51215" + "|" * 21 + "VALI",
    "ZFA": "ZFA|ACTIF|20240306111154|||||||INO|20240306111154|IC|20240306111154",
}


def said(*swaps: tuple[str, str], more: tuple[str, ...] = (), zfa: bool = False) -> Notice | Acknowledged:
    """What is read of the usual message with something changed."""
    names = ("MSH", "PID", "ZFA") if zfa else ("MSH", "PID")
    text = "\r".join([LINES[name] for name in names] + list(more)) + "\r"
    for old, new in swaps:
        assert old in text
        text = text.replace(old, new, 1)
    return adt.read(hl7.read(text.encode()), PROFILE, TODAY)


def notice(*swaps: tuple[str, str], more: tuple[str, ...] = (), zfa: bool = False) -> Notice:
    found = said(*swaps, more=more, zfa=zfa)
    assert isinstance(found, Notice), found
    return found


def refused(*swaps: tuple[str, str], more: tuple[str, ...] = (), zfa: bool = False) -> tuple[str, str, str]:
    found = said(*swaps, more=more, zfa=zfa)
    assert isinstance(found, Acknowledged)
    assert found.fault is not None
    return found.code, found.fault.code, found.fault.location


SAMPLES = {
    "SGL/admission.er7": ("A01", {Flag.FILING: False, Flag.CONSULTATION: False}),
    "SGL/sortie.er7": ("A03", {}),
    "ConsentementConsultation_NonOppositionAlimentation": ("A01", {Flag.FILING: False, Flag.CONSULTATION: False}),
    "NonConsentementConsultation_NonOppositionAlimentation": ("A01", {Flag.FILING: False, Flag.CONSULTATION: True}),
    "NonConsentementConsultation_OppositionAlimentation": ("A01", {Flag.FILING: True, Flag.CONSULTATION: True}),
    "NonRecueillieConsentementConsultation_NonOppositionAlimentation": ("A01", {Flag.FILING: False}),
    "NonRecueillieConsentementConsultation_NonRecueillieOppositionAlimentation": ("A01", {}),
}


@pytest.mark.corpus
@pytest.mark.parametrize("name", SAMPLES)
def test_every_adt_and_consent_sample_of_the_corpus_is_read(corpus: Path, name: str) -> None:
    """The published admission, end of stay and five consents: event, identity, status, and what is refused."""
    path = corpus / "hl7v2" / (name if "/" in name else f"Vague 2/Consentement_DMP_PAMFR/{name}.er7")
    profile = adt.Profile({"CHU-X": "2.25.77"}, frozenset({"D"}))  # they are marked as for debugging
    read = adt.read(hl7.read(path.read_bytes()), profile, TODAY)
    assert isinstance(read, Notice)
    event, flags = SAMPLES[name]
    assert (read.event, dict(read.flags), read.source) == (event, flags, "adt:GAM/CHU-X")
    assert read.patient.ins == Ins("279035121518989", ROOT)
    assert read.patient.ins_status is InsStatus.QUALIFIED
    assert read.patient.traits == Traits("PAT-TROIS", "DOMINIQUE", "DOMINIQUE", date(1979, 3, 28), "F", "63220")
    assert read.patient.local_ids == (("2.25.77", "000003"),)
    assert read.ins_source == ("INSI" if "Consultation" in name else "")


@pytest.mark.corpus
def test_no_adt_sample_of_the_corpus_is_left_out(corpus: Path) -> None:
    """The table above names each of them."""
    folder = corpus / "hl7v2"
    found = {path for path in folder.rglob("*.er7") if b"|ADT^" in path.read_bytes()[:300]}
    assert len(found) == len(SAMPLES)


@pytest.mark.parametrize("event", ["A01", "A03", "A04", "A05", "A08", "A28", "A31"])
def test_an_identity_event_says_who(event: str) -> None:
    """One reading for all: number under our OID, traits, place of birth, who said it and when."""
    read = notice(("ADT^A01", f"ADT^{event}"))
    assert (read.event, read.priors, read.flags) == (event, (), ())
    assert read.said_at == datetime(2024, 3, 6, 10, 11, 54, tzinfo=UTC)
    assert read.patient.local_ids == (("2.25.77", "000003"),)
    assert read.patient.traits == Traits("PAT-TROIS", "DOMINIQUE", "DOMINIQUE MARIE", date(1979, 3, 28), "F", "51215")


@pytest.mark.parametrize(
    ("swap", "answer"),
    [
        (("ADT^A01", "ORU^R01"), ("AR", "200", "MSH-9")),
        (("ADT^A01", "ADT^A02"), ("AR", "201", "MSH-9")),
        (("2.5^FRA", "3.0^FRA"), ("AR", "203", "MSH-12")),
        (("|P|2.5", "|T|2.5"), ("AR", "202", "MSH-11")),
        (("|3975|", "||"), ("AE", "101", "MSH-10")),
        (("20240306111154", "2024"), ("AE", "102", "MSH-7")),
        (("20240306111154", "20270306111154"), ("AE", "102", "MSH-7")),
        (("^PI~", "^AN~"), ("AE", "101", "PID-3")),
        (("CHU-X&000897406&N", ""), ("AE", "101", "PID-3")),
        (("279035121518989", "279035121518988"), ("AE", "102", "PID-3")),
        ((ROOT, "1.2.250.1.213.1.4.13"), ("AE", "103", "PID-3")),
        (("^INS^^20101207", f"^INS~279035121518886^^^N&{ROOT}&ISO^INS"), ("AE", "205", "PID-3")),
        (("^^^^L|", "^^^^D|"), ("AE", "101", "PID-5")),
        (("PAT-TROIS", ""), ("AE", "101", "PID-5")),
        (("19790328", "28/03/79"), ("AE", "102", "PID-7")),
        (("PAT-TROIS", "PAT\\Z"), ("AE", "102", "")),
    ],
)
def test_what_is_not_taken_goes_back_with_its_code_and_place(
    swap: tuple[str, str], answer: tuple[str, str, str]
) -> None:
    """AR for what this door does not take, AE for what the message says wrongly; never a value."""
    if swap[1].startswith("^INS~279035121518886"):
        body = "2790351215188"
        swap = (swap[0], swap[1].replace("279035121518886", f"{body}{97 - int(body) % 97:02}"))
    assert refused(swap) == answer


def test_two_patients_in_one_message_are_refused() -> None:
    """Nobody could say which of them was taken."""
    assert refused(more=(LINES["PID"],)) == ("AE", "100", "PID")


@pytest.mark.parametrize(
    ("code", "with_ins", "without"),
    [
        ("VALI", InsStatus.QUALIFIED, InsStatus.VALIDATED),
        ("PROV", InsStatus.RETRIEVED, InsStatus.PROVISIONAL),
        ("", InsStatus.UNSTATED, InsStatus.UNSTATED),
        ("HOMD", InsStatus.UNSTATED, InsStatus.UNSTATED),
        ("VALI~HOMD", InsStatus.QUALIFIED, InsStatus.VALIDATED),
        ("VALI~DOUT", InsStatus.PROVISIONAL, InsStatus.PROVISIONAL),
        ("FICT", InsStatus.PROVISIONAL, InsStatus.PROVISIONAL),
    ],
)
def test_a_status_is_what_pid_32_and_the_ins_say_together(code: str, with_ins: InsStatus, without: InsStatus) -> None:
    """Only VALI with an official INS is qualified; a doubtful or fictitious identity never is; silence is no status."""
    swap = ("|VALI", f"|{code}")
    assert notice(swap).patient.ins_status is with_ins
    assert notice(swap, (f"~{INS}", "")).patient.ins_status is without


def test_other_numbers_are_nobodys_identity() -> None:
    """Visit and social security numbers are passed over; two numbers of the establishment are both kept."""
    read = notice(("^PI~", "^PI~5^^^CHU-X^AN~1790351215189^^^X&1.2.250.1.213.1.4.13&ISO^SS~9^^^LABO&1.2.9&ISO^PI~"))
    assert read.patient.local_ids == (("2.25.77", "000003"), ("1.2.9", "9"))


@pytest.mark.parametrize("born", ["", "1979", "19790300"])
def test_an_identity_that_is_not_whole_cannot_be_qualified(born: str) -> None:
    """Without a whole birth date: refused as qualified, taken as provisional."""
    assert refused(("19790328", born)) == ("AE", "101", "PID-5")
    assert notice(("19790328", born), ("|VALI", "|PROV")).patient.traits.birth_date is None


@pytest.mark.parametrize(
    ("feeding", "consulting", "flags"),
    [
        ("INO", "IC", {Flag.FILING: False, Flag.CONSULTATION: False}),
        ("IO", "INC", {Flag.FILING: True, Flag.CONSULTATION: True}),
        ("NA", "NA", {}),
        ("", "", {}),
    ],
)
def test_zfa_says_what_the_patient_refuses(feeding: str, consulting: str, flags: dict[Flag, bool]) -> None:
    """Opposed, not opposed, not collected: the last moves nothing."""
    read = notice(("|INO|", f"|{feeding}|"), ("|IC|", f"|{consulting}|"), zfa=True)
    assert dict(read.flags) == flags


def test_a_consent_that_nobody_knows_is_refused() -> None:
    """An unknown code could be a no."""
    assert refused(("|INO|", "|OUI|"), zfa=True) == ("AE", "103", "ZFA-9")
    assert refused(("|IC|", "|X|"), zfa=True) == ("AE", "103", "ZFA-11")
    assert refused(("INO|20240306111154", "INO|hier"), zfa=True) == ("AE", "102", "ZFA-10")


def test_a_merge_names_whom(now: datetime) -> None:
    """A40: each number of each MRG; none, or the patient's own, is refused."""
    merge = ("ADT^A01", "ADT^A40")
    read = notice(merge, more=("MRG|41^^^CHU-X^PI~42^^^CHU-X^PI", "MRG|43^^^CHU-X^PI"))
    assert [each.local_ids for each in read.priors] == [(("2.25.77", number),) for number in ("41", "42", "43")]
    assert refused(merge) == ("AE", "101", "MRG-1")
    assert refused(merge, more=("MRG|000003^^^CHU-X^PI",)) == ("AE", "204", "MRG-1")
