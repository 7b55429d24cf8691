"""The white list, fetched from a real server that misbehaves on request: what is taken, what is kept, what is said."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from certs import xml
from certs.chain import TrustStore
from certs.fetch import Budget, fetch
from certs.reach import Reach
from certs.throwaway import Issued, Pki
from gateway.lists import Lists
from relay.partners import Listed, WhiteList, compose

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
SIGNER = "alb@test.pli.invalid"
SUBJECT = "CN=mx.lilas.example,OU=1750000001,O=IMAGERIE DES LILAS,ST=Paris (75),C=FR"
HOUR = timedelta(hours=1)


class Publisher:
    """Serves one document with an entity tag; `status` makes it misbehave."""

    def __init__(self) -> None:
        self.document = b""
        self.tag = '"0"'
        self.status = 200
        self.seen: list[str] = []
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                held = self.headers.get("If-None-Match", "")
                publisher.seen.append(held)
                fresh = publisher.status == 200 and held != publisher.tag
                body = publisher.document if fresh else b""
                self.send_response(publisher.status if publisher.status != 200 else 200 if fresh else 304)
                self.send_header("ETag", publisher.tag)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def publish(self, document: bytes) -> None:
        self.document, self.tag = document, f'"{len(self.seen)}-{hash(document)}"'


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    made = Publisher()
    yield made
    made.server.shutdown()
    made.server.server_close()


class Hand:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki.create(NOW)


@pytest.fixture(scope="module")
def signer(pki: Pki) -> Issued:
    return pki.white_list_signer()


@pytest.fixture(scope="module")
def store(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> TrustStore:
    folder = tmp_path_factory.mktemp("trust")
    pki.write_trust(folder, NOW)
    return TrustStore.load(folder)


def signed(by: Issued, made: datetime, *domains: str) -> bytes:
    entries = [Listed(domain, SUBJECT) for domain in domains or ("lilas.mssante.example",)]
    return xml.sign_enveloped(compose(entries, made), by.key, (by.der, *by.chain))


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def lists(publisher: Publisher, store: TrustStore, clock: Hand, tmp_path: Path) -> Lists:
    port = publisher.server.server_port
    walls = Reach(frozenset({("127.0.0.1", port)}), lambda *_: ["127.0.0.1"])

    def get(held: str) -> Any:
        return fetch(f"http://127.0.0.1:{port}/list.xml", walls, Budget(total_s=5), held=held)

    return Lists(tmp_path / "white-list.xml", tmp_path / "history", get, lambda: store, SIGNER, clock, kept=3)


def in_use(lists: Lists, store: TrustStore) -> WhiteList:
    answer = WhiteList.load(lists.path.read_bytes(), store, NOW + 24 * HOUR, signer=SIGNER)
    assert isinstance(answer, WhiteList), answer
    return answer


def events(logs: Any) -> list[str]:
    return [each["event"] for each in logs]


def test_a_new_list_is_taken_and_the_next_look_costs_nothing(
    lists: Lists, publisher: Publisher, store: TrustStore, signer: Issued
) -> None:
    """Verified, written, kept for audit; then the publisher only says that nothing changed."""
    publisher.publish(signed(signer, NOW - HOUR, "a.example", "b.example"))
    with capture_logs() as logs:
        assert lists.round()
        assert lists.round()
    assert in_use(lists, store).domains() == {"a.example", "b.example"}
    assert events(logs) == ["white-list-new"]
    assert publisher.seen == ["", publisher.tag]
    assert [file.name for file in lists.history.iterdir()] == ["20261125T083000Z.xml"]


@pytest.mark.parametrize("what", ["garbage", "unsigned", "stranger", "older", "shrunk", "future", "empty"])
def test_a_list_that_is_not_believed_changes_nothing(
    lists: Lists, publisher: Publisher, signer: Issued, pki: Pki, what: str
) -> None:
    """The last good one stays in use, byte for byte, and the log says which check objected."""
    many = [f"d{n}.example" for n in range(200)]
    publisher.publish(signed(signer, NOW - HOUR, *many))
    assert lists.round()
    good = lists.path.read_bytes()
    stranger = Pki.create(NOW, "AUTRE").white_list_signer()
    document = {
        "garbage": b"<html>503</html>",
        "unsigned": b"<ListeBlancheMSSante/>",
        "stranger": signed(stranger, NOW, *many),
        "older": signed(signer, NOW - 2 * HOUR, *many),
        "shrunk": signed(signer, NOW, "d1.example"),
        "future": signed(signer, NOW + 300 * HOUR, *many),
        "empty": b"",
    }[what]
    publisher.publish(document)
    with capture_logs() as logs:
        assert not lists.round()
    assert events(logs) == ["alarm-white-list-not-believed"]
    assert lists.path.read_bytes() == good
    assert len(list(lists.history.iterdir())) == 1
    publisher.publish(signed(signer, NOW, *many))
    assert lists.round()
    assert lists.path.read_bytes() != good


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_publisher_that_refuses_is_tried_again(
    lists: Lists, publisher: Publisher, signer: Issued, status: int
) -> None:
    """Its page is not read; the list in use goes on."""
    publisher.publish(signed(signer, NOW - HOUR))
    assert lists.round()
    publisher.status = status
    with capture_logs() as logs:
        assert not lists.round()
    assert [(each["event"], each["detail"]) for each in logs] == [("white-list-not-fetched", str(status))]
    assert lists.path.exists()


def test_an_old_list_is_an_alarm_once(lists: Lists, publisher: Publisher, signer: Issued, clock: Hand) -> None:
    """After a day, once; when a fresh one has come, the log says that too."""
    publisher.publish(signed(signer, NOW - HOUR))
    with capture_logs() as logs:
        lists.round()
        for _ in range(3):
            clock.at += 12 * HOUR
            lists.round()
        publisher.publish(signed(signer, clock.at))
        lists.round()
    assert events(logs) == ["white-list-new", "alarm-white-list-old", "white-list-new", "white-list-fresh-again"]


def test_without_any_list_the_alarm_is_at_once(lists: Lists, publisher: Publisher) -> None:
    """Nothing in use and nothing to be had."""
    publisher.status = 503
    with capture_logs() as logs:
        assert not lists.round()
    assert events(logs) == ["white-list-not-fetched", "alarm-white-list-old"]


def test_only_so_many_of_the_past_are_kept(lists: Lists, publisher: Publisher, signer: Issued, clock: Hand) -> None:
    """The newest ones, for audit."""
    for _ in range(5):
        clock.at += HOUR
        publisher.publish(signed(signer, clock.at))
        assert lists.round()
    names = sorted(file.name for file in lists.history.iterdir())
    assert names == [f"20261125T1{hour}3000Z.xml" for hour in (2, 3, 4)]


def test_a_file_that_somebody_else_put_there_is_what_counts(
    lists: Lists, publisher: Publisher, signer: Issued, store: TrustStore
) -> None:
    """The operator may put a newer list in place by hand; an older published one does not undo it."""
    publisher.publish(signed(signer, NOW - 2 * HOUR, "published.example"))
    lists.path.write_bytes(signed(signer, NOW - HOUR, "by-hand.example"))
    assert not lists.round()
    assert in_use(lists, store).domains() == {"by-hand.example"}


def test_a_list_of_the_real_size_loads_quickly_enough_to_be_looked_at_each_hour(
    lists: Lists, publisher: Publisher, signer: Issued, store: TrustStore
) -> None:
    """6,500 entries, as in the published one: all of them are there."""
    domains = [f"d{n}.mssante.example" for n in range(6500)]
    publisher.publish(signed(signer, NOW - HOUR, *domains))
    assert lists.round()
    assert len(in_use(lists, store).domains()) == 6500
