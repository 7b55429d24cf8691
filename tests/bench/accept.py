"""Accepting and queueing durably, delivering to discard: our door, spooler and carrier beside Postfix.

Both on one file system, both ask for TLS and for the client's certificate, 20 kept connections with each command group
pipelined. Ours: peers' door with the real intake, body store and spooler (white list, journal and sealed bodies on,
directory answers from memory as a cache does, scan off), two door processes as for two cores, and the product's carrier
with a courier that discards. Postfix: queue file, fsync, discard(8), in_flow_delay 0, no chroot. The clock runs from
the first letter until both queues are empty; by turns, medians of the rounds. A ratio is our rate over Postfix's. CPU
is that of each side's server processes; on a shared machine it says more than the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sqlite3
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from certs.chain import identity
from gateway.demo.postfix import Postfix
from gateway.demo.processes import Process, free_port, new_folder
from relay.carrier import Carrier, Pace
from relay.model import Courier, Done, Job, Mode, Outcome
from relay.spooler import SpoolClient
from relay.store.engine import reader_engine
from tests.bench import doorways
from tests.bench.doors import Client, letter
from tests.bench.doorways import OURS, PEER, Papers, Server, Watch

SIZES = {"5k": 5_000, "50k": 50_000, "200k": 200_000, "1m": 1_000_000}
"""Octets attached; a third more on the wire."""
COUNTS = {"5k": 400, "50k": 300, "200k": 160, "1m": 60}
UNSETTLED = "SELECT count(*) FROM recipients WHERE state != 'done'"
SETTINGS = {
    "transport_maps": f"inline:{{ {{ {OURS} = discard: }} }}",
    "virtual_mailbox_domains": "",
    "relay_domains": OURS,
    "in_flow_delay": "0",
}
QUEUES = ("maildrop", "incoming", "active", "deferred")


def bench(arguments: list[str]) -> dict[str, Any]:
    asked = _asked(arguments)
    folder = new_folder("pli-a-")
    try:
        shown = doorways.papers(folder)
        with ExitStack() as running:
            sides = [
                running.enter_context(ours(folder / "ours", shown)),
                running.enter_context(_postfix(folder, shown)),
            ]
            rounds = [_round(sides, number, shown, asked) for number in range(asked.rounds + 1)][1:]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _told(rounds, asked)


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench accept")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--share", type=float, default=1.0, help="of the letters of each round")
    return parser.parse_args(arguments)


def _told(rounds: list[dict[str, float]], asked: argparse.Namespace) -> dict[str, Any]:
    figures = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    ratios = {}
    for size in SIZES:
        rates = [each[f"ours_{size}_per_s"] / each[f"postfix_{size}_per_s"] for each in rounds]
        costs = [each[f"postfix_{size}_cpu_ms"] / each[f"ours_{size}_cpu_ms"] for each in rounds]
        ratios[f"accept_{size}"], ratios[f"accept_{size}_cpu"] = statistics.median(rates), statistics.median(costs)
    return {
        "peer": "Postfix: queue file, fsync, discard, in_flow_delay 0, no chroot",
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
        "figures": {name: round(value, 2) for name, value in figures.items()},
        "conditions": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "openssl": ssl.OPENSSL_VERSION,
            "rounds": asked.rounds,
            "connections": asked.connections,
            "letters": {size: max(1, round(count * asked.share)) for size, count in COUNTS.items()},
            "postfix": {**SETTINGS, "chroot": "n", "tls": "client certificate asked and checked by fingerprint"},
            "ours": "2 door processes, spooler, carrier of 16 threads; SQLite WAL FULL; white list, journal, sealed "
            "bodies on; directory from memory; scan off",
            "one_machine": "clients and both sides share these cores",
        },
    }


# --- one round --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    name: str
    ports: tuple[int, ...]
    server: Server
    waiting: Callable[[], int]


def _round(sides: list[Side], number: int, shown: Papers, asked: argparse.Namespace) -> dict[str, float]:
    found: dict[str, float] = {}
    for size, octets in SIZES.items():
        count = max(1, round(COUNTS[size] * asked.share * (0.2 if number == 0 else 1)))
        wire = letter(octets * 4 // 3)
        for side in sides if number % 2 else reversed(sides):
            watch = Watch(side.server)
            rate = _rate(side, wire, count, shown, asked.connections)
            spent = watch.spent_ms()
            found |= {f"{side.name}_{size}_per_s": rate, f"{side.name}_{size}_cpu_ms": spent / count}
    told = ", ".join(f"{name} {value:.1f}" for name, value in found.items())
    print(
        f"round {number} of {asked.rounds}{'' if number else ' (does not count)'}: {told}", file=sys.stderr, flush=True
    )
    return found


def _rate(side: Side, wire: bytes, count: int, shown: Papers, connections: int) -> float:
    """Letters a second, from the first until nothing waits; the connections stand before the clock runs."""
    many = min(connections, count)
    clients = [Client(side.ports[n % len(side.ports)], _context(shown)) for n in range(many)]
    shares = [count // many + (n < count % many) for n in range(many)]
    threads = [threading.Thread(target=_send, args=each) for each in zip(clients, [wire] * many, shares, strict=True)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while side.waiting():
        time.sleep(0.01)
    spent = time.monotonic() - begun
    for client in clients:
        client.close()
    return count / spent


def _send(client: Client, wire: bytes, count: int) -> None:
    for _ in range(count):
        client.letter(wire)


def _context(shown: Papers) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(shown.trust / "anchors" / "root.pem"))
    context.check_hostname = False
    context.load_cert_chain(*map(str, shown.pair("peer")))
    return context


# --- ours -------------------------------------------------------------------------------------------------------


class Discard:
    """As discard(8): looks at nothing."""

    def deliver(self, job: Job) -> dict[str, Outcome]:
        return {each.id: Done("discarded") for each in job.recipients}


@contextmanager
def ours(folder: Path, shown: Papers) -> Iterator[Side]:
    """In a session of its own, as Postfix is: the kernel shares the processor out by sessions (autogroup, sched(7))."""
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.bench.accept", str(folder), str(shown.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout
        try:
            said = process.stdout.readline()
            if not said:
                raise SystemExit("bench: our side did not start")
            told = json.loads(said)
            ports, store = tuple(told["ports"]), folder / "pli.sqlite"
            yield Side("ours", ports, Server(ports, lambda: list(told["pids"])), lambda: unsettled(store))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _serve(folder: Path, shown: Papers) -> None:
    """Spooler, two doors and the carrier, until SIGTERM; a line of JSON says where and who."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with ExitStack() as running:
        begun = [running.enter_context(doorways.started(role, folder, shown)) for role in ("spooler", "door", "door")]
        pids = [pid for each in begun for pid in each.pids()] + [running.enter_context(_carrier(folder))]
        print(json.dumps({"ports": [each.ports[0] for each in begun[1:]], "pids": pids}), flush=True)
        stop.wait()


def unsettled(store: Path) -> int:
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as rows:
        return int(rows.execute(UNSETTLED).fetchone()[0])


@contextmanager
def _carrier(folder: Path) -> Iterator[int]:
    command = [sys.executable, "-m", "tests.bench.accept", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            if process.stdout.readline().strip() != "ready":
                raise SystemExit("bench: the carrier did not start")
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def _carry(folder: Path) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    couriers: dict[Mode, Courier] = {Mode.MAILBOX: Discard()}
    client, engine = SpoolClient(folder / "s.sock"), reader_engine(f"sqlite:///{folder / 'pli.sqlite'}")
    carrier = Carrier(client, engine, _no_body, couriers, lambda *_: False, doorways.now, "bench", Pace(16, 64))
    print("ready", flush=True)
    carrier.run(stop)


def _no_body(*_: object) -> bytes:
    raise AssertionError("no letter of this bench is opened")


# --- Postfix ----------------------------------------------------------------------------------------------------


@contextmanager
def _postfix(folder: Path, shown: Papers) -> Iterator[Side]:
    takes = [identity(doorways._der(shown.pair("peer")[0])).fingerprint]
    host = Postfix(
        folder / "postfix", free_port(), free_port(), OURS, "mss.lilas.example", shown.pair("host-rsa"),
        shown.trust / "anchors" / "root.pem", takes=takes, routes={PEER: 9}, settings=SETTINGS,
        services="discard unix - - n - - discard\n",
    )  # fmt: skip
    host.start()
    try:
        queue = host.folder / "queue"
        yield Side("postfix", (host.port,), Server((host.port,), lambda: members(host)), lambda: queued(queue))
    finally:
        host.stop()


def members(host: Postfix) -> list[int]:
    """Every process of a Postfix."""
    return Process(host.folder.resolve())._members()


def queued(queue: Path) -> int:
    return sum(1 for name in QUEUES for path in (queue / name).rglob("*") if path.is_file())


if __name__ == "__main__":
    if sys.argv[2:]:
        _serve(Path(sys.argv[1]), Papers(Path(sys.argv[2])))
    else:
        _carry(Path(sys.argv[1]))
