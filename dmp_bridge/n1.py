"""The CDA R2 level 1 cover around a PDF, a text, an RTF or an image: what a sender who has no CDA puts around it.

Promises: valid by CDA_extended.xsd, header as the CI-SIS structuration minimale asks, the content unchanged
inside, and of the kind that is named. Does not: read it further, nor check that it says what the header says.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from lxml import etree

from dmp_bridge.codes import NORMAL
from dmp_bridge.model import Author, Code, Patient

_HL7 = "urn:hl7-org:v3"
_STRUCT_ROOT = "1.2.250.1.71.4.2.2"
_PS3_20 = "urn:dicom-org:ps3-20"

Element: TypeAlias = etree._Element


@dataclass(frozen=True, repr=False)
class N1Header:
    """What the header of a wrapped PDF says. Times are timezone-aware; the author also signs and keeps."""

    unique_id: str
    """OID, no extension: the DMP takes no other form."""
    set_id: str
    type: Code
    title: str
    effective_time: datetime
    patient: Patient
    author: Author
    facility: Code
    practice_setting: Code
    service_start: datetime
    service_stop: datetime | None = None
    version: int = 1
    confidentiality: Code = NORMAL
    events: tuple[Code, ...] = ()
    order: tuple[str, str] | None = None
    """(root, extension) of the request that is answered."""
    accession: tuple[str, str] | None = None
    study_uid: str = ""
    """DICOM Study Instance UID, in imaging."""
    replaces: str = ""


def wrap_pdf(pdf: bytes, header: N1Header) -> bytes:
    """The CDA N1 around `pdf`, UTF-8. Raises ValueError if `pdf` is none."""
    return wrap(pdf, "application/pdf", header)


def wrap(content: bytes, media_type: str, header: N1Header) -> bytes:
    """The CDA N1 around content of one of the five kinds (SM §3.4). Raises ValueError where it is not of that kind."""
    if media_type not in KINDS or not KINDS[media_type](content):
        raise ValueError(f"not {NAMES.get(media_type, 'a kind that an N1 holds')}")
    names: dict[str | None, str] = {None: _HL7, "ps3-20": _PS3_20}
    # lxml takes None for the default namespace; its stubs do not know.
    root = etree.Element(f"{{{_HL7}}}ClinicalDocument", nsmap=names)  # type: ignore[arg-type]
    _head(root, header)
    _record_target(root, header.patient)
    _author(root, header)
    _custodian(root, header.author)
    _legal_authenticator(root, header)
    _fulfils(root, header)
    _documentation(root, header)
    _replaces(root, header.replaces)
    _encounter(root, header)
    body = _add(_add(root, "component"), "nonXMLBody")
    _add(body, "text", base64.b64encode(content).decode(), mediaType=media_type, representation="B64")
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def kind_of(content: bytes) -> str:
    """The media type of content that an N1 can hold, by how it begins; '' for any other."""
    return next((media for media, is_it in KINDS.items() if is_it(content)), "")


def _is_text(content: bytes) -> bool:
    """UTF-8, as structuration minimale §3.1 has it always, and readable: no control characters but those of lines."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return bool(text.strip()) and not any(ord(each) < 32 and each not in "\t\n\r\f" for each in text)


KINDS: Mapping[str, Callable[[bytes], bool]] = {
    "application/pdf": lambda content: content.startswith(b"%PDF-"),
    "text/rtf": lambda content: content.startswith(b"{\\rtf"),
    "image/jpeg": lambda content: content.startswith(b"\xff\xd8\xff"),
    "image/tiff": lambda content: content.startswith((b"II*\0", b"MM\0*")),
    "text/plain": _is_text,
}
NAMES = {
    "application/pdf": "a PDF", "text/rtf": "an RTF", "image/jpeg": "a JPEG image", "image/tiff": "a TIFF image",
    "text/plain": "a text in UTF-8",
}  # fmt: skip


def _add(parent: Element, tag: str, text: str = "", **attributes: str) -> Element:
    child = etree.SubElement(parent, f"{{{_HL7}}}{tag}", {name: value for name, value in attributes.items() if value})
    if text:
        child.text = text
    return child


def _coded(parent: Element, tag: str, code: Code) -> Element:
    return _add(parent, tag, code=code.code, codeSystem=code.system, displayName=code.label)


def _stamp(at: datetime) -> str:
    # Structuration minimale §3.1: to the second, with the offset to UTC.
    return at.strftime("%Y%m%d%H%M%S%z")


def _head(root: Element, header: N1Header) -> None:
    _add(root, "realmCode", code="FR")
    _add(root, "typeId", root="2.16.840.1.113883.1.3", extension="POCD_HD000040")
    for template in ("2.16.840.1.113883.2.8.2.1", "1.2.250.1.213.1.1.1.1", "1.3.6.1.4.1.19376.1.2.20"):
        _add(root, "templateId", root=template)
    _add(root, "id", root=header.unique_id)
    _coded(root, "code", header.type)
    _add(root, "title", header.title)
    _add(root, "effectiveTime", value=_stamp(header.effective_time))
    _coded(root, "confidentialityCode", header.confidentiality)
    _add(root, "languageCode", code="fr-FR")
    _add(root, "setId", root=header.set_id)
    _add(root, "versionNumber", value=str(header.version))


def _record_target(root: Element, patient: Patient) -> None:
    role = _add(_add(root, "recordTarget"), "patientRole")
    if patient.ins is not None:
        _add(role, "id", root=patient.ins.root, extension=patient.ins.value)
    for oid, value in patient.local_ids:
        _add(role, "id", root=oid, extension=value)
    _add(role, "addr", nullFlavor="NASK")
    _add(role, "telecom", nullFlavor="NASK")
    traits = patient.traits
    person = _add(role, "patient", classCode="PSN")
    name = _add(person, "name")
    _add(name, "family", traits.birth_name, qualifier="BR")
    _add(name, "given", traits.given_names or traits.first_given_name)
    _add(name, "given", traits.first_given_name, qualifier="BR")
    _add(person, "administrativeGenderCode", code=traits.sex, codeSystem="2.16.840.1.113883.5.1")
    if traits.birth_date is not None:
        _add(person, "birthTime", value=traits.birth_date.strftime("%Y%m%d"))
    if traits.birth_place:
        _add(_add(_add(_add(person, "birthplace"), "place"), "addr"), "county", traits.birth_place)


def _author(root: Element, header: N1Header) -> None:
    author = _add(root, "author")
    _add(author, "time", value=_stamp(header.effective_time))
    _entity(_add(author, "assignedAuthor"), header.author)


def _entity(entity: Element, author: Author, setting: Code | None = None) -> None:
    _add(entity, "id", root=author.person_root, extension=author.person_id)
    if author.specialty is not None:
        _coded(entity, "code", author.specialty)
    _add(entity, "addr", nullFlavor="NASK")
    _add(entity, "telecom", nullFlavor="NASK")
    name = _add(_add(entity, "assignedPerson"), "name")
    _add(name, "family", author.family_name)
    _add(name, "given", author.given_name)
    organisation = _add(entity, "representedOrganization")
    _organisation(organisation, author)
    if setting is not None:
        _coded(organisation, "standardIndustryClassCode", setting)


def _organisation(organisation: Element, author: Author) -> None:
    _add(organisation, "id", root=_STRUCT_ROOT, extension=author.institution_id)
    _add(organisation, "name", author.institution_name)


def _custodian(root: Element, author: Author) -> None:
    kept = _add(_add(_add(root, "custodian"), "assignedCustodian"), "representedCustodianOrganization")
    _organisation(kept, author)


def _legal_authenticator(root: Element, header: N1Header) -> None:
    signer = _add(root, "legalAuthenticator")
    _add(signer, "time", value=_stamp(header.effective_time))
    _add(signer, "signatureCode", code="S")
    _entity(_add(signer, "assignedEntity"), header.author)


def _fulfils(root: Element, header: N1Header) -> None:
    if header.order is None:
        return
    order = _add(_add(root, "inFulfillmentOf"), "order")
    _add(order, "id", root=header.order[0], extension=header.order[1])
    if header.accession is not None:
        place = {"root": header.accession[0], "extension": header.accession[1]}
        etree.SubElement(order, f"{{{_PS3_20}}}accessionNumber", place)


def _documentation(root: Element, header: N1Header) -> None:
    act = _add(_add(root, "documentationOf"), "serviceEvent", classCode="ACT")
    if header.study_uid:
        _add(act, "id", root=header.study_uid)
    if header.events:
        code = _coded(act, "code", header.events[0])
        for translation in header.events[1:]:
            _coded(code, "translation", translation)
    span = _add(act, "effectiveTime")
    _add(span, "low", value=_stamp(header.service_start))
    if header.service_stop is not None:
        _add(span, "high", value=_stamp(header.service_stop))
    _entity(_add(_add(act, "performer", typeCode="PRF"), "assignedEntity"), header.author, header.practice_setting)


def _replaces(root: Element, replaced: str) -> None:
    if not replaced:
        return
    oid, _, extension = replaced.partition("^")
    _add(
        _add(_add(root, "relatedDocument", typeCode="RPLC"), "parentDocument"),
        "id",
        root=oid,
        extension=extension,
    )


def _encounter(root: Element, header: N1Header) -> None:
    visit = _add(_add(root, "componentOf"), "encompassingEncounter")
    span = _add(visit, "effectiveTime")
    _add(span, "low", value=_stamp(header.service_start))
    _coded(_add(_add(visit, "location"), "healthCareFacility"), "code", header.facility)
