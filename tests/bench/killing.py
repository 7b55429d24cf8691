"""How a node is hit: its processes are stopped, looked at, and killed as they stand.

A process that is stopped (SIGSTOP) changes nothing any more, so that what was looked at is what was hit. Each process
is known by the pid files of the node and by its session, so that nobody else's is ever touched.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from gateway.demo.processes import Process
from gateway.demo.running import Company
from gateway.demo.stage import Seat
from gateway.roster import PROCESSES
from tests.bench.load import Load
from tests.bench.scene import Scene, until

NODE = "node"
"""All processes of a node at once, the supervisor among them: as when the machine dies."""
UNDER_WAY = """
SELECT CASE WHEN state = 'queued' AND attempts > 0 THEN 'waiting-again' ELSE state END || ' ' || mode, count(*)
FROM recipients WHERE state IN ('queued', 'running') GROUP BY 1
"""
_STOPPED = frozenset("TtZXxD")
"""States (proc(5)) of a thread that runs no code of ours: D is within the kernel, and stops when it leaves it."""


# --- a node that stands still -------------------------------------------------------------------------------


def members(seat: Seat) -> list[int]:
    """Every process of the node: those of the supervisor's session."""
    leader = Process(seat.folder).pid()
    everyone = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return [pid for pid in everyone if leader and _session(pid) == leader]


def _session(pid: int) -> int:
    with suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[3])
    return 0


@contextmanager
def still(seat: Seat) -> Iterator[list[int]]:
    """All processes of the node stand still inside; those that live then go on."""
    pids = members(seat)
    for pid in pids:
        _signal(pid, signal.SIGSTOP)
    while not all(_stands(pid) for pid in pids):
        time.sleep(0.0005)
    try:
        yield pids
    finally:
        for pid in pids:
            _signal(pid, signal.SIGCONT)


def _stands(pid: int) -> bool:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return all((each / "stat").read_text().rpartition(")")[2].split()[0] in _STOPPED for each in threads)
    except OSError:
        return True  # it has ended


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def kill(pids: Sequence[int]) -> None:
    for pid in pids:
        _signal(pid, signal.SIGKILL)


def gone(seat: Seat) -> None:
    """The whole node, killed; returns when nothing of it lives."""
    Process(seat.folder).stop(signal.SIGKILL, whole=True)


def states(scene: Scene, load: Load) -> Counter[str]:
    """Of every letter between the first byte of its DATA and its settling, where it is now. The node stands still."""
    found = Counter(list(load.phases.values()))
    with suppress(sqlite3.OperationalError):  # stopped while it holds the lock of the database for a moment
        found.update(dict(scene.rows(scene.lilas, UNDER_WAY)))
    return found


WISHES = ("data", "unanswered", "queued", "running", "")
"""Where a letter is wished to be at the next hit; '' is wherever it may be."""


@dataclass
class Aim:
    """The next moment to hit: a letter where it is wished to be; after a while, wherever it is."""

    dice: random.Random
    patience_s: float = 1.0
    missed: int = 0
    """Looks that found no letter under way, where nothing was hit."""
    _wish: str = ""
    _until: float = 0.0

    def choose(self) -> None:
        self._wish, self._until = self.dice.choice(WISHES), time.monotonic() + self.patience_s

    def suits(self, found: Counter[str]) -> bool:
        if not found:
            self.missed += 1
            return False
        return time.monotonic() > self._until or any(state.startswith(self._wish) for state in found)


# --- the killer ---------------------------------------------------------------------------------------------


@dataclass
class Killer:
    """SIGKILL for processes of one node, one after the other."""

    company: Company
    seat: Seat
    dice: random.Random
    killed: Counter[str] = field(default_factory=Counter)
    hit: Counter[str] = field(default_factory=Counter)
    """Letters by the state in which they were hit."""
    _last: dict[str, int] = field(default_factory=dict)
    _deck: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.aim = Aim(self.dice)

    def strike(self, scene: Scene, load: Load) -> str:
        """Kills the next target at a moment when a letter is under way; answers its name."""
        target = self._next()
        for name in PROCESSES if target == NODE else (target,):
            self._last[name] = self._running(name)
        time.sleep(self.dice.uniform(0, 0.5))
        self.aim.choose()
        until(lambda: self._hit(target, scene, load), "a letter between its first DATA byte and its settling")
        self.killed[target] += 1
        if target == NODE:
            gone(self.seat)
            self.company.start_node(self.seat)
        return target

    def _hit(self, target: str, scene: Scene, load: Load) -> bool:
        if load.surprises:
            raise load.surprises[0]
        if not self.aim.suits(states(scene, load)):
            return False  # nothing stands still for a look in vain
        with still(self.seat) as pids:
            found = states(scene, load)
            if not self.aim.suits(found):
                return False
            kill(pids if target == NODE else [self._last[target]])
        self.hit.update(found)
        return True

    def _next(self) -> str:
        """From a shuffled deck, so that every process has its turns."""
        if not self._deck:
            self._deck = [*PROCESSES * 4, NODE]
            self.dice.shuffle(self._deck)
        return self._deck.pop()

    def _running(self, name: str) -> int:
        """Its pid, once it serves and is another than the one that was killed last."""
        return int(until(lambda: self._announced(name), f"{name} running again", 60))

    def _announced(self, name: str) -> int:
        try:
            pid = int((self.seat.folder / "run" / f"{name}.pid").read_text())
        except (FileNotFoundError, ValueError):
            return 0
        return pid if pid != self._last.get(name) and Path(f"/proc/{pid}").exists() else 0
