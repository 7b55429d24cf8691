"""A stage under load: clients that do not give up, and a hand that kills."""

from __future__ import annotations

import imaplib
import os
import random
import shutil
import signal
import smtplib
import sqlite3
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest

from dmp_bridge import cda, packing
from dmp_bridge.model import Document
from gateway.demo import clients, looks, sample, stage
from gateway.demo.cast import OPERATORS, PASSWORD, RADIOLOGIST, SURGEON, author_of
from gateway.demo.processes import Process, new_folder
from gateway.demo.running import Company, company
from gateway.demo.stage import Seat
from gateway.serve import PROCESSES

SENDER, TO = str(RADIOLOGIST.address), str(SURGEON.address)
LIMIT_S = 120.0


def until(look: Callable[[], Any], what: str, limit_s: float = LIMIT_S) -> Any:
    """The first true answer of `look`."""
    end = time.monotonic() + limit_s
    while not (answer := look()):
        assert time.monotonic() < end, f"not seen within {limit_s:.0f} s: {what}"
        time.sleep(0.05)
    return answer


# --- the load -----------------------------------------------------------------------------------------------


@dataclass
class Load:
    """Several clients, each with one letter after the other, sent again until it is answered 250."""

    seat: Seat
    ca: Path
    seed: int
    clients: int = 4
    enough: threading.Event = field(default_factory=threading.Event)
    answered: dict[str, Document | None] = field(default_factory=dict)
    """Message-ID of each letter that was answered 250, with its document if it has one."""
    unsure: Counter[str] = field(default_factory=Counter)
    """How often the end of DATA was sent and no 250 came: the letter may have been kept all the same."""
    in_data: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)
    surprises: list[BaseException] = field(default_factory=list)

    def start(self) -> None:
        self._threads = [
            threading.Thread(target=self._client, args=(number,), daemon=True) for number in range(self.clients)
        ]
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """No new letters; the ones that clients hold are sent until they are answered."""
        self.enough.set()
        end = time.monotonic() + LIMIT_S
        for thread in self._threads:
            thread.join(max(0, end - time.monotonic()))
        assert not self.surprises, self.surprises
        assert not any(thread.is_alive() for thread in self._threads), "a client was never answered"

    def _client(self, number: int) -> None:
        dice = random.Random(f"{self.seed} client {number}")
        serial = 0
        try:
            while not self.enough.is_set():
                serial += 1
                mail, document = self._written(100 + self.clients * serial + number, with_document=serial % 3 == 0)
                self._insist(mail, document, dice)
                time.sleep(dice.uniform(0.1, 0.6))
        except BaseException as surprise:
            self.surprises.append(surprise)

    def _written(self, serial: int, *, with_document: bool) -> tuple[bytes, Document | None]:
        if not with_document:
            return _note(serial), None
        author = author_of(RADIOLOGIST, OPERATORS["lilas"])
        at = datetime.now(UTC).replace(microsecond=0)
        document = cda.read(sample.report_cda(at, sample.report_pdf(at, author=author), serial, author=author))
        assert isinstance(document, Document), document
        parcel = packing.Parcel((document,), RADIOLOGIST, (SURGEON.address,), source_id=f"{sample.ROOT}.9", nil="T")
        mail = packing.pack(parcel, at)
        assert isinstance(mail, bytes), mail
        return mail, document

    def _insist(self, mail: bytes, document: Document | None, dice: random.Random) -> None:
        name = looks.message_id(mail)
        while not self._attempt(mail, name, dice):
            time.sleep(dice.uniform(0.1, 0.4))
        self.answered[name] = document

    def _attempt(self, mail: bytes, name: str, dice: random.Random) -> bool:
        """One session; True once the letter is answered 250."""
        try:
            with self._session() as client:
                for code, said in (client.mail(SENDER), client.rcpt(TO)):
                    if code != 250:
                        raise smtplib.SMTPResponseException(code, said)
                return self._data(client, mail, name, dice)
        except (OSError, smtplib.SMTPException):
            return False

    def _session(self) -> smtplib.SMTP:
        client = smtplib.SMTP("127.0.0.1", self.seat.ports.submission, local_hostname="poste.example", timeout=20)
        client.starttls(context=ssl.create_default_context(cafile=str(self.ca)))
        client.login(SENDER, PASSWORD)
        return client

    def _data(self, client: smtplib.SMTP, mail: bytes, name: str, dice: random.Random) -> bool:
        """DATA in two pieces, as on a slow line."""
        if client.docmd("DATA")[0] != 354:
            return False
        stuffed = mail.replace(b"\r\n.", b"\r\n..")
        with self._sending():
            client.send(stuffed[: len(stuffed) // 2])
            time.sleep(dice.uniform(0, 0.1))
            self.unsure[name] += 1
            client.send(stuffed[len(stuffed) // 2 :] + b"\r\n.\r\n")
            kept = client.getreply()[0] == 250
        if kept:
            self.unsure[name] -= 1
        return kept

    @contextmanager
    def _sending(self) -> Iterator[None]:
        with self._lock:
            self.in_data += 1
        try:
            yield
        finally:
            with self._lock:
                self.in_data -= 1


def _note(serial: int) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = SENDER, TO, "Essai"
    mail["Date"] = datetime.now(UTC)
    mail["Message-ID"] = f"<{serial}.{time.time_ns()}@crash.example>"
    mail.set_content("Bonjour.\n.\nUne ligne qui commence par un point.\n")
    return mail.as_bytes()


# --- the killing --------------------------------------------------------------------------------------------

NODE = "node"
"""All processes of a node at once, the supervisor among them: as when the machine dies."""


@dataclass
class Killer:
    """SIGKILL for processes of one node, each known by its pid file so that nobody else's is ever hit."""

    company: Company
    seat: Seat
    dice: random.Random
    killed: Counter[str] = field(default_factory=Counter)
    _last: dict[str, int] = field(default_factory=dict)
    _deck: list[str] = field(default_factory=list)

    def strike(self, moment: Callable[[], bool]) -> str:
        """Kills the next target at the next `moment`; answers its name."""
        target = self._next()
        pids = [self._running(name) for name in (PROCESSES if target == NODE else (target,))]
        time.sleep(self.dice.uniform(0, 1.0))
        until(moment, "a letter between its first DATA byte and its settling")
        if target == NODE:
            Process(self.seat.folder).stop(signal.SIGKILL, whole=True)
            self.company.start_node(self.seat)
        else:
            os.kill(pids[0], signal.SIGKILL)
        self.killed[target] += 1
        return target

    def _next(self) -> str:
        """From a shuffled deck, so that every process has its turns."""
        if not self._deck:
            self._deck = [*PROCESSES * 4, NODE]
            self.dice.shuffle(self._deck)
        return self._deck.pop()

    def _running(self, name: str) -> int:
        """Its pid, once it serves and is another than the one that was killed last."""
        pid = until(lambda: self._announced(name), f"{name} running again", 30)
        self._last[name] = pid
        return int(pid)

    def _announced(self, name: str) -> int:
        try:
            pid = int((self.seat.folder / "run" / f"{name}.pid").read_text())
        except (FileNotFoundError, ValueError):
            return 0
        return pid if pid != self._last.get(name) and Path(f"/proc/{pid}").exists() else 0


# --- the scene ----------------------------------------------------------------------------------------------

UNSETTLED = "SELECT count(*) FROM recipients WHERE state IN ('queued', 'running')"
DUE = "SELECT count(*) FROM recipients WHERE notice = 'due'"


@dataclass
class Scene:
    """Two operators with their servers; letters go from lilas, whose processes are killed, to parc."""

    company: Company
    held: bool = False
    """Set by a test whose expectations all held: then nothing is left to look at."""

    @property
    def lilas(self) -> Seat:
        return self.company.stage.seats["lilas"]

    @property
    def parc(self) -> Seat:
        return self.company.stage.seats["parc"]

    def load(self, seed: int) -> Load:
        return Load(self.lilas, self.company.stage.anchors, seed)

    def killer(self, seed: int) -> Killer:
        return Killer(self.company, self.lilas, random.Random(f"{seed} killer"))

    def rows(self, seat: Seat, query: str) -> list[tuple[Any, ...]]:
        """Of the node's database as it lies on the disk, read only."""
        with closing(sqlite3.connect(f"file:{seat.folder / 'data' / 'pli.sqlite'}?mode=ro", uri=True)) as store:
            return store.execute(query).fetchall()

    def under_way(self, load: Load) -> bool:
        """A letter is between its first DATA byte and its settling."""
        assert not load.surprises, load.surprises
        return load.in_data > 0 or self.rows(self.lilas, UNSETTLED)[0][0] > 0

    def orphan(self) -> Path:
        """A body as a crash leaves it: half written, by nobody who lives, two hours ago."""
        bodies = self.lilas.folder / "data" / "bodies"
        left = bodies / "ab" / f"{'ab' * 16}.part"
        left.write_bytes(b"half")
        shutil.chown(left, bodies.stat().st_uid, bodies.stat().st_gid)
        os.utime(left, (time.time() - 7200,) * 2)
        return left

    def quiet(self) -> None:
        """Until both nodes have settled everything, notices too."""

        def waiting() -> int:
            return sum(int(self.rows(seat, q)[0][0]) for seat in (self.lilas, self.parc) for q in (UNSETTLED, DUE))

        until(lambda: waiting() == 0, "everything settled")

    def mailbox(self) -> Counter[str]:
        """How often each Message-ID lies in the recipient's mailbox, seen over IMAP."""
        client = imaplib.IMAP4("127.0.0.1", self.parc.ports.imap)
        client.starttls(ssl.create_default_context(cafile=str(self.company.stage.anchors)))
        client.login(TO, PASSWORD)
        with client:
            client.select("INBOX", readonly=True)
            _, found = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
        heads = [each[1] for each in found if isinstance(each, tuple)]
        return Counter(head.partition(b":")[2].strip().decode("ascii") for head in heads)

    def entries(self, document: Document) -> list[str]:
        """What the dossier host has of a document (ITI-18)."""
        return clients.dossier_find(looks.access(self.company, self.lilas), document.unique_id)


@pytest.fixture
def scene() -> Iterator[Scene]:
    """A stage of its own, which stays on the disk if the test fails."""
    folder = new_folder("pli-c-")
    with company(stage.build(folder / "s", datetime.now(UTC))) as running:
        looks.register(running)
        made = Scene(running)
        yield made
    if made.held:
        shutil.rmtree(folder)
    else:
        print(f"what the crash test left lies in {folder}")
