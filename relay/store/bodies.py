"""Sealed bodies: the bytes of each letter in one file that this process can write but not open.

Promises: a finished body is on the disk (file and folder synced) before its reference is answered; its name
is random; its bytes are sealed with a key of its own, itself sealed to the body key's public half (only the
keeper has the other); any altered, cut, reordered or exchanged byte is BodyDamaged, never other content;
erasing takes the key away. Does not: know whose letter it is, share a body between letters, or compress. A
full disk is the OSError that it is.

A file: version (1 byte), length of the rest of the header (2 bytes, big-endian), the mark of the body key that it is
sealed to (4 bytes), the wrapped key (of the body's key and the mark once more), then chunks of AES-256-GCM. Chunk i
holds 64 KiB of content (the last one less, or none) and a 16-byte tag; its nonce is 7 zero bytes, i in 4 bytes, and 1
for the last chunk or 0 (the STREAM construction). The version is authenticated with each chunk; the wrapped key is not,
so that it can be wrapped again for another body key while the chunks stay: a false one opens to no key, or to one by
which no chunk opens. Version 1 had no mark, and its whole header was authenticated; it is still read.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC

from certs.keys import wrap_key
from relay.model import BodyRef

CHUNK = 64 * 1024
VERSION = 2
MARK = 4
BODY_KEY = 32
"""Bytes of a body's own key."""
_FIRST = 1
_TAG = 16
_HEAD = struct.Struct(">BH")
_NONCE = struct.Struct(">7xI?")
_NAME = re.compile(r"[0-9a-f]{32}")
_PART = ".part"
_BOUND = bytes((VERSION,))
_MOST_HEADER = 1024
_AT_ONCE = 1024
"""Pieces of one writev."""

Unwrap = Callable[[bytes], bytes]
"""Wrapped key -> key, by the keeper. A ValueError means that it does not open."""


class BodyDamaged(Exception):
    """The stored bytes are not what was written, are gone, or cannot be opened with the key at hand."""


# --- the format --------------------------------------------------------------------------------------------


class _Sealer:
    """Seals one stream: header, then full chunks as they fill, then the last."""

    def __init__(self, public_key: bytes) -> None:
        key = AESGCM.generate_key(256)
        self.header = _headed(public_key, wrap_key(public_key, key + mark(public_key)))
        self._cipher = AESGCM(key)
        self._index = 0
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The chunks that became full.

        At least one byte stays back, so that the last chunk is always known.
        """
        rest = memoryview(data)
        if self._pending:
            room = CHUNK - len(self._pending)
            self._pending += rest[:room]
            rest = rest[room:]
            if not rest:
                return
            full, self._pending = self._pending, bytearray()
            yield self._seal(full, last=False)
        while len(rest) > CHUNK:  # as they lie there, without a copy
            yield self._seal(rest[:CHUNK], last=False)
            rest = rest[CHUNK:]
        self._pending += rest

    def finish(self) -> bytes:
        return self._seal(self._pending, last=True)

    def _seal(self, chunk: bytes | bytearray | memoryview, *, last: bool) -> bytes:
        sealed = self._cipher.encrypt(_NONCE.pack(self._index, last), chunk, _BOUND)
        self._index += 1
        return sealed


def mark(public_key: bytes) -> bytes:
    """By which a sealed value says to which body key."""
    return hashlib.sha256(public_key).digest()[:MARK]


def _headed(public_key: bytes, wrapped: bytes) -> bytes:
    return _HEAD.pack(VERSION, MARK + len(wrapped)) + mark(public_key) + wrapped


@dataclass(frozen=True)
class _Header:
    """`mark` is empty in version 1. `bound`: what each chunk is authenticated with."""

    size: int
    mark: bytes
    wrapped: bytes
    bound: bytes


def _open(blob: bytes, unwrap: Unwrap) -> bytes:
    header = _header(blob)
    try:
        told = unwrap(header.wrapped)
        if told[BODY_KEY:] != header.mark:
            raise BodyDamaged("the header names another body key")
        cipher = AESGCM(told[:BODY_KEY])
        return b"".join(_chunks(cipher, header.bound, memoryview(blob)[header.size :]))
    except (InvalidTag, ValueError) as error:
        raise BodyDamaged("the sealed bytes do not open") from error


def _header(blob: bytes) -> _Header:
    if len(blob) < _HEAD.size:
        raise BodyDamaged("shorter than a header")
    version, length = _HEAD.unpack_from(blob)
    if version not in (_FIRST, VERSION):
        raise BodyDamaged(f"version {version} is not known")
    whole = blob[: _HEAD.size + length]
    rest = whole[_HEAD.size :]
    if version == _FIRST:
        return _Header(len(whole), b"", rest, whole)
    return _Header(len(whole), rest[:MARK], rest[MARK:], _BOUND)


def _chunks(cipher: AESGCM, bound: bytes, sealed: memoryview) -> Iterator[bytes]:
    step = CHUNK + _TAG
    for index, start in enumerate(range(0, max(len(sealed), 1), step)):
        last = start + step >= len(sealed)
        yield cipher.decrypt(_NONCE.pack(index, last), sealed[start : start + step], bound)


def seal_bytes(public_key: bytes, data: bytes) -> bytes:
    """A small value sealed in the format of a body. `public_key`: 32 raw bytes of X25519."""
    sealer = _Sealer(public_key)
    return b"".join((sealer.header, *sealer.feed(data), sealer.finish()))


def open_bytes(blob: bytes, unwrap: Unwrap) -> bytes:
    """What `seal_bytes` sealed. Raises BodyDamaged, and what `unwrap` raises except ValueError."""
    return _open(blob, unwrap)


def sealed_to(blob: bytes) -> bytes:
    """The mark of the body key; empty for a value of version 1, whose key is not told. Raises BodyDamaged."""
    return _header(blob).mark


def wrapped_in(blob: bytes) -> bytes:
    """Raises BodyDamaged."""
    return _header(blob).wrapped


def rewrapped(blob: bytes, public_key: bytes, wrapped: bytes) -> bytes:
    """The same content under its own key, which is now sealed to `public_key`. Not for version 1. Raises
    BodyDamaged."""
    header = _header(blob)
    if not header.mark:
        raise BodyDamaged("version 1 is sealed anew, not wrapped again")
    return _headed(public_key, wrapped) + blob[header.size :]


# --- the store ---------------------------------------------------------------------------------------------


class BodyStore:
    """The folder of sealed bodies of one tenant, on a local disk."""

    def __init__(self, folder: Path, public_key: bytes | Callable[[], bytes], digest_key: bytes) -> None:
        """`public_key`: 32 raw bytes of X25519, or who tells them for each body; `digest_key`: the tenant's, at least
        16 bytes. ValueError otherwise."""
        told = public_key if callable(public_key) else lambda: public_key
        if len(told()) != 32 or len(digest_key) < 16:
            raise ValueError("the public key has 32 bytes and the digest key at least 16")
        self._folder = folder
        self._public_key: Callable[[], bytes] = told
        self._digest_key = digest_key
        _make_folders(folder)

    def writer(self) -> BodyWriter:
        """For bytes that come in pieces. Raises OSError."""
        return BodyWriter(self._path(secrets.token_hex(16)), _Sealer(self._public_key()), self._hmac())

    def put(self, data: bytes) -> BodyRef:
        """All at once: synced when it returns. Raises OSError, and then leaves nothing behind."""
        with self.writer() as writer:
            writer.write(data)
            return writer.finish()

    def read(self, ref: BodyRef, unwrap: Unwrap) -> bytes:
        """The bytes as written. Raises BodyDamaged, OSError, and what `unwrap` raises except ValueError."""
        data = _open(self.sealed(ref.name), unwrap)
        # Whole and sealed is not enough: it must be this letter's body, not another that was put in its
        # place.
        if not self.is_of(ref, data):
            raise BodyDamaged("the body is another one")
        return data

    def is_of(self, ref: BodyRef, data: bytes) -> bool:
        """Whether these are the bytes of that letter: no key that opens anything is needed for it."""
        digest = self._hmac()
        digest.update(data)
        return len(data) == ref.size and hmac.compare_digest(digest.finalize().hex(), ref.digest)

    def erase(self, ref: BodyRef) -> None:
        """Overwrites the wrapped key, then removes the file.

        A body already gone is erased. Raises OSError.
        """
        _erase(self._path(ref.name))

    def sealed(self, name: str) -> bytes:
        """The file as it lies there. Raises BodyDamaged, OSError."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError as error:
            raise BodyDamaged("the body is gone") from error

    def header(self, name: str) -> bytes:
        """Its first bytes, enough for `sealed_to` and `wrapped_in`. Raises BodyDamaged, OSError."""
        try:
            with self._path(name).open("rb") as file:
                return file.read(_MOST_HEADER)
        except FileNotFoundError as error:
            raise BodyDamaged("the body is gone") from error

    def replace(self, name: str, blob: bytes) -> None:
        """Puts another sealing of the same body in its place, whole or not at all. Raises OSError."""
        path = self._path(name)
        part = path.with_name(path.name + _PART)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        os.rename(part, path)
        _sync_folder(path.parent)

    def drop(self, name: str) -> None:
        """As `erase`, by name. Raises OSError."""
        _erase(self._path(name))

    def fault(self, ref: BodyRef) -> str:
        """What is wrong with the file that can be seen without a key; empty if nothing is. Raises OSError."""
        try:
            size = _header(self.header(ref.name)).size
            wanted = size + ref.size + _TAG * max(1, -(-ref.size // CHUNK))
            there = self._path(ref.name).stat().st_size
        except (BodyDamaged, FileNotFoundError) as error:
            return str(error) if isinstance(error, BodyDamaged) else "the body is gone"
        return "" if there == wanted else "the body has another length"

    def sweep(self, held: Callable[[], Iterable[str]], before: datetime) -> int:
        """Erases what a crash left: bodies half written, or finished and in no row, untouched since `before`.

        `held`: names in rows; asked once the folder was read, so that it knows every letter kept until then.
        Answers how many were erased. Raises OSError.
        """
        old = {path.name: path for path in self._folder.glob("??/*") if _is_ours(path) and _older(path, before)}
        for name in held():
            old.pop(name, None)
        for path in old.values():
            _erase(path)
        return len(old)

    def _hmac(self) -> HMAC:
        return HMAC(self._digest_key, hashes.SHA256())

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):  # a name comes from a row: it is checked before it is a path
            raise BodyDamaged("no name of a body")
        return self._folder / name[:2] / name


class BodyWriter:
    """One body being written. Ends by `finish` or `abort`; as a context, leaving it unfinished aborts."""

    def __init__(self, path: Path, sealer: _Sealer, digest: HMAC) -> None:
        self._path = path
        self._part = path.with_name(path.name + _PART)
        self._sealer = sealer
        self._digest = digest
        self._size = 0
        handle = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(handle, "wb", buffering=0)
        self._append(sealer.header)

    def write(self, data: bytes) -> None:
        """Raises OSError; the writer is then of no more use than to abort."""
        self._digest.update(data)
        self._size += len(data)
        self._append(*self._sealer.feed(data))

    def finish(self) -> BodyRef:
        """Syncs file and folder; only then answers. Raises OSError.

        The name is given before the file is synced, so that one commit of the file system's journal holds both; what a
        crash leaves between is a body in no row, which `sweep` erases.
        """
        self._append(self._sealer.finish())
        os.rename(self._part, self._path)
        os.fsync(self._file.fileno())
        self._file.close()
        _sync_folder(self._path.parent)
        return BodyRef(self._path.name, self._size, self._digest.finalize().hex())

    def abort(self) -> None:
        """Leaves nothing behind; harmless after `finish`."""
        self._file.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> BodyWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.abort()

    def _append(self, *pieces: bytes) -> None:
        """In one call, however many pieces. A raw write may take less than all, on a disk about to be full."""
        for some in _batched(pieces):
            left = sum(map(len, some)) - os.writev(self._file.fileno(), some)
            if left:
                self._rest(memoryview(b"".join(some))[-left:])

    def _rest(self, view: memoryview) -> None:
        while view:
            view = view[self._file.write(view) :]


def _batched(pieces: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """As many as one writev takes (IOV_MAX, limits.h)."""
    for first in range(0, len(pieces), _AT_ONCE):
        yield pieces[first : first + _AT_ONCE]


def _is_ours(path: Path) -> bool:
    return _NAME.fullmatch(path.name.removesuffix(_PART)) is not None


def _older(path: Path, before: datetime) -> bool:
    try:
        return path.stat().st_mtime < before.timestamp()
    except FileNotFoundError:  # erased meanwhile, or finished under its own name
        return False


def _erase(path: Path) -> None:
    try:
        handle = os.open(path, os.O_WRONLY)
    except FileNotFoundError:
        return
    with os.fdopen(handle, "wb", buffering=0) as file:
        file.write(bytes(min(CHUNK, os.fstat(file.fileno()).st_size)))
        os.fsync(file.fileno())
    path.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _make_folders(folder: Path) -> None:
    """All at once and synced before the first body, so that no writer relies on a name that another has not
    synced.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(256):
        (folder / f"{number:02x}").mkdir(mode=0o700, exist_ok=True)
    _sync_folder(folder)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """A new name survives a crash only once its folder is synced (fsync(2))."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
