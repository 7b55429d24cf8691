"""What custody costs in CPU time: letters kept, claimed, noted and settled through a spooler in a process of its own.

Ours: clients keep letters, the product's own carrier claims and settles them; its courier notes two releases of a key
per letter, as the keeper does, and delivers nothing. Bodies, doors and wire are left out. The peer: one loop on
Python's sqlite3 that writes the very rows that ours left, into the same schema with the same settings, in as many
transactions (so as many syncs); it has no process, socket, chain, lease or refusal. By turns, in several rounds;
medians count. CPU time only: on a shared machine the wall clock says nothing. Steps: each write by its name, inside
`enqueue`, which also holds begin, savepoint, commit and sync. Nothing here is asserted anywhere.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event

from certs import meter
from gateway.demo.processes import new_folder
from relay import journal, spool
from relay.carrier import Carrier, Pace
from relay.model import (
    BodyRef,
    Courier,
    Done,
    Door,
    DoorProof,
    Event,
    Job,
    Letter,
    Mode,
    Outcome,
    Recipient,
    Route,
    State,
    Verdict,
    new_id,
)
from relay.spooler import SpoolClient, Spooler, Write
from relay.store import tables
from relay.store.engine import reader_engine, writer_engine
from relay.store.migrations import upgrade

TENANT, TARGET = "lilas", "mx.parc.mssante.example"
RELEASES = ("key-unwrapped", "key-used")
OPEN = "SELECT count(*) FROM recipients WHERE state != 'done'"


def bench(arguments: list[str]) -> dict[str, Any]:
    """CPU milliseconds per letter: the spooler's whole, by write, its clients'; and those of the bare loop."""
    asked = _asked(arguments)
    rounds: list[dict[str, float]] = []
    _round(asked.letters // 4 + 1, asked)  # nobody's first letter counts
    for number in range(1, asked.rounds + 1):
        rounds.append(_round(asked.letters, asked))
        told = f"{rounds[-1]['cpu_ms_spooler']:.2f} ms, bare {rounds[-1]['cpu_ms_bare']:.2f} ms per letter"
        print(f"round {number} of {asked.rounds}: {told}", file=sys.stderr, flush=True)
    figures = {name: statistics.median(each[name] for each in rounds) for name in sorted(rounds[0])}
    ratio = statistics.median(each["cpu_ms_bare"] / each["cpu_ms_spooler"] for each in rounds)
    return {
        "peer": "bare sqlite3 loop: the same rows, schema, settings and number of transactions; no process or chain",
        "ratios": {"cpu_of_bare_loop": round(ratio, 4)},
        "figures": {name: round(value, 3) for name, value in figures.items()},
        "conditions": _conditions(asked),
    }


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench custody")
    parser.add_argument("--letters", type=int, default=400, help="per round")
    parser.add_argument("--sessions", type=int, default=4, help="clients that keep letters at once")
    parser.add_argument("--threads", type=int, default=16, help="of the carrier")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args(arguments)


def _conditions(asked: argparse.Namespace) -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "settings": "journal_mode WAL, synchronous FULL, on both sides",
        "letters": asked.letters,
        "sessions": asked.sessions,
        "threads": asked.threads,
        "rounds": asked.rounds,
    }


def _round(count: int, asked: argparse.Namespace) -> dict[str, float]:
    folder = new_folder("pli-c-")
    try:
        told = _ours(folder, count, asked)
        bare = _bare(folder, round(told.pop("commits") * count))
        return told | {"cpu_ms_bare": 1000 * bare / count}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# --- ours ---------------------------------------------------------------------------------------------------


def _ours(folder: Path, count: int, asked: argparse.Namespace) -> dict[str, float]:
    """Per letter: milliseconds, transactions."""
    url = f"sqlite:///{folder / 'ours.db'}"
    upgrade(url, [tables.metadata])
    with _spooler(url, folder / "s") as report:
        begun = time.process_time()
        _carry(url, SpoolClient(folder / "s"), count, asked)
        spent = time.process_time() - begun
        told = report()
    figures = {f"cpu_ms_{name}": 1000 * value / count for name, value in told["cpu_s"].items()}
    figures |= {f"{name}_per_letter": value / count for name, value in told["times"].items()}
    return figures | {"cpu_ms_clients": 1000 * spent / count, "commits": told["times"]["commits"] / count}


@contextmanager
def _spooler(url: str, socket: Path) -> Iterator[Callable[[], dict[str, Any]]]:
    """A spooler in a process of its own; yields what ends it and answers its account."""
    command = [sys.executable, "-m", "tests.bench.custody", url, str(socket)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            if process.stdout.readline().strip() != "ready":
                raise SystemExit("bench: the spooler did not start")
            yield lambda: json.loads(process.communicate(timeout=60)[0])
        finally:
            process.kill()


def _no_body(_letter: Letter) -> bytes:
    """This courier reads none, and the carrier asks for none."""
    raise AssertionError("no letter of this bench is opened")


@dataclass(frozen=True)
class _Discard:
    """Two releases on the journal, each before what it released is used; then done."""

    records: journal.SpoolJournal

    def deliver(self, job: Job) -> dict[str, Outcome]:
        for name in RELEASES:
            facts = (("key", "f" * 64), ("address", job.letter.sender))
            self.records.add(job.letter.tenant, [Event(name, job.letter.id, facts=facts)])
        return {each.id: Done("250 2.0.0 queued as 4XYZ") for each in job.recipients}


def _carry(url: str, client: SpoolClient, count: int, asked: argparse.Namespace) -> None:
    engine, stop, now = reader_engine(url), threading.Event(), _now
    couriers: dict[Mode, Courier] = {Mode.PEER_SIGNED: _Discard(journal.SpoolJournal(client))}
    carrier = Carrier(client, engine, _no_body, couriers, lambda *_: False, now, "bench", Pace(asked.threads))
    carrying = threading.Thread(target=carrier.run, args=(stop,))
    keeping = [threading.Thread(target=_keep, args=(client, count, asked.sessions, n)) for n in range(asked.sessions)]
    for each in (carrying, *keeping):
        each.start()
    for each in keeping:
        each.join()
    with closing(sqlite3.connect(engine.url.database or "", uri=True)) as store:
        while store.execute(OPEN).fetchone()[0]:
            time.sleep(0.02)
    stop.set()
    carrying.join()
    engine.dispose()


def _now() -> datetime:
    return datetime.now(UTC)


def _keep(client: SpoolClient, count: int, sessions: int, share: int) -> None:
    for _ in range(share, count, sessions):
        letter, rows = _letter(_now())
        events = [Event("accepted", letter.id, facts=(("door", "submission"), ("size", "278000")))]
        events += [Event("routed", letter.id, each.id, (("mode", each.route.mode.value),)) for each in rows]
        spool.keep(client, letter, rows, events)


def _letter(now: datetime) -> tuple[Letter, tuple[Recipient, ...]]:
    id = new_id(now)
    body = BodyRef("a" * 32, 278_000, "b" * 64)
    trace = f"Received: from poste ([10.1.2.3]) by mss.lilas.example with ESMTPSA id {id}\r\n"
    proof = DoorProof(account="marie.martin", tls="TLSv1.3")
    sender = "marie.martin@lilas.mssante.example"
    letter = Letter(id, TENANT, Door.SUBMISSION, sender, f"<{id}@lilas>", body, now, trace, Verdict(), proof)
    route = Route(Mode.PEER_SIGNED, TARGET, "mssante")
    return letter, (Recipient(f"{id}-1", id, TENANT, "paul.durand@parc.mssante.example", route, State.QUEUED),)


# --- the bare loop ------------------------------------------------------------------------------------------


def _bare(folder: Path, transactions: int) -> float:
    """CPU seconds of writing what ours wrote, spread evenly over as many transactions."""
    upgrade(f"sqlite:///{folder / 'bare.db'}", [tables.metadata])
    with closing(sqlite3.connect(folder / "ours.db")) as ours:
        rows = {name: ours.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in _ORDER}  # noqa: S608
    # a recipient's row is written again by the claim and by the settlement
    writes = [(_insert(name, row), row) for name in _ORDER for row in rows[name]]
    writes += [(_AGAIN, (state, row[0], row[1])) for state in ("running", "done") for row in rows["recipients"]]
    with closing(sqlite3.connect(folder / "bare.db", isolation_level=None)) as store:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            store.execute(f"PRAGMA {pragma}")
        begun = time.process_time()
        for number in range(transactions):
            store.execute("BEGIN IMMEDIATE")
            first, end = (len(writes) * place // transactions for place in (number, number + 1))
            for statement, row in writes[first:end]:
                store.execute(statement, row)
            store.execute("COMMIT")
        return time.process_time() - begun


_ORDER = ("letters", "recipients", "journal")
_AGAIN = "UPDATE recipients SET state = ?, attempts = attempts + 1 WHERE tenant = ? AND id = ?"


def _insert(table: str, row: tuple[Any, ...]) -> str:
    return f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})"  # noqa: S608 (a name of our own)


# --- in the spooler's process -------------------------------------------------------------------------------


def _serve(url: str, socket: str) -> None:
    """Until its standard input ends; then the account on standard output."""
    stop, commits = threading.Event(), [0]
    engine = writer_engine(url)

    @event.listens_for(engine, "commit")
    def _committed(_connection: Connection) -> None:
        commits[0] += 1

    writes = {name: _metered(name.removeprefix("relay."), write) for name, write in spool.WRITES.items()}
    spooler = Spooler(engine, Path(socket), writes, _now)
    serving = threading.Thread(target=spooler.serve, args=(stop,))
    serving.start()
    spooler.ready.wait()
    before = _spent()
    print("ready", flush=True)
    sys.stdin.read()
    spent = _spent() - before
    stop.set()
    serving.join()
    counted = meter.totals()
    account = {
        "cpu_s": {"spooler": spent, **{name: cpu for name, (_, cpu) in counted.items()}},
        "times": {"commits": commits[0], "writes": sum(n for name, (n, _) in counted.items() if name != "enqueue")},
    }
    print(json.dumps(account), flush=True)


def _metered(name: str, write: Write) -> Write:
    def metered(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> Any:
        with meter.step(name):
            return write(conn, tenant, params, now)

    return metered


def _spent() -> float:
    """User and system CPU seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    _serve(*sys.argv[1:])
