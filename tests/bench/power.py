"""Power cuts: the node's data lie on a small disk, of which a snapshot is taken in mid-work and put in its place.

The disk is an ext4 in a file that lies on a btrfs, which lies in a file too; the cut is a reflink copy of the inner
file, atomic and made in milliseconds. It holds what the file system had handed to its disk by then and nothing of what
waited in memory: as if the disk kept each write that it had answered. (A disk that loses what it answered, unless told
to flush, is not played.) The node, all of it, stands still meanwhile, so that it answers nobody after the cut; then it
is killed, the snapshot is mounted, its journal replayed by the kernel, and the node started on it.

The control is the same with fsync and its kin made void in the node (libeatmydata): it must lose letters, or the cut
would show nothing. Needs root and loop devices.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from gateway.demo.processes import ServerTrouble, give
from gateway.demo.running import our_account
from tests.bench import killing
from tests.bench.load import Load
from tests.bench.scene import Scene, until

WITHOUT_FSYNC = "libeatmydata.so"


class NoDisk(Exception):
    """Why no power can be cut here."""


@dataclass(frozen=True)
class Disk:
    """One small disk at `at`, and its snapshots."""

    folder: Path
    at: Path

    @property
    def _outer(self) -> Path:
        return self.folder / "outer"

    @property
    def _image(self) -> Path:
        return self._outer / "disk.img"

    def make(self, outer_gb: int = 12, inner_gb: int = 4) -> None:
        """Sparse files: what is not written takes no place. Raises NoDisk."""
        if os.geteuid() != 0:
            raise NoDisk("it needs root, to mount disks")
        self._outer.mkdir(parents=True)
        os.truncate(_touched(self.folder / "outer.img"), outer_gb << 30)
        _run("mkfs.btrfs", "-q", str(self.folder / "outer.img"))
        _run("mount", "-o", "loop", str(self.folder / "outer.img"), str(self._outer))
        os.truncate(_touched(self._image), inner_gb << 30)
        _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(self._image))
        self.mount()

    def mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.at))
        give(self.at, our_account())

    def cut(self, name: str) -> None:
        """The disk as it is at this moment."""
        _run("cp", "--reflink=always", str(self._image), str(self._outer / f"{name}.img"))

    def put(self, name: str) -> None:
        """In the place of the disk: the snapshot, of which nothing is kept."""
        self.unmount()
        os.replace(self._outer / f"{name}.img", self._image)
        self.mount()

    def put_copy(self, name: str) -> None:
        """As `put`; the snapshot stays, for another time."""
        _run("cp", "--reflink=always", str(self._outer / f"{name}.img"), str(self._outer / "again.img"))
        self.put("again")

    def unmount(self) -> None:
        """Lazily: who still ends in there keeps what he has, and nothing is stacked upon it."""
        subprocess.run(["umount", "-l", str(self.at)], check=False, capture_output=True)

    def end(self) -> None:
        self.unmount()
        subprocess.run(["umount", "-l", str(self._outer)], check=False, capture_output=True)


def _touched(path: Path) -> Path:
    path.touch()
    return path


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NoDisk(f"{command[0]} is not installed (./dev setup brings it)") from None
    if done.returncode:
        raise NoDisk(f"{' '.join(command[:2])}: {done.stderr.strip().splitlines()[-1:]}")


# --- cuts under load ----------------------------------------------------------------------------------------


@dataclass
class Cutter:
    """Cuts the power of one node, again and again."""

    scene: Scene
    disk: Disk
    dice: random.Random
    cuts: int = 0
    hit: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.aim = killing.Aim(self.dice, patience_s=20.0)  # a node that starts anew each time is slow to get work

    def strike(self, load: Load) -> None:
        """One cut at a moment when a letter is under way; the node runs again on what was on the disk."""
        time.sleep(self.dice.uniform(0, 0.8))
        self.aim.choose()
        until(lambda: self._cut(load), "a letter between its first DATA byte and its settling")
        self.disk.put("cut")
        self.scene.company.start_node(self.scene.lilas)
        self.cuts += 1

    def _cut(self, load: Load) -> bool:
        if load.surprises:
            raise load.surprises[0]
        if not self.aim.suits(killing.states(self.scene, load)):
            return False
        with killing.still(self.scene.lilas) as pids:
            found = killing.states(self.scene, load)
            if not self.aim.suits(found):
                return False
            self.disk.cut("cut")
            killing.kill(pids)
        killing.gone(self.scene.lilas)
        self.hit.update(found)
        return True


# --- the control --------------------------------------------------------------------------------------------


@dataclass
class Control:
    """The same without fsync, each round on the disk as it was before the first letter."""

    scene: Scene
    disk: Disk
    rounds: int = 0
    lost: int = 0
    answered: int = 0
    not_started: int = 0
    """Rounds after which the node did not start on what was left."""

    def play(self, seed: str, least: int = 8) -> None:
        self._anew()
        load = self.scene.load(seed, clients=6)
        load.start()
        until(lambda: len(load.answered) >= least and self._waiting(), "letters in custody")
        with killing.still(self.scene.lilas) as pids:
            self.disk.cut("cut")
            killing.kill(pids)
        killing.gone(self.scene.lilas)
        load.give_up()
        self._judge(load)

    def _waiting(self) -> bool:
        """A letter was answered, and its way is not ended."""
        with killing.still(self.scene.lilas):
            return any(" " in state for state in killing.states(self.scene, Load(self.scene.lilas, Path(), "")))

    def _anew(self) -> None:
        killing.gone(self.scene.lilas)
        self.disk.put_copy("pristine")
        self.scene.company.start_node(self.scene.lilas, {"LD_PRELOAD": WITHOUT_FSYNC})

    def _judge(self, load: Load) -> None:
        self.disk.put("cut")
        self.rounds += 1
        self.answered += len(load.answered)
        try:
            self.scene.company.start_node(self.scene.lilas)
            self.scene.quiet()
        except (ServerTrouble, SystemExit):
            self.not_started += 1
        delivered = self.scene.mailbox()
        self.lost += sum(1 for name in load.answered if not delivered[name])
