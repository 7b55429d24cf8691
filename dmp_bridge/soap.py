"""SOAP 1.2 with WS-Addressing and MTOM: what the dossier client and the dossier host have in common.

Promises: documents travel as their exact bytes, beside the XML; what is decoded stays within budgets; the
XML goes through certs.xml, so no DTD, entity or network; what strangers really send is taken
(spec/dossier.md §3.1): encoded cid, missing angle brackets, parts in any order, LF line ends, in-line
base64. Does not: speak HTTP, nor know XDS.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from itertools import pairwise
from urllib.parse import quote, unquote
from uuid import uuid4

from lxml import etree

from certs.xml import XmlRefused, parse

SOAP = "http://www.w3.org/2003/05/soap-envelope"
SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
WSA = "http://www.w3.org/2005/08/addressing"
XOP = "http://www.w3.org/2004/08/xop/include"
ANONYMOUS = "http://www.w3.org/2005/08/addressing/anonymous"

MAX_PARTS = 1000
MAX_PART_HEADERS = 16_384
MAX_ENVELOPE = 16 * 1024 * 1024
"""Bytes of the XML alone; documents beside it are counted by whoever reads the socket."""

_UNDERSTOOD = {f"{{{WSA}}}{name}" for name in ("Action", "MessageID", "To", "ReplyTo", "From", "FaultTo", "RelatesTo")}
_INCLUDE = f"{{{XOP}}}Include"


class SoapRefused(ValueError):
    """The message cannot be read. `code`: the local name of a SOAP 1.2 fault code (part 1 §5.4.6)."""

    def __init__(self, reason: str, code: str = "Sender") -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True)
class Attachment:
    """One document beside the envelope. `cid`: its Content-ID, without brackets."""

    cid: str
    media_type: str
    data: bytes = field(repr=False)


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
    attachments: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    fault: Fault | None = None


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
) -> tuple[str, bytes]:
    """(Content-Type, bytes) of a request, or of an answer when `relates_to` names the request."""
    envelope = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"s": SOAP, "a": WSA})
    header = etree.SubElement(envelope, f"{{{SOAP}}}Header")
    _must(_add(header, "Action", action))
    if relates_to:
        _add(header, "RelatesTo", relates_to)
    else:
        _request_headers(header, message_id or new_message_id(), to)
    etree.SubElement(envelope, f"{{{SOAP}}}Body").append(body)
    return _framed(action, etree.tostring(envelope), attachments, mtom or bool(attachments))


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


def _framed(action: str, envelope: bytes, attachments: Sequence[Attachment], mtom: bool) -> tuple[str, bytes]:
    if not mtom:
        return f'application/soap+xml; charset=UTF-8; action="{action}"', envelope
    boundary, root = f"pli-{secrets.token_hex(16)}", f"root-{secrets.token_hex(8)}@pli"
    whole = [_part(boundary, root, 'application/xop+xml; charset=UTF-8; type="application/soap+xml"', envelope)]
    whole += [_part(boundary, each.cid, each.media_type, each.data) for each in attachments]
    # MTOM §3.2, RFC 2387 §3
    kind = (
        f'multipart/related; boundary="{boundary}"; type="application/xop+xml"; start="<{root}>"; '
        f'start-info="application/soap+xml"; action="{action}"'
    )
    return kind, b"".join(whole) + f"--{boundary}--\r\n".encode()


def _part(boundary: str, cid: str, media_type: str, data: bytes) -> bytes:
    head = (
        f"--{boundary}\r\nContent-Type: {media_type}\r\nContent-Transfer-Encoding: binary\r\n"
        f"Content-ID: <{cid}>\r\n\r\n"
    )
    return head.encode() + data + b"\r\n"


# --- reading -------------------------------------------------------------------------------------------


def decode(content_type: str, data: bytes) -> Soap:
    """Reads a request, an answer or a fault. Raises SoapRefused."""
    head = _header(f"Content-Type: {content_type}".encode("ascii", "replace"))
    kind = head.get_content_type()
    if kind == "multipart/related":
        return _decode_related(head, data)
    if kind in ("application/soap+xml", "application/xop+xml"):
        return _decode_envelope(data, {})
    raise SoapRefused(f"media type {kind} is not SOAP 1.2")


def content(element: etree._Element, attachments: Mapping[str, bytes]) -> bytes:
    """The bytes for which `element` stands: an attachment, or base64 in line. Raises SoapRefused."""
    includes = element.findall(_INCLUDE)
    if not includes:
        return _unbase64((element.text or "").encode("ascii", "replace"))
    href = str(includes[0].get("href", ""))
    if len(includes) > 1 or not href.startswith("cid:"):
        raise SoapRefused("a document must be one xop:Include with a cid")
    found = attachments.get(_cid(href[4:]))
    if found is None:
        raise SoapRefused("a document names a part that is not in the message")
    return found


def _decode_related(head: Message, data: bytes) -> Soap:
    boundary = str(head.get_param("boundary") or "")
    if not boundary or len(boundary) > 200:
        raise SoapRefused("multipart/related without a boundary")
    start = _cid(str(head.get_param("start") or ""))
    root: bytes | None = None
    attachments: dict[str, bytes] = {}
    for cid, part in _parts(boundary.encode("ascii", "replace"), data):
        # RFC 2387 §3.2: without a start parameter the first part is the root.
        if root is None and (cid == start or not start):
            root = part
        elif cid in attachments:
            raise SoapRefused("two parts have one Content-ID")
        else:
            attachments[cid] = part
    if root is None:
        raise SoapRefused("no part is the root that Content-Type names")
    return _decode_envelope(root, attachments)


def _parts(boundary: bytes, data: bytes) -> Iterator[tuple[str, bytes]]:
    """(Content-ID, bytes) of each part. The line end before a delimiter is its own (RFC 2046 §5.1.1)."""
    delimiter = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?:\r?\n|\Z)")
    hits = list(_budgeted(delimiter.finditer(data)))
    if not hits or hits[-1].group(1) is None:
        raise SoapRefused("the message ends before its last boundary")
    for this, following in pairwise(hits):
        yield _part_of(data[this.end() : following.start()])


def _budgeted(hits: Iterator[re.Match[bytes]]) -> Iterator[re.Match[bytes]]:
    for number, hit in enumerate(hits):
        if number > MAX_PARTS:
            raise SoapRefused(f"more than {MAX_PARTS} parts")
        yield hit
        if hit.group(1):
            return


def _part_of(data: bytes) -> tuple[str, bytes]:
    gap = re.search(rb"\r?\n\r?\n", data[:MAX_PART_HEADERS])
    if gap is None:
        raise SoapRefused("a part has no end of header")
    head, body = _header(data[: gap.start()].lstrip(b"\r\n")), data[gap.end() :]
    encoding = str(head.get("Content-Transfer-Encoding", "binary")).strip().lower()
    if encoding == "base64":
        body = _unbase64(body)
    elif encoding not in ("binary", "8bit", "7bit"):
        raise SoapRefused("a part has an encoding that is not known here")
    return _cid(str(head.get("Content-ID", ""))), body


def _header(block: bytes) -> Message:
    message = Message()
    unfolded = re.sub(rb"\r?\n[ \t]+", b" ", block).decode("ascii", "replace")
    for line in unfolded.splitlines():
        name, _, value = line.partition(":")
        message[name.strip()] = value.strip()
    return message


def _cid(text: str) -> str:
    """One form for an id written with or without brackets, percent-encoding and blanks."""
    return unquote(text).strip().removeprefix("<").removesuffix(">").strip()


def _unbase64(text: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        raise SoapRefused("base64 that cannot be read") from None


def _decode_envelope(data: bytes, attachments: Mapping[str, bytes]) -> Soap:
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
