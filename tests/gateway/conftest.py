"""What tests of the doors share: a throw-away trust space, open doors, and what stands behind them."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from certs import tls
from certs.chain import TrustStore
from certs.throwaway import Pki
from directory.address import parse
from directory.ldap import LdapDirectory
from directory.model import Capabilities, Entry, Kind
from directory.region import SUFFIX, ldif
from directory.slapd import Passwords
from gateway.accounts import Accounts
from gateway.demo.servers import Slapd, free_port, new_folder
from gateway.doors.smtp import Limits
from relay import spool
from relay.intake import Intake
from relay.model import Door
from relay.partners import Listed, WhiteList
from relay.peering import Unsure
from relay.pseudonym import Pseudonyms
from relay.routing import Node
from relay.spooler import SpoolClient, Spooler
from relay.store import engine, migrations, tables
from tests.gateway.desk import desk as desk
from tests.gateway.open_doors import ANNA, BERT, PASSWORD, OpenDoor, Recorder, TrustSpace, served, today
from tests.gateway.several import changed as changed
from tests.gateway.several import town as town
from tests.gateway.vault import authority as authority
from tests.gateway.vault import client as client
from tests.gateway.vault import doctor as doctor
from tests.gateway.vault import seal as seal
from tests.gateway.vault import vault as vault


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
        door = served(kind, trust_space, trusted, known, intake or Recorder(), tmp_path, told, unsure, contexts)
        opened.append(door)
        return door

    yield start
    for door in opened:
        for each in door.clients:
            each.close()
        door.stop()
        door.join()


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
