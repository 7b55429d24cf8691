"""What lies in a file given to `pli certs`: a letter, a CMS object, certificates, a list, an answer, a request.

Promises: told by its bytes, never by its name; PEM, DER, BER and bare base64 are the same; a file that cannot be read
is Unreadable with one sentence. Does not: judge anything (certs does), nor keep a file open.
"""

from __future__ import annotations

import base64
import binascii
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from certs import cms, crl, identities
from certs import ocsp as answers
from certs.chain import TrustStore
from certs.keys import LocalSigner, SigningKey
from certs.openers import LocalOpener
from certs.revocation import Crls, Patience


class Unreadable(Exception):
    """One sentence for whoever typed the command."""


class Kind(StrEnum):
    LETTER = "letter"
    CMS = "cms"
    CERTIFICATE = "certificate"
    CRL = "crl"
    OCSP_ANSWER = "ocsp-answer"
    OCSP_QUESTION = "ocsp-question"
    REQUEST = "request"
    BYTES = "bytes"


@dataclass(frozen=True)
class Thing:
    """One file, read."""

    kind: Kind
    data: bytes = field(repr=False)
    """DER or BER of an object; the bytes of a letter, or of anything else."""
    more: tuple[Thing, ...] = field(default=(), repr=False)
    """Further objects of a PEM file, in their order."""


def raw(name: str) -> bytes:
    """The bytes of a file, or of standard input for '-'."""
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise Unreadable(f"{name} cannot be read: {error.strerror}") from None


def thing(name: str) -> Thing:
    """What is in a file. Raises Unreadable."""
    data = raw(name)
    if not data:
        raise Unreadable(f"{name} is empty")
    return recognised(data)


_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----([^-]+)-----END \1-----")
_BASE64 = re.compile(rb"[A-Za-z0-9+/=\s]+")
_PRIVATE = b"PRIVATE KEY"


def recognised(data: bytes) -> Thing:
    """What some bytes are."""
    if data[:1] == b"\x30" and (found := _object(data)) is not None:
        return found
    if _FIELD.match(data):
        return Thing(Kind.LETTER, data)
    if b"-----BEGIN " in data[:65536]:
        objects = [each for text in _pems(data) if (each := _object(text)) is not None]
        if objects:
            return Thing(objects[0].kind, objects[0].data, tuple(objects[1:]))
    if data[:1] == b"M" and _BASE64.fullmatch(data) and (found := _object(_plain(data))) is not None:
        return found
    return Thing(Kind.BYTES, data)


def _pems(data: bytes) -> Iterable[bytes]:
    """The objects of a PEM file; keys are passed over, for they are nothing to look at."""
    return (_plain(match[2]) for match in _PEM.finditer(data) if not match[1].endswith(_PRIVATE))


def _plain(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text)
    except binascii.Error:
        return b""


def _object(der: bytes) -> Thing | None:
    return next((Thing(kind, der) for kind, reads in _READERS.items() if _reads(reads, der)), None)


_READERS: dict[Kind, Callable[[bytes], object]] = {
    Kind.CERTIFICATE: identities.read,
    Kind.CRL: x509.load_der_x509_crl,
    Kind.OCSP_ANSWER: ocsp.load_der_ocsp_response,
    Kind.OCSP_QUESTION: ocsp.load_der_ocsp_request,
    Kind.REQUEST: x509.load_der_x509_csr,
    Kind.CMS: lambda der: _named_cms(der),
}


def _reads(reads: Callable[[bytes], object], der: bytes) -> bool:
    try:
        reads(der)
    except identities.UNREADABLE:
        return False
    return True


def _named_cms(der: bytes) -> str:
    kind = cms.kind(der)
    if kind == "unreadable":
        raise ValueError(kind)
    return kind


# --- certificates, keys and passphrases ----------------------------------------------------------------------


def certificates(names: Sequence[str]) -> tuple[bytes, ...]:
    """The DER certificates of all these files, which may hold several. Raises Unreadable."""
    return tuple(der for name in names for der in _certificates(name))


def holders(names: Sequence[str]) -> tuple[bytes, ...]:
    """One certificate of each file, the first: its issuers may follow it. Raises Unreadable."""
    return tuple(_certificates(name)[0] for name in names)


def _certificates(name: str) -> list[bytes]:
    found = thing(name)
    if found.kind is Kind.CMS:
        return list(_bundle(name, found.data))  # RFC 8551 §3.8: .p7c
    ders = [each.data for each in (found, *found.more) if each.kind is Kind.CERTIFICATE]
    if not ders:
        raise Unreadable(f"{name} holds no certificate")
    return ders


def _bundle(name: str, der: bytes) -> tuple[bytes, ...]:
    try:
        found = cms.certificates(der)
    except ValueError:
        found = ()
    if not found:
        raise Unreadable(f"{name} holds no certificate")
    return found


@dataclass(frozen=True)
class Keyed:
    """A private key with its certificates, its own first."""

    certificates: tuple[bytes, ...]
    key: object = field(repr=False)

    def signer(self) -> LocalSigner:
        if not isinstance(self.key, SigningKey):
            raise Unreadable("a key that is neither RSA nor EC signs nothing here")
        own, *chain = self.certificates
        return LocalSigner(own, tuple(chain), self.key)

    def opener(self) -> LocalOpener:
        return LocalOpener(self.certificates[0], self.key)


def keyed(key: str | None, cert: str | None, p12: str | None, passphrase_file: str | None) -> Keyed:
    """A key and its certificates from --key and --cert, or --p12. Raises Unreadable."""
    word = raw(passphrase_file).rstrip(b"\r\n") if passphrase_file else None
    if p12 and not (key or cert):
        return _from_p12(p12, word)
    if key and cert and not p12:
        return _from_pair(key, cert, word)
    raise Unreadable("whose key? --key FILE with --cert FILE, or --p12 FILE")


def _from_p12(name: str, word: bytes | None) -> Keyed:
    from cryptography.hazmat.primitives.serialization import pkcs12

    try:
        found = pkcs12.load_pkcs12(raw(name), word)
    except (ValueError, TypeError):
        raise Unreadable(f"{name} does not open as PKCS #12: another passphrase, or another file") from None
    if found.key is None or found.cert is None:
        raise Unreadable(f"{name} holds no key with its certificate")
    held = (found.cert, *found.additional_certs)
    return Keyed(tuple(each.certificate.public_bytes(Encoding.DER) for each in held), found.key)


def _from_pair(key_file: str, cert_file: str, word: bytes | None) -> Keyed:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

    data = raw(key_file)
    load = load_pem_private_key if b"-----BEGIN " in data else load_der_private_key
    try:
        key = load(data, word)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Unreadable(f"{key_file} holds no private key that opens: another passphrase, or another file") from None
    ders = certificates((cert_file,))
    if _public(key) != _public(identities.read(ders[0])):
        raise Unreadable(f"{key_file} is not the key of the first certificate of {cert_file}")
    return Keyed(ders, key)


def _public(holder: object) -> bytes:
    from cryptography.hazmat.primitives.serialization import PublicFormat

    key = holder.public_key()  # type: ignore[attr-defined]  # keys and certificates have it alike
    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


# --- whom we trust -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trusting:
    """Anchors, intermediates, lists and answers, in DER: all that a judgement starts from."""

    anchors: tuple[bytes, ...] = field(default=(), repr=False)
    intermediates: tuple[bytes, ...] = field(default=(), repr=False)
    crls: tuple[bytes, ...] = field(default=(), repr=False)
    answers: tuple[bytes, ...] = field(default=(), repr=False)

    def store(self, grace_hours: float = 0) -> TrustStore:
        """`grace_hours`: how long a list that is over still counts. Raises Unreadable."""
        try:
            lists = [crl.read(der) for der in self.crls]
            told = [answers.read(der) for der in self.answers]
            anchors, others = (tuple(map(identities.read, ders)) for ders in (self.anchors, self.intermediates))
        except ValueError as error:
            raise Unreadable(f"a list or an answer cannot be used: {error}") from None
        return TrustStore(anchors, others, Crls(lists, told, Patience(grace=timedelta(hours=grace_hours))))

    def and_(self, other: Trusting) -> Trusting:
        return Trusting(
            self.anchors + other.anchors,
            self.intermediates + other.intermediates,
            self.crls + other.crls,
            self.answers + other.answers,
        )


def folder(path: Path) -> Trusting:
    """A trust folder: anchors/, intermediates/, crls/, ocsp/. Raises Unreadable."""
    names = {part: [str(each) for each in sorted((path / part).glob("[!.]*"))] for part in _PARTS}
    if not names["anchors"]:
        raise Unreadable(f"{path} has no anchors/ with certificates")
    crls, told = listed((*names["crls"], *names["ocsp"]))
    return Trusting(certificates(names["anchors"]), certificates(names["intermediates"]), crls, told)


_PARTS = ("anchors", "intermediates", "crls", "ocsp")


def fetched(cache: Path) -> Trusting:
    """What the node's refresher fetched; a file that cannot be read is left out, for it is fetched again."""
    found = Trusting()
    for name in sorted((*(cache / "crls").glob("[!.]*"), *(cache / "ocsp").glob("[!.]*"))):
        try:
            crls, told = listed((str(name),))
        except Unreadable:
            continue
        found = found.and_(Trusting(crls=crls, answers=told))
    return found


def anchored(names: Sequence[str]) -> Trusting:
    """--anchors: PEM bundles, and folders like the node's trust folder. Raises Unreadable."""
    found = Trusting()
    for name in names:
        found = found.and_(folder(Path(name)) if Path(name).is_dir() else Trusting(certificates((name,))))
    return found


def listed(names: Sequence[str]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """--crls: lists and OCSP answers. Raises Unreadable naming a file that holds neither."""
    crls: list[bytes] = []
    told: list[bytes] = []
    for name in names:
        found = thing(name)
        for each in (found, *found.more):
            if each.kind not in (Kind.CRL, Kind.OCSP_ANSWER):
                raise Unreadable(f"{name} holds no CRL and no OCSP answer")
            (crls if each.kind is Kind.CRL else told).append(each.data)
    return tuple(crls), tuple(told)


# --- written -------------------------------------------------------------------------------------------------


def written(data: bytes, out: str | None) -> None:
    """To --out, or standard output. Raises Unreadable."""
    if out in (None, "-"):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        Path(str(out)).write_bytes(data)
    except OSError as error:
        raise Unreadable(f"{out} cannot be written: {error.strerror}") from None


def pem(label: str, der: bytes) -> bytes:
    body = base64.encodebytes(der).replace(b"\n", b"")
    lines = b"\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    return b"-----BEGIN %s-----\n%s\n-----END %s-----\n" % (label.encode(), lines, label.encode())
