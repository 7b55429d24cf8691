"""The mail around a document, as the clients' reference asks."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from directory import address
from directory.model import Entry, Kind
from dmp_bridge import candidates, packing
from dmp_bridge.model import Bad, Document, FilingReason, Ins
from relay import message as mime

SENDER = Entry(
    address.parse("helene.leroux@tilleuls.mssante.fr"),
    Kind.PER,
    "Dr Hélène LEROUX",
    family_name="Leroux",
    given_name="Hélène",
    title="Dr",
    rpps="10100000017",
    finess="750000018",
    structure="Imagerie des Tilleuls",
)
RECIPIENT = address.parse("marc.petit@cabinet.mssante.fr")


@pytest.fixture
def parcel(report: Document) -> packing.Parcel:
    return packing.Parcel((report,), SENDER, (RECIPIENT,), "2.25.2", nil="PLI-0001")


def opened(packed: bytes | Bad) -> EmailMessage:
    assert isinstance(packed, bytes), packed
    mail = message_from_bytes(packed, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


def test_a_mail_holds_the_archive_and_its_copy(
    parcel: packing.Parcel, report: Document, report_pdf: bytes, now: datetime
) -> None:
    """One archive, one PDF per document, both reachable at the first level; the archive gives the document
    back."""
    packed = packing.pack(parcel, now)
    names = [part.get_filename() for part in opened(packed).iter_attachments()]
    copy = "20261125_CR d'imagerie medicale_PAT-TROIS_DOMINIQUE.pdf"
    assert names == ["IHE_XDM.zip", copy]
    assert isinstance(packed, bytes)
    scanned = mime.scan(packed)
    (document,) = candidates.documents(scanned)
    assert isinstance(document, Document)
    assert document.raw == report.raw
    assert [part.decode() for part in scanned.parts if part.type == "application/pdf"] == [report_pdf]


def test_the_headers_are_those_of_the_reference(parcel: packing.Parcel, now: datetime) -> None:
    """Subject in one piece for servers that route on it; X-MSS-*; the receipt goes to the sender."""
    mail = opened(packing.pack(parcel, now))
    assert mail["Subject"] == "XDM/1.0/DDM+CR d'imagerie medicale PAT-TROIS DOMINIQUE 28/03/1979"
    assert mail["From"] == "Dr_Hélène_LEROUX_Imagerie des Tilleuls <helene.leroux@tilleuls.mssante.fr>"
    assert mail["To"] == str(RECIPIENT)
    assert (mail["X-MSS-CODECDA"], mail["X-MSS-INS"], mail["X-MSS-NIL"]) == ("18748-4", "O", "PLI-0001")
    assert mail["Disposition-Notification-To"] == str(SENDER.address)
    assert mail["Message-ID"].endswith("@tilleuls.mssante.fr>")
    assert mail["Date"] == "Wed, 25 Nov 2026 09:30:00 +0000"


def test_what_is_not_asked_is_not_written(parcel: packing.Parcel, now: datetime) -> None:
    """No product number, no receipt: no header."""
    mail = opened(packing.pack(replace(parcel, nil="", read_receipt=False), now))
    assert mail["X-MSS-NIL"] is None
    assert mail["Disposition-Notification-To"] is None


@pytest.mark.parametrize(("to", "said"), [("279035121518989@patient.mssante.fr", "FIN"), ("a@b.mssante.fr", None)])
def test_an_exchange_is_closed_with_patients_only(
    parcel: packing.Parcel, now: datetime, to: str, said: str | None
) -> None:
    """ECO.2.2.8: X-MSS-MES is FIN where a patient is kept from answering, and in no other letter."""
    written = replace(parcel, recipients=(address.parse(to),))
    assert opened(packing.pack(replace(written, final=True), now))["X-MSS-MES"] == said
    assert opened(packing.pack(written, now))["X-MSS-MES"] is None


def test_an_identity_that_is_not_whole_is_not_announced_as_qualified(
    parcel: packing.Parcel, report: Document, now: datetime
) -> None:
    """X-MSS-INS says N without an INS, or with a trait missing."""
    no_ins = replace(report, patient=replace(report.patient, ins=None))
    no_sex = replace(report, patient=replace(report.patient, traits=replace(report.patient.traits, sex="")))
    for document in (no_ins, no_sex):
        assert opened(packing.pack(replace(parcel, documents=(document,)), now))["X-MSS-INS"] == "N"


def test_a_mail_is_seven_bit_with_crlf(parcel: packing.Parcel, now: datetime) -> None:
    """So that any peer takes it, and a signature over it stays."""
    packed = packing.pack(parcel, now)
    assert isinstance(packed, bytes)
    assert packed.isascii()
    assert packed.count(b"\n") == packed.count(b"\r\n") == packed.count(b"\r")
    assert max(map(len, packed.split(b"\r\n"))) <= 998


def test_several_documents_are_counted_in_the_subject(parcel: packing.Parcel, report: Document, now: datetime) -> None:
    """One archive, as many PDFs as documents."""
    second = replace(report, unique_id="2.25.99")
    packed = packing.pack(replace(parcel, documents=(report, second)), now)
    # The second's metadata say another identifier than its bytes: the archive is refused by any reader of
    # ours.
    mail = opened(packed)
    assert mail["Subject"].startswith("XDM/1.0/DDM+2 documents PAT-TROIS")
    assert [part.get_content_type() for part in mail.iter_attachments()].count("application/pdf") == 2
    assert isinstance(packed, bytes)
    (found,) = candidates.documents(mime.scan(packed))
    assert found == Bad(FilingReason.ARCHIVE_REFUSED, "unique-id-differs")


def test_cve_2024_6923_a_line_end_in_a_name_makes_no_header(
    parcel: packing.Parcel, report: Document, now: datetime
) -> None:
    """A label, a trait or a name with CR LF stays on its line."""
    evil = "x\r\nBcc: thief@evil.example\r\n\r\nbody"
    traits = replace(report.patient.traits, birth_name=evil)
    document = replace(report, type=replace(report.type, label=evil), patient=replace(report.patient, traits=traits))
    sender = replace(SENDER, family_name=evil, display_name=evil, structure=evil)
    mail = opened(packing.pack(replace(parcel, documents=(document,), sender=sender), now))
    assert mail["Bcc"] is None
    with pytest.raises(ValueError, match="linefeed"):
        packing.pack(replace(parcel, nil=evil), now)


def test_a_document_without_a_readable_copy_is_not_sent(
    parcel: packing.Parcel, report: Document, report_pdf: bytes, now: datetime
) -> None:
    """Someone without a viewer must be able to read it; a copy made elsewhere will do."""
    bare = replace(report, raw=report.raw.replace(b"application/pdf", b"text/plain"))
    refused = packing.pack(replace(parcel, documents=(bare,)), now)
    assert refused == Bad(FilingReason.DOCUMENT_REFUSED, "no-readable-copy")
    assert isinstance(packing.pack(replace(parcel, documents=(bare,), copies={bare.unique_id: report_pdf}), now), bytes)


def test_two_patients_are_not_sent_together(parcel: packing.Parcel, report: Document, now: datetime) -> None:
    """One usager per mail (ECO.2.1.1); nothing at all is no mail either."""
    ins = Ins("277076322082910", "1.2.250.1.213.1.4.10")
    other = replace(report, unique_id="2.25.9", patient=replace(report.patient, ins=ins))
    refused = packing.pack(replace(parcel, documents=(report, other)), now)
    assert refused == Bad(FilingReason.ARCHIVE_REFUSED, "several-patients")
    assert packing.pack(replace(parcel, documents=()), now) == Bad(FilingReason.ARCHIVE_REFUSED, "documents-count")


def test_an_organisation_has_its_own_display_name() -> None:
    """ORG and APP mailboxes show the service, a person his title and names."""
    service = replace(SENDER, kind=Kind.ORG, display_name="Hôpital A – Service Cardiologie")
    assert packing.display_name(service) == "Hôpital A – Service Cardiologie"
    assert packing.display_name(SENDER) == "Dr_Hélène_LEROUX_Imagerie des Tilleuls"


def test_files_are_read_as_documents(report: Document, parcel: packing.Parcel, now: datetime, tmp_path: Path) -> None:
    """A CDA and an XDM archive from the disk; what is neither is refused by name."""
    (tmp_path / "cr.xml").write_bytes(report.raw)
    (archived,) = [
        part.get_content()
        for part in opened(packing.pack(parcel, now)).iter_attachments()
        if "zip" in part["Content-Type"]
    ]
    (tmp_path / "a.zip").write_bytes(archived)
    for name in ("cr.xml", "a.zip"):
        read = packing.read_files([tmp_path / name])
        assert isinstance(read, tuple)
        assert [each.raw for each in read] == [report.raw]
    (tmp_path / "b.txt").write_bytes(b"hello")
    assert packing.read_files([tmp_path / "cr.xml", tmp_path / "b.txt"]) == Bad(
        FilingReason.NOT_A_DOCUMENT, "xml-refused"
    )
