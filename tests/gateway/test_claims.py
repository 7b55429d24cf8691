"""What `pli config check` says may not be claimed: it follows from the configuration, and from nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway import claims
from gateway.config import Settings
from gateway.install import answers, node_file
from gateway.install.kernel_clock import Kept

SAID: dict[str, Any] = {
    "hostname": "mss.lilas.example",
    "administrator": "anne@lilas.example",
    "tenants": [
        {
            "name": "lilas",
            "organisation": "IMAGERIE",
            "establishment": "1930000017",
            "department": "Paris (75)",
            "domains": ["lilas.example"],
        }
    ],
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return node_file.settings(answers.told({**SAID, "etc": str(tmp_path)}))


def test_what_never_may_be_claimed_is_always_said(settings: Settings) -> None:
    """Not homologated, national filing disabled, whoever asks and whatever is configured."""
    said = claims.not_claimed(settings, Kept.YES)
    assert said[: len(claims.ALWAYS)] == claims.ALWAYS
    assert "not homologated" in said[0]
    assert "National filing ships disabled." in said


def test_a_seal_ends_the_word_about_unsigned_letters(settings: Settings, tmp_path: Path) -> None:
    """Without one it is said; with one it is not."""
    assert any("leave unsigned" in each for each in claims.not_claimed(settings, Kept.YES))
    seals = tmp_path / "lilas/keys/seal"
    seals.mkdir(parents=True)
    (seals / "lilas.example.pem").write_text("a certificate")
    assert not any("leave unsigned" in each for each in claims.not_claimed(settings, Kept.YES))


@pytest.mark.parametrize(("clock", "told"), [(Kept.YES, False), (Kept.NO, True), (Kept.CANNOT_TELL, True)])
def test_an_unkept_clock_is_told(settings: Settings, clock: Kept, told: bool) -> None:
    """Times in evidence are no better than the machine's."""
    assert any("Times in evidence" in each for each in claims.not_claimed(settings, clock)) is told


def test_what_is_not_configured_is_not_claimed(settings: Settings) -> None:
    """No scan and no lists that are fetched, until they are configured."""
    data = json.loads(settings.model_dump_json())
    assert any("not scanned" in each for each in claims.not_claimed(settings, Kept.YES))
    data["scan"] = {"socket": "/run/clamav/clamd.ctl"}
    assert not any("not scanned" in each for each in claims.not_claimed(Settings(**data), Kept.YES))
    data["trust"] |= {"fetch": False, "white_list_url": ""}
    said = " ".join(claims.not_claimed(Settings(**data), Kept.YES))
    assert "Revocation is not followed" in said
    assert "The white list is not followed" in said
