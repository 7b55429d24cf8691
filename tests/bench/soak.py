"""A long run: letters at a steady pace, then at the regional peak, and what a node's processes look like after it.

Ours: a node with its directory; letters come in over kept submission sessions (TLS, login), are signed and relayed to a
Postfix that syncs each into a Maildir. Letters begin when the clock says so, whether or not those before are answered
(open loop), as far as there are sessions. Figures: `lost` (accepted and not at the peer in the end), `accept_ms_p50`,
`_p95`, `_p99` (from the first byte of MAIL to the 250) of each part, `late_ms_p95` (how long a letter waited for a free
session), memory (proportional set) and open files of each process before and after. There is no peer: what is promised
is 0 lost, and flat.

In full: ./dev bench soak --seconds 600 --peak-seconds 60
"""

from __future__ import annotations

import argparse
import os
import platform
import queue
import shutil
import smtplib
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.demo import stage
from gateway.demo.processes import new_folder
from gateway.demo.running import Company
from gateway.demo.stage import Seat
from tests.bench import relaying
from tests.bench.doorways import memory
from tests.bench.relaying import SENDER, TO
from tests.bench.scene import until

SETTLE_S = 600.0


def bench(arguments: list[str]) -> dict[str, Any]:
    asked = _asked(arguments)
    folder = new_folder("pli-s-")
    try:
        with _playing(folder) as (seat, arrived, anchors):
            figures = _run(seat, arrived, anchors, asked)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {"peer": "", "ratios": {}, "figures": figures, "conditions": _conditions(asked)}


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench soak")
    parser.add_argument("--rate", type=float, default=25, help="letters a second")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--peak-rate", type=float, default=100)
    parser.add_argument("--peak-seconds", type=float, default=60)
    parser.add_argument("--octets", type=int, default=300_000, help="of each letter, on the wire")
    parser.add_argument("--sessions", type=int, default=20)
    return parser.parse_args(arguments)


def _conditions(asked: argparse.Namespace) -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "load_average_at_end": os.getloadavg()[1],
        "python": platform.python_version(),
        "asked": dict(vars(asked)),
        "one_machine": "the clients, the node, its directory and the peer share these cores",
    }


@contextmanager
def _playing(folder: Path) -> Iterator[tuple[Seat, Arrived, Path]]:
    built = stage.build(folder / "s", datetime.now(UTC))
    lilas, running, host = built.seats["lilas"], Company(built), relaying.peer(folder, built)
    with ExitStack() as ends:
        running.slapd.load(built.ldif)
        for start, stop in (
            (running.slapd.start, running.slapd.stop),
            (host.start, host.stop),
            (lambda: running.start_node(lilas), lambda: running.stop_node(lilas)),
        ):
            start()
            ends.callback(stop)
        until(lambda: (lilas.folder / "run/carrier.pid").exists(), "the carrier")
        yield lilas, Arrived(host.folder / "mail/inbox/new"), built.anchors


@dataclass
class Arrived:
    """What came to the peer: counted and taken away, since an hour's letters would fill a disk."""

    folder: Path
    _many: int = 0

    def many(self) -> int:
        """A letter is whole once it lies in a Maildir's new/."""
        for each in os.scandir(self.folder):
            os.unlink(each)
            self._many += 1
        return self._many

    @contextmanager
    def emptied(self) -> Iterator[None]:
        """Within it the folder is emptied every few seconds."""
        ended = threading.Event()
        sweeper = threading.Thread(target=lambda: [self.many() for _ in iter(lambda: ended.wait(5), True)])
        sweeper.start()
        try:
            yield
        finally:
            ended.set()
            sweeper.join()


# --- letters ----------------------------------------------------------------------------------------------------


@dataclass
class Part:
    """One pace for a while."""

    name: str
    rate: float
    seconds: float
    accept_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    refused: int = 0

    def figures(self) -> dict[str, float]:
        told: dict[str, float] = {f"{self.name}_accepted": len(self.accept_ms), f"{self.name}_refused": self.refused}
        for share in (50, 95, 99):
            told[f"{self.name}_accept_ms_p{share}"] = _share(self.accept_ms, share)
        return told | {f"{self.name}_late_ms_p95": _share(self.late_ms, 95)}


def _share(values: list[float], percent: int) -> float:
    """Nearest rank."""
    if not values:
        return 0.0
    return round(sorted(values)[max(0, -(-len(values) * percent // 100) - 1)], 1)


def _run(seat: Seat, arrived: Arrived, anchors: Path, asked: argparse.Namespace) -> dict[str, float]:
    parts = [Part("steady", asked.rate, asked.seconds), Part("peak", asked.peak_rate, asked.peak_seconds)]
    mail = _mail(asked.octets)
    _play(seat, anchors, Part("first", 5, 2), mail, asked.sessions)  # so that what is loaded once is loaded
    until(lambda: arrived.many() >= 10, "the first letters", SETTLE_S)
    before, had = processes(seat), arrived.many()
    figures: dict[str, float] = {}
    for part in parts:
        begun = time.monotonic()
        with arrived.emptied():
            _play(seat, anchors, part, mail, asked.sessions)
        figures |= part.figures() | {f"{part.name}_per_s": round(len(part.accept_ms) / (time.monotonic() - begun), 1)}
        print(f"{part.name}: {len(part.accept_ms)} accepted", file=sys.stderr, flush=True)
    accepted = sum(len(part.accept_ms) for part in parts)
    with suppress(SystemExit):  # what has not come is lost, and told
        until(lambda: arrived.many() - had >= accepted, "every letter at the peer", SETTLE_S)
    figures |= {"accepted": accepted, "lost": max(0, accepted - (arrived.many() - had))}
    for moment, seen in (("before", before), ("after", processes(seat))):
        figures |= {f"{name}_{moment}": value for name, value in seen.items()}
    return figures


def _play(seat: Seat, anchors: Path, part: Part, mail: bytes, sessions: int) -> None:
    due: queue.SimpleQueue[float | None] = queue.SimpleQueue()
    threads = [threading.Thread(target=_session, args=(seat, anchors, part, mail, due)) for _ in range(sessions)]
    for thread in threads:
        thread.start()
    begun = time.monotonic()
    for number in range(round(part.rate * part.seconds)):
        at = begun + number / part.rate
        time.sleep(max(0.0, at - time.monotonic()))
        due.put(at)
    for _ in threads:
        due.put(None)
    for thread in threads:
        thread.join()


def _session(seat: Seat, anchors: Path, part: Part, mail: bytes, due: queue.SimpleQueue[float | None]) -> None:
    context = ssl.create_default_context(cafile=str(anchors))
    client = relaying._client(seat.ports.submission, context, login=True)
    while (at := due.get()) is not None:
        head = f"Message-ID: <{time.time_ns()}.{threading.get_ident()}@soak.example>\r\n".encode()
        begun = time.monotonic()
        part.late_ms.append(1000 * (begun - at))
        try:
            client.sendmail(SENDER, [TO], head + mail)
            part.accept_ms.append(1000 * (time.monotonic() - begun))
        except (OSError, smtplib.SMTPException):
            part.refused += 1
            client = relaying._client(seat.ports.submission, context, login=True)
    client.close()


def _mail(octets: int) -> bytes:
    """So many octets, most of them one attachment."""
    whole = relaying.written(round(octets * 0.73))
    return f"Date: {datetime.now(UTC):%a, %d %b %Y %H:%M:%S +0000}\r\n".encode() + whole


def processes(seat: Seat) -> dict[str, float]:
    """Memory in MB and open files of each."""
    told: dict[str, float] = {}
    for file in sorted((seat.folder / "run").glob("*.pid")):
        pid = int(file.read_text())
        with suppress(OSError):
            told[f"{file.stem}_mb"] = round(memory(pid)[0] / 2**20, 1)
            told[f"{file.stem}_files"] = len(os.listdir(f"/proc/{pid}/fd"))
    return told
