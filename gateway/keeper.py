"""The keeper: the one process that holds signing keys, seals and the body key, and releases their use, never
themselves.

Promises: only processes of the allowed users are answered (SO_PEERCRED, the kernel's word); each release
names one letter and is in the journal before it is answered, or it is not made; requests are answered side by
side. Keys are read at the start and again on SIGHUP; a folder that cannot be read then leaves the held keys
in use. A body key that was replaced still opens what was sealed to it. Does not: decide what is signed, keep
a database, listen on a network, log a key.

Its folder: mailbox/NAME.pem (chain, its own certificate first) with NAME.key, for rfc822Name addresses of
mailboxes; seal/NAME.pem with NAME.key, for domain-signing-authority@DOMAIN (RFC 3183 §3.1); body.key (X25519,
PEM), and body-*.key for those it replaced. The wire is described in certs/keys.py.
"""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certs import meter
from certs.chain import identity
from certs.chain import read as certificate
from certs.frames import FrameTooLarge
from certs.keys import (
    SEAL_LOCAL_PART,
    LocalSigner,
    from_text,
    load_signer,
    receive_frame,
    send_frame,
    to_text,
    unwrap_key,
)

Journal: TypeAlias = Callable[[str, dict[str, str]], None]
"""(event name, facts): keeps one event durably, or raises."""

SIGNED = "key-used"
UNSEALED = "unsealed"

MAX_CONNECTIONS = 256
IDLE_S = 300.0
"""Seconds after which a silent connection is ended; clients connect again by themselves."""
_CREDENTIALS = struct.Struct("3i")  # unix(7): pid, uid, gid
_log = structlog.get_logger(__name__)


# --- the keys ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Held:
    """One signing key with its name in the folder: what logs and journal call it."""

    name: str
    signer: LocalSigner = field(repr=False)

    @property
    def key(self) -> str:
        """What requests call it: SHA-256 of its certificate."""
        return hashlib.sha256(self.signer.certificate).hexdigest()


@dataclass(frozen=True)
class KeyRing:
    """All keys of the folder at one moment."""

    mailboxes: Mapping[str, Held]
    """By rfc822Name, its domain in lower case."""
    seals: Mapping[str, Held]
    """By mail domain."""
    by_key: Mapping[str, Held]
    body: tuple[tuple[str, X25519PrivateKey], ...] = field(repr=False)
    """(name, key), the one in use first."""

    @staticmethod
    def load(folder: Path) -> KeyRing:
        """Raises ValueError naming the file that cannot be used, OSError where one cannot be read."""
        mailboxes, seals = _signers(folder / "mailbox"), _signers(folder / "seal")
        files = (folder / "body.key", *sorted(folder.glob("body-*.key"), reverse=True))
        return KeyRing(
            mailboxes=dict(_by_address(mailboxes, _mailbox)),
            seals=dict(_by_address(seals, _sealed_domain)),
            by_key={held.key: held for held in (*mailboxes, *seals)},
            body=tuple((file.stem, _body_key(file)) for file in files),
        )


def _signers(folder: Path) -> list[Held]:
    """The one whose certificate ends last comes last:

    of two for one address, around a renewal, it is the one used.
    """
    return sorted(
        (
            Held(f"{folder.name}/{chain.stem}", load_signer(chain, chain.with_suffix(".key")))
            for chain in sorted(folder.glob("*.pem"))
        ),
        key=lambda held: certificate(held.signer.certificate).not_valid_after_utc,
    )


def _by_address(signers: Iterable[Held], named: Callable[[str, str], str | None]) -> Iterator[tuple[str, Held]]:
    """Each signer under what its certificate's addresses name; a signer that names nothing is a mistake."""
    for held in signers:
        addresses = identity(held.signer.certificate).addresses
        names = [named(*_parts(address)) for address in addresses]
        if not any(names):
            raise ValueError(f"the certificate of {held.name} names no address for this folder")
        yield from ((name, held) for name in names if name)


def _parts(address: str) -> tuple[str, str]:
    """RFC 5280 §7.5: the local part counts exactly, the domain without case."""
    local, _, domain = address.rpartition("@")
    return local, domain.lower()


def _mailbox(local: str, domain: str) -> str | None:
    return f"{local}@{domain}" if local and local != SEAL_LOCAL_PART else None


def _sealed_domain(local: str, domain: str) -> str | None:
    return domain if local == SEAL_LOCAL_PART else None


def _body_key(file: Path) -> X25519PrivateKey:
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{file.name} holds no readable private key") from error
    if not isinstance(key, X25519PrivateKey):
        raise ValueError(f"{file.name} holds a key that is not X25519")
    return key


# --- requests ----------------------------------------------------------------------------------------------


class _Refused(Exception):
    """The answer is no; the text goes to the asker and to the log."""


def _asked(request: Mapping[str, Any], name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str) or not value or len(value) > 32 * 1024:
        raise _Refused(f"'{name}' is missing or no text")
    return value


def _asked_bytes(request: Mapping[str, Any], name: str) -> bytes:
    try:
        return from_text(_asked(request, name))
    except ValueError as error:
        raise _Refused(f"'{name}' is not base64") from error


def _shown(held: Held | None) -> dict[str, Any] | None:
    """The public half."""
    if held is None:
        return None
    chain = [to_text(each) for each in held.signer.chain]
    return {"key": held.key, "certificate": to_text(held.signer.certificate), "chain": chain}


class Keeper:
    """The keys, and who may use them."""

    def __init__(self, folder: Path, socket_path: Path, uids: frozenset[int], journal: Journal) -> None:
        """Reads the keys. Raises ValueError or OSError where the folder cannot be used."""
        self._folder = folder
        self._socket_path = socket_path
        self._uids = uids
        self._journal = journal
        self._ring = KeyRing.load(folder)
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def reload(self) -> bool:
        """Reads the keys again; on a fault the held ones stay in use, and the log says why."""
        try:
            self._ring = KeyRing.load(self._folder)
        except (OSError, ValueError) as error:
            _log.error("keys-not-read", reason=str(error))
            return False
        _log.info("keys-read", mailboxes=len(self._ring.mailboxes), seals=len(self._ring.seals))
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
        match ask:
            case "ping":
                return "pong"
            case "mailbox":
                return _shown(self._ring.mailboxes.get("@".join(_parts(_asked(request, "address")))))
            case "seal":
                return _shown(self._ring.seals.get(_asked(request, "domain").lower()))
            case "sign":
                return to_text(self._sign(request, uid))
            case "unwrap":
                return to_text(self._unwrap(request, uid))
        raise _Refused("no such request")

    def _sign(self, request: Mapping[str, Any], uid: int) -> bytes:
        held = self._ring.by_key.get(_asked(request, "key"))
        if held is None:
            raise _Refused("no such key")
        digest, letter = _asked_bytes(request, "digest"), _asked(request, "letter")
        try:
            with meter.step("sign"):
                signature = held.signer.sign_digest(digest, _asked(request, "hash"), request.get("padding") == "pss")
        except ValueError as error:
            raise _Refused("digest, hash, padding and key do not fit, or are not allowed") from error
        self._release(SIGNED, held.name, letter, uid)
        return signature

    def _unwrap(self, request: Mapping[str, Any], uid: int) -> bytes:
        wrapped, letter = _asked_bytes(request, "wrapped"), _asked(request, "letter")
        for name, private in self._ring.body:
            try:
                key = unwrap_key(private, wrapped)
            except ValueError:
                continue  # sealed to another of our body keys, or to none: said below
            self._release(UNSEALED, name, letter, uid)
            return key
        raise _Refused("the wrapped key opens with no body key")

    def _release(self, event: str, key: str, letter: str, uid: int) -> None:
        """In the journal first: what is not written there is not handed out."""
        self._journal(event, {"key": key, "letter": letter, "uid": str(uid)})
        _log.info(event, key=key, letter=letter, uid=uid)

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
