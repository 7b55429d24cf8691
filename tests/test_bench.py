"""The benchmarks run, and end with the line that others read; what they measure is asserted nowhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from certs import xml
from tests.bench.drawing import page

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


def test_the_pages_are_measured_beside_their_servers() -> None:
    """A small run: each page answers, is under 100 kB, and has nothing loaded from elsewhere. In full:
    ./dev bench pages"""
    told = _last_line("pages", "--letters", "120", "--mailboxes", "500", "--rounds", "1", "--times", "2")
    assert set(told["ratios"]) == {"newest", "second", "middle", "recipients", "region_search"}
    sizes = {name: size for name, size in told["figures"].items() if name.endswith("_page_bytes")}
    assert len(sizes) == 10
    assert told["figures"]["third_party"] == 0
    assert all(0 < size < 100_000 for size in sizes.values()), sizes


def test_cms_is_measured_beside_libcrypto() -> None:
    """A small run has each step with each key beside both peers, and names both OpenSSLs. In full: ./dev bench cms"""
    told = _last_line("cms", "--rounds", "1", "--seconds", "0.01")
    wanted = {"sign_rsa2048_of_bare", *(f"{step}_of_libcrypto" for step in ("sign", "verify", "encrypt", "decrypt"))}
    for key in ("rsa2048", "rsa3072", "p256"):
        wanted |= {f"key_speed_{key}", f"verify_{key}_of_libcrypto_t2", f"decrypt_{key}_of_bare"}
    assert wanted <= set(told["ratios"])
    assert all(ratio > 0 for ratio in told["ratios"].values())
    assert {"openssl_of_cryptography", "openssl_of_system", "bytes"} <= set(told["conditions"])
    assert {"serials_load_s", "serials_lookup_us"} <= set(told["figures"])


@pytest.mark.journey
def test_the_main_job_is_measured_beside_its_peer() -> None:
    """A small run has a rate, a ratio, CPU for each step of a letter's life, and both Postfix beside it. In full:
    ./dev bench main-job"""
    told = _last_line("main-job", "--letters", "3", "--sessions", "1", "--rounds", "1", "--relayed", "2")
    assert set(told["ratios"]) == {
        "letters_per_s",
        "main_job",
        "main_job_of_relay_only",
        "cpu_of_filter",
        "cpu_of_relay_only",
    }
    steps = ("accept", "verify", "resolve", "sign", "enqueue", "relay", "file")
    assert all(told["figures"][f"step_ms_{step}"] > 0 for step in steps)


@pytest.mark.journey
def test_accepting_is_measured_beside_postfix() -> None:
    """A small run has a ratio for each size, in letters a second and in CPU. In full: ./dev bench accept"""
    told = _last_line("accept", "--rounds", "1", "--share", "0.02", "--connections", "2")
    sizes = ("5k", "50k", "200k", "1m")
    assert set(told["ratios"]) == {f"accept_{size}{kind}" for size in sizes for kind in ("", "_cpu")}
    assert all(ratio > 0 for ratio in told["ratios"].values())


def test_growth_is_measured_and_drawn(tmp_path: Path) -> None:
    """A small run has a figure for each size, and the page a line. In full: ./dev bench growth --full --write"""
    told = _last_line("growth", "--rounds", "1", "--letters", "8", "--share", "0.02")
    assert set(told["ratios"]) == {"queue_flat", "journal_flat", "directory_flat"}
    assert {"queue_0_cpu_ms", "queue_400_cpu_ms", "journal_10000_cpu_ms", "directory_400_cpu_ms"} <= set(
        told["figures"]
    )
    page(tmp_path, {"queue": {0: [1.0, 1.2], 1000: [1.1, 1.3]}}, told["conditions"])
    assert "| queue | 1,000 | 1.20 | 1.09 |" in (tmp_path / "growth.md").read_text()
    assert xml.parse((tmp_path / "growth.svg").read_bytes()).tag.endswith("svg")


@pytest.mark.journey
def test_a_short_soak_loses_nothing() -> None:
    """Each letter that was accepted is at the peer; memory and open files of each process are told. In full:
    ./dev bench soak"""
    asked = {"rate": 4, "seconds": 1, "peak-rate": 8, "peak-seconds": 1, "sessions": 2, "octets": 20_000}
    told = _last_line("soak", *(word for name, value in asked.items() for word in (f"--{name}", str(value))))
    assert told["figures"]["lost"] == 0
    assert told["figures"]["accepted"] == 12
    for name in ("spooler", "keeper", "doors", "carrier"):
        assert told["figures"][f"{name}_mb_after"] > 0
        assert told["figures"][f"{name}_files_before"] > 0


def test_an_unknown_benchmark_is_refused_with_the_known_ones() -> None:
    """Exit code 2 and a sentence."""
    done = _bench("no-such")
    assert done.returncode == 2
    assert {"cms", "custody", "house", "main-job"} <= set(re.findall(r"[\w-]+", done.stderr))
