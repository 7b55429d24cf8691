"""What a claim and its settlements cost in CPU time per letter, as the queue grows: 100,000 letters, 500 destinations,
of which 50 are dead, of four tenants, against a short queue of few.

The product's own writes (relay.claim, relay.settle), called as the spooler calls them, in one process, on SQLite as it
serves; no letter is carried anywhere, no socket is in it. Each round takes as many letters from a small queue as from a
large one, by turns; medians count. CPU time of this thread alone; the sync of each commit waits and costs little.
Ratios are large over small: 1 is flat. Nothing here is asserted anywhere.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sqlite3
import statistics
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, insert

from gateway.demo.processes import new_folder
from relay import settlement, spool
from relay.feedback import Standing
from relay.model import (
    BodyRef,
    Done,
    Door,
    DoorProof,
    Letter,
    Mode,
    Recipient,
    Route,
    State,
    Verdict,
    new_id,
)
from relay.schedule import FACTORY
from relay.spooler import MEMO
from relay.store import lanes, tables
from relay.store.engine import writer_engine
from relay.store.migrations import upgrade
from relay.store.rows import letter_row, recipient_row

TENANTS = ("lilas", "parc", "bois", "pins")


def bench(arguments: list[str]) -> dict[str, Any]:
    """CPU milliseconds per letter taken and settled, of a small and of a large queue."""
    asked = _asked(arguments)
    folder = new_folder("pli-l-")
    try:
        small = _Queue(folder / "small.sqlite", 2 * asked.letters * asked.rounds, 10, 1)
        large = _Queue(folder / "large.sqlite", asked.queue, asked.destinations, asked.dead)
        rounds = [(small.carry(asked.letters), large.carry(asked.letters)) for _ in range(asked.rounds)]
        kept = [(small.keep(asked.letters), large.keep(asked.letters)) for _ in range(asked.rounds)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    told = {"small": statistics.median(s for s, _ in rounds), "large": statistics.median(b for _, b in rounds)}
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    return {
        "ratios": {"cpu_of_growth": _ratio(rounds), "keep": _ratio(kept)},
        "figures": {f"cpu_ms_{name}": round(value, 3) for name, value in told.items()},
        "conditions": vars(asked) | machine,
    }


def _ratio(rounds: list[tuple[float, float]]) -> float:
    return round(statistics.median(large / small for small, large in rounds), 3)


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench lanes")
    parser.add_argument("--queue", type=int, default=100_000)
    parser.add_argument("--destinations", type=int, default=500)
    parser.add_argument("--dead", type=int, default=50)
    parser.add_argument("--letters", type=int, default=300, help="taken in each round")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args(arguments)


class _Queue:
    """A store with letters that wait, of which some destinations are dead."""

    def __init__(self, path: Path, letters: int, destinations: int, dead: int) -> None:
        url = f"sqlite:///{path}"
        upgrade(url, [tables.metadata])
        self.engine: Engine = writer_engine(url)
        self.at, self.destinations = datetime.now(UTC), destinations
        print(f"filling a queue of {letters} for {destinations} destinations", file=sys.stderr, flush=True)
        self._fill(letters, destinations)
        self._learn(destinations, dead)

    def _fill(self, letters: int, destinations: int) -> None:
        for first in range(0, letters, 2000):
            with self.engine.begin() as conn:
                rows = [_letter(n, destinations, self.at) for n in range(first, min(letters, first + 2000))]
                conn.execute(insert(tables.letters), [letter_row(each) for each, _ in rows])
                conn.execute(insert(tables.recipients), [recipient_row(row, self.at) for _, row in rows])
                conn.info[MEMO] = {}
                lanes.wake(conn, [recipient_row(row, self.at) for _, row in rows], self.at)

    def _learn(self, destinations: int, dead: int) -> None:
        """Some failed until they were dead, and the clock stands before their probes; the others went well for long."""
        with self.engine.begin() as conn:
            for number in range(destinations):
                name = f"peer d{number}.example"
                known = Standing(1.0, 2, self.at + timedelta(hours=1)) if number < dead else Standing(8.0)
                lanes.learn(conn, name, lanes.standing(conn, name), known, "peer.unreachable", self.at)

    def carry(self, count: int) -> float:
        """CPU milliseconds for each of `count` letters, taken sixteen at a time as the carrier does."""
        done, begun = 0, time.thread_time()
        while done < count:
            claims = self._write("relay.claim", "", worker="w", limit=16, lease_s=60, per_target=8)
            for each in claims:
                self._settle(each)
            done += len(claims)
            assert claims, "nothing is left to take"
        return 1000 * (time.thread_time() - begun) / done

    def _settle(self, claimed: dict[str, Any]) -> None:
        ids = [row["id"] for row in claimed["recipients"]]
        told = settlement.pack({each: Done("250 2.0.0 kept") for each in ids})
        tenant, policy = claimed["letter"]["tenant"], asdict(FACTORY)
        parts = {"lease": claimed["lease"], "ids": ids, "outcomes": told, "events": [], "policy": policy}
        self._write("relay.settle", tenant, worker="w", per_target=8, **parts)

    def keep(self, count: int) -> float:
        """CPU milliseconds for each of `count` letters that come in meanwhile."""
        begun = time.thread_time()
        for n in range(count):
            letter, row = _letter(10_000_000 + n, self.destinations, self.at)
            parts = spool.kept_parts(letter, [row], [])
            self._write("relay.keep", letter.tenant, **parts)
        return 1000 * (time.thread_time() - begun) / count

    def _write(self, name: str, tenant: str, **params: Any) -> Any:
        with self.engine.connect() as conn:
            conn.info[MEMO] = {}
            with conn.begin():
                return _run(conn, name, tenant, params, self.at)


def _run(conn: Connection, name: str, tenant: str, params: dict[str, Any], at: datetime) -> Any:
    return spool.WRITES[name](conn, tenant, params, at)


def _letter(number: int, destinations: int, at: datetime) -> tuple[Letter, Recipient]:
    tenant, target = TENANTS[number % len(TENANTS)], f"d{number % destinations}.example"
    id_ = new_id(at)
    letter = Letter(id_, tenant, Door.SUBMISSION, "a@lilas.example", f"<{number}@x>", BodyRef("b", 3, "d"), at,
                    "Received: x\r\n", Verdict(), DoorProof())  # fmt: skip
    route = Route(Mode.PEER_SIGNED, target, "bench")
    return letter, Recipient(new_id(at), id_, tenant, f"p@{target}", route, State.QUEUED)
