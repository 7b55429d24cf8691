"""Ways to provoke each reply at a real door over a real socket."""

from __future__ import annotations

import shutil
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs import tls
from certs.chain import TrustStore
from certs.throwaway import Shape, subject
from directory.ldap import LdapDirectory
from directory.region import SUFFIX
from gateway.accounts import Accounts
from gateway.demo.clamd import EICAR, Clamd
from gateway.demo.processes import free_port, new_folder
from gateway.demo.provider import AUDIENCE, Provider
from gateway.tokens import Provider as Known
from gateway.tokens import Tokens
from relay import scan
from relay.model import Door
from relay.partners import Listed, WhiteList
from relay.policy import Book, Level, Line
from relay.scan import Scanning

PATIENT = "279035121518989@patient.mssante.fr"
ANNA, ZOE, BERT = "anna@lilas.example", "zoe.lambert@lilas.example", "bert@parc.example"
CLOSED, DECLINES, SMALL = "carl.clos@parc.example", "dora.dit@parc.example", "emil.etroit@parc.example"
PASSWORD = "correct horse"
LETTER = b"From: anna@lilas.example\r\nMessage-ID: <1@lilas.example>\r\nSubject: essai\r\n\r\nBonjour.\r\n"
END = b".\r\n"


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Scene:
    """What a provocation may ask for; each is made when first asked for."""

    request: pytest.FixtureRequest
    open_door: Callable[..., Any]
    space: Any
    folder: Path

    @property
    def node(self) -> Any:
        """The real intake, store, spooler and directory."""
        return self.request.getfixturevalue("node")

    def client(self, **limits: float) -> Any:
        """A mail client, logged in, before an intake that says yes."""
        return self.open_door(**limits).logged_in()

    def ours(self, **changed: Any) -> Any:
        """A mail client, logged in, before the real intake."""
        return self.open_door(intake=replace(self.node.intake, **changed)).logged_in()

    def peer(self, shown: str = "peer", **changed: Any) -> Any:
        """Another operator, before the real intake."""
        door = self.open_door(Door.PEER, intake=replace(self.node.intake, **changed))
        return door.secure(getattr(self.space, shown) if shown else None)


Provoke: TypeAlias = Callable[[Scene], str]


@dataclass(frozen=True)
class Elsewhere:
    """A reply that no test of this file can hear: why, and the test that shows it."""

    why: str
    test: str


def says(*lines: str) -> Provoke:
    """The last reply to these lines of a client that is logged in."""
    return lambda scene: [*map(scene.client().say, lines)][-1]


def before_tls(*lines: str) -> Provoke:
    def provoke(scene: Scene) -> str:
        client = scene.open_door().client()
        return str([*map(client.say, lines)][-1])

    return provoke


def before_login(*lines: str) -> Provoke:
    def provoke(scene: Scene) -> str:
        client = scene.open_door().secure()
        return str([*map(client.say, lines)][-1])

    return provoke


def to(recipient: str, **changed: Any) -> Provoke:
    """RCPT of one of ours, before the real intake."""

    def provoke(scene: Scene) -> str:
        client = scene.ours(**changed)
        assert client.say(f"MAIL FROM:<{ANNA}>").startswith("250 ")
        return str(client.say(f"RCPT TO:<{recipient}>"))

    return provoke


def letter(wire: bytes = LETTER, recipient: str = BERT, **changed: Any) -> Provoke:
    """The answer after DATA, of the real intake."""

    def provoke(scene: Scene) -> str:
        client = scene.ours(**changed)
        client.envelope(ANNA, recipient)
        return str(client.data(wire + END))

    return provoke


def policy(**values: str) -> Callable[[], Book]:
    book = Book([Line(Level.TENANT, "", key, value, "test") for key, value in values.items()])
    return lambda: book


def from_peer(sender: str, shown: str = "peer", **changed: Any) -> Provoke:
    return lambda scene: str(scene.peer(shown, **changed).say(f"MAIL FROM:<{sender}>"))


def patients_space() -> WhiteList:
    return WhiteList.of([Listed("patient.mssante.fr", "CN=mes.example")], now())


def no_relay(scene: Scene) -> str:
    client = scene.peer()
    assert client.say(f"MAIL FROM:<{BERT}>").startswith("250 ")
    return str(client.say("RCPT TO:<x@third.example>"))


def too_many_recipients(scene: Scene) -> str:
    client = scene.client(max_recipients=1)
    client.envelope()
    return str(client.say("RCPT TO:<b2@parc.example>"))


def without_directory(scene: Scene) -> str:
    nowhere = LdapDirectory(f"ldap://127.0.0.1:{free_port()}", SUFFIX, "cn=x", "r", clock=now)
    return to(BERT, directory=nowhere)(scene)


def without_store(scene: Scene) -> str:
    client = scene.ours()
    client.envelope(ANNA, BERT)
    scene.node.end()
    return str(client.data(LETTER + END))


def without_revocation(scene: Scene) -> str:
    shutil.copytree(scene.space.folder, scene.folder / "trust")
    shutil.rmtree(scene.folder / "trust/crls")
    (scene.folder / "trust/crls").mkdir()
    door = scene.open_door(Door.PEER, trust=TrustStore.load(scene.folder / "trust"))
    return str(door.secure(scene.space.peer).say(f"MAIL FROM:<{BERT}>"))


def stale(scene: Scene) -> str:
    old = WhiteList.of([Listed("parc.example", "CN=mss.parc.example")], now() - timedelta(hours=73))
    return from_peer(BERT, white_list=lambda: old)(scene)


def infected(scene: Scene) -> str:
    folder = new_folder()
    clamd = Clamd(folder / "clamd")
    clamd.start()
    try:
        asked = scan.Clamd(clamd.socket, now, own_signatures=True)
        return letter(LETTER + EICAR + b"\r\n", scanning=Scanning(asked))(scene)
    finally:
        clamd.stop()
        shutil.rmtree(folder, ignore_errors=True)


def without_clamd(scene: Scene) -> str:
    return letter(scanning=Scanning(scan.Clamd(scene.folder / "absent.sock", now)))(scene)


def surprise(scene: Scene) -> str:
    door = scene.open_door()
    door.intake.letter_refusal = ZeroDivisionError()
    client = door.logged_in()
    client.envelope()
    return str(client.data(LETTER + END))


def full_house(scene: Scene) -> str:
    door = scene.open_door(sessions=1)
    door.client()
    return str(door.client().greeting)


def tls_go(scene: Scene) -> str:
    return before_tls("EHLO client.example", "STARTTLS")(scene)


def no_hello(scene: Scene) -> str:
    """After STARTTLS it must be said again."""
    door = scene.open_door()
    client = door.client()
    client.say("EHLO client.example")
    client.start_tls(door.context())
    return str(client.say(MAIL))


def no_provider(scene: Scene) -> str:
    provider = Provider()
    provider.start()
    provider.down = True
    try:
        known = Known(provider.issuer, AUDIENCE, f"{provider.url}/certs", pause=timedelta(0))
        accounts = Accounts(scene.folder / "passwd", {}, Tokens(known, now))
        said = b64encode(f"user={ANNA}\1auth=Bearer a.b.c\1\1".encode()).decode()
        return str(scene.open_door(accounts=accounts).secure().say(f"AUTH XOAUTH2 {said}"))
    finally:
        provider.stop()


def unsure_application(scene: Scene) -> str:
    """An application's certificate, whose issuer's list is not there."""
    trusted = scene.space.trust()
    believed = TrustStore(trusted.anchors, trusted.intermediates)
    shape = Shape(eku=(ExtendedKeyUsageOID.CLIENT_AUTH,), key="p256")
    held = scene.space.pki.issue(subject("labo.lilas.example", "LILAS", "1750000001"), shape)
    accounts = Accounts(scene.folder / "passwd")
    accounts.bind_certificate(ANNA, held.der)
    context = tls.context(tls.APPLICATION_IN, scene.space.host, believed)
    door = scene.open_door(trust=believed, accounts=accounts, contexts=lambda: context)
    return str(door.secure(held.write(scene.folder / "held", "app")).say("AUTH EXTERNAL ="))


def failing(times: int, **limits: float) -> Provoke:
    """What is heard after so many wrong passwords."""

    def provoke(scene: Scene) -> str:
        door = scene.open_door(**limits)
        client = door.secure()
        for _ in range(times):
            client.log_in(ANNA, "wrong")
        return str(client.hear() if "logins" in limits else door.secure().log_in(ANNA, PASSWORD))

    return provoke


def chunk(data: bytes, *lines: str) -> Provoke:
    """The last reply, after a chunk that is not the last."""

    def provoke(scene: Scene) -> str:
        client = scene.client()
        client.envelope()
        client.send(f"BDAT {len(data)}\r\n".encode() + data)
        return str([client.hear(), *map(client.say, lines)][-1])

    return provoke


def raw(wire: bytes) -> Provoke:
    def provoke(scene: Scene) -> str:
        client = scene.client()
        client.send(wire)
        return str(client.hear())

    return provoke


def repeated(line: str, times: int) -> Provoke:
    """The last reply before the session ends."""

    def provoke(scene: Scene) -> str:
        client = scene.client()
        heard = ""
        for _ in range(times):
            heard = client.say(line)
            if heard.startswith("421"):
                break
        return heard

    return provoke


def letters_too_often(scene: Scene) -> str:
    client = scene.client(letters=1)
    client.say(f"MAIL FROM:<{ANNA}>")
    client.say("RSET")
    return str(client.say(f"MAIL FROM:<{ANNA}>"))


def slow(scene: Scene) -> str:
    return str(scene.open_door(command_s=0.2).client().hear())


def closing(scene: Scene) -> str:
    door = scene.open_door()
    client = door.logged_in()
    door.stop()
    return str(client.hear())


def taken(scene: Scene) -> str:
    client = scene.client()
    client.envelope()
    return str(client.data(LETTER + END))


MAIL, RCPT = f"MAIL FROM:<{ANNA}>", f"RCPT TO:<{BERT}>"
TWO_AUTHORS = LETTER.replace(b"From: anna@lilas.example", f"From: {ANNA}, {ZOE}".encode())
