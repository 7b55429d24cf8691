"""The one zip door: the entries of an archive, each under a budget, or the reason why it is refused.

Promises: at most so many entries are ever looked at; nothing is inflated beyond its declared and budgeted
size; names are plain, relative and unique without case; every byte before the directory belongs to one entry,
and what the directory says is what the local headers say, so that no other reader sees another archive. An entry
that is too large for memory can be read as a stream, by the same rules.
Does not: use a name as a path on a disk, open an archive within, or know what an entry means.
"""

from __future__ import annotations

import io
import mmap
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dmp_bridge.model import Bad, FilingReason


@dataclass(frozen=True)
class Budget:
    """Bytes, but for `entries` and `ratio` (inflated over compressed; deflate cannot exceed 1032)."""

    bytes: int = 50 * 1024 * 1024
    entries: int = 1000
    directory: int = 512 * 1024
    entry: int = 32 * 1024 * 1024
    total: int = 48 * 1024 * 1024
    """A letter of 25 MB holds 18 MB of zip; a CDA deflates to some three quarters, for it is mostly base64."""
    ratio: int = 200


LETTER = Budget()
EXTRACTION = Budget(bytes=1 << 30, entries=64, entry=(1 << 32) - 1, total=(1 << 32) - 1)
"""A national extraction as it comes: some 1 GB of text for the professionals (directory §3.1)."""
PIECE = 1 << 18
"""Bytes of an entry that is read as a stream, at once."""
RATIO_FLOOR = 1024 * 1024
"""Entries below are let be, whatever their ratio."""

XDM_METADATA = re.compile(rb"IHE_XDM/[^/\x00]{1,64}/METADATA\.XML", re.IGNORECASE)
_END = b"PK\x05\x06"
_LOCAL = b"PK\x03\x04"
_DESCRIPTORS = frozenset({12, 16})
"""APPNOTE 4.3.9: CRC and two sizes, with or without a signature; the ZIP64 form is refused with ZIP64."""
_NAME = re.compile(r"[^\\:\x00-\x1f\x7f]{1,255}")
_DAMAGED = (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, struct.error, zlib.error)
"""In these ways zipfile says damaged, foreign or encrypted (UnicodeDecodeError is a ValueError)."""
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_OTHER_READINGS = {0x0001: "zip64", 0x7075: "entry-name", 0x9901: "entry-encrypted"}
"""Extra fields that give an entry other sizes, another name, another method."""


class Refused(ValueError):
    """Carries the name of the rule; of an archive that is read as a stream alone."""


Held = bytes | mmap.mmap


@dataclass(frozen=True, repr=False)
class Entries:
    """The files of an archive, by name as written, folders left out."""

    files: dict[str, bytes]


def refuse(rule: str) -> Bad:
    return Bad(FilingReason.ARCHIVE_REFUSED, rule)


def looks_like_zip(data: bytes) -> bool:
    return data.startswith(_LOCAL)


def lists_xdm(data: bytes) -> bool:
    """Whether an archive's directory names an XDM metadata file; nothing is inflated, nothing is trusted."""
    return XDM_METADATA.search(data, max(0, len(data) - LETTER.directory)) is not None


def unzip(data: bytes, budget: Budget = LETTER) -> Entries | Bad:
    """Every file of the archive. Bad.detail is the rule that it broke, e.g. 'entry-name' or 'ratio'."""
    try:
        starts = _sound(data, io.BytesIO(data), budget)
        return Entries({m.filename: _inflate(m, data, at) for m, at in starts if not m.is_dir()})
    except Refused as broken:
        return refuse(str(broken))
    except _DAMAGED:
        return refuse("zip-damaged")


@contextmanager
def streamed(path: Path, wanted: Callable[[str], bool], budget: Budget = EXTRACTION) -> Iterator[BinaryIO]:
    """The one file of the archive whose name is wanted, inflated as it is read.

    Raises Refused: at once by the rules of `unzip`, or 'entry-wanted' where not one name is wanted; and later, from a
    read, where the content is not what its headers say.
    """
    with path.open("rb") as file, _mapped(file) as data:
        try:
            found = [(m, at) for m, at in _sound(data, file, budget) if not m.is_dir() and wanted(m.filename)]
        except _DAMAGED as error:
            raise error if isinstance(error, Refused) else Refused("zip-damaged") from None
        _check(len(found) == 1, "entry-wanted")
        with io.BufferedReader(_Pieces(_in_pieces(*found[0], data)), PIECE) as opened:
            yield opened


def _mapped(file: BinaryIO) -> mmap.mmap:
    _check(file.seek(0, io.SEEK_END) > 0, "not-a-zip")  # of nothing there is no map
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _sound(data: Held, file: BinaryIO, budget: Budget) -> list[tuple[zipfile.ZipInfo, int]]:
    """The members of an archive that obeys every rule, and where the content of each begins."""
    start, count = _directory(data, budget)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
    # Some readers go by the count, some by the size: they must see the same.
    _check(len(members) == count, "directory-count")
    _names(members, budget)
    starts = _extents(members, data, start)
    _sizes(members, budget)
    return starts


def _check(holds: bool, rule: str) -> None:
    if not holds:
        raise Refused(rule)


def _directory(data: Held, budget: Budget) -> tuple[int, int]:
    """APPNOTE 4.3.16, before zipfile reads the directory whole: one end record, at the very end, no ZIP64,
    small. Where the directory begins, and how many entries it has."""
    _check(len(data) <= budget.bytes, "archive-too-large")
    at = data.rfind(_END, max(0, len(data) - 65557))
    _check(at >= 0 and len(data) - at >= 22, "not-a-zip")
    disk, start_disk, here, total, size, offset, comment = struct.unpack("<HHHHLLH", data[at + 4 : at + 22])
    _check(at + 22 + comment == len(data), "bytes-after-the-end")
    _check(not _ends_also_before(data, at), "two-directories")
    _check(disk == start_disk == 0 and here == total, "several-disks")
    _check(total <= budget.entries and size <= budget.directory, "too-many-entries")
    # A directory that is not right before its end record can be read in two ways.
    _check(offset + size == at, "directory-misplaced")
    _check(data[offset:at].count(b"PK\x01\x02") >= total, "directory-count")
    return int(offset), int(total)


def _ends_also_before(data: Held, at: int) -> bool:
    """Whether an earlier end record reaches the end too, so that another reader would take that one."""
    earlier = data.rfind(_END, max(0, len(data) - 65557), at)
    while earlier >= 0:
        if earlier + 22 + int.from_bytes(data[earlier + 20 : earlier + 22], "little") == len(data):
            return True
        earlier = data.rfind(_END, max(0, len(data) - 65557), earlier)
    return False


def _names(members: list[zipfile.ZipInfo], budget: Budget) -> None:
    _check(len(members) <= budget.entries, "too-many-entries")
    seen: set[str] = set()
    for member in members:
        name = member.orig_filename
        parts = name.rstrip("/").split("/")
        plain = _NAME.fullmatch(name) and not name.startswith("/")
        _check(bool(plain) and not any(part in ("", ".", "..") for part in parts), "entry-name")
        _check(name.rstrip("/").casefold() not in seen, "entry-duplicate")
        seen.add(name.rstrip("/").casefold())
        # Unix file type in the upper half: a regular file, a folder, or unsaid.
        _check((member.external_attr >> 28) in (0, 0o4, 0o10), "entry-not-a-file")
        # Bits 0, 6 and 13: encrypted, strongly, and with its local header masked (APPNOTE 4.4.4).
        _check(not member.flag_bits & 0x2041, "entry-encrypted")
        _check(member.compress_type in _METHODS, "entry-method")
        _extra(member.extra)


def _extra(extra: bytes) -> None:
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack("<HH", extra[at : at + 4])
        _check(kind not in _OTHER_READINGS, _OTHER_READINGS.get(kind, ""))
        at += 4 + size


def _extents(members: list[zipfile.ZipInfo], data: Held, end: int) -> list[tuple[zipfile.ZipInfo, int]]:
    """Where the content of each entry begins. No two share a byte (the zip bomb of Fifield, 2019), none
    reaches into the directory, and nothing lies between but data descriptors: no file within the file."""
    starts: dict[int, int] = {}
    reached, loose = 0, False
    for member in sorted(members, key=lambda each: each.header_offset):
        at = member.header_offset
        _check(at >= reached, "entry-overlaps")
        _check(at == reached or (loose and at - reached in _DESCRIPTORS), "bytes-between")
        _check(at + 30 <= end and data[at : at + 4] == _LOCAL, "entry-absent")
        starts[at] = _local(member, data)
        reached, loose = starts[at] + member.compress_size, bool(member.flag_bits & 0x8)
        _check(reached <= end, "entry-overlaps")
    _check(end == reached or (loose and end - reached in _DESCRIPTORS), "bytes-between")
    return [(member, starts[member.header_offset]) for member in members]


def _local(member: zipfile.ZipInfo, data: Held) -> int:
    """The local header says what the directory says (APPNOTE 4.3.7). Where the content begins."""
    at = member.header_offset
    flags, method, _, _, crc, packed, size, name, extra = struct.unpack("<HHHHLLLHH", data[at + 6 : at + 30])
    begin = at + 30 + name + extra
    written = member.orig_filename.encode("utf-8" if flags & 0x800 else "cp437", "replace")
    same = flags == member.flag_bits and method == member.compress_type and data[at + 30 : at + 30 + name] == written
    _check(same, "headers-differ")
    said = (member.CRC, member.compress_size, member.file_size)
    # With a descriptor behind the content, the local header may leave the three at 0 (bit 3).
    _check((crc, packed, size) == said or (bool(flags & 0x8) and crc == packed == size == 0), "headers-differ")
    _extra(data[at + 30 + name : begin])
    return int(begin)


def _sizes(members: list[zipfile.ZipInfo], budget: Budget) -> None:
    for member in members:
        _check(member.file_size <= budget.entry, "entry-too-large")
        heavy = member.file_size > RATIO_FLOOR
        _check(not heavy or member.file_size <= budget.ratio * member.compress_size, "ratio")
        _check(member.compress_type != zipfile.ZIP_STORED or member.file_size == member.compress_size, "entry-size")
    _check(sum(member.file_size for member in members) <= budget.total, "archive-too-large")


def _inflate(member: zipfile.ZipInfo, data: bytes, at: int) -> bytes:
    """The content: exactly as long as declared, with its CRC, and nothing behind the end of its stream."""
    packed = memoryview(data)[at : at + member.compress_size]
    if member.compress_type == zipfile.ZIP_STORED:
        content = bytes(packed)
    else:
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        # One byte more than declared is never asked for: a longer stream is not at its end then.
        content = stream.decompress(packed, max(1, member.file_size))
        _check(stream.eof and not stream.unused_data, "entry-size")
    _check(len(content) == member.file_size, "entry-size")
    _check(zlib.crc32(content) == member.CRC, "zip-damaged")
    return content


class _Pieces(io.RawIOBase):
    """Pieces of bytes, as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""

    def readable(self) -> bool:
        return True

    def readinto(self, into: memoryview) -> int:  # type: ignore[override]  # of any buffer, as io.BufferedReader gives
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        count = min(len(into), len(self._rest))
        into[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def _in_pieces(member: zipfile.ZipInfo, at: int, data: Held) -> Iterator[bytes]:
    """As `_inflate`, in pieces: nobody has read to the end of what is not as long as declared, with its CRC."""
    size = crc = 0
    try:
        for piece in _inflated(member, at, data):
            size, crc = size + len(piece), zlib.crc32(piece, crc)
            _check(size <= member.file_size, "entry-size")
            yield piece
    except zlib.error:
        raise Refused("zip-damaged") from None
    _check(size == member.file_size, "entry-size")
    _check(crc == member.CRC, "zip-damaged")


def _inflated(member: zipfile.ZipInfo, at: int, data: Held) -> Iterator[bytes]:
    end = at + member.compress_size
    packed = (data[begin : min(begin + PIECE, end)] for begin in range(at, end, PIECE))
    if member.compress_type == zipfile.ZIP_STORED:
        yield from packed
        return
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    for each in packed:
        rest = each
        while rest:
            yield stream.decompress(rest, PIECE)
            rest = stream.unconsumed_tail
    while piece := stream.decompress(b"", PIECE):
        yield piece
    _check(stream.eof and not stream.unused_data, "entry-size")
