"""SOAP with documents beside it (dmp_bridge.mtom, dmp_bridge.soap): what must hold for any Content-Type and any body.

Promises: the first line of an input is its Content-Type, the rest the body; seeds are messages of our own writing, in
the forms that strangers use (spec/dossier.md §3.1). Does not: store anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lxml import etree

from dmp_bridge import mtom, soap
from dmp_bridge.mtom import Reader, SoapRefused
from tests.fuzz.promises import holds

_SIZES = (1, 2, 3, 61, 4096)


def messages(data: bytes) -> None:
    """Whatever the pieces in which it comes, a message is read as the same, or refused."""
    kind, _, body = data.partition(b"\n")
    told = kind.decode("latin-1")
    whole = _read(told, body, max(1, len(body)))
    for size in _SIZES[(len(data) % 3) :]:
        holds(_read(told, body, size) == whole, "pieces do not matter")
    if whole is None:
        return
    root, parts = whole
    for each in (root, *parts.values()):
        holds(len(each) <= len(body), "no part is larger than the message")
    try:
        message = soap.decode(told, body)
    except SoapRefused:
        return
    holds(message.attachments == parts, "the documents are those that were read")
    _documents(message)


def _read(kind: str, body: bytes, size: int) -> tuple[bytes, dict[str, Any]] | None:
    """(envelope, documents), or None where it is refused."""
    try:
        reader = Reader(kind)
        for start in range(0, len(body), size):
            reader.feed(body[start : start + size])
        return reader.close(), reader.attachments
    except SoapRefused:
        return None


def _documents(message: soap.Soap) -> None:
    """Each element that may stand for a document has its bytes, or is refused."""
    if message.body is None:
        return
    for element in list(message.body.iter(etree.Element))[:50]:
        try:
            given = soap.content(element, message.attachments)
        except SoapRefused:
            continue
        holds(isinstance(given, bytes), "a document is bytes")


def seeds() -> Iterator[bytes]:
    body = etree.fromstring('<d xmlns="urn:x"><e/></d>')
    body[0].append(soap.include("one@pli"))
    attachments = [mtom.Attachment("one@pli", "text/xml", b"<a/>\r\n--b"), mtom.Attachment("two", "a/b", b"")]
    kind, data = soap.encode("urn:a", body, attachments)
    yield kind.encode() + b"\n" + data
    plain, envelope = soap.encode("urn:a", etree.fromstring("<x>b25l</x>"))
    yield plain.encode() + b"\n" + envelope
    yield kind.encode() + b"\n" + data.replace(b"\r\n", b"\n")
    yield kind.encode() + b"\n" + data.replace(b"binary\r\nContent-ID: <two>\r\n\r\n", _BASE64)
    yield kind.replace("start", "begin").encode() + b"\n\r\n" + data.replace(b"<one@pli>", b" one%40pli ")
    yield kind.encode() + b"\n" + data.replace(b"--\r\n", b"\r\n")
    fault, words = soap.encode_fault(soap.Fault("Sender", "no"), mtom=True)
    yield fault.encode() + b"\n" + words


_BASE64 = b"base64\r\nContent-ID: <two>\r\n\r\nb25l\r\nIHR3bw=="
