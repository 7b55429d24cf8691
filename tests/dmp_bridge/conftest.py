"""What the bridge's tests share: the sample report, read back as a document, and a lot to put it in."""

from __future__ import annotations

from datetime import datetime

import pytest

from dmp_bridge import cda, ebrim
from dmp_bridge.model import Code, Document
from gateway.demo import sample


@pytest.fixture(scope="session")
def report_pdf() -> bytes:
    """The sample report's page; made once."""
    return sample.report_pdf(datetime.fromisoformat("2026-11-25T09:30:00+00:00"))


@pytest.fixture
def report_xml(report_pdf: bytes, now: datetime) -> bytes:
    """The CDA N1 around it."""
    return sample.report_cda(now, report_pdf)


@pytest.fixture
def report(report_xml: bytes) -> Document:
    """The sample report as the bridge reads it."""
    document = cda.read(report_xml)
    assert isinstance(document, Document)
    return document


@pytest.fixture
def lot(report: Document, now: datetime) -> ebrim.Submission:
    """A submission by the report's author."""
    content = Code("07", "1.2.250.1.213.2.2", "Consultation, soins externes")
    return ebrim.Submission("2.25.1", "2.25.2", now, report.authors[0], content)
