"""The types of encrypted CMS (RFC 5652 §6, RFC 5083, RFC 5753), declared, and one pass through such a message.

Promises: each class mirrors one ASN.1 type; the encrypted content of a large letter is never copied, only looked at.
Does not: decide what an algorithm is worth (contents, transport, agreement), nor use a key.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Annotated, TypeVar

from cryptography.hazmat.asn1 import TLV, BitString, Explicit, Implicit, decode_der, sequence
from cryptography.x509 import ObjectIdentifier

from certs import asn1, ber, cursor
from certs.cursor import Cursor, Pieces, TooMany

MAX_RECIPIENTS = 1000

DATA = "1.2.840.113549.1.7.1"
ENVELOPED = "1.2.840.113549.1.7.3"
AUTH_ENVELOPED = "1.2.840.113549.1.9.16.1.23"
CONTENT_TYPE = "1.2.840.113549.1.9.3"

_OTHERS = {
    "1.2.840.113549.1.7.2": "signed-data",
    "1.2.840.113549.1.7.5": "digested-data",
    "1.2.840.113549.1.7.6": "encrypted-data",
    "1.2.840.113549.1.9.16.1.2": "authenticated-data",
    "1.2.840.113549.1.9.16.1.9": "compressed-data",
}


_T = TypeVar("_T")


class NotYet(Exception):
    """Recognised, and read by a later version only. Its text is the name of what that is."""


@sequence
class KeyTransRecipientInfo:
    """RFC 5652 §6.2.1."""

    version: int
    recipient: asn1.IssuerAndSerialNumber | Annotated[bytes, Implicit(0)]
    algorithm: list[TLV]
    encrypted_key: bytes


@sequence
class RecipientEncryptedKey:
    """RFC 5652 §6.2.2. The recipient: IssuerAndSerialNumber, or [0] RecipientKeyIdentifier."""

    recipient: TLV
    encrypted_key: bytes


@sequence
class KeyAgreeRecipientInfo:
    """RFC 5652 §6.2.2."""

    version: int
    originator: Annotated[TLV, Explicit(0)]
    ukm: Annotated[bytes | None, Explicit(1)]
    algorithm: list[TLV]
    recipients: list[RecipientEncryptedKey]


@sequence
class OriginatorPublicKey:
    """RFC 5652 §6.2.2."""

    algorithm: list[TLV]
    key: BitString


@sequence
class GcmParameters:
    """RFC 5084 §3.2. An absent size of the tag means 12 bytes."""

    nonce: bytes
    tag_size: int | None


@sequence
class EncryptedContentInfo:
    """RFC 5652 §6.1."""

    content_type: ObjectIdentifier
    algorithm: list[TLV]
    content: Annotated[bytes, Implicit(0)]


@sequence
class EnvelopedData:
    """RFC 5652 §6.1. The set is kept raw: many senders do not sort it."""

    version: int
    originator: Annotated[list[TLV] | None, Implicit(0)]
    recipients: TLV
    content: EncryptedContentInfo
    unprotected: Annotated[list[TLV] | None, Implicit(1)]


@sequence
class AuthEnvelopedData:
    """RFC 5083 §2.1."""

    version: int
    originator: Annotated[list[TLV] | None, Implicit(0)]
    recipients: TLV
    content: EncryptedContentInfo
    attributes: Annotated[list[TLV] | None, Implicit(1)]
    mac: bytes
    unprotected: Annotated[list[TLV] | None, Implicit(2)]


@sequence
class _Boxed:
    """The library reads a list as a field only."""

    values: list[TLV]


@dataclass(frozen=True)
class Envelope:
    """An EnvelopedData or AuthEnvelopedData, read and not yet opened."""

    authenticated: bool
    """It is an AuthEnvelopedData."""
    recipients: tuple[bytes, ...]
    """RecipientInfos in DER, in their order."""
    content_type: str
    """Dotted type of what is encrypted."""
    algorithm: list[TLV]
    pieces: Pieces
    """The encrypted content, in order."""
    attributes: tuple[bytes, ...] = ()
    """authAttrs in DER, in the order of a DER SET OF."""
    mac: bytes = b""

    @property
    def size(self) -> int:
        """Bytes of the encrypted content."""
        return self.pieces.size


SMALL = 64 * 1024
"""Bytes below which DER is tried first, with a copy of the content. Above, a copy costs more than the one pass."""


def read(cms: bytes) -> Envelope:
    """`cms`, BER or DER and nothing after it. Raises ValueError, TooMany, NotYet (another content type)."""
    return cursor.read(cms, SMALL, der, indefinite)


def der(cms: bytes) -> Envelope:
    """The same from DER only."""
    info = decode_der(asn1.ContentInfo, cms)
    authenticated = _is_authenticated(info.content_type.dotted_string)
    data = info.content.parse(AuthEnvelopedData if authenticated else EnvelopedData)
    content, kind = data.content, data.content.content_type.dotted_string
    pieces = Pieces(content.content, array("Q", (0, len(content.content))))
    recipients = _recipients(_settled(data.recipients))
    for each in (*content.algorithm, *(data.originator or ()), *(data.unprotected or ())):
        _settled(each)
    if not authenticated:
        return Envelope(False, recipients, kind, content.algorithm, pieces)
    attributes = tuple(sorted(map(_settled, data.attributes or ())))
    return Envelope(True, recipients, kind, content.algorithm, pieces, attributes, data.mac)


def _settled(value: TLV) -> bytes:
    """The value, which is DER to its depth. Raises ValueError: then it is read, and made DER, in one pass."""
    found = asn1.whole(value)
    if ber.normalise(found) != found:
        raise ValueError("BER within DER")
    return found


def _is_authenticated(kind: str) -> bool:
    """Raises NotYet by its name for what is not encrypted."""
    if kind not in (ENVELOPED, AUTH_ENVELOPED):
        raise NotYet(_OTHERS.get(kind, f"content type {kind}"))
    return kind == AUTH_ENVELOPED


def indefinite(cms: bytes) -> Envelope:
    """The same from BER, in one pass."""
    cursor = Cursor(cms)
    cursor.enter(0x30)
    authenticated = _is_authenticated(dotted(cursor.part()))
    cursor.enter(0xA0)
    cursor.enter(0x30)
    envelope = _inside(cursor, authenticated=authenticated)
    for _ in range(3):
        cursor.leave()
    cursor.finish()
    return envelope


def _inside(cursor: Cursor, *, authenticated: bool) -> Envelope:
    """RFC 5652 §6.1, RFC 5083 §2.1."""
    decode_der(int, cursor.part())
    if cursor.tag == 0xA0:
        cursor.part()  # originatorInfo: certificates and CRLs that encryption does not need
    recipients = _recipients(cursor.part())
    content_type, algorithm, pieces = _content(cursor)
    attributes, mac = _authentication(cursor) if authenticated else ((), b"")
    if cursor.tag in (0xA1, 0xA2):
        cursor.part()  # unprotected: nobody vouches for them
    return Envelope(authenticated, recipients, content_type, algorithm, pieces, attributes, mac)


def _recipients(value: bytes) -> tuple[bytes, ...]:
    if value[:1] != b"\x31":
        raise ValueError("no set of recipients")
    found: list[bytes] = []
    for each in ber.members(ber.content(value)):
        found.append(each)
        if len(found) > MAX_RECIPIENTS:
            raise TooMany("too many recipients")
    return tuple(found)


def _content(cursor: Cursor) -> tuple[str, list[TLV], Pieces]:
    """EncryptedContentInfo. RFC 5652 §6.1 lets the content be elsewhere; a letter has it inside."""
    cursor.enter(0x30)
    content_type = dotted(cursor.part())
    algorithm = values(cursor.part())
    pieces = cursor.octets(0x80)
    cursor.leave()
    return content_type, algorithm, pieces


def _authentication(cursor: Cursor) -> tuple[tuple[bytes, ...], bytes]:
    attributes: tuple[bytes, ...] = ()
    if cursor.tag == 0xA1:
        attributes = tuple(sorted(ber.members(ber.content(cursor.part()))))
    return attributes, decode_der(bytes, cursor.part())


# --- open types ----------------------------------------------------------------------------------------------


def dotted(value: bytes) -> str:
    """The dotted form of a DER object identifier. Raises ValueError."""
    return decode_der(ObjectIdentifier, value).dotted_string


def values(der: bytes) -> list[TLV]:
    """What a DER SEQUENCE holds: the identifier of an AlgorithmIdentifier, its parameters. Raises ValueError."""
    return decode_der(_Boxed, ber.tlv(0x30, der)).values


def parameters_of(algorithm: list[TLV]) -> bytes:
    """The DER of the parameters of an AlgorithmIdentifier. Raises ValueError where there are none."""
    if len(algorithm) != 2:
        raise ValueError("an algorithm without its parameters")
    return asn1.whole(algorithm[1])


def parameters(algorithm: list[TLV], shape: type[_T]) -> _T:
    """The parameters of an AlgorithmIdentifier, as `shape`. Raises ValueError where they are not that."""
    return decode_der(shape, parameters_of(algorithm))


def nested(algorithm: list[TLV]) -> list[TLV]:
    """The parameters of an AlgorithmIdentifier that are one themselves. Raises ValueError."""
    return values(parameters_of(algorithm))


def retagged(tag: int, value: bytes) -> bytes:
    """A DER value with another one-byte tag: what IMPLICIT does."""
    return bytes([tag]) + value[1:]
