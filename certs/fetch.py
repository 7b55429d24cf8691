"""One fetch over http or https, of an address that a certificate names: outside any session, within budgets.

Promises: goes only where reach allows, for each redirect again; never more bytes, seconds or redirects than the
budget says, however slowly the other end drips; an outcome is a value, Fetched or NotFetched. Does not: know
what the bytes are (the caller checks that they are what they claim), keep them, or try again (cache does).
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn, TypeAlias
from urllib.parse import urljoin

from certs.reach import Reach, Target, Unreachable, target

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PIECE = 64 * 1024


class Why(StrEnum):
    """Why nothing was fetched. Names go to logs and to the cache's state."""

    NOT_ALLOWED = "not-allowed"
    NO_CONNECTION = "no-connection"
    STATUS = "status"
    TOO_LARGE = "too-large"
    TOO_SLOW = "too-slow"
    REDIRECTS = "redirects"
    CUT_SHORT = "cut-short"
    NOT_HTTP = "not-http"
    NOT_MODIFIED = "not-modified"
    """What the caller holds is still what there is (RFC 9110 §15.4.5)."""


@dataclass(frozen=True)
class Budget:
    """For one fetch, redirects included."""

    most_bytes: int = 64 * 1024 * 1024
    total_s: float = 60.0
    silence_s: float = 10.0
    """Without one byte, connecting included."""
    redirects: int = 3


@dataclass(frozen=True)
class Fetched:
    body: bytes = field(repr=False)
    url: str = ""
    """Where it came from in the end."""
    validator: str = ""
    """Its entity tag, or when it was last modified: to be given back as `held`."""


@dataclass(frozen=True)
class NotFetched:
    why: Why
    detail: str = ""
    """For operators: a status, an exception's name, an address. Never what the other end wrote."""
    after_s: float = 0.0
    """Retry-After in seconds, if it asked (RFC 9110 §10.2.3)."""


Outcome: TypeAlias = Fetched | NotFetched


class _Stopped(Exception):
    def __init__(self, outcome: NotFetched) -> None:
        super().__init__(outcome.why)
        self.outcome = outcome


def _stop(why: Why, detail: str = "", after_s: float = 0.0) -> NoReturn:
    raise _Stopped(NotFetched(why, detail, after_s))


def fetch(
    url: str,
    reach: Reach,
    budget: Budget = Budget(),
    *,
    body: bytes | None = None,
    body_type: str = "",
    context: ssl.SSLContext | None = None,
    held: str = "",
) -> Outcome:
    """GETs `url`, or POSTs `body`, which follows no redirect. `context`: for https; by default the system's anchors.

    `held`: the validator of what the caller has; if it still is what there is, the answer is NOT_MODIFIED.
    """
    watch = _Watch(budget.total_s)
    try:
        with watch.running():
            found = _follow(url, reach, budget, watch, _Asked(body, body_type, context, held))
        # A connection that the watch ended looks like the end of a body that announced no length
        return NotFetched(Why.TOO_SLOW) if watch.fired else found
    except _Stopped as stopped:
        return NotFetched(Why.TOO_SLOW) if watch.fired else stopped.outcome
    except Unreachable as error:
        return NotFetched(Why.NOT_ALLOWED, str(error))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _failure(error, late=watch.fired)


def _failure(error: Exception, *, late: bool) -> NotFetched:
    if late or isinstance(error, TimeoutError):
        return NotFetched(Why.TOO_SLOW, type(error).__name__)
    if isinstance(error, OSError):
        return NotFetched(Why.NO_CONNECTION, type(error).__name__)
    return NotFetched(Why.CUT_SHORT if isinstance(error, http.client.IncompleteRead) else Why.NOT_HTTP)


@dataclass(frozen=True)
class _Asked:
    body: bytes | None
    body_type: str
    context: ssl.SSLContext | None
    held: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """RFC 9110 §13.1: an entity tag is quoted, perhaps weak; anything else is a date."""
        said = {"Accept-Encoding": "identity", "User-Agent": "pli", "Connection": "close"}
        if self.body is not None:
            said["Content-Type"] = self.body_type
        if self.held:
            said["If-None-Match" if self.held.endswith('"') else "If-Modified-Since"] = self.held
        return said


class _Watch:
    """Ends the connection of the moment when the whole time is over, whatever it waits for."""

    def __init__(self, total_s: float) -> None:
        self._timer = threading.Timer(total_s, self._fire)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self.fired = False

    @contextmanager
    def running(self) -> Iterator[None]:
        self._timer.start()
        try:
            yield
        finally:
            self._timer.cancel()

    def over(self, connection: socket.socket) -> None:
        """This connection is the one to end; raises TimeoutError if it is too late already."""
        with self._lock:
            self._connection = connection
            if self.fired:
                raise TimeoutError

    def _fire(self) -> None:
        with self._lock:
            self.fired = True
            if self._connection is not None:
                _shut(self._connection)


def _shut(connection: socket.socket) -> None:
    try:
        # not SSLSocket.shutdown, which forgets its session while another thread reads from it
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        return  # closed already


def _follow(url: str, reach: Reach, budget: Budget, watch: _Watch, asked: _Asked) -> Fetched:
    seen: set[str] = set()
    for _ in range(budget.redirects + 1):
        if url in seen:
            _stop(Why.REDIRECTS, "a circle")
        seen.add(url)
        where = target(url)
        found = _once(where, reach, budget, watch, asked)
        if isinstance(found, Fetched):
            return found
        url = _next(where, found, asked)
    _stop(Why.REDIRECTS, f"more than {budget.redirects}")


def _next(where: Target, location: str, asked: _Asked) -> str:
    """Where a redirect leads: still to be checked like any other address."""
    if asked.body is not None:
        _stop(Why.REDIRECTS, "a question is not sent on")
    url = urljoin(where.url, location)
    if where.scheme == "https" and not url.startswith("https:"):
        _stop(Why.REDIRECTS, "from https to less")
    return url


def _once(where: Target, reach: Reach, budget: Budget, watch: _Watch, asked: _Asked) -> Fetched | str:
    """One answer's body, or where it sends us."""
    talk = http.client.HTTPConnection(where.host, where.port)
    try:
        talk.sock = _connected(where, reach, budget, watch, asked.context)
        talk.request("GET" if asked.body is None else "POST", where.path, asked.body, asked.headers)
        return _answer(talk.getresponse(), where, budget)
    finally:
        talk.close()


def _connected(
    where: Target, reach: Reach, budget: Budget, watch: _Watch, context: ssl.SSLContext | None
) -> socket.socket:
    """A socket to an address that was checked: the name is not asked again."""
    trouble: OSError = OSError("the name has no address")
    for address in reach.addresses(where):
        try:
            plain = socket.create_connection((address, where.port), timeout=budget.silence_s)
        except OSError as error:
            trouble = error
            continue
        watch.over(plain)
        return _with_tls(plain, where, watch, context) if where.scheme == "https" else plain
    raise trouble


def _with_tls(plain: socket.socket, where: Target, watch: _Watch, context: ssl.SSLContext | None) -> socket.socket:
    try:
        wrapped = (context or ssl.create_default_context()).wrap_socket(plain, server_hostname=where.host)
    except BaseException:
        plain.close()
        raise
    watch.over(wrapped)
    return wrapped


def _answer(response: http.client.HTTPResponse, where: Target, budget: Budget) -> Fetched | str:
    if response.status in _REDIRECTS and (location := response.getheader("Location")):
        return location
    if response.status == 304:
        _stop(Why.NOT_MODIFIED)
    if response.status != 200:
        _stop(Why.STATUS, str(response.status), _after(response))
    if response.getheader("Content-Encoding", "identity").lower() != "identity":
        _stop(Why.NOT_HTTP, "an encoding that was not asked for")
    validator = response.getheader("ETag") or response.getheader("Last-Modified") or ""
    return Fetched(_body(response, budget.most_bytes), where.url, validator if len(validator) < 200 else "")


def _after(response: http.client.HTTPResponse) -> float:
    told = response.getheader("Retry-After", "").strip()
    return float(told) if told.isdecimal() and len(told) < 8 else 0.0


def _body(response: http.client.HTTPResponse, most: int) -> bytes:
    announced = response.length
    if announced is not None and announced > most:
        _stop(Why.TOO_LARGE, f"{announced} bytes announced")
    pieces, size = [], 0
    while piece := response.read1(_PIECE):
        size += len(piece)
        if size > most:
            _stop(Why.TOO_LARGE, f"more than {most} bytes")
        pieces.append(piece)
    if announced is not None and size < announced:
        _stop(Why.CUT_SHORT, f"{size} of {announced} bytes")
    return b"".join(pieces)
