"""Carriers and a spooler in processes of their own: killed and frozen while a letter is on its way."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay import journal, spool
from relay.model import Event, Letter, Recipient, State
from relay.spooler import SpoolClient
from relay.store.engine import reader_engine

Make = Callable[..., tuple[Letter, tuple[Recipient, ...]]]
Start = Callable[..., "subprocess.Popen[str]"]

SPOOLER = """
import sys, threading
from datetime import UTC, datetime
from pathlib import Path
from relay import spool
from relay.spooler import Spooler
from relay.store.engine import writer_engine

spooler = Spooler(writer_engine(sys.argv[1]), Path(sys.argv[2]), spool.WRITES, lambda: datetime.now(UTC))
threading.Thread(target=lambda: spooler.ready.wait() and print("ready", flush=True), daemon=True).start()
spooler.serve(threading.Event())
"""

# Says inside when its courier works; goes on when a file appears.
CARRIER = """
import sys, threading, time
from datetime import UTC, datetime
from pathlib import Path
from relay.carrier import Carrier, Pace
from relay.model import Done, Mode
from relay.spooler import SpoolClient
from relay.store.engine import reader_engine

url, path, go_on, worker, lease = sys.argv[1:]

class Courier:
    def deliver(self, job):
        print("inside", flush=True)
        while not Path(go_on).exists():
            time.sleep(0.02)
        return {each.id: Done(f"by {worker}") for each in job.recipients}

carrier = Carrier(SpoolClient(Path(path), timeout=5), reader_engine(url), None, {Mode.MAILBOX: Courier()},
    lambda *_: None, lambda: datetime.now(UTC), worker, Pace(lease_s=float(lease), idle_s=0.05, pause_s=0.1))
print("ready", flush=True)
carrier.run(threading.Event())
"""


@dataclass
class Node:
    """A spooler and carriers, each in a process of its own."""

    url: str
    path: Path
    go_on: Path
    program: Start

    def __post_init__(self) -> None:
        self.client = SpoolClient(self.path, timeout=5)
        self.reader = reader_engine(self.url)

    def spooler(self) -> subprocess.Popen[str]:
        return self.program(SPOOLER, self.url, self.path)

    def carrier(self, worker: str, lease_s: float) -> subprocess.Popen[str]:
        return self.program(CARRIER, self.url, self.path, self.go_on, worker, lease_s)

    def timeline(self) -> list[str]:
        return [step.event for step in spool.timeline(self.reader, "lilas", "L1")]

    def until(self, event: str) -> None:
        while event not in self.timeline():
            threading.Event().wait(0.05)


@pytest.fixture
def node(store_url: str, tmp_path: Path, program: Start) -> Node:
    return Node(store_url, tmp_path / "s.sock", tmp_path / "go-on", program)


def _keep(node: Node, make_letter: Make) -> None:
    letter, (recipient,) = make_letter("L1")
    spool.keep(node.client, letter, [recipient], [Event("accepted", "L1")])


def _says(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout
    assert process.stdout.readline().strip() == word


def _settled_by(node: Node) -> str:
    found = spool.letter(node.reader, "lilas", "L1")
    assert found
    assert found[1][0].state is State.DONE
    assert node.timeline().count("delivered") == 1
    assert spool.verify(node.reader) == ()
    assert journal.verify(node.reader) == ()
    return found[1][0].reference


def test_killed_carrier_is_replaced(node: Node, make_letter: Make) -> None:
    """A carrier killed while its courier works: the lease ends, another carries, one settlement."""
    node.spooler()
    _keep(node, make_letter)
    first = node.carrier("w1", 1)
    _says(first, "inside")
    first.kill()
    first.wait()
    node.go_on.touch()
    node.carrier("w2", 1)
    node.until("delivered")
    assert node.timeline() == ["accepted", "lapsed", "delivered"]
    assert _settled_by(node) == "by w2"


def test_frozen_carrier_comes_too_late(node: Node, make_letter: Make) -> None:
    """A carrier that wakes after its lease has ended cannot settle what another has carried."""
    node.spooler()
    _keep(node, make_letter)
    first = node.carrier("w1", 1)
    _says(first, "inside")
    os.kill(first.pid, signal.SIGSTOP)
    second = node.carrier("w2", 1)
    _says(second, "inside")
    node.go_on.touch()
    node.until("delivered")
    os.kill(first.pid, signal.SIGCONT)
    assert first.stdout
    while "carrier.not-settled" not in first.stdout.readline():
        pass
    assert _settled_by(node) == "by w2"


def test_working_carrier_keeps_its_lease(node: Node, make_letter: Make) -> None:
    """A courier that takes several times the lease is not replaced while its carrier lives."""
    node.spooler()
    _keep(node, make_letter)
    first = node.carrier("w1", 1)
    _says(first, "inside")
    begun = datetime.now(UTC)
    while (datetime.now(UTC) - begun).total_seconds() < 2.5:
        assert spool.claim(node.client, "w2", 10, 1, 4) == []
        threading.Event().wait(0.1)
    node.go_on.touch()
    node.until("delivered")
    assert node.timeline() == ["accepted", "delivered"]
    assert _settled_by(node) == "by w1"


def test_spooler_killed_while_a_courier_works(node: Node, make_letter: Make) -> None:
    """The outcome is asked to be recorded until a spooler is there again; it is recorded once."""
    spooler = node.spooler()
    _keep(node, make_letter)
    carrier = node.carrier("w1", 30)
    _says(carrier, "inside")
    spooler.kill()
    spooler.wait()
    node.go_on.touch()
    assert carrier.stdout
    while "carrier.settles-later" not in carrier.stdout.readline():
        pass
    node.spooler()
    node.until("delivered")
    assert node.timeline() == ["accepted", "delivered"]
    assert _settled_by(node) == "by w1"
