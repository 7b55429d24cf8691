"""SOAP 1.2 with WS-Addressing: what the dossier client and the dossier host have in common.

Promises: the XML goes through certs.xml, so no DTD, entity or network, within a budget; documents beside it travel in
the frame of mtom.py. Does not: speak HTTP, verify an assertion, nor know XDS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from lxml import etree

from certs.xml import XmlRefused, parse
from dmp_bridge.mtom import (
    MAX_ENVELOPE,
    MAX_PARTS,
    Attachment,
    Memory,
    Reader,
    SoapRefused,
    framed,
    plain_cid,
    unbase64,
)

__all__ = [
    "MAX_ENVELOPE",
    "MAX_PARTS",
    "Attachment",
    "Fault",
    "Soap",
    "SoapRefused",
    "content",
    "decode",
    "encode",
    "encode_fault",
    "include",
    "new_message_id",
    "opened",
    "pieces",
]

SOAP = "http://www.w3.org/2003/05/soap-envelope"
SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
WSA = "http://www.w3.org/2005/08/addressing"
XOP = "http://www.w3.org/2004/08/xop/include"
ANONYMOUS = "http://www.w3.org/2005/08/addressing/anonymous"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"

_UNDERSTOOD = {f"{{{WSA}}}{name}" for name in ("Action", "MessageID", "To", "ReplyTo", "From", "FaultTo", "RelatesTo")}
_UNDERSTOOD |= {f"{{{WSSE}}}Security"}
_STEP = 256 * 1024
_INCLUDE = f"{{{XOP}}}Include"


@dataclass(frozen=True)
class Fault:
    code: str
    """Local name: Sender, Receiver, MustUnderstand, VersionMismatch, DataEncodingUnknown."""
    reason: str


@dataclass(frozen=True)
class Soap:
    action: str
    message_id: str
    relates_to: str
    body: etree._Element | None
    """The first child of Body; None where Body is empty or holds a fault."""
    attachments: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """By Content-ID: bytes, or what the sink of the reader made of them."""
    fault: Fault | None = None
    security: etree._Element | None = field(default=None, repr=False)
    """wsse:Security, where the header has one."""


# --- writing -------------------------------------------------------------------------------------------


def encode(
    action: str,
    body: etree._Element,
    attachments: Sequence[Attachment] = (),
    *,
    mtom: bool = False,
    to: str = "",
    message_id: str = "",
    relates_to: str = "",
    assertion: bytes = b"",
) -> tuple[str, bytes]:
    """(Content-Type, bytes) of a request, or of an answer when `relates_to` names the request."""
    addressed = {"to": to, "message_id": message_id, "relates_to": relates_to}
    kind, parts = pieces(action, body, attachments, mtom=mtom, assertion=assertion, **addressed)
    return kind, b"".join(parts)


def pieces(
    action: str,
    body: etree._Element,
    attachments: Sequence[Attachment] = (),
    *,
    mtom: bool = False,
    to: str = "",
    message_id: str = "",
    relates_to: str = "",
    assertion: bytes = b"",
) -> tuple[str, list[bytes]]:
    """The same, in pieces of which each document is one. `assertion`: a signed one, which stands in the header as it
    is (WSS SAML Token Profile 1.1 §3.3.1)."""
    envelope = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"s": SOAP, "a": WSA})
    header = etree.SubElement(envelope, f"{{{SOAP}}}Header")
    _must(_add(header, "Action", action))
    if relates_to:
        _add(header, "RelatesTo", relates_to)
    else:
        _request_headers(header, message_id or new_message_id(), to)
    if assertion:
        etree.SubElement(header, f"{{{WSSE}}}Security", nsmap={"wsse": WSSE}).append(parse(assertion))
    etree.SubElement(envelope, f"{{{SOAP}}}Body").append(body)
    data = etree.tostring(envelope)
    if mtom or attachments:
        return framed(action, data, attachments)
    return f'application/soap+xml; charset=UTF-8; action="{action}"', [data]


def encode_fault(fault: Fault, relates_to: str = "", *, mtom: bool = False) -> tuple[str, bytes]:
    """(Content-Type, bytes) of a fault (SOAP 1.2 part 1 §5.4)."""
    action = f"{WSA}/soap/fault"
    element = etree.Element(f"{{{SOAP}}}Fault", nsmap={"s": SOAP})
    code = etree.SubElement(element, f"{{{SOAP}}}Code")
    etree.SubElement(code, f"{{{SOAP}}}Value").text = f"s:{fault.code}"
    text = etree.SubElement(etree.SubElement(element, f"{{{SOAP}}}Reason"), f"{{{SOAP}}}Text")
    text.set("{http://www.w3.org/XML/1998/namespace}lang", "en")
    text.text = fault.reason
    return encode(action, element, mtom=mtom, relates_to=relates_to or "urn:uuid:unspecified")


def new_message_id() -> str:
    return f"urn:uuid:{uuid4()}"


def include(cid: str) -> etree._Element:
    """What stands in the XML where the bytes of an attachment belong (XOP §2.1)."""
    return etree.Element(_INCLUDE, {"href": f"cid:{quote(cid, safe='@.-_')}"}, nsmap={"xop": XOP})


def _request_headers(header: etree._Element, message_id: str, to: str) -> None:
    _add(header, "MessageID", message_id)
    reply_to = etree.SubElement(header, f"{{{WSA}}}ReplyTo")
    _must(reply_to)
    _add(reply_to, "Address", ANONYMOUS)
    _add(header, "To", to)


def _add(parent: etree._Element, name: str, text: str) -> etree._Element:
    element = etree.SubElement(parent, f"{{{WSA}}}{name}")
    element.text = text
    return element


def _must(element: etree._Element) -> None:
    element.set(f"{{{SOAP}}}mustUnderstand", "true")


# --- reading -------------------------------------------------------------------------------------------


def decode(content_type: str, data: bytes) -> Soap:
    """Reads a request, an answer or a fault that is there whole. Raises SoapRefused."""
    reader = Reader(content_type, Memory)
    for start in range(0, len(data), _STEP):
        reader.feed(data[start : start + _STEP])
    return opened(reader)


def opened(reader: Reader) -> Soap:
    """What a reader took, when all of it has come. Raises SoapRefused."""
    return _decode_envelope(reader.close(), reader.attachments)


def content(element: etree._Element, attachments: Mapping[str, Any]) -> Any:
    """That for which `element` stands: an attachment, or bytes that stood in line as base64. Raises SoapRefused."""
    includes = element.findall(_INCLUDE)
    if not includes:
        return unbase64((element.text or "").encode("ascii", "replace"))
    href = str(includes[0].get("href", ""))
    if len(includes) > 1 or not href.startswith("cid:"):
        raise SoapRefused("a document must be one xop:Include with a cid")
    found = attachments.get(plain_cid(href[4:]))
    if found is None:
        raise SoapRefused("a document names a part that is not in the message")
    return found


def _decode_envelope(data: bytes, attachments: Mapping[str, Any]) -> Soap:
    try:
        envelope = parse(data, max_bytes=MAX_ENVELOPE)
    except XmlRefused as refusal:
        raise SoapRefused(f"XML refused: {refusal}") from None
    if envelope.tag == f"{{{SOAP_11}}}Envelope":
        raise SoapRefused("SOAP 1.1", code="VersionMismatch")
    header, body = _shape(envelope)
    _check_understood(header)
    first = next((child for child in body if isinstance(child.tag, str)), None)
    fault = _fault(first)
    return Soap(
        action=_one(header, "Action"),
        message_id=_one(header, "MessageID"),
        relates_to=_one(header, "RelatesTo"),
        body=None if fault else first,
        attachments=attachments,
        fault=fault,
        security=header.find(f"{{{WSSE}}}Security") if header is not None else None,
    )


def _shape(envelope: etree._Element) -> tuple[etree._Element | None, etree._Element]:
    """Header, where there is one, then Body, and nothing else (SOAP 1.2 part 1 §5.1)."""
    children = [child for child in envelope if isinstance(child.tag, str)]
    names = [child.tag for child in children]
    if envelope.tag == f"{{{SOAP}}}Envelope" and names == [f"{{{SOAP}}}Header", f"{{{SOAP}}}Body"]:
        return children[0], children[1]
    if envelope.tag == f"{{{SOAP}}}Envelope" and names == [f"{{{SOAP}}}Body"]:
        return None, children[0]
    raise SoapRefused("not an Envelope of Header and Body")


def _check_understood(header: etree._Element | None) -> None:
    for child in header if header is not None else ():
        # The attribute is also seen in no namespace, or in that of WS-Addressing (spec/dossier.md §1.3).
        must = any(etree.QName(name).localname == "mustUnderstand" for name in child.attrib if _true(child, name))
        if must and child.tag not in _UNDERSTOOD:
            # SOAP 1.2 part 1 §5.2.3
            raise SoapRefused("a header that must be understood is not", code="MustUnderstand")


def _true(element: etree._Element, name: str | bytes) -> bool:
    return str(element.get(name, "")).strip() in ("1", "true")


def _one(header: etree._Element | None, name: str) -> str:
    found = header.findall(f"{{{WSA}}}{name}") if header is not None else []
    if len(found) > 1 and name != "RelatesTo":
        # WS-Addressing 1.0 SOAP binding §6.4.1.2, InvalidCardinality
        raise SoapRefused(f"several {name} headers")
    return (found[0].text or "").strip() if found else ""


def _fault(element: etree._Element | None) -> Fault | None:
    if element is None or element.tag != f"{{{SOAP}}}Fault":
        return None
    code = element.findtext(f"{{{SOAP}}}Code/{{{SOAP}}}Value", "Receiver").rpartition(":")[2].strip()
    return Fault(code, element.findtext(f"{{{SOAP}}}Reason/{{{SOAP}}}Text", "").strip()[:300])
