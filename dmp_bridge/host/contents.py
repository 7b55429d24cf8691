"""The repository's documents: one file each, under a random name.

Promises: a name that was answered is on the disk with its bytes; a name says nothing of what it names. Does
not: know which document a file is (the entries table does), nor encrypt: a real host encrypts its disk.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path


class Contents:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def keep(self, data: bytes) -> str:
        """The new file's name. Raises OSError; then nothing is left behind."""
        name = secrets.token_hex(16)
        path = self._folder / name
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return name

    def settle(self) -> None:
        """Makes the names themselves last: before the rows that tell them."""
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

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
