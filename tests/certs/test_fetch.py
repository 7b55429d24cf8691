"""One fetch: within budgets, to checked addresses only, from a server that does whatever it likes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from certs.fetch import Budget, Fetched, NotFetched, Outcome, Why, fetch
from certs.reach import Reach

SHORT = Budget(most_bytes=10_000, total_s=0.5, silence_s=0.3, redirects=3)
Script: TypeAlias = Callable[[socket.socket, bytes], None]


@pytest.fixture
def get(server: Any) -> Callable[..., Outcome]:
    """Fetches a path of the server, which the operator allowed."""
    allowed = Reach(frozenset({("crl.example", server.port)}), lambda *_: ["127.0.0.1"])

    def run(path: str, budget: Budget = SHORT, **more: object) -> Outcome:
        return fetch(server.url(path), allowed, budget, **more)  # type: ignore[arg-type]

    return run


def answer(body: bytes, status: str = "200 OK", *headers: str, length: int | None = None) -> Script:
    announced = f"Content-Length: {len(body) if length is None else length}"
    head = "\r\n".join([f"HTTP/1.1 {status}", announced, *headers, "", ""]).encode()
    return lambda connection, _: connection.sendall(head + body)


def redirect(to: str) -> Script:
    return answer(b"", "302 Found", f"Location: {to}")


def test_a_body_comes_whole(server: Any, get: Callable[..., Outcome]) -> None:
    """What the server sent, byte for byte, and where it came from; the host is named, compression is not asked."""
    server.scripts["/a"] = answer(b"\x30\x00" * 100)
    assert get("/a") == Fetched(b"\x30\x00" * 100, server.url("/a"))
    (request,) = server.requests
    assert f"Host: crl.example:{server.port}".encode() in request
    assert b"Accept-Encoding: identity" in request


def test_a_question_is_posted(server: Any, get: Callable[..., Outcome]) -> None:
    """An OCSP request goes by POST with its type, and is not sent on elsewhere."""
    server.scripts["/o"] = answer(b"yes")
    server.scripts["/r"] = redirect("/o")
    assert isinstance(get("/o", body=b"ask", body_type="application/ocsp-request"), Fetched)
    assert b"Content-Type: application/ocsp-request" in server.requests[0]
    assert get("/r", body=b"ask", body_type="application/ocsp-request") == NotFetched(
        Why.REDIRECTS, "a question is not sent on"
    )


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found", "500 No", "204 No Content"])
def test_any_status_but_200_is_none(server: Any, get: Callable[..., Outcome], status: str) -> None:
    """The status is told; what the page says is not."""
    server.scripts["/a"] = answer(b"", status)
    assert get("/a") == NotFetched(Why.STATUS, status[:3])


def test_what_is_held_is_not_fetched_again(server: Any, get: Callable[..., Outcome]) -> None:
    """RFC 9110 §13.1: the validator of the last answer is given back; 304 is an answer of its own."""
    server.scripts["/a"] = answer(b"list", "200 OK", 'ETag: "v1"')
    server.scripts["/b"] = answer(b"list", "200 OK", "Last-Modified: Wed, 25 Nov 2026 09:30:00 GMT")
    server.scripts["/c"] = answer(b"", "304 Not Modified")
    found = [get(path) for path in ("/a", "/b")]
    held = [each.validator for each in found if isinstance(each, Fetched)]
    assert held == ['"v1"', "Wed, 25 Nov 2026 09:30:00 GMT"]
    for validator, header in zip(held, (b"If-None-Match", b"If-Modified-Since"), strict=True):
        assert get("/c", held=validator) == NotFetched(Why.NOT_MODIFIED)
        assert header + b": " + validator.encode() in server.requests[-1]


def test_a_host_may_ask_for_patience(server: Any, get: Callable[..., Outcome]) -> None:
    """Retry-After in seconds is passed on; nonsense in it is not."""
    server.scripts["/a"] = answer(b"", "429 Too Many", "Retry-After: 3600")
    server.scripts["/b"] = answer(b"", "429 Too Many", "Retry-After: " + "9" * 400)
    assert get("/a") == NotFetched(Why.STATUS, "429", 3600.0)
    assert get("/b") == NotFetched(Why.STATUS, "429")


def test_a_body_over_budget_is_cut(server: Any, get: Callable[..., Outcome]) -> None:
    """Announced too large it is not read; endless it is read as far as the budget."""
    pieces = 0

    def endless(connection: socket.socket, _: bytes) -> None:
        nonlocal pieces
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 1000)
            pieces += 1

    server.scripts |= {"/a": answer(b"", length=10_001), "/b": endless, "/c": answer(b"y" * 10_000)}
    assert get("/a") == NotFetched(Why.TOO_LARGE, "10001 bytes announced")
    assert get("/b") == NotFetched(Why.TOO_LARGE, "more than 10000 bytes")
    assert isinstance(get("/c"), Fetched)


def drip(head: bytes, byte: bytes) -> Script:
    def run(connection: socket.socket, _: bytes) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(byte)
            threading.Event().wait(0.05)

    return run


@pytest.mark.parametrize(
    "script",
    [
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b"x"),
        drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        drip(b"HTTP/1.1 200 OK\r\nX-Long: ", b"y"),
        lambda *_: threading.Event().wait(2) and None,
    ],
    ids=["body", "body without length", "header", "silence"],
)
def test_a_slow_drip_ends_with_its_time(server: Any, get: Callable[..., Outcome], script: Script) -> None:
    """One byte now and then, in body or header, or none at all: the whole time is bounded."""
    server.scripts["/a"] = script
    found = get("/a")
    assert isinstance(found, NotFetched)
    assert found.why is Why.TOO_SLOW


def test_a_body_cut_short_is_none(server: Any, get: Callable[..., Outcome]) -> None:
    """Fewer bytes than announced."""
    server.scripts["/a"] = answer(b"x" * 10, length=20)
    found = get("/a")
    assert isinstance(found, NotFetched)
    assert found.why is Why.CUT_SHORT


def test_what_is_no_http_is_none(server: Any, get: Callable[..., Outcome]) -> None:
    """Another protocol, or an encoding that was not asked for."""
    server.scripts["/a"] = lambda connection, _: connection.sendall(b"220 mail.example ESMTP\r\n")
    server.scripts["/b"] = answer(b"x", "200 OK", "Content-Encoding: gzip")
    for path in ("/a", "/b"):
        found = get(path)
        assert isinstance(found, NotFetched)
        assert found.why is Why.NOT_HTTP


def test_redirects_are_few_and_lead_on(server: Any, get: Callable[..., Outcome]) -> None:
    """Three are followed; a fourth, or a circle, is not."""
    server.scripts |= {f"/{at}": redirect(f"/{at + 1}") for at in range(5)} | {
        "/3": answer(b"there"), "/c": redirect("/d"), "/d": redirect("/c"),
        "/w": redirect("/x"), "/x": redirect("/y"), "/y": redirect("/z"), "/z": redirect("/q"),
    }  # fmt: skip
    assert get("/0") == Fetched(b"there", server.url("/3"))
    assert get("/c") == NotFetched(Why.REDIRECTS, "a circle")
    assert get("/w") == NotFetched(Why.REDIRECTS, "more than 3")


@pytest.mark.parametrize(
    "to",
    [
        "http://169.254.169.254/latest/meta-data/", "http://127.0.0.1/", "http://[::1]/", "http://localhost/",
        "file:///etc/passwd", "ldap://crl.example/", "http://crl.example@10.0.0.1/", "//10.0.0.1/a",
    ],
)  # fmt: skip
def test_a_redirect_is_checked_like_any_address(server: Any, get: Callable[..., Outcome], to: str) -> None:
    """SSRF by a redirect: into our network, to this machine, to another scheme."""
    server.scripts["/a"] = redirect(to)
    found = get("/a")
    assert isinstance(found, NotFetched)
    assert found.why is Why.NOT_ALLOWED


def test_no_inner_address_is_connected_to(server: Any) -> None:
    """The same server, without an operator's word, is never asked anything."""
    server.scripts["/a"] = answer(b"secret")
    for url in (server.url("/a"), f"http://127.0.0.1:{server.port}/a", "http://127.0.0.1/a", "http://[::1]/a"):
        found = fetch(url, Reach(resolve=lambda *_: ["127.0.0.1"]), SHORT)
        assert isinstance(found, NotFetched)
        assert found.why is Why.NOT_ALLOWED
    assert server.requests == []


def test_a_name_is_asked_once(server: Any) -> None:
    """DNS rebinding: a name that is public when checked and inner a moment later leads nowhere new."""
    server.scripts["/a"] = answer(b"secret")
    answers = iter([["127.0.0.9"], ["127.0.0.1"]])
    asked: list[str] = []

    def rebinding(host: str, _: int) -> list[str]:
        asked.append(host)
        return next(answers)

    # 127.0.0.9 stands for the address that was checked: nobody listens there on this port
    found = fetch(server.url("/a"), Reach(frozenset({("crl.example", server.port)}), rebinding), SHORT)
    assert isinstance(found, NotFetched)
    assert found.why is Why.NO_CONNECTION
    assert (asked, server.requests) == (["crl.example"], [])


def test_a_name_without_address_is_no_surprise() -> None:
    """The resolver's error is an outcome."""

    def none(*_: object) -> list[str]:
        raise socket.gaierror

    assert fetch("http://crl.example/", Reach(resolve=none), SHORT) == NotFetched(Why.NO_CONNECTION, "gaierror")
    assert isinstance(fetch("http://crl.example/", Reach(resolve=lambda *_: []), SHORT), NotFetched)


def test_https_needs_a_certificate_that_we_know(server: Any) -> None:
    """A server that speaks no TLS, or shows nothing that the system trusts, is not believed."""
    server.scripts["/a"] = answer(b"x")
    allowed = Reach(frozenset({("crl.example", server.port)}), lambda *_: ["127.0.0.1"])
    found = fetch(f"https://crl.example:{server.port}/a", allowed, SHORT)
    assert isinstance(found, NotFetched)
    assert found.why in (Why.NO_CONNECTION, Why.TOO_SLOW)
