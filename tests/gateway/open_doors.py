"""Doors served in a thread, an intake that remembers, their trust space, and a client that says what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from certs import tls
from certs.chain import TrustStore
from certs.keys import unwrap_key
from certs.throwaway import Issued, Pki
from directory.model import Address
from gateway.accounts import Accounts
from gateway.doors.smtp import DoorSpec, Limits, serve
from relay.gate import Qualified, nobody_known
from relay.intake import Intake
from relay.model import Addressee, BodyRef, Door, DoorProof, Envelope, Receipt, Refusal
from relay.peering import Unsure
from relay.policy import FACTORY_BOOK, Book
from relay.pseudonym import Pseudonyms
from relay.routing import Node
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

    def hears(self, within_s: float) -> bool:
        """Whether something comes so soon; a TLS session is read and written by one thread alone."""
        return bool(select.select([self._socket], [], [], within_s)[0])

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


def served(
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
