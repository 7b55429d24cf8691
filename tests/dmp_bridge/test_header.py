"""Each clause of the minimal structure is asked: examples and our own N1 break none, each broken twin is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dmp_bridge import cda, codes, header

REPLACED = b'<relatedDocument typeCode="RPLC"><parentDocument><id root="2.25.9"/></parentDocument></relatedDocument>'


def rules(raw: bytes, *, errors: bool = True) -> set[str]:
    found = header.check(raw)
    assert found is not None
    return {each.rule for each in found if each.error is errors}


def test_what_we_write_breaks_nothing(report_xml: bytes) -> None:
    """The N1 that we put around a PDF: no error, no remark."""
    assert header.check(report_xml) == ()


@pytest.mark.corpus
def test_the_published_examples_break_no_clause(corpus: Path) -> None:
    """94 examples of ANS: no error; remarks on ten keys, ten times to the day, ten versions that replace nothing."""
    paths = sorted((corpus / "cda" / "ExemplesCDA").glob("*.xml"))
    found = {path.name: header.check(path.read_bytes()) for path in paths}
    assert {name: each for name, each in found.items() if each is None or any(one.error for one in each)} == {}
    remarks = [one.rule for each in found.values() for one in each or ()]
    counted = {rule: remarks.count(rule) for rule in sorted(set(remarks))}
    assert counted == {"authenticator-second": 10, "created-second": 1, "matricule": 10, "version-replaces": 10}


BROKEN = {
    "realm": (rb'<realmCode code="FR"/>', b'<realmCode code="US"/>'),
    "realm-once": (rb'<realmCode code="FR"/>', b""),
    "type-id": (rb"POCD_HD000040", b"POCD_HD000041"),
    "templates": (rb'<templateId root="1.2.250.1.213.1.1.1.1"/>', b""),
    "id": (rb'<typeId ', b'<id root="2.25.1"/><typeId '),
    "id-oid": (rb'<id root="2.25.[0-9.]+"/>\s*<code', b'<id root="02.25.1"/><code'),
    "code": (rb'displayName="CR d&apos;imagerie m\xc3\xa9dicale"|displayName="CR d\'imagerie m\xc3\xa9dicale"', b""),
    "code-once": (rb"<title>", b'<code code="1" codeSystem="2" displayName="3"/><title>'),
    "title": (rb"<title>[^<]*</title>", b"<title>" + b"x" * 129 + b"</title>"),
    "title-once": (rb"<title>[^<]*</title>", b""),
    "created": (rb'<effectiveTime value="20\d{12}[+-]\d{4}"/>', b'<effectiveTime value="yesterday"/>'),
    "created-once": (rb'(<effectiveTime value="20\d{12}[+-]\d{4}"/>)', rb"\1\1"),
    "confidentiality": (rb'confidentialityCode code="N"', b'confidentialityCode code="L"'),
    "confidentiality-once": (rb"<languageCode", b'<confidentialityCode code="N"/><languageCode'),
    "language": (rb'languageCode code="fr-FR"', b'languageCode code="fr-fr"'),
    "patient": (rb"(<patientRole>.*</patientRole>)", rb"\1\1"),
    "strict-traits": (rb"<county>\d+</county>", b""),
    "birth-time": (rb'<birthTime value="\d+"/>', b'<birthTime value="1979-03-28"/>'),
    "author-id": (rb'(<assignedAuthor>\s*)<id [^>]*/>', rb'\1<id nullFlavor="UNK"/>'),
    "author-time": (rb'(<author>\s*)<time [^>]*/>', rb"\1"),
    "custodian": (rb"(<representedCustodianOrganization>\s*)<id [^>]*/>", rb"\1"),
    "custodian-id": (rb'(<representedCustodianOrganization>\s*<id root=")[^"]*"', rb'\g<1>1.2.3"'),
    "authenticator": (rb"(<legalAuthenticator>.*</legalAuthenticator>)", rb"\1\1"),
    "authenticator-time": (rb"(<legalAuthenticator>\s*)<time [^>]*/>", rb"\1"),
    "authenticator-signed": (rb'signatureCode code="S"', b'signatureCode code="X"'),
    "authenticator-id": (rb"(<legalAuthenticator>.*?<assignedEntity>\s*)<id [^>]*/>", rb"\1"),
    "main-act": (rb"<standardIndustryClassCode [^>]*/>", b""),
    "replacement": (rb"<componentOf>", REPLACED.replace(b"RPLC", b"APND") + b"<componentOf>"),
    "replacement-once": (rb"<componentOf>", REPLACED * 2 + b"<componentOf>"),
    "encounter": (rb"(<componentOf>.*</componentOf>)", rb"\1\1"),
    "facility": (rb"(<healthCareFacility>\s*)<code [^>]*/>", rb"\1"),
    "body": (rb'mediaType="application/pdf"', b'mediaType="video/mp4"'),
    "known": (rb"<title>", b'<title nullFlavor="UNK">'),
    "null-flavors": (rb'<addr nullFlavor="NASK"/>', b'<addr nullFlavor="WHY"/>'),
}  # fmt: skip


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_clause_is_named(report_xml: bytes, rule: str) -> None:
    """One change of a sound document, and its clause is among the errors, with words in two languages."""
    pattern, new = BROKEN[rule]
    raw, count = re.subn(pattern, new, report_xml, count=1, flags=re.DOTALL)
    assert count == 1
    assert rule in rules(raw)
    assert codes.clause_words(rule, "fr") != rule != codes.clause_words(rule, "en")


REMARKED = {
    "set": (rb"<setId [^>]*/>", b""),
    "version": (rb"<versionNumber [^>]*/>", b""),
    "version-replaces": (rb'versionNumber value="1"', b'versionNumber value="2"'),
    "matricule": (rb'extension="279035121518989"', b'extension="279035121518988"'),
    "ins-c": (rb"<patientRole>", b'<patientRole><id root="1.2.250.1.213.1.4.2" extension="1"/>'),
    "created-second": (rb'<effectiveTime value="(20\d{6})\d{6}[+-]\d{4}"/>', rb'<effectiveTime value="\1"/>'),
    "authenticator-second": (rb'(<legalAuthenticator>\s*<time value="20\d{6})[^"]*"', rb'\1"'),
    "telecom": (rb'<telecom nullFlavor="NASK"/>', b'<telecom value="01 02 03"/>'),
}


@pytest.mark.parametrize("rule", REMARKED)
def test_what_older_documents_lack_is_a_remark(report_xml: bytes, rule: str) -> None:
    """Named, and no error."""
    pattern, new = REMARKED[rule]
    raw, count = re.subn(pattern, new, report_xml, count=1, flags=re.DOTALL)
    assert count == 1
    assert rule in rules(raw, errors=False)
    assert rules(raw) == set()


def test_every_clause_has_a_broken_twin() -> None:
    """A clause that no test breaks is missed here; two need more than one change and stand below."""
    rest = {"patient-id", "author", "authenticator-id"}
    assert {each.rule for each in header.CLAUSES} - set(BROKEN) - set(REMARKED) <= rest


def test_a_document_without_author_or_patient_id(report_xml: bytes) -> None:
    """Neither is read as a document, and both clauses are broken."""
    raw = re.sub(rb"<author>.*</author>", b"", report_xml, flags=re.DOTALL)
    raw = re.sub(rb"(<patientRole>\s*)(<id [^>]*/>\s*)+", rb"\1", raw)
    assert {"author", "patient-id"} <= rules(raw)
    assert not isinstance(cda.read(raw), cda.Document)


def test_a_breach_holds_no_value(report_xml: bytes) -> None:
    """What is told of a broken header quotes nothing of the patient."""
    raw = report_xml.replace(b"<county>", b"<x>").replace(b"</county>", b"</x>").replace(b"279035121518989", b"27903")
    told = repr(header.check(raw))
    assert "matricule" in told
    assert "27903" not in told
    assert "PAT-TROIS" not in told


def test_what_is_no_cda_is_not_judged(report_xml: bytes) -> None:
    """Two documents in one, or none: there is nothing to say clause by clause."""
    assert header.check(b"<html/>") is None
    assert header.check(b"<!DOCTYPE x><ClinicalDocument/>") is None
