"""The head that an append leaves to the next one of its transaction: never more than what the transaction holds."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, text

from relay import journal, spool, spooler
from relay.model import Event
from relay.spooler import SpoolClient, Spooler, StoreRefused
from relay.store.engine import reader_engine, writer_engine
from relay.store.tables import journal as rows

Start = Callable[..., "subprocess.Popen[str]"]


def _add(conn: Connection, now: datetime, name: str) -> None:
    journal.append(conn, "lilas", [Event(name, "L1")], now)


def _kept(conn: Connection, tenant: str, params: Any, now: datetime) -> None:
    _add(conn, now, "kept")


def _refused(conn: Connection, tenant: str, params: Any, now: datetime) -> None:
    _add(conn, now, "refused")
    raise StoreRefused("no")


def _surprised(conn: Connection, tenant: str, params: Any, now: datetime) -> None:
    _add(conn, now, "surprised")
    raise KeyError("n")


def _wrong(conn: Connection, tenant: str, params: Any, now: datetime) -> None:
    _add(conn, now, "wrong")
    conn.execute(text("INSERT INTO nowhere VALUES (1)"))


def _took_back(conn: Connection, tenant: str, params: Any, now: datetime) -> None:
    """Has a savepoint of its own, and goes back to it."""
    _add(conn, now, "before")
    inner = conn.begin_nested()
    _add(conn, now, "taken-back")
    inner.rollback()
    _add(conn, now, "after")


def _ended_one(conn: Connection, tenant: str, params: Any, now: datetime) -> None:
    """Has a savepoint of its own, and keeps what it wrote there."""
    _add(conn, now, "before")
    with conn.begin_nested():
        _add(conn, now, "inside")
    _add(conn, now, "after")


WRITES = {
    "kept": _kept,
    "refused": _refused,
    "surprised": _surprised,
    "wrong": _wrong,
    "took-back": _took_back,
    "ended-one": _ended_one,
}


@pytest.fixture
def batch(store_url: str, tmp_path: Path, now: datetime) -> Iterator[Callable[..., list[str]]]:
    """Sends writes as one batch to a spooler; how each was answered."""
    writer, path, stop = writer_engine(store_url), tmp_path / "b.sock", threading.Event()
    spooler = Spooler(writer, path, WRITES, lambda: now)
    thread = threading.Thread(target=spooler.serve, args=(stop,))
    thread.start()
    assert spooler.ready.wait(10)

    def send(*names: str) -> list[str]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            requests = [json.dumps({"name": name, "tenant": "lilas", "params": {}}).encode() for name in names]
            connection.sendall(b"".join(struct.pack(">I", len(each)) + each for each in requests))
            stream = connection.makefile("rb")
            answers = [json.loads(stream.read(struct.unpack(">I", stream.read(4))[0])) for _ in names]
        return [next(iter(answer)) for answer in answers]

    yield send
    stop.set()
    thread.join(10)
    writer.dispose()


def _names(url: str) -> list[str]:
    engine = reader_engine(url)
    with engine.connect() as conn:
        names = list(conn.scalars(select(rows.c.event).order_by(rows.c.chain, rows.c.number)))
    engine.dispose()
    return names


def _chains(url: str) -> list[str]:
    engine = reader_engine(url)
    try:
        return sorted(journal.heads(engine))
    finally:
        engine.dispose()


def _faults(url: str) -> tuple[str, ...]:
    engine = reader_engine(url)
    try:
        return journal.verify(engine)
    finally:
        engine.dispose()


@pytest.mark.parametrize(("bad", "answer"), [("refused", "refused"), ("surprised", "down"), ("wrong", "down")])
@pytest.mark.parametrize("alone", [True, False])
def test_what_was_taken_back_leaves_no_trace(batch: Any, store_url: str, bad: str, answer: str, alone: bool) -> None:
    """After a write that failed, in its savepoint or in its own transaction, the chain goes on from what is there."""
    told = [batch(each)[0] for each in ("kept", bad, "kept")] if alone else batch("kept", bad, "kept", "kept")
    assert told == ["ok", answer, "ok", "ok"][: len(told)]
    assert _names(store_url) == ["kept"] * (len(told) - 1)
    assert _faults(store_url) == ()


def test_without_forgetting_the_chain_would_break(batch: Any, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: were the memory not emptied with the savepoint, the next row would follow one that is not there."""
    monkeypatch.setattr(spooler, "_forget", lambda store: None)
    assert batch("kept", "refused", "kept") == ["ok", "refused", "ok"]
    assert "does not follow" in _faults(store_url)[0]


@pytest.mark.parametrize(
    ("name", "left"), [("took-back", ["before", "after"]), ("ended-one", ["before", "inside", "after"])]
)
def test_a_savepoint_of_the_writes_own(batch: Any, store_url: str, name: str, left: list[str]) -> None:
    """A write may go back by itself: the chain holds, before and after it."""
    assert batch("kept", name, "kept") == ["ok"] * 3
    assert _names(store_url) == ["kept", *left, "kept"]
    assert _faults(store_url) == ()


def test_one_read_of_the_head_in_a_batch(batch: Any, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The head is read once per transaction, not once per append, and again in the next transaction."""
    read, head = list[str](), journal._head
    monkeypatch.setattr(journal, "_head", lambda conn, chain: read.append(chain) or head(conn, chain))
    assert batch("kept", "kept", "kept") == ["ok"] * 3
    assert batch("kept") == ["ok"]
    assert len(read) == 2
    assert _faults(store_url) == ()


def test_nothing_is_remembered_outside_the_spooler(store_url: str, now: datetime) -> None:
    """Who opens a transaction by other means reads the head each time."""
    writer = writer_engine(store_url)
    for _ in range(2):
        with writer.begin() as conn:
            _add(conn, now, "kept")
            assert not conn.info.get(spooler.MEMO)
    writer.dispose()
    assert _faults(store_url) == ()


def test_two_spoolers_take_turns_on_one_database(store_url: str, tmp_path: Path, now: datetime) -> None:
    """Two writers with two sockets: on SQLite, against the rule, each goes on from the other's last row; on PostgreSQL
    each has a chain of its own. Nothing forks."""
    stop, engines = threading.Event(), [writer_engine(store_url) for _ in range(2)]
    paths = [tmp_path / f"{n}.sock" for n in range(2)]
    serving = [Spooler(each, path, spool.WRITES, lambda: now) for each, path in zip(engines, paths, strict=True)]
    threads = [threading.Thread(target=each.serve, args=(stop,)) for each in serving]
    for thread in threads:
        thread.start()
    assert all(each.ready.wait(10) for each in serving)
    records = [journal.SpoolJournal(SpoolClient(path)) for path in paths]
    for n in range(6):
        records[n % 2].add("lilas", [Event(f"turn-{n}", "L1")])
    at_once = [threading.Thread(target=_many, args=(each,)) for each in records]
    for thread in at_once:
        thread.start()
    for thread in at_once:
        thread.join(60)
    stop.set()
    for thread in threads:
        thread.join(10)
    for engine in engines:
        engine.dispose()
    turns = [name for name in _names(store_url) if name != "many"]
    alone = store_url.startswith("sqlite")
    assert turns == [f"turn-{n}" for n in (range(6) if alone else (0, 2, 4, 1, 3, 5))]
    assert _chains(store_url) == (["spool"] if alone else ["spool", "spool-2"])
    assert _names(store_url).count("many") == 20
    assert _faults(store_url) == ()


def _many(records: journal.SpoolJournal) -> None:
    for _ in range(10):
        records.add("lilas", [Event("many", "L1")])


SPOOLER = """
import sys, threading
from datetime import UTC, datetime
from pathlib import Path
from relay import spool
from relay.spooler import Spooler
from relay.store.engine import writer_engine

url, path = sys.argv[1:]
spooler = Spooler(writer_engine(url), Path(path), spool.WRITES, lambda: datetime.now(UTC))
threading.Thread(target=lambda: spooler.ready.wait() and print("ready", flush=True), daemon=True).start()
spooler.serve(threading.Event())
"""


def test_killed_under_load_the_chain_is_whole(store_url: str, tmp_path: Path, program: Start) -> None:
    """Three spoolers, each killed while four clients write: every answered row is there, and the chain holds."""
    path, answered, stop = tmp_path / "k.sock", list[str](), threading.Event()
    client, lock = SpoolClient(path, timeout=5), threading.Lock()

    def write(who: int) -> None:
        for n in range(100_000):
            if stop.is_set():
                return
            try:
                journal.SpoolJournal(client).add("lilas", [Event(f"w-{who}-{n}", "L1")])
            except spooler.StoreDown:
                stop.wait(0.05)
                continue
            with lock:
                answered.append(f"w-{who}-{n}")

    process = program(SPOOLER, store_url, path)
    threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for kill in range(1, 4):
        while len(answered) < kill * 20:
            stop.wait(0.005)
        process.kill()
        process.wait()
        process = program(SPOOLER, store_url, path)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert set(answered) <= set(_names(store_url))
    assert _faults(store_url) == ()
