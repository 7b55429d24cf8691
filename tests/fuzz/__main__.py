"""`python -m tests.fuzz NAME --seconds N --corpus DIR`: fuzzes one door; its last line is one JSON object.

Promises: the corpus is begun with valid messages of our own making, never of others; lines tell the time, the runs and
the edges reached; every input that failed is kept under tests/fuzz/crashes/NAME (or --kept), small; the status is 1
where one was found. With --runs and --seed the same run twice. Does not: stop at the first failure.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz import keeping, seeds
from tests.fuzz.doors import DOORS

ROOT = Path(__file__).resolve().parent.parent.parent
# libFuzzer: '#4096 pulse cov: 812 ft: 2411 corp: 31/9Kb lim: 8192 exec/s: 341 rss: 90Mb'
_STATUS = re.compile(r"#(\d+)\s+\S+.*?cov: (\d+) ft: (\d+)")
EVERY_S = 30.0


@dataclass
class Found:
    """What one run has reached."""

    door: str
    began: float = field(default_factory=time.monotonic)
    runs: int = 0
    edges: int = 0
    features: int = 0
    curve: list[tuple[int, int]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    ended: int = 0
    """Processes that a fault, a time-out or memory ended."""

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def read(self, line: str, before: int) -> None:
        if line.startswith("FAILED "):
            self.failures.append(line[7:].strip())
        elif status := _STATUS.match(line):
            self.runs = before + int(status[1])
            self.edges, self.features = max(self.edges, int(status[2])), int(status[3])

    def line(self) -> str:
        self.curve.append((round(self.seconds), self.edges))
        shown = f"runs={self.runs} edges={self.edges} features={self.features} failures={len(self.failures)}"
        return f"{self.door} t={self.seconds:.0f}s {shown} ended={self.ended}"

    def told(self) -> dict[str, object]:
        return {
            "fuzz": self.door, "seconds": round(self.seconds, 1), "runs": self.runs, "edges": self.edges,
            "features": self.features, "curve": self.curve, "failures": self.failures, "ended": self.ended,
        }  # fmt: skip


def main(arguments: list[str]) -> int:
    asked = _arguments(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    corpus: Path = asked.corpus
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in seeds.of(asked.name):
        (corpus / f"seed-{hashlib.sha256(seed).hexdigest()[:16]}").write_bytes(seed)
    found, shown = Found(asked.name), 0.0
    for line, before in _lines(asked, corpus, found):
        found.read(line, before)
        if line.startswith(("FAILED", "==", "SUMMARY")) or found.seconds >= shown:
            shown = found.seconds + EVERY_S if found.seconds >= shown else shown
            print(line.strip() if line.startswith(("FAILED", "==", "SUMMARY")) else found.line(), flush=True)
    print(found.line(), flush=True)
    print(json.dumps(found.told()), flush=True)
    return 1 if found.failures or found.ended else 0


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("name", choices=sorted(DOORS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--kept", type=Path, default=keeping.CRASHES, help="where failing inputs are kept")
    parser.add_argument("--runs", type=int, default=-1, help="at most so many inputs")
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    return parser.parse_args(arguments)


def _lines(asked: argparse.Namespace, corpus: Path, found: Found) -> Iterator[tuple[str, int]]:
    """What the processes say, one after the other until the time is over, and the runs of those before."""
    while (left := asked.seconds - found.seconds) > 1:
        before = found.runs
        options = [
            f"-max_total_time={int(left)}", f"-runs={asked.runs}", f"-seed={asked.seed}", "-print_final_stats=0",
            f"-artifact_prefix={corpus}-ended-", str(corpus),
        ]  # fmt: skip
        command = [sys.executable, "-m", "tests.fuzz.engine", asked.name, str(asked.kept), *options]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, errors="replace") as child:
            try:
                for line in child.stderr or ():
                    yield line, before
            finally:
                if sys.exc_info()[0]:  # we are told to stop
                    child.terminate()
        if child.returncode == 0:
            return
        found.ended += 1
        if found.ended > 20:
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
