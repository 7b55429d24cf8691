"""Papers read and packed by a process apart: what they are, whose, and the same mail as would be made here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pytest

from directory import address
from directory.model import Entry, Kind
from dmp_bridge import candidates, papers
from dmp_bridge.model import Bad, Document, FilingReason
from dmp_bridge.packing import Parcel
from dmp_bridge.papers import Papers
from relay.message import scan

SENDER = Entry(
    address.parse("helene.leroux@tilleuls.mssante.fr"),
    Kind.PER,
    "Dr Hélène LEROUX",
    family_name="Leroux",
    given_name="Hélène",
    rpps="10100000017",
    structure="Imagerie des Tilleuls",
)
TO = (address.parse("marc.petit@cabinet.mssante.fr"),)


@pytest.fixture(scope="module")
def shop() -> Iterator[Papers]:
    made = Papers()
    yield made
    made.close()


def _parcel(*documents: Document) -> Parcel:
    return Parcel(documents, SENDER, TO, "2.25.2", "Bonjour é", "PLI-0001")


def test_a_document_is_read_apart(shop: Papers, report: Document) -> None:
    """Type, title, day and patient, as its header says them."""
    look = shop.look(report.raw)
    (seen,) = look.documents
    assert look.kind == "documents"
    assert (seen.unique_id, seen.type, seen.title, seen.at) == (
        report.unique_id, report.type, report.title, report.effective_time
    )  # fmt: skip
    assert seen.patient == report.patient


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"%PDF-1.4 x", "application/pdf"), (b"GIF89a\x00", ""), (b"PK\x03\x04 no zip", ""), (b"<x/>", "")],
)
def test_what_is_no_document_is_said(shop: Papers, data: bytes, kind: str) -> None:
    """A PDF is one that an N1 can hold; the others have a reason and nothing else."""
    look = shop.look(data)
    assert (look.kind, look.documents, bool(look.refused)) == (kind, (), not kind)


def test_a_mail_is_packed_apart(shop: Papers, report: Document, now: datetime) -> None:
    """With the document's own bytes; and a letter is read back as a courier would."""
    mail = shop.pack([report.raw], _parcel(), now)
    assert isinstance(mail, bytes), mail
    (document,) = candidates.documents(scan(mail))
    assert isinstance(document, Document)
    assert document.raw == report.raw
    assert [str(each) for each in scan(mail).authors] == [str(SENDER.address)]
    look = shop.letter(mail)
    assert [each.patient for each in look.documents] == [report.patient]


def test_what_cannot_be_packed_is_refused_by_name(shop: Papers, report: Document, now: datetime) -> None:
    """The refused twin: a paper that is none, or no time for it."""
    assert shop.pack([report.raw, b"<x/>"], _parcel(), now) == Bad(FilingReason.NOT_A_DOCUMENT, "no-clinical-document")
    hasty = Papers(replace(papers.BUDGET, seconds=-1))
    try:
        assert hasty.pack([report.raw], _parcel(), now) == Bad(FilingReason.DOCUMENT_REFUSED, "too-slow")
        assert hasty.look(report.raw).refused == (Bad(FilingReason.DOCUMENT_REFUSED, "too-slow"),)
    finally:
        hasty.close()
