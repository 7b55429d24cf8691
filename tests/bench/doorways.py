"""The three servers of the bench `doors`, each in processes of its own, and what the kernel says of them.

Ours: the peers' door with the real intake, body store and spooler; the directory answers from memory, no malware scan
is configured, and nothing is delivered. aiosmtpd as it comes, with a handler that writes each letter to a file and
syncs it. Postfix as gateway.demo.postfix starts it: smtpd and cleanup are counted, delivery is not. All three speak
TLS, on one file system; ours and Postfix ask for, and check, the client's certificate.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from certs import tls
from certs.chain import TrustStore, identity
from certs.throwaway import Pki
from directory.model import Address, Entry, Found, Kind
from gateway.accounts import Accounts
from gateway.children import MEMORY
from gateway.demo.postfix import Postfix
from gateway.demo.processes import free_port
from gateway.doors.smtp import DoorSpec, Limits, serve
from relay import spool
from relay.intake import Intake
from relay.model import Door
from relay.partners import Listed, WhiteList
from relay.pseudonym import Pseudonyms
from relay.routing import Node
from relay.spooler import SpoolClient, Spooler
from relay.store import tables
from relay.store.bodies import BodyStore
from relay.store.engine import writer_engine
from relay.store.migrations import upgrade

HOST, OURS, PEER = "127.0.0.1", "lilas.example", "parc.example"
TO, FROM = f"anna@{OURS}", f"bert@{PEER}"


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Papers:
    """Keys and certificates, in a folder that every server reads."""

    folder: Path

    @property
    def trust(self) -> Path:
        return self.folder / "trust"

    def pair(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"


def papers(folder: Path) -> Papers:
    pki = Pki.create(now())
    pki.write_trust(folder / "trust", now())
    pki.tls_server("mss.lilas.example", "LILAS", "1750000001").write(folder, "host-rsa")
    pki.tls_server("mss.lilas.example", "LILAS", "1750000001", key="p256").write(folder, "host-p256")
    pki.tls_server("mss.parc.example", "PARC", "1750000002").write(folder, "peer")
    return Papers(folder)


# --- ours -----------------------------------------------------------------------------------------------------


class Known:
    """A directory in memory, in which everybody stands."""

    def find(self, address: Address) -> Found:
        return Found(Entry(address, Kind.PER, "Dr Anna Lys"))


def _spooler(folder: Path, stop: threading.Event) -> None:
    url = f"sqlite:///{folder / 'pli.sqlite'}"
    upgrade(url, [tables.metadata])
    spooler = Spooler(writer_engine(url), folder / "s.sock", spool.WRITES, now)
    threading.Thread(target=lambda: (spooler.ready.wait(), print("ready", flush=True)), daemon=True).start()
    spooler.serve(stop)


def _intake(folder: Path, shown: Papers) -> Intake:
    trust = TrustStore.load(shown.trust)
    subject = identity(_der(shown.pair("peer")[0])).subject
    white_list = WhiteList.of([Listed(PEER, subject), Listed(OURS, "CN=x")], now())
    return Intake(
        node=Node("lilas", frozenset({OURS}), "mss.lilas.example"),
        client=SpoolClient(folder / "s.sock"),
        directory=Known(),  # type: ignore[arg-type]
        white_list=lambda: white_list,
        trust=lambda: trust,
        finders=(),
        pseudonyms=Pseudonyms(b"p" * 32),
        clock=now,
    )


def _der(pem: Path) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    return x509.load_pem_x509_certificates(pem.read_bytes())[0].public_bytes(Encoding.DER)


def _door(folder: Path, shown: Papers, key: str, stop: threading.Event) -> None:
    """Both doors in one process, as `pli serve` opens them."""
    intake = _intake(folder, shown)
    trust, body = intake.trust(), X25519PrivateKey.generate()
    common: dict[str, Any] = {
        "host": HOST,
        "port": 0,
        "hostname": "mss.lilas.example",
        "tenant": "lilas",
        "intake": intake,
        "bodies": BodyStore(folder / "bodies", body.public_key().public_bytes_raw(), b"d" * 32),
        "pseudonyms": intake.pseudonyms,
        "clock": now,
        "trust": lambda: trust,
        "accounts": Accounts(folder / "accounts"),
        "limits": Limits(sessions=5000, sessions_of_block=5000, letters=1_000_000),
    }
    peers, clients = tls.peer_side(*shown.pair(f"host-{key}"), trust), tls.service_side(*shown.pair(f"host-{key}"))
    specs = [DoorSpec(Door.PEER, tls=lambda: peers, **common), DoorSpec(Door.SUBMISSION, tls=lambda: clients, **common)]
    asyncio.run(_until(specs, stop))


async def _until(specs: list[DoorSpec], stop: threading.Event) -> None:
    ended = asyncio.Event()
    asyncio.create_task(asyncio.to_thread(stop.wait)).add_done_callback(lambda _: ended.set())
    await serve(specs, ended, lambda where: print(*(port for _, port in where), flush=True))


# --- aiosmtpd -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Writes:
    """What somebody would write who uses aiosmtpd and wants the letter on his disk."""

    folder: Path

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802
        with (self.folder / f"{time.time_ns()}.eml").open("xb") as file:
            file.write(envelope.content)
            file.flush()
            os.fsync(file.fileno())
        return "250 OK"


def _stock(folder: Path, shown: Papers, key: str, stop: threading.Event) -> None:
    context = tls.service_side(*shown.pair(f"host-{key}"))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        made = {"tls_context": context, "require_starttls": True, "data_size_limit": 40_000_000, "loop": loop}
        made["command_call_limit"] = 1_000_000
        server = await loop.create_server(lambda: SMTP(Writes(folder), **made), HOST, 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(stop.wait)

    asyncio.run(main())


# --- started --------------------------------------------------------------------------------------------------

_ROLES: dict[str, Callable[..., None]] = {"door": _door, "stock": _stock}


@dataclass(frozen=True)
class Server:
    """A server that runs, and which processes of it are counted."""

    ports: tuple[int, ...]
    pids: Callable[[], list[int]]


@contextmanager
def started(role: str, folder: Path, shown: Papers, key: str = "rsa") -> Iterator[Server]:
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.bench.doorways", role, str(folder), str(shown.folder), key]
    log = (folder / f"{role}.log").open("w")
    as_served = {**os.environ, **MEMORY} if role != "stock" else None
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=as_served, text=True) as process:
        assert process.stdout
        try:
            said = process.stdout.readline().split()
            ports = tuple(int(each) for each in said if each.isdigit())
            assert said, (folder / f"{role}.log").read_text()
            threading.Thread(target=lambda: [*iter(process.stdout.readline, "")], daemon=True).start()  # type: ignore[union-attr]
            yield Server(ports, lambda: [process.pid])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


@contextmanager
def postfix(folder: Path, shown: Papers) -> Iterator[Server]:
    takes = [identity(_der(shown.pair("peer")[0])).fingerprint]
    anchors = shown.trust / "anchors" / "root.pem"
    ports, routes = (free_port(), free_port()), {PEER: 9}
    pair = shown.pair("host-rsa")
    host = Postfix(folder, *ports, OURS, "mss.lilas.example", pair, anchors, takes=takes, routes=routes)
    host.start()
    try:
        yield Server((host.port,), lambda: _children(host.pid or 0, ("smtpd", "cleanup")))
    finally:
        host.stop()


def _children(parent: int, names: tuple[str, ...]) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
            if name in names and int(rest.split()[1]) == parent:
                found.append(int(path.parent.name))
    return found


# --- what the kernel says -------------------------------------------------------------------------------------


def cpu_ns(pid: int) -> int:
    """On a processor so far, all living threads; 0 for a process that is gone."""
    total = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):
            total += int(path.read_text().split()[0])
    return total


class Watch:
    """CPU time of processes that come and go: what each was last seen with, looked at every 10 ms."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._first: dict[int, int] = {pid: cpu_ns(pid) for pid in server.pids()}
        self._last = dict(self._first)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._ended.wait(0.01):
            self._once()

    def _once(self) -> None:
        for pid in self._server.pids():
            self._last[pid] = max(cpu_ns(pid), self._last.get(pid, 0))

    def spent_ms(self) -> float:
        self._ended.set()
        self._thread.join()
        self._once()
        return sum(last - self._first.get(pid, 0) for pid, last in self._last.items()) / 1e6


def memory(pid: int) -> tuple[int, int]:
    """(proportional set, its highest resident set so far), octets."""
    rolled = _fields(Path(f"/proc/{pid}/smaps_rollup"))
    return rolled["Pss"], _fields(Path(f"/proc/{pid}/status"))["VmHWM"]


def forget_highest(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _fields(path: Path) -> dict[str, int]:
    found = {}
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if value.strip().endswith(" kB"):
            found[name] = int(value.split()[0]) * 1024
    return found


def main(role: str, folder: str, shown: str, key: str) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if role == "spooler":
        _spooler(Path(folder), stop)
    else:
        _ROLES[role](Path(folder), Papers(Path(shown)), key, stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
