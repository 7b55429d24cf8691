"""Certificates whose standing nobody could tell, left where the refresher finds them.

Promises: each certificate once, with the authorities of its path, in a file named by its digest; never more files than
the cap, the oldest go. A folder that cannot be written is no reason to fail. Does not: fetch or judge.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from certs import ber

MOST = 200
"""Files in the folder."""
MAX_BYTES = 256 * 1024


@dataclass(frozen=True)
class Seen:
    folder: Path

    def note(self, ders: Sequence[bytes]) -> None:
        """Leaves a path, end certificate first."""
        path = self.folder / f"{hashlib.sha256(ders[0]).hexdigest()}.der"
        if path.exists():
            return
        try:
            self._write(path, b"".join(ders))
        except OSError:
            return  # the letter waits either way; the next try leaves it

    def paths(self) -> tuple[tuple[bytes, ...], ...]:
        """Those left, end certificate first in each."""
        found = (_read(file) for file in sorted(self.folder.glob("[!.]*.der"))[:MOST])
        return tuple(path for path in found if path)

    def _write(self, path: Path, data: bytes) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = sorted(self.folder.glob("[!.]*.der"), key=lambda file: file.stat().st_mtime)
        for file in held[: len(held) + 1 - MOST] if len(held) >= MOST else ():
            file.unlink(missing_ok=True)
        beside = path.with_name(f".{path.stem}.{os.getpid()}.new")
        beside.write_bytes(data)
        beside.replace(path)


def _read(file: Path) -> tuple[bytes, ...]:
    try:
        data = file.read_bytes()
        return tuple(ber.members(data)) if len(data) <= MAX_BYTES else ()
    except (OSError, ValueError):
        return ()
