"""The frame of a SOAP message: the same whatever the pieces in which it comes, and a document is held once."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from dmp_bridge import mtom, soap
from dmp_bridge.host.contents import Contents
from dmp_bridge.mtom import Attachment, Reader, SoapRefused

BODY = etree.fromstring("<x/>")


def message(*documents: bytes) -> tuple[str, bytes]:
    attachments = [Attachment(f"d{number}@test", "text/xml", data) for number, data in enumerate(documents)]
    return soap.encode("urn:a", etree.fromstring("<x/>"), attachments, mtom=True)


def taken(kind: str, data: bytes, size: int) -> dict[str, bytes]:
    reader = Reader(kind)
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
    assert soap.opened(reader).body is not None
    return reader.attachments


DOCUMENTS = (b"", b"\r\n", b"a\r\n--b\r\n", b"--", b"\r", b"\n\n", b"x" * 3000, b"\r\n--pli-", bytes(range(256)))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000, 100_000])
def test_pieces_do_not_matter(size: int) -> None:
    """Documents that look like boundaries come back byte by byte, wherever the pieces break."""
    kind, data = message(*DOCUMENTS)
    assert list(taken(kind, data, size).values()) == list(DOCUMENTS)


@pytest.mark.parametrize("size", [1, 5, 4096])
def test_base64_parts_are_read_in_pieces_too(size: int) -> None:
    """Padding may stand at the end only, wherever the pieces break."""
    kind, data = message(b"one")
    binary = b"Content-Transfer-Encoding: binary\r\nContent-ID: <d0@test>\r\n\r\none"
    encoded = b"Content-Transfer-Encoding: base64\r\nContent-ID: <d0@test>\r\n\r\n"
    good, bad = data.replace(binary, encoded + b"b2 5l\r\n"), data.replace(binary, encoded + b"b2==b25l")
    assert taken(kind, good, size) == {"d0@test": b"one"}
    with pytest.raises(SoapRefused):
        taken(kind, bad, size)


@pytest.mark.parametrize("cut", [1, 20, 200])
@pytest.mark.parametrize("size", [1, 4096])
def test_a_message_that_ends_early_is_refused(cut: int, size: int) -> None:
    """Without its last boundary it is not whole."""
    kind, data = message(b"one", b"two")
    with pytest.raises(SoapRefused):
        taken(kind, data[:-cut] if cut > 20 else data[: -cut - 2], size)


def test_a_part_without_end_of_header_is_refused_soon() -> None:
    """Its budget is 16 KB, not the message's."""
    kind, data = message()
    begun = data.partition(b"Content-Type")[0] + b"X: " + b"y" * 20_000
    with pytest.raises(SoapRefused, match="no end of header"):
        Reader(kind).feed(begun)


def test_a_document_is_sent_from_where_it_lies() -> None:
    """The pieces of a message hold the document itself, not a copy; portions are of a size that a socket takes."""
    document = bytes(200_000)
    _, pieces = soap.pieces("urn:a", BODY, [Attachment("d@test", "text/xml", document)])
    assert any(each is document for each in pieces)
    portions = list(mtom.cut(pieces))
    assert max(map(len, portions)) <= mtom.PIECE
    assert b"".join(portions) == b"".join(pieces)


def test_25_megabytes_go_through_in_a_few(tmp_path: Path) -> None:
    """Written in portions and read to the disk as they come: less than 4 MB are held on either way, and the hash is
    that of what was sent."""
    document = bytes(25_000_000)
    kind, pieces = soap.pieces("urn:a", BODY, [Attachment("d@test", "text/xml", document)])
    batch = Contents(tmp_path / "documents").batch()
    tracemalloc.start()
    reader = Reader(kind, batch.sink)
    for portion in _in_turn(mtom.cut(pieces)):
        reader.feed(portion)
    soap.opened(reader)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (kept,) = reader.attachments.values()
    assert (kept.size, kept.sha1) == (len(document), hashlib.sha1(document, usedforsecurity=False).hexdigest())
    assert peak < 4_000_000


def _in_turn(portions: Iterator[bytes]) -> Iterator[bytes]:
    yield from portions


def test_what_a_refused_request_brought_is_dropped(tmp_path: Path) -> None:
    """Documents that were on their way leave no file."""
    contents = Contents(tmp_path / "documents")
    batch = contents.batch()
    kind, data = message(b"one", b"two")
    reader = Reader(kind, batch.sink)
    reader.feed(data[:-30])
    assert contents.names()
    batch.drop()
    assert contents.names() == set()
