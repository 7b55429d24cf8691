"""Two operators and a third, the courier between them, and peers: a real one, and one that is told what to answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from structlog.testing import capture_logs

from certs import chain, tls
from certs.chain import TrustStore
from certs.keys import KeeperDown
from certs.keys import Signer as KeySigner
from certs.throwaway import Issued, Pki
from relay.couriers.peer import PeerCourier
from relay.model import (
    BodyRef,
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
)
from relay.partners import Listed, WhiteList

FROM = "marie.martin@lilas.mssante.example"
DOMAIN = "parc.mssante.example"
Mail = Callable[..., bytes]
Serve = Callable[[Callable[[], asyncio.Protocol]], int]


@dataclass(frozen=True)
class World:
    """Two operators: ours calls, theirs answers; and a third one, listed for its own domain only."""

    ours: tuple[Path, Path]
    theirs: tuple[Path, Path]
    stranger: tuple[Path, Path]
    revoked: tuple[Path, Path]
    mailbox: Issued
    trust: TrustStore
    white_list: WhiteList
    now: datetime


@pytest.fixture(scope="session")
def world(pki: Pki, today: datetime, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("peers")
    names = ("ours", "theirs", "stranger", "revoked")
    issued = {name: pki.tls_server(f"mss.{name}.example", name.upper(), "1750000001") for name in names}
    pki.revoke(issued["revoked"])
    pki.write_trust(folder / "trust", today)
    listed = [Listed(DOMAIN, chain.identity(issued[name].der).subject) for name in ("theirs", "revoked")]
    listed.append(Listed("stranger.mssante.example", chain.identity(issued["stranger"].der).subject))
    return World(
        **{name: issued[name].write(folder, name) for name in names},
        mailbox=pki.smime(FROM, "Marie MARTIN", "LILAS", "1750000001"),
        trust=TrustStore.load(folder / "trust"),
        white_list=WhiteList.of(listed, today),
        now=today,
    )


class Keys:
    """The keeper's answers, with the keys at hand."""

    def __init__(self, *issued: Issued, down: bool = False) -> None:
        self.signers = {name: each.signer() for each in issued for name in chain.identity(each.der).addresses}
        self.down = down

    def signer_for(self, address: str, letter_id: str) -> KeySigner | None:
        if self.down:
            raise KeeperDown("not there")
        return self.signers.get(address) or self.seal_for(address.rpartition("@")[2], letter_id)

    def seal_for(self, domain: str, letter_id: str = "") -> KeySigner | None:
        return self.signers.get(f"domain-signing-authority@{domain}")


@dataclass
class Written:
    events: list[Event] = field(default_factory=list)

    def add(self, tenant: str, events: Sequence[Event]) -> None:
        self.events += events


def courier(world: World, port: int, keys: Keys | None = None, written: Written | None = None) -> PeerCourier:
    return PeerCourier(
        hostname="mss.ours.example",
        where=lambda domain: [("127.0.0.1", port)],
        context=lambda: tls.client_side(*world.ours, world.trust),
        trust=lambda: world.trust,
        white_list=lambda: world.white_list,
        keeper=keys or Keys(world.mailbox),
        journal=written or Written(),
        clock=lambda: world.now,
        command_s=5.0,
    )


def job(world: World, raw: bytes, mode: Mode = Mode.PEER_SIGNED, *locals_: str, sender: str = FROM) -> Job:
    letter = Letter(
        id="01abc",
        tenant="lilas",
        door=Door.SUBMISSION,
        sender=sender,
        message_id="<1@x>",
        body=BodyRef("n", len(raw), "d"),
        received_at=world.now,
        trace="Received: by mss.ours.example (Pli) id 01abc\r\n",
        verdict=Verdict(),
        proof=DoorProof(),
        envid="env-1",
    )
    route = Route(mode, DOMAIN, "test")
    rows = [
        Recipient(local, letter.id, "lilas", f"{local}@{DOMAIN}", route, State.RUNNING)
        for local in locals_ or ("paul",)
    ]
    return Job(letter, tuple(rows), lambda: raw, 1)


class Keeps:
    """The handler of a real aiosmtpd peer."""

    def __init__(self) -> None:
        self.letters: list[bytes] = []
        self.recipients: list[str] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.original_content, bytes)
        self.letters.append(envelope.original_content)
        self.recipients += envelope.rcpt_tos
        return "250 2.0.0 kept as 42"


def real_peer(world: World, serve: Serve, keeps: Keeps) -> int:
    context = tls.peer_side(*world.theirs, world.trust)
    return serve(lambda: SMTP(keeps, tls_context=context, require_starttls=True))


# --- a peer that is told what to answer ---------------------------------------------------------------------


@dataclass
class Scripted:
    """A foreign server: real sockets and TLS, answers by command, and ways to misbehave."""

    context: ssl.SSLContext
    extensions: tuple[str, ...] = ("8BITMIME", "SIZE 1000000")
    replies: dict[str, str] = field(default_factory=dict)
    starttls: bool = True
    injected: bytes = b""
    hang_up_in_data: bool = False
    said: list[str] = field(default_factory=list)
    shown: list[bytes | None] = field(default_factory=list)
    """The certificate of each session."""
    instead: Callable[[socket.socket], object] | None = None
    """What is done in place of a handshake."""

    def listen(self) -> int:
        listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, args=(listening,), daemon=True).start()
        return int(listening.getsockname()[1])

    def _serve(self, listening: socket.socket) -> None:
        connection, _ = listening.accept()
        listening.close()
        with contextlib.suppress(OSError):
            connection.sendall(b"220 scripted\r\n")
            self._talk(connection)
        connection.close()

    def _talk(self, connection: socket.socket) -> None:
        reader = connection.makefile("rb")
        while line := reader.readline():
            words = line.decode().strip()
            self.said.append(words)
            verb = words.split(" ")[0].upper()
            if verb == "STARTTLS":
                connection.sendall(b"220 go on\r\n" + self.injected)
                if self.instead is not None:
                    self.instead(connection)
                    return
                session = self.context.wrap_socket(connection, server_side=True)
                self.shown.append(session.getpeercert(True))
                self._talk(session)
                return
            if verb == "DATA" and self.hang_up_in_data:
                connection.sendall(b"354 go on\r\n")
                reader.readline()
                return
            connection.sendall((self._reply(verb, words) + "\r\n").encode())
            if verb == "DATA":
                while reader.readline() not in (b".\r\n", b""):
                    pass
                connection.sendall((self.replies.get(".", "250 2.0.0 taken") + "\r\n").encode())

    def _reply(self, verb: str, words: str) -> str:
        for start, answer in self.replies.items():
            if words.upper().startswith(start.upper()):
                return answer
        if verb == "EHLO":
            offered = (*self.extensions, *(("STARTTLS",) if self.starttls else ()))
            return "250-scripted\r\n" + "".join(f"250-{each}\r\n" for each in offered) + "250 OK"
        return "354 go on" if verb == "DATA" else "250 2.1.0 fine"


@pytest.fixture
def scripted(world: World) -> Callable[..., Scripted]:
    def make(**options: object) -> Scripted:
        who = options.pop("who", world.theirs)
        assert isinstance(who, tuple)
        return Scripted(tls.peer_side(*who, world.trust), **options)  # type: ignore[arg-type]

    return make


def one(outcomes: dict[str, Outcome]) -> Outcome:
    (outcome,) = outcomes.values()
    return outcome


def attempt(world: World, peer: Scripted, raw: bytes) -> tuple[Outcome, list[str]]:
    with capture_logs() as logs:
        outcome = one(courier(world, peer.listen()).deliver(job(world, raw)))
    return outcome, [entry["reason"] for entry in logs if entry["event"] == "alarm-peer"]


def until_it_ends(connection: socket.socket) -> None:
    while connection.recv(9999):
        pass


def silent(world: World, today: datetime, pki: Pki, folder: Path) -> Scripted:
    return Scripted(tls.service_side(*world.theirs), instead=until_it_ends)
