"""The keeper: the one process that holds signing keys, seals and the body key, and releases their use, never
themselves.

Promises: only processes of the allowed users are answered (SO_PEERCRED, the kernel's word); each release
names one letter and is in the journal before it is answered, or it is not made; requests are answered side by
side. Keys are read at the start and again on SIGHUP; a folder that cannot be read then leaves the held keys
in use. A body key that was replaced still opens what was sealed to it. Where several tenants share the node each
request names its tenant and meets that one's keys alone. Does not: decide what is signed, keep a database, listen on a
network, log a key.

Its folder is described in gateway/keyring.py, the wire in certs/keys.py.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import structlog

from certs import meter
from certs.frames import FrameTooLarge
from certs.keys import from_text, receive_frame, send_frame, to_text, unwrap_key
from certs.model import Clock
from certs.openers import CannotOpen, LocalOpener, Padding
from gateway.keyring import Held, HeldOpener, KeyRing

Journal: TypeAlias = Callable[[str, dict[str, str]], None]
"""(event name, facts): keeps one event durably, or raises."""

SIGNED = "key-used"
UNSEALED = "unsealed"
OPENED = "key-opened"
REWRAPPED = "keys-rewrapped"
REWRAPPED_MOST = 256

MAX_CONNECTIONS = 256
OPENERS_MOST = 12
"""Certificates in one answer."""
MOST_KEYS = 10_000
KEY_SIZE_MOST = 64
"""Bytes of a content key: the longest that anything asks for is 32."""
IDLE_S = 300.0
"""Seconds after which a silent connection is ended; clients connect again by themselves."""
_CREDENTIALS = struct.Struct("3i")  # unix(7): pid, uid, gid
_log = structlog.get_logger(__name__)


# --- requests ----------------------------------------------------------------------------------------------


ALONE = ""
"""The tenant of a keeper that has one folder."""


class _Refused(Exception):
    """The answer is no; the text goes to the asker and to the log."""


def _asked(request: Mapping[str, Any], name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str) or not value or len(value) > 32 * 1024:
        raise _Refused(f"'{name}' is missing or no text")
    return value


def ring_of(rings: Mapping[str, KeyRing], tenant: object) -> KeyRing:
    """The keys of the tenant whose work asks, and of no other: who names none, where there are several, has none."""
    if tenant == ALONE and len(rings) == 1:
        return next(iter(rings.values()))
    held = rings.get(tenant) if isinstance(tenant, str) else None
    if held is None:
        raise _Refused("no such tenant")
    return held


def _asked_bytes(request: Mapping[str, Any], name: str) -> bytes:
    try:
        return from_text(_asked(request, name))
    except ValueError as error:
        raise _Refused(f"'{name}' is not base64") from error


def _number(request: Mapping[str, Any], name: str, most: int) -> int:
    text = _asked(request, name)
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and int(text) <= most):
        raise _Refused(f"'{name}' is no number up to {most}")
    return int(text)


def _padding(request: Mapping[str, Any]) -> Padding:
    scheme: Any = _asked(request, "scheme")
    try:
        return Padding(scheme, _asked(request, "hash"), _asked(request, "mgf"), from_text(request.get("label", "")))
    except ValueError as error:
        raise _Refused("no such padding") from error


def _transported(request: Mapping[str, Any], opener: LocalOpener) -> bytes | None:
    ciphertext, padding, size = (
        _asked_bytes(request, "ciphertext"),
        _padding(request),
        _number(request, "size", KEY_SIZE_MOST),
    )
    try:
        return opener.transport(ciphertext, padding, size)
    except CannotOpen:
        return None


def _agreed(request: Mapping[str, Any], opener: LocalOpener) -> bytes | None:
    point = _asked_bytes(request, "point")
    try:
        return opener.agree(point)
    except CannotOpen:
        return None


def _shown(held: Held | None) -> dict[str, Any] | None:
    """The public half."""
    if held is None:
        return None
    chain = [to_text(each) for each in held.signer.chain]
    return {"key": held.key, "certificate": to_text(held.signer.certificate), "chain": chain}


def _openers(held: Sequence[HeldOpener], after: int) -> dict[str, Any]:
    """A frame's worth from number `after` on, and whether there are more."""
    shown = [{"key": each.key, "certificate": to_text(each.opener.certificate)} for each in held[after:][:OPENERS_MOST]]
    return {"openers": shown, "more": after + len(shown) < len(held)}


Release: TypeAlias = Callable[[str, str, str], None]
"""(event, key, letter): journalled before anything is handed out."""


def _sign(ring: KeyRing, request: Mapping[str, Any], release: Release) -> bytes:
    held = ring.by_key.get(_asked(request, "key"))
    if held is None:
        raise _Refused("no such key")
    digest, letter = _asked_bytes(request, "digest"), _asked(request, "letter")
    try:
        with meter.step("sign"):
            signature = held.signer.sign_digest(digest, _asked(request, "hash"), request.get("padding") == "pss")
    except ValueError as error:
        raise _Refused("digest, hash, padding and key do not fit, or are not allowed") from error
    release(SIGNED, held.name, letter)
    return signature


def _unwrap(ring: KeyRing, request: Mapping[str, Any], release: Release) -> bytes:
    wrapped, letter = _asked_bytes(request, "wrapped"), _asked(request, "letter")
    for name, private in ring.body:
        try:
            key = unwrap_key(private, wrapped)
        except ValueError:
            continue  # sealed to another of our body keys, or to none: said below
        release(UNSEALED, name, letter)
        return key
    raise _Refused("the wrapped key opens with no body key")


def _rewrap(ring: KeyRing, request: Mapping[str, Any], release: Release) -> list[str | None]:
    """Keys wrapped again to the body key in use; the keys themselves stay here."""
    asked = request.get("wrapped")
    if not isinstance(asked, list) or len(asked) > REWRAPPED_MOST:
        raise _Refused(f"'wrapped' is no list of up to {REWRAPPED_MOST}")
    told = [ring.rewrapped(each) for each in asked]
    release(REWRAPPED, ring.body[0][0], f"rotation of {len(told)}")
    return told


def _open_with_key(ring: KeyRing, ask: str, request: Mapping[str, Any], release: Release) -> str | None:
    """None: it does not open. That is journalled like an opening: which it was, the journal does not tell.

    RFC 3218 §2.3.2: with PKCS #1 v1.5 there is always an answer of the size asked for (certs.openers).
    """
    held = ring.opener_by_key.get(_asked(request, "key"))
    if held is None:
        raise _Refused("no such key")
    letter = _asked(request, "letter")
    opened = _transported(request, held.opener) if ask == "transport" else _agreed(request, held.opener)
    release(OPENED, held.name, letter)
    return None if opened is None else to_text(opened)


def _now() -> datetime:
    return datetime.now(UTC)


class Keeper:
    """The keys, and who may use them."""

    def __init__(
        self,
        folder: Path | Mapping[str, Path],
        socket_path: Path,
        uids: frozenset[int],
        journal: Journal,
        clock: Clock = _now,
    ) -> None:
        """Reads the keys. `folder`: where they lie, or where by tenant. Raises ValueError or OSError where one cannot
        be used."""
        self._clock = clock
        self._folders = {ALONE: folder} if isinstance(folder, Path) else dict(folder)
        self._socket_path = socket_path
        self._uids = uids
        self._journal = journal
        self._rings = {tenant: KeyRing.load(each) for tenant, each in self._folders.items()}
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def reload(self) -> bool:
        """Reads the keys again; on a fault the held ones stay in use, and the log says why."""
        read = [self._reload(tenant) for tenant in self._folders]  # none waits for another's fault
        return all(read)

    def _reload(self, tenant: str) -> bool:
        told = {"tenant": tenant} if tenant else {}
        try:
            ring = KeyRing.load(self._folders[tenant])
        except (OSError, ValueError) as error:
            _log.error("keys-not-read", reason=str(error), **told)
            return False
        self._rings[tenant] = ring
        _log.info("keys-read", mailboxes=len(ring.mailboxes), seals=len(ring.seals), **told)
        return True

    # --- what is answered ---

    def answer(self, request: Mapping[str, Any], uid: int) -> dict[str, Any]:
        """One request's answer. A surprise is told to the log by its type and answered as 'down'."""
        ask = request.get("ask")
        try:
            return {"ok": self._answer(ask, request, uid)}
        except _Refused as refusal:
            _log.warning("key-refused", ask=str(ask)[:16], uid=uid, reason=str(refusal))
            return {"refused": str(refusal)}
        except Exception as error:  # whatever a journal or a library throws: nothing is released, the asker tries again
            _log.error("keeper-surprise", ask=str(ask)[:16], uid=uid, type=type(error).__name__)
            return {"down": "the release could not be made"}

    def _answer(self, ask: object, request: Mapping[str, Any], uid: int) -> Any:
        if ask == "ping":
            return "pong"
        tenant = request.get("tenant", ALONE)
        ring, release = ring_of(self._rings, tenant), partial(self._release, tenant, uid)
        match ask:
            case "mailbox":
                return _shown(ring.mailbox(_asked(request, "address"), self._clock()))
            case "seal":
                return _shown(ring.seal(_asked(request, "domain"), self._clock()))
            case "openers":
                return _openers(ring.opens(_asked(request, "address")), _number(request, "after", MOST_KEYS))
            case "sign":
                return to_text(_sign(ring, request, release))
            case "unwrap":
                return to_text(_unwrap(ring, request, release))
            case "body":
                return to_text(ring.body_public)
            case "rewrap":
                return _rewrap(ring, request, release)
            case "transport" | "agree":
                return _open_with_key(ring, str(ask), request, release)
        raise _Refused("no such request")

    def _release(self, tenant: str, uid: int, event: str, key: str, letter: str) -> None:
        """In the journal first: what is not written there is not handed out."""
        whose = {"tenant": tenant} if tenant else {}
        self._journal(event, {"key": key, "letter": letter, "uid": str(uid), **whose})
        _log.info(event, key=key, letter=letter, uid=uid, **whose)

    # --- the socket ---

    def serve(self, stop: threading.Event, ready: Callable[[], None] | None = None) -> None:
        """Answers until `stop`; `ready` is called once it listens. Raises OSError where it cannot listen."""
        with self._listen() as listener:
            if ready is not None:
                ready()
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                self._admit(connection)
        self._socket_path.unlink(missing_ok=True)
        self._end_all()

    def _listen(self) -> socket.socket:
        """Who may connect is decided by uid:

        the socket itself is open to the allowed users, whoever they are.
        """
        if _answers(self._socket_path):
            raise OSError(errno.EADDRINUSE, "another keeper serves this socket", str(self._socket_path))
        self._socket_path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(self._socket_path))
            os.chmod(self._socket_path, 0o600 if self._uids <= {os.geteuid()} else 0o666)
            listener.listen(128)
            listener.settimeout(0.2)
        except BaseException:
            listener.close()
            raise
        return listener

    def _admit(self, connection: socket.socket) -> None:
        uid = peer_uid(connection)
        if uid not in self._uids:
            _log.warning("key-refused", uid=uid, reason="this user may not ask")
        elif not self._places.acquire(blocking=False):
            _log.warning("key-refused", uid=uid, reason="too many connections")
        else:
            threading.Thread(target=self._converse, args=(connection, uid), daemon=True).start()
            return
        connection.close()

    def _converse(self, connection: socket.socket, uid: int) -> None:
        with self._lock:
            self._open.add(connection)
        try:
            connection.settimeout(IDLE_S)
            while (request := receive_frame(connection)) is not None:
                send_frame(connection, self.answer(request, uid))
        except (FrameTooLarge, ValueError) as error:
            self._refuse_frame(connection, uid, error)
        except OSError:
            pass  # gone or silent: the client connects again when it needs us
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()
            self._places.release()

    def _refuse_frame(self, connection: socket.socket, uid: int, error: ValueError) -> None:
        """After a frame that is no request nothing that follows can be trusted to be one: say so, and end."""
        too_large = isinstance(error, FrameTooLarge)
        reason = "the request is too large" if too_large else "the request is not understood"
        _log.warning("key-refused", uid=uid, reason=reason)
        try:
            send_frame(connection, {"refused": reason})
        except OSError:
            _log.info("keeper-client-gone", uid=uid)

    def _end_all(self) -> None:
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # it ended by itself


def _answers(path: Path) -> bool:
    """Whether somebody listens there; a socket left by a killed process does not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


def peer_uid(connection: socket.socket) -> int:
    """The user of the process at the other end, as the kernel says (unix(7), SO_PEERCRED)."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(raw)[1])


def run(keeper: Keeper, stop: threading.Event, ready: Callable[[], None] | None = None) -> None:
    """The keeper's process, in its main thread: SIGHUP reads the keys again, SIGTERM and SIGINT end it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # keys never reach a core file
    if os.geteuid() == 0:
        _log.warning("keeper-is-root", advice="run the keeper as a user of its own")
    signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=keeper.reload).start())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    keeper.serve(stop, ready)
