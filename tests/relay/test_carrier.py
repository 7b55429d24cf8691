"""The carrier: outcomes, surprises and notices."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from structlog.testing import capture_logs

from certs.keys import KeeperDown, unwrap_key
from relay import spool
from relay.carrier import Carrier, Pace, opener
from relay.model import Done, Event, Job, Later, Letter, Mode, Never, Outcome, Reason, Recipient, Route, State
from relay.schedule import Policy
from relay.spooler import StoreDown
from relay.store.bodies import BodyStore

Make = Callable[..., tuple[Letter, tuple[Recipient, ...]]]
Start = Callable[..., "subprocess.Popen[str]"]


@dataclass
class Keys:
    """The private half of the body key, in this process."""

    key: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)
    asked: list[str] = field(default_factory=list)

    def unwrap(self, wrapped: bytes, letter_id: str) -> bytes:
        self.asked.append(letter_id)
        return unwrap_key(self.key, wrapped)


@dataclass
class Says:
    """A foreign party that answers what the test says, and remembers."""

    answer: Callable[[Job], dict[str, Outcome]]
    jobs: list[Job] = field(default_factory=list)

    def deliver(self, job: Job) -> dict[str, Outcome]:
        self.jobs.append(job)
        return self.answer(job)


def _all(outcome: Outcome) -> Callable[[Job], dict[str, Outcome]]:
    return lambda job: {each.id: outcome for each in job.recipients}


def _no_notice(letter: Letter, recipients: tuple[Recipient, ...], raw: Callable[[], bytes]) -> None: ...


@dataclass
class Bench:
    """A store, bodies, keys, and carriers made for them."""

    store: Any
    bodies: BodyStore
    keys: Keys
    make_letter: Make

    def keep(self, id: str, *routes: Route, raw: bytes = b"raw") -> None:
        letter, recipients = self.make_letter(id, *routes, body=self.bodies.put(raw))
        spool.keep(self.store.client, letter, recipients, [Event("accepted", id)])

    def carrier(self, courier: Any, notice: Any = _no_notice, **more: Any) -> Carrier:
        store = self.store
        couriers = {} if courier is None else {Mode.MAILBOX: courier}
        parts = (store.client, store.reader, opener(self.bodies, self.keys), couriers, notice, store.clock, "w1")
        return Carrier(*parts, **more)

    def only(self, id: str = "L1") -> Recipient:
        found = spool.letter(self.store.reader, "lilas", id)
        assert found
        return found[1][0]


@pytest.fixture
def bench(store: Any, make_letter: Make, tmp_path: Path) -> Bench:
    keys = Keys()
    return Bench(
        store, BodyStore(tmp_path / "bodies", keys.key.public_key().public_bytes_raw(), b"d" * 32), keys, make_letter
    )


def test_carried_and_settled(bench: Bench) -> None:
    """A courier is handed the letter, its recipients and its bytes; what it answers is recorded."""
    bench.keep("L1", raw=b"From: x\r\n\r\nbonjour")
    read: list[bytes] = []

    def answer(job: Job) -> dict[str, Outcome]:
        read.extend([job.raw(), job.raw()])
        return _all(Done("250 2.0.0 ok"))(job)

    assert bench.carrier(Says(answer)).step() == 1
    assert (bench.only().state, bench.only().reference) == (State.DONE, "250 2.0.0 ok")
    assert read == [b"From: x\r\n\r\nbonjour"] * 2
    assert bench.keys.asked == ["L1"]


def test_nothing_due(bench: Bench) -> None:
    """An empty queue is no work."""
    assert bench.carrier(Says(_all(Done("x")))).step() == 0


def test_surprise_is_later_and_says_no_word(bench: Bench) -> None:
    """An exception is Later; the log, the row and the journal have its type, never its words."""
    bench.keep("L1")

    def answer(job: Job) -> dict[str, Outcome]:
        raise ZeroDivisionError("clinical words")

    with capture_logs() as logs:
        bench.carrier(Says(answer)).step()
    assert (bench.only().state, bench.only().reason) == (State.QUEUED, Reason.SURPRISE)
    assert "ZeroDivisionError" in str(logs)
    written = f"{logs}{bench.only()}{spool.timeline(bench.store.reader, 'lilas', 'L1')}"
    assert "clinical" not in written


@pytest.mark.parametrize("answer", [lambda job: {}, lambda job: None, lambda job: {"L1-0": "delivered"}])
def test_no_outcome_is_later(bench: Bench, answer: Any) -> None:
    """A courier that does not answer for a recipient has not delivered to him."""
    bench.keep("L1")
    bench.carrier(Says(answer)).step()
    assert (bench.only().state, bench.only().reason) == (State.QUEUED, Reason.SURPRISE)


@pytest.mark.parametrize(
    ("error", "reason"), [(KeeperDown("x"), Reason.KEEPER_DOWN), (StoreDown("x"), Reason.STORE_DOWN)]
)
def test_our_own_parts_down_is_later(bench: Bench, error: Exception, reason: Reason) -> None:
    """Without the keeper or the store the letter waits, under the reason's own name."""
    bench.keep("L1")

    def answer(job: Job) -> dict[str, Outcome]:
        raise error

    bench.carrier(Says(answer)).step()
    assert (bench.only().state, bench.only().reason) == (State.QUEUED, reason)


def test_mode_without_courier_waits(bench: Bench) -> None:
    """A letter for which this node has no courier is not lost."""
    bench.keep("L1")
    bench.carrier(None).step()
    assert (bench.only().state, bench.only().reason) == (State.QUEUED, Reason.NO_ROUTE)


def test_words_are_scrubbed(bench: Bench) -> None:
    """What the other side says is cleaned before it is recorded."""
    bench.keep("L1")
    scrub = {"scrub": lambda words: words.replace("279035121518989", "p:x")}
    bench.carrier(Says(_all(Never("r", "no 279035121518989"))), **scrub).step()
    assert bench.only().reference == "no p:x"


def test_tried_again_after_its_delay(bench: Bench) -> None:
    """Later waits for its delay, then the same letter is carried again, as attempt two."""
    bench.keep("L1")
    courier = Says(_all(Later("x")))
    carrier = bench.carrier(courier, pace=Pace(policy=Policy(delays_s=(10,))))
    assert [carrier.step(), carrier.step()] == [1, 0]
    bench.store.clock.on(seconds=12)
    assert carrier.step() == 1
    assert [job.attempt for job in courier.jobs] == [1, 2]


def test_sender_is_told_once(bench: Bench) -> None:
    """A failure is handed to the notices with the letter's bytes, once."""
    bench.keep("L1")
    told: list[Any] = []

    def notice(letter: Letter, recipients: tuple[Recipient, ...], raw: Callable[[], bytes]) -> None:
        told.append((letter.id, [each.reason for each in recipients], raw()))

    carrier = bench.carrier(Says(_all(Never("r"))), notice)
    for _ in range(3):
        carrier.step()
    assert told == [("L1", ["r"], b"raw")]


def test_notice_that_fails_stays_due(bench: Bench) -> None:
    """A notice that could not be sent is tried again, after a pause."""
    bench.keep("L1")
    tries: list[str] = []

    def notice(letter: Letter, recipients: tuple[Recipient, ...], raw: Callable[[], bytes]) -> None:
        tries.append(letter.id)
        if len(tries) == 1:
            raise OSError("full")

    carrier = bench.carrier(Says(_all(Never("r"))), notice)
    for _ in range(3):
        carrier.step()
    assert len(tries) == 1
    bench.store.clock.on(seconds=11)
    carrier.step()
    assert len(tries) == 2
    assert spool.due_notices(bench.store.reader) == []


def test_run_ends_when_told_and_finishes_what_it_holds(bench: Bench) -> None:
    """Told to stop while a courier works, the carrier records its outcome first."""
    bench.keep("L1")
    inside, go_on, stop = threading.Event(), threading.Event(), threading.Event()

    def answer(job: Job) -> dict[str, Outcome]:
        inside.set()
        assert go_on.wait(10)
        return _all(Done("250"))(job)

    thread = threading.Thread(target=bench.carrier(Says(answer)).run, args=(stop,))
    thread.start()
    assert inside.wait(10)
    stop.set()
    go_on.set()
    thread.join(10)
    assert not thread.is_alive()
    assert bench.only().state is State.DONE


def test_what_waits_is_taken_before_an_idle_look_is_due(bench: Bench) -> None:
    """Letters that end sooner than the next look is due leave nothing running: the next ones are taken all the same,
    not after the pause of a carrier with nothing to do."""
    for n in range(60):
        bench.keep(f"L{n:02}")
    stop, courier = threading.Event(), Says(_all(Done("250")))
    pace = Pace(threads=4, per_target=4, gather_s=0.05, idle_s=600)
    thread = threading.Thread(target=bench.carrier(courier, pace=pace).run, args=(stop,))
    thread.start()
    until = time.monotonic() + 60
    while len(courier.jobs) < 60 and time.monotonic() < until:
        time.sleep(0.02)
    stop.set()
    thread.join(60)
    assert len(courier.jobs) == 60


def test_many_letters_in_many_threads(bench: Bench) -> None:
    """Everything that is queued is carried once, whatever is carried beside it."""
    for n in range(30):
        bench.keep(f"L{n:02}")
    courier = Says(_all(Done("250")))
    carrier = bench.carrier(courier)
    while carrier.step():
        pass
    assert sorted(job.letter.id for job in courier.jobs) == [f"L{n:02}" for n in range(30)]
    assert spool.verify(bench.store.reader) == ()
