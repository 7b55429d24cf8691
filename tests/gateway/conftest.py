"""What tests of the doors share: a throw-away trust space, an intake that remembers, open doors, a client."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy import Engine

from certs import tls
from certs.chain import TrustStore
from certs.keys import unwrap_key
from certs.throwaway import Issued, Pki
from directory.address import parse
from directory.ldap import LdapDirectory
from directory.model import Address, Capabilities, Entry, Kind
from directory.region import SUFFIX, ldif
from directory.slapd import Passwords
from gateway.accounts import Accounts
from gateway.demo.servers import Slapd, free_port, new_folder
from gateway.doors.smtp import DoorSpec, Limits, serve
from relay import spool
from relay.gate import Qualified, nobody_known
from relay.intake import Intake
from relay.model import Addressee, BodyRef, Door, DoorProof, Envelope, Receipt, Refusal
from relay.partners import Listed, WhiteList
from relay.peering import Unsure
from relay.policy import FACTORY_BOOK, Book
from relay.pseudonym import Pseudonyms
from relay.routing import Node
from relay.spooler import SpoolClient, Spooler
from relay.store import engine, migrations, tables
from relay.store.bodies import BodyStore

ANNA = "anna@lilas.example"
BERT = "bert@parc.example"
PASSWORD = "correct horse"


def today() -> datetime:
    return datetime.now(UTC)


@dataclass
class Recorder:
    """Stands where the intake does, for what is only protocol: says yes, remembers, can be told to refuse."""

    senders: list[tuple[Address | None, DoorProof]] = field(default_factory=list)
    letters: list[tuple[Envelope, bytes, BodyRef]] = field(default_factory=list)
    sender_refusal: Refusal | None = None
    recipient_refusals: dict[str, Refusal] = field(default_factory=dict)
    node: Node = field(default_factory=lambda: Node("lilas", frozenset({"lilas.example"}), "mss.lilas.example"))
    book: Callable[[], Book] = lambda: FACTORY_BOOK
    qualified: Qualified = nobody_known
    letter_refusal: Refusal | Exception | None = None

    def check_sender(self, sender: Address | None, proof: DoorProof, door: Door) -> Refusal | None:
        self.senders.append((sender, proof))
        return self.sender_refusal

    def check_recipient(self, recipient: Address, door: Door) -> Addressee | Refusal:
        return self.recipient_refusals.get(recipient.key) or Addressee(recipient)

    def check_route(self, addressee: Addressee, sender: Address | None, size: int) -> Refusal | None:
        return Intake.check_route(self, addressee, sender, size)  # type: ignore[arg-type]

    def accept(self, envelope: Envelope, raw: bytes, body: BodyRef) -> Receipt | Refusal:
        if isinstance(self.letter_refusal, Exception):
            raise self.letter_refusal
        if self.letter_refusal:
            return self.letter_refusal
        self.letters.append((envelope, raw, body))
        return Receipt(envelope.id)


@dataclass(frozen=True)
class TrustSpace:
    """A PKI of today, since TLS has no other clock, with what two operators and a stranger hold."""

    folder: Path
    pki: Pki
    host: tuple[Path, Path]
    peer: tuple[Path, Path]
    revoked: tuple[Path, Path]
    stranger: tuple[Path, Path]
    peer_issued: Issued

    def trust(self) -> TrustStore:
        return TrustStore.load(self.folder)


@pytest.fixture(scope="session")
def trust_space(tmp_path_factory: pytest.TempPathFactory) -> TrustSpace:
    folder = tmp_path_factory.mktemp("trust")
    pki, other = Pki.create(today()), Pki.create(today(), "AUTRE")
    peer = pki.tls_server("mss.parc.example", "CLINIQUE DU PARC", "1750000002")
    revoked = pki.tls_server("mss.ancien.example", "ANCIEN", "1750000003")
    pki.revoke(revoked)
    pki.write_trust(folder, today())
    host = pki.tls_server("mss.lilas.example", "IMAGERIE DES LILAS", "1750000001")
    stranger = other.tls_server("mss.parc.example", "CLINIQUE DU PARC", "1750000002")
    return TrustSpace(
        folder,
        pki,
        host.write(folder, "host"),
        peer.write(folder, "peer"),
        revoked.write(folder, "revoked"),
        stranger.write(folder, "stranger"),
        peer,
    )


@pytest.fixture(scope="session")
def accounts_of_anna(tmp_path_factory: pytest.TempPathFactory) -> Accounts:
    accounts = Accounts(tmp_path_factory.mktemp("accounts") / "passwd")
    accounts.add(ANNA, PASSWORD)
    return accounts


class Client:
    """A client that says exactly what it is told, byte by byte; smtplib is too polite for these tests."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._file = self._socket.makefile("rb")
        self.greeting = self.hear()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def hear(self) -> str:
        """One reply, its lines joined by a newline; empty at the end of the session."""
        lines = []
        while line := self._file.readline().decode("ascii"):
            lines.append(line.removesuffix("\r\n"))
            if line[3:4] != "-":
                break
        return "\n".join(lines)

    def say(self, line: str) -> str:
        self.send(line.encode() + b"\r\n")
        return self.hear()

    def log_in(self, login: str, password: str, acting_for: str = "") -> str:
        return self.say("AUTH PLAIN " + b64encode(f"{acting_for}\0{login}\0{password}".encode()).decode())

    def envelope(self, sender: str = ANNA, recipient: str = BERT) -> None:
        assert self.say(f"MAIL FROM:<{sender}>").startswith("250 2.1.0 ")
        assert self.say(f"RCPT TO:<{recipient}>").startswith("250 2.1.5 ")

    def data(self, wire: bytes) -> str:
        assert self.say("DATA").startswith("354 ")
        self.send(wire)
        return self.hear()

    def start_tls(self, context: ssl.SSLContext) -> None:
        assert self.say("STARTTLS").startswith("220 ")
        self.wrap(context)

    def wrap(self, context: ssl.SSLContext) -> None:
        self._socket = context.wrap_socket(self._socket)
        self._file = self._socket.makefile("rb")

    def end(self) -> None:
        """Reads whatever comes, an alert or nothing, until the other side has closed."""
        with contextlib.suppress(ConnectionError):
            while self._file.read(1):
                pass

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@dataclass
class OpenDoor:
    """A door being served in a thread of its own."""

    spec: DoorSpec
    port: int
    intake: Any
    bodies: BodyStore
    body_key: X25519PrivateKey
    folder: Path
    space: TrustSpace
    stop: Callable[[], None]
    join: Callable[[], None]
    clients: list[Client] = field(default_factory=list)

    def read(self, body: BodyRef) -> bytes:
        return self.bodies.read(body, lambda wrapped: unwrap_key(self.body_key, wrapped))

    def stored(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]

    def context(self, shown: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        if shown:
            return tls.client_side(*shown, self.space.trust())
        context = ssl.create_default_context(cadata=self.space.trust().anchors_pem())
        context.check_hostname = False
        return context

    def client(self) -> Client:
        self.clients.append(Client(self.port))
        return self.clients[-1]

    def secure(self, shown: tuple[Path, Path] | None = None) -> Client:
        """After STARTTLS and EHLO."""
        client = self.client()
        assert client.say("EHLO client.example").startswith("250-")
        client.start_tls(self.context(shown))
        assert client.say("EHLO client.example").startswith("250-")
        return client

    def logged_in(self) -> Client:
        client = self.secure()
        assert client.log_in(ANNA, PASSWORD).startswith("235 ")
        return client


@pytest.fixture
def open_door(trust_space: TrustSpace, accounts_of_anna: Accounts, tmp_path: Path) -> Iterator[Callable[..., OpenDoor]]:
    """open_door(kind=Door.SUBMISSION, trust=None, intake=a Recorder, **limits) serves until the test ends."""
    opened: list[OpenDoor] = []

    def start(
        kind: Door = Door.SUBMISSION,
        trust: TrustStore | None = None,
        intake: Any = None,
        unsure: Unsure = Unsure.DEFER,
        accounts: Accounts | None = None,
        contexts: tls.Contexts | None = None,
        **limits: float,
    ) -> OpenDoor:
        told = Limits(**{"login_pause_s": 0.0, **limits})
        trusted = trust or trust_space.trust()
        known = accounts or accounts_of_anna
        door = _opened(kind, trust_space, trusted, known, intake or Recorder(), tmp_path, told, unsure, contexts)
        opened.append(door)
        return door

    yield start
    for door in opened:
        for client in door.clients:
            client.close()
        door.stop()
        door.join()


def _opened(
    kind: Door,
    space: TrustSpace,
    trust: TrustStore,
    accounts: Accounts,
    intake: Any,
    folder: Path,
    limits: Limits,
    unsure: Unsure,
    contexts: tls.Contexts | None,
) -> OpenDoor:
    key = X25519PrivateKey.generate()
    bodies = BodyStore(folder / "bodies", key.public_key().public_bytes_raw(), b"d" * 32)
    side = tls.peer_side(*space.host, trust) if kind is Door.PEER else tls.service_side(*space.host)
    spec = DoorSpec(
        kind=kind,
        host="127.0.0.1",
        port=0,
        tls=contexts or (lambda: side),
        hostname="mss.lilas.example",
        tenant="lilas",
        intake=intake,
        bodies=bodies,
        pseudonyms=Pseudonyms(b"p" * 32),
        clock=today,
        trust=lambda: trust,
        unsure=unsure,
        accounts=accounts,
        limits=limits,
    )
    port, stop, join = serving(spec)
    return OpenDoor(spec, port, intake, bodies, key, folder / "bodies", space, stop, join)


def serving(spec: DoorSpec) -> tuple[int, Callable[[], None], Callable[[], None]]:
    """(port, stop, join) of a door served in a thread."""
    ports: list[int] = []
    ready, loop, end = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    def listening(where: tuple[tuple[str, int], ...]) -> None:
        ports.extend(port for _, port in where)
        ready.set()

    thread = ThreadPoolExecutor(1)
    served = thread.submit(lambda: loop.run_until_complete(serve([spec], end, listening)))
    assert ready.wait(20)

    def stop() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(end.set)

    def join() -> None:
        served.result(30)
        thread.shutdown()
        loop.close()

    return ports[0], stop, join


# --- what stands behind a door ------------------------------------------------------------------------------


@dataclass
class Lilas:
    """The intake of one node, and its spooler, which can be ended and started again."""

    intake: Intake
    engine: Engine
    spooler: Callable[[], Spooler]
    stop: threading.Event
    thread: threading.Thread | None = None

    def start(self) -> None:
        self.stop.clear()
        spooler = self.spooler()
        self.thread = threading.Thread(target=spooler.serve, args=(self.stop,))
        self.thread.start()
        assert spooler.ready.wait(10)

    def end(self) -> None:
        self.stop.set()
        if self.thread:
            self.thread.join(10)

    def kept(self) -> list[tuple[str, int]]:
        """How many recipients by mode."""
        return sorted((str(line.mode), line.count) for line in spool.queue(self.engine, "lilas"))


@pytest.fixture(scope="session")
def slapd() -> Iterator[Slapd]:
    """The directory: three people, one whose mailbox is closed, one who declines S/MIME, one who takes 50 bytes."""
    folder = new_folder()
    server = Slapd(folder / "s", free_port(), SUFFIX, Passwords(relay="r", people="p", feeder="f"))
    people = [_person(address) for address in (ANNA, "zoe.lambert@lilas.example", BERT)]
    people += [
        _person("carl.clos@parc.example"),
        replace(_person("dora.dit@parc.example"), capabilities=Capabilities(smime=False)),
        replace(_person("emil.etroit@parc.example"), capabilities=Capabilities(max_bytes=50)),
    ]
    head, carl, tail = ldif(people).partition("mail: carl.clos@parc.example\n")
    server.load(head + carl + tail.replace("lifecycleState: active", "lifecycleState: suspended", 1))
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


def _person(address: str) -> Entry:
    given, _, family = address.partition("@")[0].partition(".")
    return Entry(parse(address), Kind.PER, f"Dr {given} {family}", family or given, given, "Dr")


@pytest.fixture
def node(slapd: Slapd, trust_space: TrustSpace, tmp_path: Path) -> Iterator[Lilas]:
    """What stands behind a door: the real intake, store, spooler and directory."""
    url = f"sqlite:///{tmp_path / 'pli.sqlite'}"
    migrations.upgrade(url, [tables.metadata])
    trust = trust_space.trust()
    peer = "CN=mss.parc.example,OU=1750000002,O=CLINIQUE DU PARC,ST=Paris (75),C=FR"
    listed = [Listed("lilas.example", "CN=mss.lilas.example"), Listed("parc.example", peer)]
    white_list = WhiteList.of(listed, today())
    intake = Intake(
        node=Node("lilas", frozenset({"lilas.example"}), "mss.lilas.example"),
        client=SpoolClient(tmp_path / "s.sock", timeout=5.0),
        directory=LdapDirectory(slapd.uri, SUFFIX, slapd.relay_dn, "r", clock=today),
        white_list=lambda: white_list,
        trust=lambda: trust,
        finders=(),
        pseudonyms=Pseudonyms(b"k" * 32),
        clock=today,
    )
    writer = engine.writer_engine(url)
    made = Lilas(
        intake,
        engine.reader_engine(url),
        lambda: Spooler(writer, tmp_path / "s.sock", spool.WRITES, today),
        threading.Event(),
    )
    made.start()
    yield made
    made.end()
    intake.client.close()
    made.engine.dispose()
    writer.dispose()


_SETTINGS = """
[node]
name = "lilas"
hostname = "mss.lilas.example"
tenant = "lilas"
domains = ["lilas.example", "Imagerie.example"]
[paths]
data = "{folder}/data"
run = "{folder}/run"
[tls]
certificate = "{folder}/tls.pem"
key = "{folder}/tls.key"
[trust]
folder = "{folder}/trust"
white_list = "{folder}/list.xml"
[directory]
uri = "ldap://127.0.0.1:1"
base = "dc=x"
bind_dn = "cn=x"
password_file = "{folder}/directory"
[delivery]
lmtp_port = 24
[keeper]
folder = "{folder}/keeper"
body_public_key = "{folder}/body.pub"
digest_key = "{folder}/digest"
pseudonym_key = "{folder}/pseudonym"
[accounts]
file = "{folder}/passwd"
"""


@pytest.fixture
def configure(tmp_path: Path) -> Callable[[str], Path]:
    """configure(more) writes a configuration that can be read, with `more` TOML; its files are not there."""

    def write(more: str) -> Path:
        file = tmp_path / "pli.toml"
        file.write_text(_SETTINGS.format(folder=tmp_path) + more, encoding="utf-8")
        return file

    return write
