"""What the doors cost beside others: CPU time per letter by size, of a handshake, and memory.

Accept: letters of one session with STARTTLS, pipelined, by turns at our peers' door (and its spooler, counted apart),
at stock aiosmtpd and at Postfix (see doorways.py for what each does and does not). Handshakes: CPU of a session with
STARTTLS and no letter less one without, full and resumed, at our submission door; the peer is `openssl s_server`, less
a bare connection to the same program. Memory: of the door's process, proportional set, in all and for each connection;
the highest while letters of 25 MB come in. Last, a white list of the real size is loaded. CPU time only: on a shared
machine the wall clock says nothing. A ratio is theirs over ours, above 1 where ours costs less. Nothing here is
asserted anywhere.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from gateway.demo.processes import free_port, new_folder
from tests.bench import doorways, listed
from tests.bench.doorways import FROM, HOST, TO, Papers, Server, Watch

SIZES = {"5k": 5_000, "50k": 50_000, "278k": 278_000, "1M": 1_000_000, "10M": 10_000_000}
COUNTS = {"5k": 80, "50k": 60, "278k": 40, "1M": 20, "10M": 4}
LARGE = 25_000_000


def bench(arguments: list[str]) -> dict[str, Any]:
    asked = _asked(arguments)
    folder = new_folder("pli-d-")
    try:
        shown = doorways.papers(folder)
        figures, ratios = _accept(folder, shown, asked)
        for key in ("rsa", "p256"):
            more, against = _handshakes(folder, shown, key, asked)
            figures, ratios = figures | more, ratios | against
        figures |= _memory(folder, shown, asked) | listed.figures()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "peer": "stock aiosmtpd with write and fsync; Postfix smtpd and cleanup; openssl s_server for handshakes",
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
        "figures": {name: round(value, 3) for name, value in figures.items()},
        "conditions": _conditions(asked),
    }


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench doors")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0, help="of the letters, connections and handshakes")
    return parser.parse_args(arguments)


def _conditions(asked: argparse.Namespace) -> dict[str, Any]:
    version = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.split()[1]
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "openssl_of_python": ssl.OPENSSL_VERSION.split()[1],
        "openssl_of_system": version,
        "rounds": asked.rounds,
        "share": asked.share,
        "letters": {name: _count(COUNTS[name], asked) for name in SIZES},
        "accept": "one TLS session per round and size, each letter MAIL, RCPT and DATA pipelined",
    }


def _count(whole: int, asked: argparse.Namespace) -> int:
    return max(1, round(whole * asked.share))


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


# --- a client -------------------------------------------------------------------------------------------------


class Client:
    """Says what an SMTP client says, as cheaply as it can: its own CPU is nobody's figure."""

    def __init__(self, port: int, context: ssl.SSLContext | None, session: ssl.SSLSession | None = None) -> None:
        self.socket: Any = socket.create_connection((HOST, port), timeout=120)
        self.file = self.socket.makefile("rb")
        self.hear()
        self.say(b"EHLO client.example")
        if context:
            self.say(b"STARTTLS")
            self.socket = context.wrap_socket(self.socket, session=session)
            self.file = self.socket.makefile("rb")
            self.say(b"EHLO client.example")

    def hear(self) -> bytes:
        while (line := self.file.readline())[3:4] == b"-":
            pass
        return bytes(line)

    def say(self, line: bytes) -> bytes:
        self.socket.sendall(line + b"\r\n")
        return self.hear()

    def letter(self, wire: bytes) -> None:
        self.socket.sendall(f"MAIL FROM:<{FROM}>\r\nRCPT TO:<{TO}>\r\nDATA\r\n".encode())
        said = [self.hear() for _ in range(3)]
        assert said[2].startswith(b"354"), said
        self.socket.sendall(wire)
        assert (end := self.hear()).startswith(b"250"), end

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def letter(size: int) -> bytes:
    """A letter whose body is one base64 part, as it goes over the wire."""
    head = f"From: {FROM}\r\nTo: {TO}\r\nSubject: essai\r\nMIME-Version: 1.0\r\nContent-Type: application/zip\r\n"
    line = b"UEsDBBQAAAAIAGJ5c1kAAAAAAAAAAAAAAAAJAAAASUhFX1hETS9SRUFETUUuVFhUTWVzc2FnZTEx\r\n"
    start = head.encode() + b"Content-Transfer-Encoding: base64\r\n\r\n"
    return start + line * max(1, (size - len(start)) // len(line)) + b".\r\n"


def _context(shown: Papers, certified: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(shown.trust / "anchors" / "root.pem"))
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certified:
        context.load_cert_chain(*map(str, shown.pair("peer")))
    return context


# --- accepting ------------------------------------------------------------------------------------------------


def _accept(folder: Path, shown: Papers, asked: argparse.Namespace) -> tuple[dict[str, float], dict[str, float]]:
    with ExitStack() as running:
        spooler = running.enter_context(doorways.started("spooler", folder / "ours", shown))
        servers = {
            "door": running.enter_context(doorways.started("door", folder / "ours", shown)),
            "aiosmtpd": running.enter_context(doorways.started("stock", folder / "stock", shown)),
            "postfix": running.enter_context(doorways.postfix(folder / "postfix", shown)),
        }
        rounds: dict[str, list[float]] = {}
        for number in range(asked.rounds + 1):
            for name in SIZES:
                for who, cost in _turn(servers, spooler, shown, name, asked).items():
                    if number:  # nobody's first letters count
                        rounds.setdefault(f"accept_ms_{who}_{name}", []).append(cost)
            _say(f"accept: round {number} of {asked.rounds}")
    figures = {name: statistics.median(values) for name, values in rounds.items()}
    ratios = {}
    for name in SIZES:
        ours = rounds[f"accept_ms_door_{name}"]
        for who in ("aiosmtpd", "postfix"):
            theirs = rounds[f"accept_ms_{who}_{name}"]
            ratios[f"accept_{name}_of_{who}"] = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    return figures, ratios


def _turn(
    servers: dict[str, Server], spooler: Server, shown: Papers, name: str, asked: argparse.Namespace
) -> dict[str, float]:
    """CPU milliseconds per letter of each."""
    wire, count = letter(SIZES[name]), _count(COUNTS[name], asked)
    told = {}
    for who, server in servers.items():
        client = Client(server.ports[0], _context(shown, who != "aiosmtpd"))
        client.letter(letter(1000))
        also = Watch(spooler) if who == "door" else None
        watch = Watch(server)
        for _ in range(count):
            client.letter(wire)
        told[who] = watch.spent_ms() / count
        if also:
            told["spooler"] = also.spent_ms() / count
        client.close()
    return told


# --- handshakes -----------------------------------------------------------------------------------------------


@contextmanager
def _s_server(shown: Papers, key: str) -> Iterator[Server]:
    certificate, private = shown.pair(f"host-{key}")
    port = free_port()
    command = ["openssl", "s_server", "-accept", f"{HOST}:{port}", "-cert", certificate, "-key", private, "-rev"]
    with subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _await(port)
            yield Server((port,), lambda: [process.pid])
        finally:
            process.kill()


def _await(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection((HOST, port), timeout=5).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("openssl s_server did not start")


def _handshakes(
    folder: Path, shown: Papers, key: str, asked: argparse.Namespace
) -> tuple[dict[str, float], dict[str, float]]:
    count, context = _count(100, asked), _context(shown, certified=False)
    rounds: dict[str, list[float]] = {}
    with doorways.started("door", folder / f"door-{key}", shown, key) as door, _s_server(shown, key) as other:
        for number in range(asked.rounds + 1):
            told = {
                "door": _each(door, count, *_ways(lambda c, s: Client(door.ports[1], c, s), context)),
                "openssl": _each(other, count, *_ways(lambda c, s: _Bare(other.ports[0], c, s), context)),
            }
            for who, costs in told.items():
                for kind in ("full", "resumed") if number else ():
                    cost = max(costs[kind] - costs["clear"], 1e-6)
                    rounds.setdefault(f"handshake_ms_{who}_{key}_{kind}", []).append(cost)
    _say(f"handshakes: {key}")
    figures = {name: statistics.median(values) for name, values in rounds.items()}
    ratios = {}
    for kind in ("full", "resumed"):
        ours, theirs = (rounds[f"handshake_ms_{who}_{key}_{kind}"] for who in ("door", "openssl"))
        ratios[f"handshake_{key}_{kind}"] = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    return figures, ratios


class _Bare:
    """A connection to s_server, which sends each line back to front."""

    def __init__(self, port: int, context: ssl.SSLContext | None, session: ssl.SSLSession | None = None) -> None:
        self.socket: Any = socket.create_connection((HOST, port), timeout=60)
        if context:
            self.socket = context.wrap_socket(self.socket, session=session)
            self.socket.sendall(b"abc\n")
            self.socket.recv(10)

    def close(self) -> None:
        self.socket.close()


Connect = Callable[[ssl.SSLContext | None, ssl.SSLSession | None], Any]


def _ways(connect: Connect, context: ssl.SSLContext) -> tuple[Callable[[], Any], Callable[[], Any], Callable[[], Any]]:
    with closing(connect(context, None)) as first:
        session = first.socket.session

    def resumed() -> Any:
        nonlocal session
        client = connect(context, session)
        assert client.socket.session_reused
        session = client.socket.session  # a ticket is for one use (RFC 8446 §8.1)
        return client

    return (lambda: connect(None, None)), (lambda: connect(context, None)), resumed


def _each(server: Server, count: int, *ways: Callable[[], Any]) -> dict[str, float]:
    """CPU milliseconds of one connection of each way."""
    told = {}
    for kind, connect in zip(("clear", "full", "resumed"), ways, strict=True):
        watch = Watch(server)
        for _ in range(count):
            connect().close()
        time.sleep(0.1)
        told[kind] = watch.spent_ms() / count
    return told


# --- memory ---------------------------------------------------------------------------------------------------


def _memory(folder: Path, shown: Papers, asked: argparse.Namespace) -> dict[str, float]:
    context, many, at_once = _context(shown, certified=True), _count(1000, asked), _count(50, asked)
    with doorways.started("spooler", folder / "m", shown), doorways.started("door", folder / "m", shown) as door:
        pid = door.pids()[0]
        warm = Client(door.ports[0], context)
        warm.letter(letter(1000))
        before = doorways.memory(pid)[0]
        clients = [Client(door.ports[0], context) for _ in range(many)]
        idle = doorways.memory(pid)[0]
        for each in clients:
            each.close()
        figures = {"idle_mb_of_door": before / 1e6, "kb_per_idle_connection": (idle - before) / many / 1e3}
        wire = letter(LARGE)
        for name, number in (("one", 1), ("at_once", at_once)):
            figures[f"mb_above_idle_{name}_25M"] = _highest(pid, lambda n=number: _send(door, context, wire, n))
        figures["mb_each_at_once_25M"] = figures["mb_above_idle_at_once_25M"] / at_once
    _say("memory")
    return figures


def _highest(pid: int, work: Callable[[], None]) -> float:
    """How far the resident set rises above where it stood, in 10^6 octets."""
    doorways.forget_highest(pid)
    before = doorways.memory(pid)[1]
    work()
    return (doorways.memory(pid)[1] - before) / 1e6


def _send(door: Server, context: ssl.SSLContext, wire: bytes, number: int) -> None:
    clients = [Client(door.ports[0], context) for _ in range(number)]
    threads = [threading.Thread(target=each.letter, args=(wire,)) for each in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in clients:
        each.close()
