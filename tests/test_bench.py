"""The benchmarks run, and end with the line that others read; what they measure is asserted nowhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def _last_line(*arguments: str) -> dict[str, Any]:
    done = _bench(*arguments)
    assert done.returncode == 0, done.stderr[-2000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert set(told) == {"bench", "peer", "ratios", "figures", "conditions"}
    return told


def test_the_size_of_the_house_is_told() -> None:
    """Functions and lines of each package."""
    told = _last_line("house")
    assert {"lines_relay", "function_lines_median", "function_lines_longest"} <= set(told["figures"])


def test_cms_is_measured_beside_libcrypto() -> None:
    """A small run has each step with each key beside both peers, and names both OpenSSLs. In full: ./dev bench cms"""
    told = _last_line("cms", "--rounds", "1", "--seconds", "0.01")
    wanted = {"sign_rsa2048_of_bare", *(f"{step}_of_libcrypto" for step in ("sign", "verify", "encrypt", "decrypt"))}
    for key in ("rsa2048", "rsa3072", "p256"):
        wanted |= {f"key_speed_{key}", f"verify_{key}_of_libcrypto_t2", f"decrypt_{key}_of_bare"}
    assert wanted <= set(told["ratios"])
    assert all(ratio > 0 for ratio in told["ratios"].values())
    assert {"openssl_of_cryptography", "openssl_of_system", "bytes"} <= set(told["conditions"])


@pytest.mark.journey
def test_the_main_job_is_measured_beside_its_peer() -> None:
    """A small run has a rate, a ratio, and CPU for each step of a letter's life. In full: ./dev bench main-job"""
    told = _last_line("main-job", "--letters", "3", "--sessions", "1", "--rounds", "1")
    assert set(told["ratios"]) == {"letters_per_s"}
    steps = ("accept", "verify", "resolve", "sign", "enqueue", "relay", "file")
    assert all(told["figures"][f"step_ms_{step}"] > 0 for step in steps)


def test_an_unknown_benchmark_is_refused_with_the_known_ones() -> None:
    """Exit code 2 and a sentence."""
    done = _bench("no-such")
    assert done.returncode == 2
    assert {"cms", "custody", "house", "main-job"} <= set(re.findall(r"[\w-]+", done.stderr))
