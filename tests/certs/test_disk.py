"""Files that are on the disk when a function returns."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from certs import disk


def test_a_file_is_put_whole_in_anothers_place(tmp_path: Path) -> None:
    """With the mode that was asked for, whatever the process's mask, and nothing beside it."""
    file = tmp_path / "a"
    before = os.umask(0o077)
    try:
        for data, mode in ((b"one", disk.PRIVATE), (b"two", disk.PUBLIC)):
            disk.put(file, data, mode)
            assert (file.read_bytes(), file.stat().st_mode & 0o777) == (data, mode)
    finally:
        os.umask(before)
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_crash_left_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old file stands while the new one is not whole; the next writer begins anew."""
    file = tmp_path / "a"
    disk.put(file, b"one")

    def dies(_: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", dies)
        with pytest.raises(KeyboardInterrupt):
            disk.put(file, b"two")
    assert file.read_bytes() == b"one"
    disk.put(file, b"three")
    assert [file] == list(tmp_path.iterdir())
    assert file.read_bytes() == b"three"


def test_a_new_file_replaces_nothing(tmp_path: Path) -> None:
    """Nor does it follow a link that somebody laid there."""
    there, link = tmp_path / "there", tmp_path / "link"
    there.write_bytes(b"mine")
    link.symlink_to(tmp_path / "elsewhere")
    for place in (there, link):
        with pytest.raises(FileExistsError):
            disk.make(place, b"yours")
    assert there.read_bytes() == b"mine"
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_destroyed_was_overwritten(tmp_path: Path) -> None:
    """Another name of the same file shows what is left: zeros."""
    file, other = tmp_path / "key", tmp_path / "other"
    file.write_bytes(b"secret")
    os.link(file, other)
    disk.destroy(file)
    assert not file.exists()
    assert other.read_bytes() == bytes(6)
