"""Which algorithms and key sizes we still believe: one place for certificates, CRLs and CMS.

Promises: SHA-1, MD5 and RSA below a profile's floor are refused by name (SECURITY.md lists the few foreign
formats which fix SHA-1; none passes here). Does not: choose what we sign with (cms, keys).
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from certs.model import CannotTell, Fault, Untrusted

DER = Encoding.DER
HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
"""The strong ones, by the names which hashlib gives them."""
MAX_RSA_BITS = 8192
"""A larger key buys nothing and makes a stranger's signature dear to check."""
_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})


def weak_hash(signed: x509.Certificate | x509.CertificateRevocationList) -> Untrusted | CannotTell | None:
    """Whether a weak or unknown algorithm signed this; None if a strong one did."""
    try:
        algorithm = signed.signature_hash_algorithm
    except UnsupportedAlgorithm:
        algorithm = None
    if algorithm is None:
        return CannotTell(Fault.UNSUPPORTED, f"signed with {signed.signature_algorithm_oid.dotted_string}")
    return None if algorithm.name in HASHES else Untrusted(Fault.WEAK_ALGORITHM, f"signed with {algorithm.name}")


def weak_key(certificate: x509.Certificate, min_rsa_bits: int) -> Untrusted | CannotTell | None:
    """Whether the certificate's key is weak or unknown; None if it is strong. Raises ValueError."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return _weak_size(key.key_size, min_rsa_bits) or _odd_exponent(key)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _curve(key.curve.name)
    return CannotTell(Fault.UNSUPPORTED, f"key of type {type(key).__name__}")


def _curve(name: str) -> Untrusted | CannotTell | None:
    if name in _CURVES:
        return None
    if name.startswith("brainpool"):
        return CannotTell(Fault.UNSUPPORTED, name)
    return Untrusted(Fault.WEAK_KEY, f"curve {name}")


def _odd_exponent(key: rsa.RSAPublicKey) -> Untrusted | None:
    """A public exponent as long as the modulus makes each check as dear as a signature (NIST SP 800-56B §6.2: below
    2^256)."""
    return Untrusted(Fault.TOO_LARGE, "RSA exponent") if key.public_numbers().e >> 33 else None


def _weak_size(bits: int, floor: int) -> Untrusted | None:
    if bits > MAX_RSA_BITS:
        return Untrusted(Fault.TOO_LARGE, f"RSA {bits}")
    return Untrusted(Fault.WEAK_KEY, f"RSA {bits}") if bits < floor else None
