"""What a dossier host may try when we call it: it trickles, says nothing, answers twice, never ends."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from certs import tls
from dmp_bridge import soap
from dmp_bridge.dmp import QUERY, RS, DossierClient
from dmp_bridge.model import FilingReason, HostProfile
from relay.model import Later

EMPTY = (
    f'<q:AdhocQueryResponse xmlns:q="{QUERY}" status="urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success">'
    '<r:RegistryObjectList xmlns:r="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"/></q:AdhocQueryResponse>'
)
Part = Callable[[socket.socket, str], None]
"""What the host does about one request, whose MessageID is given."""


def answer(message_id: str) -> bytes:
    """A whole HTTP response: nothing found."""
    body = (
        '<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://www.w3.org/2005/08/addressing">'
        "<e:Header><a:Action>urn:ihe:iti:2007:RegistryStoredQueryResponse</a:Action>"
        f"<a:RelatesTo>{message_id}</a:RelatesTo></e:Header><e:Body>{EMPTY}</e:Body></e:Envelope>"
    ).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Host:
    """A TLS server with the host's certificate; a thread for each connection."""

    def __init__(self, site: Any, part: Part) -> None:
        self._context, self._part = tls.peer_side(*site.host, site.trust()), part
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._talk, args=(self._listening.accept()[0],), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), self._context.wrap_socket(connection, server_side=True) as secure:
            while request := self._request(secure):
                self._part(secure, request)

    def _request(self, secure: socket.socket) -> str:
        seen = b""
        while b"Envelope>" not in seen:
            piece = secure.recv(65536)
            if not piece:
                return ""
            seen += piece
        found = re.search(rb"MessageID>([^<]+)<", seen)
        return found[1].decode() if found else "none"

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def ask(site: Any) -> Iterator[Callable[..., list[Any]]]:
    """What a client of ours hears when it looks for a document, so many times."""
    hosts: list[Host] = []
    clients: list[DossierClient] = []

    def asked(part: Part, times: int = 1, **limits: float) -> list[Any]:
        hosts.append(Host(site, part))
        profile = HostProfile("regional", hosts[-1].url, "2.25.7", "2.25.2")
        clients.append(DossierClient(profile, *site.client, site.trust, **{"timeout": 5.0, **limits}))
        return [clients[-1].find(["2.25.9"]) for _ in range(times)]

    yield asked
    for each in (*clients, *hosts):
        each.close()


def test_an_honest_answer_is_heard(ask: Callable[..., list[Any]]) -> None:
    """The twin of all below."""
    assert ask(lambda host, message: host.sendall(answer(message))) == [()]


def test_a_host_that_trickles_is_left(ask: Callable[..., list[Any]]) -> None:
    """One byte at a time never lets the time-out pass; the whole has its time too."""
    end = threading.Event()

    def part(host: socket.socket, message: str) -> None:
        whole = answer(message)
        for at in range(len(whole)):
            host.sendall(whole[at : at + 1])
            if at > 200 and end.wait(0.05):
                return

    (heard,) = ask(part, total_s=0.5)
    end.set()
    assert heard == Later(FilingReason.HOST_DOWN, "ReadTimeout")


def test_a_host_that_says_nothing_is_left(ask: Callable[..., list[Any]]) -> None:
    """Slow without end: Later, since nobody knows whether anything was stored."""
    end = threading.Event()
    (heard,) = ask(lambda host, message: bool(end.wait(30)), timeout=0.3)
    end.set()
    assert heard == Later(FilingReason.HOST_DOWN, "ReadTimeout")


def test_a_second_answer_is_not_taken_for_that_of_the_next_question(ask: Callable[..., list[Any]]) -> None:
    """Two answers to one question, on a kept connection: the next question gets its own or none."""

    def part(host: socket.socket, message: str) -> None:
        host.sendall(answer(message) + answer(message))

    first, second = ask(part, times=2)
    assert first == ()
    assert second == () or isinstance(second, Later)


def test_an_answer_to_another_question_is_none(ask: Callable[..., list[Any]]) -> None:
    """What relates to a question that we did not put proves nothing."""
    other = soap.new_message_id()
    heard = ask(lambda host, message: host.sendall(answer(other)))
    assert heard == [Later(FilingReason.HOST_WRONG, "an answer to another question")]


@pytest.mark.parametrize(
    "junk",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx",
        b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:1/elsewhere\r\nContent-Length: 0\r\n\r\n",
        b"not HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
    ],
)
def test_what_is_no_answer_is_later(ask: Callable[..., list[Any]], junk: bytes) -> None:
    """Cut short, sent elsewhere, another protocol, another type, headers without end: a value, and no redirect is
    followed."""

    def part(host: socket.socket, message: str) -> None:
        host.sendall(junk)
        host.shutdown(socket.SHUT_RDWR)

    (heard,) = ask(part)
    assert isinstance(heard, Later)
    assert RS not in repr(heard)
