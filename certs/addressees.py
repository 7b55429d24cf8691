"""To whom a letter is encrypted (RFC 5652 §6.2): RecipientInfos read, compared with our openers, and written.

Promises: an opener is asked only for what names its certificate; a certificate is written to only where its key and
its usage permit. Does not: judge a certificate's chain or time (chain), nor encrypt the letter itself (contents).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal, TypeAlias

from cryptography import x509
from cryptography.hazmat.asn1 import decode_der, encode_der
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from certs import agreement, asn1, ber, enveloped, identities, strength, transport
from certs.cursor import TooMany
from certs.enveloped import KeyAgreeRecipientInfo, KeyTransRecipientInfo, RecipientEncryptedKey
from certs.openers import Opener, Padding

MAX_ENCRYPTED_KEY = 2048
"""Bytes: the modulus of an RSA key of 16384 bits. Above, a stranger would buy work with it."""

_KEY_AGREEMENT = 0xA1
# RFC 5652 §6.2: the kinds that name no certificate.
_NAMELESS = {0xA2: "kekri", 0xA3: "pwri", 0xA4: "ori"}

Kind: TypeAlias = Literal["ktri", "kari", "kekri", "pwri", "ori"]
Question: TypeAlias = Callable[[int], bytes]
"""Given the bytes which the content key must have: the key, or one of another size. Raises CannotOpen."""


# --- read ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rid:
    """A recipient's certificate, as the sender named it: issuer and serial number, or subject key identifier."""

    issuer: bytes = b""
    """DER of the name; empty where the identifier names it."""
    serial: int = 0
    key_identifier: bytes = b""

    def names(self, holder: Holder) -> bool:
        if self.issuer:
            return self.serial == holder.serial and self.issuer == holder.issuer
        return bool(self.key_identifier) and self.key_identifier == holder.key_identifier


@dataclass(frozen=True)
class Entry:
    """One recipient of a letter, as read."""

    kind: Kind
    rid: Rid
    encrypted_key: bytes
    info: KeyTransRecipientInfo | KeyAgreeRecipientInfo | None
    """None for the kinds that name no certificate."""

    def question(self, opener: Opener) -> Question:
        """How this opener is asked for the content key; nothing is asked yet.

        Raises NotYet, by name, for what we do not read, ValueError for what nobody reads: both can be seen in clear.
        """
        if isinstance(self.info, KeyTransRecipientInfo):
            return partial(opener.transport, self.encrypted_key, transport.read(self.info.algorithm))
        if isinstance(self.info, KeyAgreeRecipientInfo):
            return agreement.question(self.info, opener, self.encrypted_key)
        raise enveloped.NotYet(self.kind)

    @property
    def algorithm(self) -> str:
        """What people call it. Raises ValueError."""
        if isinstance(self.info, KeyTransRecipientInfo):
            return transport.name(self.info.algorithm)
        if isinstance(self.info, KeyAgreeRecipientInfo):
            return agreement.name(self.info)
        return self.kind


@dataclass(frozen=True)
class Holder:
    """What a recipient may be named by."""

    issuer: bytes
    serial: int
    key_identifier: bytes


@lru_cache(maxsize=256)
def holder(certificate: bytes) -> Holder:
    """Of a DER certificate. Raises ValueError on an unreadable one."""
    read = identities.read(certificate)
    return Holder(read.issuer.public_bytes(), read.serial_number, _key_identifier(read))


def _key_identifier(certificate: x509.Certificate) -> bytes:
    """RFC 5280 §4.2.1.2; empty where there is none."""
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (x509.ExtensionNotFound, *identities.UNREADABLE):
        return b""


def entries(infos: Sequence[bytes]) -> tuple[Entry, ...]:
    """Every recipient of all RecipientInfos in DER. Raises ValueError, TooMany."""
    found: list[Entry] = []
    for info in infos:
        found.extend(_entries(info))
        if len(found) > enveloped.MAX_RECIPIENTS:
            raise TooMany("too many recipients")
    if any(len(entry.encrypted_key) > MAX_ENCRYPTED_KEY for entry in found):
        raise ValueError("a key that no key opens")
    return tuple(found)


def _entries(info: bytes) -> Iterator[Entry]:
    tag = info[0]
    if tag == 0x30:
        transported = decode_der(KeyTransRecipientInfo, info)
        yield Entry("ktri", _rid(transported.recipient), transported.encrypted_key, transported)
    elif tag == _KEY_AGREEMENT:
        agreed = decode_der(KeyAgreeRecipientInfo, enveloped.retagged(0x30, info))
        for each in agreed.recipients:
            yield Entry("kari", _agreed_rid(each), each.encrypted_key, agreed)
    elif tag in _NAMELESS:
        yield Entry(_NAMELESS[tag], Rid(), b"", None)  # type: ignore[arg-type]
    else:
        raise ValueError("a recipient of no known kind")


def _rid(named: asn1.IssuerAndSerialNumber | bytes) -> Rid:
    if isinstance(named, bytes):
        return Rid(key_identifier=named)
    return Rid(issuer=asn1.whole(named.issuer), serial=named.serial)


def _agreed_rid(each: RecipientEncryptedKey) -> Rid:
    """RFC 5652 §6.2.2: IssuerAndSerialNumber or [0] RecipientKeyIdentifier, whose date names nothing."""
    der = asn1.whole(each.recipient)
    if der[:1] == b"\x30":
        return _rid(decode_der(asn1.IssuerAndSerialNumber, der))
    if der[:1] != b"\xa0":
        raise ValueError("a recipient without a name")
    first = enveloped.values(enveloped.retagged(0x30, der))
    return Rid(key_identifier=decode_der(bytes, asn1.whole(first[0]) if first else b""))


# --- written -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Manner:
    """How a content key is given to a recipient."""

    padding: Padding
    """For RSA."""
    kdf_hash: str
    """For EC; empty takes what is as strong as the curve."""
    cofactor: bool
    by_key_identifier: bool


@dataclass(frozen=True)
class Written:
    der: bytes
    version: int
    """RFC 5652 §6.2: 0, 2 or 3."""


def written(certificate: bytes, content_key: bytes, manner: Manner) -> Written:
    """A RecipientInfo for a DER certificate. First ask `refusal`. Raises ValueError."""
    key = _key(certificate)
    name = _name(holder(certificate), manner)
    if isinstance(key, rsa.RSAPublicKey):
        version = 2 if manner.by_key_identifier else 0
        identifier = transport.identifier(manner.padding)
        encrypted = encode_der(transport.wrapped(key, manner.padding, content_key))
        rid = enveloped.retagged(0x80, name) if manner.by_key_identifier else name
        return Written(ber.tlv(0x30, encode_der(version), rid, identifier, encrypted), version)
    if isinstance(key, ec.EllipticCurvePublicKey):
        made = agreement.made(key, content_key, manner.kdf_hash, cofactor=manner.cofactor)
        rid = ber.tlv(0xA0, name) if manner.by_key_identifier else name
        recipient = ber.tlv(0x30, ber.tlv(0x30, rid, encode_der(made.encrypted_key)))
        return Written(ber.tlv(_KEY_AGREEMENT, encode_der(3), made.originator, made.algorithm, recipient), 3)
    raise ValueError(f"nothing is encrypted to a {type(key).__name__}")


def _name(held: Holder, manner: Manner) -> bytes:
    """IssuerAndSerialNumber, or the identifier as an OCTET STRING. Raises ValueError where there is none."""
    if not manner.by_key_identifier:
        return ber.tlv(0x30, held.issuer, encode_der(held.serial))
    if not held.key_identifier:
        raise ValueError("a certificate without a subject key identifier")
    return encode_der(held.key_identifier)


# The same people are written to again and again; what a certificate says of itself does not change.
_certificate = lru_cache(maxsize=256)(identities.read)


@lru_cache(maxsize=256)
def _key(certificate: bytes) -> CertificatePublicKeyTypes:
    return _certificate(certificate).public_key()


def refusal(certificate: bytes, min_rsa_bits: int) -> str:
    """Why nothing may be encrypted to this DER certificate; empty if it may."""
    try:
        read = _certificate(certificate)
        weak = strength.weak_key(read, min_rsa_bits)
        reason = weak.detail or weak.fault.value if weak else usage_refusal(read)
    except identities.UNREADABLE as error:
        reason = f"unreadable ({type(error).__name__})"
    return f"certificate {hashlib.sha256(certificate).hexdigest()[:16]}: {reason}" if reason else ""


def usage_refusal(certificate: x509.Certificate) -> str:
    """RFC 5280 §4.2.1.3, RFC 8550 §4.4.2: keyEncipherment for RSA, keyAgreement for EC; no extension permits."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return ""
    if isinstance(certificate.public_key(), rsa.RSAPublicKey):
        return "" if usage.key_encipherment else "its usage does not permit keyEncipherment"
    return "" if usage.key_agreement else "its usage does not permit keyAgreement"
