"""The repository's documents: one file each, under a random name, written as their bytes come in.

Promises: a name that was answered is on the disk with its bytes, whose hash and size were taken on the way; a name says
nothing of what it names. Does not: know which document a file is (the entries table does), nor encrypt: a real host
encrypts its disk.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Kept:
    """One document on the disk."""

    name: str
    sha1: str
    size: int


class _Sink:
    """One document on its way to the disk. Raises OSError where it is full."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        # IHE ITI TF-3 §4.2.3.2.10 fixes SHA-1: it finds damage, it proves nothing.
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._size = 0
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=256 * 1024)

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._sha1.update(data)
        self._size += len(data)

    def close(self) -> Kept:
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
        return Kept(self._name, self._sha1.hexdigest(), self._size)

    def abandon(self) -> None:
        self._file.close()


class Batch:
    """The documents of one message: kept together, or dropped together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sinks: dict[str, _Sink] = {}

    @property
    def names(self) -> list[str]:
        return list(self._sinks)

    def sink(self) -> _Sink:
        name = secrets.token_hex(16)
        self._sinks[name] = _Sink(self._folder / name)
        return self._sinks[name]

    def take(self, data: bytes) -> Kept:
        """A document that stood in line."""
        sink = self.sink()
        sink.write(data)
        return sink.close()

    def settle(self) -> None:
        """Makes the names themselves last: before the rows that tell them."""
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def drop(self, kept: Iterable[str] = ()) -> None:
        """Removes all of them but `kept`."""
        for name in self._sinks.keys() - set(kept):
            self._sinks[name].abandon()
            (self._folder / name).unlink(missing_ok=True)


class Contents:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def batch(self) -> Batch:
        return Batch(self._folder)

    def read(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def names(self) -> set[str]:
        return {path.name for path in self._folder.iterdir()}

    def drop(self, names: Iterable[str]) -> None:
        for name in names:
            (self._folder / name).unlink(missing_ok=True)

    def sweep(self, told: set[str]) -> None:
        """Removes what a crash left between the files and their rows."""
        self.drop(self.names() - told)
