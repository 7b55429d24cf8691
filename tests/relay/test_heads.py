"""Sealed heads: what was said of the journal and kept elsewhere is believed, or is a fault."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from certs.chain import TrustStore
from certs.keys import Signer
from certs.throwaway import Pki
from relay import heads
from relay.journal import Head

SAID = {"spool": Head(5, "ab" * 32)}


@pytest.fixture(scope="module")
def seal(pki: Pki) -> Signer:
    return pki.seal("lilas.example", "IMAGERIE DES LILAS", "1750000001").signer()


def test_a_sealed_head_is_read_back(tmp_path: Path, seal: Signer, trust: TrustStore, today: datetime) -> None:
    """What was sealed is what is compared with, oldest first."""
    for minutes, number in ((0, 5), (60, 9)):
        at = today + timedelta(minutes=minutes)
        heads.write(tmp_path, "lilas", {"spool": Head(number, "ab" * 32)}, seal, at)
    found, faults = heads.read(tmp_path, trust)
    assert faults == []
    assert [each.heads["spool"].number for each in found] == [5, 9]
    assert heads.places(found) == {("spool", 5): "ab" * 32, ("spool", 9): "ab" * 32}


def test_another_tool_verifies_it(tmp_path: Path, seal: Signer, pki: Pki, trust_folder: Path, today: datetime) -> None:
    """openssl, which knows nothing of us, believes the seal; with one digit changed it does not."""
    path = heads.write(tmp_path, "lilas", SAID, seal, today)
    anchors = next((trust_folder / "anchors").glob("*.pem"))
    command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", path.with_suffix(".p7s"),
               "-content", path, "-CAfile", anchors, "-purpose", "any", "-out", "/dev/null"]  # fmt: skip
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    path.write_bytes(path.read_bytes().replace(b'"number": 5', b'"number": 4'))
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def _changed(path: Path) -> None:
    told = json.loads(path.read_bytes())
    told["heads"]["spool"]["number"] = 4
    path.write_text(json.dumps(told))


def _without_seal(path: Path) -> None:
    path.with_suffix(".p7s").unlink()


def _garbage(path: Path) -> None:
    path.with_suffix(".p7s").write_bytes(b"garbage")


def _no_json(path: Path) -> None:
    path.write_bytes(b"[]")


def _huge(path: Path) -> None:
    path.write_bytes(b" " * (heads.SIZE_MOST + 1))


@pytest.mark.parametrize("touch", [_changed, _without_seal, _garbage, _no_json, _huge])
def test_one_that_is_not_believed_is_a_fault(
    tmp_path: Path, seal: Signer, trust: TrustStore, today: datetime, touch: Callable[[Path], None]
) -> None:
    """A head that was changed, or lost its seal, is named; it is compared with nothing."""
    touch(heads.write(tmp_path, "lilas", SAID, seal, today))
    found, faults = heads.read(tmp_path, trust)
    assert found == []
    assert len(faults) == 1
    assert faults[0].startswith("heads-")


def test_a_stranger_seals_nothing(tmp_path: Path, trust: TrustStore, today: datetime) -> None:
    """A seal of an authority that we do not know is a fault."""
    stranger = Pki.create(today, "AUTRE").seal("lilas.example", "AUTRE", "1750000009").signer()
    heads.write(tmp_path, "lilas", SAID, stranger, today)
    found, faults = heads.read(tmp_path, trust)
    assert found == []
    assert "unknown-issuer" in faults[0]
