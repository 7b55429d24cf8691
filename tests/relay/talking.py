"""Nodes that talk: real intakes, spoolers, stores, carriers and notices; the wire, the mailboxes and the directory
take the places of foreign parties."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy import func, select

from certs.chain import TrustStore
from certs.keys import unwrap_key
from directory.address import parse
from directory.model import Address, Entry, Found, Kind
from relay import notices, spool
from relay.carrier import Carrier, Pace, opener
from relay.intake import Intake
from relay.model import (
    Addressee,
    Asked,
    Done,
    Door,
    DoorProof,
    Envelope,
    Job,
    Later,
    Mode,
    Never,
    Outcome,
    Reason,
    Receipt,
    Recipient,
    Refusal,
    State,
    new_id,
)
from relay.partners import Listed, WhiteList
from relay.pseudonym import Pseudonyms
from relay.routing import Node
from relay.schedule import Policy
from relay.spooler import SpoolClient, Spooler
from relay.store import engine, migrations, tables
from relay.store.bodies import BodyStore
from relay.store.tables import letters, recipients

NAMES = ("lilas", "parc", "bois")
POLICY = Policy(delays_s=(1800, 7200, 14400), lifetime_s=86400, warn_s=7200, silent_s=43200)


def domain(name: str) -> str:
    return f"{name}.mssante.example"


class Hand:
    """A clock that the test moves."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def on(self, hours: float) -> None:
        self.at += timedelta(hours=hours)


class Everybody:
    """A directory in which everybody is."""

    def find(self, address: Address) -> Found:
        return Found(Entry(address, Kind.PER, address.local))


@dataclass
class World:
    """All nodes, the hand on their clock, and what goes wrong next."""

    clock: Any
    nodes: dict[str, Pli] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    lost: int = 0
    """Deliveries whose answer was lost: each is made again."""

    def trouble(self) -> str:
        return self.troubles.pop() if self.troubles else "fine"

    def rest(self, rounds: int = 40) -> int:
        """Carries until nobody has anything left; how many rounds that took."""
        for number in range(rounds):
            for node in self.nodes.values():
                while node.carrier.step():
                    pass
            if not any(node.waiting() for node in self.nodes.values()):
                return number
            self.clock.on(hours=1)
        raise AssertionError(f"after {rounds} hours letters still wait: they talk for ever")


@dataclass
class Pli:
    """One node."""

    name: str
    world: World
    intake: Intake
    bodies: BodyStore
    reader: Any
    carrier: Any = None

    def takes(
        self, door: Door, sender: str, to: tuple[str, ...], raw: bytes, proof: DoorProof, **asked: Any
    ) -> Receipt | Refusal:
        """What a door does."""
        origin = parse(sender) if sender else None
        if refusal := self.intake.check_sender(origin, proof, door):
            return refusal
        resolved = [self.intake.check_recipient(parse(each), door) for each in to]
        if refused := next((each for each in resolved if isinstance(each, Refusal)), None):
            return refused
        aboard = tuple(
            Addressee(each.address, each.entry, Asked(**asked)) for each in resolved if isinstance(each, Addressee)
        )
        at = self.world.clock()
        envelope = Envelope(new_id(at), self.name, door, origin, aboard, proof, at)
        return self.intake.accept(envelope, raw, self.bodies.put(raw))

    def submit(self, sender: str, to: tuple[str, ...], raw: bytes, **asked: Any) -> Receipt | Refusal:
        who = sender or raw.partition(b"From: <")[2].partition(b">")[0].decode()
        return self.takes(Door.SUBMISSION, sender, to, raw, DoorProof(account=who), **asked)

    def count(self, *where: Any) -> int:
        with self.reader.connect() as conn:
            return int(conn.scalar(select(func.count()).select_from(letters).where(*where)) or 0)

    def waiting(self) -> int:
        with self.reader.connect() as conn:
            r = recipients.c
            undone = r.state.in_([State.QUEUED, State.RUNNING]) | (r.notice == "due") | (r.warning == "due")
            return int(conn.scalar(select(func.count()).select_from(recipients).where(undone)) or 0)

    def rows(self, letter_id: str) -> tuple[Recipient, ...]:
        found = spool.letter(self.reader, self.name, letter_id)
        assert found
        return found[1]


def mail(sender: str, to: str, text: str = "Bonjour", **more: str) -> bytes:
    fields = {
        "From": f"<{sender}>",
        "To": f"<{to}>",
        "Subject": text,
        "Message-ID": f"<{os.urandom(8).hex()}@x>",
    } | more
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"{head}\r\n{text}\r\n".encode()


@dataclass
class Wire:
    """To the other operators: the session's questions, asked of the node itself, unless something happens."""

    ours: str
    world: World

    def deliver(self, job: Job) -> dict[str, Outcome]:
        return dict.fromkeys((each.id for each in job.recipients), self._outcome(job))

    def _outcome(self, job: Job) -> Outcome:
        happens = self.world.trouble()
        if happens == "down":
            return Later(Reason.PEER_UNREACHABLE, "TimeoutError", whole=True)
        if happens == "refused":
            return Never(Reason.PEER_REFUSED, "550 5.7.1 no")
        answer = self._hand_over(job)
        if isinstance(answer, Refusal):
            return (Never if answer.permanent else Later)(Reason.PEER_REFUSED, answer.reason)
        if happens == "answer lost":
            self.world.lost += 1
            return Later(Reason.PEER_UNREACHABLE, "lost after the dot", whole=True)
        return Done("250 2.0.0 kept")

    def _hand_over(self, job: Job) -> Receipt | Refusal:
        theirs = self.world.nodes[job.recipients[0].route.target.partition(".")[0]]
        raw = job.letter.trace.encode() + job.raw()
        to = tuple(each.address for each in job.recipients)
        asked = job.recipients[0].asked
        return theirs.takes(Door.PEER, job.letter.sender, to, raw, DoorProof(peer=f"CN={self.ours}"),
                            notify=asked.notify, orcpt=asked.orcpt)  # fmt: skip


@dataclass
class Boxes:
    """The mailboxes of one node, each of a temper of its own, by its name."""

    node: Callable[[], Pli]
    got: list[tuple[str, str]] = field(default_factory=list)

    def deliver(self, job: Job) -> dict[str, Outcome]:
        return {each.id: self._outcome(job, each.address) for each in job.recipients}

    def _outcome(self, job: Job, address: str) -> Outcome:
        temper = address.partition("@")[0]
        if temper == "full":
            return Later(Reason.MAILBOX_DELAYED, "452 4.2.2 full")
        if temper == "closed":
            return Never(Reason.MAILBOX_REFUSED, "550 5.2.1 closed")
        self.got.append((address, job.letter.id))
        sender, answered = job.letter.sender, not job.letter.verdict.automatic
        if temper == "absent" and sender and answered:  # RFC 3834 §2, §4: to the envelope, marked
            self.node().submit("", (sender,), mail(address, sender, "Absent", Auto_Submitted="auto-replied"))
        if temper == "robot" and sender:  # answers whatever has a sender, and does not say that it is a machine
            self.node().submit(address, (sender,), mail(address, sender, "Merci"))
        if temper == "reader" and answered and b"Disposition-Notification-To" in job.raw():
            self.node().submit("", (sender,), mdn(address, sender, job.letter.message_id))
        return Done("250 2.0.0 saved")


def mdn(reader: str, to: str, message_id: str, final: str = "") -> bytes:
    """RFC 8098, as a mail client sends it."""
    machine = (
        f"Final-Recipient: rfc822;{final or reader}\r\nOriginal-Message-ID: {message_id}\r\n"
        "Disposition: manual-action/MDN-sent-manually; displayed\r\n"
    )
    head = mail(reader, to, "Lu", Content_Type='multipart/report; report-type=disposition-notification; boundary="b"')
    parts = f"--b\r\n\r\nLu.\r\n--b\r\nContent-Type: message/disposition-notification\r\n\r\n{machine}\r\n--b--\r\n"
    return head + parts.encode()


def begin_node(world: World, name: str, trust: TrustStore, today: datetime, folder: Path) -> Callable[[], None]:
    url = f"sqlite:///{folder / 'pli.sqlite'}"
    migrations.upgrade(url, [tables.metadata])
    stop, key = threading.Event(), X25519PrivateKey.generate()
    spooler = Spooler(engine.writer_engine(url), folder / "s.sock", spool.WRITES, world.clock)
    thread = threading.Thread(target=spooler.serve, args=(stop,), daemon=True)
    thread.start()
    assert spooler.ready.wait(10)
    white_list = WhiteList.of([Listed(domain(each), f"CN={each}") for each in NAMES], today + timedelta(days=3650))
    intake = Intake(
        node=Node(name, frozenset({domain(name)}), f"mss.{domain(name)}"),
        client=SpoolClient(folder / "s.sock"),
        directory=Everybody(),
        white_list=lambda: white_list,
        trust=lambda: trust,
        finders=(),
        pseudonyms=Pseudonyms(b"k" * 32),
        clock=world.clock,
    )
    bodies = BodyStore(folder / "bodies", key.public_key().public_bytes_raw(), b"d" * 32)
    node = world.nodes[name] = Pli(name, world, intake, bodies, engine.reader_engine(url))
    builders = tuple(
        partial(build, node=intake.node, clock=world.clock)
        for build in (notices.failure, notices.delayed, notices.delivered)
    )
    wire, boxes = Wire(name, world), Boxes(lambda: node)
    modes = (Mode.PEER_SIGNED, Mode.PEER_PLAIN, Mode.PEER_SEALED)
    node.carrier = Carrier(
        client=intake.client,
        engine=node.reader,
        opened=opener(bodies, _Keys(key)),
        couriers={Mode.MAILBOX: boxes, **dict.fromkeys(modes, wire)},
        notice=notices.Notices(intake, bodies, intake.node, builders, world.clock),
        clock=world.clock,
        worker=name,
        pace=Pace(threads=1, threads_most=1, policy=POLICY),
    )
    return stop.set


@dataclass
class _Keys:
    key: X25519PrivateKey

    def unwrap(self, wrapped: bytes, letter_id: str) -> bytes:
        return unwrap_key(self.key, wrapped)
