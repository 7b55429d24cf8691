"""The readable copy of a document: its own PDF, or a PDF/A-1 of header and narrative; none where none can be made."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image
from pypdf import PdfReader

from dmp_bridge import cda, copies, n1
from dmp_bridge.model import Document


def read(corpus: Path, name: str) -> Document:
    document = cda.read((corpus / "cda" / "ExemplesCDA" / name).read_bytes())
    assert isinstance(document, Document)
    return document


def text_of(pdf: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages).split())


def is_pdf_a_1b(pdf: bytes) -> bool:
    """It says so, has an output intent, and every font lies in it (ISO 19005-1 §6.3.4, §6.7.11)."""
    reader = PdfReader(io.BytesIO(pdf))
    says = re.search(rb"<pdfaid:part>1</pdfaid:part>\s*<pdfaid:conformance>B</pdfaid:conformance>", pdf)
    embedded = pdf.count(b"/FontFile2") >= 1 and b"/Helvetica" not in pdf
    return bool(says) and "/OutputIntents" in reader.trailer["/Root"] and embedded  # type: ignore[operator]


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("VSM_1.4_2022.01.xml", ("Accident ischémique cérébral transitoire", "PLAVIX 75mg, comprimé pelliculé")),
        ("LDL-SES_2022.01.xml", ("Type : ", "Organisation : ")),
        ("BIO-CR-BIO_2021.01_Microbiologie_V1.xml", ("Patient : ",)),
    ],
)
def test_a_structured_document_gets_a_copy(corpus: Path, name: str, words: tuple[str, ...]) -> None:
    """PDF/A-1b with title, author and the narrative of its sections."""
    document = read(corpus, name)
    assert cda.pdf_copy(document) is None
    pdf = copies.copy_of(document)
    assert pdf is not None
    assert is_pdf_a_1b(pdf)
    told = text_of(pdf)
    for each in (*words, document.title, document.authors[0].family_name):
        assert " ".join(each.split()) in told


def test_its_own_pdf_stays_as_it_is(report: Document, report_pdf: bytes) -> None:
    """Byte for byte (ECO.2.1.5)."""
    assert copies.copy_of(report) == report_pdf


def with_body(report: Document, kind: str, content: bytes) -> Document:
    raw = re.sub(
        rb'<text mediaType="application/pdf" representation="B64">[^<]*</text>',
        b'<text mediaType="' + kind.encode() + b'" representation="B64">' + base64.b64encode(content) + b"</text>",
        report.raw,
    )
    document = cda.read(raw)
    assert isinstance(document, Document)
    assert document.body_media_type == kind
    return document


def test_a_text_and_an_image_get_a_page(report: Document, now: datetime) -> None:
    """A text as it reads, an image drawn."""
    told = copies.copy_of(with_body(report, "text/plain", "Température : 37,2 °C\nŒdème".encode()))
    assert told is not None
    assert "Température : 37,2 °C Œdème" in text_of(told)
    held = io.BytesIO()
    Image.new("RGBA", (40, 20), (200, 30, 30, 128)).convert("RGB").save(held, "JPEG")
    drawn = copies.copy_of(with_body(report, "image/jpeg", held.getvalue()))
    assert drawn is not None
    assert is_pdf_a_1b(drawn)
    assert len(PdfReader(io.BytesIO(drawn)).pages[0].images) == 1


@pytest.mark.parametrize(
    ("kind", "content"),
    [("text/rtf", b"{\\rtf1 x}"), ("image/jpeg", b"\xff\xd8\xff broken"), ("text/plain", b"\xff\xfe")],
)
def test_what_cannot_be_shown_has_no_copy(report: Document, kind: str, content: bytes) -> None:
    """RTF, a broken image, bytes that are no UTF-8: a copy made elsewhere is asked for."""
    assert n1.kind_of(content) in (kind, "")
    assert copies.copy_of(with_body(report, kind, content)) is None


def test_without_a_font_there_is_none(report: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    """PDF/A embeds its fonts; none is taken instead."""
    document = with_body(report, "text/plain", b"Bonjour")
    assert copies.copy_of(document) is not None
    monkeypatch.setattr(copies, "FONTS", (Path("/nonexistent.ttf"),))
    assert copies.copy_of(document) is None


def test_a_text_without_end_is_not_drawn(report: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a budget of words."""
    monkeypatch.setattr(copies, "MOST_TEXT", 10)
    section = b"<section><title>Conclusion</title><text>A text of more than ten characters</text></section>"
    raw = re.sub(
        rb"<nonXMLBody>.*</nonXMLBody>",
        b"<structuredBody><component>" + section + b"</component></structuredBody>",
        report.raw,
        flags=re.DOTALL,
    )
    document = cda.read(raw)
    assert isinstance(document, Document)
    assert copies.copy_of(document) is None
    assert copies.copy_of(replace(document, title="t")) is None
