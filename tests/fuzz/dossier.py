"""Three doors of the dossier: a zip, the METADATA.XML of an archive, a CDA; and the symbols printed on a page.

Promises: what is read is what the bytes say to another reader too (zipfile, hashlib); whatever is refused is refused by
name. Does not: know a valid document but the sample's.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from datetime import UTC
from functools import cache

from dmp_bridge import archive, cda, codes, ebrim, header, matrices, xdm
from dmp_bridge.model import Bad, Document, FilingReason
from gateway.demo import sample
from tests.fuzz.promises import holds
from tests.fuzz.world import NOW

_RULE = re.compile(r"[a-z0-9-]+(-[a-z0-9]+)*")
_ID = re.compile(r"[0-9A-Za-z.\-]{1,64}(\^.{1,64})?", re.DOTALL)


@cache
def sample_document() -> Document:
    found = cda.read(sample.report_cda(NOW, b"%PDF-1.4 of the fuzzer"))
    assert isinstance(found, Document)
    return found


@cache
def sample_archive() -> bytes:
    lot = ebrim.Submission("2.25.1", "2.25.2", NOW, sample_document().authors[0], sample_document().type)
    written = xdm.write([sample_document()], lot)
    assert isinstance(written, bytes)
    return written


# --- a zip ------------------------------------------------------------------------------------------------------


def zip_reader(data: bytes) -> None:
    """dmp_bridge.archive, and dmp_bridge.xdm over it."""
    found = archive.unzip(data)
    if isinstance(found, Bad):
        _by_name(found)
        holds(isinstance(xdm.read(data), Bad), "what is no archive is no XDM")
        return
    sizes = [len(content) for content in found.files.values()]
    holds(sum(sizes) <= archive.LETTER.total and len(sizes) <= archive.LETTER.entries, "within the budget")
    for name in found.files:
        holds(not re.search(r"(^|/)\.{1,2}(/|$)|^/|\\|:|[\x00-\x1f\x7f]", name), "names are plain and relative")
    holds(len({name.casefold() for name in found.files}) == len(sizes), "names are unique without case")
    _as_another_reads(data, found)
    _archive(xdm.read(data))


def _as_another_reads(data: bytes, found: archive.Entries) -> None:
    """zipfile sees the same files with the same content."""
    with zipfile.ZipFile(io.BytesIO(data)) as other:
        names = [each.filename for each in other.infolist() if not each.is_dir()]
        holds(names == list(found.files), "the same names, in order")
        for name, content in found.files.items():
            holds(other.read(name) == content, "the same content")


def _by_name(refused: Bad) -> None:
    holds(refused.reason in set(FilingReason), "a refusal has a reason")
    holds(not refused.detail or _RULE.fullmatch(refused.detail), "a refusal names a rule and quotes nothing")


def _archive(found: xdm.Archive | Bad) -> None:
    if isinstance(found, Bad):
        _by_name(found)
        return
    holds(
        len(found.listed) == len(found.documents) + len(found.refused) + found.set_aside, "each entry is accounted for"
    )
    for refused in found.refused:
        _by_name(refused)
    listed = {each.unique_id: each for each in found.listed}
    holds(len({each.unique_id for each in found.documents}) == len(found.documents), "no document twice")
    for document in found.documents:
        entry = listed.get(document.unique_id)
        holds(entry is not None, "a document is listed under its id")
        if entry is not None:
            kind = "sha256" if len(entry.hash) == 64 else "sha1"
            holds(hashlib.new(kind, document.raw).hexdigest() == entry.hash.lower(), "its bytes have the listed hash")
            holds(int(entry.size) == len(document.raw) and document.action == entry.action, "size and action as listed")
        _document(document, document.raw)


# --- METADATA.XML -------------------------------------------------------------------------------------------------


def metadata(data: bytes) -> None:
    """dmp_bridge.xdm and dmp_bridge.ebrim, the sample document beside whatever stands in the metadata."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as out:
        out.writestr("IHE_XDM/SUBSET01/METADATA.XML", data)
        out.writestr("IHE_XDM/SUBSET01/DOC0001.XML", sample_document().raw)
    found = xdm.read(held.getvalue())
    _archive(found)
    if not isinstance(found, Bad):
        holds(all(each.raw == sample_document().raw for each in found.documents), "only what is there is read")
        holds(len(found.documents) <= 1, "one document, however often it is named")


# --- a CDA --------------------------------------------------------------------------------------------------------


def cda_reader(data: bytes) -> None:
    """dmp_bridge.cda and dmp_bridge.header."""
    found = cda.read(data)
    breaches = header.check(data)
    if isinstance(found, Bad):
        _by_name(found)
        return
    holds(breaches is not None, "what is read is judged")
    holds(all(each.where and each.rule for each in breaches or ()), "a breach names rule and element")
    _document(found, data)


def _document(found: Document, data: bytes) -> None:
    holds(found.raw == data, "the bytes are kept as received")
    holds(_ID.fullmatch(found.unique_id), "an id is an id")
    holds(found.version >= 0 and found.authors and found.type.code, "version, author and type are there")
    times = [each for each in (found.effective_time, found.service_start, found.service_stop) if each]
    holds(all(each.tzinfo is UTC for each in times), "times are UTC")
    ins = found.patient.ins
    if ins is not None and len(ins.value) > 8 and ins.value not in found.unique_id + found.set_id:
        holds(ins.value not in repr(found.patient), "no identity in repr")
    codes.format_of(found)
    codes.nearest_type(found.type)
    copy = cda.pdf_copy(found)
    holds(copy is None or copy.startswith(b"%PDF-"), "a copy is a PDF")


# --- printed symbols ------------------------------------------------------------------------------------------------


def symbols(data: bytes) -> None:
    """dmp_bridge.matrices."""
    found = matrices.read(data)
    if found is None:
        return
    ins, traits = found.patient.ins, found.patient.traits
    if found.kind is matrices.MatrixKind.INS:
        holds(ins is not None and cda.well_formed(ins) and traits.complete, "an INS datamatrix is whole")
    else:
        holds(found.header is not None and ins is None, "a 2D-Doc has a header and no INS")
    holds((traits.birth_name + traits.given_names).isprintable(), "a separator is in no name")


# --- seeds and changes ----------------------------------------------------------------------------------------------


def mended(data: bytes) -> bytes:
    """The zip with the CRC of its stored entries made right again, so that a change of content is worth something."""
    changed = bytearray(data)
    at = changed.find(b"PK\x01\x02")
    while at >= 0 and at + 46 <= len(changed):
        method = int.from_bytes(changed[at + 10 : at + 12], "little")
        size = int.from_bytes(changed[at + 20 : at + 24], "little")
        local = int.from_bytes(changed[at + 42 : at + 46], "little")
        if method == 0 and local + 30 <= len(changed):
            lengths = [int.from_bytes(changed[local + each : local + each + 2], "little") for each in (26, 28)]
            begin = local + 30 + sum(lengths)
            crc = zipfile.crc32(bytes(changed[begin : begin + size])).to_bytes(4, "little")
            changed[at + 16 : at + 20] = crc
            changed[local + 14 : local + 18] = crc
        at = changed.find(b"PK\x01\x02", at + 4)
    return bytes(changed)


def zip_seeds() -> list[bytes]:
    small = io.BytesIO()
    with zipfile.ZipFile(small, "w") as out:
        out.writestr("A.TXT", b"a text")
        out.writestr("B/C.TXT", b"another text " * 9, zipfile.ZIP_DEFLATED)
    streamed = io.BytesIO()
    with zipfile.ZipFile(_Unseekable(streamed), "w") as out:
        out.writestr("A.TXT", b"behind it stands a descriptor")
    stored = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(sample_archive())) as packed, zipfile.ZipFile(stored, "w") as out:
        for name in packed.namelist():
            out.writestr(name, packed.read(name))
    return [small.getvalue(), streamed.getvalue(), sample_archive(), stored.getvalue()]


class _Unseekable(io.RawIOBase):
    """What a zip is streamed into: its sizes stand behind the content."""

    def __init__(self, into: io.BytesIO) -> None:
        self._into = into

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        return self._into.write(bytes(data))  # type: ignore[call-overload, no-any-return]


def metadata_seeds() -> list[bytes]:
    with zipfile.ZipFile(io.BytesIO(sample_archive())) as held:
        written = held.read("IHE_XDM/SUBSET01/METADATA.XML")
    deleting = written.replace(b"<rim:RegistryPackage", b"<!-- --><rim:RegistryPackage", 1)
    lying = re.sub(rb"\b[0-9a-fA-F]{40}\b", b"0" * 40, written, count=1)
    return [written, lying, deleting, written.replace(b'mimeType="text/xml"', b'mimeType="application/pdf"')]


def cda_seeds() -> list[bytes]:
    raw = sample_document().raw
    bare = raw[raw.index(b"<ClinicalDocument") :]
    signed = b'<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><Object>' + bare + b"</Object></Signature>"
    shown = (
        b'<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"><Contenu '
        b'xmlns="urn:asip-sante:ci-sis">' + bare + b"</Contenu></xsl:stylesheet>"
    )
    parent = b'<relatedDocument typeCode="RPLC"><parentDocument><id root="2.25.9"/></parentDocument></relatedDocument>'
    return [raw, signed, shown, raw.replace(b"<componentOf>", parent + b"<componentOf>")]


def symbol_seeds() -> list[bytes]:
    ins = "S1279035121518989S21.2.250.1.213.1.4.10S3DOMINIQUE MARIE\x1dS4PAT-TROIS\x1dS5FS628-03-1979S763220"
    doc = "DC04FR0000011E581E58B201FRF0ANNE/MARIE\x1dF1NOM\x1dF201011955F3F\x1fMRZICP23"
    binary = bytes.fromhex("dc04") + b"\x7d\x8f" + b"\x7d\x8f" * 3 + b"\x0f\x6f\x95" * 2 + b"\x10\x00\x01"
    return [(matrices.INS_HEADER + ins).encode(), doc.encode(), b"DC02FR0000011E58FFFF01", binary]
