"""What a judgement leaves for the refresher, and what the cache folder gives back to a store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from certs import profiles, seen
from certs.chain import TrustStore
from certs.model import CannotTell, Trusted, Untrusted
from certs.seen import Seen

ROLE = profiles.Profile("any", frozenset({"digital_signature"}))


def test_whose_standing_is_unknown_is_left_with_its_path(office: Any, tmp_path: Path) -> None:
    """Once, in one file, with the authority that the refresher may not know; who is known is not left."""
    left = Seen(tmp_path / "seen")
    leaf = office.leaf()
    blind = TrustStore((office.root.certificate,), unsure=left.note)
    for _ in range(2):
        trust = blind.judge(leaf.der, (office.authority.der,), ROLE, office.at)
        assert isinstance(trust, CannotTell)
    assert left.paths() == ((leaf.der, office.authority.der),)
    told = TrustStore.load(office.folder(tmp_path / "trust", office.listing()), unsure=left.note)
    assert isinstance(told.judge(office.leaf().der, (), ROLE, office.at), Trusted)
    assert len(left.paths()) == 1


def test_a_stranger_is_not_left(office: Any, tmp_path: Path, office_at: Any) -> None:
    """Whose chain reaches no anchor is refused, and nobody asks about it."""
    left = Seen(tmp_path / "seen")
    stranger = office_at(office.at)
    trust = TrustStore((office.root.certificate,), unsure=left.note).judge(
        stranger.leaf().der, (stranger.authority.der,), ROLE, office.at
    )
    assert isinstance(trust, Untrusted)
    assert left.paths() == ()


def test_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more files than the cap, whoever comes."""
    monkeypatch.setattr(seen, "MOST", 3)
    left = Seen(tmp_path)
    for number in range(5):
        left.note([b"\x04\x01" + bytes([number])])
        os.utime(max(tmp_path.iterdir(), key=lambda file: file.stat().st_mtime_ns), (number, number))
    assert sorted(path[0][-1] for path in left.paths()) == [2, 3, 4]


def test_a_folder_that_cannot_be_written_is_no_reason_to_fail(tmp_path: Path) -> None:
    """The answer does not depend on it; nor does junk in the folder reach anybody."""
    (tmp_path / "file").write_bytes(b"")
    Seen(tmp_path / "file").note([b"\x05\x00"])
    (tmp_path / "junk.der").write_bytes(b"\x30\x05")
    assert Seen(tmp_path).paths() == ()


def test_a_spoiled_copy_is_left_out_and_an_operators_file_is_named(office: Any, tmp_path: Path) -> None:
    """In the cache an unreadable file is as none; in the trust folder it is an error that names it."""
    leaf = office.leaf()
    folder = office.folder(tmp_path / "trust")
    cache = tmp_path / "cache"
    (cache / "crls").mkdir(parents=True)
    (cache / "crls/a.crl").write_bytes(b"<html>")
    (cache / "crls/.b.crl.1.new").write_bytes(b"half")
    assert isinstance(TrustStore.load(folder, cache).judge(leaf.der, (), ROLE, office.at), CannotTell)
    (cache / "crls/c.crl").write_bytes(office.listing())
    assert isinstance(TrustStore.load(folder, cache).judge(leaf.der, (), ROLE, office.at), Trusted)
    (folder / "crls/mine.crl").write_bytes(b"<html>")
    with pytest.raises(ValueError, match=r"mine\.crl"):
        TrustStore.load(folder, cache)
