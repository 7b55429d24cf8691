"""One node's intake on a real store, a real spooler and a real directory, and envelopes to hand it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from certs.chain import TrustStore
from directory.address import parse
from directory.ldap import LdapDirectory
from directory.model import Entry, Kind
from directory.region import SUFFIX, ldif
from directory.slapd import Passwords
from gateway.demo.servers import Slapd, free_port, new_folder
from relay import spool
from relay.intake import Intake
from relay.model import (
    Addressee,
    BodyRef,
    Door,
    DoorProof,
    Envelope,
    Letter,
    Receipt,
    Refusal,
    new_id,
)
from relay.partners import Listed, WhiteList
from relay.pseudonym import Pseudonyms
from relay.routing import Node
from relay.spooler import SpoolClient, Spooler
from relay.store import engine, migrations, tables

OURS, PEER = "lilas.mssante.example", "parc.mssante.example"
MARIE, ANNE = f"marie.martin@{OURS}", f"anne.petit@{OURS}"
PAUL = f"paul.durand@{PEER}"
CLOSED = f"jeanne.partie@{OURS}"
PATIENT = "279035121518989@patient.mssante.fr"
OUR_DN, PEER_DN = "CN=mss.lilas.example,O=LILAS,C=FR", "CN=mss.parc.example,O=PARC,C=FR"
ACCOUNT = DoorProof(account=MARIE, tls="TLSv1.3", client="192.0.2.7", helo="poste")
FROM_PEER = DoorProof(peer=PEER_DN, peer_fingerprint="ab" * 32, client="192.0.2.9", helo="mss.parc.example")
Mail = Callable[..., bytes]


@dataclass(frozen=True)
class House:
    """One node's intake with all that it stands on."""

    intake: Intake
    engine: Engine
    stop_spooler: Callable[[], None]

    def recipients(self, letter_id: str) -> dict[str, tuple[str, str, str]]:
        found = spool.letter(self.engine, "lilas", letter_id)
        rows = found[1] if found else ()
        return {row.address: (row.route.mode.value, row.state.value, row.reason) for row in rows}

    def kept(self, letter_id: str) -> Letter:
        found = spool.letter(self.engine, "lilas", letter_id)
        assert found is not None
        return found[0]

    def events(self, letter_id: str) -> list[str]:
        return [step.event for step in spool.timeline(self.engine, "lilas", letter_id)]


@pytest.fixture(scope="module")
def slapd() -> Iterator[Slapd]:
    folder = new_folder()
    server = Slapd(folder / "s", free_port(), SUFFIX, Passwords(relay="r", people="p", feeder="f"))
    people = [person(MARIE), person(ANNE), person(PAUL), person(f"rouge@{OURS}", red_list=True), person(CLOSED)]
    head, _, last = ldif(people).rpartition("dn: mail=")
    assert CLOSED in last
    server.load(f"{head}dn: mail={last.replace('lifecycleState: active', 'lifecycleState: suspended')}")
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


def person(address: str, **more: bool) -> Entry:
    given, _, family = address.partition("@")[0].partition(".")
    entry = Entry(parse(address), Kind.PER, f"Dr {given} {family}", family, given, "Dr", finess="750000001")
    return replace(entry, **more)  # type: ignore[arg-type]


@contextmanager
def running(slapd: Slapd, trust: TrustStore, today: datetime, folder: Path) -> Iterator[House]:
    url = f"sqlite:///{folder / 'pli.sqlite'}"
    migrations.upgrade(url, [tables.metadata])
    stop = threading.Event()
    spooler = Spooler(engine.writer_engine(url), folder / "s.sock", spool.WRITES, lambda: today)
    thread = threading.Thread(target=spooler.serve, args=(stop,))
    thread.start()
    assert spooler.ready.wait(10)

    def end() -> None:
        stop.set()
        thread.join(10)

    listed = [Listed(OURS, OUR_DN), Listed(PEER, PEER_DN), Listed("patient.mssante.fr", "CN=mes,O=CNAM,C=FR")]
    white_list = WhiteList.of(listed, today)
    intake = Intake(
        node=Node("lilas", frozenset({OURS}), "mss.lilas.example"),
        client=SpoolClient(folder / "s.sock", timeout=5.0),
        directory=LdapDirectory(slapd.uri, SUFFIX, slapd.relay_dn, "r", clock=lambda: today),
        white_list=lambda: white_list,
        trust=lambda: trust,
        finders=(),
        pseudonyms=Pseudonyms(b"k" * 32),
        clock=lambda: today,
    )
    yield House(intake, engine.reader_engine(url), end)
    end()


@pytest.fixture(scope="module")
def house(
    slapd: Slapd, trust: TrustStore, today: datetime, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """Shared: each test looks at its own letters only."""
    with running(slapd, trust, today, tmp_path_factory.mktemp("house")) as found:
        yield found


def submission(at: datetime, *to: str, sender: str | None = MARIE, proof: DoorProof = ACCOUNT) -> Envelope:
    return envelope(at, Door.SUBMISSION, to, sender, proof)


def from_peer(at: datetime, *to: str, sender: str | None = PAUL) -> Envelope:
    return envelope(at, Door.PEER, to, sender, FROM_PEER)


def envelope(at: datetime, door: Door, to: tuple[str, ...], sender: str | None, proof: DoorProof) -> Envelope:
    return Envelope(
        id=new_id(at),
        tenant="lilas",
        door=door,
        sender=parse(sender) if sender else None,
        addressees=tuple(Addressee(parse(each)) for each in to),
        proof=proof,
        received_at=at,
    )


def body(raw: bytes) -> BodyRef:
    return BodyRef("random-name", len(raw), "digest")


def accept(house: House, given: Envelope, raw: bytes) -> Receipt | Refusal:
    return house.intake.accept(given, raw, body(raw))
