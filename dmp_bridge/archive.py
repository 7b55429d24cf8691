"""The one zip door: the entries of an archive, each under a budget, or the reason why it is refused.

Promises: at most MAX_ENTRIES entries are ever looked at; nothing is inflated beyond its declared and
budgeted size; names are plain, relative and unique without case, entries do not overlap, and what the
directory says is what the local headers say. Does not: use a name as a path on a disk, or know what an
entry means.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass

from dmp_bridge.model import Bad, FilingReason

MAX_BYTES = 50 * 1024 * 1024
MAX_ENTRIES = 1000
MAX_DIRECTORY = 512 * 1024
MAX_ENTRY = 50 * 1024 * 1024
MAX_TOTAL = 100 * 1024 * 1024
MAX_RATIO = 200
"""Inflated over compressed; deflate cannot exceed 1032. Small entries, below RATIO_FLOOR, are let be."""
RATIO_FLOOR = 1024 * 1024

XDM_METADATA = re.compile(rb"IHE_XDM/[^/\x00]{1,64}/METADATA\.XML", re.IGNORECASE)
_END = b"PK\x05\x06"
_NAME = re.compile(r"[^\\:\x00-\x1f\x7f]{1,255}")
_DAMAGED = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
)
"""In these ways zipfile says damaged, foreign or encrypted (UnicodeDecodeError is a ValueError)."""
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


class _Refused(ValueError):
    """Carries the name of the rule; never leaves this file."""


@dataclass(frozen=True, repr=False)
class Entries:
    """The files of an archive, by name as written, folders left out."""

    files: dict[str, bytes]


def refuse(rule: str) -> Bad:
    return Bad(FilingReason.ARCHIVE_REFUSED, rule)


def looks_like_zip(data: bytes) -> bool:
    return data.startswith(b"PK\x03\x04")


def lists_xdm(data: bytes) -> bool:
    """Whether an archive's directory names an XDM metadata file; nothing is inflated, nothing is trusted."""
    return XDM_METADATA.search(data, max(0, len(data) - MAX_DIRECTORY)) is not None


def unzip(data: bytes) -> Entries | Bad:
    """Every file of the archive. Bad.detail is the rule that it broke, e.g. 'entry-name' or 'ratio'."""
    try:
        _directory(data)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _names(members)
            _extents(members, data, archive.start_dir)
            _sizes(members)
            return Entries({m.filename: _inflate(archive, m) for m in members if not m.is_dir()})
    except _Refused as broken:
        return refuse(str(broken))
    except _DAMAGED:
        return refuse("zip-damaged")


def _check(holds: bool, rule: str) -> None:
    if not holds:
        raise _Refused(rule)


def _directory(data: bytes) -> None:
    """APPNOTE 4.3.16, before zipfile reads the directory whole: one end record, at the very end, no ZIP64,
    small."""
    _check(len(data) <= MAX_BYTES, "archive-too-large")
    at = data.rfind(_END, max(0, len(data) - 65557))
    _check(at >= 0 and len(data) - at >= 22, "not-a-zip")
    disk, start_disk, here, total, size, offset, comment = struct.unpack("<HHHHLLH", data[at + 4 : at + 22])
    _check(at + 22 + comment == len(data), "bytes-after-the-end")
    _check(disk == start_disk == 0 and here == total, "several-disks")
    _check(total <= MAX_ENTRIES and size <= MAX_DIRECTORY, "too-many-entries")
    # A directory that is not right before its end record can be read in two ways.
    _check(offset + size == at, "directory-misplaced")
    _check(data.count(b"PK\x01\x02", offset, at) >= total, "directory-count")


def _names(members: list[zipfile.ZipInfo]) -> None:
    _check(len(members) <= MAX_ENTRIES, "too-many-entries")
    seen: set[str] = set()
    for member in members:
        name = member.orig_filename
        parts = name.rstrip("/").split("/")
        plain = _NAME.fullmatch(name) and not name.startswith("/")
        _check(bool(plain) and not any(part in ("", ".", "..") for part in parts), "entry-name")
        _check(name.casefold() not in seen, "entry-duplicate")
        seen.add(name.casefold())
        # Unix file type in the upper half: a regular file, a folder, or unsaid.
        _check((member.external_attr >> 28) in (0, 0o4, 0o10), "entry-not-a-file")
        _check(not member.flag_bits & 0x1, "entry-encrypted")
        _check(member.compress_type in _METHODS, "entry-method")


def _extents(members: list[zipfile.ZipInfo], data: bytes, end: int) -> None:
    """No two entries share a byte (the zip bomb of Fifield, 2019), none reaches into the directory."""
    reached = 0
    for member in sorted(members, key=lambda each: each.header_offset):
        at = member.header_offset
        _check(at >= reached, "entry-overlaps")
        _check(at + 30 <= end and data[at : at + 4] == b"PK\x03\x04", "entry-absent")
        name, extra = struct.unpack("<HH", data[at + 26 : at + 30])
        reached = at + 30 + name + extra + member.compress_size
        _check(reached <= end, "entry-overlaps")


def _sizes(members: list[zipfile.ZipInfo]) -> None:
    for member in members:
        _check(member.file_size <= MAX_ENTRY, "entry-too-large")
        heavy = member.file_size > RATIO_FLOOR
        _check(not heavy or member.file_size <= MAX_RATIO * member.compress_size, "ratio")
    _check(sum(member.file_size for member in members) <= MAX_TOTAL, "archive-too-large")


def _inflate(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    # ZipExtFile stops at the declared size; a longer stream then fails its CRC.
    content = archive.read(member)
    _check(len(content) == member.file_size, "entry-size")
    return content
