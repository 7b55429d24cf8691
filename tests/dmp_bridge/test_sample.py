"""The sample report is one readable page, and a document that every check of ours takes."""

from __future__ import annotations

import io
from datetime import datetime

from pypdf import PdfReader

from dmp_bridge import cda, ebrim, rules
from dmp_bridge.model import Document, HostProfile, Matched
from gateway.demo import sample


def test_the_report_is_one_page_that_reads(report_pdf: bytes) -> None:
    """One page, in French with its accents, that says itself that it is invented."""
    reader = PdfReader(io.BytesIO(report_pdf))
    assert len(reader.pages) == 1
    text = reader.pages[0].extract_text()
    for words in (
        "Compte rendu d'IRM du genou droit",
        "Résultats",
        "Épanchement",
        "PAT-TROIS",
        "Document fictif",
    ):
        assert words in text


def test_the_document_meets_no_obstacle(report: Document) -> None:
    """Filed by its own structure, nothing but the absent schemas cannot tell."""
    host = HostProfile("region", "https://127.0.0.1:1", "2.25.5", "2.25.6")
    institution = frozenset({sample.AUTHOR.institution_id})
    given = rules.Context(report, Matched("p", ()), host, institution)
    assert rules.obstacle(rules.judge(given)) is None


def test_serials_tell_documents_apart(report_pdf: bytes, now: datetime) -> None:
    """Another serial is another document of another set; the same serial is the same bytes."""
    first, second = (cda.read(sample.report_cda(now, report_pdf, serial)) for serial in (1, 2))
    assert isinstance(first, Document)
    assert isinstance(second, Document)
    assert first.unique_id != second.unique_id
    assert first.set_id != second.set_id
    assert sample.report_cda(now, report_pdf, 1) == first.raw


def test_identifiers_fit(report: Document) -> None:
    """OIDs of at most 64 characters, as DICOM and XDS ask, and a well-formed test matricule."""
    studies = [value for value, _, kind in report.references if "studyInstanceUID" in kind]
    assert all(len(each) <= 64 for each in (report.unique_id, report.set_id, *studies))
    assert studies
    assert report.patient.ins == sample.PATIENT.ins
    assert sample.PATIENT.ins
    assert cda.well_formed(sample.PATIENT.ins)
    assert ebrim.main_id(report.patient) == sample.PATIENT.ins
