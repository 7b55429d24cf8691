"""Who can open what was encrypted to a certificate: an opener has the use of a private key, wherever the key lies.

Promises: an opener says of a failure that it failed, in one text, and never why (RFC 3218 §2.3): a key transport
under PKCS #1 v1.5 does not fail at all, it answers random bytes. Does not: read CMS (envelope), nor choose which
key a letter needs (addressees). Keys in the keeper are asked through certs/keys.py.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

HASHES: dict[str, hashes.HashAlgorithm] = {
    # RFC 8017 A.2.1: the default of OAEP, which older programs write. Here it hides nothing and signs nothing.
    "sha1": hashes.SHA1(),  # noqa: S303
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
"""What OAEP and key derivation are read with; SHA-1 and SHA-224 are never written."""


@dataclass(frozen=True)
class Padding:
    """How an RSA key transport was padded. Raises ValueError for a hash that is not in HASHES."""

    scheme: Literal["pkcs1v15", "oaep"]
    hash_name: str = "sha256"
    mgf_hash: str = "sha256"
    label: bytes = b""

    def __post_init__(self) -> None:
        if self.scheme not in ("pkcs1v15", "oaep") or not {self.hash_name, self.mgf_hash} <= HASHES.keys():
            raise ValueError("no such padding")

    def primitive(self) -> padding.AsymmetricPadding:
        """The same for the cryptography library."""
        if self.scheme == "pkcs1v15":
            return padding.PKCS1v15()
        return padding.OAEP(padding.MGF1(HASHES[self.mgf_hash]), HASHES[self.hash_name], self.label or None)


class CannotOpen(ValueError):
    """A private key does not open this. One text for all reasons: a reason would be an oracle."""

    def __init__(self) -> None:
        super().__init__("it does not open with this key")


class Opener(Protocol):
    """A certificate with the use of its private key for decryption.

    Both methods also raise what the key's place raises (KeeperDown, KeeperRefused).
    """

    @property
    def certificate(self) -> bytes:
        """DER."""
        ...

    def transport(self, ciphertext: bytes, padding: Padding, size: int) -> bytes:
        """The key in an RSA key transport (RFC 8017 §7). `size`: bytes which the key must have.

        PKCS #1 v1.5 that does not fit, or holds another size, gives random bytes of `size`, never an error
        (RFC 3218 §2.3.2). OAEP that does not fit raises CannotOpen; so does a key that is not RSA.
        """
        ...

    def agree(self, point: bytes) -> bytes:
        """The ECDH shared secret Z (SEC 1 §3.3.1) with an uncompressed point on the key's own curve.

        Raises CannotOpen for a point that is not on the curve, or a key that is not EC.
        """
        ...


@dataclass(frozen=True)
class LocalOpener:
    """An opener whose key is in this process: the keeper's own, and those of tests and of commands."""

    certificate: bytes
    key: Any = field(repr=False)
    """A private key of the cryptography library; one that is neither RSA nor EC opens nothing."""

    def transport(self, ciphertext: bytes, padding: Padding, size: int) -> bytes:
        if not isinstance(self.key, rsa.RSAPrivateKey):
            raise CannotOpen
        if padding.scheme == "pkcs1v15":
            return _whatever_fits(self.key, ciphertext, size)
        try:
            return self.key.decrypt(ciphertext, padding.primitive())
        except (ValueError, UnsupportedAlgorithm):
            raise CannotOpen from None

    def agree(self, point: bytes) -> bytes:
        if not isinstance(self.key, ec.EllipticCurvePrivateKey):
            raise CannotOpen
        try:
            theirs = ec.EllipticCurvePublicKey.from_encoded_point(self.key.curve, point)
            return self.key.exchange(ec.ECDH(), theirs)
        except (ValueError, UnsupportedAlgorithm):
            raise CannotOpen from None


def _whatever_fits(key: rsa.RSAPrivateKey, ciphertext: bytes, size: int) -> bytes:
    """RFC 3218 §2.3.2: the spare key is drawn before, so that good and bad padding cost the same.

    The library answers pseudo-random bytes itself where the padding is bad; their size is rarely ours.
    """
    spare = os.urandom(size)
    try:
        found = key.decrypt(ciphertext, padding.PKCS1v15())
    except ValueError:  # not as long as the modulus, or not below it: visible without a key
        found = b""
    return found if len(found) == size else spare
