"""Private keys and their certificates as they lie in files: PKCS #8 in PEM or DER, encrypted or not, and PKCS #12.

Promises: a file that cannot be used is one sentence that names it and says what to do, and repeats nothing of it; the
passphrase of NAME.key or NAME.p12 lies in NAME.pass, which nobody else may read; a key is that of its certificate.
Does not: choose what a key is used for, nor keep anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
    pkcs12,
)

from certs.identities import UNREADABLE

PASSPHRASE = ".pass"  # noqa: S105 (an ending, not a passphrase)
MOST_BYTES = 256 * 1024
"""Of one file: a chain of ten certificates with a key is a tenth of it."""
_SEALED = (b"ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED")


@dataclass(frozen=True)
class Pair:
    """A certificate with its private key, of whatever kind, and its issuers, nearest first (DER)."""

    certificate: x509.Certificate
    chain: tuple[bytes, ...]
    key: Any = field(repr=False)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def pairs(folder: Path) -> tuple[tuple[str, Pair], ...]:
    """(NAME, pair) of each NAME.pem with its NAME.key and each NAME.p12, by name; none where there is no folder.

    Raises ValueError naming the file that cannot be used, OSError where one cannot be read.
    """
    files = sorted((*folder.glob("*.pem"), *folder.glob("*.p12")))
    twice = [each for each in files if each.suffix == ".p12" and each.with_suffix(".pem") in files]
    if twice:
        raise ValueError(f"{twice[0].name} and {twice[0].stem}.pem have one name: keep one of them")
    return tuple((each.stem, pair(each)) for each in files)


def pair(file: Path) -> Pair:
    """The pair of NAME.pem, with NAME.key beside it, or of NAME.p12. Raises ValueError, OSError."""
    return from_pkcs12(file) if file.suffix == ".p12" else from_pem(file, file.with_suffix(".key"))


def from_pem(chain: Path, key_file: Path) -> Pair:
    """From a PEM chain (its own certificate first) and its key. Raises ValueError, OSError."""
    certificates, key = certificates_of(chain), private_key(key_file)
    if not belongs(key, certificates[0]):
        raise ValueError(f"{key_file.name} is not the key of the first certificate of {chain.name}")
    return Pair(certificates[0], _ders(certificates[1:]), key)


def from_pkcs12(file: Path) -> Pair:
    """From a PKCS #12 file (RFC 7292). Raises ValueError, OSError."""
    said = passphrase(file)
    try:
        key, certificate, others = pkcs12.load_key_and_certificates(_bytes(file), said)
    except (*UNREADABLE, UnsupportedAlgorithm) as error:
        raise ValueError(_closed(file, said)) from error
    if key is None or certificate is None:
        raise ValueError(f"{file.name} holds no private key with its certificate")
    if not belongs(key, certificate):
        raise ValueError(f"the key in {file.name} is not that of its certificate")
    return Pair(certificate, _ders(_above(certificate, others)), key)


def _closed(file: Path, said: bytes | None) -> str:
    """The library does not tell a wrong passphrase from a broken file, nor do we."""
    named = file.with_suffix(PASSPHRASE).name
    if said is None:
        return f"{file.name} does not open without a passphrase: put it into {named}, mode 600, or replace the file"
    return f"{file.name} does not open with the passphrase in {named}, or is no PKCS #12 file"


def certificates_of(file: Path) -> tuple[x509.Certificate, ...]:
    """All certificates of a PEM file, at least one. Raises ValueError, OSError."""
    try:
        found = tuple(x509.load_pem_x509_certificates(_bytes(file)))
    except UNREADABLE as error:
        raise ValueError(f"{file.name} holds no readable certificates") from error
    return found


def private_key(file: Path) -> Any:
    """A private key of the cryptography library, of whatever kind (RFC 5208, RFC 5915). Raises ValueError, OSError."""
    data, said = _bytes(file), passphrase(file)
    pem = b"-----BEGIN " in data
    if said is None and pem and any(each in data for each in _SEALED):
        raise ValueError(_passphrase_wanted(file))
    try:
        return (load_pem_private_key if pem else load_der_private_key)(data, said)
    except TypeError as error:  # a passphrase is missing, or one too many
        raise ValueError(_passphrase_wanted(file) if said is None else _not_encrypted(file)) from error
    except (*UNREADABLE, UnsupportedAlgorithm) as error:
        raise ValueError(_unread(file, said)) from error


def _passphrase_wanted(file: Path) -> str:
    return f"{file.name} is encrypted: put its passphrase into {file.with_suffix(PASSPHRASE).name}, mode 600"


def _not_encrypted(file: Path) -> str:
    return f"{file.name} is not encrypted: take {file.with_suffix(PASSPHRASE).name} away, or encrypt it"


def _unread(file: Path, said: bytes | None) -> str:
    if said is None:
        return f"{file.name} holds no readable private key"
    named = file.with_suffix(PASSPHRASE).name
    return f"{file.name} holds no readable private key, or {named} is not its passphrase"


def passphrase(file: Path) -> bytes | None:
    """What NAME.pass beside a file holds, but for its line end; None without one. Raises ValueError, OSError."""
    beside = file.with_suffix(PASSPHRASE)
    try:
        mode = beside.stat().st_mode
    except FileNotFoundError:
        return None
    if mode & 0o077:
        raise ValueError(f"{beside.name} is open to others: chmod 600 {beside.name}")
    found = _bytes(beside).rstrip(b"\r\n")
    if not found:
        raise ValueError(f"{beside.name} is empty")
    return found


def belongs(key: Any, certificate: x509.Certificate) -> bool:
    """Whether the private key is the certificate's."""
    try:
        return _spki(certificate.public_key()) == _spki(key.public_key())
    except UNREADABLE:
        return False


def _bytes(file: Path) -> bytes:
    with file.open("rb") as opened:
        data = opened.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"{file.name} is larger than a key or a chain can be")
    return data


def _above(certificate: x509.Certificate, others: Iterable[x509.Certificate]) -> Sequence[x509.Certificate]:
    """Issuers by name, nearest first, without the root: PKCS #12 keeps them in no order."""
    by_subject = {each.subject: each for each in others if each.subject != each.issuer}
    chain: list[x509.Certificate] = []
    while (above := by_subject.pop(certificate.issuer, None)) is not None:
        chain.append(above)
        certificate = above
    return chain


def _ders(certificates: Iterable[x509.Certificate]) -> tuple[bytes, ...]:
    return tuple(each.public_bytes(Encoding.DER) for each in certificates)


def _spki(key: Any) -> bytes:
    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
