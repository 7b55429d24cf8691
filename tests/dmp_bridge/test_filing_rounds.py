"""Rounds with random faults between us and the host: whatever breaks, the host holds one document, once.

Full size: PLI_FILING_ROUNDS=1000 pytest tests/dmp_bridge/test_filing_rounds.py -s
"""

from __future__ import annotations

import hashlib
import os
import random
import socket
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from dmp_bridge import cda
from dmp_bridge.host.registry import Wrong
from dmp_bridge.model import Document, FilingReason, FilingState
from gateway.demo import sample
from relay.model import Done, Later, Never

ROUNDS = int(os.environ.get("PLI_FILING_ROUNDS", "20"))
SEED = int(os.environ.get("PLI_FILING_SEED", "20261125"))
FAULTS = ("none", "refused", "cut-request", "cut-answer", "cut-answer-late", "garbage")
"""What stands between us and the host for one connection."""


class FaultyProxy:
    """Passes connections on to a host, each with the next fault that it was told; bytes only, TLS goes through it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.faults: list[str] = []
        self.seen: Counter[str] = Counter()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            fault = self.faults.pop(0) if self.faults else "none"
            self.seen[fault] += 1
            threading.Thread(target=self._pass, args=(near, fault), daemon=True).start()

    def _pass(self, near: socket.socket, fault: str) -> None:
        if fault == "refused":
            near.close()
            return
        if fault == "garbage":
            near.sendall(b"HTTP/1.1 500 no TLS here\r\n\r\n")
            near.close()
            return
        far = socket.create_connection(("127.0.0.1", self._port))
        sent = [0]
        up = threading.Thread(target=self._up, args=(near, far, sent, fault), daemon=True)
        up.start()
        self._down(near, far, sent, fault)
        up.join(5)

    @staticmethod
    def _up(near: socket.socket, far: socket.socket, sent: list[int], fault: str) -> None:
        try:
            while data := near.recv(4096):
                sent[0] += len(data)
                if fault == "cut-request" and sent[0] > REQUEST:
                    break
                far.sendall(data)
        except OSError:
            pass
        _end(near, far)

    @staticmethod
    def _down(near: socket.socket, far: socket.socket, sent: list[int], fault: str) -> None:
        """An answer to a lot comes once more went up than a handshake: the host has stored by then."""
        answered = 0
        try:
            while data := far.recv(4096):
                if sent[0] > REQUEST:
                    answered += len(data)
                    if fault == "cut-answer" or (fault == "cut-answer-late" and answered > 300):
                        break
                near.sendall(data)
        except OSError:
            pass
        _end(near, far)

    def close(self) -> None:
        self._listener.close()


REQUEST = 9000
"""Bytes that go up before a connection has certainly begun to send a lot: more than its handshake."""


def _end(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@pytest.fixture
def proxied(dossier_host: Callable[..., str]) -> Iterator[tuple[FaultyProxy, str]]:
    url = dossier_host()
    proxy = FaultyProxy(int(url.rpartition(":")[2]))
    yield proxy, url
    proxy.close()


def documents(report_pdf: bytes, now: datetime) -> Iterator[Document]:
    serial = 0
    while True:
        serial += 1
        read = cda.read(sample.report_cda(now, report_pdf, serial=serial))
        assert isinstance(read, Document)
        yield read


def rows(tmp_path: Path) -> dict[str, list[str]]:
    """What the host's own store holds: hashes by uniqueId."""
    found: dict[str, list[str]] = {}
    with sqlite3.connect(tmp_path / "host" / "dossiers.db") as store:
        for unique_id, sha1 in store.execute("SELECT unique_id, sha1 FROM entries"):
            found.setdefault(unique_id, []).append(sha1)
    return found


def test_one_document_whatever_breaks(
    bridge: Any,
    proxied: tuple[FaultyProxy, str],
    report_pdf: bytes,
    now: datetime,
    tmp_path: Path,
    summary: list[str],
) -> None:
    """Each round is a letter that is tried until it is settled, while its connections are refused, cut within the
    request, cut after the host stored, or answered with garbage; some letters are sent twice. Each ends filed, or
    there already where it was sent again, and the host holds each document once with equal hash."""
    proxy, _ = proxied
    chance, outcomes, tries = random.Random(SEED), Counter[str](), 0  # a sequence, no secret
    filed: list[Document] = []
    courier = bridge.courier(f"https://127.0.0.1:{proxy.port}")
    for number, document in zip(range(ROUNDS), documents(report_pdf, now), strict=False):
        mail = bridge.mail(document)
        for letter in ("a", "b")[: 2 if chance.random() < 0.2 else 1]:
            letter_id = f"{letter}{number:025}"
            for attempt in range(1, 30):
                proxy.faults[:] = [chance.choice(FAULTS) for _ in range(4)] if attempt < 12 else []
                courier.hosts.clients["regional"].close()
                tries += 1
                outcome = courier.deliver(bridge.job(mail, letter_id=letter_id, attempt=attempt))["r1"]
                if not isinstance(outcome, Later):
                    break
            assert isinstance(outcome, Done), outcome
            outcomes[f"{outcome.note}{'' if letter == 'a' else ', sent again'}"] += 1
        filed.append(document)
    held = rows(tmp_path)
    assert held == {each.unique_id: [_sha1(each.raw)] for each in filed}
    assert all(set(bridge.rows(each)) == {FilingState.FILED} for each in filed)
    assert set(outcomes) <= {"filed", "already-in-dossier, sent again"}
    told = f"{ROUNDS} letters, seed {SEED}, {tries} tries, {dict(outcomes)}, connections {dict(proxy.seen)}"
    summary.append(f"filing rounds: {told}")


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("wrong", [Wrong.HALF_SUCCESS, Wrong.SUCCESS_WITHOUT_STORING, Wrong.WRONG_HASH])
def test_a_host_that_stores_half_and_says_success_is_found_out(
    bridge: Any, dossier_host: Any, report: Document, wrong: Wrong
) -> None:
    """What it says is read back: never called filed, an alarm, and a person is asked."""
    outcome = bridge.deliver(dossier_host(wrong=wrong.value), bridge.mail(report))
    assert isinstance(outcome, Never)
    assert outcome.reason == FilingReason.HOST_WRONG
    assert "dossier-alarm" in bridge.events()
    assert bridge.waiting() == [FilingReason.HOST_WRONG]
