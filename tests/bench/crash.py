"""`./dev bench crash --rounds N`: processes killed and power cut under load; nothing that was answered 250 is lost.

A round counts only if a letter was between the first byte of its DATA and its settling at that moment: the node is
stopped, looked at, and hit as it stands (killing.py); where letters were is printed as a histogram. Three parts, each
with the same load: N kills of doors, spooler, keeper, carrier or the whole node; N power cuts (power.py); and the
control, power cuts with fsync off, which must lose letters.

Figures: `rounds` (kills), `cuts`, `lost`, `filed_twice` (both 0), `wire_duplicates` with each cause counted
(RFC 1047: the sender's final dot or the carrier's had no answer), `control_lost` (more than 0). There is no peer: what
is promised is 0.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from gateway.demo.processes import new_folder
from gateway.demo.running import Company
from tests.bench import killing, power
from tests.bench.killing import Killer
from tests.bench.load import Load
from tests.bench.power import Control, Cutter, NoDisk
from tests.bench.scene import Account, Scene, scene

SUMMED = (
    "answered", "lost", "documents", "not_filed", "filed_twice", "wire_duplicates", "wire_duplicates_sender_sent_again",
    "wire_duplicates_carrier_died", "wire_duplicates_unexplained", "kept_unasked",
)  # fmt: skip


def bench(arguments: list[str]) -> dict[str, Any]:
    """Runs it and answers figures. Raises SystemExit where a store does not hold."""
    asked = _asked(arguments)
    figures: Counter[str] = Counter(dict.fromkeys(SUMMED, 0))
    conditions = _conditions(asked)
    if asked.rounds:
        figures.update(_kills(asked))
    if asked.cuts or asked.control:
        try:
            figures.update(_power(asked))
        except NoDisk as why:
            conditions["power_cut"] = f"left out: {why}"
            _say(f"power cuts are left out: {why}")
    return {"peer": "", "ratios": {}, "figures": dict(figures), "conditions": conditions}


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench crash")
    parser.add_argument("--rounds", type=int, default=20, help="kills, and power cuts unless --cuts says otherwise")
    parser.add_argument("--cuts", type=int, default=None, help="power cuts")
    parser.add_argument("--control", type=int, default=3, help="power cuts with fsync off, at least until one is lost")
    parser.add_argument("--seconds", type=float, default=0, help="no new round of a part after so long; 0: no limit")
    parser.add_argument("--clients", type=int, default=4, help="who send letters at once")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    asked.cuts = asked.rounds if asked.cuts is None else asked.cuts
    return asked


def _conditions(asked: argparse.Namespace) -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "clients": asked.clients,
        "seed": asked.seed,
        "a_round": "the node stopped, a letter seen between its first DATA byte and its settling, then hit",
        "power_cut": "ext4 on a loop file on btrfs; cut: reflink copy while the node stands still; restart on the copy",
        "control": "the same with libeatmydata in the node's processes",
        "with_document": "1 letter in 6, filed to a dossier",
    }


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


# --- kills --------------------------------------------------------------------------------------------------


def _kills(asked: argparse.Namespace) -> dict[str, int]:
    folder = new_folder("pli-c-")
    with scene(folder / "s") as played:
        orphan = _orphan(played)
        load = played.load(f"kills {asked.seed}", asked.clients)
        killer = Killer(played.company, played.lilas, random.Random(f"{asked.seed} killer"))
        load.start()
        begun = time.monotonic()
        for number in range(1, asked.rounds + 1):
            target = killer.strike(played, load)
            if number % 10 == 0 or number == asked.rounds:
                _say(f"kill {number} of {asked.rounds} ({target}): {len(load.answered)} letters answered")
            if _over(asked, begun):
                break
        figures = _judged(played, load, "kills")
        struck = ", ".join(f"{times} {target}" for target, times in sorted(killer.killed.items()))
        _say(f"killed: {struck}; {killer.aim.missed} looks found nothing under way and do not count")
        _told(killer.hit, "letters hit by a kill, by state")
        if killer.killed["spooler"] + killer.killed["node"] and orphan.exists():
            raise SystemExit("bench: what a crash leaves was not swept")
    shutil.rmtree(folder)
    hits = {f"killed_{name}": times for name, times in killer.killed.items()}
    return figures | {"rounds": sum(killer.killed.values()), "letters_hit": sum(killer.hit.values())} | hits


def _orphan(played: Scene) -> Path:
    """A body as a crash leaves it: half written, by nobody who lives, two hours ago."""
    bodies = played.lilas.folder / "data" / "bodies"
    left = bodies / "ab" / f"{'ab' * 16}.part"
    left.write_bytes(b"half")
    shutil.chown(left, bodies.stat().st_uid, bodies.stat().st_gid)
    os.utime(left, (time.time() - 7200,) * 2)
    return left


def _over(asked: argparse.Namespace, begun: float) -> bool:
    return bool(asked.seconds) and time.monotonic() - begun > asked.seconds


def _judged(played: Scene, load: Load, part: str) -> dict[str, int]:
    load.finish()
    released = played.quiet()
    account: Account = played.account(load)
    figures = account.figures()
    _say(f"{part}: {', '.join(f'{name} {value}' for name, value in figures.items())}, set aside {released}")
    played.verified()
    return figures


def _told(hit: Counter[str], title: str) -> None:
    print(title)
    most = max(hit.values(), default=1)
    for state, letters in hit.most_common():
        print(f"  {state:<28} {letters:>6} {'#' * max(1, 50 * letters // most)}")


# --- power --------------------------------------------------------------------------------------------------


def _power(asked: argparse.Namespace) -> dict[str, int]:
    folder = new_folder("pli-p-")
    kept: list[power.Disk] = []

    def place(company: Company) -> None:
        made = power.Disk(folder / "disk", company.stage.seats["lilas"].folder / "data")
        kept.append(made)
        made.at.mkdir()
        made.make()

    try:
        with scene(folder / "s", place) as played:
            figures = _cuts(asked, played, kept[0])
            killing.gone(played.lilas)
    finally:
        for made in kept:
            made.end()
        shutil.rmtree(folder, ignore_errors=True)
    return figures


def _cuts(asked: argparse.Namespace, played: Scene, disk: power.Disk) -> dict[str, int]:
    os.sync()
    disk.cut("pristine")
    load = played.load(f"cuts {asked.seed}", asked.clients)
    cutter = Cutter(played, disk, random.Random(f"{asked.seed} cutter"))
    load.start()
    begun = time.monotonic()
    for number in range(1, asked.cuts + 1):
        cutter.strike(load)
        if number % 10 == 0 or number == asked.cuts:
            _say(f"power cut {number} of {asked.cuts}: {len(load.answered)} letters answered")
        if _over(asked, begun):
            break
    figures = _judged(played, load, "power cuts")
    _told(cutter.hit, "letters hit by a power cut, by state")
    return figures | {"cuts": cutter.cuts, "letters_cut": sum(cutter.hit.values())} | _control(asked, played, disk)


MOST_CONTROLS = 12
"""So many without a loss, and the control has failed."""


def _control(asked: argparse.Namespace, played: Scene, disk: power.Disk) -> dict[str, int]:
    control = Control(played, disk)
    while control.rounds < asked.control or (asked.control and not control.lost and control.rounds < MOST_CONTROLS):
        control.play(f"control {asked.seed} {control.rounds}")
        _say(f"control {control.rounds}: {control.lost} of {control.answered} letters lost without fsync")
    return {
        "control_cuts": control.rounds,
        "control_lost": control.lost,
        "control_answered": control.answered,
        "control_not_started": control.not_started,
    }
