"""Zips made to harm, each with the rule by which the one zip door refuses it; all around one sound archive.

Promises: an attack differs from the sound archive in one thing; none holds more than some megabytes while it is made.
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping

Make = Callable[[bytes], bytes]
"""From a sound archive."""
CENTRAL, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"


def files_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as held:
        return {name: held.read(name) for name in held.namelist()}


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as out:
        for name, content in files.items():
            out.writestr(name, content)
    return held.getvalue()


def beside(**more: bytes) -> Make:
    """The same files and these."""
    return lambda good: zipped(files_of(good) | more)


def named(name: str) -> Make:
    return lambda good: zipped(files_of(good) | {name: b"x"})


def entry(**attributes: object) -> Make:
    """An entry more, with these attributes of its ZipInfo."""

    def make(good: bytes) -> bytes:
        held = io.BytesIO(good)
        info = zipfile.ZipInfo("MORE.TXT")
        for key, value in attributes.items():
            setattr(info, key, value)
        with zipfile.ZipFile(held, "a") as out:
            out.writestr(info, b"x")
        return held.getvalue()

    return make


def patched(at: bytes, offset: int, form: str, value: int, *, last: bool = True) -> Make:
    """A number of the last (or first) record that begins so, replaced."""

    def make(good: bytes) -> bytes:
        data = bytearray(good)
        where = data.rfind(at) if last else data.find(at)
        struct.pack_into(form, data, where + offset, value)
        return bytes(data)

    return make


def both(*steps: Make) -> Make:
    def make(good: bytes) -> bytes:
        for step in steps:
            good = step(good)
        return good

    return make


def nested(depth: int) -> Make:
    """A zip in a zip in a zip, with a bomb at its heart."""

    def make(good: bytes) -> bytes:
        inner = zipped({"HEART": bytes(1 << 20)})
        for _ in range(depth):
            inner = zipped({"INNER.ZIP": inner}, zipfile.ZIP_STORED)
        return zipped(files_of(good) | {"INNER.ZIP": inner})

    return make


def overlapping(count: int) -> Make:
    """Fifield 2019, in small: many directory records over one kernel."""

    def make(good: bytes) -> bytes:
        kernel = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = kernel.compress(bytes(1 << 20)) + kernel.flush()
        crc = zlib.crc32(bytes(1 << 20))
        local = LOCAL + struct.pack("<HHHHHLLLHH", 20, 0, 8, 0, 33, crc, len(packed), 1 << 20, 1, 0) + b"K" + packed
        records = b"".join(
            CENTRAL
            + struct.pack("<HHHHHHLLLHHHHHLL", 20, 20, 0, 8, 0, 33, crc, len(packed), 1 << 20, len(name), *[0] * 6)
            + name
            for name in (b"K" if number == 0 else b"%05d" % number for number in range(count))
        )  # fmt: skip
        return local + records + END + struct.pack("<HHHHLLH", 0, 0, count, count, len(records), len(local), 0)

    return make


def zip64(good: bytes) -> bytes:
    """An extra field of ZIP64 in the directory, that says other sizes."""
    with_extra = entry(extra=struct.pack("<HHQQ", 1, 16, 1 << 40, 1 << 40))
    try:
        return with_extra(good)
    except zipfile.BadZipFile:
        return good


def unicode_path(good: bytes) -> bytes:
    """Info-ZIP's second name for an entry."""
    path = b"../../x"
    return entry(extra=struct.pack("<HHBL", 0x7075, 5 + len(path), 1, zlib.crc32(b"MORE.TXT")) + path)(good)


def between(good: bytes) -> bytes:
    """A program between the first entry and the second, which no directory names."""
    second = good.index(LOCAL, 4)
    junk = b"\x7fELF" + bytes(60)
    data = good[:second] + junk + good[second:]
    return _moved(data, second, len(junk))


def in_front(good: bytes) -> bytes:
    """Another format in front, with all offsets made right: a GIF, a PDF, a script that is a zip too."""
    return _moved(b"%PDF-1.7\n" + good, 0, 9)


def _moved(data: bytes, since: int, by: int) -> bytes:
    """Every offset of the directory at or after `since` moved, and the directory's own."""
    changed = bytearray(data)
    at = changed.find(CENTRAL)
    start = at
    while at >= 0:
        (offset,) = struct.unpack_from("<L", changed, at + 42)
        if offset >= since:
            struct.pack_into("<L", changed, at + 42, offset + by)
        at = changed.find(CENTRAL, at + 4)
    struct.pack_into("<L", changed, changed.rfind(END) + 16, start)
    return bytes(changed)


def commented(comment: bytes) -> Make:
    def make(good: bytes) -> bytes:
        return good[:-2] + struct.pack("<H", len(comment)) + comment

    return make


def second_directory(good: bytes) -> bytes:
    """An end record within the comment of another: two readers, two archives."""
    empty = END + struct.pack("<HHHHLLH", 0, 0, 0, 0, 0, len(good) + 22 - 22, 0)
    outer = good[:-2] + struct.pack("<H", len(empty))
    data = bytearray(outer + empty)
    struct.pack_into("<L", data, len(data) - 6, len(outer))
    return bytes(data)


def stored_lie(good: bytes) -> bytes:
    """Stored bytes whose two sizes differ."""
    data = zipped(files_of(good) | {"MORE.TXT": b"x" * 100}, zipfile.ZIP_STORED)
    return both(patched(CENTRAL, 24, "<L", 99), patched(LOCAL, 22, "<L", 99))(data)


def behind_the_stream(good: bytes) -> bytes:
    """Compressed data that ends before its declared size: what stands behind it is nobody's."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = stream.compress(b"x" * 100) + stream.flush()
    held = io.BytesIO(zipped(files_of(good)))
    with zipfile.ZipFile(held, "a") as out:
        out.writestr(zipfile.ZipInfo("MORE.TXT"), packed + b"more" * 10)
    size = struct.pack("<L", 100)
    data = bytearray(held.getvalue())
    for record, method, crc, plain in ((CENTRAL, 10, 16, 24), (LOCAL, 8, 14, 22)):
        at = data.rfind(record)
        data[at + method : at + method + 2] = b"\x08\x00"
        data[at + crc : at + crc + 4] = struct.pack("<L", zlib.crc32(b"x" * 100))
        data[at + plain : at + plain + 4] = size
    return bytes(data)


ATTACKS: Mapping[str, tuple[Make, str]] = {
    "a bomb of one entry": (beside(BOMB=bytes(30 << 20)), "ratio"),
    "a bomb larger than any entry": (beside(BOMB=bytes(33 << 20)), "entry-too-large"),
    "a bomb in many entries": (beside(**{f"B{n}": bytes(1 << 20) for n in range(48)}), "archive-too-large"),
    "a bomb of overlapping entries": (overlapping(900), "entry-overlaps"),
    "a hundred thousand entries": (patched(END, 10, "<H", 0xFFFF), "several-disks"),
    "more entries than we look at": (beside(**{f"E{n}": b"" for n in range(1000)}), "too-many-entries"),
    "upwards": (named("../../x"), "entry-name"),
    "upwards, within": (named("IHE_XDM/../../x"), "entry-name"),
    "from the root": (named("/etc/x"), "entry-name"),
    "with a drive": (named("C:/x"), "entry-name"),
    "with backslashes": (named("..\\..\\x"), "entry-name"),
    "an empty step": (named("IHE_XDM//x"), "entry-name"),
    "a control character in a name": (named("x\x1b[2J"), "entry-name"),
    "a name without end": (named("x" * 300), "entry-name"),
    "another name in an extra field": (unicode_path, "entry-name"),
    "one name in two cases": (named("readme.txt"), "entry-duplicate"),
    "a file and a folder of one name": (named("README.TXT/"), "entry-duplicate"),
    "a symbolic link": (entry(external_attr=(stat.S_IFLNK | 0o777) << 16), "entry-not-a-file"),
    "a device": (entry(external_attr=(stat.S_IFCHR | 0o666) << 16), "entry-not-a-file"),
    "a pipe": (entry(external_attr=(stat.S_IFIFO | 0o666) << 16), "entry-not-a-file"),
    "encrypted": (both(patched(CENTRAL, 8, "<H", 1), patched(LOCAL, 6, "<H", 1)), "entry-encrypted"),
    "encrypted with AES, by its extra field": (
        entry(extra=struct.pack("<HH7s", 0x9901, 7, b"\x02\x00AE\x03\x08\x00")), "entry-encrypted",
    ),
    "encrypted in the local header alone": (patched(LOCAL, 6, "<H", 1), "headers-differ"),
    "a method of which nobody knows": (
        both(patched(CENTRAL, 10, "<H", 93), patched(LOCAL, 8, "<H", 93)), "entry-method",
    ),
    "bzip2": (lambda good: zipped(files_of(good), zipfile.ZIP_BZIP2), "entry-method"),
    "lzma": (lambda good: zipped(files_of(good), zipfile.ZIP_LZMA), "entry-method"),
    "ZIP64 sizes in an extra field": (zip64, "zip64"),
    "ZIP64 sizes without one": (both(patched(CENTRAL, 24, "<L", 0xFFFFFFFF)), "headers-differ"),
    "a wrong sum": (both(patched(CENTRAL, 16, "<L", 1), patched(LOCAL, 14, "<L", 1)), "zip-damaged"),
    "a sum that the headers tell differently": (patched(LOCAL, 14, "<L", 1), "headers-differ"),
    "a size that the headers tell differently": (patched(CENTRAL, 24, "<L", 10), "headers-differ"),
    "a size that is too small in both": (
        both(patched(CENTRAL, 24, "<L", 10), patched(LOCAL, 22, "<L", 10)), "entry-size",
    ),
    "a name that the headers tell differently": (patched(LOCAL, 30, "<B", ord("X")), "headers-differ"),
    "stored, with two sizes": (stored_lie, "entry-size"),
    "bytes behind the end of a stream": (behind_the_stream, "entry-size"),
    "a descriptor that is announced and not there": (
        both(patched(CENTRAL, 8, "<H", 8), patched(LOCAL, 6, "<H", 8), patched(LOCAL, 14, "<L", 7)), "headers-differ",
    ),
    "bytes between entries": (between, "bytes-between"),
    "another format in front": (in_front, "bytes-between"),
    "bytes behind the end": (lambda good: good + b"<script>", "bytes-after-the-end"),
    "a second directory": (second_directory, "two-directories"),
    "a directory that is misplaced": (patched(END, 16, "<L", 0), "directory-misplaced"),
    "a directory that is longer than counted": (patched(END, 8, "<L", 0x00010001), "directory-count"),
    "an entry beyond the directory": (patched(CENTRAL, 42, "<L", 0x00FFFFFF), "bytes-between"),
    "several disks": (patched(END, 4, "<H", 1), "several-disks"),
    "no end": (lambda good: good[:-22], "not-a-zip"),
    "nothing": (lambda good: b"", "not-a-zip"),
    "larger than the door": (lambda good: good + bytes(51 << 20), "archive-too-large"),
}  # fmt: skip
