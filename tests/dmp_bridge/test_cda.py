"""The CDA header: what is read, and each way in which it is refused."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from lxml import etree

from dmp_bridge import cda, codes, header, n1
from dmp_bridge.model import Bad, Document, FilingReason, Ins

HL7 = "urn:hl7-org:v3"
ALONE = b"<a xmlns='urn:x'/>"


def examples(corpus: Path) -> list[Path]:
    return sorted((corpus / "cda" / "ExemplesCDA").glob("*.xml"))


def example(corpus: Path, name: str) -> Document:
    found = cda.read((corpus / "cda" / "ExemplesCDA" / name).read_bytes())
    assert isinstance(found, Document), found
    return found


def edited(raw: bytes, change: Callable[[etree._Element], None]) -> bytes:
    root = etree.fromstring(raw)
    change(root)
    return etree.tostring(root)


def drop(path: str) -> Callable[[etree._Element], None]:
    def change(root: etree._Element) -> None:
        for item in root.findall(path, {"c": HL7}):
            parent = item.getparent()
            assert parent is not None
            parent.remove(item)

    return change


def put(path: str, name: str, value: str) -> Callable[[etree._Element], None]:
    def change(root: etree._Element) -> None:
        for item in root.findall(path, {"c": HL7}):
            item.set(name, value)

    return change


def twice(path: str) -> Callable[[etree._Element], None]:
    def change(root: etree._Element) -> None:
        item = root.find(path, {"c": HL7})
        assert item is not None
        item.addnext(etree.fromstring(etree.tostring(item)))

    return change


@pytest.mark.corpus
def test_every_published_example_is_read(corpus: Path) -> None:
    """All 94 examples of ANS are read, in their three shapes, and keep their bytes."""
    paths = examples(corpus)
    read = [(path, cda.read(path.read_bytes())) for path in paths]
    table = "\n".join(f"{path.name:80} {found}" for path, found in read if isinstance(found, Bad))
    assert not table, f"\n{table}"
    assert len(read) == 94
    assert all(isinstance(found, Document) and found.raw == path.read_bytes() for path, found in read)


@pytest.mark.corpus
def test_a_header_is_read_in_full(corpus: Path) -> None:
    """The N1 imaging report gives every metadata that a dossier asks for."""
    document = example(corpus, "IMG_CR_IMG_2024.01_CDA-R2-Niveau-1.xml")
    assert document.unique_id == "1.2.250.1.213.1.1.1.45.2024.2.1"
    assert (document.set_id, document.version) == ("1.2.250.1.213.1.1.1.45.2024.2", 2)
    assert document.type.code == "18748-4"
    assert document.effective_time == datetime(2021, 1, 8, 10, 17, tzinfo=UTC)
    assert document.service_start == datetime(2021, 1, 8, 9, 25, tzinfo=UTC)
    assert (document.confidentiality.code, document.language) == ("N", "fr-FR")
    assert document.patient.ins == Ins("279035121518989", "1.2.250.1.213.1.4.10")
    traits = document.patient.traits
    assert (traits.birth_name, traits.first_given_name) == ("PAT-TROIS", "DOMINIQUE")
    assert (traits.given_names, traits.birth_date) == ("DOMINIQUE MARIE-LOUISE", date(1979, 3, 28))
    assert (traits.sex, traits.birth_place) == ("F", "51215")
    assert document.patient.local_ids == (("1.2.3.4.567.8.9.10", "1234567890121"),)
    author = document.authors[0]
    assert (author.person_id, author.family_name, author.given_name) == (
        "801234560801",
        "BIDEAULT",
        "Jacques",
    )
    assert (author.institution_id, author.institution_name) == ("1750803447", "Centre de radiologie Ambroise")
    assert document.practice_setting is not None
    assert document.practice_setting.code == "AMBULATOIRE"
    assert document.replaces == "90E1C8EC-F951-4B26-A305-A34848818DD6"
    assert ("105234751", "1.2.250.1.925.994044.27", "urn:ihe:iti:xds:2013:accession") in document.references


@pytest.mark.corpus
def test_a_self_presenting_document_is_found_in_its_stylesheet(corpus: Path) -> None:
    """Under xsl:stylesheet the document is the one in data:Contenu, and its media type says so."""
    document = example(corpus, "BIO-CR-BIO_2021.01_Auto-Presentable.xml")
    assert document.mime_type == "application/xslt+xml"


@pytest.mark.corpus
def test_a_replacement_names_what_it_replaces(corpus: Path) -> None:
    """The second version names its parent, and its set again; a first version names none."""
    old = example(corpus, "BIO-CR-BIO_2024.01_Microbiologie_V1.xml")
    new = example(corpus, "BIO-CR-BIO_2024.01_Microbiologie_V2.xml")
    assert (old.replaces, new.replaces) == ("", "1.2.250.1.213.1.1.1.55.12345.13")
    assert (new.set_id, new.version > old.version) == (old.set_id, True)


@pytest.mark.corpus
def test_known_matricules_with_a_wrong_key_are_read_but_not_well_formed(corpus: Path) -> None:
    """The samples whose key fails stay readable: the matter is the match's, not the reader's."""
    wrong = {"221042545611404", "223042545611404", "222127505611201", "224027511583555"}
    found = {
        document.patient.ins.value
        for document in map(cda.read, (path.read_bytes() for path in examples(corpus)))
        if isinstance(document, Document) and document.patient.ins and not cda.well_formed(document.patient.ins)
    }
    assert found == wrong


@pytest.mark.corpus
def test_a_pdf_copy_is_found_in_n1_and_in_n3(corpus: Path) -> None:
    """An N1 body and the copy section of an N3 give their PDF; a document without one gives none."""
    names = ("IMG_CR_IMG_2024.01_CDA-R2-Niveau-1.xml", "BIO-CR-BIO_2024.01_TSH_1.xml")
    for name in names:
        copy = cda.pdf_copy(example(corpus, name))
        assert copy is not None
        assert copy.startswith(b"%PDF-")
    assert cda.pdf_copy(example(corpus, "IMG_CR_IMG_2024.01.xml")) is None


@pytest.mark.corpus
def test_a_wrapped_pdf_is_a_valid_cda(corpus: Path, report_xml: bytes, report_pdf: bytes) -> None:
    """What wrap_pdf writes is valid by CDA_extended.xsd, and gives the PDF back byte for byte."""
    schema = etree.XMLSchema(etree.parse(str(corpus / "cda" / "infrastructure" / "cda" / "CDA_extended.xsd")))
    schema.assertValid(etree.fromstring(report_xml))
    document = cda.read(report_xml)
    assert isinstance(document, Document)
    assert cda.pdf_copy(document) == report_pdf


CONTENTS = {
    "application/pdf": b"%PDF-1.4 x",
    "text/plain": "Compte rendu : température 37,2 °C\n".encode(),
    "text/rtf": b"{\\rtf1 Compte rendu}",
    "image/jpeg": b"\xff\xd8\xff\xe0 x",
    "image/tiff": b"II*\x00 x",
}


@pytest.mark.corpus
@pytest.mark.parametrize("kind", CONTENTS)
def test_each_kind_is_wrapped_unchanged(corpus: Path, kind: str, report: Document, now: datetime) -> None:
    """PDF, text, RTF and two images (SM §3.4): valid by XSD, no clause broken, its format known, its bytes inside."""
    raw = n1.wrap(CONTENTS[kind], kind, n1_header(report, now))
    schema = etree.XMLSchema(etree.parse(str(corpus / "cda" / "infrastructure" / "cda" / "CDA_extended.xsd")))
    schema.assertValid(etree.fromstring(raw))
    assert header.check(raw) == ()
    document = cda.read(raw)
    assert isinstance(document, Document)
    assert document.body_media_type == kind
    assert codes.format_of(document).code != codes.UNPROFILED
    (text,) = etree.fromstring(raw).iter("{urn:hl7-org:v3}text")
    assert base64.b64decode(text.text or "") == CONTENTS[kind]
    assert n1.kind_of(CONTENTS[kind]) == kind


def n1_header(report: Document, now: datetime) -> n1.N1Header:
    assert report.facility
    assert report.practice_setting
    return n1.N1Header(
        "2.25.1", "2.25.2", report.type, "Compte rendu", now, report.patient, report.authors[0],
        report.facility, report.practice_setting, now,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("application/pdf", b"GIF89a"),
        ("text/plain", b"\xff\xfe latin"),
        ("text/plain", b"a\x00b"),
        ("text/plain", b"  "),
        ("text/rtf", b"rtf"),
        ("image/jpeg", b"II*\x00"),
        ("image/tiff", b"\xff\xd8\xff"),
        ("video/mp4", b"%PDF-1.4"),
        ("text/html", b"<p>"),
    ],
)
def test_what_is_not_of_its_kind_is_not_wrapped(kind: str, content: bytes, report: Document, now: datetime) -> None:
    """By how it begins, before a header is built around it."""
    with pytest.raises(ValueError, match=r"^not a"):
        n1.wrap(content, kind, n1_header(report, now))
    assert n1.kind_of(content) != kind


def test_what_is_no_pdf_is_not_wrapped(now: datetime, report_pdf: bytes) -> None:
    """Bytes that do not begin as a PDF are refused before a header is built around them."""
    with pytest.raises(ValueError, match="not a PDF"):
        cda.wrap_pdf(b"GIF89a", None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (drop("c:id"), "id-absent"),
        (twice("c:id"), "id-repeated"),
        (put("c:id", "root", "1.02.3"), "id-not-an-oid"),
        (put("c:id", "root", "1." + "2" * 70), "id-not-an-oid"),
        (drop("c:code"), "code-absent"),
        (drop("c:title"), "title-absent"),
        (put("c:effectiveTime", "value", "00000101"), "effective-time-not-a-time"),
        (put("c:effectiveTime", "value", "20261132"), "effective-time-not-a-time"),
        (put("c:effectiveTime", "value", "20261125093000"), "effective-time-without-offset"),
        (put("c:confidentialityCode", "code", ""), "header-null"),
        (drop("c:languageCode"), "language-absent"),
        (put("c:versionNumber", "value", "deux"), "version-not-a-number"),
        (drop("c:recordTarget"), "patient-absent"),
        (twice("c:recordTarget"), "patient-repeated"),
        (
            put("c:recordTarget/c:patientRole/c:patient/c:birthTime", "value", "19791399"),
            "birth-time-not-a-time",
        ),
        (drop("c:author"), "author-absent"),
        (drop("c:custodian"), "custodian-absent"),
        (drop("c:component"), "body-absent"),
        (
            put("c:documentationOf/c:serviceEvent/c:effectiveTime/c:high", "value", "20200101"),
            "service-stop-before-start",
        ),
    ],
)
def test_a_broken_header_is_refused_by_name(
    report_xml: bytes, change: Callable[[etree._Element], None], rule: str
) -> None:
    """Each mandatory element, absent, repeated or unreadable, has its own name."""
    assert cda.read(edited(report_xml, change)) == Bad(FilingReason.DOCUMENT_REFUSED, rule)


def test_two_matricules_are_no_patient(report_xml: bytes) -> None:
    """A document that names two INS is refused; the same INS named twice is not."""
    path = "c:recordTarget/c:patientRole/c:id[@root='1.2.250.1.213.1.4.10']"
    same = edited(report_xml, twice(path))
    assert isinstance(cda.read(same), Document)
    other = same.replace(b'extension="279035121518989"', b'extension="277076322082910"', 1)
    assert cda.read(other) == Bad(FilingReason.DOCUMENT_REFUSED, "patient-ins-ambiguous")


def test_a_document_without_set_is_its_own_first_version(report_xml: bytes) -> None:
    """setId and versionNumber are mandatory since 2024 only: an older document has itself as its set."""
    document = cda.read(edited(report_xml, drop("c:setId")))
    assert isinstance(document, Document)
    assert (document.set_id, document.version) == (document.unique_id, 1)


def test_a_signed_document_is_found_under_its_signature(report_xml: bytes) -> None:
    """Under ds:Signature the one ClinicalDocument is read; two in one envelope are nobody's document."""
    inner = etree.tostring(etree.fromstring(report_xml))
    signed = b'<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:Object>%s</ds:Object></ds:Signature>'
    assert isinstance(cda.read(signed % inner), Document)
    assert cda.read(signed % (inner + inner)) == Bad(FilingReason.NOT_A_DOCUMENT, "no-clinical-document")


@pytest.mark.parametrize("data", [b"", b"%PDF-1.4", b"plain text", ALONE, b"<a", b"\xff\xfe\x00"])
def test_what_is_no_cda_is_said_to_be_none(data: bytes) -> None:
    """Other files are no document: that is not an error of the sender's."""
    found = cda.read(data)
    assert isinstance(found, Bad)
    assert found.reason == FilingReason.NOT_A_DOCUMENT


@pytest.mark.parametrize(
    "prolog",
    [
        b'<!DOCTYPE ClinicalDocument [<!ENTITY a "b">]>',
        b'<!DOCTYPE ClinicalDocument SYSTEM "file:///etc/passwd">',
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>',
    ],
)
def test_cve_2024_45294_a_cda_with_a_dtd_is_refused(report_xml: bytes, prolog: bytes) -> None:
    """A DTD, an external entity, a billion laughs: refused by name, not passed over as some other file."""
    body = report_xml.partition(b"?>")[2]
    assert cda.read(prolog + body) == Bad(FilingReason.DOCUMENT_REFUSED, "xml-refused")


def test_an_outside_stylesheet_is_never_fetched(report_xml: bytes) -> None:
    """A processing instruction that points outside is left alone, and the document read."""
    pointing = b'<?xml-stylesheet type="text/xsl" href="http://127.0.0.1:9/x.xsl"?>'
    assert isinstance(cda.read(pointing + report_xml.partition(b"?>")[2]), Document)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=some.integers(0, 7000), flips=some.binary(min_size=1, max_size=6))
def test_no_altered_byte_makes_a_surprise(report_xml: bytes, at: int, flips: bytes) -> None:
    """Whatever is overwritten in a header, the answer is a document or a named refusal, never an
    exception."""
    data = bytearray(report_xml)
    data[at : at + len(flips)] = flips
    found = cda.read(bytes(data))
    assert isinstance(found, Document) or found.detail


def test_no_identity_is_in_repr(report: Document) -> None:
    """What a log line or an assertion would show of a document holds no trait and no matricule."""
    shown = repr(report) + repr(report.patient) + repr(report.patient.ins) + repr(report.authors)
    for secret in ("279035121518989", "PAT-TROIS", "DOMINIQUE", "LEROUX", "IPP-000372"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("matricule", "holds"),
    [
        ("279035121518989", True),
        ("279035121518988", False),
        ("27903512151898", False),
        ("2790351215189899", False),
        ("2770763220829106", False),
        ("27903512151898X", False),
        ("\u0662790351215189", False),
    ],
)
def test_a_matricule_has_15_characters_and_a_key(matricule: str, holds: bool) -> None:
    """97 minus the number modulo 97; the 16- and 20-digit numbers of published samples are none."""
    assert cda.well_formed(Ins(matricule, "1.2.250.1.213.1.4.10")) is holds


def test_a_corsican_matricule_counts_its_letter() -> None:
    """2A counts as 19 and 2B as 18; another letter is no department."""
    number = "180012A001234"
    key = 97 - int(number.replace("2A", "19")) % 97
    assert cda.well_formed(Ins(f"{number}{key:02}", "1.2.250.1.213.1.4.8"))
    assert not cda.well_formed(Ins(f"{number.replace('2A', '2B')}{key:02}", "1.2.250.1.213.1.4.8"))
    assert not cda.well_formed(Ins(f"180013A001234{key:02}", "1.2.250.1.213.1.4.8"))
