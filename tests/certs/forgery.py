"""Signatures by the rightful key, written as one likes, and the people in whose name they are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.asn1 import encode_der
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from certs import algorithms, attributes, ber, cms, profiles, signed, signers
from certs.chain import TrustStore
from certs.model import Proof
from certs.throwaway import Issued, Pki

CONTENT = b"Content-Type: text/plain\r\n\r\nBonjour\r\n"
OTHER = b"another letter"
NULL = b"\x05\x00"
SHA1, MD5, SHA3 = "1.3.14.3.2.26", "1.2.840.113549.2.5", "2.16.840.1.101.3.4.2.8"
RSA, PSS, SHA512_RSA = (f"1.2.840.113549.1.1.{last}" for last in ("1", "10", "13"))
SHA256, SHA512 = (f"2.16.840.1.101.3.4.2.{last}" for last in ("1", "3"))
COMPRESSED = "1.2.840.113549.1.9.16.1.9"
COUNTERSIGNATURE, TIME_STAMP = "1.2.840.113549.1.9.6", "1.2.840.113549.1.9.16.2.14"


def identifier(oid: str, *parameters: bytes) -> bytes:
    return ber.tlv(0x30, algorithms.oid(oid), *parameters)


def attribute(kind: str, *values: bytes) -> bytes:
    return ber.tlv(0x30, algorithms.oid(kind), ber.set_of(*values))


@dataclass(frozen=True, kw_only=True)
class Forgery:
    """A signature by the rightful key, written as one likes."""

    who: Issued
    at: datetime
    content: bytes = CONTENT
    digest: bytes = identifier(SHA256)
    listed: bytes = identifier(SHA256)
    algorithm: bytes = b""
    version: int = 1
    signer: bytes = b""
    change: Callable[[list[bytes]], list[bytes]] | None = list
    unsigned: tuple[bytes, ...] = ()
    content_type: str = attributes.DATA
    inside: bytes | None = None
    certificates: tuple[bytes, ...] | None = None
    signature: Callable[[bytes], bytes] = bytes
    times: int = 1

    def message(self) -> bytes:
        chosen = self.certificates
        kind = algorithms.oid(self.content_type)
        inside = b"" if self.inside is None else ber.tlv(0xA0, ber.tlv(0x04, self.inside))
        data = ber.tlv(
            0x30,
            encode_der(1),
            ber.set_of(self.listed),
            ber.tlv(0x30, kind, inside),
            ber.tlv(0xA0, *((self.who.der,) if chosen is None else chosen)),
            ber.tlv(0x31, *[self._info()] * self.times),
        )
        return ber.tlv(0x30, algorithms.oid(signed.SIGNED_DATA), ber.tlv(0xA0, data))

    def _info(self) -> bytes:
        listed = self._attributes()
        over = self.content if listed is None else ber.set_of(*listed)
        value = self.who.signer().sign_digest(hashlib.sha256(over).digest(), "sha256")
        return ber.tlv(
            0x30,
            encode_der(self.version),
            self.signer or self._name(),
            self.digest,
            b"" if listed is None else ber.tlv(0xA0, *sorted(listed)),
            self.algorithm or algorithms.signature_identifier(self.who.certificate, "sha256"),
            encode_der(self.signature(value)),
            ber.tlv(0xA1, *self.unsigned) if self.unsigned else b"",
        )

    def _attributes(self) -> list[bytes] | None:
        if self.change is None:
            return None
        composed = attributes.compose(hashlib.sha256(self.content).digest(), self.who.der, self.at)
        return self.change(list(composed))

    def _name(self) -> bytes:
        named = self.who.certificate
        return ber.tlv(0x30, named.issuer.public_bytes(), encode_der(named.serial_number))


def with_value(kind: str, *values: bytes) -> Callable[[list[bytes]], list[bytes]]:
    """Replaces an attribute, or adds it; without a value takes it away."""
    oid = algorithms.oid(kind)

    def change(found: list[bytes]) -> list[bytes]:
        others = [each for each in found if oid not in each[:16]]
        return [*others, attribute(kind, *values)] if values else others

    return change


def twice(found: list[bytes]) -> list[bytes]:
    return [*found, *(each for each in found if algorithms.oid(attributes.SIGNING_TIME) in each[:16])]


def ess(version: int, digest: bytes, serial: int | None = None) -> bytes:
    """A SigningCertificate or SigningCertificateV2 that names one certificate."""
    kind = attributes.SIGNING_CERTIFICATE if version == 1 else attributes.SIGNING_CERTIFICATE_V2
    issuer = b"" if serial is None else ber.tlv(0x30, ber.tlv(0x30), encode_der(serial))
    named = ber.tlv(0x30, encode_der(digest), issuer)
    return attribute(kind, ber.tlv(0x30, ber.tlv(0x30, named)))


def protection(digest: str, signature: bytes = b"", mac: bytes = b"") -> bytes:
    return ber.tlv(0x30, identifier(digest), signature, mac)


@dataclass(frozen=True)
class Lab:
    """The people whose signatures are forged."""

    pki: Pki
    doctor: Issued
    store: TrustStore
    now: datetime

    def ask(self, forgery: Forgery, content: bytes | None = CONTENT, policy: signers.Policy = cms.STRICT) -> Proof:
        (proof,) = cms.proofs(forgery.message(), content, self.store, profiles.SMIME, self.now, policy=policy)
        return proof

    def forge(self, **changes: object) -> Forgery:
        return replace(Forgery(who=self.doctor, at=self.now), **changes)  # type: ignore[arg-type]

    def certified(self, key: object, serial: int | None = None) -> bytes:
        """A certificate like the doctor's for another key."""
        like = self.doctor.certificate
        window = (like.not_valid_before_utc, like.not_valid_after_utc, list(like.extensions))
        number = like.serial_number if serial is None else serial
        builder = x509.CertificateBuilder(like.issuer, like.subject, key, number, *window)  # type: ignore[arg-type]
        return builder.sign(self.pki.authority.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def altered(self, old: bytes, new: bytes) -> bytes:
        """The doctor's certificate with some octets replaced, signed again by its authority."""
        inner = self.doctor.certificate.tbs_certificate_bytes
        assert inner.count(old) == 1
        assert len(old) == len(new)
        inner = inner.replace(old, new)
        key = self.pki.authority.key
        assert isinstance(key, rsa.RSAPrivateKey)
        value = key.sign(inner, padding.PKCS1v15(), hashes.SHA256())
        return ber.tlv(0x30, inner, identifier("1.2.840.113549.1.1.11", NULL), ber.tlv(0x03, b"\x00", value))
