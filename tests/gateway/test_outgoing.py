"""What of a bare paper `pli send` puts a CDA around: by how it begins, and only where a patient is named."""

from __future__ import annotations

import pytest

from gateway.outgoing import About, Paper, _kind


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"%PDF-1.4 x", "application/pdf"),
        ("Température 37,2".encode(), "text/plain"),
        (b"{\\rtf1 x}", "text/rtf"),
        (b"\xff\xd8\xff x", "image/jpeg"),
        (b"II*\0 x", "image/tiff"),
        (b"<ClinicalDocument/>", ""),
        (b"\xef\xbb\xbf<ClinicalDocument/>", ""),
        (b"PK\x03\x04 x", ""),
        (b"GIF89a\x00", ""),
    ],
)
def test_a_paper_is_wrapped_by_its_kind(data: bytes, kind: str) -> None:
    """Five kinds with a patient; XML, a zip and other images are read as documents or refused as none."""
    assert _kind(Paper("x", data), About("IPP-1", "34112-3")) == kind


def test_without_a_patient_only_a_pdf_is_bare() -> None:
    """A text that names nobody is no health document, and no PDF that could travel alone."""
    assert _kind(Paper("x", b"%PDF-1.4"), About()) == "application/pdf"
    assert _kind(Paper("x", b"Bonjour"), About()) == ""
