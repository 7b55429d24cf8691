"""The crash bench, small: processes are killed and power is cut under load, and nothing that was accepted is lost.

In full: ./dev bench crash --rounds 1000
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.scene import Account

ROOT = Path(__file__).resolve().parent.parent.parent
ROUNDS = int(os.environ.get("PLI_KILLS", "10"))
CUTS = int(os.environ.get("PLI_CUTS", "2"))
FULL = "./dev bench crash --rounds 1000"


@pytest.mark.journey
def test_nothing_accepted_is_lost_and_nothing_is_filed_twice(summary: list[str]) -> None:
    """Each letter answered 250 is delivered, more than once only where a crash hid an answer; each document is in the
    dossier once; both stores hold; without fsync a power cut does lose letters."""
    told = _bench("--rounds", str(ROUNDS), "--cuts", str(CUTS), "--control", "1")
    figures = told["figures"]
    assert figures["rounds"] == ROUNDS
    assert figures["letters_hit"] >= ROUNDS
    assert figures["answered"] > 0
    for name in ("lost", "not_filed", "filed_twice", "wire_duplicates_unexplained", "kept_unasked"):
        assert figures[name] == 0, figures
    if os.geteuid() == 0:
        assert figures["cuts"] == CUTS
        assert figures["letters_cut"] >= CUTS
        assert figures["control_lost"] > 0
    else:
        assert told["conditions"]["power_cut"].startswith("left out: ")
    cut = f"{figures.get('cuts', 0)} power cuts, {figures.get('control_lost', 0)} lost in their control"
    summary.append(f"crash: {figures['rounds']} kills, {cut}, {figures['answered']} letters, 0 lost. In full: {FULL}")


def _bench(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench", "crash", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "letters hit by a kill, by state" in done.stdout
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


# --- the judgement --------------------------------------------------------------------------------------------


def _account(**seen: Any) -> Account:
    told: dict[str, Any] = {"unsure": {}, "kept": {"a": 1}, "lapses": {}, "delivered": {"a": 1}, "entries": {}}
    return Account(frozenset({"a"}), **{**told, **seen})


def test_a_letter_that_arrived_once_is_well() -> None:
    """Nothing lost, nothing twice."""
    assert not any(value for name, value in _account().figures().items() if name != "answered")


@pytest.mark.parametrize(
    ("seen", "figure"),
    [
        ({"delivered": {}}, "lost"),
        ({"entries": {"1.2.3": 0}}, "not_filed"),
        ({"entries": {"1.2.3": 2}}, "filed_twice"),
        ({"delivered": {"a": 2}}, "wire_duplicates_unexplained"),
        ({"kept": {"a": 2}}, "kept_unasked"),
    ],
)
def test_each_fault_is_counted(seen: dict[str, Any], figure: str) -> None:
    """A letter that did not arrive, a document twice or never in the dossier, a copy without a reason."""
    assert _account(**seen).figures()[figure] == 1


@pytest.mark.parametrize(
    ("seen", "cause"),
    [
        ({"kept": {"a": 2}, "unsure": {"a": 1}}, "wire_duplicates_sender_sent_again"),
        ({"lapses": {"a": 1}}, "wire_duplicates_carrier_died"),
    ],
)
def test_a_copy_on_the_wire_is_explained_by_an_answer_that_was_lost(seen: dict[str, Any], cause: str) -> None:
    """Either the sender's final dot had no 250, or a worker died before it could note the peer's (RFC 1047)."""
    figures = _account(delivered={"a": 2}, **seen).figures()
    assert figures["wire_duplicates"] == figures[cause] == 1
    assert figures["wire_duplicates_unexplained"] == figures["kept_unasked"] == 0
