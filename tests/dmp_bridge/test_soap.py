"""SOAP 1.2 with MTOM: what is written is read back byte by byte; what strangers write is read or refused."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from dmp_bridge import soap

ACTION = "urn:test:act"


def body(*cids: str) -> etree._Element:
    root = etree.Element("{urn:test}Request")
    for cid in cids:
        etree.SubElement(root, "{urn:test}Document").append(soap.include(cid))
    return root


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_documents_come_back_byte_by_byte(documents: list[bytes]) -> None:
    """Whatever the bytes of a document, line ends and dashes included, they are those that were sent."""
    attachments = [soap.Attachment(f"d{n}@x", "text/xml", data) for n, data in enumerate(documents)]
    kind, data = soap.encode(ACTION, body(*(each.cid for each in attachments)), attachments, mtom=True)
    read = soap.decode(kind, data)
    assert read.body is not None
    assert [soap.content(each, read.attachments) for each in read.body] == documents


@pytest.mark.parametrize("document", [b"\r", b"\r\n", b"\n", b"--", b"\r\n--pli-", b"", b"\x00\xff"])
def test_line_ends_at_the_edge_belong_to_the_document(document: bytes) -> None:
    """A document that ends with what looks like a frame keeps its last byte."""
    kind, data = soap.encode(ACTION, body("d@x"), [soap.Attachment("d@x", "text/xml", document)])
    read = soap.decode(kind, data)
    assert read.attachments["d@x"] == document


def test_a_request_has_the_addressing_headers() -> None:
    """Action, MessageID, To and an anonymous ReplyTo stand in a request; RelatesTo in an answer."""
    kind, data = soap.encode(ACTION, body(), to="https://host/x", message_id="urn:uuid:1")
    read = soap.decode(kind, data)
    assert (read.action, read.message_id, read.relates_to) == (ACTION, "urn:uuid:1", "")
    assert soap.ANONYMOUS.encode() in data
    kind, data = soap.encode(ACTION, body(), relates_to="urn:uuid:1")
    read = soap.decode(kind, data)
    assert (read.message_id, read.relates_to) == ("", "urn:uuid:1")


def test_a_fault_is_read_as_a_fault() -> None:
    """A fault comes back with its code and reason, and is no body."""
    read = soap.decode(*soap.encode_fault(soap.Fault("Receiver", "busy"), "urn:uuid:1", mtom=True))
    assert read.fault == soap.Fault("Receiver", "busy")
    assert read.body is None


ENVELOPE = (
    '<s:Envelope xmlns:s="{ns}" xmlns:a="http://www.w3.org/2005/08/addressing"><s:Header>{header}</s:Header>'
    '<s:Body><r xmlns="urn:test"><d>{document}</d></r></s:Body></s:Envelope>'
)
INCLUDE = '<i:Include xmlns:i="http://www.w3.org/2004/08/xop/include" href="cid:{}"/>'


def envelope(document: str = "", header: str = "<a:Action>x</a:Action>", ns: str = soap.SOAP) -> bytes:
    return ENVELOPE.format(ns=ns, header=header, document=document).encode()


def related(root_id: bytes, document_id: bytes, href: str, eol: bytes = b"\r\n", swap: bool = False) -> bytes:
    root = [b"--b", b"Content-Type: application/xop+xml", b"Content-ID: " + root_id, b""]
    root += [envelope(INCLUDE.format(href))]
    part = [b"--b ", b"Content-Type: text/plain;", b' charset="x"', b"Content-ID: " + document_id, b"", b"hello"]
    parts = [part, root] if swap else [root, part]
    return eol.join([line for each in parts for line in each] + [b"--b--", b""])


@pytest.mark.parametrize(
    ("root_id", "document_id", "href", "eol", "swap"),
    [
        (b"<r@x>", b"<d@x>", "d@x", b"\r\n", False),
        (b"<r@x>", b"<d@x>", "d%40x", b"\r\n", False),
        (b"r@x ", b"d@x  ", "d@x", b"\r\n", False),
        (b"<r@x>", b"<urn:uuid:1>", "urn%3Auuid%3A1", b"\n", False),
        (b"<r@x>", b"<d@x>", "d@x", b"\n", True),
    ],
)
def test_what_strangers_send_is_read(root_id: bytes, document_id: bytes, href: str, eol: bytes, swap: bool) -> None:
    """Encoded cid, missing brackets, trailing blanks, folded headers, LF, any order (dossier.md §3.1)."""
    data = related(root_id, document_id, href, eol, swap)
    read = soap.decode('multipart/related; boundary=b; start="<r@x>"; type="application/xop+xml"', data)
    assert read.body is not None
    assert soap.content(read.body[0], read.attachments) == b"hello"


def test_in_line_base64_is_read() -> None:
    """A single part with the document in base64 is a message like another."""
    read = soap.decode("application/soap+xml", envelope(base64.b64encode(b"hello").decode()))
    assert read.body is not None
    assert soap.content(read.body[0], {}) == b"hello"


@pytest.mark.parametrize("document", ["####", INCLUDE.format("nobody@x"), INCLUDE.format("a") * 2])
def test_a_document_that_is_not_there_is_refused(document: str) -> None:
    """Neither bad base64 nor a reference to an absent part, nor two references, is a document."""
    read = soap.decode("application/soap+xml", envelope(document))
    assert read.body is not None
    with pytest.raises(soap.SoapRefused):
        soap.content(read.body[0], {})


GOOD = related(b"<r@x>", b"<d@x>", "d@x")
KIND = 'multipart/related; boundary=b; start="<r@x>"'


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (KIND, GOOD.replace(b"--b--", b"")),
        (KIND, GOOD.replace(b"r@x", b"q@x")),
        ("multipart/related", GOOD),
        ("multipart/related; boundary=" + "b" * 201, GOOD),
        ("text/xml", envelope()),
        ("application/xml", envelope()),
        (KIND, b"--b\r\nno end of header"),
        (KIND, b"--b\r\nContent-ID: <a>\r\n\r\nx\r\n" * 2000 + b"--b--"),
        (KIND, GOOD.replace(b"<d@x>", b"<d@x>\r\nContent-Transfer-Encoding: x-gzip")),
        (KIND, GOOD.replace(b"--b--", b"--b\r\nContent-ID: <d@x>\r\n\r\ntwice\r\n--b--")),
        ("application/soap+xml", b"<a/>"),
        ("application/soap+xml", b"<a"),
        ("application/soap+xml", envelope(header="<a:Action>x</a:Action><a:Action>y</a:Action>")),
        ("application/soap+xml", b'<!DOCTYPE a [<!ENTITY e "x">]>' + envelope("&e;")),
    ],
)
def test_what_cannot_be_read_is_refused(kind: str, data: bytes) -> None:
    """No boundary, no end, no root, too many parts, two of one name, other types, a DTD: each is refused."""
    with pytest.raises(soap.SoapRefused) as refusal:
        soap.decode(kind, data)
    assert refusal.value.code == "Sender"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (envelope(ns=soap.SOAP_11), "VersionMismatch"),
        (envelope(header=f'<t:S xmlns:t="urn:t" xmlns:s="{soap.SOAP}" s:mustUnderstand="1"/>'), "MustUnderstand"),
        (envelope(header='<t:S xmlns:t="urn:t" mustUnderstand="true"/>'), "MustUnderstand"),
    ],
)
def test_what_must_be_understood_and_is_not(data: bytes, code: str) -> None:
    """SOAP 1.1, and a header that must be understood and is not ours, are refused by their own codes."""
    with pytest.raises(soap.SoapRefused) as refusal:
        soap.decode("application/soap+xml", data)
    assert refusal.value.code == code


def test_headers_that_we_understand_or_may_ignore_are_let_through() -> None:
    """mustUnderstand on WS-Addressing is met; a foreign header without it is passed over."""
    header = '<a:Action mustUnderstand="1">x</a:Action><t:S xmlns:t="urn:t" mustUnderstand="0"/>'
    assert soap.decode("application/soap+xml", envelope(header=header)).action == "x"
