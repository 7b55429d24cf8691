"""RSA key transport (RFC 5652 §6.2.1, RFC 8017 §7): its AlgorithmIdentifier read and written, a key put into it.

Promises: every hash, mask and label of OAEP is read (RFC 3560, RFC 4055 §4.1), a default that was left out is known.
Does not: open anything (openers), nor decide whether a certificate may be used (addressees).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

from cryptography.hazmat.asn1 import TLV, Explicit, decode_der, encode_der, sequence
from cryptography.hazmat.primitives.asymmetric import rsa

from certs import algorithms, asn1, ber, enveloped
from certs.enveloped import NotYet
from certs.openers import Padding

MAX_LABEL = 1024


@sequence
class OaepParameters:
    """RFC 4055 §4.1: three AlgorithmIdentifiers."""

    hash: Annotated[list[TLV] | None, Explicit(0)]
    mask: Annotated[list[TLV] | None, Explicit(1)]
    label: Annotated[list[TLV] | None, Explicit(2)]


_RSA = "1.2.840.113549.1.1.1"
_OAEP = "1.2.840.113549.1.1.7"
_MGF1 = "1.2.840.113549.1.1.8"
_P_SPECIFIED = "1.2.840.113549.1.1.9"
_HASHES = {
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.4": "sha224",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_HASH_OIDS = {name: oid for oid, name in _HASHES.items()}
_DEFAULTS = OaepParameters(hash=None, mask=None, label=None)
_NAMES = {_RSA: "rsa-pkcs1v15", _OAEP: "rsa-oaep"}


def name(algorithm: list[TLV]) -> str:
    """What people call it; its number where we know no name. Raises ValueError."""
    oid = asn1.algorithm(algorithm)
    return _NAMES.get(oid, f"algorithm {oid}")


def read(algorithm: list[TLV]) -> Padding:
    """The padding that a keyEncryptionAlgorithm states. Raises ValueError, NotYet."""
    oid = asn1.algorithm(algorithm)
    if oid == _RSA:
        return Padding("pkcs1v15")
    if oid != _OAEP:
        raise NotYet(name(algorithm))
    if len(algorithm) == 1:
        return _padding(_DEFAULTS)
    stated = enveloped.parameters_of(algorithm)
    return _known(stated) if len(stated) <= _USUAL else _padding(decode_der(OaepParameters, stated))


_USUAL = 128
"""Bytes of parameters without a label of their own: the same few again and again."""


@lru_cache(maxsize=64)
def _known(parameters: bytes) -> Padding:
    return _padding(decode_der(OaepParameters, parameters))


def _padding(stated: OaepParameters) -> Padding:
    """RFC 4055 §4.1: a parameter that is left out has its default; no parameters at all are read as all defaults."""
    hash_name = _hash(stated.hash) if stated.hash else "sha1"
    mgf_hash = _mask(stated.mask) if stated.mask else "sha1"
    return Padding("oaep", hash_name, mgf_hash, _label(stated.label) if stated.label else b"")


def _hash(algorithm: list[TLV]) -> str:
    oid = asn1.algorithm(algorithm)
    if oid not in _HASHES:
        raise NotYet(f"OAEP with hash {oid}")
    return _HASHES[oid]


def _mask(algorithm: list[TLV]) -> str:
    oid = asn1.algorithm(algorithm)
    if oid != _MGF1:
        raise NotYet(f"OAEP with mask {oid}")
    return _hash(enveloped.nested(algorithm))


def _label(algorithm: list[TLV]) -> bytes:
    oid = asn1.algorithm(algorithm)
    if oid != _P_SPECIFIED:
        raise NotYet(f"OAEP with label {oid}")
    label = enveloped.parameters(algorithm, bytes)
    if len(label) > MAX_LABEL:
        raise ValueError("a label that nobody needs")
    return label


def identifier(padding: Padding) -> bytes:
    """The AlgorithmIdentifier in DER."""
    if padding.scheme == "pkcs1v15":
        return ber.tlv(0x30, algorithms.oid(_RSA), b"\x05\x00")  # RFC 3370 §4.2.1
    mask = ber.tlv(0x30, algorithms.oid(_MGF1), _hash_identifier(padding.mgf_hash))
    fields = [(0xA0, _hash_identifier(padding.hash_name)), (0xA1, mask)]
    if padding.label:
        fields.append((0xA2, ber.tlv(0x30, algorithms.oid(_P_SPECIFIED), encode_der(padding.label))))
    return ber.tlv(0x30, algorithms.oid(_OAEP), ber.tlv(0x30, *(ber.tlv(tag, each) for tag, each in fields)))


def _hash_identifier(hash_name: str) -> bytes:
    """RFC 4055 §2.1: here the parameters of a hash are NULL."""
    return ber.tlv(0x30, algorithms.oid(_HASH_OIDS[hash_name]), b"\x05\x00")


def wrapped(key: rsa.RSAPublicKey, padding: Padding, content_key: bytes) -> bytes:
    """`content_key`, for whoever has the private half. Raises ValueError where RSA key and hash are no match."""
    return key.encrypt(content_key, padding.primitive())
