"""The first letter, as a newcomer sees it: the demo itself, on real parts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.demo.play import TITLES
from gateway.demo.processes import new_folder


def _demo(folder: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    command = [sys.executable, "-m", "gateway", "demo", "--once", "--json", "--folder", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.journey
def test_the_first_letter_goes_the_whole_way() -> None:
    """Every step of the demo is seen from outside, each with its evidence, and nothing keeps running."""
    folder = new_folder("pli-d-") / "demo"
    code, answer, said = _demo(folder)
    assert (code, answer["ok"]) == (0, True), said
    assert [step["name"] for step in answer["steps"]] == list(TITLES)
    assert len(answer["steps"]) >= 10
    assert all(step["evidence"] for step in answer["steps"])
    assert list(folder.rglob("server.pid")) == []


@pytest.mark.journey
@pytest.mark.parametrize("lie", ["success-without-storing", "wrong-hash", "half-success"])
def test_a_dossier_host_that_lies_turns_the_demo_red(lie: str) -> None:
    """A host that says it stored, gives other bytes back, or half succeeds is found out."""
    code, answer, said = _demo(new_folder("pli-d-") / "demo", "--wrong-host", lie)
    assert (code, answer["ok"]) == (1, False), said
    failed = {step["name"] for step in answer["steps"] if not step["ok"]}
    assert "filed" in failed
    assert not failed & {"submitted", "accepted", "signed", "relayed", "signature", "seal"}, said
