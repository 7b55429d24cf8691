"""The load under which a node is killed: clients that send each letter again until it is answered 250.

Each client remembers where its letter is, so that who kills can say what was hit: between the first byte of DATA and
the final dot (`data`), or after it and before the answer (`unanswered`).
"""

from __future__ import annotations

import random
import smtplib
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

from dmp_bridge import cda, packing
from dmp_bridge.model import Document
from gateway.demo import looks, sample
from gateway.demo.cast import OPERATORS, PASSWORD, RADIOLOGIST, SURGEON, author_of
from gateway.demo.stage import Seat

SENDER, TO = str(RADIOLOGIST.address), str(SURGEON.address)
LIMIT_S = 180.0
_SEND_S = 20
"""For one answer, whoever was killed meanwhile."""


@dataclass
class Load:
    """Several clients, each with one letter after the other; every sixth holds a document for the dossier."""

    seat: Seat
    ca: Path
    seed: str
    clients: int = 4
    pause_s: tuple[float, float] = (0.05, 0.3)
    """Between two letters of a client."""
    enough: threading.Event = field(default_factory=threading.Event)
    given_up: threading.Event = field(default_factory=threading.Event)
    """Letters that are not answered are not sent again either."""
    answered: dict[str, Document | None] = field(default_factory=dict)
    """Message-ID of each letter that was answered 250, with its document if it has one."""
    unsure: Counter[str] = field(default_factory=Counter)
    """How often the end of DATA was sent and no 250 came: the letter may have been kept all the same."""
    phases: dict[int, str] = field(default_factory=dict)
    """Of each client whose letter is on the wire."""
    surprises: list[BaseException] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        self._threads = [
            threading.Thread(target=self._client, args=(number,), daemon=True) for number in range(self.clients)
        ]
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """No new letters; the ones that clients hold are sent until they are answered."""
        self.enough.set()
        self._join(LIMIT_S)

    def give_up(self) -> None:
        """No new letters, and nothing is sent again."""
        self.given_up.set()
        self.enough.set()
        self._join(_SEND_S + LIMIT_S)

    def _join(self, within_s: float) -> None:
        end = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0, end - time.monotonic()))
        if self.surprises:
            raise self.surprises[0]
        if any(thread.is_alive() for thread in self._threads):
            raise SystemExit("bench: a client was never answered")

    # --- one client

    def _client(self, number: int) -> None:
        dice = random.Random(f"{self.seed} client {number}")
        first, serial = 1000 * random.Random(self.seed).randrange(1, 900), 0
        try:
            while not self.enough.is_set():
                serial += 1
                letter = _written(first + self.clients * serial + number, with_document=serial % 6 == 3)
                self._insist(number, letter, dice)
                self.enough.wait(dice.uniform(*self.pause_s))
        except BaseException as surprise:
            self.surprises.append(surprise)

    def _insist(self, number: int, letter: Letter, dice: random.Random) -> None:
        while letter.name not in self.answered:
            self._attempt(number, letter, dice)
            if letter.name not in self.answered and self.given_up.wait(dice.uniform(0.1, 0.4)):
                return

    def _attempt(self, number: int, letter: Letter, dice: random.Random) -> None:
        """One session, which may end anywhere."""
        with suppress(OSError, smtplib.SMTPException), self._session() as client:
            for code, said in (client.mail(SENDER), client.rcpt(TO)):
                if code != 250:
                    raise smtplib.SMTPResponseException(code, said)
            self._data(number, client, letter, dice)

    def _session(self) -> smtplib.SMTP:
        client = smtplib.SMTP("127.0.0.1", self.seat.ports.submission, local_hostname="poste.example", timeout=_SEND_S)
        client.starttls(context=ssl.create_default_context(cafile=str(self.ca)))
        client.login(SENDER, PASSWORD)
        return client

    def _data(self, number: int, client: smtplib.SMTP, letter: Letter, dice: random.Random) -> None:
        """DATA in two pieces, as on a slow line."""
        if client.docmd("DATA")[0] != 354:
            return
        stuffed = letter.mail.replace(b"\r\n.", b"\r\n..")
        with self._on_the_wire(number):
            client.send(stuffed[: len(stuffed) // 2])
            self.phases[number] = "data"
            time.sleep(dice.uniform(0, 0.1))
            self.unsure[letter.name] += 1
            self.phases[number] = "unanswered"
            client.send(stuffed[len(stuffed) // 2 :] + b"\r\n.\r\n")
            if client.getreply()[0] == 250:
                self.unsure[letter.name] -= 1
                self.answered[letter.name] = letter.document

    @contextmanager
    def _on_the_wire(self, number: int) -> Iterator[None]:
        try:
            yield
        finally:
            self.phases.pop(number, None)


# --- the letters --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Letter:
    name: str
    """Its Message-ID."""
    mail: bytes
    document: Document | None = None


def _written(serial: int, *, with_document: bool) -> Letter:
    if not with_document:
        note = _note(serial)
        return Letter(looks.message_id(note), note)
    author = author_of(RADIOLOGIST, OPERATORS["lilas"])
    at = datetime.now(UTC).replace(microsecond=0)
    document = cda.read(sample.report_cda(at, sample.report_pdf(at, author=author), serial, author=author))
    assert isinstance(document, Document), document
    parcel = packing.Parcel((document,), RADIOLOGIST, (SURGEON.address,), source_id=f"{sample.ROOT}.9", nil="T")
    mail = packing.pack(parcel, at)
    assert isinstance(mail, bytes), mail
    return Letter(looks.message_id(mail), mail, document)


def _note(serial: int) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = SENDER, TO, "Essai"
    mail["Date"] = datetime.now(UTC)
    mail["Message-ID"] = f"<{serial}.{time.time_ns()}@crash.example>"
    mail.set_content("Bonjour.\n.\nUne ligne qui commence par un point.\n")
    return mail.as_bytes()
