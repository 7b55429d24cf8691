"""Two operators on one stage, with real servers, for whole journeys; and what a journey does to them."""

from __future__ import annotations

import json
import os
import shutil
import smtplib
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.chain import identity
from directory.address import parse
from directory.entries import attributes
from directory.ldif import escaped, record
from directory.model import Address
from directory.region import SUFFIX
from dmp_bridge import cda, packing
from dmp_bridge import patients as register
from dmp_bridge.model import Document, Patient
from gateway import app
from gateway import config as configuration
from gateway.accounts import Accounts
from gateway.demo import clients, looks, sample, stage
from gateway.demo import town as towns
from gateway.demo.cast import LILAS, OPERATORS, PARC, PASSWORD, RADIOLOGIST, SURGEON, author_of
from gateway.demo.clients import Login
from gateway.demo.postfix import Postfix
from gateway.demo.processes import free_port, new_folder
from gateway.demo.running import Company, company, our_account
from gateway.demo.stage import Seat
from relay import spool
from relay.couriers.utf8 import in_ascii
from relay.model import State
from relay.partners import Listed
from relay.store.bodies import seal_bytes
from relay.store.engine import reader_engine

LIMIT_S = 30.0


@dataclass
class World:
    """One stage with its company, and the gestures of a journey."""

    company: Company
    serial: int = 100

    @property
    def lilas(self) -> Seat:
        return self.company.stage.seats["lilas"]

    @property
    def parc(self) -> Seat:
        return self.company.stage.seats["parc"]

    @property
    def ca(self) -> Path:
        return self.company.stage.anchors

    # --- writing ----------------------------------------------------------------------------------------------

    def report(self, patient: Patient = sample.PATIENT) -> Document:
        """A new report by the radiologist."""
        self.serial += 1
        at = datetime.now(UTC).replace(microsecond=0)
        author = author_of(RADIOLOGIST, OPERATORS["lilas"])
        read = cda.read(sample.report_cda(at, sample.report_pdf(at, patient, author), self.serial, patient, author))
        assert isinstance(read, Document), read
        return read

    def packed(self, document: Document, to: Address = SURGEON.address, **more: Any) -> bytes:
        parcel = packing.Parcel((document,), RADIOLOGIST, (to,), source_id=f"{sample.ROOT}.9", nil="PLI-DEMO", **more)
        mail = packing.pack(parcel, datetime.now(UTC))
        assert isinstance(mail, bytes), mail
        return mail

    def plain(self, sender: str, to: str, subject: str = "Essai", text: str = "Bonjour") -> bytes:
        mail = EmailMessage(policy=SMTP)
        self.serial += 1
        mail["From"], mail["To"], mail["Subject"] = sender, to, subject
        mail["Date"] = datetime.now(UTC)
        mail["Message-ID"] = f"<{self.serial}.{time.time_ns()}@journeys.example>"
        mail.set_content(text)
        return mail.as_bytes()

    # --- sending ----------------------------------------------------------------------------------------------

    def submission(self, seat: Seat, login: str) -> smtplib.SMTP:
        """A session of a mail client, logged in."""
        client = smtplib.SMTP("127.0.0.1", seat.ports.submission, local_hostname="poste.example", timeout=LIMIT_S)
        client.starttls(context=ssl.create_default_context(cafile=str(self.ca)))
        client.login(login, PASSWORD)
        return client

    def submit(
        self, mail: bytes, *to: Address, seat: Seat | None = None, sender: str = str(RADIOLOGIST.address)
    ) -> str:
        """Hands a letter in; answers its id at the sender's node."""
        seat = seat or self.lilas
        recipients = [str(each) for each in to or (SURGEON.address,)]
        with self.submission(seat, sender) as client:
            assert client.sendmail(sender, recipients, mail) == {}
        return str(self.trail(seat, "--message-id", looks.message_id(mail))["letter"])

    def peer(self, port: int, certificate: Path, key: Path) -> smtplib.SMTP:
        """A session of another operator, with its certificate."""
        client = smtplib.SMTP("127.0.0.1", port, local_hostname="mss.example", timeout=LIMIT_S)
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(str(certificate), str(key))
        client.starttls(context=context)
        client.ehlo()
        return client

    # --- looking ----------------------------------------------------------------------------------------------

    def trail(self, seat: Seat, *wanted: str) -> dict[str, Any]:
        trail: dict[str, Any] = json.loads(looks.pli(seat, "trace", "--json", *wanted).splitlines()[0])
        return trail

    def states(self, seat: Seat, letter: str) -> dict[str, tuple[str, str]]:
        """(state, reason) by mode."""
        rows = self.trail(seat, letter)["recipients"]
        return {row["mode"]: (row["state"], row["reason"] or row["note"]) for row in rows}

    def until(self, look: Callable[[], Any], what: str) -> Any:
        """The first true answer of `look`."""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            if answer := look():
                return answer
            time.sleep(0.1)
        raise AssertionError(f"not seen within {LIMIT_S:.0f} s: {what}")

    def settled(self, seat: Seat, letter: str) -> dict[str, tuple[str, str]]:
        """How each mode ended, once all have."""

        def look() -> dict[str, tuple[str, str]] | None:
            if not self._ended(seat, letter):
                return None
            states = self.states(seat, letter)
            return states if all(state in ("done", "failed") for state, _ in states.values()) else None

        answer: dict[str, tuple[str, str]] = self.until(look, f"{letter} settled at {seat.who.name}")
        return answer

    def _ended(self, seat: Seat, letter: str) -> bool:
        """Whether the command is worth asking: each time a program starts, and takes a core from the node."""
        settings = configuration.load(seat.config)
        engine = reader_engine(settings.database_url)
        try:
            found = spool.letter(engine, settings.node.tenant, letter)
        finally:
            engine.dispose()
        return found is not None and all(row.state in (State.DONE, State.FAILED) for row in found[1])

    def inbox(self, seat: Seat, address: Address, message_id: str) -> list[int]:
        return clients.mailbox_search(seat.ports.imap, Login(str(address), PASSWORD), message_id, self.ca)

    def received(self, seat: Seat, address: Address, message_id: str) -> bytes:
        """The delivered bytes, once they are there."""
        uid = self.until(lambda: self.inbox(seat, address, message_id), f"{message_id} in {address}")[0]
        return clients.mailbox_read(seat.ports.imap, Login(str(address), PASSWORD), uid, self.ca)

    def pli(self, seat: Seat, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command, typed by an operator of that node: under the node's own account, in a terminal's width."""
        who = our_account()
        return subprocess.run(
            [sys.executable, "-m", "gateway", "--config", str(seat.config), *arguments],
            capture_output=True, text=True, timeout=LIMIT_S, check=False, cwd="/",
            env={"LC_ALL": "C.UTF-8", "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1"},
            user=who.uid if who.dropped else None, group=who.gid if who.dropped else None,
            extra_groups=[] if who.dropped else None,
        )  # fmt: skip

    def worklist(self, seat: Seat, letter: str) -> list[dict[str, Any]]:
        """What waits for a person, of one letter."""
        rows: list[dict[str, Any]] = json.loads(self.pli(seat, "worklist", "--json").stdout)
        return [row for row in rows if row["letter_id"] == letter]

    def paper(self, name: str, data: bytes) -> Path:
        """A file on the operator's disk, in a folder that he can read."""
        folder = self.company.stage.folder / "papers"
        folder.mkdir(mode=0o755, exist_ok=True)
        path = folder / name
        path.write_bytes(data)
        path.chmod(0o644)
        return path

    def enrol(self, seat: Seat, *patients: Patient) -> None:
        """Patients into the register of a node."""
        settings = configuration.load(seat.config)
        public = bytes.fromhex(app.secret(settings.keeper.body_public_key).decode("ascii"))
        seal = partial(seal_bytes, public)
        register.put(app.client(settings), settings.node.tenant, patients, app.pseudonyms(settings), seal)

    def entries(self, document: Document) -> list[str]:
        """What the dossier host has of this document."""
        return clients.dossier_find(looks.access(self.company, self.lilas), document.unique_id)

    def fetched(self, document: Document) -> bytes:
        return clients.dossier_fetch(looks.access(self.company, self.lilas), document.unique_id)


NORD = "hopital-nord.mssante.example"
"""A domain of the region whose operator runs Postfix; its host runs only where a journey starts it."""


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """The stage that journeys share; each leaves it as it found it. A third operator is listed there."""
    with _world(_third_operator) as made:
        yield made


def _third_operator(built: stage.Stage) -> None:
    """Its host's certificate, its place in the white list, and its port in both nodes' [peers]."""
    issued = built.pki.tls_server(f"mss.{NORD}", "HOPITAL NORD", "1750000044")
    issued.write(built.folder / "nord-tls", "server")
    seats = built.seats.values()
    listed = [Listed(seat.who.domain, identity(_der(seat.tls[0])).subject) for seat in seats]
    listed.append(Listed("patient.mssante.fr", listed[0].subject, "Espace patient"))
    listed.append(Listed(NORD, identity(issued.der).subject, "Hopital Nord"))
    stage.publish(built, listed, datetime.now(UTC))
    _international_people(built)
    port = free_port()
    for seat in seats:
        text = seat.config.read_text("utf-8")
        seat.config.write_text(text.replace("[peers]\n", f'[peers]\n"{NORD}" = "127.0.0.1:{port}"\n'), "utf-8")


HELENE, RENEE, ZOE = f"hélène@{LILAS}", f"renée@{PARC}", f"zoé@{NORD}"


def _international_people(built: stage.Stage) -> None:
    """With addresses beyond ASCII: in the directory, at their operators and, in ASCII, at those operators' Dovecot."""
    people = [replace(RADIOLOGIST, address=parse(each), rpps="", certificates=()) for each in (HELENE, RENEE, ZOE)]
    more = "".join(
        record(f"mssAdresse={escaped(str(each.address))},ou=bal,{SUFFIX}", attributes(each)) for each in people
    )
    object.__setattr__(built, "ldif", built.ldif + more)
    for name, address in (("lilas", HELENE), ("parc", RENEE)):
        for login in (address, in_ascii(address)):
            Accounts(built.seats[name].accounts).add(login, PASSWORD)


def _der(pem: Path) -> bytes:
    return x509.load_pem_x509_certificates(pem.read_bytes())[0].public_bytes(Encoding.DER)


@pytest.fixture(scope="session")
def make_postfix(world: World) -> Callable[..., Postfix]:
    """make_postfix(**changes): the third operator's host, not started; it takes letters from Lilas and Parc."""
    seats = world.company.stage.seats.values()
    folder = world.company.stage.folder
    pair = (folder / "nord-tls/server.pem", folder / "nord-tls/server.key")
    port = int(configuration.load(world.lilas.config).peers[NORD].rpartition(":")[2])

    def make(**changes: Any) -> Postfix:
        host = Postfix(
            folder / "postfix", port, free_port(), NORD, f"mss.{NORD}", pair, world.ca,
            takes=[identity(_der(seat.tls[0])).fingerprint for seat in seats],
            routes={seat.who.domain: seat.ports.peers for seat in seats},
            names=[seat.who.hostname for seat in seats],
        )  # fmt: skip
        return replace(host, **changes)

    return make


@pytest.fixture(scope="session")
def make_world() -> Callable[..., Any]:
    """For a module's fixture: `with make_world(lambda stage: ...) as world`."""
    return _world


@pytest.fixture
def own_world() -> Iterator[Callable[..., World]]:
    """For journeys that need a configuration of their own: `own_world(lambda stage: ...)`."""
    opened: list[Any] = []

    def make(change: Callable[[stage.Stage], None] = lambda _: None) -> World:
        context = _world(change)
        opened.append(context)
        return context.__enter__()

    yield make
    for context in opened:
        context.__exit__(None, None, None)


def _world(change: Callable[[stage.Stage], None] = lambda _: None) -> Any:
    from contextlib import contextmanager

    @contextmanager
    def opened() -> Iterator[World]:
        folder = new_folder("pli-j-")
        built = stage.build(folder / "s", datetime.now(UTC))
        change(built)
        try:
            with company(built) as running:
                looks.register(running)
                yield World(running)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    return opened()


# Taken out of the environment: to the settings it would be their key `tenants`.
TENANTS = int(os.environ.pop("PLI_TENANTS", "4"))


@pytest.fixture(scope="session")
def town() -> Iterator[towns.Town]:
    """One node with several tenants, as many as PLI_TENANTS says."""
    folder = new_folder("pli-t-")
    try:
        with towns.running(towns.build(folder / "s", TENANTS, datetime.now(UTC))) as built:
            yield built
    finally:
        shutil.rmtree(folder, ignore_errors=True)
