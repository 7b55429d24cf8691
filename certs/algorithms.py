"""The algorithms of CMS signatures, by their object identifiers: which hash, which signature, with which key.

Promises: what is known weak is Untrusted by its name, what is unknown is CannotTell by its number; RSA PKCS
#1 v1.5 and ECDSA with SHA-2 are checked and written (RFC 5754). Does not: hold keys, nor judge certificates
(strength, chain).
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.asn1 import encode_der
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ObjectIdentifier

from certs import ber, strength
from certs.model import CannotTell, Fault, Untrusted

_RSA = "1.2.840.113549.1.1.1"
# RFC 5754 §2
DIGESTS = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_DIGEST_OIDS = {name: oid for oid, name in DIGESTS.items()}
# RFC 5754 §3.2, §3.3: (key family, hash). With rsaEncryption the digest algorithm says which hash.
_SIGNATURES = {
    _RSA: ("rsa", ""),
    "1.2.840.113549.1.1.11": ("rsa", "sha256"),
    "1.2.840.113549.1.1.12": ("rsa", "sha384"),
    "1.2.840.113549.1.1.13": ("rsa", "sha512"),
    "1.2.840.10045.4.3.2": ("ec", "sha256"),
    "1.2.840.10045.4.3.3": ("ec", "sha384"),
    "1.2.840.10045.4.3.4": ("ec", "sha512"),
}
_EC_OIDS = {name: oid for oid, (family, name) in _SIGNATURES.items() if family == "ec"}
WEAK = {
    "1.2.840.113549.2.5": "md5",
    "1.3.14.3.2.26": "sha1",
    "1.2.840.113549.1.1.4": "md5WithRSAEncryption",
    "1.2.840.113549.1.1.5": "sha1WithRSAEncryption",
    "1.2.840.10045.4.1": "ecdsa-with-SHA1",
}


def name(oid: str) -> str:
    """The name of a digest algorithm where we know one, its number otherwise."""
    return DIGESTS.get(oid) or WEAK.get(oid, oid)


def doubt(digest: str, signature: str) -> Untrusted | CannotTell | None:
    """Why two dotted identifiers are not good enough; None if both are known and strong."""
    for oid, known in ((digest, DIGESTS.keys()), (signature, _SIGNATURES.keys())):
        if oid in WEAK:
            return Untrusted(Fault.WEAK_ALGORITHM, WEAK[oid])
        if oid not in known:
            return CannotTell(Fault.UNSUPPORTED, f"algorithm {oid}")
    return None


def check(certificate: x509.Certificate, digest: str, signature: str, value: bytes, signed: bytes) -> Untrusted | None:
    """Why `value` is no signature over `signed` by this certificate; None if it is. First ask `doubt`."""
    family, hash_name = _SIGNATURES[signature]
    algorithm = strength.HASHES[hash_name or DIGESTS[digest]]
    key = certificate.public_key()
    try:
        if family == "rsa" and isinstance(key, rsa.RSAPublicKey):
            key.verify(value, signed, padding.PKCS1v15(), algorithm)
        elif family == "ec" and isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(value, signed, ec.ECDSA(algorithm))
        else:
            return Untrusted(Fault.BAD_SIGNATURE, "the algorithm is not one of the certificate's key")
    except InvalidSignature:
        return Untrusted(Fault.BAD_SIGNATURE, "the signature does not hold")
    return None


def oid(dotted: str) -> bytes:
    """The DER of an object identifier."""
    return encode_der(ObjectIdentifier(dotted))


def digest_identifier(hash_name: str) -> bytes:
    """An AlgorithmIdentifier. RFC 5754 §2: parameters of SHA-2 are absent."""
    return ber.tlv(0x30, oid(_DIGEST_OIDS[hash_name]))


def signature_identifier(certificate: x509.Certificate, hash_name: str) -> bytes:
    """An AlgorithmIdentifier for the certificate's key. Raises ValueError for other keys."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return ber.tlv(0x30, oid(_RSA), b"\x05\x00")  # RFC 3370 §3.2: parameters NULL
    if isinstance(key, ec.EllipticCurvePublicKey):
        return ber.tlv(0x30, oid(_EC_OIDS[hash_name]))
    raise ValueError(f"no signature is made with a {type(key).__name__}")
