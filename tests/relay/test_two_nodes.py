"""Two nodes on one PostgreSQL: one is killed in mid-work, the other takes over, and nothing is delivered twice."""

from __future__ import annotations

import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from relay import journal, spool
from relay.model import Event, Letter, Mode, Recipient, Route
from relay.spooler import SpoolClient
from relay.store.engine import reader_engine
from relay.store.tables import journal as rows
from relay.store.tables import recipients as recipient_rows

Make = Callable[..., tuple[Letter, tuple[Recipient, ...]]]
Start = Callable[..., "subprocess.Popen[str]"]

# A whole node in one process: a spooler on the database's clock, and a carrier. Its courier delivers into a file, of
# which each line is one delivery; after `most` letters it stays inside, with what it then holds.
NODE = """
import os, sys, threading, time
from datetime import UTC, datetime
from pathlib import Path
from relay import spool
from relay.carrier import Carrier, Pace
from relay.model import Done, Mode
from relay.spooler import SpoolClient, Spooler
from relay.store.engine import reader_engine, writer_engine

url, path, delivered, name, most, lease = sys.argv[1:]
lock, count = threading.Lock(), 0

class Courier:
    def deliver(self, job):
        global count
        with lock:
            count += 1
            stays = count > int(most)
        if stays:
            print("inside", flush=True)
            time.sleep(600)
        with open(delivered, "a") as file:
            file.write(f"{name} {job.letter.id}\\n")
        return {each.id: Done(f"by {name}") for each in job.recipients}

spooler = Spooler(writer_engine(url), Path(path), spool.WRITES, None, name)
threading.Thread(target=spooler.serve, args=(threading.Event(),), daemon=True).start()
spooler.ready.wait()
pace = Pace(threads=4, lease_s=float(lease), idle_s=0.05, pause_s=0.1)
carrier = Carrier(SpoolClient(Path(path), timeout=10), reader_engine(url), None, {Mode.MAILBOX: Courier()},
    lambda *_: None, lambda: datetime.now(UTC), name, pace)
print("ready", flush=True)
carrier.run(threading.Event())
"""
LETTERS = 24


@pytest.fixture
def url(emptied: Callable[[], str]) -> str:
    return emptied()


def _delivered(file: Path) -> Counter[str]:
    return Counter(line.split()[1] for line in file.read_text().splitlines()) if file.exists() else Counter()


def _events(url: str) -> Counter[str]:
    engine = reader_engine(url)
    with engine.connect() as conn:
        found = Counter(conn.scalars(select(rows.c.event)))
    engine.dispose()
    return found


def test_one_of_two_nodes_is_killed(url: str, tmp_path: Path, program: Start, make_letter: Make) -> None:
    """The first is killed with letters in its hands; the second carries them once their lease is over, and each letter
    is delivered once. Two chains of the journal, both whole."""
    file = tmp_path / "delivered"
    first = program(NODE, url, tmp_path / "a.sock", file, "a", 3, 2)
    client = SpoolClient(tmp_path / "a.sock")
    ids = [f"L{n}" for n in range(LETTERS)]
    for id in ids:
        letter, recipients = make_letter(id)
        spool.keep(client, letter, recipients, [Event("accepted", id)])
    assert first.stdout
    assert "inside\n" in iter(first.stdout.readline, "")  # among its lines of the log
    while _events(url)["delivered"] < 3:  # what it has delivered is settled too: else it would be delivered twice
        threading.Event().wait(0.05)
    first.kill()
    first.wait()
    program(NODE, url, tmp_path / "b.sock", file, "b", 10_000, 2)
    while _events(url)["delivered"] < LETTERS:
        threading.Event().wait(0.1)
    assert _delivered(file) == Counter(ids)
    events = _events(url)
    assert (events["delivered"], events["accepted"]) == (LETTERS, LETTERS)
    assert events["lapsed"] > 0
    reader = reader_engine(url)
    assert sorted(journal.heads(reader)) == ["a", "b"]
    assert journal.verify(reader) == ()
    assert spool.verify(reader) == ()


def _claimed_by_two(url: str, tmp_path: Path, program: Start, make_letter: Make) -> list[str]:
    """Two nodes claim at once, again and again, until nothing is left; the letters that were claimed."""
    spooler = NODE[: NODE.index("pace =")] + 'print("ready", flush=True)\nthreading.Event().wait()\n'
    paths = [tmp_path / f"{name}.sock" for name in "ab"]
    for path in paths:
        program(spooler, url, path, tmp_path / "none", path.stem, 0, 60)
    clients = [SpoolClient(path) for path in paths]
    for n in range(60):
        letter, recipients = make_letter(f"L{n}")
        spool.keep(clients[0], letter, recipients, [Event("accepted", f"L{n}")])
    return _at_once(clients)


def _at_once(clients: list[SpoolClient]) -> list[str]:
    def claim(which: int) -> list[str]:
        mine: list[str] = []
        for _ in range(15):
            mine += [each.letter.id for each in spool.claim(clients[which], f"w{which}", 5, 60, 1000)]
        return mine

    with ThreadPoolExecutor(2) as pool:
        return [id for found in pool.map(claim, range(2)) for id in found]


def test_two_nodes_never_claim_one_letter_both(url: str, tmp_path: Path, program: Start, make_letter: Make) -> None:
    """Claimed by two at once: each letter goes to one of them."""
    claimed = _claimed_by_two(url, tmp_path, program, make_letter)
    assert max(Counter(claimed).values()) == 1
    assert claimed


def test_a_row_that_another_holds_is_passed_over(url: str, store_of: Any, make_letter: Make) -> None:
    """A claim takes what is free and does not wait for a row that another transaction has locked."""
    store = store_of(url)
    for n in range(3):
        letter, recipients = make_letter(f"L{n}", Route(Mode.PEER_SIGNED, f"p{n}.example", "peer"))
        spool.keep(store.client, letter, recipients, [Event("accepted", letter.id)])
    with store.writer.connect() as other:
        held = select(recipient_rows.c.id).where(recipient_rows.c.letter_id == "L1").with_for_update()
        assert other.execute(held).one()
        assert sorted(each.letter.id for each in spool.claim(store.client, "w", 9, 60, 9)) == ["L0", "L2"]
        other.rollback()
    store.clock.on(seconds=1)
    assert [each.letter.id for each in spool.claim(store.client, "w", 9, 60, 9)] == ["L1"]
