"""Files put in place, once, and again when what they should say has changed.

Promises: a file that a person edited since, or that was there before, is never replaced: the new text is laid beside
it as NAME.pli-new, and that is said; a secret that is there stays; a file is private from its first byte where it
should be, and whole when it appears. Typed again, nothing changes. Does not: know what the files are for.
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Fate(StrEnum):
    MADE = "made"
    SAME = "unchanged"
    RENEWED = "renewed"
    """Ours and not edited: what it says has changed."""
    KEPT = "kept"
    """A key or a secret, which is made once."""
    LEFT = "left"
    """Edited, or not ours: left as it is, the new text is beside it."""


@dataclass(frozen=True)
class Piece:
    """One file as it should be."""

    path: Path
    content: bytes = field(repr=False)
    mode: int = 0o644
    owner: str = "root"
    once: bool = False
    """Made where there is none, and never replaced: keys, passwords, what people fill."""


@dataclass(frozen=True)
class Folder:
    path: Path
    mode: int = 0o755
    owner: str = "root"


@dataclass(frozen=True)
class Placed:
    path: Path
    fate: Fate


@dataclass
class Ground:
    """Where pieces are put, and what was put there before."""

    record: Path
    """JSON: path -> SHA-256 of what was last written there."""
    dry: bool = False
    known: dict[str, str] = field(default_factory=dict)
    strangers: set[str] = field(default_factory=set)
    """Owners whom this machine does not have yet."""

    @staticmethod
    def of(record: Path, dry: bool) -> Ground:
        known = json.loads(record.read_text("utf-8")) if record.exists() else {}
        return Ground(record, dry, known)

    def folders(self, wanted: Iterable[Folder]) -> None:
        for each in [] if self.dry else wanted:
            each.path.mkdir(parents=True, exist_ok=True)
            each.path.chmod(each.mode)
            self.give(each.path, each.owner)

    def put(self, piece: Piece) -> Placed:
        """Raises OSError."""
        fate = fate_of(piece, self.known)
        if not self.dry:
            self._do(piece, fate)
        return Placed(piece.path, fate)

    def _do(self, piece: Piece, fate: Fate) -> None:
        if fate in (Fate.MADE, Fate.RENEWED):
            _write(piece.path, piece.content, piece.mode)
        if fate is Fate.LEFT:
            _write(beside(piece.path), piece.content, piece.mode)
            self.give(beside(piece.path), piece.owner)
            return
        beside(piece.path).unlink(missing_ok=True)  # of an earlier time: what stands there is what should
        self.give(piece.path, piece.owner)
        if not piece.once:
            self.known[str(piece.path)] = _digest(piece.content)

    def give(self, path: Path, owner: str) -> None:
        """To its owner, where we may and he exists."""
        if os.geteuid() != 0:
            return
        try:
            who = pwd.getpwnam(owner)
        except KeyError:
            self.strangers.add(owner)
            return
        os.chown(path, who.pw_uid, who.pw_gid, follow_symlinks=False)

    def remember(self) -> None:
        if not self.dry:
            _write(self.record, json.dumps(self.known, indent=1, sort_keys=True).encode() + b"\n", 0o644)


def fate_of(piece: Piece, known: dict[str, str]) -> Fate:
    if not piece.path.exists():
        return Fate.MADE
    if piece.once:
        return Fate.KEPT
    there = piece.path.read_bytes()
    if there == piece.content:
        return Fate.SAME
    return Fate.RENEWED if _untouched(there, known.get(str(piece.path))) else Fate.LEFT


def _untouched(there: bytes, written: str | None) -> bool:
    """Nobody edited it since we wrote it."""
    return written == _digest(there)


def beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.pli-new")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(path: Path, content: bytes, mode: int) -> None:
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    draft.replace(path)
