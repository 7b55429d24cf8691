"""Each rule answers yes, no or cannot tell, and is recorded under its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dmp_bridge import codes, norms, rules
from dmp_bridge.installed import Checked
from dmp_bridge.model import Answer, Code, Document, Doubtful, FilingReason, Flag, HostProfile, Ins, Matched, Ruling
from relay.model import SignatureState

REGION = HostProfile("region", "https://127.0.0.1:1", "2.25.5", "2.25.6")


@pytest.fixture
def context(report: Document) -> rules.Context:
    """The sample report, matched, by a structure of ours."""
    return rules.Context(report, Matched("p", ()), REGION, frozenset({"1750000018"}))


def answer(context: rules.Context, name: str) -> Ruling:
    return next(ruling for ruling in rules.judge(context) if ruling.rule == name)


def test_a_good_document_meets_no_obstacle(context: rules.Context) -> None:
    """Every rule is asked, in order; absent schemas and an absent signature cannot tell, and hold back nothing."""
    rulings = rules.judge(context)
    assert [ruling.rule for ruling in rulings] == [name for name, _ in rules.RULES]
    unsure = {ruling.rule: ruling.detail for ruling in rulings if ruling.answer is not Answer.YES}
    assert unsure == {"schema-valid": "not-installed", "signature-trusted": "unsigned"}
    assert rules.obstacle(rulings) is None


@pytest.mark.parametrize(
    ("rule", "change", "reason"),
    [
        ("type-known", {"type": Code("101881-1", "2.16.840.1.113883.6.1")}, FilingReason.TYPE_UNKNOWN),
        ("identifier-plain", {"unique_id": "1.2.3^45"}, FilingReason.DOCUMENT_REFUSED),
        ("header-complete", {"facility": None}, FilingReason.DOCUMENT_REFUSED),
        ("header-complete", {"service_start": None}, FilingReason.DOCUMENT_REFUSED),
        ("header-complete", {"language": "en-US"}, FilingReason.DOCUMENT_REFUSED),
        ("type-known", {"type": Code("FEUILLE-DE-STYLE", "1.2.250.1.213.1.1.4.12")}, FilingReason.TYPE_UNKNOWN),
        ("practice-known", {"practice_setting": Code("HAD", "2.25.1")}, FilingReason.DOCUMENT_REFUSED),
        ("body-known", {"body_media_type": "video/mp4"}, FilingReason.DOCUMENT_REFUSED),
        ("not-masked", {"confidentiality": Code("MASQUE_PS", "1.2.250.1.213.1.1.4.13")}, FilingReason.MASKED),
    ],
)
def test_a_document_that_breaks_a_rule_is_held_back(
    context: rules.Context, rule: str, change: dict[str, Any], reason: FilingReason
) -> None:
    """The obstacle names the rule and its reason."""
    broken = replace(context, document=replace(context.document, **change))
    found = rules.obstacle(rules.judge(broken))
    assert found is not None
    assert (found.rule, found.answer, found.reason) == (rule, Answer.NO, reason)


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
    """Where there are schemas they answer yes or no, and a no says which of them."""
    asked = replace(context, schema=lambda raw: Checked(Answer.YES))
    assert answer(asked, "schema-valid") == Ruling("schema-valid", Answer.YES)
    asked = replace(context, schema=lambda raw: Checked(Answer.NO, "xsd"))
    assert answer(asked, "schema-valid") == Ruling("schema-valid", Answer.NO, FilingReason.DOCUMENT_REFUSED, "xsd")


@pytest.mark.parametrize("schema", [None, lambda raw: Checked(Answer.CANNOT_TELL, "too-slow")])
def test_schemas_that_do_not_answer_hold_back_where_the_norm_asks_for_them(
    context: rules.Context, schema: Callable[[bytes], Checked] | None
) -> None:
    """Absent, or without an answer within their budget: recorded in a region, an obstacle under the national norm."""
    regional = answer(replace(context, schema=schema), "schema-valid")
    assert (regional.answer, regional.reason) == (Answer.CANNOT_TELL, None)
    profile = replace(REGION, norm=norms.norm("national"))
    national = rules.obstacle(rules.judge(replace(context, schema=schema, profile=profile)))
    assert national is not None
    assert (national.rule, national.reason) == ("schema-valid", FilingReason.RULE_CANNOT_TELL)


@pytest.mark.parametrize(
    ("state", "expected", "reason"),
    [
        (SignatureState.VALID, Answer.YES, None),
        (SignatureState.NONE, Answer.CANNOT_TELL, None),
        (SignatureState.CANNOT_TELL, Answer.CANNOT_TELL, FilingReason.RULE_CANNOT_TELL),
        (SignatureState.INVALID, Answer.NO, FilingReason.SIGNATURE),
        (SignatureState.PARTIAL, Answer.NO, FilingReason.SIGNATURE),
    ],
)
def test_a_signature_that_does_not_hold_holds_back(
    context: rules.Context, state: SignatureState, expected: Answer, reason: FilingReason | None
) -> None:
    """What was signed must hold for all of it; what cannot be checked waits; nothing signed is only recorded."""
    ruling = answer(replace(context, signature=state), "signature-trusted")
    assert (ruling.answer, ruling.reason) == (expected, reason)


def test_a_host_s_profile_has_its_say(context: rules.Context) -> None:
    """A host that is switched off, or that takes nothing that came in, is not filed into."""
    off = answer(replace(context, profile=replace(REGION, enabled=False)), "host-allows")
    assert off == Ruling("host-allows", Answer.NO, FilingReason.HOST_FORBIDS, "disabled")
    came = answer(replace(context, incoming=True), "host-allows")
    assert came == Ruling("host-allows", Answer.NO, FilingReason.HOST_FORBIDS, "incoming")
    assert answer(context, "host-allows").answer is Answer.YES


def test_a_broken_header_is_named_by_its_clause(context: rules.Context) -> None:
    """The clause of the minimal structure that is broken stands in the ruling."""
    raw = context.document.raw.replace(b'<languageCode code="fr-FR"/>', b'<languageCode code="en-US"/>')
    ruling = answer(replace(context, document=replace(context.document, raw=raw)), "header-valid")
    assert ruling == Ruling("header-valid", Answer.NO, FilingReason.DOCUMENT_REFUSED, "language")


@pytest.mark.parametrize(
    ("kind", "meant"),
    [
        (Code("11502-3", "2.16.840.1.113883.6.1"), "11502-2 CR d'examens biologiques"),
        (Code("IMAGERIE", "2.25.1", "Compte rendu d’imagerie medicale"), "18748-4 CR d'imagerie médicale"),
        (Code("ZZZ", "2.25.1", "Menu de la cantine"), ""),
    ],
)
def test_an_unknown_type_is_refused_with_the_nearest(context: rules.Context, kind: Code, meant: str) -> None:
    """By its code, else by its words; nothing is suggested where nothing is near."""
    odd = replace(context, document=replace(context.document, type=kind))
    ruling = rules.obstacle(rules.judge(odd))
    assert ruling == Ruling("type-known", Answer.NO, FilingReason.TYPE_UNKNOWN, meant)
    assert rules.told(ruling) == (f"type-known: {meant}" if meant else "type-known")


def _of(**change: Any) -> Callable[[rules.Context], rules.Context]:
    return lambda context: replace(context, document=replace(context.document, **change))


def _told(**change: Any) -> Callable[[rules.Context], rules.Context]:
    return lambda context: replace(context, **change)


def _header(context: rules.Context) -> rules.Context:
    return _of(raw=context.document.raw.replace(b'<languageCode code="fr-FR"/>', b'<languageCode code="en-US"/>'))(
        context
    )


def _ins(value: str, root: str = "1.2.250.1.213.1.4.10") -> Callable[[rules.Context], rules.Context]:
    return lambda context: _of(patient=replace(context.document.patient, ins=Ins(value, root)))(context)


def _nobody(context: rules.Context) -> rules.Context:
    return _of(patient=replace(context.document.patient, ins=None))(context)


TESTED = "279035121518989"
NO: dict[str, Callable[[rules.Context], rules.Context]] = {
    "type-known": _of(type=Code("101881-1", "2.16.840.1.113883.6.1")),
    "identifier-plain": _of(unique_id="1.2.3^45"),
    "header-complete": _of(facility=None),
    "header-valid": _header,
    "body-known": _of(body_media_type="video/mp4"),
    "practice-known": _of(practice_setting=Code("CANTINE", "1.2.250.1.213.1.1.4.9")),
    "ins-present": _nobody,
    "ins-well-formed": _ins("279035121518988"),
    "ins-of-this-host": _ins(TESTED, "1.2.250.1.213.1.4.8"),
    "patient-matched": _told(match=Doubtful(FilingReason.PATIENT_UNKNOWN)),
    "not-opposed": _told(match=Matched("p", (), frozenset({Flag.FILING}))),
    "author-ours": _told(institutions=frozenset({"1990000001"})),
    "not-masked": _of(confidentiality=Code("MASQUE_PS", "1.2.250.1.213.1.1.4.13")),
    "latest-version": _told(held_version=1),
    "signature-trusted": _told(signature=SignatureState.INVALID),
    "action-files": _of(action="D"),
    "host-allows": _told(incoming=True),
    "schema-valid": _told(schema=lambda raw: Checked(Answer.NO, "xsd")),
}
CANNOT_TELL: dict[str, Callable[[rules.Context], rules.Context]] = {
    "author-ours": _told(institutions=frozenset()),
    "not-masked": _of(confidentiality=Code("SECRET", "2.25.1")),
    "signature-trusted": _told(signature=SignatureState.CANNOT_TELL),
    "schema-valid": _told(schema=lambda raw: Checked(Answer.CANNOT_TELL, "too-slow")),
}
"""The others always know: what they ask stands in the document, the register or the profile."""


@pytest.mark.parametrize("name", [name for name, _ in rules.RULES])
def test_each_rule_gives_each_answer_that_it_can(context: rules.Context, name: str) -> None:
    """By name: yes of a good document, no of one change, and where something may be lacking cannot tell."""
    good = replace(context, schema=lambda raw: Checked(Answer.YES), signature=SignatureState.VALID)
    assert answer(good, name).answer is Answer.YES
    assert answer(NO[name](good), name).answer is Answer.NO
    if name in CANNOT_TELL:
        assert answer(CANNOT_TELL[name](good), name).answer is Answer.CANNOT_TELL


@pytest.mark.parametrize("name", [name for name, _ in rules.RULES])
def test_each_rule_s_answer_is_the_one_that_counts(
    context: rules.Context, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whichever rule says no, it alone keeps the document out, and the record says so."""
    refusing = [
        (each, (lambda _: (Answer.NO, FilingReason.MASKED)) if each == name else ask) for each, ask in rules.RULES
    ]
    monkeypatch.setattr(rules, "RULES", tuple(refusing))
    rulings = rules.judge(context)
    obstacle = rules.obstacle(rulings)
    assert obstacle is not None
    assert obstacle.rule == name
    assert dict(rules.facts(rulings))[name] == "no"


def test_a_no_comes_before_a_cannot_tell() -> None:
    """What is certainly wrong is said first."""
    doubt = Ruling("a", Answer.CANNOT_TELL, FilingReason.RULE_CANNOT_TELL)
    refusal = Ruling("b", Answer.NO, FilingReason.MASKED)
    assert rules.obstacle([doubt, refusal]) == refusal


@pytest.mark.parametrize(
    ("change", "expected", "detail"),
    [
        ({}, Answer.YES, ""),
        ({"action": "C", "replaces": "2.25.9"}, Answer.YES, ""),
        ({"action": "C", "version": 2}, Answer.YES, ""),
        ({"action": "C"}, Answer.NO, "replaces-nothing"),
        ({"action": "D", "replaces": "2.25.9"}, Answer.NO, "deletion"),
    ],
)
def test_what_an_archive_asks_for_is_heeded(
    context: rules.Context, change: dict[str, Any], expected: Answer, detail: str
) -> None:
    """A deletion is never filed as a document, a replacement says what it replaces (payload §2.6)."""
    ruling = answer(replace(context, document=replace(context.document, **change)), "action-files")
    assert (ruling.answer, ruling.detail) == (expected, detail)


def test_each_table_of_codes_says_whence_and_of_when() -> None:
    """Source and date stand at the head of every table that ships; without them nobody could renew it."""
    tables = sorted(Path(codes.__file__).parent.glob("*.csv"))
    assert {"classes", "type_class", "practice_settings", "media_format", "template_format"} <= {
        each.stem for each in tables
    }
    for path in tables:
        head = " ".join(line for line in path.read_text().splitlines() if line.startswith("#"))
        assert re.search(r"\bSource", head), path.name
        assert re.search(r"20\d\d(-\d\d-\d\d)?", head), path.name
