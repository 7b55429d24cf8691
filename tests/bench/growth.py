"""CPU time per letter as what lies beside it grows: a queue of many destinations, some dead, a long journal, and a
large directory.

Each size has a store of its own, filled before the clock runs: letters that wait for their next attempt at 500
destinations, of which 50 are dead; or journal rows. Then, by turns and in several rounds, letters are kept, claimed,
noted and settled through a spooler in a process of its own by the product's carrier, as in the bench `custody`; counted
is the CPU time of both. A directory is asked for one recipient a letter (tests.bench.resolving). A ratio is the CPU at
the smallest size over that at the largest, of the same round; medians count; 1 is flat, and 0.91 is 10 % more. With
--write the table and its plot go to docs/.

In full: ./dev bench growth --full --write
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sqlite3
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.demo.processes import new_folder
from relay import journal
from relay.carrier import Carrier, Pace
from relay.model import Courier, Mode
from relay.spooler import SpoolClient
from relay.store import tables
from relay.store.engine import reader_engine
from relay.store.migrations import upgrade
from tests.bench import custody, resolving
from tests.bench.drawing import page

DESTINATIONS, DEAD = 500, 50
SIZES = {
    "queue": (0, 1_000, 5_000, 20_000),
    "journal": (0, 10_000, 100_000, 500_000),
    "directory": (500, 5_000, 20_000),
}
FULL = {
    "queue": (0, 1_000, 10_000, 100_000),
    "journal": (0, 100_000, 1_000_000, 10_000_000),
    "directory": (1_000, 10_000, 100_000, 600_000),
}
DONE = "SELECT count(*) FROM recipients WHERE state = 'done'"
DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


def bench(arguments: list[str]) -> dict[str, Any]:
    asked = _asked(arguments)
    folder = new_folder("pli-g-")
    try:
        found = {what: _grown(folder / what, what, sizes, asked) for what, sizes in asked.sizes.items()}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    conditions = _conditions(asked)
    if asked.write:
        page(DOCS, found, conditions)
    figures = {
        f"{what}_{size}_cpu_ms": round(statistics.median(rounds), 3)
        for what, sizes in found.items()
        for size, rounds in sizes.items()
    }
    return {"peer": "", "ratios": _ratios(found), "figures": figures, "conditions": conditions}


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench growth")
    parser.add_argument("--letters", type=int, default=300, help="per round and size")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument(
        "--full",
        action="store_true",
        help="queue 100,000, journal 10 million, directory 600,000",
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the sizes")
    parser.add_argument("--write", action="store_true", help="docs/growth.md and docs/growth.svg")
    asked = parser.parse_args(arguments)
    chosen = FULL if asked.full else SIZES
    asked.sizes = {what: tuple(round(size * asked.share) for size in sizes) for what, sizes in chosen.items()}
    return asked


def _conditions(asked: argparse.Namespace) -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "letters": asked.letters,
        "rounds": asked.rounds,
        "destinations": DESTINATIONS,
        "dead": DEAD,
        "measure": "CPU of spooler, carrier and clients per letter kept, claimed, noted twice and settled",
    }


def _ratios(found: Mapping[str, Mapping[int, Sequence[float]]]) -> dict[str, float]:
    told = {}
    for what, sizes in found.items():
        least, most = sizes[min(sizes)], sizes[max(sizes)]
        told[f"{what}_flat"] = round(statistics.median(a / b for a, b in zip(least, most, strict=True)), 3)
    return told


def _grown(folder: Path, what: str, sizes: Sequence[int], asked: argparse.Namespace) -> dict[int, list[float]]:
    """CPU milliseconds per letter, by size and round."""
    folder.mkdir()
    folder.chmod(0o711)
    if what == "directory":
        with resolving.regions(folder, sizes, asked.letters) as measure:
            return _rounds(what, sizes, asked.rounds, measure)
    for size in sizes:
        _filled(folder / f"{size}.db", what, size)
        _cpu_ms(folder, size, asked, asked.letters // 4 + 1)  # nobody's first letter counts
    return _rounds(what, sizes, asked.rounds, lambda size: _cpu_ms(folder, size, asked, asked.letters))


def _rounds(what: str, sizes: Sequence[int], rounds: int, measure: Callable[[int], float]) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {size: [] for size in sizes}
    for number in range(1, rounds + 1):
        for size in sizes if number % 2 else reversed(sizes):
            found[size].append(measure(size))
        told = ", ".join(f"{size}: {each[-1]:.2f} ms" for size, each in found.items())
        print(f"{what}, round {number} of {rounds}: {told}", file=sys.stderr, flush=True)
    return found


# --- what lies there --------------------------------------------------------------------------------------------


def _filled(path: Path, what: str, size: int) -> None:
    upgrade(f"sqlite:///{path}", [tables.metadata])
    with closing(sqlite3.connect(path)) as store:
        for table, rows in (_queue(size) if what == "queue" else _journal(size)).items():
            columns = list(getattr(tables, table).columns.keys())
            insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
            store.executemany(insert, (tuple(row.get(column, "") for column in columns) for row in rows))
        store.commit()


def _queue(size: int) -> dict[str, Iterator[dict[str, Any]]]:
    """Letters that were tried once and wait an hour; every tenth destination is dead as long."""
    if not size:
        return {}
    now, later = datetime.now(UTC).replace(tzinfo=None), datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=2)
    moment, due = now.isoformat(" ", "microseconds"), later.isoformat(" ", "microseconds")
    lane = [f"peer-signed d{n}.example" for n in range(DESTINATIONS)]
    end = [f"peer d{n}.example" for n in range(DESTINATIONS)]

    def letters() -> Iterator[dict[str, Any]]:
        for n in range(size):
            yield {"tenant": "t", "id": f"w{n:08}", "door": "submission", "sender": "a@t.example", "body_size": 1000,
                   "message_id": f"<{n}@t>", "received_at": moment, "verdict": "{}", "proof": "{}",
                   "require_tls": 0, "utf8": 0}  # fmt: skip

    def waiting() -> Iterator[dict[str, Any]]:
        for n in range(size):
            of = n % DESTINATIONS
            yield {"tenant": "t", "id": f"w{n:08}-0", "letter_id": f"w{n:08}", "address": f"b@d{of}.example",
                   "mode": "peer-signed", "target": f"d{of}.example", "lane": lane[of], "rule": "mssante",
                   "state": "queued", "attempts": 1, "lapses": 0, "queued_at": moment, "due_at": due,
                   "settled_at": None, "lease_until": None, "reason": "peer.unreachable"}  # fmt: skip

    lanes = ({"tenant": "t", "lane": lane[n], "destination": end[n], "due_at": due} for n in range(DESTINATIONS))
    dead = ({"tenant": "", "destination": end[n], "width": 1.0, "failures": 4, "until": due, "answered_at": None}
            for n in range(0, DESTINATIONS, DESTINATIONS // DEAD))  # fmt: skip
    return {"letters": letters(), "recipients": waiting(), "lanes": lanes, "destinations": dead}


def _journal(size: int) -> dict[str, Iterator[dict[str, Any]]]:
    """Rows of the writer's own chain; their hashes are nobody's."""
    moment = datetime.now(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")

    def rows() -> Iterator[dict[str, Any]]:
        for n in range(1, size + 1):
            yield {"chain": journal.CHAIN, "number": n, "tenant": "t", "at": moment, "event": "accepted",
                   "letter_id": f"j{n // 5:08}", "recipient_id": f"j{n // 5:08}-0", "facts": '{"door": "submission"}',
                   "previous": f"{n - 1:064x}", "hash": f"{n:064x}"}  # fmt: skip

    return {"journal": rows()} if size else {}


# --- letters ----------------------------------------------------------------------------------------------------


def _cpu_ms(folder: Path, size: int, asked: argparse.Namespace, letters: int) -> float:
    url = f"sqlite:///{folder / f'{size}.db'}"
    with custody._spooler(url, folder / "s") as report:
        begun = time.process_time()
        _carry(url, SpoolClient(folder / "s"), letters, asked)
        spent = time.process_time() - begun
        told = report()
    return 1000 * (spent + float(told["cpu_s"]["spooler"])) / letters


def _carry(url: str, client: SpoolClient, letters: int, asked: argparse.Namespace) -> None:
    engine, stop = reader_engine(url), threading.Event()
    couriers: dict[Mode, Courier] = {Mode.PEER_SIGNED: custody._Discard(journal.SpoolJournal(client))}
    carrier = Carrier(
        client, engine, custody._no_body, couriers, lambda *_: False, custody._now, "bench", Pace(asked.threads)
    )
    carrying = threading.Thread(target=carrier.run, args=(stop,))
    shares = [(client, letters, asked.sessions, n) for n in range(asked.sessions)]
    keeping = [threading.Thread(target=custody._keep, args=share) for share in shares]
    with closing(sqlite3.connect(engine.url.database or "", uri=True)) as store:
        before = store.execute(DONE).fetchone()[0]
        for each in (carrying, *keeping):
            each.start()
        for each in keeping:
            each.join()
        while store.execute(DONE).fetchone()[0] < before + letters:
            time.sleep(0.05)
    stop.set()
    carrying.join()
    engine.dispose()
