"""Signatures and envelopes, measured: a letter of 200 kB, three kinds of key, one thread and two.

Two peers, by turns with ours in every round; medians count. `bare` is what nobody can do without, in the cryptography
library: the digest or the cipher, and the key operation. `libcrypto` is OpenSSL's own CMS in this process (see
libcrypto.py), which is another OpenSSL than the one inside the cryptography library: how fast the same key operation is
in each is measured beside. On both sides of `verify` chain and CRLs are checked; ours remembers a chain that it found
good, and asks the lists anew (`verify_anew` is without memory). Ratio: our speed over the peer's; above 1 we are ahead.
Nothing here is asserted anywhere.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs import cms, envelope, profiles
from certs.chain import TrustStore
from certs.envelope import Opened
from certs.model import Trusted
from certs.openers import LocalOpener
from certs.throwaway import Issued, Pki, Shape
from tests.bench import libcrypto, serials

SIZE = 200_000
KEYS = {"rsa2048": ("rsa", 2048), "rsa3072": ("rsa", 3072), "p256": ("p256", 0)}
STEPS = ("sign", "verify", "encrypt", "decrypt")
_OAEP = padding.OAEP(padding.MGF1(SHA256()), SHA256(), None)
_PREHASHED = Prehashed(SHA256())

Work = Callable[[], object]


def bench(arguments: list[str]) -> dict[str, Any]:
    """Runs it and answers ratios, figures and conditions. Raises where one side does not read the other's."""
    asked = _asked(arguments)
    now = datetime.now(UTC)
    pki = Pki.create(now)
    trusted = _Trusted.of(pki, now)
    courses = [course for name in KEYS for course in _courses(_Person.made(pki, name), trusted, now)]
    speeds = _measured(courses, asked)
    return {
        "peer": "bare: digest or cipher and key operation (cryptography); libcrypto: OpenSSL's CMS in process",
        "ratios": _ratios(speeds),
        "figures": {name: round(statistics.median(found), 1) for name, found in speeds.items()} | serials.figures(),
        "conditions": _conditions(asked),
    }


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench cms")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2, help="of each side's work in each round")
    return parser.parse_args(arguments)


def _conditions(asked: argparse.Namespace) -> dict[str, Any]:
    return {
        "bytes": SIZE,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "rounds": asked.rounds,
        "seconds_each": asked.seconds,
        "openssl_of_cryptography": backend.openssl_version_text(),
        "openssl_of_system": libcrypto.version(),
        "speed": "one thread: per second of its CPU time; two: per second of the clock",
        "ratios": "one thread, _t2 two; without a key in their name of rsa2048, the key of IGC-Santé",
        "key_speed": "key operation alone: cryptography's OpenSSL over the system's",
        "memory": "verify: our store remembers a path found good and asks the lists anew; verify_anew has no memory",
        "envelope": "AES-256-GCM; OAEP with SHA-256 for RSA; ECDH with each side's own derivation for P-256",
    }


# --- who and what -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Trusted:
    """The same anchors, intermediates and lists on both sides."""

    ours: TrustStore
    theirs: Any

    @staticmethod
    def of(pki: Pki, now: datetime) -> _Trusted:
        with tempfile.TemporaryDirectory(prefix="pli-b-") as folder:
            pki.write_trust(Path(folder), now)
            ours = TrustStore.load(Path(folder))
        return _Trusted(
            ours, libcrypto.store([pki.root.der], [each.listing.public_bytes(Encoding.DER) for each in ours.crls])
        )


@dataclass(frozen=True)
class _Person:
    """Somebody who signs and opens with a key of one kind."""

    name: str
    issued: Issued
    reader: Issued
    signs: libcrypto.Party
    opens: libcrypto.Party

    @staticmethod
    def made(pki: Pki, name: str) -> _Person:
        kind, bits = KEYS[name]
        issued = _issued(pki, name, kind, bits, frozenset({"digital_signature", "content_commitment"}))
        reader = _issued(pki, name, kind, bits, frozenset({"key_encipherment", "key_agreement"}))
        return _Person(name, issued, reader, _party(issued), _party(reader))


def _issued(pki: Pki, name: str, kind: str, bits: int, usage: frozenset[str]) -> Issued:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"BENCH {name}")])
    names = (x509.RFC822Name("bench@hopital-a.mssante.fr"),)
    eku = (x509.ExtendedKeyUsageOID.EMAIL_PROTECTION,)
    return pki.issue(subject, Shape(usage=usage, eku=eku, names=names, key=kind, bits=bits or 2048))


def _party(issued: Issued) -> libcrypto.Party:
    key = issued.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return libcrypto.Party.of(issued.der, key, issued.chain, rsa=isinstance(issued.key, rsa.RSAPrivateKey))


@dataclass(frozen=True)
class _Course:
    """One work, done by each side."""

    name: str
    key: str
    sides: dict[str, Work]


def _courses(person: _Person, trusted: _Trusted, now: datetime) -> Iterator[_Course]:
    content = (b"Bonjour, voici le compte rendu de consultation.\r\n" * (SIZE // 40))[:SIZE]
    signed, closed = cms.sign(content, person.issued.signer(), now), envelope.encrypt(content, [person.reader.der])
    their_signed = libcrypto.sign(content, person.signs)
    their_closed = libcrypto.encrypt(content, person.opens)
    opener = LocalOpener(person.reader.der, person.reader.key)
    libcrypto.verify(signed, content, trusted.theirs)
    _trusted(trusted.ours, their_signed, content, now)
    assert libcrypto.decrypt(closed, person.opens) == _opened(their_closed, opener) == content
    signer, bare = person.issued.signer(), _Bare(person, content)
    yield _Course(
        "sign",
        person.name,
        {
            "ours": lambda: cms.sign(content, signer, now),
            "libcrypto": lambda: libcrypto.sign(content, person.signs),
            "bare": bare.sign,
        },
    )
    yield _Course(
        "verify",
        person.name,
        {
            "ours": lambda: _trusted(trusted.ours, signed, content, now),
            "anew": lambda: _trusted(replace(trusted.ours), signed, content, now),
            "libcrypto": lambda: libcrypto.verify(signed, content, trusted.theirs),
            "bare": bare.verify,
        },
    )
    yield _Course(
        "encrypt",
        person.name,
        {
            "ours": lambda: envelope.encrypt(content, [person.reader.der]),
            "libcrypto": lambda: libcrypto.encrypt(content, person.opens),
            "bare": bare.encrypt,
        },
    )
    yield _Course(
        "decrypt",
        person.name,
        {
            "ours": lambda: _opened(closed, opener),
            "libcrypto": lambda: libcrypto.decrypt(closed, person.opens),
            "bare": bare.decrypt,
        },
    )
    digest = hashlib.sha256(content).digest()
    yield _Course(
        "key",
        person.name,
        {"ours": lambda: bare.key(digest), "libcrypto": lambda: libcrypto.sign_digest(digest, person.signs)},
    )


def _trusted(store: TrustStore, signed: bytes, content: bytes, now: datetime) -> None:
    proof = cms.verify(signed, content, store, profiles.SMIME, now)
    assert isinstance(proof.trust, Trusted), proof.trust


def _opened(closed: bytes, opener: LocalOpener) -> bytes:
    answer = envelope.decrypt(closed, (opener,))
    assert isinstance(answer, Opened), answer
    return answer.content


class _Bare:
    """Digest or cipher, and key operation: no message, no chain, no list."""

    def __init__(self, person: _Person, content: bytes) -> None:
        self._content, self._signs, self._opens = content, person.issued.key, person.reader.key
        self._signature = self.sign()
        self._letter = self.encrypt()

    def key(self, digest: bytes) -> bytes:
        if isinstance(self._signs, rsa.RSAPrivateKey):
            return self._signs.sign(digest, padding.PKCS1v15(), _PREHASHED)
        return self._signs.sign(digest, ec.ECDSA(_PREHASHED))

    def sign(self) -> bytes:
        return self.key(hashlib.sha256(self._content).digest())

    def verify(self) -> None:
        digest, key = hashlib.sha256(self._content).digest(), self._signs.public_key()
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(self._signature, digest, padding.PKCS1v15(), _PREHASHED)
        else:
            key.verify(self._signature, digest, ec.ECDSA(_PREHASHED))

    def encrypt(self) -> tuple[bytes, Any, bytes]:
        secret, nonce, key = os.urandom(32), os.urandom(12), self._opens.public_key()
        if isinstance(key, rsa.RSAPublicKey):
            return key.encrypt(secret, _OAEP), nonce, AESGCM(secret).encrypt(nonce, self._content, None)
        ephemeral = ec.generate_private_key(key.curve)
        kek = X963KDF(SHA256(), 32, None).derive(ephemeral.exchange(ec.ECDH(), key))
        wrapped = aes_key_wrap(kek, secret), ephemeral.public_key()
        return wrapped, nonce, AESGCM(secret).encrypt(nonce, self._content, None)  # type: ignore[return-value]

    def decrypt(self) -> bytes:
        wrapped, nonce, encrypted = self._letter
        if isinstance(self._opens, rsa.RSAPrivateKey):
            return AESGCM(self._opens.decrypt(wrapped, _OAEP)).decrypt(nonce, encrypted, None)
        secret, point = wrapped
        kek = X963KDF(SHA256(), 32, None).derive(self._opens.exchange(ec.ECDH(), point))  # type: ignore[arg-type]
        return AESGCM(aes_key_unwrap(kek, secret)).decrypt(nonce, encrypted, None)  # type: ignore[arg-type]


# --- measured -----------------------------------------------------------------------------------------------


SLICE = 0.02
"""Seconds that one side works before it is the other's turn: what else the machine does meets all of them."""


def _measured(courses: Sequence[_Course], asked: argparse.Namespace) -> dict[str, list[float]]:
    """Times per second, by 'step_key_threads_side', one for each round."""
    speeds: dict[str, list[float]] = {}
    for number in range(asked.rounds):
        for course in courses:
            for threads in (1, 2):
                for side, speed in _by_turns(course.sides, threads, asked.seconds).items():
                    speeds.setdefault(f"{course.name}_{course.key}_t{threads}_{side}_per_s", []).append(speed)
        print(f"round {number + 1} of {asked.rounds}", file=sys.stderr, flush=True)
    return speeds


def _by_turns(sides: dict[str, Work], threads: int, seconds: float) -> dict[str, float]:
    """How often in a second each side does its work, all threads together; `seconds` for each side."""
    done, spent = dict.fromkeys(sides, 0), dict.fromkeys(sides, 0.0)
    for work in sides.values():
        work()  # nobody's first counts
    while min(spent.values()) < seconds:
        for side, work in sides.items():
            times, took = _turn(work, threads)
            done[side] += times
            spent[side] += took
    return {side: done[side] / spent[side] for side in sides}


def _turn(work: Work, threads: int) -> tuple[int, float]:
    """(how often, seconds) of one slice; each thread works until it is over, and once where it came late."""
    counts = [0] * threads
    # One thread is measured by the CPU that it gets: what others do on the machine is not in it. Two by the clock.
    clock = time.thread_time if threads == 1 else time.perf_counter
    begun = clock()
    over = time.perf_counter() + SLICE

    def run(place: int) -> None:
        while not counts[place] or time.perf_counter() < over:
            work()
            counts[place] += 1

    others = [threading.Thread(target=run, args=(place,)) for place in range(1, threads)]
    for each in others:
        each.start()
    run(0)
    for each in others:
        each.join()
    return sum(counts), clock() - begun


def _ratios(speeds: dict[str, list[float]]) -> dict[str, float]:
    found = {}
    for step in STEPS:
        for key in KEYS:
            for peer in ("libcrypto", "bare"):
                for threads, suffix in ((1, ""), (2, "_t2")):
                    start = f"{step}_{key}_t{threads}"
                    found[f"{step}_{key}_of_{peer}{suffix}"] = _ratio(speeds, f"{start}_ours", f"{start}_{peer}")
    headline = {f"{step}_of_libcrypto": found[f"{step}_rsa2048_of_libcrypto"] for step in STEPS}
    for key in KEYS:
        anew = _ratio(speeds, f"verify_{key}_t1_anew", f"verify_{key}_t1_libcrypto")
        headline[f"verify_anew_{key}_of_libcrypto"] = anew
        headline[f"key_speed_{key}"] = _ratio(speeds, f"key_{key}_t1_ours", f"key_{key}_t1_libcrypto")
    return headline | found


def _ratio(speeds: dict[str, list[float]], ours: str, peer: str) -> float:
    """The median of the rounds' ratios: both sides of one were measured one after the other."""
    pairs = zip(speeds[f"{ours}_per_s"], speeds[f"{peer}_per_s"], strict=True)
    return round(statistics.median(mine / other for mine, other in pairs), 3)
