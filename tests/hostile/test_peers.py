"""What another operator's server may try when we call it: it stalls, never ends, says no for ever, breaks TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from certs import chain, tls
from certs.chain import TrustStore
from relay.couriers.peer import PeerCourier
from relay.model import (
    BodyRef,
    Done,
    Door,
    DoorProof,
    Job,
    Later,
    Letter,
    Mode,
    Outcome,
    Reason,
    Recipient,
    Route,
    State,
    Verdict,
)
from relay.partners import Listed, WhiteList

DOMAIN = "parc.example"
LETTER = b"From: anna@lilas.example\r\nSubject: essai\r\n\r\nBonjour.\r\n"
HELLO = b"250-theirs\r\n250-STARTTLS\r\n250 SIZE 0\r\n"
Part = Callable[[socket.socket, Any], None]


class Theirs:
    """A foreign server: plays one part for each connection; `tls` is its honest side of a handshake."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                with connection, contextlib.suppress(OSError):
                    self._part(connection, connection.makefile("rb"))

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def deliver(trust_space: Any) -> Iterator[Callable[..., Outcome]]:
    """Carries one letter to a server that plays `part`; answers what became of it."""
    trust: TrustStore = trust_space.trust()
    subject = chain.identity(trust_space.peer_issued.der).subject
    listed = WhiteList.of([Listed(DOMAIN, subject)], datetime.now(UTC))
    opened: list[Theirs] = []

    def carried(part: Part, raw: bytes = LETTER, total_s: float = 20.0) -> Outcome:
        opened.append(Theirs(part))
        where = [("127.0.0.1", opened[-1].port)]
        courier = PeerCourier(
            hostname="mss.lilas.example",
            where=lambda domain: where,
            context=lambda: tls.client_side(*trust_space.host, trust),
            trust=lambda: trust,
            white_list=lambda: listed,
            keeper=None,  # type: ignore[arg-type]  # a plain route asks for no key
            journal=None,  # type: ignore[arg-type]
            clock=lambda: datetime.now(UTC),
            total_s=total_s,
        )
        (outcome,) = courier.deliver(_job(raw)).values()
        return outcome

    yield carried
    for each in opened:
        each.close()


def _job(raw: bytes) -> Job:
    body, now = BodyRef("n", len(raw), "d"), datetime.now(UTC)
    letter = Letter(
        "01abc", "lilas", Door.SUBMISSION, "anna@lilas.example", "<1@x>", body, now, "", Verdict(), DoorProof()
    )
    route = Route(Mode.PEER_PLAIN, DOMAIN, "test")
    return Job(letter, (Recipient("r", letter.id, "lilas", f"bert@{DOMAIN}", route, State.RUNNING),), lambda: raw, 1)


def honest(space: Any, after: Callable[[ssl.SSLSocket, Any], None]) -> Part:
    """Up to 354 as it should be, under TLS; then `after`."""

    def part(connection: socket.socket, reader: Any) -> None:
        connection.sendall(b"220 theirs\r\n")
        reader.readline()
        connection.sendall(HELLO)
        reader.readline()
        connection.sendall(b"220 go on\r\n")
        secure = tls.peer_side(*space.peer, space.trust()).wrap_socket(connection, server_side=True)
        lines = secure.makefile("rb")
        for reply in (b"250-theirs\r\n250 SIZE 0\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go on\r\n"):
            lines.readline()
            secure.sendall(reply)
        after(secure, lines)

    return part


def _swallow(lines: Any) -> None:
    while lines.readline() not in (b".\r\n", b""):
        pass


def test_a_peer_that_takes_the_letter_is_done(deliver: Callable[..., Outcome], trust_space: Any) -> None:
    """The twin of all below."""

    def after(secure: ssl.SSLSocket, lines: Any) -> None:
        _swallow(lines)
        secure.sendall(b"250 2.0.0 kept\r\n")
        lines.readline()

    assert deliver(honest(trust_space, after)) == Done("250 2.0.0 kept")


def test_a_peer_that_closes_without_a_word_after_its_250_has_the_letter(
    deliver: Callable[..., Outcome], trust_space: Any
) -> None:
    """No answer to QUIT: the letter is Done, and not sent twice."""

    def after(secure: ssl.SSLSocket, lines: Any) -> None:
        _swallow(lines)
        secure.sendall(b"250 2.0.0 kept\r\n")
        secure.shutdown(socket.SHUT_RDWR)

    assert deliver(honest(trust_space, after)) == Done("250 2.0.0 kept")


def test_a_peer_that_stops_reading_in_mid_data_is_cut_off(deliver: Callable[..., Outcome], trust_space: Any) -> None:
    """It answers 354 and takes nothing: the delivery ends by itself, the letter waits."""
    free = threading.Event()
    raw = LETTER + b"a line of the letter\r\n" * 1_000_000
    outcome = deliver(honest(trust_space, lambda secure, lines: free.wait(60)), raw, total_s=2.0)
    free.set()
    assert isinstance(outcome, Later)
    assert outcome.reason == Reason.PEER_UNREACHABLE


def test_a_reply_without_end_is_cut_off(deliver: Callable[..., Outcome]) -> None:
    """A greeting, or an answer to EHLO, of endless lines is not collected for ever."""

    def part(connection: socket.socket, reader: Any) -> None:
        while True:
            connection.sendall(b"220-and one more thing\r\n" * 100)

    assert isinstance(deliver(part, total_s=1.0), Later)


@pytest.mark.parametrize(
    "greeting", [b"421 4.3.2 busy\r\n", b"", b"\x16\x03\x01\x02\x00 junk\r\n", b"220 x" + b"y" * 100_000 + b"\r\n"]
)
def test_a_peer_that_never_says_yes_is_later_each_time(deliver: Callable[..., Outcome], greeting: bytes) -> None:
    """421 for ever, silence, junk: Later at every attempt, until the schedule gives the letter up."""

    def part(connection: socket.socket, reader: Any) -> None:
        connection.sendall(greeting)

    assert {type(deliver(part)) for _ in range(3)} == {Later}


@pytest.mark.parametrize("instead", [b"502 no\r\n", b"220 go on\r\nnot a handshake\r\n", b"220 go on\r\n"])
def test_starttls_that_breaks_sends_nothing_in_clear(deliver: Callable[..., Outcome], instead: bytes) -> None:
    """Offered, then refused or broken: Later, and neither sender, recipient nor letter was said."""
    heard: list[bytes] = []

    def part(connection: socket.socket, reader: Any) -> None:
        connection.sendall(b"220 theirs\r\n")
        reader.readline()
        connection.sendall(HELLO)
        reader.readline()
        connection.sendall(instead)
        connection.shutdown(socket.SHUT_WR)
        heard.append(reader.read())

    assert isinstance(deliver(part), Later)
    assert b"lilas.example>" not in b"".join(heard)
    assert b"Bonjour" not in b"".join(heard)
