"""The spooler: group commit, refusals, a full disk, and SIGKILL at any moment."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, text

from relay.spooler import SpoolClient, Spooler, SpoolerRunning, StoreDown, StoreFull, StoreRefused
from relay.store.engine import reader_engine, writer_engine
from relay.store.tables import journal

Start = Callable[..., "subprocess.Popen[str]"]

# Writes one journal row per request, by number, idempotently; "slow" stops in the middle of its transaction.
SPOOLER = """
import sys, threading, time
from datetime import UTC, datetime
from pathlib import Path
from sqlalchemy import insert, select
from relay.spooler import Spooler
from relay.store.engine import writer_engine
from relay.store.tables import journal

def put(conn, tenant, params, now):
    number = params["number"]
    if conn.scalar(select(journal.c.number).where(journal.c.number == number)) is None:
        texts = dict.fromkeys(("letter_id", "recipient_id", "facts", "previous", "hash"), "")
        conn.execute(insert(journal), texts | dict(chain="test", number=number, tenant=tenant, at=now, event="put"))
    return number

def slow(conn, tenant, params, now):
    put(conn, tenant, params, now)
    print("inside", flush=True)
    time.sleep(60)

url, path = sys.argv[1:]
spooler = Spooler(writer_engine(url), Path(path), {"put": put, "slow": slow}, lambda: datetime.now(UTC))
threading.Thread(target=lambda: spooler.ready.wait() and print("ready", flush=True), daemon=True).start()
spooler.serve(threading.Event())
"""


def _numbers(url: str) -> set[int]:
    with reader_engine(url).connect() as conn:
        return set(conn.scalars(select(journal.c.number)))


def test_answered_write_survives_a_kill(store_url: str, tmp_path: Path, program: Start) -> None:
    """Killed right after its answer, the spooler has the write on the disk; the next one serves the same socket."""
    path = tmp_path / "s.sock"
    client = SpoolClient(path)
    for number in range(3):
        process = program(SPOOLER, store_url, path)
        client.write("put", "t", number=number)
        process.kill()
        process.wait()
    assert _numbers(store_url) == {0, 1, 2}


def test_killed_inside_a_batch(store_url: str, tmp_path: Path, program: Start) -> None:
    """Killed in the middle of a transaction: its callers get StoreDown, nothing of it is there, asking again works."""
    path = tmp_path / "s.sock"
    process = program(SPOOLER, store_url, path)
    client = SpoolClient(path)
    client.write("put", "t", number=1)
    failed: list[StoreDown] = []

    def ask() -> None:
        try:
            client.write("slow", "t", number=2)
        except StoreDown as down:
            failed.append(down)

    thread = threading.Thread(target=ask)
    thread.start()
    assert process.stdout
    assert process.stdout.readline().strip() == "inside"
    process.kill()
    thread.join(10)
    assert len(failed) == 1
    assert _numbers(store_url) == {1}
    program(SPOOLER, store_url, path)
    assert client.write("put", "t", number=2) == 2
    assert _numbers(store_url) == {1, 2}


def test_kills_under_load_lose_nothing_answered(store_url: str, tmp_path: Path, program: Start) -> None:
    """Four writers through three kills: every answered write is there, every retried one is there once."""
    path = tmp_path / "s.sock"
    process = program(SPOOLER, store_url, path)
    client, done, stop = SpoolClient(path, timeout=5), set[int](), threading.Event()

    def write(first: int) -> None:
        number = first
        while not stop.is_set():
            try:
                done.add(client.write("put", "t", number=number))
                number += 4
            except StoreDown:
                stop.wait(0.01)

    writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for writer in writers:
        writer.start()
    for _ in range(3):
        before = len(done)
        while len(done) < before + 100:
            stop.wait(0.01)
        process.kill()
        process.wait()
        process = program(SPOOLER, store_url, path)
    stop.set()
    for writer in writers:
        writer.join(10)
    assert len(done) >= 300
    assert done <= _numbers(store_url)


def test_second_spooler_is_refused(store_url: str, tmp_path: Path, program: Start) -> None:
    """Whoever comes second to a socket does not start, and the first one goes on answering."""
    path = tmp_path / "s.sock"
    program(SPOOLER, store_url, path)
    with pytest.raises(SpoolerRunning, match=r"s\.sock"):
        Spooler(writer_engine(store_url), path, {}, lambda: None).serve(threading.Event())  # type: ignore
    assert SpoolClient(path).write("put", "t", number=1) == 1


def test_nobody_there(tmp_path: Path) -> None:
    """Without a spooler a write is StoreDown, in words."""
    with pytest.raises(StoreDown, match="does not answer"):
        SpoolClient(tmp_path / "none.sock").write("put", "t")


# --- in the test's own process -------------------------------------------------------------------------------


def _note(conn: Connection, tenant: str, params: Any, now: Any) -> Any:
    conn.execute(text("INSERT INTO notes VALUES (:n)"), {"n": params["n"]})
    return params["n"]


def _regret(conn: Connection, tenant: str, params: Any, now: Any) -> Any:
    _note(conn, tenant, params, now)
    raise StoreRefused("no")


def _break(conn: Connection, tenant: str, params: Any, now: Any) -> Any:
    _note(conn, tenant, params, now)
    raise KeyError("a secret word")


def _unreadable(conn: Connection, tenant: str, params: Any, now: Any) -> Any:
    _note(conn, tenant, params, now)
    return object()


def _large(conn: Connection, tenant: str, params: Any, now: Any) -> Any:
    conn.execute(text("INSERT INTO notes VALUES (zeroblob(4000000))"))


def _wrong_sql(conn: Connection, tenant: str, params: Any, now: Any) -> Any:
    conn.execute(text("INSERT INTO nowhere VALUES (1)"))


WRITES = {
    "note": _note,
    "regret": _regret,
    "break": _break,
    "unreadable": _unreadable,
    "large": _large,
    "wrong-sql": _wrong_sql,
}


@pytest.fixture
def noted(sqlite_url: str, tmp_path: Path, now: Any) -> Iterator[tuple[SpoolClient, Callable[[], list[Any]]]]:
    """A client of a spooler on a disk of 2 MB, and what is noted."""
    engine, path, stop = writer_engine(sqlite_url), tmp_path / "n.sock", threading.Event()
    with engine.begin() as conn:
        conn.execute(text("CREATE TABLE notes (n UNIQUE)"))
    with engine.connect() as conn:
        conn.execute(text("PRAGMA max_page_count = 500"))  # the pool hands the same connection on
    spooler = Spooler(engine, path, WRITES, lambda: now)
    thread = threading.Thread(target=spooler.serve, args=(stop,))
    thread.start()
    assert spooler.ready.wait(10)

    def notes() -> list[Any]:
        with reader_engine(sqlite_url).connect() as conn:
            return list(conn.scalars(text("SELECT n FROM notes ORDER BY n")))

    yield SpoolClient(path), notes
    stop.set()
    thread.join(10)


def test_refused_write_leaves_nothing(noted: Any) -> None:
    """A write that is refused is undone, and the next one is not hurt."""
    client, notes = noted
    with pytest.raises(StoreRefused, match="no"):
        client.write("regret", "t", n=1)
    assert client.write("note", "t", n=2) == 2
    assert notes() == [2]


def test_unknown_write_is_refused(noted: Any) -> None:
    """A name that is not in the table of writes is refused."""
    with pytest.raises(StoreRefused, match="unknown"):
        noted[0].write("drop", "t")


@pytest.mark.parametrize("name", ["break", "unreadable"])
def test_surprise_is_later_and_says_no_word(noted: Any, name: str) -> None:
    """A mistake inside a write undoes it and is told by its type alone."""
    client, notes = noted
    with pytest.raises(StoreDown, match="surprise") as caught:
        client.write(name, "t", n=1)
    assert "secret" not in str(caught.value)
    assert client.write("note", "t", n=2) == 2
    assert notes() == [2]


def test_same_key_twice_is_refused(noted: Any) -> None:
    """A row that the store's own rules forbid is refused for good."""
    client, _ = noted
    client.write("note", "t", n=1)
    with pytest.raises(StoreRefused, match="integrity"):
        client.write("note", "t", n=1)


def test_full_disk(noted: Any) -> None:
    """On a full disk the write is StoreFull; what still fits is written."""
    client, notes = noted
    with pytest.raises(StoreFull, match="full"):
        client.write("large", "t")
    assert client.write("note", "t", n=1) == 1
    assert notes() == [1]


@pytest.mark.parametrize("bad", ["large", "wrong-sql"])
def test_a_failed_batch_fails_only_its_culprit(noted: Any, bad: str) -> None:
    """In one batch, what cannot be written does not take the others with it."""
    client, notes = noted
    wanted = [("note", 1), (bad, 0), ("note", 2), ("regret", 3), ("note", 4)]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(client._path)
        requests = [json.dumps({"name": n, "tenant": "t", "params": {"n": v}}).encode() for n, v in wanted]
        connection.sendall(b"".join(struct.pack(">I", len(each)) + each for each in requests))
        stream = connection.makefile("rb")
        answers = [json.loads(stream.read(struct.unpack(">I", stream.read(4))[0])) for _ in wanted]
    assert [next(iter(answer)) for answer in answers] == ["ok", "down", "ok", "refused", "ok"]
    assert notes() == [1, 2, 4]


@pytest.mark.parametrize("sent", [b"\xff\xff\xff\xff", struct.pack(">I", 3) + b"[1]", struct.pack(">I", 2) + b"{x"])
def test_what_is_no_request_is_hung_up_on(noted: Any, sent: bytes) -> None:
    """Too large, no object, no JSON: the caller is dropped, the others are served."""
    client, _ = noted
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(client._path)
        connection.sendall(sent)
        assert connection.recv(1) == b""
    assert client.write("note", "t", n=1) == 1


def test_request_without_its_parts_is_a_surprise(noted: Any) -> None:
    """A request that lacks its tenant is answered, not fatal."""
    client, _ = noted
    assert "down" in client._ask(struct.pack(">I", 15) + b'{"name":"note"}')


def test_many_threads_share_a_client(noted: Any) -> None:
    """One client serves many threads; every write is there once."""
    client, notes = noted
    parts = [range(n, 200, 8) for n in range(8)]
    threads = [threading.Thread(target=lambda part=p: [client.write("note", "t", n=n) for n in part]) for p in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert notes() == list(range(200))
