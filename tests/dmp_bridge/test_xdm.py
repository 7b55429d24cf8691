"""XDM archives: written and read back byte for byte, and each hostile one refused by name."""

from __future__ import annotations

import hashlib
import io
import re
import stat
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from dmp_bridge import cda, ebrim, xdm
from dmp_bridge.model import Bad, Code, Document, FilingReason, Ins

SUBSET = "IHE_XDM/SUBSET01/"
METADATA = f"{SUBSET}METADATA.XML"


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as out:
        for name, content in files.items():
            out.writestr(name, content)
    return held.getvalue()


def files_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as held:
        return {name: held.read(name) for name in held.namelist()}


def refused(rule: str) -> Bad:
    return Bad(FilingReason.ARCHIVE_REFUSED, rule)


@pytest.fixture
def good(report: Document, lot: ebrim.Submission) -> bytes:
    """An archive that holds the sample report."""
    written = xdm.write([report], lot)
    assert isinstance(written, bytes)
    return written


def changed(good: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The archive with its metadata changed."""
    files = files_of(good)
    return zipped(files | {METADATA: change(files[METADATA])})


# --- what is written is read --------------------------------------------------------------------------------


@pytest.mark.corpus
def test_all_examples_of_one_patient_go_into_one_archive(corpus: Path, lot: ebrim.Submission) -> None:
    """The examples about the same test patient travel together, in order."""
    read = [cda.read(path.read_bytes()) for path in sorted((corpus / "cda" / "ExemplesCDA").glob("*.xml"))]
    ins = Ins("279035121518989", "1.2.250.1.213.1.4.10")
    together = [each for each in read if isinstance(each, Document) and each.patient.ins == ins]
    written = xdm.write(together, lot)
    assert isinstance(written, bytes)
    back = xdm.read(written)
    assert isinstance(back, xdm.Archive)
    assert [each.raw for each in back.documents] == [each.raw for each in together]
    assert len(together) > 50


def test_an_archive_has_the_layout_of_the_norm(good: bytes, report: Document) -> None:
    """README, INDEX, one subset; names in 8.3 upper case."""
    assert list(files_of(good)) == ["README.TXT", "INDEX.HTM", METADATA, f"{SUBSET}DOC0001.XML"]
    assert files_of(good)[f"{SUBSET}DOC0001.XML"] == report.raw


def test_names_compare_without_case_and_readme_is_optional(good: bytes, report: Document) -> None:
    """Lower-case names and a missing README are read: only what the URI names counts."""
    files = {name.lower(): content for name, content in files_of(good).items() if name.startswith("IHE_XDM")}
    back = xdm.read(zipped(files))
    assert isinstance(back, xdm.Archive)
    assert back.documents[0].raw == report.raw


def test_a_hash_in_capitals_or_in_sha256_is_read(good: bytes, report: Document) -> None:
    """Other writers put capitals, or SHA-256 for portability; both are checked against the bytes."""
    sha1, sha256 = ebrim.sha1(report.raw).encode(), hashlib.sha256(report.raw).hexdigest().encode()
    for other in (sha1.upper(), sha256):
        assert isinstance(xdm.read(changed(good, lambda text, o=other: text.replace(sha1, o))), xdm.Archive)


def test_an_entry_that_is_no_cda_is_set_aside(good: bytes) -> None:
    """A PDF beside the CDA inside the archive is counted and left; alone, it is no document."""
    files = files_of(good)
    pdf = b"%PDF-1.4 not read"
    entry = re.search(rb"<rim:ExtrinsicObject .*?</rim:ExtrinsicObject>", files[METADATA], re.DOTALL)
    assert entry
    text = entry[0].replace(b"Document01", b"Document02").replace(b"text/xml", b"application/pdf")
    text = text.replace(b"DOC0001.XML", b"DOC0001.PDF")
    text = re.sub(rb'(name="size">.*?<rim:Value>)\d+', rb"\g<1>%d" % len(pdf), text, flags=re.DOTALL)
    text = re.sub(rb'(name="hash">.*?<rim:Value>)\w+', rb"\g<1>" + ebrim.sha1(pdf).encode(), text, flags=re.DOTALL)
    both = files | {METADATA: files[METADATA].replace(entry[0], entry[0] + text), f"{SUBSET}DOC0001.PDF": pdf}
    back = xdm.read(zipped(both))
    assert isinstance(back, xdm.Archive)
    assert (len(back.documents), back.set_aside) == (1, 1)
    alone = both | {METADATA: files[METADATA].replace(entry[0], text)}
    assert xdm.read(zipped(alone)) == Bad(FilingReason.NOT_A_DOCUMENT, "no-clinical-document")


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [
        ("lynn", FilingReason.ARCHIVE_REFUSED, "unique-id-differs"),
        ("minimal", FilingReason.NOT_A_DOCUMENT, "no-clinical-document"),
    ],
)
def test_foreign_archives_are_refused_by_name(corpus: Path, name: str, reason: FilingReason, detail: str) -> None:
    """Two archives of NIST: one's metadata contradict its CDA, the other holds a text file only."""
    assert xdm.read((corpus / "xds" / "xdm" / name / "xdm.zip").read_bytes()) == Bad(reason, detail)


# --- what is not written ------------------------------------------------------------------------------------


def test_an_archive_concerns_one_patient(report: Document, lot: ebrim.Submission) -> None:
    """Documents of two patients are not put into one archive, nor is nothing."""
    other = replace(report, unique_id="2.25.9", patient=replace(report.patient, ins=Ins("1", "1.2.250.1.213.1.4.10")))
    assert xdm.write([report, other], lot) == refused("several-patients")
    assert xdm.write([], lot) == refused("documents-count")
    assert xdm.write([report, report], lot) == refused("documents-count")


def with_action(good: bytes, action: str) -> bytes:
    """The archive whose metadata ask for this."""
    slot = (
        '<rim:Slot name="urn:action:extraMetadataSlot"><rim:ValueList><rim:Value>'
        f"{action}</rim:Value></rim:ValueList></rim:Slot>"
    ).encode()
    return changed(good, lambda data: re.sub(rb"(<rim:ExtrinsicObject [^>]*>)", rb"\1" + slot, data, count=1))


@pytest.mark.parametrize("action", ["C", "D"])
def test_what_the_metadata_ask_for_is_kept(good: bytes, action: str) -> None:
    """Replace or delete (payload §2.6): the document says it, so that a deletion is not taken for a document."""
    found = xdm.read(with_action(good, action))
    assert isinstance(found, xdm.Archive)
    assert [each.action for each in found.documents] == [action]
    plain = xdm.read(good)
    assert isinstance(plain, xdm.Archive)
    assert [each.action for each in plain.documents] == [""]


def test_an_unknown_action_is_refused(good: bytes) -> None:
    """Neither of the two letters: nobody guesses."""
    assert xdm.read(with_action(good, "X")) == refused("action-unknown")


def test_a_new_version_says_that_it_replaces(report: Document, lot: ebrim.Submission) -> None:
    """Written and read back: action C."""
    second = replace(report, version=2, raw=report.raw.replace(b'versionNumber value="1"', b'versionNumber value="2"'))
    written = xdm.write([second], lot)
    assert isinstance(written, bytes)
    found = xdm.read(written)
    assert isinstance(found, xdm.Archive)
    assert [(each.version, each.action) for each in found.documents] == [(2, "C")]


def test_what_an_archive_lacks_is_remarked(good: bytes) -> None:
    """README and INDEX absent, names in small letters, two subsets: read all the same; of ours nothing is said."""
    assert xdm.remarks(good) == ()
    files = files_of(good)
    lean = {name: content for name, content in files.items() if name.startswith(SUBSET)}
    assert xdm.remarks(zipped(lean)) == ("readme.txt-absent", "index.htm-absent")
    assert xdm.remarks(zipped({name.lower(): content for name, content in files.items()})) == ("names-not-iso-9660",)
    twice = {name.replace("SUBSET01", "SUBSET02"): content for name, content in lean.items()}
    assert xdm.remarks(zipped(files | twice)) == ("several-subsets",)
    assert xdm.remarks(b"no zip") == ()


def test_a_readme_says_who_and_with_what(good: bytes) -> None:
    """Sender, application with version, what to do, what is where; in ASCII (payload §2.1)."""
    text = files_of(good)["README.TXT"].decode("ascii")
    for words in ("Emetteur", "1750000018", "Version : ", "Editeur", "Instructions", "IHE_XDM/SUBSET01/DOC0001.XML"):
        assert words in text


def test_a_type_without_class_is_not_written(report: Document, lot: ebrim.Submission) -> None:
    """The refusal names the type."""
    implant = replace(report, type=Code("101881-1", "2.16.840.1.113883.6.1"))
    assert xdm.write([implant], lot) == Bad(FilingReason.TYPE_UNKNOWN, "101881-1")


# --- metadata that lie --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (rb"DOC0001\.XML", b"DOC0002.XML", "file-absent"),
        (rb"DOC0001\.XML", b"../SUBSET01/DOC0001.XML", "file-absent"),
        (rb"DOC0001\.XML", b"", "file-absent"),
        (rb'(name="size">.*?<rim:Value>)\d+', rb"\g<1>7", "size-differs"),
        (rb'(name="size">.*?<rim:Value>)\d+', rb"\g<1>-1", "size-differs"),
        (rb'(name="hash">.*?<rim:Value>)\w+', rb"\g<1>" + b"0" * 40, "hash-differs"),
        (rb'(name="hash">.*?<rim:Value>)\w+', rb"\g<1>", "hash-differs"),
        (rb"279035121518989\^\^\^&amp;1\.2\.250\.1\.213\.1\.4\.10", b"123^^^&amp;1.2.3", "patient-differs"),
        (rb"XDSDocumentEntry", b"XDSDocumentEntry", ""),
        (rb"urn:uuid:58a6f841-87b3-4a3e-92fd-a8ffeff98427", b"urn:uuid:0", "patient-absent"),
        (rb"urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab", b"urn:uuid:0", "unique-id-differs"),
        (rb"rim:ExtrinsicObject", b"rim:Nothing", "nothing-listed"),
        (rb"<lcm:Submit", b"<lcm:Sub", "metadata-unreadable"),
        (rb"<lcm:Submit", b"<!DOCTYPE a><lcm:Submit", "metadata-unreadable"),
    ],
)
def test_metadata_that_lie_are_refused(good: bytes, old: bytes, new: bytes, rule: str) -> None:
    """Absent files, wrong sizes and hashes, another patient or identifier: each by its name."""
    found = xdm.read(changed(good, lambda text: re.sub(old, new, text, flags=re.DOTALL)))
    assert found == refused(rule) if rule else isinstance(found, xdm.Archive)


def test_two_patients_in_one_archive_are_refused(good: bytes, report: Document, lot: ebrim.Submission) -> None:
    """Two subsets of two patients make no archive of one patient, however well each is made."""
    second = report.raw.replace(b"279035121518989", b"277076322082910").replace(report.unique_id.encode(), b"2.25.77")
    other = cda.read(second)
    assert isinstance(other, Document)
    written = xdm.write([other], lot)
    assert isinstance(written, bytes)
    moved = {name.replace("SUBSET01", "SUBSET02"): content for name, content in files_of(written).items()}
    assert xdm.read(zipped(moved | files_of(good))) == refused("several-patients")


def test_one_document_listed_twice_is_refused(good: bytes) -> None:
    """Two subsets with the same document say it twice: refused, not counted once."""
    files = files_of(good)
    moved = {name.replace("SUBSET01", "SUBSET02"): content for name, content in files.items()}
    assert xdm.read(zipped(moved | files)) == refused("document-repeated")


def test_a_broken_cda_is_reported_beside_the_good_one(good: bytes, report: Document) -> None:
    """A listed CDA without author is refused by its rule, and the archive still read."""
    broken = report.raw.replace(b"<author>", b"<autor>").replace(b"</author>", b"</autor>")
    files = files_of(good) | {f"{SUBSET}DOC0001.XML": broken}
    files[METADATA] = files[METADATA].replace(ebrim.sha1(report.raw).encode(), ebrim.sha1(broken).encode())
    files[METADATA] = files[METADATA].replace(str(len(report.raw)).encode(), str(len(broken)).encode())
    back = xdm.read(zipped(files))
    assert isinstance(back, xdm.Archive)
    assert back.refused == (Bad(FilingReason.DOCUMENT_REFUSED, "author-absent"),)


# --- hostile archives ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../../x", "/etc/passwd", "a/../b", "a//b", "C:x", "a\\b", "./a", "a\nb", "IHE_XDM/..", "x" * 300],
)
def test_cve_2023_24057_zip_slip(good: bytes, name: str) -> None:
    """A name that is not plain and relative refuses the archive, though names are never paths of ours."""
    assert xdm.read(zipped(files_of(good) | {name: b"x"})) == refused("entry-name")


def test_a_zip_bomb_is_not_inflated(good: bytes) -> None:
    """Thirty megabytes of nothing, in thirty kilobytes: refused on its declared ratio."""
    assert xdm.read(zipped(files_of(good) | {"BOMB": bytes(30 << 20)})) == refused("ratio")


def test_a_bomb_in_many_entries_is_refused(good: bytes) -> None:
    """Entries that are each within bounds and together beyond them."""
    files = {f"B{number}": bytes(1 << 20) for number in range(48)}
    assert xdm.read(zipped(files_of(good) | files)) == refused("archive-too-large")


def test_a_declared_size_that_lies_is_refused(good: bytes) -> None:
    """Both headers say 10 bytes, the stream holds a megabyte: it is not at its end after 10; one header that
    says so is contradicted by the other."""
    data = bytearray(zipped(files_of(good) | {"LIES": bytes(1 << 20)}))
    struct.pack_into("<L", data, data.rfind(b"PK\x01\x02") + 24, 10)
    assert xdm.read(bytes(data)) == refused("headers-differ")
    struct.pack_into("<L", data, data.rfind(b"PK\x03\x04") + 22, 10)
    assert xdm.read(bytes(data)) == refused("entry-size")


def test_a_hundred_thousand_entries_are_not_counted_one_by_one() -> None:
    """Refused on the end record, before the directory is read."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as out:
        for number in range(1200):
            out.writestr(f"{number}", b"")
    assert xdm.read(held.getvalue()) == refused("too-many-entries")
    data = bytearray(held.getvalue())
    struct.pack_into("<HHL", data, len(data) - 14, 100_000 & 0xFFFF, 100_000 & 0xFFFF, 100_000 * 47)
    assert xdm.read(bytes(data)) == refused("too-many-entries")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name_are_refused(good: bytes) -> None:
    """Which one counts would depend on the reader; case does not tell them apart either."""
    for second in (METADATA, METADATA.lower()):
        held = io.BytesIO(good)
        with zipfile.ZipFile(held, "a") as out:
            out.writestr(second, b"<a/>")
        assert xdm.read(held.getvalue()) == refused("entry-duplicate")


def test_entries_that_overlap_are_refused(good: bytes) -> None:
    """Two directory lines that share the bytes of one entry (Fifield, 2019)."""
    data = bytearray(zipped({"AAAA": b"first content", "BBBB": b"other content"}))
    lines = [match.start() for match in re.finditer(rb"PK\x01\x02", data)]
    struct.pack_into("<L", data, lines[1] + 42, 0)
    assert xdm.read(bytes(data)) == refused("entry-overlaps")


def test_a_symbolic_link_is_refused(good: bytes) -> None:
    """An entry that a careless unpacker would make a link of."""
    link = zipfile.ZipInfo("LINK")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    held = io.BytesIO(good)
    with zipfile.ZipFile(held, "a") as out:
        out.writestr(link, "/etc/passwd")
    assert xdm.read(held.getvalue()) == refused("entry-not-a-file")


def test_an_encrypted_entry_is_refused(good: bytes) -> None:
    """We hold no password, and cannot say what is inside."""
    data = bytearray(good)
    struct.pack_into("<H", data, data.find(b"PK\x01\x02") + 8, 1)
    assert xdm.read(bytes(data)) == refused("entry-encrypted")


def test_an_unusual_compression_is_refused(good: bytes) -> None:
    """Stored and deflated only: LZMA asks for memory by a parameter of the sender's."""
    assert xdm.read(zipped(files_of(good), zipfile.ZIP_LZMA)) == refused("entry-method")
    assert isinstance(xdm.read(zipped(files_of(good), zipfile.ZIP_STORED)), xdm.Archive)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda data: data + b"tail", "bytes-after-the-end"),
        (lambda data: b"head" + data, "directory-misplaced"),
        (lambda data: data[:-1], "not-a-zip"),
        (lambda data: data[: len(data) // 2], "not-a-zip"),
        (lambda data: b"", "not-a-zip"),
        (lambda data: data[:60] + bytes(40) + data[100:], "zip-damaged"),
    ],
)
def test_a_damaged_archive_is_refused(good: bytes, change: Callable[[bytes], bytes], rule: str) -> None:
    """Cut, prepended, appended, overwritten."""
    found = xdm.read(change(good))
    assert found == refused(rule)


def test_a_zip_without_metadata_is_no_xdm() -> None:
    """A zip of zips, or any other zip, is refused for what it lacks."""
    assert xdm.read(zipped({"a.zip": zipped({"b": b"c"})})) == refused("metadata-absent")


@settings(max_examples=200, deadline=None)
@given(at=some.integers(0, 10_000), flips=some.binary(min_size=1, max_size=4))
def test_no_altered_byte_makes_a_surprise(at: int, flips: bytes) -> None:
    """Whatever is overwritten in a small archive, the answer is a value, never an exception."""
    data = bytearray(zipped({METADATA: b"<a/>", "README.TXT": b"hello" * 20}))
    at %= len(data)
    data[at : at + len(flips)] = flips
    assert isinstance(xdm.read(bytes(data)), Bad)
