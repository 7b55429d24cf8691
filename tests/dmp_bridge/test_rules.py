"""Each rule answers yes, no or cannot tell, and is recorded under its name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dmp_bridge import rules
from dmp_bridge.model import Answer, Code, Document, Doubtful, FilingReason, HostProfile, Ins, Matched, Ruling

REGION = HostProfile("region", "https://127.0.0.1:1", "2.25.5", "2.25.6")


@pytest.fixture
def context(report: Document) -> rules.Context:
    """The sample report, matched, by a structure of ours."""
    return rules.Context(report, Matched("p", ()), REGION, frozenset({"1750000018"}))


def answer(context: rules.Context, name: str) -> Ruling:
    return next(ruling for ruling in rules.judge(context) if ruling.rule == name)


def test_a_good_document_meets_no_obstacle(context: rules.Context) -> None:
    """Every rule is asked, in order; only the absent schemas cannot tell, and hold back nothing."""
    rulings = rules.judge(context)
    assert [ruling.rule for ruling in rulings] == [name for name, _ in rules.RULES]
    assert {ruling.rule for ruling in rulings if ruling.answer is not Answer.YES} == {"schema-valid"}
    assert rules.obstacle(rulings) is None


@pytest.mark.parametrize(
    ("rule", "change", "reason"),
    [
        ("type-known", {"type": Code("101881-1", "2.16.840.1.113883.6.1")}, FilingReason.TYPE_UNKNOWN),
        ("identifier-plain", {"unique_id": "1.2.3^45"}, FilingReason.DOCUMENT_REFUSED),
        ("header-complete", {"facility": None}, FilingReason.DOCUMENT_REFUSED),
        ("header-complete", {"service_start": None}, FilingReason.DOCUMENT_REFUSED),
        ("header-complete", {"language": "en-US"}, FilingReason.DOCUMENT_REFUSED),
        ("body-known", {"body_media_type": "video/mp4"}, FilingReason.DOCUMENT_REFUSED),
        ("not-masked", {"confidentiality": Code("MASQUE_PS", "1.2.250.1.213.1.1.4.13")}, FilingReason.MASKED),
    ],
)
def test_a_document_that_breaks_a_rule_is_held_back(
    context: rules.Context, rule: str, change: dict[str, Any], reason: FilingReason
) -> None:
    """The obstacle names the rule and its reason."""
    broken = replace(context, document=replace(context.document, **change))
    assert rules.obstacle(rules.judge(broken)) == Ruling(rule, Answer.NO, reason)


@pytest.mark.parametrize(
    ("ins", "rule", "reason"),
    [
        (None, "ins-present", FilingReason.INS_ABSENT),
        (Ins("279035121518988", "1.2.250.1.213.1.4.10"), "ins-well-formed", FilingReason.INS_INCOMPLETE),
        (Ins("279035121518989", "1.2.250.1.213.1.4.8"), "ins-of-this-host", FilingReason.INS_DIFFERS),
    ],
)
def test_an_identity_that_does_not_suit_is_held_back(
    context: rules.Context, ins: Ins | None, rule: str, reason: FilingReason
) -> None:
    """Absent, with a wrong key, or real where the host takes test identities."""
    document = replace(context.document, patient=replace(context.document.patient, ins=ins))
    assert rules.obstacle(rules.judge(replace(context, document=document))) == Ruling(rule, Answer.NO, reason)


def test_a_doubtful_match_is_held_back_for_its_reason(context: rules.Context) -> None:
    """The reason of the match is the reason of the rule."""
    doubtful = replace(context, match=Doubtful(FilingReason.PATIENT_NOT_UNIQUE))
    ruling = rules.obstacle(rules.judge(doubtful))
    assert ruling == Ruling("patient-matched", Answer.NO, FilingReason.PATIENT_NOT_UNIQUE)


def test_only_documents_of_ours_are_filed(context: rules.Context) -> None:
    """Another structure's document is not ours to file; without a list of ours nobody can tell."""
    other = answer(replace(context, institutions=frozenset({"1990000001"})), "author-ours")
    assert other == Ruling("author-ours", Answer.NO, FilingReason.NOT_OURS)
    unknown = answer(replace(context, institutions=frozenset()), "author-ours")
    assert unknown == Ruling("author-ours", Answer.CANNOT_TELL, FilingReason.RULE_CANNOT_TELL)
    assert rules.obstacle([unknown]) == unknown


def test_a_region_may_file_what_others_sent(context: rules.Context) -> None:
    """Only where the profile says so, and only for what came in."""
    theirs = replace(context, institutions=frozenset({"1990000001"}), incoming=True)
    assert answer(theirs, "author-ours").answer is Answer.NO
    regional = replace(theirs, profile=replace(REGION, files_incoming=True))
    assert answer(regional, "author-ours").answer is Answer.YES
    assert answer(replace(regional, incoming=False), "author-ours").answer is Answer.NO


def test_an_unknown_confidentiality_cannot_be_judged(context: rules.Context) -> None:
    """A code that no list holds is not taken for normal."""
    odd = replace(context, document=replace(context.document, confidentiality=Code("SECRET", "2.25.1")))
    assert answer(odd, "not-masked").answer is Answer.CANNOT_TELL


@pytest.mark.parametrize(("held", "expected"), [(None, Answer.YES), (0, Answer.YES), (1, Answer.NO), (2, Answer.NO)])
def test_an_old_version_is_not_filed_over_a_newer_one(
    context: rules.Context, held: int | None, expected: Answer
) -> None:
    """Never over an equal or higher version of the same set."""
    assert answer(replace(context, held_version=held), "latest-version").answer is expected


def test_installed_schemas_decide(context: rules.Context) -> None:
    """Where there are schemas they answer yes or no."""
    for holds, expected in ((True, Answer.YES), (False, Answer.NO)):
        given = replace(context, schema=lambda raw, h=holds: h)
        assert answer(given, "schema-valid").answer is expected


def test_a_no_comes_before_a_cannot_tell() -> None:
    """What is certainly wrong is said first."""
    doubt = Ruling("a", Answer.CANNOT_TELL, FilingReason.RULE_CANNOT_TELL)
    refusal = Ruling("b", Answer.NO, FilingReason.MASKED)
    assert rules.obstacle([doubt, refusal]) == refusal
