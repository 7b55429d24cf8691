"""What the bridge's tests share: the sample report, read back as a document, and a lot to put it in."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Engine, text

from certs import keys
from certs.chain import TrustStore
from certs.keys import LocalSigner
from certs.throwaway import Pki
from directory import address
from directory.model import Entry, Kind
from dmp_bridge import cda, choices, ebrim, filings, forgetting, packing, patients, tables
from dmp_bridge.courier import DossierCourier
from dmp_bridge.dmp import DossierClient
from dmp_bridge.host import __main__ as host_main
from dmp_bridge.hosts import Hosts
from dmp_bridge.model import Code, Document, FilingState, HostProfile, Patient
from dmp_bridge.standing import Standing
from gateway.demo import sample
from relay import spool
from relay.journal import SpoolJournal
from relay.model import (
    BodyRef,
    Door,
    DoorProof,
    Job,
    Letter,
    Mode,
    Outcome,
    Recipient,
    Route,
    State,
    Verdict,
)
from relay.pseudonym import Pseudonyms
from relay.spooler import SpoolClient, Spooler
from relay.store import bodies, migrations
from relay.store import tables as relay_tables
from relay.store.engine import reader_engine, writer_engine
from tests.dmp_bridge.asking import registry as registry

TENANT = "tilleuls"
SENDER = Entry(address.parse("helene.leroux@tilleuls.mssante.fr"), Kind.PER, "Dr Hélène LEROUX")
RECIPIENT = address.parse("marc.petit@cabinet.mssante.fr")


@pytest.fixture(scope="session")
def report_pdf() -> bytes:
    """The sample report's page; made once."""
    return sample.report_pdf(datetime.fromisoformat("2026-11-25T09:30:00+00:00"))


@pytest.fixture
def report_xml(report_pdf: bytes, now: datetime) -> bytes:
    """The CDA N1 around it."""
    return sample.report_cda(now, report_pdf)


@pytest.fixture
def report(report_xml: bytes) -> Document:
    """The sample report as the bridge reads it."""
    document = cda.read(report_xml)
    assert isinstance(document, Document)
    return document


@pytest.fixture
def lot(report: Document, now: datetime) -> ebrim.Submission:
    """A submission by the report's author."""
    content = Code("07", "1.2.250.1.213.2.2", "Consultation, soins externes")
    return ebrim.Submission("2.25.1", "2.25.2", now, report.authors[0], content)


@dataclass(frozen=True)
class Site:
    """Certificates around one dossier host, (chain, key) each; valid now: TLS runs on the real clock."""

    folder: Path
    host: tuple[Path, Path]
    client: tuple[Path, Path]
    revoked: tuple[Path, Path]
    mailbox: tuple[Path, Path]
    other: tuple[Path, Path]
    """A client of another structure."""
    seal: LocalSigner
    """Of the client's structure."""
    stranger: tuple[Path, Path]
    """Of an authority that nobody here knows."""

    @property
    def trust_folder(self) -> Path:
        return self.folder / "trust"

    def trust(self) -> TrustStore:
        return TrustStore.load(self.trust_folder)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Made once: keys cost."""
    folder, moment = tmp_path_factory.mktemp("site"), datetime.now(UTC)
    pki, other = Pki.create(moment), Pki.create(moment, "ELSEWHERE")
    who = ("Imagerie médicale des Tilleuls", "1750000018")
    revoked = pki.auth_client("revoked", *who)
    pki.revoke(revoked)
    pki.write_trust(folder / "trust", moment)
    return Site(
        folder,
        host=pki.tls_server("hebergeur.test", "Hébergeur de démonstration", "1750000026").write(folder, "host"),
        client=pki.auth_client("passerelle", *who).write(folder, "client"),
        revoked=revoked.write(folder, "revoked"),
        mailbox=pki.smime("a@tilleuls.test", "a", *who).write(folder, "mailbox"),
        other=pki.auth_client("autre", "Clinique du Parc", "1750000059").write(folder, "other"),
        seal=pki.seal("tilleuls.mssante.fr", *who).signer(),
        stranger=other.auth_client("stranger", *who).write(folder, "stranger"),
    )


class Stage:
    """Dossier hosts over real TLS, each served by a thread of this process; all stopped at the end."""

    def __init__(self, site: Site, folder: Path) -> None:
        self._site, self._folder = site, folder
        self._running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def __call__(self, wrong: str = "", port: int = 0, *flags: str, **told: Any) -> str:
        """Starts one and answers its URL; `flags` and `told` are its options."""
        files = {"cert": self._site.host[0], "key": self._site.host[1], "trust": self._site.trust_folder}
        named = {"folder": self._folder / "host", "port": port, "repository-id": "2.25.7", **files, **told}
        named |= {"wrong": wrong} if wrong else {}
        options = [text for name, value in named.items() for text in (f"--{name.replace('_', '-')}", str(value))]
        server = host_main.made(host_main.arguments().parse_args([*options, *flags]))
        listener = socket.create_server(("127.0.0.1", port))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        self._running.append((server, thread))
        return f"https://127.0.0.1:{listener.getsockname()[1]}"

    def stop(self) -> None:
        while self._running:
            server, thread = self._running.pop()
            server.should_exit = True
            thread.join(20)


@pytest.fixture
def dossier_host(site: Site, tmp_path: Path) -> Iterator[Stage]:
    """Starts dossier hosts over one folder; answers their URL."""
    hosts = Stage(site, tmp_path)
    yield hosts
    hosts.stop()


class Custody:
    """A migrated store with its spooler, and a register of patients in it."""

    def __init__(self, url: str, socket: Path) -> None:
        private = X25519PrivateKey.generate()
        self._public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._pseudonyms = Pseudonyms(b"k" * 32)
        self.client = SpoolClient(socket)
        self.engine: Engine = reader_engine(url)
        self.register = patients.Register(
            self.engine,
            self._pseudonyms,
            lambda blob: bodies.open_bytes(blob, lambda wrapped: keys.unwrap_key(private, wrapped)),
        )

    @property
    def pseudonyms(self) -> Pseudonyms:
        return self._pseudonyms

    def seal(self, data: bytes) -> bytes:
        """As a door seals: with the half that opens nothing."""
        return bodies.seal_bytes(self._public, data)

    def facts(self, event: str) -> list[dict[str, str]]:
        """What the journal says of such events, oldest first."""
        asked = text("SELECT facts FROM journal WHERE event = :event ORDER BY number")
        with self.engine.connect() as connection:
            return [json.loads(each) for each in connection.execute(asked, {"event": event}).scalars()]

    def know(self, tenant: str, *known: Patient) -> None:
        """Puts patients into the register."""
        seal = bodies.seal_bytes
        patients.put(self.client, tenant, known, self._pseudonyms, lambda data: seal(self._public, data))


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store as the migrations make it; made once, copied for each test."""
    path = tmp_path_factory.mktemp("migrated") / "empty.db"
    migrations.upgrade(f"sqlite:///{path}", (relay_tables.metadata, tables.metadata))
    return path


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Registers, work list and filings are tried on each database that they are kept in; a whole courier on one."""
    if "custody_url" in metafunc.fixturenames and "bridge" not in metafunc.fixturenames:
        metafunc.parametrize("custody_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def custody_url(request: pytest.FixtureRequest, migrated: Path, tmp_path: Path) -> str:
    """An empty store as the migrations make it."""
    if getattr(request, "param", "sqlite") == "postgresql":
        emptied: Callable[[], str] = request.getfixturevalue("emptied")
        return emptied()
    return f"sqlite:///{shutil.copyfile(migrated, tmp_path / 'custody.db')}"


@pytest.fixture
def custody(custody_url: str, tmp_path: Path, now: datetime) -> Iterator[Custody]:
    """The real spooler over a real store, upgraded by the migrations."""
    writes = {**spool.WRITES, **patients.WRITES, **filings.WRITES, **choices.WRITES, **forgetting.WRITES}
    writer = writer_engine(custody_url)
    spooler = Spooler(writer, tmp_path / "spool", writes, lambda: now)
    stop = threading.Event()
    thread = threading.Thread(target=spooler.serve, args=(stop,))
    thread.start()
    spooler.ready.wait(10)
    yield Custody(custody_url, tmp_path / "spool")
    stop.set()
    thread.join(10)
    writer.dispose()


class Bridge:
    """A courier with everything real around it but the dossier host's address."""

    def __init__(self, site: Site, custody: Custody, now: datetime) -> None:
        self._site, self._custody, self._now = site, custody, now
        self._trust = site.trust()
        self._clients: list[DossierClient] = []

    def client(self, url: str, standing: Standing | None = None, **profile: Any) -> DossierClient:
        told = HostProfile(
            **{"name": "regional", "url": url, "repository_id": "2.25.7", "source_id": "2.25.2", **profile}
        )
        made = DossierClient(told, *self._site.client, lambda: self._trust, timeout=10, standing=standing)
        self._clients.append(made)
        return made

    def courier(self, url: str, **profile: Any) -> DossierCourier:
        return DossierCourier(
            Hosts.only(self.client(url, **profile)),
            self._custody.register,
            self._custody.client,
            self._custody.engine,
            SpoolJournal(self._custody.client),
            institutions=frozenset({sample.AUTHOR.institution_id}),
        )

    def job(
        self,
        raw: bytes,
        mode: Mode = Mode.DOSSIER,
        letter_id: str = "01" * 13,
        door: Door = Door.SUBMISSION,
        attempt: int = 1,
    ) -> Job:
        body = BodyRef("body", len(raw), "")
        given = {"trace": "", "verdict": Verdict(), "proof": DoorProof(), "received_at": self._now}
        letter = Letter(letter_id, TENANT, door, str(SENDER.address), "<1@x>", body, **given)
        route = Route(mode, "regional", "candidates.xdm")
        row = Recipient("r1", letter_id, TENANT, "dossier:regional", route, State.RUNNING)
        return Job(letter, (row,), lambda: raw, attempt)

    def deliver(self, url: str, raw: bytes, *, profile: dict[str, Any] | None = None, **job: Any) -> Outcome:
        return self.courier(url, **(profile or {})).deliver(self.job(raw, **job))["r1"]

    def mail(self, *documents: Document) -> bytes:
        """A letter with these documents in one XDM archive."""
        parcel = packing.Parcel(documents, SENDER, (RECIPIENT,), "2.25.2")
        packed = packing.pack(parcel, documents[0].effective_time)
        assert isinstance(packed, bytes)
        return packed

    def rows(self, document: Document) -> list[FilingState]:
        found = filings.of_document(self._custody.engine, TENANT, "regional", document.unique_id)
        return [each.state for each in found]

    def waiting(self) -> list[str]:
        return [each.reason for each in filings.waiting(self._custody.engine, TENANT)]

    def events(self) -> list[str]:
        with self._custody.engine.connect() as connection:
            return list(connection.exec_driver_sql("SELECT event FROM journal ORDER BY number").scalars())

    def written(self) -> str:
        """Everything that the store holds in clear."""
        with self._custody.engine.connect() as connection:
            tables = ("journal", "filings", "worklist")
            return repr([connection.exec_driver_sql(f"SELECT * FROM {name}").all() for name in tables])  # noqa: S608

    def close(self) -> None:
        for each in self._clients:
            each.close()


@pytest.fixture
def bridge(site: Site, custody: Custody, now: datetime, dossier_host: Callable[..., str]) -> Iterator[Bridge]:
    """The sample's patient is in the register, qualified."""
    custody.know(TENANT, sample.PATIENT)
    made = Bridge(site, custody, now)
    yield made
    made.close()
