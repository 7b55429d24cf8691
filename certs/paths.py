"""The way from a certificate up to an anchor: found and checked by OpenSSL, and remembered while it stays right.

Promises: a path holds for every moment of an interval in which no certificate that was at hand begins or ends, so
that a remembered path is the one which would be found again (RFC 5280 §6.1.3 (a)(2)). Memory is bounded and safe
between threads. OpenSSL checks signatures, validity, names, basic constraints, path length, the authorities' key
usage and name constraints. Does not: look at algorithms, profiles, policies, critical extensions (checks) or
revocation (revocation), nor at the clock.
"""

from __future__ import annotations

import calendar
import hashlib
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Generic, TypeAlias, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import crypto

from certs.model import CannotTell, Fault, Untrusted

MAX_REMEMBERED = 2048
"""Paths that one store remembers."""
MAX_REMEMBERED_BYTES = 16 * 1024 * 1024
"""And the certificates, in DER, of all of them: read, they take a few times as much."""

# OpenSSL's X509_V_ERR numbers (x509_vfy.h); what is not listed is a fault of the chain.
_FAULTS: dict[int, tuple[Fault, str]] = {
    **dict.fromkeys((2, 18, 19, 20, 21, 27), (Fault.UNKNOWN_ISSUER, "issuer")),
    **dict.fromkeys((4, 6, 7), (Fault.BAD_SIGNATURE, "signature")),
    **dict.fromkeys((9, 13), (Fault.NOT_YET_VALID, "validity")),
    **dict.fromkeys((10, 14), (Fault.EXPIRED, "validity")),
    **dict.fromkeys((24, 37, 79), (Fault.CHAIN, "basic-constraints")),
    25: (Fault.CHAIN, "path-length"),
    26: (Fault.WRONG_USAGE, "purpose"),
    32: (Fault.CHAIN, "authority-usage"),
    **dict.fromkeys(range(47, 54), (Fault.NAME_CONSTRAINT, "name-constraints")),
    **dict.fromkeys((66, 67), (Fault.WEAK_KEY, "key")),
    68: (Fault.WEAK_ALGORITHM, "hash"),
}

Chain = tuple[x509.Certificate, ...]
"""End certificate first, anchor last."""


@dataclass(frozen=True)
class Path:
    """A checked chain, and when it is right: from `begins` until before `ends`, seconds since 1970."""

    chain: Chain
    begins: int
    ends: int

    def holds(self, at: datetime) -> bool:
        return self.begins <= seconds(at) < self.ends


def seconds(at: datetime) -> int:
    """A moment as OpenSSL is told it: whole seconds, rounded down."""
    return calendar.timegm(at.utctimetuple())


_NEVER, _EVER = -(1 << 62), 1 << 62


class Finder:
    """Anchors and intermediates in OpenSSL's own form, made once."""

    def __init__(self, anchors: Sequence[x509.Certificate], intermediates: Sequence[x509.Certificate]) -> None:
        self._own = {der_of(each): each for each in (*anchors, *intermediates)}
        self._anchors = tuple(map(crypto.X509.from_cryptography, anchors))
        self._intermediates = tuple(map(crypto.X509.from_cryptography, intermediates))

    def find(self, leaf: x509.Certificate, hints: Sequence[x509.Certificate], at: datetime) -> Path | Untrusted:
        """The path of `leaf` at `at`, or why OpenSSL finds none. `hints` are never anchors."""
        # An OpenSSL store carries the moment, so each search has its own: cheap, and nothing is shared.
        store = crypto.X509Store()
        for anchor in self._anchors:
            store.add_cert(anchor)
        # Our own list of what we understand is narrower than OpenSSL's (checks.critical_extensions).
        store.set_flags(crypto.X509StoreFlags.IGNORE_CRITICAL)
        tell_moment(store, at)
        asked, others = _in_openssl(leaf), [*self._intermediates, *filter(None, map(_in_openssl, hints))]
        if asked is None:
            return Untrusted(Fault.UNREADABLE, "OpenSSL cannot read the certificate", check="readable")
        try:
            found = crypto.X509StoreContext(store, asked, others).get_verified_chain()
        except crypto.X509StoreContextError as error:
            return _refused(error)
        finally:
            forget_errors()
        return Path((leaf, *map(self._read, found[1:])), *self._interval((leaf, *hints), at))

    def _read(self, found: crypto.X509) -> x509.Certificate:
        """Ours where it is ours: what was read of its extensions is read once."""
        return self._own.get(crypto.dump_certificate(crypto.FILETYPE_ASN1, found)) or found.to_cryptography()

    def _interval(self, strangers: Iterable[x509.Certificate], at: datetime) -> tuple[int, int]:
        """Where OpenSSL cannot answer otherwise: it looks at nothing of time but the borders of certificates."""
        now = seconds(at)
        borders = (self._borders, _borders(strangers))
        begins = max(each[bisect_right(each, now) - 1] for each in borders)
        ends = min(each[bisect_right(each, now)] for each in borders)
        return begins, ends

    @cached_property
    def _borders(self) -> list[int]:
        return _borders(self._own.values())


def _in_openssl(certificate: x509.Certificate) -> crypto.X509 | None:
    """None where OpenSSL cannot read what another library, which reads names later, could."""
    try:
        return crypto.X509.from_cryptography(certificate)
    except crypto.Error:
        return None


def forget_errors() -> None:
    """pyOpenSSL leaves why it refused in OpenSSL's list for this thread, where the next failure of another function
    would be read as something else."""
    crypto._lib.ERR_clear_error()  # type: ignore[attr-defined]  # the library has no public way


def tell_moment(store: crypto.X509Store, at: datetime) -> None:
    """The check of validity (RFC 5280 §6.1.3 (a)(2)): OpenSSL compares each certificate's time with `at`."""
    store.set_time(at.astimezone(UTC))


def _borders(certificates: Iterable[x509.Certificate]) -> list[int]:
    """The seconds at which something may change, in order. notAfter itself is the last moment, or is not:

    OpenSSL's versions differ, so it is a border on both sides.
    """
    found = {_NEVER, _EVER}
    for certificate in certificates:
        last = seconds(certificate.not_valid_after_utc)
        found |= {seconds(certificate.not_valid_before_utc), last, last + 1}
    return sorted(found)


def _refused(error: crypto.X509StoreContextError) -> Untrusted:
    number, depth, text = error.errors
    fault, check = _FAULTS.get(number, (Fault.CHAIN, "path"))
    return Untrusted(fault, f"{text} (depth {depth})", check=check)


# --- memory ------------------------------------------------------------------------------------------------

Key: TypeAlias = tuple[bytes, Hashable]
Kept = TypeVar("Kept")


class Memory(Generic[Kept]):
    """The last answers, by what was asked; the one asked for longest ago is forgotten first."""

    def __init__(self, size: int = MAX_REMEMBERED, budget: int = MAX_REMEMBERED_BYTES) -> None:
        self._size, self._left = size, budget
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, tuple[Kept, int]] = OrderedDict()

    def get(self, key: Key) -> Kept | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def put(self, key: Key, value: Kept, weight: int) -> None:
        """`weight`: bytes, counted against the budget of all."""
        with self._lock:
            self._forget(key)
            self._kept[key] = (value, weight)
            self._left -= weight
            while self._kept and (len(self._kept) > self._size or self._left < 0):
                self._forget(next(iter(self._kept)))

    def _forget(self, key: Key) -> None:
        if key in self._kept:
            self._left += self._kept.pop(key)[1]

    def __len__(self) -> int:
        return len(self._kept)


def key_of(role: Hashable, *ders: bytes) -> Key:
    """What a judgement depends on besides its moment. Sizes are hashed too, so that borders cannot be moved."""
    digest = hashlib.sha256(b",".join(b"%d" % len(der) for der in ders))
    for der in ders:
        digest.update(der)
    return digest.digest(), role


def der_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


Answer = Untrusted | CannotTell
"""What is not trusted, or not known."""
