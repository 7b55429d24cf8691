"""The header of a clinical document: read into a Document, or refused by name; and the N1 cover around a PDF.

Promises: ClinicalDocument is found at the root, under ds:Signature and in a self-presenting stylesheet; the
bytes are kept as received; elements that we do not know are ignored. Does not: validate a body, render,
follow a stylesheet, or say that a document is true.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import TypeAlias

from lxml import etree

from certs import xml
from dmp_bridge.model import INS_ROOTS, Author, Bad, Code, Document, FilingReason, Ins, Patient, Traits
from dmp_bridge.n1 import N1Header, wrap_pdf

__all__ = ["MAX_BYTES", "N1Header", "body_content", "pdf_copy", "read", "well_formed", "wrap_pdf"]

HL7 = "urn:hl7-org:v3"
MAX_BYTES = 32 * 1024 * 1024
MAX_MARKUP = 150_000
"""Elements and attributes: the richest of the 94 published examples has 15,667; as many as these fill some 40 MB."""
PS_ROOT = "1.2.250.1.71.4.2.1"
PDF_COPY_SECTION = "1.2.250.1.213.1.1.2.243"
STUDY_TYPES = {"18748-4", "IMG-KOS"}

Element: TypeAlias = etree._Element

_ROOT = f"{{{HL7}}}ClinicalDocument"
_SIGNATURE = "{http://www.w3.org/2000/09/xmldsig#}Signature"
_STYLESHEET = "{http://www.w3.org/1999/XSL/Transform}stylesheet"
_CONTENT = "{urn:asip-sante:ci-sis}Contenu"
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_TIME = re.compile(r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(\d\d)(?:(\d\d)(?:\.\d{1,4})?)?([+-]\d{4})?)?)?)?")
_MATRICULE = re.compile(r"[0-9]{6}[0-9AB][0-9]{8}")


class _Refused(ValueError):
    """Carries the name of the rule that a header broke; never leaves this file."""


def read(data: bytes) -> Document | Bad:
    """The document in `data`. Bad(NOT_A_DOCUMENT) where there is no CDA, Bad(DOCUMENT_REFUSED) where it is
    broken."""
    try:
        root = xml.parse(data, max_bytes=MAX_BYTES, max_markup=MAX_MARKUP)
    except xml.XmlRefused:
        # A CDA with a DTD is a refused CDA, not some other file that may be passed over.
        meant = b"ClinicalDocument" in data
        return Bad(FilingReason.DOCUMENT_REFUSED if meant else FilingReason.NOT_A_DOCUMENT, "xml-refused")
    found = locate(root)
    if found is None:
        return Bad(FilingReason.NOT_A_DOCUMENT, "no-clinical-document")
    try:
        return _document(found, data, "application/xslt+xml" if root.tag == _STYLESHEET else "text/xml")
    except _Refused as broken:
        return Bad(FilingReason.DOCUMENT_REFUSED, str(broken))


def well_formed(ins: Ins) -> bool:
    """True if the matricule has 15 characters and its key holds: 97 - (13 digits mod 97), Corsica counted
    19, 18."""
    if not _MATRICULE.fullmatch(ins.value):
        return False
    number = ins.value[:13].replace("2A", "19").replace("2B", "18")
    return number.isdigit() and 97 - int(number) % 97 == int(ins.value[13:])


def pdf_copy(document: Document) -> bytes | None:
    """The PDF inside an N1, or the copy section of an N3 (payload: FR-Document-PDF-copie); None if there is
    none."""
    found = locate(xml.parse(document.raw, max_bytes=MAX_BYTES))
    if found is None:
        return None
    places = _all(found, "c:component/c:nonXMLBody/c:text")
    for section in _all(found, ".//c:section"):
        if any(item.get("root") == PDF_COPY_SECTION for item in _all(section, "c:templateId")):
            places += _all(section, ".//c:observationMedia/c:value")
    copies = (_pdf(_content(item)) for item in places if item.get("mediaType") == "application/pdf")
    return next((copy for copy in copies if copy is not None), None)


def body_content(document: Document) -> bytes | None:
    """What an N1 holds, whatever it is; None for a structured body, or one that is not base64 and says so."""
    found = locate(xml.parse(document.raw, max_bytes=MAX_BYTES))
    text = _first(found, "c:component/c:nonXMLBody/c:text") if found is not None else None
    if text is None:
        return None
    if text.get("representation", "TXT") != "B64":
        return _content(text).encode()
    try:
        return base64.b64decode("".join(_content(text).split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def _pdf(text: str) -> bytes | None:
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if data.startswith(b"%PDF-") else None


# --- where the document is, CI-SIS structuration minimale §3.3.2-3, §3.9.3 ----------------------------------


def locate(root: Element) -> Element | None:
    """The one ClinicalDocument of a document in any of its three shapes; None where there is none, or several."""
    if root.tag == _ROOT:
        return root
    places: Iterator[Element] = iter(())
    if root.tag == _SIGNATURE:
        places = root.iter(_ROOT)
    elif root.tag == _STYLESHEET:
        places = (child for content in root.iterchildren(_CONTENT) for child in content.iterchildren(_ROOT))
    found = list(places)
    # Two documents in one envelope: no rule says which one counts, so none does.
    return found[0] if len(found) == 1 else None


# --- small readers ------------------------------------------------------------------------------------------


def _all(element: Element, path: str) -> list[Element]:
    return element.findall(path, namespaces={"c": HL7})


def _one(element: Element, path: str, rule: str) -> Element:
    found = _all(element, path)
    if len(found) != 1:
        raise _Refused(f"{rule}-{'absent' if not found else 'repeated'}")
    return found[0]


def _content(element: Element) -> str:
    return "".join(str(text) for text in element.itertext())


def _text(element: Element | None) -> str:
    return " ".join(_content(element).split()) if element is not None else ""


def _first(element: Element, path: str) -> Element | None:
    return next(iter(_all(element, path)), None)


def _code(element: Element | None) -> Code | None:
    if element is None or not element.get("code"):
        return None
    return Code(element.get("code", ""), element.get("codeSystem", ""), element.get("displayName", ""))


def _id(element: Element) -> str:
    root, extension = element.get("root", ""), element.get("extension", "")
    return f"{root}^{extension}" if extension else root


def _unique(element: Element, rule: str) -> str:
    """An instance identifier: OID (or UUID) of at most 64 characters, extension kept behind a caret."""
    root = element.get("root", "")
    if len(root) > 64 or not (_OID.fullmatch(root) or _UUID.fullmatch(root)):
        raise _Refused(f"{rule}-not-an-oid")
    if len(_id(element)) > 128:
        raise _Refused(f"{rule}-too-long")
    return _id(element)


def _instant(element: Element | None, rule: str) -> datetime | None:
    """A CDA time stamp in UTC (§3.1: AAAA … AAAAMMJJhhmmss±ZZzz). A bare day stays that day: midnight UTC."""
    value = element.get("value", "") if element is not None else ""
    if not value:
        return None
    match = _TIME.fullmatch(value)
    if not match:
        raise _Refused(f"{rule}-not-a-time")
    year, month, day, hour, minute, second, zone = match.groups()
    if hour and not zone:
        raise _Refused(f"{rule}-without-offset")
    text = f"{year}{month or '01'}{day or '01'}{hour or '00'}{minute or '00'}{second or '00'}{zone or '+0000'}"
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S%z").astimezone(UTC)
    except (ValueError, OverflowError):
        raise _Refused(f"{rule}-not-a-time") from None


# --- the header, CI-SIS structuration minimale table 1 ------------------------------------------------------


def _document(cda: Element, raw: bytes, mime_type: str) -> Document:
    kind = _code(_one(cda, "c:code", "code"))
    created = _instant(_one(cda, "c:effectiveTime", "effective-time"), "effective-time")
    level = _code(_one(cda, "c:confidentialityCode", "confidentiality"))
    if kind is None or created is None or level is None:
        raise _Refused("header-null")
    unique_id = _unique(_one(cda, "c:id", "id"), "id")
    authors = tuple(_author(item) for item in _all(cda, "c:author/c:assignedAuthor"))
    if not authors:
        raise _Refused("author-absent")
    start, stop, setting, events = _acts(cda)
    set_id, version = _version(cda, unique_id)
    signer = _first(cda, "c:legalAuthenticator/c:assignedEntity")
    return Document(
        unique_id=unique_id,
        set_id=set_id,
        version=version,
        type=kind,
        title=_text(_one(cda, "c:title", "title")),
        effective_time=created,
        service_start=start,
        service_stop=stop,
        confidentiality=level,
        language=_one(cda, "c:languageCode", "language").get("code", ""),
        authors=authors,
        legal_authenticator=_author(signer) if signer is not None else None,
        custodian_id=_custodian(cda),
        facility=_code(_first(cda, "c:componentOf/c:encompassingEncounter/c:location/c:healthCareFacility/c:code")),
        practice_setting=setting,
        templates=tuple(item.get("root", "") for item in _all(cda, "c:templateId")),
        body_media_type=_media_type(cda),
        replaces=_replaced(cda),
        patient=_patient(_one(cda, "c:recordTarget/c:patientRole", "patient")),
        events=events,
        references=_references(cda, kind.code),
        raw=raw,
        mime_type=mime_type,
    )


def _version(cda: Element, unique_id: str) -> tuple[str, int]:
    """setId and versionNumber, mandatory since 25/09/2024; an older document is its own set, version 1."""
    set_id, number = _first(cda, "c:setId"), _first(cda, "c:versionNumber")
    if set_id is None:
        return unique_id, 1
    value = number.get("value", "1") if number is not None else "1"
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise _Refused("version-not-a-number")
    return _unique(set_id, "set-id"), int(value)


def _media_type(cda: Element) -> str:
    text = _first(cda, "c:component/c:nonXMLBody/c:text")
    if text is None and _first(cda, "c:component/c:structuredBody") is None:
        raise _Refused("body-absent")
    return text.get("mediaType", "") or "text/plain" if text is not None else ""


def _custodian(cda: Element) -> str:
    path = "c:custodian/c:assignedCustodian/c:representedCustodianOrganization/c:id"
    found = _one(cda, path, "custodian")
    return found.get("extension", "") or found.get("root", "")


def _replaced(cda: Element) -> str:
    for related in _all(cda, "c:relatedDocument"):
        if related.get("typeCode") == "RPLC":
            return _id(_one(related, "c:parentDocument/c:id", "parent-id"))
    return ""


def _author(entity: Element) -> Author:
    """Of assignedAuthor or assignedEntity (§3.3): a professional, the patient himself, or a system."""
    identifier = _first(entity, "c:id")
    if identifier is None or not _id(identifier):
        raise _Refused("author-id-absent")
    device = _first(entity, "c:assignedAuthoringDevice")
    name = _first(entity, "c:assignedPerson/c:name")
    organisation = _first(entity, "c:representedOrganization")
    structure = _first(organisation, "c:id") if organisation is not None else None
    parent = entity.getparent()
    function = _first(parent, "c:functionCode") if parent is not None else None
    system = _text(_first(device, "c:softwareName")) if device is not None else ""
    return Author(
        person_id=identifier.get("extension", "") or identifier.get("root", ""),
        family_name=system or (_text(_first(name, "c:family")) if name is not None else ""),
        given_name=_text(_first(name, "c:given")) if name is not None else "",
        institution_id=structure.get("extension", "") if structure is not None else "",
        institution_name=_text(_first(organisation, "c:name")) if organisation is not None else "",
        role=function.get("displayName", "") if function is not None else "",
        specialty=_code(_first(entity, "c:code")),
        is_system=device is not None,
        person_root=identifier.get("root", PS_ROOT),
    )


def _acts(cda: Element) -> tuple[datetime | None, datetime | None, Code | None, tuple[Code, ...]]:
    """Start, stop and setting of the main act (the one with a performer's setting), and the codes of all
    acts."""
    acts = _all(cda, "c:documentationOf/c:serviceEvent")
    path = "c:performer/c:assignedEntity/c:representedOrganization/c:standardIndustryClassCode"
    main = next((act for act in acts if _code(_first(act, path))), acts[0] if acts else None)
    codes = (_code(item) for act in acts for item in [*_all(act, "c:code"), *_all(act, "c:code/c:translation")])
    events = tuple(dict.fromkeys(code for code in codes if code is not None))
    if main is None:
        return None, None, None, events
    start = _instant(_first(main, "c:effectiveTime/c:low"), "service-start")
    stop = _instant(_first(main, "c:effectiveTime/c:high"), "service-stop")
    if start and stop and stop < start:
        raise _Refused("service-stop-before-start")
    return start, stop, _code(_first(main, path)), events


def _references(cda: Element, kind: str) -> tuple[tuple[str, str, str], ...]:
    """Order, accession and study numbers, with the types of JDV_J197."""
    orders = _all(cda, "c:inFulfillmentOf/c:order")
    found = [(item, "urn:ihe:iti:xds:2013:order") for order in orders for item in _all(order, "c:id")]
    accession = "{urn:dicom-org:ps3-20}accessionNumber"
    found += [(item, "urn:ihe:iti:xds:2013:accession") for order in orders for item in order.iterchildren(accession)]
    values = [(item.get("extension", ""), item.get("root", ""), name) for item, name in found if item.get("extension")]
    if kind in STUDY_TYPES:
        studies = [item.get("root", "") for item in _all(cda, "c:documentationOf/c:serviceEvent/c:id")]
        values += [(uid, "", "urn:ihe:iti:xds:2016:studyInstanceUID") for uid in studies if uid]
    return tuple(dict.fromkeys(values))


# --- the patient, §3.2 --------------------------------------------------------------------------------------


def _patient(role: Element) -> Patient:
    ids = [(item.get("root", ""), item.get("extension", "")) for item in _all(role, "c:id")]
    if not any(root for root, _ in ids):
        raise _Refused("patient-id-absent")
    named = dict.fromkeys((root, value) for root, value in ids if root in INS_ROOTS and value)
    if len(named) > 1:
        raise _Refused("patient-ins-ambiguous")
    ins = next((Ins(value, root) for root, value in named), None)
    person = _first(role, "c:patient")
    traits = _traits(person, ins is not None) if person is not None else Traits()
    others = tuple((root, value) for root, value in ids if root and value and (root, value) not in named)
    return Patient(ins=ins, traits=traits, local_ids=others)


def _traits(person: Element, strict: bool) -> Traits:
    """Birth names carry qualifier BR. Without an INS a bare name is taken for display; with one, never."""
    names = {
        (kind, item.get("qualifier", "")): _text(item)
        for name in _all(person, "c:name")
        for kind in ("family", "given")
        for item in reversed(_all(name, f"c:{kind}"))
    }
    loose = ("", "") if strict else (names.get(("family", ""), ""), names.get(("given", ""), ""))
    gender = _first(person, "c:administrativeGenderCode")
    county = _first(person, "c:birthplace/c:place/c:addr/c:county")
    return Traits(
        birth_name=names.get(("family", "BR"), loose[0]),
        first_given_name=names.get(("given", "BR"), loose[1]),
        given_names=names.get(("given", ""), ""),
        birth_date=_birth_date(_first(person, "c:birthTime")),
        sex={"M": "M", "F": "F"}.get(gender.get("code", ""), "UN") if gender is not None else "",
        birth_place=_text(county),
    )


def _birth_date(element: Element | None) -> date | None:
    """Only a whole day is a strict trait; AAAA or AAAAMM says nothing that could be compared."""
    value = element.get("value", "") if element is not None else ""
    moment = re.fullmatch(r"(\d{4})(\d\d)(\d\d)(\d{4,6}([+-]\d{4})?)?", value)
    if not moment:
        return None
    try:
        return date(int(moment[1]), int(moment[2]), int(moment[3]))
    except ValueError:
        raise _Refused("birth-time-not-a-time") from None
