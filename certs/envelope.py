"""CMS encryption (RFC 5652 §6, RFC 5083): a letter for the holders of certificates, and a letter opened.

Promises: `encrypt` uses a fresh key each time, AES-256-GCM and OAEP with SHA-256 unless a Recipe says otherwise, and
writes to no weak key. `decrypt` never raises on what a stranger sent; whatever depends on a key or a padding has
one answer, with one text, after the same work (RFC 3218 §2.3). Neither needs more memory than the letter twice.
Does not: read MIME, look up certificates or judge their chains (chain); what is not yet read is CannotTell by its
name: X25519, ChaCha20-Poly1305, shared keys and passwords, brainpool curves, compressed data.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from cryptography.hazmat.asn1 import encode_der

from certs import addressees, algorithms, ber, contents, enveloped, identities, meter
from certs.addressees import Entry, Kind, Manner, Question
from certs.contents import CIPHERS, ContentCipher, Sealing
from certs.cursor import TooMany
from certs.enveloped import DATA, Envelope
from certs.model import CannotTell, Fault, Untrusted
from certs.openers import CannotOpen, Opener, Padding

MAX_CERTIFICATES = 200
"""Recipients of one encryption. One letter to more people is several."""
MAX_TRIES = 8
"""Openings of one letter: each costs a private key's work and a pass over the content."""
MIN_RSA_BITS = 2048


# --- encrypt -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recipe:
    """How to encrypt. Raises ValueError for what we do not write."""

    content: str = "aes-256-gcm"
    """A key of contents.CIPHERS. CBC authenticates nothing: for correspondents who read nothing else."""
    transport: Literal["oaep", "pkcs1v15"] = "oaep"
    """For RSA. PKCS #1 v1.5 for correspondents who read nothing else."""
    hash_name: str = "sha256"
    """Of OAEP and of its mask: sha256, sha384, sha512."""
    kdf_hash: str = ""
    """Of the derivation for EC: the same, or empty for what is as strong as each curve (RFC 5753 §8)."""
    cofactor: bool = False
    """The cofactor scheme for EC."""
    by_key_identifier: bool = False
    """Name recipients by subject key identifier, not by issuer and serial number."""

    def __post_init__(self) -> None:
        strong = ("sha256", "sha384", "sha512")
        if self.content not in CIPHERS or self.transport not in ("oaep", "pkcs1v15"):
            raise ValueError(f"nothing is encrypted with {self.content} and {self.transport}")
        if self.hash_name not in strong or self.kdf_hash not in ("", *strong):
            raise ValueError("nothing is encrypted with such a hash")

    def manner(self) -> Manner:
        padding = Padding(self.transport, self.hash_name, self.hash_name)
        return Manner(padding, self.kdf_hash, self.cofactor, self.by_key_identifier)


FACTORY = Recipe()


def encrypt(content: bytes, certificates: Sequence[bytes], recipe: Recipe = FACTORY, *, inner: str = DATA) -> bytes:
    """`content` for the holders of these DER certificates: a DER ContentInfo. A certificate twice counts once.

    `inner`: dotted type of the content; DATA for what is MIME. Raises ValueError naming what cannot be used: no
    certificate or over MAX_CERTIFICATES, an unreadable or weak one, one whose usage does not permit encryption.
    """
    with meter.step("encrypt"):
        distinct = tuple(dict.fromkeys(certificates))
        _require_usable(distinct)
        sealing = Sealing.fresh(CIPHERS[recipe.content])
        infos = [addressees.written(each, sealing.key, recipe.manner()) for each in distinct]
        version = 2 if any(info.version for info in infos) else 0
        return _composed(content, sealing, [info.der for info in infos], version, inner)


def apart(
    content: bytes, open_recipients: Sequence[bytes], hidden: Sequence[bytes], recipe: Recipe = FACTORY
) -> tuple[bytes, tuple[bytes, ...]]:
    """One encryption for the recipients whom everybody sees, and one of its own, with its own key, for each Bcc.

    So no RecipientInfo of a hidden recipient stands where somebody else reads it. The first is empty where nobody is
    open. Raises ValueError as `encrypt` does, before anything is encrypted.
    """
    _require_usable(tuple(dict.fromkeys((*open_recipients, *hidden))))
    for_open = encrypt(content, open_recipients, recipe) if open_recipients else b""
    return for_open, tuple(encrypt(content, (each,), recipe) for each in hidden)


def _require_usable(certificates: Sequence[bytes]) -> None:
    if not certificates:
        raise ValueError("nobody to encrypt to")
    if len(certificates) > MAX_CERTIFICATES:
        raise ValueError(f"{len(certificates)} recipients are too many for one letter")
    refusals = [reason for each in certificates if (reason := addressees.refusal(each, MIN_RSA_BITS))]
    if refusals:
        raise ValueError("; ".join(refusals))


def _composed(content: bytes, sealing: Sealing, infos: Sequence[bytes], version: int, inner: str) -> bytes:
    """Every header is counted before, so that the whole is written once, in its place."""
    authenticated = sealing.cipher.mode == "gcm"
    attributes = _attributes(inner) if authenticated and inner != DATA else ()
    size, tail = sealing.size(content), len(sealing.tail(attributes))
    described = algorithms.oid(inner) + sealing.identifier()
    encrypted = _opening(0x30, described + _opening(0x80, b"", size), size)
    # RFC 5083 §2.1: version 0. RFC 5652 §6.1: 0 or 2, for nothing here asks for 3.
    before = encode_der(0 if authenticated else version) + ber.set_of(*infos) + encrypted
    kind = algorithms.oid(enveloped.AUTH_ENVELOPED if authenticated else enveloped.ENVELOPED)
    head = _opening(0x30, before, size + tail)
    head = _opening(0x30, kind + _opening(0xA0, head, size + tail), size + tail)
    return sealing.between(head, content, attributes)


def _opening(tag: int, begun: bytes, more: int) -> bytes:
    """The header of a value, and its content so far; `more` bytes follow."""
    return bytes([tag]) + ber.length(len(begun) + more) + begun


def _attributes(inner: str) -> tuple[bytes, ...]:
    """RFC 5083 §2.1: content-type must be there for what is not data."""
    return (ber.tlv(0x30, algorithms.oid(enveloped.CONTENT_TYPE), ber.set_of(algorithms.oid(inner))),)


# --- decrypt -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Opened:
    """A letter in clear."""

    content: bytes = field(repr=False)
    authenticated: bool
    """False under CBC: anybody on the way may have changed the content, block by block (EFAIL)."""
    algorithm: str
    """Of the content: 'aes-256-gcm'."""
    recipient: str
    """SHA-256 of the DER certificate that opened it, lower-case hexadecimal."""
    content_type: str = DATA
    """Dotted type of the content."""


def decrypt(cms: bytes, openers: Sequence[Opener]) -> Opened | Untrusted | CannotTell:
    """What is in `cms` (a BER or DER ContentInfo), for whoever has one of these openers.

    Untrusted(NOT_FOR_US): it names no certificate of the openers. Untrusted(CANNOT_OPEN): it does, and does not open.
    Untrusted(UNREADABLE, TOO_LARGE, BAD_ATTRIBUTES): anybody can see that it is none. CannotTell(UNSUPPORTED): not
    yet; the detail is the name of what is missing. Under CBC with PKCS #1 v1.5, one wrong letter in 256 opens as
    noise (RFC 3218 §2.3.2). Raises what an opener raises where its key cannot be reached.
    """
    with meter.step("decrypt"):
        read = _readable(cms)
        if not isinstance(read, _Readable):
            return read
        tries = _tries(read, openers)
        if not isinstance(tries, tuple):
            return tries
        return _first(read, tries)


@dataclass(frozen=True)
class _Readable:
    """A letter which everybody can see to be one."""

    envelope: Envelope
    cipher: ContentCipher
    entries: tuple[Entry, ...]


_Try = tuple[Question, Opener]


def _readable(cms: bytes) -> _Readable | Untrusted | CannotTell:
    if len(cms) > ber.MAX_BYTES:
        return _too_large("the letter is too large")
    try:
        envelope = enveloped.read(cms)
        cipher = contents.cipher_of(envelope)
        misfit = misfit_of(envelope, cipher)
        return misfit or _Readable(envelope, cipher, addressees.entries(envelope.recipients))
    except enveloped.NotYet as later:
        return _later(str(later))
    except TooMany as error:
        return _too_large(str(error))
    except ValueError:
        return _unreadable()


def misfit_of(envelope: Envelope, cipher: ContentCipher) -> Untrusted | None:
    """Why the content cannot be what it says, as anybody can see. Raises ValueError."""
    return (
        contents.mode_misfit(envelope, cipher)
        or contents.size_misfit(envelope, cipher)
        or contents.attribute_misfit(envelope)
    )


def _tries(read: _Readable, openers: Sequence[Opener]) -> tuple[_Try, ...] | Untrusted | CannotTell:
    """Who is asked, in the order of the letter; or the answer where nobody can be."""
    later = next((entry.kind for entry in read.entries if entry.info is None), "")
    usable: list[_Try] = []
    named = _named(read.entries, openers)
    try:
        for entry, opener in named:
            asked = _question(entry, opener)
            if isinstance(asked, str):
                later = asked
            else:
                usable.append((asked, opener))
    except ValueError:
        return _unreadable()
    if usable:
        return tuple(usable[:MAX_TRIES])
    if later:
        return _later(later)
    return Untrusted(Fault.NOT_FOR_US, "it names no certificate of ours", check="not-for-us")


def _named(entries: Sequence[Entry], openers: Sequence[Opener]) -> list[tuple[Entry, Opener]]:
    distinct = {opener.certificate: opener for opener in openers}
    holders = [(addressees.holder(certificate), opener) for certificate, opener in distinct.items()]
    return [(entry, opener) for entry in entries for held, opener in holders if entry.rid.names(held)]


def _question(entry: Entry, opener: Opener) -> Question | str:
    """Or the name of what a later version must bring. Raises ValueError."""
    try:
        return entry.question(opener)
    except enveloped.NotYet as later:
        return str(later)


def _first(read: _Readable, tries: Sequence[_Try]) -> Opened | Untrusted:
    for ask, opener in tries:
        content = _tried(read, ask)
        if content is not None:
            fingerprint = hashlib.sha256(opener.certificate).hexdigest()
            envelope = read.envelope
            return Opened(content, envelope.authenticated, read.cipher.name, fingerprint, envelope.content_type)
    return CANNOT_OPEN


def _tried(read: _Readable, ask: Question) -> bytes | None:
    """RFC 3218 §2.3.2 for all kinds: without a key, the content is tried with a random one, and then it is no."""
    size = read.cipher.size
    spare = os.urandom(size)
    try:
        key = ask(size)
    except CannotOpen:
        key = b""
    fits = len(key) == size
    content = contents.opened(read.envelope, read.cipher, key if fits else spare)
    return content if fits else None


CANNOT_OPEN = Untrusted(Fault.CANNOT_OPEN, "it does not open with a key of ours", check="cannot-open")
"""The one answer about everything that depends on a key or a padding."""


def _unreadable() -> Untrusted:
    return Untrusted(Fault.UNREADABLE, "not an encrypted letter", check="readable")


def _too_large(detail: str) -> Untrusted:
    return Untrusted(Fault.TOO_LARGE, detail, check="budget")


def _later(name: str) -> CannotTell:
    return CannotTell(Fault.UNSUPPORTED, name, check="supported")


# --- looked at -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RecipientName:
    """One recipient, as written in clear."""

    kind: Kind
    issuer: str
    """RFC 4514; empty where the key identifier names the certificate, or nothing does."""
    serial: int
    key_identifier: bytes
    algorithm: str
    """'rsa-oaep', 'ecdh-sha256kdf, aes256-wrap' …; the number of one without a name."""


def recipients(cms: bytes) -> tuple[RecipientName, ...]:
    """Whom a letter names, in its order, as anybody can see. Raises ValueError where it is no encrypted letter."""
    try:
        return tuple(map(_recipient_name, addressees.entries(enveloped.read(cms).recipients)))
    except enveloped.NotYet as later:
        raise ValueError(f"not an encrypted letter: {later}") from later


def algorithm(cms: bytes) -> str:
    """The name of the content's algorithm: 'aes-256-gcm'. Raises ValueError where it is no encrypted letter."""
    try:
        return contents.name(enveloped.read(cms))
    except enveloped.NotYet as later:
        raise ValueError(f"not an encrypted letter: {later}") from later


def _recipient_name(entry: Entry) -> RecipientName:
    rid = entry.rid
    issuer = identities.name(rid.issuer) if rid.issuer else ""
    return RecipientName(entry.kind, issuer, rid.serial, rid.key_identifier, entry.algorithm)
