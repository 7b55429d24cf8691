"""Which letters hold a clinical document, and which never do."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from directory import address
from dmp_bridge import candidates, ebrim, xdm
from dmp_bridge.model import Bad, Document, FilingReason, HostProfile
from relay import message as mime
from relay.model import Door, DoorProof, Envelope, Mode, SignatureState, Verdict

REGION = HostProfile("region", "https://127.0.0.1:1", "2.25.5", "2.25.6")
SOUND = Verdict(signature=SignatureState.VALID)


@pytest.fixture
def archive(report: Document, lot: ebrim.Submission) -> bytes:
    written = xdm.write([report], lot)
    assert isinstance(written, bytes)
    return written


@pytest.fixture
def envelope(now: datetime) -> Envelope:
    sender = address.parse("helene.leroux@tilleuls.mssante.fr")
    return Envelope("0" * 26, "t", Door.SUBMISSION, sender, (), DoorProof(), now)


def letter(*attachments: tuple[bytes, str, str]) -> mime.Message:
    """A letter with (content, type, file name) attached."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = "helene.leroux@tilleuls.mssante.fr"
    mail["Subject"] = "XDM/1.0/DDM+CR"
    mail.set_content("Bonjour")
    for content, kind, name in attachments:
        mail.add_attachment(content, *kind.split("/"), filename=name)
    return mime.scan(mail.as_bytes())


@pytest.mark.parametrize("name", ["IHE_XDM.ZIP", "IHE_XDM.zip", "ihe_xdm.zip", "autre.zip", "document"])
def test_an_archive_is_found_by_name_or_by_content(archive: bytes, envelope: Envelope, name: str) -> None:
    """Under its name in any case, and under another name by what its directory lists."""
    found = candidates.make_finder(REGION)(letter((archive, "application/zip", name)), envelope, SOUND)
    (extra,) = found.extras
    assert (extra.address, extra.finding, extra.route.target) == ("dossier:region", "xdm", "region")
    assert extra.route.mode is Mode.DOSSIER


def test_a_bare_cda_is_found(report_xml: bytes, envelope: Envelope) -> None:
    """A CDA attached as it is, whatever its media type says."""
    for kind in ("text/xml", "application/octet-stream"):
        attached = (report_xml, kind.replace("text/xml", "application/xml"), "cr.xml")
        found = candidates.make_finder(REGION)(letter(attached), envelope, SOUND)
        assert [extra.finding for extra in found.extras] == ["cda"]


def test_a_letter_with_two_candidates_has_one_row(archive: bytes, report_xml: bytes, envelope: Envelope) -> None:
    """At most one dossier row per letter."""
    both = letter((archive, "application/zip", "IHE_XDM.zip"), (report_xml, "application/xml", "cr.xml"))
    assert len(candidates.make_finder(REGION)(both, envelope, SOUND).extras) == 1


def test_an_ordinary_letter_has_none(report_pdf: bytes, envelope: Envelope) -> None:
    """A PDF, another zip, XML of another kind: nothing to file."""
    plain = letter(
        (report_pdf, "application/pdf", "cr.pdf"),
        (b"PK\x03\x04 some other zip", "application/zip", "photos.zip"),
        (b"<a xmlns='urn:hl7-org:v2'/>", "application/xml", "a.xml"),
    )
    assert candidates.make_finder(REGION)(plain, envelope, SOUND).extras == ()
    assert candidates.documents(plain) == ()


@pytest.mark.parametrize(
    ("verdict", "sender", "door"),
    [
        (replace(SOUND, automatic="error-subject"), True, Door.PEER),
        (SOUND, False, Door.PEER),
        (SOUND, True, Door.NOTICE),
        (replace(SOUND, signature=SignatureState.INVALID), True, Door.PEER),
        (replace(SOUND, signature=SignatureState.PARTIAL), True, Door.PEER),
    ],
)
def test_automatic_or_unsound_mail_never_qualifies(
    archive: bytes, envelope: Envelope, verdict: Verdict, sender: bool, door: Door
) -> None:
    """A refused report comes back with its documents: it is not filed again; nor is what a signature does
    not hold."""
    given = replace(envelope, door=door, sender=envelope.sender if sender else None)
    found = candidates.make_finder(REGION)(letter((archive, "application/zip", "IHE_XDM.zip")), given, verdict)
    assert found.extras == ()


def test_what_a_peer_sent_is_shown_unless_the_region_files_it(archive: bytes, envelope: Envelope) -> None:
    """The sender's node files; a profile may say otherwise."""
    given = replace(envelope, door=Door.PEER)
    mail = letter((archive, "application/zip", "IHE_XDM.zip"))
    for files_incoming, mode in ((False, Mode.DOSSIER_SHOW), (True, Mode.DOSSIER)):
        profile = replace(REGION, files_incoming=files_incoming)
        (extra,) = candidates.make_finder(profile)(mail, given, SOUND).extras
        assert extra.route.mode is mode


def test_without_a_host_nothing_is_found(archive: bytes, envelope: Envelope) -> None:
    """No profile, or one that is switched off."""
    mail = letter((archive, "application/zip", "IHE_XDM.zip"))
    for profile in (None, replace(REGION, enabled=False)):
        assert candidates.make_finder(profile)(mail, envelope, SOUND).extras == ()


def test_the_documents_are_read_once(archive: bytes, report_xml: bytes) -> None:
    """The same document in the archive and beside it counts once, with its exact bytes."""
    both = letter((archive, "application/zip", "IHE_XDM.zip"), (report_xml, "application/xml", "cr.xml"))
    (document,) = candidates.documents(both)
    assert isinstance(document, Document)
    assert document.raw == report_xml


def test_one_identifier_for_two_documents_is_refused(archive: bytes, report_xml: bytes) -> None:
    """Two contents under one unique identifier: neither is taken."""
    other = report_xml.replace(b"Compte rendu", b"Autre rendu")
    mail = letter((archive, "application/zip", "IHE_XDM.zip"), (other, "application/xml", "cr.xml"))
    assert candidates.documents(mail) == (Bad(FilingReason.DOCUMENT_REFUSED, "one-id-two-documents"),)


def test_two_patients_in_one_letter_are_refused(report: Document, report_xml: bytes) -> None:
    """A mail concerns one patient (ECO.2.1.1)."""
    other = report_xml.replace(b"279035121518989", b"277076322082910")
    other = other.replace(report.unique_id.encode(), b"2.25.77")
    mail = letter((report_xml, "application/xml", "a.xml"), (other, "application/xml", "b.xml"))
    assert candidates.documents(mail) == (Bad(FilingReason.ARCHIVE_REFUSED, "several-patients"),)


def test_a_broken_archive_is_found_and_then_refused(envelope: Envelope) -> None:
    """Named IHE_XDM.zip and unreadable: a row, so that its sender is told, and the reason."""
    mail = letter((b"not a zip", "application/zip", "IHE_XDM.zip"))
    assert len(candidates.make_finder(REGION)(mail, envelope, SOUND).extras) == 1
    assert candidates.documents(mail) == (Bad(FilingReason.ARCHIVE_REFUSED, "not-a-zip"),)


def test_a_forwarded_message_is_not_opened(archive: bytes, envelope: Envelope) -> None:
    """An archive inside message/rfc822 belongs to another letter."""
    inner = EmailMessage(policy=SMTP)
    inner["From"] = "x@y.mssante.fr"
    inner.set_content("a")
    inner.add_attachment(archive, "application", "zip", filename="IHE_XDM.zip")
    outer = EmailMessage(policy=SMTP)
    outer["From"] = "helene.leroux@tilleuls.mssante.fr"
    outer.set_content("Pour information")
    outer.add_attachment(inner)
    mail = mime.scan(outer.as_bytes())
    assert candidates.make_finder(REGION)(mail, envelope, SOUND).extras == ()
    assert candidates.documents(mail) == ()
