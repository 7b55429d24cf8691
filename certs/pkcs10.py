"""Certificate requests (PKCS #10, RFC 2986) with subjects in the order of IGC-Santé's end certificates, and their keys.

Promises: the key is on disk, private and perhaps encrypted, before the request is; neither file replaces another; a
name that a certificate could not carry is a ValueError that says which. Does not: send the request, or keep the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID, ObjectIdentifier

from certs import disk

KeyKind: TypeAlias = Literal["rsa2048", "rsa3072", "rsa4096", "p256", "p384"]
KINDS: tuple[KeyKind, ...] = ("rsa2048", "rsa3072", "rsa4096", "p256", "p384")
_CURVES: dict[str, ec.EllipticCurve] = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1()}
_MOST: dict[ObjectIdentifier, int] = {  # RFC 5280 A.1, the upper bounds
    NameOID.STATE_OR_PROVINCE_NAME: 128,
    NameOID.ORGANIZATION_NAME: 64,
    NameOID.ORGANIZATIONAL_UNIT_NAME: 64,
    NameOID.COMMON_NAME: 64,
}


@dataclass(frozen=True)
class Wanted:
    """Whom the certificate shall name."""

    common_name: str
    organisation: str
    unit: str
    """Struct_IdNat of the structure: 1 + FINESS, 3 + SIRET."""
    department: str
    """Name and number, as in 'Paris (75)'."""
    country: str = "FR"
    addresses: tuple[str, ...] = ()
    """rfc822Name; for a seal domain-signing-authority@DOMAIN."""
    hosts: tuple[str, ...] = ()
    """dNSName, in ASCII."""

    def subject(self) -> x509.Name:
        """C, ST, O, OU, CN (spec/operator.md §2.2). Raises ValueError naming the part that cannot be used."""
        if len(self.country) != 2 or not (self.country.isascii() and self.country.isupper()):
            raise ValueError(f"'{self.country}' is no country of two capital letters")
        told = {
            NameOID.STATE_OR_PROVINCE_NAME: self.department,
            NameOID.ORGANIZATION_NAME: self.organisation,
            NameOID.ORGANIZATIONAL_UNIT_NAME: self.unit,
            NameOID.COMMON_NAME: self.common_name,
        }
        parts = [x509.NameAttribute(oid, _named(oid, value)) for oid, value in told.items()]
        return x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, self.country), *parts])

    def names(self) -> tuple[x509.GeneralName, ...]:
        """Raises ValueError on an address or a host that is none, or is not ASCII."""
        addresses, hosts = map(_address, self.addresses), map(_host, self.hosts)
        return (*map(x509.RFC822Name, addresses), *map(x509.DNSName, hosts))


def _named(oid: ObjectIdentifier, value: str) -> str:
    if not value.strip() or not value.isprintable() or len(value) > _MOST[oid]:
        raise ValueError(f"'{value}' is no {oid._name}: one to {_MOST[oid]} printable characters")
    return value


def _address(value: str) -> str:
    local, at, domain = value.rpartition("@")
    if not (at and local and value.isascii() and value.isprintable() and " " not in value):
        raise ValueError(f"'{value}' is no mail address in ASCII")
    return f"{local}@{_host(domain)}"


def _host(value: str) -> str:
    labels = value.split(".")
    plain = all(each and each.replace("-", "").isalnum() and not each.startswith("-") for each in labels)
    if not (value.isascii() and plain and len(value) <= 253):
        raise ValueError(f"'{value}' is no host name in ASCII")
    return value


def write(wanted: Wanted, kind: KeyKind, request: Path, key: Path, passphrase: bytes | None = None) -> None:
    """Makes a key and its request, signed with SHA-256 (SHA-384 for P-384), in PEM.

    The key is PKCS #8, mode 0600, encrypted where there is a passphrase. Raises ValueError (nothing was written),
    FileExistsError (nothing was replaced), OSError.
    """
    subject, names = wanted.subject(), wanted.names()
    if passphrase is not None and not passphrase:
        raise ValueError("an empty passphrase protects nothing")
    if request.exists():  # before a key is made for it; the writing below is what decides
        raise FileExistsError(f"{request} is there already: name another")
    made = _made(kind)
    said: KeySerializationEncryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    _write_new(key, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, said), 0o600)
    _write_new(request, _signed(subject, names, made).public_bytes(Encoding.PEM), 0o644)


def _made(kind: KeyKind) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    if kind not in KINDS:
        raise ValueError(f"'{kind}' is none of {', '.join(KINDS)}")
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind])
    return rsa.generate_private_key(65537, int(kind.removeprefix("rsa")))


def _signed(
    subject: x509.Name, names: Sequence[x509.GeneralName], key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
) -> x509.CertificateSigningRequest:
    builder = x509.CertificateSigningRequestBuilder(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    wide = isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256
    return builder.sign(key, hashes.SHA384() if wide else hashes.SHA256())


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        disk.make(path, data, mode)
    except FileExistsError:
        raise FileExistsError(f"{path} is there already: name another") from None
