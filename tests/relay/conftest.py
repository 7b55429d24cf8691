"""Shared by the tests of custody: a throw-away PKI, and letters as bytes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from sqlalchemy import Engine

from certs.chain import TrustStore
from certs.throwaway import Issued, Pki, Shape
from relay import erasure, spool
from relay.model import Asked, BodyRef, Door, DoorProof, Letter, Mode, Recipient, Route, Signer, State, Verdict
from relay.spooler import SpoolClient, Spooler
from relay.store import publications, tables
from relay.store.engine import reader_engine, writer_engine
from relay.store.migrations import upgrade
from tests.relay.house import house as house
from tests.relay.house import slapd as slapd
from tests.relay.peers import scripted as scripted
from tests.relay.peers import world as world
from tests.relay.sealed import mailbox as mailbox
from tests.relay.sealed import opener as opener
from tests.relay.sealed import raw as raw
from tests.relay.sealed import signed as signed


@pytest.fixture(scope="session")
def today() -> datetime:
    """TLS libraries judge by the machine's own clock, so that what they see must be valid today."""
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="session")
def pki(today: datetime) -> Pki:
    return Pki.create(today)


@pytest.fixture(scope="session")
def reader(pki: Pki) -> Issued:
    """The surgeon's encryption certificate."""
    shape = Shape(
        usage=frozenset({"key_encipherment"}),
        eku=(ExtendedKeyUsageOID.EMAIL_PROTECTION,),
        names=(x509.RFC822Name("paul.durand@parc.mssante.example"),),
    )
    return pki.issue(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Paul DURAND")]), shape)


@pytest.fixture(scope="session")
def trust_folder(pki: Pki, today: datetime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trust")
    pki.write_trust(folder, today)
    return folder


@pytest.fixture(scope="session")
def trust(trust_folder: Path) -> TrustStore:
    return TrustStore.load(trust_folder)


@pytest.fixture(scope="session")
def make_mail() -> Callable[..., bytes]:
    """A letter with CRLF line ends: text, then attachments as (name, type, bytes)."""

    def make(
        text: str = "Bonjour,\n\nvoici le compte rendu.\n",
        attachments: tuple[tuple[str, str, bytes], ...] = (),
        **headers: str,
    ) -> bytes:
        mail = EmailMessage()
        fields = {
            "From": "Marie Martin <marie.martin@lilas.mssante.example>",
            "To": "paul.durand@parc.mssante.example",
            "Subject": "Compte rendu",
            "Date": "Wed, 25 Nov 2026 09:30:00 +0000",
            "Message-ID": "<1@lilas.mssante.example>",
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in fields.items():
            mail[name] = value
        mail.set_content(text, cte="8bit" if not text.isascii() else None)
        for name, kind, data in attachments:
            main, _, sub = kind.partition("/")
            mail.add_attachment(data, maintype=main, subtype=sub, filename=name)
        return mail.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    return make


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[], asyncio.Protocol]], int]]:
    """Serves a protocol on a loopback port of its own, in a thread; answers the port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def start(protocol: Callable[[], asyncio.Protocol]) -> int:
        server = loop.create_server(protocol, "127.0.0.1", 0)
        listening = asyncio.run_coroutine_threadsafe(server, loop).result(10)
        return int(listening.sockets[0].getsockname()[1])

    yield start
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


# --- the store ---------------------------------------------------------------------------------------------


class Hand:
    """A clock that the test moves."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def on(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass(frozen=True)
class Store:
    """A store with its spooler, whose clock the test holds."""

    url: str
    socket: Path
    writer: Engine
    reader: Engine
    client: SpoolClient
    clock: Hand


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of custody's tables, on each database that letters are kept in."""
    if request.param == "postgresql":
        emptied: Callable[[], str] = request.getfixturevalue("emptied")
        return emptied()
    return sqlite_store(tmp_path)


def sqlite_store(folder: Path) -> str:
    url = f"sqlite:///{folder}/store.db"
    upgrade(url, [tables.metadata])
    return url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """For what only SQLite has."""
    return sqlite_store(tmp_path)


@pytest.fixture
def store_of(tmp_path: Path, now: datetime) -> Iterator[Callable[[str], Store]]:
    """A spooler in a thread of the test, for the store at a URL."""
    clock, stop, socket = Hand(now), threading.Event(), tmp_path / "spool.sock"
    begun: list[tuple[Store, threading.Thread]] = []

    def start(url: str) -> Store:
        writer, reader = writer_engine(url), reader_engine(url)
        spooler = Spooler(writer, socket, {**spool.WRITES, **erasure.WRITES, **publications.WRITES}, clock)
        thread = threading.Thread(target=spooler.serve, args=(stop,))
        thread.start()
        assert spooler.ready.wait(10)
        begun.append((Store(url, socket, writer, reader, SpoolClient(socket), clock), thread))
        return begun[-1][0]

    yield start
    stop.set()
    for store, thread in begun:
        store.client.close()
        thread.join(10)
        store.writer.dispose()
        store.reader.dispose()


@pytest.fixture
def store(store_url: str, store_of: Callable[[str], Store]) -> Store:
    """A spooler in a thread of the test."""
    return store_of(store_url)


@pytest.fixture
def program() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python text in a process of its own and waits until it says ready; killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(text: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", text, *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout
        assert process.stdout.readline().strip() == "ready"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def make_letter(now: datetime) -> Callable[..., tuple[Letter, tuple[Recipient, ...]]]:
    """A letter, with one recipient for each route given."""

    def make(
        id: str,
        *routes: Route,
        tenant: str = "lilas",
        sender: str = "marie.martin@lilas.mssante.example",
        body: BodyRef = BodyRef("0123abcd", 3, "d1"),  # noqa: B008 (frozen)
        notify: frozenset[str] = frozenset(),
    ) -> tuple[Letter, tuple[Recipient, ...]]:
        verdict = Verdict(signer=Signer.MAILBOX, findings=("one", "two"))
        proof = DoorProof(account="marie", tls="TLSv1.3")
        letter = Letter(
            id, tenant, Door.SUBMISSION, sender, f"<{id}@lilas>", body, now, "Received: x\r\n", verdict, proof
        )
        routes = routes or (Route(Mode.MAILBOX, "lmtp", "ours"),)
        rows = [
            Recipient(f"{id}-{n}", id, tenant, f"r{n}@parc.mssante.example", route, State.QUEUED, asked=Asked(notify))
            for n, route in enumerate(routes)
        ]
        return letter, tuple(rows)

    return make
