"""SignedData (RFC 5652 §5), read in one pass: what is inside as views, the small parts as DER.

Promises: the content inside is never copied, however large and in however many pieces; more certificates or signers
than a message may bring is TooMany. Does not: check anything that the parts say (signers), nor use a key.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from cryptography.x509 import ObjectIdentifier

from certs import asn1, ber, cursor
from certs.cursor import MAX_PART, Cursor, Pieces, TooMany

MAX_CERTIFICATES = 32
MAX_SIGNERS = 16
"""Each costs a digest and a signature check: a letter has one author, rarely a second."""

DATA = "1.2.840.113549.1.7.1"
SIGNED_DATA = "1.2.840.113549.1.7.2"
_OTHERS = {
    DATA: "data",
    "1.2.840.113549.1.7.3": "enveloped-data",
    "1.2.840.113549.1.7.5": "digested-data",
    "1.2.840.113549.1.7.6": "encrypted-data",
    "1.2.840.113549.1.9.16.1.2": "authenticated-data",
    "1.2.840.113549.1.9.16.1.9": "compressed-data",
    "1.2.840.113549.1.9.16.1.23": "authEnveloped-data",
}


class NotSigned(Exception):
    """CMS of another type; the text is its name, or its number."""


@dataclass(frozen=True)
class Signed:
    """A SignedData, read but not believed."""

    digests: frozenset[str]
    """Dotted digestAlgorithms."""
    content_type: str
    inside: Pieces | None
    """The encapsulated content; None where it travels beside."""
    certificates: tuple[bytes, ...]
    """X.509 certificates in DER, as carried. RFC 5652 §10.2.2 knows other kinds, all obsolete or of no use here."""
    signers: tuple[bytes, ...]
    """SignerInfos in DER, in their order."""


SMALL = 256 * 1024
"""Bytes below which DER is tried first: nearly every signature is, and reading it so costs a tenth."""


def read(cms: bytes) -> Signed:
    """Raises NotSigned, TooMany, or ValueError on anything that is no CMS."""
    return cursor.read(cms, SMALL, der, indefinite)


def der(cms: bytes) -> Signed:
    """The same from DER only."""
    info = asn1.decode_der(asn1.ContentInfo, cms)
    _signed_data(info.content_type.dotted_string)
    data = info.content.parse(asn1.SignedData)
    content = data.encapsulated.content
    return Signed(
        _digests(asn1.whole(data.digest_algorithms)),
        data.encapsulated.content_type.dotted_string,
        None if content is None else Pieces(content, array("Q", (0, len(content)))),
        _x509s(_few(map(asn1.whole, data.certificates or ()), MAX_CERTIFICATES, "certificates")),
        _few(ber.members(bytes(data.signer_infos.data)), MAX_SIGNERS, "signers"),
    )


def indefinite(cms: bytes) -> Signed:
    """The same from BER, in one pass."""
    cursor = Cursor(cms)
    _open(cursor)
    cursor.enter(0x30)
    cursor.part()  # the version follows from the rest, and nothing follows from it
    digests = _digests(cursor.part())
    content_type, inside = _encapsulated(cursor)
    certificates = _members(cursor, 0xA0, MAX_CERTIFICATES, "certificates")
    if cursor.tag == 0xA1:
        cursor.skip()  # CRLs that a stranger brings along are not used: ours are fetched and dated
    signers = _members(cursor, 0x31, MAX_SIGNERS, "signers")
    for _ in range(3):
        cursor.leave()
    cursor.finish()
    return Signed(digests, content_type, inside, _x509s(certificates), signers)


def kind(cms: bytes) -> str:
    """What a CMS message is, by its outermost type and, for one without signers, 'certs-only'; 'unreadable' if none."""
    try:
        return "signed-data" if read(cms).signers else "certs-only"
    except NotSigned as other:
        return str(other)
    except TooMany:
        return "signed-data"
    except ValueError:
        return "unreadable"


def _open(cursor: Cursor) -> None:
    """RFC 5652 §3: into ContentInfo and its content."""
    cursor.enter(0x30)
    _signed_data(_dotted(cursor.part()))
    cursor.enter(0xA0)


def _signed_data(dotted: str) -> None:
    if dotted != SIGNED_DATA:
        raise NotSigned(type_name(dotted))


def type_name(dotted: str) -> str:
    """The name of a content type where we know one, 'content type …' with its number otherwise."""
    return _OTHERS.get(dotted, f"content type {dotted}")


def _encapsulated(cursor: Cursor) -> tuple[str, Pieces | None]:
    """RFC 5652 §5.2."""
    cursor.enter(0x30)
    content_type, inside = _dotted(cursor.part()), None
    if cursor.tag != -1:
        cursor.enter(0xA0)
        inside = cursor.octets(0x04)
        cursor.leave()
    cursor.leave()
    return content_type, inside


def _members(cursor: Cursor, tag: int, most: int, what: str) -> tuple[bytes, ...]:
    """The values in the set ahead, in their order; nothing where an optional set is absent."""
    if cursor.tag != tag and tag == 0xA0:
        return ()
    cursor.enter(tag)
    found = _few(_parts(cursor), most, what)
    cursor.leave()
    return found


def _parts(cursor: Cursor) -> Iterator[bytes]:
    left = MAX_PART
    while cursor.tag != -1:
        part = cursor.part()
        left -= len(part)
        if left < 0:
            raise TooMany("too large certificates or signers")
        yield part


def _few(values: Iterable[bytes], most: int, what: str) -> tuple[bytes, ...]:
    found = tuple(islice(values, most + 1))
    if len(found) > most:
        raise TooMany(f"too many {what}")
    return found


def _x509s(certificates: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(each for each in certificates if each[:1] == b"\x30")


def _digests(der: bytes) -> frozenset[str]:
    if der[:1] != b"\x31":
        raise ValueError("no set of digest algorithms")
    return frozenset(_dotted(next(ber.members(ber.content(each)), b"")) for each in ber.members(ber.content(der)))


def _dotted(der: bytes) -> str:
    identifier: ObjectIdentifier = asn1.decode_der(ObjectIdentifier, der)
    return identifier.dotted_string
