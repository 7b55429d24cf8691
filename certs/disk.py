"""Files that are on the disk when a function returns: put whole in another's place, made once, destroyed.

Promises: a reader sees the old file or the new one, whole, also after a power cut; what is private is private from its
first byte on; a name survives only once its folder is synced, and it is (fsync(2)). Raises OSError, nothing else.
Does not: lock (who writes one file from two processes must), or make folders.
"""

from __future__ import annotations

import os
from pathlib import Path

PRIVATE, PUBLIC = 0o600, 0o644


def put(path: Path, data: bytes, mode: int = PRIVATE, owner: Path | None = None) -> None:
    """In the place of what is there, if anything. Beside it stands for a moment '.NAME.PID.new', an ending that nobody
    who reads a folder of certificates takes for one. `owner`: written by root, it is his who owns that file or
    folder."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    make(draft, data, mode)
    if owner is not None and os.geteuid() == 0:
        whose = owner.stat()
        os.chown(draft, whose.st_uid, whose.st_gid)
    draft.replace(path)
    sync_folder(path.parent)


def make(path: Path, data: bytes, mode: int = PRIVATE) -> None:
    """A new file. Raises FileExistsError where there is one, a link included; its folder is not synced."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(handle, mode)
        os.fsync(handle)


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def destroy(path: Path) -> None:
    """Its bytes are overwritten before its name goes: of a file system that writes in place nothing is left."""
    with path.open("r+b", buffering=0) as file:
        file.write(bytes(os.fstat(file.fileno()).st_size))
        os.fsync(file.fileno())
    path.unlink()
