"""The spooler: the one process that writes to the store, and the client by which all the others ask it to.

Promises: an answered write is on the disk, whatever is killed next; all requests that wait share one
transaction and one sync (group commit), each in a savepoint of its own, so that a refusal hurts nobody else;
two spoolers never serve one socket. An unanswered write may or may not have happened: writes are idempotent,
ask again. Does not: know what a write means (a table of functions is handed over), nor read.

On the wire (certs/frames.py): request {"name", "tenant", "params"}; answer
{"ok": value}, {"refused": words} or {"down": words, "full": bool}. One request at a time on a connection.
"""

from __future__ import annotations

import fcntl
import os
import select
import selectors
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError

from certs import frames, meter
from certs.model import Clock
from relay.store import direct
from relay.store.chains import NODE
from relay.store.engine import now_of

Write: TypeAlias = Callable[[Connection, str, Mapping[str, Any], datetime], Any]
"""(connection in a transaction, tenant, JSON-able parameters, the writer's now) -> JSON-able answer."""

MEMO = "pli.memo"
"""In `Connection.info`, while the spooler is in a transaction: a dict in which writes keep what they read or wrote for
those after them. Emptied at each transaction's start and whenever anything was taken back, so that it never says more
than the transaction's own rows; between transactions there is none, for then others may write."""

MAX_FRAME = 32 * 1024 * 1024
MAX_BATCH = 256
_CHUNK = 256 * 1024
_log = structlog.get_logger(__name__)


class StoreDown(Exception):
    """The write is not known to have happened. It may have: ask again, writes are idempotent."""


class StoreFull(StoreDown):
    """The disk under the store is full; nothing was written."""


class StoreRefused(Exception):
    """The store says no, and would say so again; nothing was written."""


class SpoolerRunning(Exception):
    """Another spooler serves this socket."""


# --- the client ---------------------------------------------------------------------------------------------


class SpoolClient:
    """Asks the spooler to write. Safe to share between threads: each request has a connection to itself."""

    def __init__(self, socket_path: Path, timeout: float = 30.0) -> None:
        self._path = str(socket_path)
        self._timeout = timeout
        self._idle: list[socket.socket] = []
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def write(self, name: str, tenant: str, **params: Any) -> Any:
        """The answer of write `name`. Raises StoreDown, StoreFull or StoreRefused."""
        try:
            request = frames.encode({"name": name, "tenant": tenant, "params": params}, MAX_FRAME)
        except frames.FrameTooLarge:
            raise StoreRefused("request too large") from None
        try:
            answer = self._ask(request)
        except (OSError, ValueError) as error:
            raise StoreDown(f"the spooler does not answer ({type(error).__name__})") from error
        return _answered(answer)

    def close(self) -> None:
        with self._lock:
            kept, self._idle = self._idle, []
        for connection in kept:
            connection.close()

    def _ask(self, request: bytes) -> dict[str, Any]:
        connection = self._take()
        try:
            connection.sendall(request)
            answer = frames.receive(connection, MAX_FRAME)
            if answer is None:
                raise ConnectionError("closed before the answer")
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.append(connection)
        return answer

    def _take(self) -> socket.socket:
        """A kept connection whose other end still lives, or a new one."""
        with self._lock:
            if self._pid != os.getpid():  # a forked child must not speak on its parent's connections
                self._idle, self._pid = [], os.getpid()
            while self._idle:
                kept = self._idle.pop()
                if _alive(kept):
                    return kept
                kept.close()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self._timeout)
        try:
            connection.connect(self._path)
        except OSError:
            connection.close()
            raise
        return connection


def _alive(connection: socket.socket) -> bool:
    """False where the other end has gone, as after a restart: nothing was sent yet, a new one is safe.
    Between requests nothing may be readable, so what is readable is the end."""
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    return not waiting.poll(0)


def _answered(answer: dict[str, Any]) -> Any:
    if "ok" in answer:
        return answer["ok"]
    if "refused" in answer:
        raise StoreRefused(str(answer["refused"]))
    raise (StoreFull if answer.get("full") else StoreDown)(str(answer.get("down", "")))


def _told(value: Mapping[str, Any]) -> bytes:
    return frames.encode(value, MAX_FRAME)


# --- the process --------------------------------------------------------------------------------------------


class _Caller:
    """One connection: what came in and is not yet whole, what goes out and is not yet sent."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.incoming = bytearray()
        self.outgoing = bytearray()


_Request: TypeAlias = tuple[_Caller, dict[str, Any]]


class Spooler:
    """Serves the writes of one store on one Unix socket, in one thread."""

    def __init__(
        self, engine: Engine, socket_path: Path, writes: Mapping[str, Write], clock: Clock | None, node: str = "spool"
    ) -> None:
        """`clock`: None for the store's own, which counts where several nodes share one. `node`: after which this
        writer's chain of the journal is called where it is not the only one."""
        self._engine = engine.execution_options(**{NODE: node})
        self._path = socket_path
        self._writes = dict(writes)
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self.ready = threading.Event()
        """Set once the socket answers."""

    def serve(self, stop: threading.Event) -> None:
        """Serves until `stop` is set; looks at it four times a second. Raises SpoolerRunning."""
        with _owned(self._path), _listening(self._path) as listener, self._engine.connect() as store:
            self._selector.register(listener, selectors.EVENT_READ)
            self.ready.set()
            try:
                while not stop.is_set():
                    self._round(store)
            finally:
                self._hang_up()

    def _round(self, store: Connection) -> None:
        """Whatever came in while the last batch was being synced is the next batch."""
        requests: list[_Request] = []
        for key, events in self._selector.select(0.25):
            if key.data is None:
                self._welcome(key.fileobj)
                continue
            if events & selectors.EVENT_WRITE:
                self._send(key.data)
            if events & selectors.EVENT_READ:
                requests.extend(self._hear(key.data))
        for first in range(0, len(requests), MAX_BATCH):
            batch = requests[first : first + MAX_BATCH]
            with meter.step("enqueue"):
                answers = self._commit(store, [request for _, request in batch])
            for (caller, _), answer in zip(batch, answers, strict=True):
                caller.outgoing += answer
                self._send(caller)

    # -- sockets

    def _welcome(self, listener: Any) -> None:
        try:
            connection, _ = listener.accept()
        except OSError as error:  # out of descriptors, or the caller has already gone
            _log.warning("spooler.not-accepted", error=type(error).__name__)
            return
        connection.setblocking(False)
        self._selector.register(connection, selectors.EVENT_READ, _Caller(connection))

    def _hear(self, caller: _Caller) -> list[_Request]:
        try:
            data = caller.connection.recv(_CHUNK)
            caller.incoming += data
            if data:
                return [(caller, request) for request in frames.split(caller.incoming, MAX_FRAME)]
        except BlockingIOError:
            return []
        except (OSError, ValueError) as error:
            _log.warning("spooler.caller-dropped", error=type(error).__name__)
        self._drop(caller)
        return []

    def _send(self, caller: _Caller) -> None:
        if caller.connection.fileno() < 0:
            return
        try:
            sent = caller.connection.send(caller.outgoing) if caller.outgoing else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            return self._drop(caller)
        del caller.outgoing[:sent]
        more = selectors.EVENT_WRITE if caller.outgoing else 0
        self._selector.modify(caller.connection, selectors.EVENT_READ | more, caller)

    def _drop(self, caller: _Caller) -> None:
        if caller.connection.fileno() >= 0:
            self._selector.unregister(caller.connection)
            caller.connection.close()

    def _hang_up(self) -> None:
        for key in list(self._selector.get_map().values()):
            if isinstance(key.data, _Caller):
                key.data.connection.close()
        self._selector.close()

    # -- the store

    def _commit(self, store: Connection, requests: list[dict[str, Any]]) -> list[bytes]:
        """All in one transaction; if that fails as a whole, each in its own: each learns its own fate."""
        try:
            if len(requests) == 1:
                return [self._apply(store, _transaction, requests[0])]
            with _transaction(store):
                return [self._apply(store, _savepoint, request) for request in requests]
        except DBAPIError as error:
            # A connection that was lost may have taken its commit with it: each asker must ask again himself.
            if len(requests) == 1 or error.connection_invalidated or store.invalidated:
                return [_down(error)] * len(requests)
        return [answer for request in requests for answer in self._commit(store, [request])]

    def _apply(self, store: Connection, part: _Part, request: dict[str, Any]) -> bytes:
        """`part`: what is taken back, with nothing else, where the answer is no."""
        name = str(request.get("name"))
        write = self._writes.get(name)
        if write is None:
            return _told({"refused": "unknown write"})
        try:
            with part(store):
                return _told({"ok": write(store, str(request["tenant"]), request["params"], self._now(store))})
        except StoreRefused as refusal:
            return _told({"refused": str(refusal)})
        except IntegrityError:
            _log.warning("spooler.integrity", write=name)
            return _told({"refused": "integrity"})
        except DBAPIError:
            raise
        except Exception as surprise:  # a mistake of ours: its request alone suffers, and may be asked again
            _log.error("spooler.surprise", write=name, error=type(surprise).__name__)
            return _told({"down": f"surprise ({type(surprise).__name__})"})

    def _now(self, store: Connection) -> datetime:
        """Asked of the store once per transaction, or once more after something was taken back."""
        if self._clock:
            return self._clock()
        memo = store.info[MEMO]
        if "now" not in memo:
            memo["now"] = now_of(store)
        now: datetime = memo["now"]
        return now


_Part: TypeAlias = Callable[[Connection], AbstractContextManager[None]]


@contextmanager
def _transaction(store: Connection) -> Iterator[None]:
    store.info[MEMO] = {}
    try:
        with store.begin():
            yield
    finally:
        store.info.pop(MEMO, None)


@contextmanager
def _savepoint(store: Connection) -> Iterator[None]:
    """As begin_nested, which compiles its statements anew each time and costs five times as much."""
    direct.say(store, "SAVEPOINT request")
    try:
        yield
    except BaseException:
        _forget(store)
        direct.say(store, "ROLLBACK TO SAVEPOINT request")
        raise
    direct.say(store, "RELEASE SAVEPOINT request")


def _forget(store: Connection) -> None:
    """What was taken back must not be remembered."""
    store.info[MEMO].clear()


def _down(error: DBAPIError) -> bytes:
    full = _is_full(error)
    _log.error("spooler.store-down", full=full, error=type(error.orig).__name__)
    return _told({"down": "the disk is full" if full else "the store failed", "full": full})


def _is_full(error: BaseException | None) -> bool:
    """Looks behind the error too: SQLite, full, ends the whole transaction, so that leaving the savepoint fails."""
    if error is None:
        return False
    origin = getattr(error, "orig", None)
    code = getattr(origin, "sqlite_errorname", "") or getattr(origin, "sqlstate", "")
    # 53100: PostgreSQL's disk_full
    return code in ("SQLITE_FULL", "53100") or _is_full(error.__context__)


@contextmanager
def _owned(path: Path) -> Iterator[None]:
    """Holds the lock beside the socket. The kernel lets go of it when the process dies, however it dies."""
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SpoolerRunning(f"another spooler already serves {path.name}") from None
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    path.unlink(missing_ok=True)  # left by a killed spooler: the lock says that nobody answers there
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        os.chmod(path, 0o660)  # before listen(): nobody connects earlier
        listener.listen(512)
        listener.setblocking(False)
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)
