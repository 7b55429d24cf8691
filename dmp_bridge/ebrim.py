"""ebRIM 3.0 metadata of a lot, written for XDM archives and ITI-41 alike; and what an XDM reader needs of it.

Promises: submit_objects is valid by the ebXML lcm.xsd; times in UTC, hash SHA-1 over the exact bytes, one
patient. Does not: send, store, or answer queries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeAlias

from lxml import etree

from dmp_bridge import codes, rim
from dmp_bridge.model import INS_ROOTS, Author, Code, Document, Ins, Patient
from dmp_bridge.rim import LCM, RIM

APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
STABLE = "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1"
SUBMISSION_NODE = "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd"
HAS_MEMBER = "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember"
REPLACES = "urn:ihe:iti:2007:AssociationType:RPLC"
SIGNS = "urn:ihe:iti:2007:AssociationType:signs"
SELF = "urn:ihe:iti:xds:2013:uniqueId"
"""Type of a reference id: the document's own uniqueId, by which a host that answers references only is searched."""
ACTION_SLOT = "urn:action:extraMetadataSlot"

PACKAGE_SCHEMES = {
    "author": "urn:uuid:a7058bb9-b4e4-4307-ba5b-e3f0ab85e12d",
    "contentTypeCode": "urn:uuid:aa543740-bdda-424e-8c96-df4873be8500",
    "patientId": "urn:uuid:6b5aea1a-874d-4603-a4bc-96a0a7b38446",
    "sourceId": "urn:uuid:554ac39e-e3fe-47fe-b233-965d2a147832",
    "uniqueId": "urn:uuid:96fdda7c-d067-4183-912e-bf5ee74998a8",
}
ENTRY_SCHEMES = {
    "author": "urn:uuid:93606bcf-9494-43ec-9b4e-a7748d1a838d",
    "classCode": "urn:uuid:41a5887f-8865-4c09-adf7-e362475b143a",
    "confidentialityCode": "urn:uuid:f4f85eac-e6cb-4883-b524-f2705394840f",
    "eventCodeList": "urn:uuid:2c6b8cb7-8b2a-4051-b291-b1ae6a575ef4",
    "formatCode": "urn:uuid:a09d5840-386c-46f2-b5ad-9c3699a4309d",
    "healthcareFacilityTypeCode": "urn:uuid:f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1",
    "practiceSettingCode": "urn:uuid:cccf5598-8b07-4b77-a05e-ae952c785ead",
    "typeCode": "urn:uuid:f0306f51-975f-434e-a61c-c59651d33983",
    "patientId": "urn:uuid:58a6f841-87b3-4a3e-92fd-a8ffeff98427",
    "uniqueId": "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab",
}

PatientId: TypeAlias = Ins | tuple[str, str]
"""An INS, or (root OID, extension) of a local identifier, which only an XDM archive may carry."""

Element: TypeAlias = etree._Element


class TypeUnknown(ValueError):
    """No association gives the class of a document's type: nothing may be invented in its place."""


@dataclass(frozen=True)
class Submission:
    """One lot. `time` is timezone-aware; `unique_id` and `source_id` are OIDs."""

    unique_id: str
    source_id: str
    time: datetime
    author: Author
    content_type: Code
    title: str = ""


@dataclass(frozen=True)
class Replacement:
    """Which entry of the registry a document of the lot replaces."""

    document_id: str
    """unique_id of the new document."""
    entry_id: str
    """entryUUID of the old one, as the registry knows it now."""


@dataclass(frozen=True)
class LotSeal:
    """The signature over the lot, as one more document of it (spec/dossier.md §3.5)."""

    unique_id: str
    raw: bytes = field(repr=False)


def submit_objects(
    documents: Sequence[Document],
    submission: Submission,
    patient: PatientId,
    *,
    uris: Mapping[str, str] | None = None,
    replacements: Sequence[Replacement] = (),
    slots: Mapping[str, str] | None = None,
    seal: LotSeal | None = None,
    masks: Sequence[Code] = (),
    self_reference: bool = False,
) -> Element:
    """lcm:SubmitObjectsRequest for one lot. `uris` (by unique_id) is for XDM; `slots` are further slots of
    each entry, e.g. repositoryUniqueId; `masks` stand beside each entry's confidentiality. The ids of the entries are
    those of entry_id(), the seal's the one after. Raises TypeUnknown."""
    root = etree.Element(f"{{{LCM}}}SubmitObjectsRequest", nsmap={"lcm": LCM, "rim": RIM})
    objects = rim.add(root, "RegistryObjectList")
    for number, document in enumerate(documents, 1):
        further = dict(slots or {})
        if uris is not None:
            further |= _for_archive(document, uris[document.unique_id])
        shown = replace(document, references=(*document.references, _itself(document))) if self_reference else document
        _entry(objects, entry_id(number), shown, patient, further, masks)
    if seal is not None:
        _seal_entry(objects, entry_id(len(documents) + 1), seal, documents[0], submission, patient)
    package(objects, submission, patient)
    rim.add(objects, "Classification", id="Lot-node", classifiedObject="Lot", classificationNode=SUBMISSION_NODE)
    for number, document in enumerate(documents, 1):
        member = rim.association(objects, f"Member{number:02}", HAS_MEMBER, "Lot", entry_id(number))
        rim.slot(member, "SubmissionSetStatus", "Original")
        for old in replacements:
            if old.document_id == document.unique_id:
                rim.association(objects, f"Replace{number:02}", REPLACES, entry_id(number), old.entry_id)
    if seal is not None:
        name = entry_id(len(documents) + 1)
        rim.slot(rim.association(objects, "MemberSeal", HAS_MEMBER, "Lot", name), "SubmissionSetStatus", "Original")
        rim.association(objects, "Signs", SIGNS, name, "Lot")
    return root


def _itself(document: Document) -> tuple[str, str, str]:
    return document.unique_id, "", SELF


def entry_id(number: int) -> str:
    """The symbolic id of the n-th document (from 1) in a lot: also the id of its bytes in ITI-41."""
    return f"Document{number:02}"


def sha1(data: bytes) -> str:
    """Lower-case hexadecimal. SHA-1 because IHE ITI TF-3 §4.2.3.2.10 fixes it; it proves nothing, it finds
    damage."""
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def patient_cx(patient: PatientId) -> str:
    """HL7 CX: NH for a national identifier, PI for a local one."""
    if isinstance(patient, Ins):
        return f"{_plain(patient.value)}^^^&{patient.root}&ISO^NH"
    return f"{_plain(patient[1])}^^^&{patient[0]}&ISO^PI"


def main_id(patient: Patient) -> PatientId | None:
    """The INS, else the first local identifier."""
    return patient.ins or next(iter(patient.local_ids), None)


def person_xcn(author: Author) -> str:
    """HL7 XCN (payload §2.3): D for a person, U for a system; IDNPS, NH where the patient writes, RI for a
    system."""
    kind = "RI" if author.is_system else "NH" if author.person_root in INS_ROOTS else "IDNPS"
    if kind == "IDNPS" and "/" in author.person_id:
        kind = "EI"
    name = f"{_plain(author.family_name)[:80]}^{_plain(author.given_name)[:60]}"
    use = "U" if author.is_system else "D"
    return f"{_plain(author.person_id)}^{name}^^^^^^&{author.person_root}&ISO^{use}^^^{kind}"


def institution_xon(author: Author) -> str:
    """HL7 XON of the structure; empty where the author has none (a patient). Its name is compulsory (IHE ITI TF-3 table
    4.2.3.1.7-2): where the document gives none it is the identifier, as for codes without a label."""
    if not author.institution_id:
        return ""
    name, number = _plain(author.institution_name)[:160], _plain(author.institution_id)
    return f"{name or number}^^^^^&1.2.250.1.71.4.2.2&ISO^IDNST^^^{number}"


def _plain(text: str) -> str:
    """HL7 v2 has separators of its own: a name that holds one must not grow a field."""
    return " ".join(text.translate(dict.fromkeys(map(ord, "^&|~\\"), " ")).split())


def utc(at: datetime) -> str:
    """XDS DTM: UTC, to the second."""
    # Python writes the year 1 as '1'; DTM has four digits (IHE ITI TF-3 §4.2.3.1.7)
    return at.astimezone(UTC).strftime("%Y%m%d%H%M%S").zfill(14)


def _written_by(parent: Element, scheme: str, number: int, author: Author) -> None:
    owner = parent.get("id", "")
    label = {"classificationScheme": scheme, "classifiedObject": owner, "nodeRepresentation": ""}
    held = rim.add(parent, "Classification", id=f"{owner}-author{number}", **label)
    rim.slot(held, "authorInstitution", institution_xon(author))
    rim.slot(held, "authorPerson", person_xcn(author))
    rim.slot(held, "authorRole", _plain(author.role)[:256])
    special = author.specialty
    if special is not None:
        rim.slot(held, "authorSpecialty", f"{special.code}^{_plain(special.label)[:120]}^{special.system}")


def package(objects: Element, submission: Submission, patient: PatientId) -> None:
    """The SubmissionSet, whose id is 'Lot'."""
    package = rim.add(objects, "RegistryPackage", id="Lot", status=APPROVED)
    rim.slot(package, "submissionTime", utc(submission.time))
    rim.named(package, submission.title)
    _written_by(package, PACKAGE_SCHEMES["author"], 1, submission.author)
    rim.coded(package, PACKAGE_SCHEMES["contentTypeCode"], "content", submission.content_type)
    rim.identified(package, PACKAGE_SCHEMES["patientId"], "XDSSubmissionSet.patientId", patient_cx(patient))
    rim.identified(package, PACKAGE_SCHEMES["sourceId"], "XDSSubmissionSet.sourceId", submission.source_id)
    rim.identified(package, PACKAGE_SCHEMES["uniqueId"], "XDSSubmissionSet.uniqueId", submission.unique_id)


def _seal_entry(
    objects: Element, name: str, seal: LotSeal, like: Document, submission: Submission, patient: PatientId
) -> None:
    """spec/dossier.md §3.5; where the care was given is that of the lot's first document."""
    kind = {"mimeType": "text/xml", "objectType": STABLE, "status": APPROVED}
    entry = rim.add(objects, "ExtrinsicObject", id=name, **kind)
    rim.slot(entry, "creationTime", utc(submission.time))
    rim.slot(entry, "hash", sha1(seal.raw))
    rim.slot(entry, "languageCode", "art")
    rim.slot(entry, "serviceStartTime", utc(submission.time))
    rim.slot(entry, "size", str(len(seal.raw)))
    rim.slot(entry, "sourcePatientId", patient_cx(next(iter(like.patient.local_ids), patient)))
    rim.named(entry, "Source")
    _written_by(entry, ENTRY_SCHEMES["author"], 1, submission.author)
    coded = (
        *_SEAL_CODES,
        ("healthcareFacilityTypeCode", like.facility),
        ("practiceSettingCode", like.practice_setting),
    )
    for number, (metadata, code) in enumerate(coded, 1):
        rim.coded(entry, ENTRY_SCHEMES[metadata], f"{metadata}{number}", code)
    rim.identified(entry, ENTRY_SCHEMES["patientId"], "XDSDocumentEntry.patientId", patient_cx(patient))
    rim.identified(entry, ENTRY_SCHEMES["uniqueId"], "XDSDocumentEntry.uniqueId", seal.unique_id)


_SEAL_CODES = (
    ("classCode", Code("urn:oid:1.3.6.1.4.1.19376.1.2.1.1.1", "URN", "Digital Signature")),
    ("confidentialityCode", codes.NORMAL),
    ("confidentialityCode", codes.confidentiality("MASQUE_PS")),
    ("confidentialityCode", codes.confidentiality("INVISIBLE_PATIENT")),
    ("eventCodeList", Code("1.2.840.10065.1.12.1.14", "1.2.840.10065.1.12", "Source")),
    ("formatCode", Code("http://www.w3.org/2000/09/xmldsig#", "URN", "Default Signature Style")),
    ("typeCode", Code("E1762", "ASTM", "Full Document")),
)


def _entry(
    objects: Element,
    name: str,
    document: Document,
    patient: PatientId,
    slots: Mapping[str, str],
    masks: Sequence[Code] = (),
) -> None:
    kind = {"mimeType": document.mime_type, "objectType": STABLE, "status": APPROVED}
    entry = rim.add(objects, "ExtrinsicObject", id=name, **kind)
    _entry_slots(entry, document, patient, slots)
    rim.named(entry, document.title[:128])
    for number, author in enumerate(document.authors, 1):
        _written_by(entry, ENTRY_SCHEMES["author"], number, author)
    for number, (metadata, code) in enumerate(_entry_codes(document, masks), 1):
        rim.coded(entry, ENTRY_SCHEMES[metadata], f"{metadata}{number}", code)
    rim.identified(entry, ENTRY_SCHEMES["patientId"], "XDSDocumentEntry.patientId", patient_cx(patient))
    rim.identified(entry, ENTRY_SCHEMES["uniqueId"], "XDSDocumentEntry.uniqueId", document.unique_id)


def _entry_codes(document: Document, masks: Sequence[Code]) -> list[tuple[str, Code | None]]:
    held = codes.class_of(document.type.code)
    if held is None:
        raise TypeUnknown(document.type.code)
    return [
        ("classCode", held),
        ("confidentialityCode", document.confidentiality),
        *(("confidentialityCode", code) for code in masks),
        *(("eventCodeList", code) for code in document.events),
        ("formatCode", codes.format_of(document)),
        ("healthcareFacilityTypeCode", document.facility),
        ("practiceSettingCode", document.practice_setting),
        ("typeCode", document.type),
    ]


def _entry_slots(entry: Element, document: Document, patient: PatientId, slots: Mapping[str, str]) -> None:
    rim.slot(entry, "creationTime", utc(document.effective_time))
    rim.slot(entry, "hash", sha1(document.raw))
    rim.slot(entry, "languageCode", document.language)
    if document.legal_authenticator is not None:
        rim.slot(entry, "legalAuthenticator", person_xcn(document.legal_authenticator))
    rim.slot(entry, "urn:ihe:iti:xds:2013:referenceIdList", *_references(document))
    rim.slot(entry, "serviceStartTime", utc(document.service_start) if document.service_start else "")
    rim.slot(entry, "serviceStopTime", utc(document.service_stop) if document.service_stop else "")
    rim.slot(entry, "size", str(len(document.raw)))
    local = next(iter(document.patient.local_ids), patient)
    rim.slot(entry, "sourcePatientId", patient_cx(local))
    rim.slot(entry, "sourcePatientInfo", *_source_patient(document.patient))
    for name, value in slots.items():
        rim.slot(entry, name, value)


def _references(document: Document) -> list[str]:
    """CX values of referenceIdList; one that ebRIM could not hold (256 characters) is left out, never cut."""
    values = (
        f"{_plain(value)}^^^{f'&{authority}&ISO' if authority else ''}^{kind}"
        for value, authority, kind in document.references
    )
    return [value for value in values if len(value) <= 256]


def _source_patient(patient: Patient) -> list[str]:
    """Traits as the source knows them: shown, never used to find or change an identity [PDSM4DMP]."""
    traits, born = patient.traits, patient.traits.birth_date
    family, given = _plain(traits.birth_name)[:120], _plain(traits.first_given_name)[:100]
    identifier = main_id(patient)
    return [
        f"PID-3|{patient_cx(identifier)}" if identifier else "",
        f"PID-5|{family}^{given}^^^^^L" if family else "",
        f"PID-7|{born.strftime('%Y%m%d').zfill(8)}" if born else "",
        f"PID-8|{traits.sex if traits.sex in 'MF' else 'U'}" if traits.sex else "",
        f"PID-11|^^^^^^BDL^^{_plain(traits.birth_place)}" if traits.birth_place else "",
    ]


def _for_archive(document: Document, uri: str) -> dict[str, str]:
    # payload §2.6: 'C' marks a document that replaces an earlier version.
    return {"URI": uri} | ({ACTION_SLOT: "C"} if document.replaces or document.version > 1 else {})


# --- reading, for an XDM archive: by local names, so that ebRIM 2.1 of older archives is read too -----------


@dataclass(frozen=True)
class Listed:
    """One document entry as METADATA.XML lists it; '' where it says nothing."""

    uri: str
    size: str
    hash: str
    mime_type: str
    unique_id: str
    patient_id: str = field(repr=False)
    action: str = ""


def listed(root: Element) -> tuple[Listed, ...]:
    """The document entries of a metadata document, in its order."""
    return tuple(_listed(item) for item in root.iter() if _local(item) == "ExtrinsicObject")


def _local(element: Element) -> str:
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def _listed(entry: Element) -> Listed:
    slots = {item.get("name", ""): _values(item) for item in entry if _local(item) == "Slot"}
    identifiers = {
        item.get("identificationScheme", ""): item.get("value", "").strip()
        for item in entry
        if _local(item) == "ExternalIdentifier"
    }
    return Listed(
        uri=slots.get("URI", ""),
        size=slots.get("size", ""),
        hash=slots.get("hash", ""),
        mime_type=entry.get("mimeType", ""),
        unique_id=identifiers.get(ENTRY_SCHEMES["uniqueId"], ""),
        patient_id=identifiers.get(ENTRY_SCHEMES["patientId"], ""),
        action=slots.get(ACTION_SLOT, ""),
    )


def _values(slot: Element) -> str:
    return "".join((item.text or "").strip() for item in slot.iter() if _local(item) == "Value")
