"""Signed attributes of a CMS signature (RFC 5652 §5.3, §11; RFC 5035): read, compared with content, written.

Promises: an attribute that we know is there at most once with one value, and agrees, or the signature does
not count. Attributes that we do not know are covered by the signature and otherwise ignored. Does not:
verify the signature (cms).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.asn1 import encode_der

from certs import algorithms, asn1, ber
from certs.model import Fault, Untrusted

SKEW = timedelta(days=1)
"""How far in the future a claimed signing time may lie: clocks and time zones of others are often wrong."""

DATA = "1.2.840.113549.1.7.1"
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNING_TIME = "1.2.840.113549.1.9.5"
_SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
_ONCE = frozenset({_CONTENT_TYPE, _MESSAGE_DIGEST, _SIGNING_TIME, _SIGNING_CERTIFICATE_V2})


def read(signer: asn1.SignerInfo) -> Mapping[str, bytes] | Untrusted:
    """The DER value of each signed attribute by dotted type. Raises ValueError on unreadable ones."""
    found: dict[str, bytes] = {}
    for each in signer.signed_attributes or ():
        attribute = each.parse(asn1.Attribute)
        values = list(ber.members(bytes(attribute.values.data)))
        kind = attribute.kind.dotted_string
        # RFC 5652 §5.3, §11: no attribute twice, and one value each for those which matter here.
        if kind in found or (kind in _ONCE and len(values) != 1):
            return _bad(f"attribute {kind} is not there exactly once")
        found[kind] = values[0] if values else b""
    return found


def signing_time(attributes: Mapping[str, bytes]) -> datetime | None:
    """RFC 5652 §11.3, in UTC: a claim of the signer's. None if not stated. Raises ValueError."""
    value = attributes.get(_SIGNING_TIME)
    if value is None:
        return None
    if value[:1] == b"\x17":
        return asn1.decode_der(asn1.UTCTime, value).as_datetime()
    return asn1.decode_der(asn1.GeneralizedTime, value).as_datetime()


def disagreement(
    attributes: Mapping[str, bytes],
    content: bytes,
    kind: str,
    hash_name: str,
    certificate: bytes,
    at: datetime,
) -> Untrusted | None:
    """The first attribute that does not fit; None if all fit.

    `kind`: dotted eContentType. `certificate`: DER. Raises ValueError on unreadable attributes.
    """
    return (
        _content_type(attributes, kind)
        or _digest(attributes, content, hash_name)
        or _signing_certificate(attributes, certificate)
        or _future(attributes, at)
    )


def _bad(detail: str) -> Untrusted:
    return Untrusted(Fault.BAD_ATTRIBUTES, detail)


def _content_type(attributes: Mapping[str, bytes], kind: str) -> Untrusted | None:
    """RFC 5652 §11.1."""
    fits = attributes.get(_CONTENT_TYPE) == algorithms.oid(kind)
    return None if fits else _bad("contentType is absent or another")


def _digest(attributes: Mapping[str, bytes], content: bytes, hash_name: str) -> Untrusted | None:
    """RFC 5652 §11.2."""
    if _MESSAGE_DIGEST not in attributes:
        return _bad("messageDigest is absent")
    stated = asn1.decode_der(bytes, attributes[_MESSAGE_DIGEST])
    if hmac.compare_digest(stated, hashlib.new(hash_name, content).digest()):
        return None
    return Untrusted(Fault.DIGEST_MISMATCH, "the content is not what was signed")


def _signing_certificate(attributes: Mapping[str, bytes], certificate: bytes) -> Untrusted | None:
    """RFC 5035 §5.4: where it is there, it binds the signature to this very certificate."""
    value = attributes.get(_SIGNING_CERTIFICATE_V2)
    if value is None:
        return None
    named = asn1.decode_der(asn1.SigningCertificateV2, value).certificates
    fits = bool(named) and _names(named[0], certificate)
    return None if fits else _bad("signingCertificateV2 names another certificate")


def _names(named: asn1.EssCertIdV2, certificate: bytes) -> bool:
    hash_name = algorithms.DIGESTS.get(asn1.algorithm(named.algorithm), "") if named.algorithm else "sha256"
    return bool(hash_name) and hashlib.new(hash_name, certificate).digest() == named.digest


def _future(attributes: Mapping[str, bytes], at: datetime) -> Untrusted | None:
    claimed = signing_time(attributes)
    return _bad("signingTime is in the future") if claimed is not None and claimed > at + SKEW else None


def compose(content: bytes, certificate: bytes, at: datetime, hash_name: str) -> tuple[bytes, ...]:
    """The DER attributes that we sign, in the order of a DER SET OF (X.690 §11.6)."""
    # RFC 5035 §4: SHA-256 is the default of ESSCertIDv2, and DER leaves a default out.
    identifier = ber.tlv(0x30, encode_der(hashlib.sha256(certificate).digest()))
    attributes = (
        _attribute(_CONTENT_TYPE, algorithms.oid(DATA)),
        _attribute(_SIGNING_TIME, _time(at)),
        _attribute(_MESSAGE_DIGEST, encode_der(hashlib.new(hash_name, content).digest())),
        _attribute(_SIGNING_CERTIFICATE_V2, ber.tlv(0x30, ber.tlv(0x30, identifier))),
    )
    return tuple(sorted(attributes))


def _attribute(kind: str, value: bytes) -> bytes:
    return ber.tlv(0x30, algorithms.oid(kind), ber.set_of(value))


def _time(at: datetime) -> bytes:
    """RFC 5652 §11.3: UTCTime up to 2049, whole seconds."""
    moment = at.astimezone(UTC).replace(microsecond=0)
    return encode_der(asn1.UTCTime(moment) if moment.year < 2050 else asn1.GeneralizedTime(moment))
