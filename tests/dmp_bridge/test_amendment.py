"""Changes of what a host holds (ITI-57), over real TLS: masking, deletion, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from dmp_bridge import amendment, codes, ebrim
from dmp_bridge.dmp import DossierClient, Held
from dmp_bridge.existence import Dossier, DossierState
from dmp_bridge.model import Document, FilingReason, Ins
from relay.model import Done, Never

MASKED = codes.confidentiality("MASQUE_PS")
DELETED = "urn:asip:ci-sis:2010:StatusType:Deleted"
DEPRECATED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated"


@pytest.fixture
def ins(report: Document) -> Ins:
    assert report.patient.ins is not None
    return report.patient.ins


@pytest.fixture
def filed(bridge: Any, dossier_host: Callable[..., str], report: Document, lot: Any, ins: Ins) -> DossierClient:
    """A client of a host that holds the sample report."""
    client: DossierClient = bridge.client(dossier_host())
    assert isinstance(client.submit([report], lot, ins), Done)
    return client


def held(client: DossierClient, document: Document) -> Held:
    found = client.find([document.unique_id])
    assert isinstance(found, tuple)
    (entry,) = found
    return entry


def next_lot(lot: ebrim.Submission, number: int) -> ebrim.Submission:
    return replace(lot, unique_id=f"2.25.70{number}")


def mask(client: DossierClient, document: Document, lot: ebrim.Submission, ins: Ins, **changes: Any) -> Any:
    assert MASKED is not None
    entry = replace(held(client, document), **changes)
    return client.set_confidentiality(entry, [codes.NORMAL, MASKED], lot, ins)


def test_a_mask_is_a_new_version_of_the_entry(filed: DossierClient, report: Document, lot: Any, ins: Ins) -> None:
    """The entry has another id and a higher version, its logical id and its document stay; the old one is put aside."""
    before = held(filed, report)
    assert isinstance(mask(filed, report, next_lot(lot, 1), ins), Done)
    after = held(filed, report)
    assert after.confidentiality == ("N", "MASQUE_PS")
    assert (after.version, after.lid, after.sha1) == (2, before.lid, before.sha1)
    assert after.entry_id != before.entry_id
    assert after.approved
    assert filed.fetch(report.unique_id) == report.raw
    assert filed.find_by_patient(ins) == (after,)


def test_what_is_masked_is_answered_to_its_author_only(
    filed: DossierClient, report: Document, lot: Any, ins: Ins, site: Any
) -> None:
    """Another structure with a good certificate neither finds nor gets it, and may not change it back."""
    assert isinstance(mask(filed, report, next_lot(lot, 1), ins), Done)
    trust = site.trust()
    other = DossierClient(filed.profile, *site.other, lambda: trust, timeout=10)
    assert other.find([report.unique_id]) == ()
    assert other.fetch(report.unique_id) == Never(FilingReason.HOST_REFUSED, "XDSDocumentUniqueIdError")
    answer = other.set_confidentiality(held(filed, report), [codes.NORMAL], next_lot(lot, 2), ins)
    assert answer == Never(FilingReason.HOST_REFUSED, "LocalPolicyRestrictionError")
    other.close()


def test_what_is_not_masked_is_answered_to_others(filed: DossierClient, report: Document, site: Any) -> None:
    """The twin: without a mask another structure reads it."""
    trust = site.trust()
    other = DossierClient(filed.profile, *site.other, lambda: trust, timeout=10)
    assert other.fetch(report.unique_id) == report.raw
    other.close()


def test_a_version_that_is_not_the_last_is_not_changed(
    filed: DossierClient, report: Document, lot: Any, ins: Ins
) -> None:
    """Two who change at once: the second must read again, so it is tried again."""
    answer = mask(filed, report, next_lot(lot, 1), ins, version=7)
    assert (answer.reason, answer.detail) == (FilingReason.HOST_REFUSED, "XDSMetadataVersionError")
    assert held(filed, report).version == 1


def test_another_patient_or_document_may_not_be_made_of_it(
    filed: DossierClient, report: Document, lot: Any, ins: Ins
) -> None:
    """The norm fixes the patient and the document of an entry."""
    entry = held(filed, report)
    assert entry.element is not None
    text = etree.tostring(entry.element)
    other = Ins("179035121518989", ins.root)
    moved = replace(entry, element=etree.fromstring(text.replace(b"279035121518989", b"179035121518989")))
    answer = filed.set_confidentiality(moved, [codes.NORMAL], next_lot(lot, 1), other)
    assert answer == Never(FilingReason.HOST_REFUSED, "XDSPatientIDReconciliationError")
    changed = etree.fromstring(text.replace(entry.sha1.encode(), b"0" * 40))
    answer = filed.set_confidentiality(replace(entry, element=changed), [codes.NORMAL], next_lot(lot, 2), ins)
    assert answer == Never(FilingReason.HOST_REFUSED, "UnmodifiableMetadataError")


def test_deletion_is_a_status(filed: DossierClient, report: Document, lot: Any, ins: Ins) -> None:
    """A deleted document is found with its status by its id, among the Approved no more, and is not given back."""
    entry = held(filed, report)
    answer = filed.set_status(entry.entry_id, ebrim.APPROVED, DELETED, next_lot(lot, 1), ins)
    assert isinstance(answer, Done)
    assert held(filed, report).status == DELETED
    assert filed.find_by_patient(ins) == ()
    assert filed.fetch(report.unique_id) == Never(FilingReason.HOST_REFUSED, "XDSDocumentUniqueIdError")


@pytest.mark.parametrize(
    ("entry", "old", "new", "code"),
    [
        ("urn:uuid:00000000-0000-4000-8000-000000000000", ebrim.APPROVED, DELETED, "UnresolvedReferenceException"),
        ("", DEPRECATED, DELETED, "XDSMetadataVersionError"),
        ("", ebrim.APPROVED, ebrim.APPROVED, "XDSMetadataUpdateError"),
        ("", ebrim.APPROVED, "urn:x:Gone", "XDSMetadataUpdateError"),
    ],
)
def test_a_status_that_cannot_be_given(
    filed: DossierClient, report: Document, lot: Any, ins: Ins, entry: str, old: str, new: str, code: str
) -> None:
    """An entry that is not there, a status that it has not, the same one, one that no norm knows."""
    answer = filed.set_status(entry or held(filed, report).entry_id, old, new, next_lot(lot, 1), ins)
    assert answer.detail == code  # type: ignore[union-attr]


@pytest.mark.corpus
def test_what_we_send_is_valid_by_the_schema(
    filed: DossierClient, report: Document, lot: Any, ins: Ins, corpus: Path
) -> None:
    """Both requests are SubmitObjectsRequests by the ebXML schema."""
    schema = etree.XMLSchema(etree.parse(str(corpus / "xds/schema/lcm.xsd")))
    entry = held(filed, report)
    assert entry.element is not None
    schema.assertValid(amendment.status(entry.entry_id, ebrim.APPROVED, DELETED, lot, ins))
    schema.assertValid(amendment.confidentiality(entry.element, 1, [codes.NORMAL], lot, ins))


# --- does a dossier exist (TD0.2) ---------------------------------------------------------------------------------


def test_whether_a_dossier_exists(
    bridge: Any, dossier_host: Callable[..., str], report: Document, lot: Any, ins: Ins, tmp_path: Path
) -> None:
    """Open, closed, none: each is said, and a closed one is not fed."""
    listed = tmp_path / "patients.csv"
    listed.write_text("279035121518989;1.2.250.1.213.1.4.10\n179035121518989;1.2.250.1.213.1.4.10;closed\n")
    client = bridge.client(dossier_host(patients=str(listed)))
    shut, nobody = Ins("179035121518989", ins.root), Ins("180035121518989", ins.root)
    assert client.existence(ins) == Dossier(DossierState.OPEN, "VALIDE")
    assert client.existence(shut) == Dossier(DossierState.CLOSED, "VALIDE")
    assert client.existence(nobody) == Dossier(DossierState.NONE)
    moved = replace(report, patient=replace(report.patient, ins=shut))
    assert client.submit([moved], lot, shut) == Never(FilingReason.DOSSIER_CLOSED, "DMPClosed")
