"""The algorithms of CMS signatures, by their object identifiers: which hash, which signature, with which key.

Promises: what is known weak is Untrusted by its name, what is known and not read here is CannotTell by its name, what
is unknown CannotTell by its number; RSA PKCS #1 v1.5, RSASSA-PSS (RFC 4056) and ECDSA with SHA-2 are checked and
written (RFC 5754). Does not: hold keys, nor judge certificates (strength, checks).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.asn1 import TLV, Explicit, encode_der, sequence
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.x509 import ObjectIdentifier

from certs import asn1, ber, strength
from certs.model import CannotTell, Fault, Untrusted

_RSA = "1.2.840.113549.1.1.1"
_PSS = "1.2.840.113549.1.1.10"
_MGF1 = "1.2.840.113549.1.1.8"
# RFC 5754 §2
DIGESTS = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_DIGEST_OIDS = {name: oid for oid, name in DIGESTS.items()}
# RFC 5754 §3.2, §3.3, RFC 4056 §3: (key family, hash). Where none stands, digest algorithm or parameters say which.
_SIGNATURES = {
    _RSA: ("rsa", ""),
    _PSS: ("pss", ""),
    "1.2.840.113549.1.1.11": ("rsa", "sha256"),
    "1.2.840.113549.1.1.12": ("rsa", "sha384"),
    "1.2.840.113549.1.1.13": ("rsa", "sha512"),
    "1.2.840.10045.4.3.2": ("ec", "sha256"),
    "1.2.840.10045.4.3.3": ("ec", "sha384"),
    "1.2.840.10045.4.3.4": ("ec", "sha512"),
}
_EC_OIDS = {name: oid for oid, (family, name) in _SIGNATURES.items() if family == "ec"}
WEAK = {
    "1.2.840.113549.2.2": "md2",
    "1.2.840.113549.2.5": "md5",
    "1.3.14.3.2.26": "sha1",
    "1.2.840.113549.1.1.2": "md2WithRSAEncryption",
    "1.2.840.113549.1.1.4": "md5WithRSAEncryption",
    "1.2.840.113549.1.1.5": "sha1WithRSAEncryption",
    "1.2.840.10040.4.3": "dsa-with-sha1",
    "1.2.840.10045.4.1": "ecdsa-with-SHA1",
}
LATER = {
    "2.16.840.1.101.3.4.2.4": "sha224",
    "2.16.840.1.101.3.4.2.6": "sha512-256",
    "2.16.840.1.101.3.4.2.8": "sha3-256",
    "2.16.840.1.101.3.4.2.9": "sha3-384",
    "2.16.840.1.101.3.4.2.10": "sha3-512",
    "2.16.840.1.101.3.4.2.12": "shake256",
    "1.2.840.113549.1.1.14": "sha224WithRSAEncryption",
    "1.2.840.10040.4.1": "dsa",
    "2.16.840.1.101.3.4.3.2": "dsa-with-sha256",
    "1.2.840.10045.4.3.1": "ecdsa-with-SHA224",
    "2.16.840.1.101.3.4.3.10": "ecdsa-with-sha3-256",
    "2.16.840.1.101.3.4.3.14": "rsa-with-sha3-256",
    "2.16.840.1.101.3.4.3.17": "ml-dsa-44",
    "2.16.840.1.101.3.4.3.18": "ml-dsa-65",
    "2.16.840.1.101.3.4.3.19": "ml-dsa-87",
    "1.3.101.112": "ed25519",
    "1.3.101.113": "ed448",
}
"""Recognised; read by a later version."""


@sequence
class _PssParameters:
    """RFC 4055 §3.1. What is absent is SHA-1, MGF1 with SHA-1, a salt of 20 octets, trailer 1."""

    hash: Annotated[list[TLV] | None, Explicit(0)]
    mask: Annotated[list[TLV] | None, Explicit(1)]
    salt: Annotated[int | None, Explicit(2)]
    trailer: Annotated[int | None, Explicit(3)]


@dataclass(frozen=True)
class Scheme:
    """How a SignerInfo says that it was signed."""

    digest: str
    """Dotted digestAlgorithm."""
    signature: str
    """Dotted signatureAlgorithm."""
    parameters: bytes = b""
    """Of the signature algorithm, DER; empty if absent."""

    @property
    def hash_name(self) -> str:
        """sha256, sha384 or sha512; first ask `doubt`."""
        return DIGESTS[self.digest]

    @property
    def family(self) -> str:
        return _SIGNATURES[self.signature][0]

    @property
    def stated_hash(self) -> str:
        """The hash that the signature algorithm itself names; empty where it names none."""
        return _SIGNATURES[self.signature][1]


def name(oid: str) -> str:
    """The name of an algorithm where we know one, its number otherwise."""
    return DIGESTS.get(oid) or WEAK.get(oid) or LATER.get(oid, oid)


def doubt(scheme: Scheme) -> Untrusted | CannotTell | None:
    """Why the two algorithms are not good enough; None if both are known and strong."""
    for oid, known in ((scheme.digest, DIGESTS.keys()), (scheme.signature, _SIGNATURES.keys())):
        if oid in WEAK:
            return Untrusted(Fault.WEAK_ALGORITHM, WEAK[oid])
        if oid not in known:
            return CannotTell(Fault.UNSUPPORTED, LATER.get(oid, f"algorithm {oid}"))
    return None


def pss_doubt(scheme: Scheme) -> Untrusted | CannotTell | None:
    """Why the parameters of RSASSA-PSS are not good enough. Raises ValueError on unreadable ones."""
    if scheme.family != "pss":
        return None
    told = asn1.decode_der(_PssParameters, scheme.parameters)
    for oid in (_hash_of(told.hash), _mask_hash(told.mask)):
        if oid in WEAK:
            return Untrusted(Fault.WEAK_ALGORITHM, f"PSS with {WEAK[oid]}")
        if oid not in DIGESTS:
            return CannotTell(Fault.UNSUPPORTED, f"PSS with {name(oid)}")
    # RFC 4056 §3: the parameters' hash is the digest algorithm; the mask's should be the same, and always is
    if {_hash_of(told.hash), _mask_hash(told.mask)} != {scheme.digest}:
        return Untrusted(Fault.BAD_ATTRIBUTES, "PSS with two hashes")
    if told.trailer not in (None, 1):
        return Untrusted(Fault.BAD_ATTRIBUTES, "PSS with another trailer")
    if not 20 <= (20 if told.salt is None else told.salt) <= 512:
        return Untrusted(Fault.WEAK_ALGORITHM, "PSS with a short salt")
    return None


_SHA1 = "1.3.14.3.2.26"


def _hash_of(identifier: list[TLV] | None) -> str:
    return _SHA1 if identifier is None else asn1.algorithm(identifier)


def _mask_hash(identifier: list[TLV] | None) -> str:
    if identifier is None:
        return _SHA1
    if asn1.algorithm(identifier) != _MGF1 or len(identifier) != 2:
        raise ValueError("a mask generation that is not MGF1")
    inner = list(ber.members(bytes(identifier[1].data)))
    oid: ObjectIdentifier = asn1.decode_der(ObjectIdentifier, inner[0] if inner else b"")
    return oid.dotted_string


def check(certificate: x509.Certificate, scheme: Scheme, value: bytes, digest: bytes) -> Untrusted | None:
    """Why `value` is no signature of this certificate's key over what has this digest; None if it is.

    First ask `doubt` and `pss_doubt`.
    """
    key, hashed = certificate.public_key(), Prehashed(strength.HASHES[scheme.hash_name])
    try:
        if scheme.family == "rsa" and isinstance(key, rsa.RSAPublicKey):
            key.verify(value, digest, padding.PKCS1v15(), hashed)
        elif scheme.family == "pss" and isinstance(key, rsa.RSAPublicKey):
            key.verify(value, digest, _pss(scheme.hash_name, _salt(scheme)), hashed)
        elif scheme.family == "ec" and isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(value, digest, ec.ECDSA(hashed))
        else:
            return Untrusted(Fault.BAD_SIGNATURE, "the algorithm is not one of the certificate's key")
    except InvalidSignature:
        return Untrusted(Fault.BAD_SIGNATURE, "the signature does not hold")
    return None


def _salt(scheme: Scheme) -> int:
    told = asn1.decode_der(_PssParameters, scheme.parameters).salt
    return 20 if told is None else int(told)


def _pss(hash_name: str, salt: int) -> padding.PSS:
    return padding.PSS(padding.MGF1(strength.HASHES[hash_name]), salt)


def pss_padding(hash_name: str) -> padding.PSS:
    """What we sign with: MGF1 with the same hash, a salt as long as it (RFC 4055 §3.1, RFC 8017 §9.1)."""
    return _pss(hash_name, strength.HASHES[hash_name].digest_size)


@cache
def oid(dotted: str) -> bytes:
    """The DER of an object identifier."""
    return encode_der(ObjectIdentifier(dotted))


def digest_identifier(hash_name: str) -> bytes:
    """An AlgorithmIdentifier. RFC 5754 §2: parameters of SHA-2 are absent."""
    return ber.tlv(0x30, oid(_DIGEST_OIDS[hash_name]))


def signature_identifier(certificate: x509.Certificate, hash_name: str, pss: bool = False) -> bytes:
    """An AlgorithmIdentifier for the certificate's key. Raises ValueError for other keys, and for PSS without RSA."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return _pss_identifier(hash_name) if pss else ber.tlv(0x30, oid(_RSA), b"\x05\x00")  # RFC 3370 §3.2
    if isinstance(key, ec.EllipticCurvePublicKey) and not pss:
        return ber.tlv(0x30, oid(_EC_OIDS[hash_name]))
    raise ValueError(f"no {'PSS ' if pss else ''}signature is made with a {type(key).__name__}")


def _pss_identifier(hash_name: str) -> bytes:
    hashed = digest_identifier(hash_name)
    mask = ber.tlv(0x30, oid(_MGF1), hashed)
    salt = encode_der(strength.HASHES[hash_name].digest_size)
    return ber.tlv(
        0x30,
        oid(_PSS),
        ber.tlv(0x30, ber.tlv(0xA0, hashed), ber.tlv(0xA1, mask), ber.tlv(0xA2, salt)),
    )
