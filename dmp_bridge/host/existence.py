"""Answers whether a patient has a dossier here (TD0.2, PRPA_IN201307UV02 -> PRPA_IN201308UV02).

Promises: of a patient only the identifier that was asked, whether his dossier is open, and our authorisation are said.
Does not: hold traits: this host knows identifiers only.
"""

from __future__ import annotations

from uuid import uuid4

from lxml import etree

from dmp_bridge.host.formats import is_oid
from dmp_bridge.soap import SoapRefused

HL7 = "urn:hl7-org:v3"
REPLY = "urn:hl7-org:v3:PRPA_IN201308UV02"
KEYWORDS, VALUES = "1.2.250.1.213.4.1.2.6.1", "1.2.250.1.213.4.1.2.6.2"


def asked(body: etree._Element) -> str:
    """The patient, as identifier and authority of a CX. Raises SoapRefused."""
    value = body.find(f".//{{{HL7}}}patientIdentifier/{{{HL7}}}value")
    root, extension = (str(value.get(name, "")) for name in ("root", "extension")) if value is not None else ("", "")
    if body.tag != f"{{{HL7}}}PRPA_IN201307UV02" or not is_oid(root) or not extension or "^" in extension:
        raise SoapRefused("not a question about one patient")
    return f"{extension}^^^&{root}&ISO"


def reply(patient: str, found: bool, closed: bool) -> etree._Element:
    root = etree.Element(f"{{{HL7}}}PRPA_IN201308UV02", nsmap={None: HL7}, ITSVersion="XML_1.0")  # type: ignore[dict-item]
    _add(root, "id", root=str(uuid4()))
    _add(_add(root, "acknowledgement"), "typeCode", code="AA")
    if found:
        line = _add(root, "attentionLine")
        _add(line, "keyWordText", code="AUTORISATION", codeSystem=KEYWORDS)
        _add(line, "value", code="VALIDE", codeSystem=VALUES)
    act = _add(root, "controlActProcess", classCode="CACT", moodCode="EVN")
    if found:
        subject = _add(_add(_add(act, "subject"), "registrationEvent"), "subject1")
        held = _add(subject, "patient", classCode="PAT")
        extension, _, authority = patient.partition("^^^&")
        _add(held, "id", root=authority.partition("&")[0], extension=extension)
        _add(held, "statusCode", code="terminated" if closed else "active")
    _add(_add(act, "queryAck"), "queryResponseCode", code="OK" if found else "NF")
    return root


def _add(parent: etree._Element, name: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, f"{{{HL7}}}{name}", attributes)
