"""Does a patient have a dossier, and is it open (TD0.2): HL7 v3 Patient Registry Get Demographics, asked and read.

Promises: of the answer only the state of the dossier and our authorisation are read; the identity that a host sends
back is neither shown nor kept (RG_0320). Does not: create, close or reopen a dossier.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import uuid4

from lxml import etree

from dmp_bridge import soap
from dmp_bridge.model import FilingReason, Ins
from relay.model import Later, Never

HL7 = "urn:hl7-org:v3"
REASON_SYSTEM = "1.2.250.1.213.1.1.4.11"
AUTHORISATION = "AUTORISATION"


class DossierState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    NONE = "none"


@dataclass(frozen=True)
class Dossier:
    """What a host says of one patient's dossier."""

    state: DossierState
    authorisation: str = ""
    """VALIDE, INTERDIT, … as the host spells it; feeding needs none."""


def question(patient: Ins, at: datetime, receiver: str, sender: str) -> etree._Element:
    """PRPA_IN201307UV02 with reason TEST_EXST; OIDs of the host's device and of our own."""
    root = etree.Element(f"{{{HL7}}}PRPA_IN201307UV02", nsmap={None: HL7}, ITSVersion="XML_1.0")  # type: ignore[dict-item]
    _add(root, "id", root=str(uuid4()))
    _add(root, "creationTime", value=at.astimezone(UTC).strftime("%Y%m%d%H%M%S"))
    _add(root, "interactionId", root="2.16.840.1.113883.1.6", extension="PRPA_IN201307UV02")
    for name, code in (("processingCode", "P"), ("processingModeCode", "T"), ("acceptAckCode", "AL")):
        _add(root, name, code=code)
    for name, kind, oid in (("receiver", "RCV", receiver), ("sender", "SND", sender)):
        device = _add(_add(root, name, typeCode=kind), "device", classCode="DEV", determinerCode="INSTANCE")
        _add(device, "id", root=oid)
    act = _add(root, "controlActProcess", classCode="CACT", moodCode="EVN")
    _add(act, "reasonCode", code="TEST_EXST", codeSystem=REASON_SYSTEM)
    query = _add(act, "queryByParameter")
    _add(query, "queryId", root=str(uuid4()))
    _add(query, "statusCode", code="new")
    asked = _add(_add(query, "parameterList"), "patientIdentifier")
    _add(asked, "value", root=patient.root, extension=patient.value)
    _add(asked, "semanticsText").text = "Patient.id"
    return root


def read(answer: soap.Soap) -> Dossier | Later | Never:
    body = answer.body
    if body is None or body.tag != f"{{{HL7}}}PRPA_IN201308UV02":
        return Later(FilingReason.HOST_WRONG, "not the answer of this transaction")
    if _code(body, "acknowledgement/{*}typeCode") != "AA":
        return Later(FilingReason.HOST_REFUSED, "not acknowledged")
    said = _code(body, "controlActProcess/{*}queryAck/{*}queryResponseCode")
    if said == "NF":
        return Dossier(DossierState.NONE)
    if said != "OK":
        return Later(FilingReason.HOST_REFUSED, "no answer to the question")
    status = body.find(".//{urn:hl7-org:v3}patient/{urn:hl7-org:v3}statusCode")
    closed = status is not None and status.get("code") == "terminated"
    return Dossier(DossierState.CLOSED if closed else DossierState.OPEN, _authorisation(body))


def _authorisation(body: etree._Element) -> str:
    """The attention line of that keyword; a value that no list holds is taken as it is."""
    for line in body.iter(f"{{{HL7}}}attentionLine"):
        keyword, value = line.find(f"{{{HL7}}}keyWordText"), line.find(f"{{{HL7}}}value")
        if keyword is not None and value is not None and keyword.get("code") == AUTHORISATION:
            return str(value.get("code", ""))[:32]
    return ""


def _code(body: etree._Element, path: str) -> str:
    found = body.find(f"{{*}}{path}")
    return str(found.get("code", "")) if found is not None else ""


def _add(parent: etree._Element, name: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, f"{{{HL7}}}{name}", attributes)
