"""Who holds a private key, and how to ask it: a local signer, the client of the keeper, and the wrapping of
body keys.

Promises: a signer answers a signature over a digest and shows its certificate, wherever its key lies; a
keeper that cannot be reached is KeeperDown (try again), one that says no is KeeperRefused (asking again is
useless). A client is safe to share between threads. Does not: choose what to sign, build a signature format
(cms, xml), or keep any key of the keeper's.

On the keeper's wire (certs/frames.py): a JSON object of strings; one request, one answer,
on kept connections. Requests {"ask": "ping"}, {"ask": "mailbox", "address"}, {"ask": "seal", "domain"},
{"ask": "sign", "key", "digest", "hash", "letter"} perhaps with "padding": "pss", {"ask": "unwrap", "wrapped",
"letter"}, {"ask": "openers", "address", "after"}, {"ask": "transport", "key", "ciphertext", "scheme", "hash", "mgf",
"label", "size", "letter"}, {"ask": "agree", "key", "point", "letter"}; bytes in base64. Each but "ping" names "tenant"
where several share the keeper: it meets that one's keys alone.
Answers {"ok": …}, {"refused": words} or {"down": words}.
"""

from __future__ import annotations

import base64
import copy
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from certs import frames, keyfiles
from certs.algorithms import pss_padding
from certs.frames import FrameTooLarge
from certs.keyfiles import Pair
from certs.openers import CannotOpen, Padding
from certs.strength import HASHES

SigningKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

SEAL_LOCAL_PART = "domain-signing-authority"
"""RFC 3183 §3.1: the mailbox name of a domain's signing authority."""


class KeeperDown(Exception):
    """The keeper could not be reached, or could not journal the release:

    nothing was released; ask again later.
    """


class KeeperRefused(ValueError):
    """The keeper says no and would say so again. The text holds no key and no content."""


# --- signers -----------------------------------------------------------------------------------------------


class Signer(Protocol):
    """A certificate with the use of its private key."""

    @property
    def certificate(self) -> bytes:
        """DER."""
        ...

    @property
    def chain(self) -> tuple[bytes, ...]:
        """Issuers in DER, nearest first, usually without the anchor."""
        ...

    def sign_digest(self, digest: bytes, hash_name: str, pss: bool = False) -> bytes:
        """RSA PKCS #1 v1.5 or PSS (RFC 8017 §8) or ECDSA in DER (RFC 3279 §2.2.3). `hash_name`: a key of HASHES.

        Raises ValueError where hash, digest, padding and key do not fit, KeeperDown where the key cannot be reached.
        """
        ...


@dataclass(frozen=True)
class LocalSigner:
    """A signer whose key is in this process: the keeper's own, and those of tests and the demo."""

    certificate: bytes
    chain: tuple[bytes, ...]
    key: SigningKey = field(repr=False)

    def sign_digest(self, digest: bytes, hash_name: str, pss: bool = False) -> bytes:
        algorithm = HASHES.get(hash_name)
        if algorithm is None or len(digest) != algorithm.digest_size:
            raise ValueError("no such hash, or a digest of another size")
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(digest, pss_padding(hash_name) if pss else padding.PKCS1v15(), Prehashed(algorithm))
        if pss:
            raise ValueError("PSS is a padding of RSA")
        return self.key.sign(digest, ec.ECDSA(Prehashed(algorithm)))


def load_signer(chain_pem: Path, key_pem: Path) -> LocalSigner:
    """A signer from a PEM chain (its own certificate first) and its key (certs.keyfiles).

    Raises ValueError naming the file that cannot be used, OSError where it cannot be read.
    """
    return signer_of(keyfiles.from_pem(chain_pem, key_pem), key_pem.name)


def signer_of(pair: Pair, name: str) -> LocalSigner:
    """The same from what was read. Raises ValueError, with `name`, where the key signs nothing that we send."""
    if not isinstance(pair.key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ValueError(f"{name} holds a key that is neither RSA nor EC")
    return LocalSigner(pair.der, pair.chain, pair.key)


# --- body keys ---------------------------------------------------------------------------------------------

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_INFO = b"pli body key 1"
WRAPPED_SIZE = 80
"""Bytes of a wrapped 32-byte key: encapsulated key 32, ciphertext 32, tag 16."""


def wrap_key(public_key: bytes, key: bytes) -> bytes:
    """Seals a key to a raw X25519 public key (HPKE base mode, RFC 9180 §6.1).

    Raises ValueError on a bad public key.
    """
    return bytes(_SUITE.encrypt(key, X25519PublicKey.from_public_bytes(public_key), _INFO))


def unwrap_key(private_key: X25519PrivateKey, wrapped: bytes) -> bytes:
    """The key that was sealed. Raises ValueError if `wrapped` was not sealed to this key, or was altered."""
    try:
        return bytes(_SUITE.decrypt(wrapped, private_key, _INFO))
    except (InvalidTag, ValueError) as error:
        raise ValueError("the wrapped key does not open with this body key") from error


# --- the keeper's wire -------------------------------------------------------------------------------------

MAX_FRAME = 64 * 1024
"""Bytes of one request or answer: a certificate chain is the largest."""


def frame(value: dict[str, Any]) -> bytes:
    """The bytes on the wire. Raises FrameTooLarge."""
    return frames.encode(value, MAX_FRAME)


def send_frame(connection: socket.socket, value: dict[str, Any]) -> None:
    """Raises FrameTooLarge, before a byte is sent, or OSError."""
    connection.sendall(frame(value))


def receive_frame(connection: socket.socket) -> dict[str, Any] | None:
    """The next frame, as frames.receive gives it."""
    return frames.receive(connection, MAX_FRAME)


def to_text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def from_text(text: object) -> bytes:
    """Raises ValueError on anything but base64."""
    if not isinstance(text, str):
        raise ValueError("not base64")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:  # binascii.Error is one; a character outside ASCII another
        raise ValueError("not base64") from error


# --- the client --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class KeeperSigner:
    """A signer whose key stays with the keeper; each signature is released for one letter."""

    certificate: bytes
    chain: tuple[bytes, ...]
    key: str
    """The key's name for the keeper:

    SHA-256 of the certificate, so that a changed key is never used unnoticed.
    """
    letter_id: str
    ask: Callable[[dict[str, Any]], Any] = field(repr=False)

    def sign_digest(self, digest: bytes, hash_name: str, pss: bool = False) -> bytes:
        request = {
            "ask": "sign",
            "key": self.key,
            "digest": to_text(digest),
            "hash": hash_name,
            "letter": self.letter_id,
        }
        return from_text(self.ask(request | ({"padding": "pss"} if pss else {})))


@dataclass(frozen=True)
class KeeperOpener:
    """An opener whose key stays with the keeper; each opening is released for one letter."""

    certificate: bytes
    key: str
    """As KeeperSigner.key."""
    letter_id: str
    ask: Callable[[dict[str, Any]], Any] = field(repr=False)

    def transport(self, ciphertext: bytes, padding: Padding, size: int) -> bytes:
        said = {"scheme": padding.scheme, "hash": padding.hash_name, "mgf": padding.mgf_hash, "size": str(size)}
        given = {"ciphertext": to_text(ciphertext), "label": to_text(padding.label)}
        return self._opened({"ask": "transport"} | said | given)

    def agree(self, point: bytes) -> bytes:
        return self._opened({"ask": "agree", "point": to_text(point)})

    def _opened(self, request: dict[str, Any]) -> bytes:
        """The answer for what does not open is no text: it is no refusal, and says nothing."""
        answer = self.ask(request | {"key": self.key, "letter": self.letter_id})
        if answer is None:
            raise CannotOpen
        return from_text(answer)


class KeeperClient:
    """Asks the keeper over its Unix socket. Connections are kept, one request at a time on each."""

    KEPT = 8

    def __init__(self, socket_path: Path, timeout: float = 10.0, tenant: str = "") -> None:
        """`timeout`: seconds for one answer. `tenant`: whose keys are asked for in all that this client does."""
        self._whose = {"tenant": tenant} if tenant else {}
        self._path = str(socket_path)
        self._timeout = timeout
        self._idle: list[socket.socket] = []
        self._lock = threading.Lock()

    def of(self, tenant: str) -> KeeperClient:
        """The same connections, for the keys of one tenant."""
        other = copy.copy(self)
        other._whose = {"tenant": tenant}
        return other

    def ping(self) -> None:
        """Raises KeeperDown unless the keeper answers."""
        self._ask({"ask": "ping"})

    def signer_for(self, address: str, letter_id: str) -> KeeperSigner | None:
        """The key of the mailbox `address`, else the seal of its domain, else None. Raises KeeperDown."""
        mailbox = self._signer({"ask": "mailbox", "address": address}, letter_id)
        return mailbox or self.seal_for(address.rpartition("@")[2], letter_id)

    def seal_for(self, domain: str, letter_id: str = "") -> KeeperSigner | None:
        """The establishment's seal for a mail domain, or None. Raises KeeperDown."""
        return self._signer({"ask": "seal", "domain": domain}, letter_id)

    def openers_for(self, addresses: Sequence[str], letter_id: str) -> tuple[KeeperOpener, ...]:
        """Who opens what was encrypted to these mailboxes: the newest certificate of each first, expired ones too.

        Raises KeeperDown.
        """
        found: dict[str, KeeperOpener] = {}
        for address in dict.fromkeys(addresses):
            for shown in self._openers(address):
                opener = KeeperOpener(from_text(shown["certificate"]), shown["key"], letter_id, self._ask)
                found.setdefault(opener.key, opener)
        return tuple(found.values())

    def _openers(self, address: str) -> Iterator[dict[str, Any]]:
        """As many as one answer holds, then those after them."""
        after, more = 0, bool(address)
        while more:
            answer = self._ask({"ask": "openers", "address": address, "after": str(after)})
            yield from answer["openers"]
            after, more = after + len(answer["openers"]), answer["more"]

    def unwrap(self, wrapped: bytes, letter_id: str) -> bytes:
        """The body key in `wrapped`, released for one letter. Raises KeeperDown, KeeperRefused."""
        return from_text(self._ask({"ask": "unwrap", "wrapped": to_text(wrapped), "letter": letter_id}))

    def body_key(self) -> bytes:
        """The public half of the body key in use. Raises KeeperDown, KeeperRefused."""
        return from_text(self._ask({"ask": "body"}))

    def rewrap(self, wrapped: Sequence[bytes]) -> list[bytes | None]:
        """The same keys wrapped to the body key in use, up to 256; None for one that opens with no body key. Raises
        KeeperDown, KeeperRefused."""
        told = self._ask({"ask": "rewrap", "wrapped": [to_text(each) for each in wrapped]})
        return [None if each is None else from_text(each) for each in told]

    def close(self) -> None:
        with self._lock:
            idle = list(self._idle)
            self._idle.clear()
        for connection in idle:
            connection.close()

    def _signer(self, request: dict[str, Any], letter_id: str) -> KeeperSigner | None:
        found = self._ask(request)
        if found is None:
            return None
        chain = tuple(from_text(each) for each in found["chain"])
        return KeeperSigner(from_text(found["certificate"]), chain, found["key"], letter_id, self._ask)

    def _ask(self, request: dict[str, Any]) -> Any:
        try:
            data = frame(request | self._whose)
        except FrameTooLarge as error:
            raise KeeperRefused("the request is too large") from error
        answer = self._exchange(data)
        if "ok" in answer:
            return answer["ok"]
        if "refused" in answer:
            raise KeeperRefused(str(answer["refused"]))
        raise KeeperDown(str(answer.get("down", "the keeper's answer is not understood")))

    def _exchange(self, request: bytes) -> dict[str, Any]:
        """On a kept connection first: the keeper may have ended it meanwhile, and then a new one is tried.

        Asking twice is harmless: a release changes nothing but the journal.
        """
        kept = self._take()
        if kept is not None:
            try:
                return self._talk(kept, request)
            except TimeoutError as error:
                raise KeeperDown("the keeper does not answer") from error
            except (OSError, ValueError):
                pass  # not lost: asked again below, where a failure is told
        try:
            return self._talk(self._connect(), request)
        except (OSError, ValueError) as error:
            raise KeeperDown(f"the keeper cannot be reached: {type(error).__name__}") from error

    def _talk(self, connection: socket.socket, request: bytes) -> dict[str, Any]:
        try:
            connection.sendall(request)
            answer = receive_frame(connection)
            if answer is None:
                raise ConnectionError("ended without an answer")
        except BaseException:
            connection.close()
            raise
        self._keep(connection)
        return answer

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self._timeout)
            connection.connect(self._path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _take(self) -> socket.socket | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _keep(self, connection: socket.socket) -> None:
        with self._lock:
            if len(self._idle) < self.KEPT:
                self._idle.append(connection)
                return
        connection.close()
