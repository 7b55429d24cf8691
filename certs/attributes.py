"""Signed attributes of a CMS signature (RFC 5652 §5.3, §11; RFC 5035, 6211, 8551): read, and written.

Promises: the values of each attribute as they stand; what is read is claimed by the signer and believed by nobody yet
(signers checks it). Does not: verify the signature, or compare anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice

from cryptography.hazmat.asn1 import encode_der

from certs import algorithms, asn1, ber
from certs.cursor import TooMany

DATA = "1.2.840.113549.1.7.1"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
SIGNING_TIME = "1.2.840.113549.1.9.5"
SMIME_CAPABILITIES = "1.2.840.113549.1.9.15"
SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12"
SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
ALGORITHM_PROTECTION = "1.2.840.113549.1.9.52"

ONCE = frozenset(
    {CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_TIME, SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2, ALGORITHM_PROTECTION}
)
"""Each has one value (RFC 5652 §11, RFC 5035 §3, RFC 6211 §2)."""


MAX_ATTRIBUTES = 64
MAX_VALUES = 64
"""Of one attribute. An honest signer has a dozen attributes of one value each."""


@dataclass(frozen=True)
class Attributes:
    """What a signer says in the attributes that he signed."""

    values: Mapping[str, tuple[bytes, ...]]
    """DER values by dotted type; those of a type that stands twice one after the other."""
    repeated: frozenset[str] = frozenset()
    """Types that stand more than once."""

    def one(self, kind: str) -> bytes | None:
        """The first value of a type, or None. Whether it is the only one, signers asks."""
        found = self.values.get(kind, ())
        return found[0] if found else None

    @property
    def signing_time(self) -> datetime | None:
        """RFC 5652 §11.3, in UTC: a claim of the signer's. None if not stated. Raises ValueError."""
        value = self.one(SIGNING_TIME)
        if value is None:
            return None
        if value[:1] == b"\x17":
            return asn1.decode_der(asn1.UTCTime, value).as_datetime()
        return asn1.decode_der(asn1.GeneralizedTime, value).as_datetime()


def read(listed: Sequence[asn1.TLV]) -> Attributes:
    """Raises TooMany, ValueError on unreadable ones."""
    found: dict[str, tuple[bytes, ...]] = {}
    repeated = set()
    if len(listed) > MAX_ATTRIBUTES:
        raise TooMany("too many attributes")
    for each in listed:
        attribute = each.parse(asn1.Attribute)
        kind = attribute.kind.dotted_string
        if kind in found:
            repeated.add(kind)
        found[kind] = (*found.get(kind, ()), *_few(ber.members(bytes(attribute.values.data))))
    return Attributes(found, frozenset(repeated))


def _few(values: Iterator[bytes]) -> list[bytes]:
    found = list(islice(values, MAX_VALUES + 1))
    if len(found) > MAX_VALUES:
        raise TooMany("too many values of an attribute")
    return found


# --- written -------------------------------------------------------------------------------------------------

# RFC 8551 §2.5.2: what we can open, what we like best first.
_CAPABLE = (
    "2.16.840.1.101.3.4.1.46",  # id-aes256-GCM
    "2.16.840.1.101.3.4.1.6",  # id-aes128-GCM
    "2.16.840.1.101.3.4.1.42",  # aes256-CBC
    "2.16.840.1.101.3.4.1.2",  # aes128-CBC
)


def compose(digest: bytes, certificate: bytes, at: datetime) -> tuple[bytes, ...]:
    """The DER attributes that we sign, in the order of a DER SET OF (X.690 §11.6). `digest`: of the content."""
    attributes = (
        _content_type(),
        _attribute(SIGNING_TIME, _time(at)),
        _attribute(MESSAGE_DIGEST, encode_der(digest)),
        _capabilities(),
        _signing_certificate(certificate),
    )
    return tuple(sorted(attributes))


@lru_cache(maxsize=1)
def _content_type() -> bytes:
    return _attribute(CONTENT_TYPE, algorithms.oid(DATA))


@lru_cache(maxsize=1)
def _capabilities() -> bytes:
    each = (ber.tlv(0x30, algorithms.oid(dotted)) for dotted in _CAPABLE)
    return _attribute(SMIME_CAPABILITIES, ber.tlv(0x30, *each))


@lru_cache(maxsize=256)
def _signing_certificate(certificate: bytes) -> bytes:
    # RFC 5035 §4: SHA-256 is the default of ESSCertIDv2, and DER leaves a default out.
    identifier = ber.tlv(0x30, encode_der(hashlib.sha256(certificate).digest()))
    return _attribute(SIGNING_CERTIFICATE_V2, ber.tlv(0x30, ber.tlv(0x30, identifier)))


def _attribute(kind: str, value: bytes) -> bytes:
    return ber.tlv(0x30, algorithms.oid(kind), ber.set_of(value))


def _time(at: datetime) -> bytes:
    """RFC 5652 §11.3: UTCTime up to 2049, whole seconds."""
    moment = at.astimezone(UTC).replace(microsecond=0)
    return encode_der(asn1.UTCTime(moment) if moment.year < 2050 else asn1.GeneralizedTime(moment))
