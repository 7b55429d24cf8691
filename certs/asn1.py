"""The types of CMS that we read (RFC 5652, RFC 5035), declared; nothing here decides anything.

Promises: each class mirrors one ASN.1 type, in its order; where a type is open (ANY) or its order must not
matter, the raw values stay. Does not: read BER (ber and cursor do), nor check what the values mean (signers).
"""

from __future__ import annotations

from typing import Annotated

from cryptography.hazmat.asn1 import TLV, Explicit, GeneralizedTime, Implicit, UTCTime, decode_der, sequence
from cryptography.x509 import ObjectIdentifier

from certs import ber

__all__ = ["TLV", "GeneralizedTime", "UTCTime", "decode_der"]


@sequence
class ContentInfo:
    """RFC 5652 §3."""

    content_type: ObjectIdentifier
    content: Annotated[TLV, Explicit(0)]


@sequence
class EncapsulatedContentInfo:
    """RFC 5652 §5.2."""

    content_type: ObjectIdentifier
    content: Annotated[bytes | None, Explicit(0)]


@sequence
class SignedData:
    """RFC 5652 §5.1. The sets are kept raw: many senders do not sort them."""

    version: int
    digest_algorithms: TLV
    encapsulated: EncapsulatedContentInfo
    certificates: Annotated[list[TLV] | None, Implicit(0)]
    crls: Annotated[list[TLV] | None, Implicit(1)]
    signer_infos: TLV


@sequence
class IssuerAndSerialNumber:
    """RFC 5652 §10.2.4."""

    issuer: TLV
    serial: int


@sequence
class SignerInfo:
    """RFC 5652 §5.3. An AlgorithmIdentifier is its values in a row: the identifier, perhaps parameters."""

    version: int
    signer: IssuerAndSerialNumber | Annotated[bytes, Implicit(0)]
    digest_algorithm: list[TLV]
    signed_attributes: Annotated[list[TLV] | None, Implicit(0)]
    signature_algorithm: list[TLV]
    signature: bytes
    unsigned_attributes: Annotated[list[TLV] | None, Implicit(1)]


@sequence
class Attribute:
    """RFC 5652 §5.3."""

    kind: ObjectIdentifier
    values: TLV


@sequence
class EssCertIdV2:
    """RFC 5035 §4. Without an algorithm the hash is SHA-256."""

    algorithm: list[TLV] | None
    digest: bytes
    issuer_serial: list[TLV] | None


@sequence
class SigningCertificateV2:
    """RFC 5035 §3: the first identifier is the signer's certificate."""

    certificates: list[EssCertIdV2]
    policies: list[TLV] | None


@sequence
class EssCertId:
    """RFC 2634 §5.4.1: a SHA-1 hash, by its format."""

    digest: bytes
    issuer_serial: list[TLV] | None


@sequence
class SigningCertificate:
    """RFC 2634 §5.4."""

    certificates: list[EssCertId]
    policies: list[TLV] | None


@sequence
class AlgorithmProtection:
    """RFC 6211 §2: exactly one of the last two is there; for a signature the first."""

    digest: list[TLV]
    signature: Annotated[list[TLV] | None, Implicit(1)]
    mac: Annotated[list[TLV] | None, Implicit(2)]


def whole(value: TLV) -> bytes:
    """The value with its header: DER has one header for a tag and a size, so these are the bytes as read."""
    return bytes(value.tag_bytes) + ber.length(len(value.data)) + bytes(value.data)


def algorithm(values: list[TLV]) -> str:
    """The dotted identifier of an AlgorithmIdentifier (RFC 5280 §4.1.1.2). Raises ValueError if it is not one."""
    if not 1 <= len(values) <= 2:
        raise ValueError("an algorithm is an identifier, perhaps with parameters")
    identifier: ObjectIdentifier = values[0].parse(ObjectIdentifier)
    return identifier.dotted_string
