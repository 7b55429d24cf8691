"""The encrypted content itself: AES-GCM and AES-CBC over a whole letter (RFC 5084, RFC 3565), made and opened.

Promises: a content of n bytes costs n bytes of memory beside it; under GCM nothing comes out before the tag holds
over all of it (RFC 5084 §1.3). Does not: find the key (addressees), nor say why a content did not open: a key that
is wrong, a tag and a padding have one answer.
"""

from __future__ import annotations

import hmac
import io
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.asn1 import encode_der
from cryptography.hazmat.primitives.ciphers import AEADDecryptionContext, Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from certs import algorithms, asn1, ber, enveloped
from certs.enveloped import Envelope, GcmParameters, NotYet
from certs.model import Fault, Untrusted

_BLOCK = 16
_NONCE = 12
_TAG = 16
_TAG_SIZES = range(12, 17)  # RFC 5084 §3.2
_NONCE_SIZES = range(8, 129)
_Update: TypeAlias = Callable[[memoryview, memoryview], int]
_AES = "2.16.840.1.101.3.4.1"


@dataclass(frozen=True)
class ContentCipher:
    """One way to encrypt a content."""

    name: str
    oid: str
    size: int
    """Bytes of its key."""
    mode: Literal["gcm", "cbc"]


CIPHERS = {
    cipher.name: cipher
    for cipher in (
        ContentCipher("aes-128-gcm", f"{_AES}.6", 16, "gcm"),
        ContentCipher("aes-192-gcm", f"{_AES}.26", 24, "gcm"),
        ContentCipher("aes-256-gcm", f"{_AES}.46", 32, "gcm"),
        ContentCipher("aes-128-cbc", f"{_AES}.2", 16, "cbc"),
        ContentCipher("aes-192-cbc", f"{_AES}.22", 24, "cbc"),
        ContentCipher("aes-256-cbc", f"{_AES}.42", 32, "cbc"),
    )
}
_BY_OID = {cipher.oid: cipher for cipher in CIPHERS.values()}
_LATER = {
    f"{_AES}.7": "aes-128-ccm",
    f"{_AES}.27": "aes-192-ccm",
    f"{_AES}.47": "aes-256-ccm",
    "1.2.840.113549.1.9.16.3.18": "ChaCha20-Poly1305",
    "1.2.840.113549.1.9.16.3.31": "cek-hkdf-sha256",
    "1.2.840.113549.3.7": "des-ede3-cbc",
    "1.2.840.113549.3.2": "rc2-cbc",
    "1.3.14.3.2.7": "des-cbc",
    "1.2.392.200011.61.1.1.1.2": "camellia-128-cbc",
    "1.2.392.200011.61.1.1.1.3": "camellia-192-cbc",
    "1.2.392.200011.61.1.1.1.4": "camellia-256-cbc",
}


def name(envelope: Envelope) -> str:
    """Of the content encryption algorithm; its number where we know no name. Raises ValueError."""
    oid = asn1.algorithm(envelope.algorithm)
    return _BY_OID[oid].name if oid in _BY_OID else _LATER.get(oid, f"algorithm {oid}")


def cipher_of(envelope: Envelope) -> ContentCipher:
    """Raises NotYet by its name for an algorithm that we do not read, ValueError."""
    found = _BY_OID.get(asn1.algorithm(envelope.algorithm))
    if found is None:
        raise NotYet(name(envelope))
    return found


# --- what anybody can see without a key ----------------------------------------------------------------------


def mode_misfit(envelope: Envelope, cipher: ContentCipher) -> Untrusted | None:
    """RFC 5084 §1: GCM goes into AuthEnvelopedData only, where the tag is; CBC authenticates nothing."""
    if envelope.authenticated == (cipher.mode == "gcm"):
        return None
    return Untrusted(Fault.BAD_ATTRIBUTES, f"{cipher.name} in the wrong kind of envelope", check="mode-misfit")


def size_misfit(envelope: Envelope, cipher: ContentCipher) -> Untrusted | None:
    """Whether nonce, tag and content have sizes that the mode knows. Raises ValueError on other parameters."""
    if cipher.mode == "gcm":
        nonce, size = _gcm(envelope)
        fits = len(nonce) in _NONCE_SIZES and size in _TAG_SIZES and len(envelope.mac) == size
    else:
        iv = enveloped.parameters(envelope.algorithm, bytes)
        fits = len(iv) == _BLOCK and envelope.size > 0 and envelope.size % _BLOCK == 0
    return None if fits else Untrusted(Fault.UNREADABLE, "a size that the mode does not know", check="size-misfit")


def attribute_misfit(envelope: Envelope) -> Untrusted | None:
    """RFC 5083 §2.1: what is not data says its type under the tag too, once, and there it is the same."""
    stated = [values for kind, values in map(_attribute, envelope.attributes) if kind == enveloped.CONTENT_TYPE]
    expected = [ber.set_of(algorithms.oid(envelope.content_type))]
    if not envelope.authenticated or stated == expected or (not stated and envelope.content_type == enveloped.DATA):
        return None
    return Untrusted(Fault.BAD_ATTRIBUTES, "contentType is absent or another", check="attribute-misfit")


def _attribute(der: bytes) -> tuple[str, bytes]:
    attribute = asn1.decode_der(asn1.Attribute, der)
    return attribute.kind.dotted_string, asn1.whole(attribute.values)


def _gcm(envelope: Envelope) -> tuple[bytes, int]:
    """(nonce, bytes of the tag)"""
    found = enveloped.parameters(envelope.algorithm, GcmParameters)
    return found.nonce, 12 if found.tag_size is None else found.tag_size


# --- opened --------------------------------------------------------------------------------------------------


def opened(envelope: Envelope, cipher: ContentCipher, key: bytes) -> bytes | None:
    """The content under `key`, which has the cipher's size; None where it does not open. First ask the misfits."""
    if cipher.mode == "gcm":
        return _opened_gcm(envelope, key)
    return _opened_cbc(envelope, key)


def _opened_gcm(envelope: Envelope, key: bytes) -> bytes | None:
    nonce, size = _gcm(envelope)
    context = Cipher(AES(key), modes.GCM(nonce, envelope.mac, min_tag_length=size)).decryptor()
    if envelope.attributes:
        # RFC 5083 §2.2: authenticated as the DER of a SET OF, not with the tag that they travel under.
        context.authenticate_additional_data(ber.tlv(0x31, *envelope.attributes))
    room = _room(envelope.size + _BLOCK)
    with room.getbuffer() as view:
        _fill(context.update_into, envelope.pieces, view)
    return _cut(room, envelope.size) if tag_holds(context) else None


def tag_holds(context: AEADDecryptionContext) -> bool:
    """Whether all that went through is what was encrypted. Asked once, at the end."""
    try:
        context.finalize()
    except (InvalidTag, ValueError):  # ValueError, where an older error of this thread still lies in OpenSSL's list
        return False
    return True


def _opened_cbc(envelope: Envelope, key: bytes) -> bytes | None:
    iv = enveloped.parameters(envelope.algorithm, bytes)
    context = Cipher(AES(key), modes.CBC(iv)).decryptor()
    room = _room(envelope.size + _BLOCK)
    with room.getbuffer() as view:
        _fill(context.update_into, envelope.pieces, view)
        last = bytes(view[envelope.size - _BLOCK : envelope.size])
    size = padding_size(last)
    return _cut(room, envelope.size - size) if size else None


def padding_size(last: bytes) -> int:
    """RFC 5652 §6.3: how many bytes of the last block are padding; 0 if it is no padding."""
    size = last[-1]
    expected = last[: _BLOCK - size] + bytes([size]) * size if 0 < size <= _BLOCK else b""
    return size if hmac.compare_digest(last, expected) else 0


def _fill(update_into: _Update, pieces: Iterable[memoryview], view: memoryview) -> None:
    at = 0
    for piece in pieces:
        at += update_into(piece, view[at:])


# --- made ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sealing:
    """A cipher with a fresh key and nonce, for one content."""

    cipher: ContentCipher
    key: bytes
    nonce: bytes

    @staticmethod
    def fresh(cipher: ContentCipher) -> Sealing:
        """RFC 5084 §3.2 SHOULD: a nonce of 12 bytes. RFC 3565 §2.3.2: an IV of 16."""
        return Sealing(cipher, os.urandom(cipher.size), os.urandom(_NONCE if cipher.mode == "gcm" else _BLOCK))

    def identifier(self) -> bytes:
        """The AlgorithmIdentifier."""
        parameters = encode_der(self.nonce)
        if self.cipher.mode == "gcm":
            parameters = ber.tlv(0x30, parameters, encode_der(_TAG))
        return ber.tlv(0x30, algorithms.oid(self.cipher.oid), parameters)

    def size(self, content: bytes) -> int:
        """Bytes of `content` when encrypted, without a tag."""
        return len(content) if self.cipher.mode == "gcm" else len(content) + _BLOCK - len(content) % _BLOCK

    def tail(self, attributes: tuple[bytes, ...]) -> bytes:
        """RFC 5083 §2.1: what stands after the encrypted content, under GCM, with an empty tag."""
        if self.cipher.mode == "cbc":
            return b""
        return (ber.tlv(0xA1, *attributes) if attributes else b"") + ber.tlv(0x04, bytes(_TAG))

    def between(self, head: bytes, content: bytes, attributes: tuple[bytes, ...]) -> bytes:
        """`head`, the encrypted content, the tail with its tag: written once, in one piece."""
        return self._cbc(head, content) if self.cipher.mode == "cbc" else self._gcm(head, content, attributes)

    def _gcm(self, head: bytes, content: bytes, attributes: tuple[bytes, ...]) -> bytes:
        additional = ber.tlv(0x31, *attributes) if attributes else None  # RFC 5083 §2.2
        tail = self.tail(attributes)
        end = len(head) + len(content)
        room = _room(end + len(tail))
        with room.getbuffer() as view:
            view[: len(head)] = head
            AESGCM(self.key).encrypt_into(self.nonce, content, additional, view[len(head) : end + _TAG])
            tag = bytes(view[end : end + _TAG])  # the library puts it where the tail belongs
            view[end:] = tail[:-_TAG] + tag
        return room.getvalue()

    def _cbc(self, head: bytes, content: bytes) -> bytes:
        context = Cipher(AES(self.key), modes.CBC(self.nonce)).encryptor()
        even = len(content) - len(content) % _BLOCK
        missing = _BLOCK - len(content) % _BLOCK
        room = _room(len(head) + even + _BLOCK)
        with room.getbuffer() as view:
            view[: len(head)] = head
            context.update_into(memoryview(content)[:even], view[len(head) :])
            view[len(head) + even :] = context.update(content[even:] + bytes([missing]) * missing)
        return room.getvalue()


# --- room ----------------------------------------------------------------------------------------------------
# A BytesIO gives its bytes away without a copy (getvalue), and can be written in place before (getbuffer).


def _room(size: int) -> io.BytesIO:
    """`size` bytes, at least one, to be written in place."""
    room = io.BytesIO()
    room.seek(size - 1)
    room.write(b"\0")
    return room


def _cut(room: io.BytesIO, size: int) -> bytes:
    room.truncate(size)
    return room.getvalue()
