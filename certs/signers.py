"""The checks on one signer of a SignedData: each one function with a name, which its refusal carries.

Promises: a check answers None, or why not; a signature counts only when none of them objects, and then the trust store
has the last word. In order: what contradicts itself, what is weak or unknown, whose certificate it is, what the signed
attributes say against what they are about, the signature. Unsigned attributes are believed by nobody and not looked
at. Does not: read the message (signed), or judge certificates (chain).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import PublicKeyAlgorithmOID

from certs import algorithms, asn1, ber, strength
from certs import attributes as attribute
from certs.algorithms import Scheme
from certs.attributes import Attributes
from certs.identities import UNREADABLE, read
from certs.model import CannotTell, Fault, Untrusted
from certs.profiles import Profile
from certs.signed import DATA, Signed, type_name

SKEW = timedelta(days=1)
"""How far in the future a claimed signing time may lie: clocks and time zones of others are often wrong."""

Answer: TypeAlias = Untrusted | CannotTell


@dataclass(frozen=True)
class Policy:
    """What is asked of a signature beyond what always holds."""

    without_attributes: bool = False
    """Whether a signature over the bare content counts: such a one can be moved to another message."""
    content_types: frozenset[str] = frozenset({DATA})
    """Dotted types of content (RFC 8551 §2.4.1: a letter is id-data)."""


STRICT = Policy()


@dataclass(frozen=True)
class SignerName:
    """How a SignerInfo names its certificate (RFC 5652 §5.3): issuer and serial number, or key identifier."""

    issuer: bytes = b""
    """DER."""
    serial: int = 0
    key_identifier: bytes = b""

    def names(self, der: bytes) -> bool:
        """Whether it is this certificate. False for bytes that are none."""
        try:
            if self.key_identifier:
                return _key_identifier(der) == self.key_identifier
            return _issuer_and_serial(der) == (self.issuer, self.serial)
        except UNREADABLE:
            return False


_REMEMBERED = 128
"""Certificates of at most identities.MAX_CERTIFICATE bytes."""


@lru_cache(maxsize=_REMEMBERED)
def parsed(der: bytes) -> x509.Certificate:
    """A certificate, read once. Raises ValueError."""
    return read(der)


@lru_cache(maxsize=_REMEMBERED)
def _issuer_and_serial(der: bytes) -> tuple[bytes, int]:
    certificate = parsed(der)
    return certificate.issuer.public_bytes(), certificate.serial_number


def _key_identifier(der: bytes) -> bytes | None:
    try:
        return parsed(der).extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return None


@dataclass(frozen=True)
class Content:
    """What is signed: buffers in their order. A digest is taken once, however many signers there are."""

    pieces: Sequence[bytes | memoryview] | Iterable[memoryview]
    _digests: dict[str, bytes] = field(default_factory=dict, repr=False)

    def digest(self, hash_name: str) -> bytes:
        if hash_name not in self._digests:
            running = hashlib.new(hash_name)
            for piece in self.pieces:
                running.update(piece)
            self._digests[hash_name] = running.digest()
        return self._digests[hash_name]

    @property
    def first(self) -> int:
        """The first octet; -1 where there is none."""
        return next((piece[0] for piece in self.pieces if len(piece)), -1)

    def equals(self, other: Content) -> bool:
        """Compared by digest: neither need be in one piece."""
        return hmac.compare_digest(self.digest("sha256"), other.digest("sha256"))


@dataclass(frozen=True)
class Case:
    """One SignerInfo, with everything that it is compared with."""

    message: Signed
    info: asn1.SignerInfo
    scheme: Scheme
    attributes: Attributes | None
    """None: it signs the content itself."""
    candidates: tuple[bytes, ...]
    """DER certificates that it may mean."""
    content: Content
    inside: Content | None
    profile: Profile
    policy: Policy
    at: datetime

    @cached_property
    def certificate(self) -> x509.Certificate:
        return parsed(self.candidates[0])

    @property
    def signed_digest(self) -> bytes:
        """RFC 5652 §5.4: over the content or, if there are attributes, over their SET OF in DER."""
        listed = self.info.signed_attributes
        if listed is None:
            return self.content.digest(self.scheme.hash_name)
        return hashlib.new(self.scheme.hash_name, ber.tlv(0x31, *map(asn1.whole, listed))).digest()

    def said(self, kind: str) -> bytes | None:
        return self.attributes.one(kind) if self.attributes else None


Check: TypeAlias = Callable[[Case], Answer | None]


def first_doubt(case: Case) -> Answer | None:
    """The first check that objects, called by its name in this module. Raises ValueError on unreadable parts."""
    return (
        attributes_once(case)
        or known_algorithms(case)
        or listed_digest(case)
        or version_fits(case)
        or content_type_allowed(case)
        or attributes_there(case)
        or certificate_there(case)
        or certificate_single(case)
        or strong_key(case)
        or key_permits(case)
        or hashes_agree(case)
        or pss_parameters(case)
        or content_type_agrees(case)
        or inside_agrees(case)
        or digest_agrees(case)
        or certificate_v2_agrees(case)
        or certificate_v1_agrees(case)
        or protection_agrees(case)
        or time_plausible(case)
        or signature_holds(case)
    )


def _bad(detail: str, check: str) -> Untrusted:
    return Untrusted(Fault.BAD_ATTRIBUTES, detail, check=check)


def _named(doubt: Answer | None, check: str) -> Answer | None:
    return type(doubt)(doubt.fault, doubt.detail, check=check) if doubt else None


# --- what contradicts itself, what is weak or unknown ---------------------------------------------------------


def attributes_once(case: Case) -> Answer | None:
    """RFC 5652 §5.3, §11: no attribute twice, and one value each for those which matter here."""
    if case.attributes is None:
        return None
    for kind, values in case.attributes.values.items():
        if kind in case.attributes.repeated or (kind in attribute.ONCE and len(values) != 1):
            return _bad(f"attribute {kind} is not there exactly once", "attributes-once")
    return None


def known_algorithms(case: Case) -> Answer | None:
    return _named(algorithms.doubt(case.scheme), "known-algorithms")


def listed_digest(case: Case) -> Answer | None:
    """RFC 5652 §5.1: digestAlgorithms lists those of all signers; one that is not listed may be refused, and is."""
    if case.scheme.digest in case.message.digests:
        return None
    return _bad("the digest algorithm is not among those listed", "listed-digest")


def version_fits(case: Case) -> Answer | None:
    """RFC 5652 §5.3: 1 with issuer and serial number, 3 with a key identifier."""
    expected = 3 if isinstance(case.info.signer, bytes) else 1
    return None if case.info.version == expected else _bad("the signer's version is another", "version-fits")


def content_type_allowed(case: Case) -> Answer | None:
    kind = case.message.content_type
    if kind in case.policy.content_types:
        return None
    return CannotTell(Fault.UNSUPPORTED, type_name(kind), check="content-type-allowed")


def attributes_there(case: Case) -> Answer | None:
    """RFC 5652 §5.3: for any content that is not id-data they must be there; our policy asks for them always."""
    if case.attributes is not None:
        return None
    if not case.policy.without_attributes or case.message.content_type != DATA:
        return _bad("signed attributes are absent", "attributes-there")
    # A content that is itself a SET OF Attribute could be the attributes of another letter's signature.
    looks_alike = case.content.first == 0x31
    return _bad("the content looks like signed attributes", "attributes-there") if looks_alike else None


# --- whose certificate ----------------------------------------------------------------------------------------


def certificate_there(case: Case) -> Answer | None:
    if case.candidates:
        return None
    detail = "the signer's certificate is not in the message"
    return Untrusted(Fault.NO_CERTIFICATE, detail, check="certificate-there")


def certificate_single(case: Case) -> Answer | None:
    """Two certificates of one issuer and serial number, or one key identifier: readers choose differently."""
    if len(set(case.candidates)) == 1:
        return None
    return Untrusted(Fault.AMBIGUOUS, "two certificates answer to the signer's name", check="certificate-single")


def strong_key(case: Case) -> Answer | None:
    try:
        doubt = strength.weak_key(case.certificate, case.profile.min_rsa_bits)
    except UnsupportedAlgorithm:
        doubt = CannotTell(Fault.UNSUPPORTED, f"key {case.certificate.public_key_algorithm_oid.dotted_string}")
    return _named(doubt, "strong-key")


def key_permits(case: Case) -> Answer | None:
    """RFC 4055 §1.2: a key whose certificate says RSASSA-PSS signs nothing else."""
    only_pss = case.certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS
    if not only_pss or case.scheme.family == "pss":
        return None
    return _bad("the key is for RSASSA-PSS only", "key-permits")


# --- what the signature says of itself ------------------------------------------------------------------------


def hashes_agree(case: Case) -> Answer | None:
    """RFC 5754 §3: the hash of digestAlgorithm is that of signatureAlgorithm, where the latter names one."""
    stated = case.scheme.stated_hash
    if stated in ("", case.scheme.hash_name):
        return None
    return _bad("digest and signature algorithm name two hashes", "hashes-agree")


def pss_parameters(case: Case) -> Answer | None:
    return _named(algorithms.pss_doubt(case.scheme), "pss-parameters")


def content_type_agrees(case: Case) -> Answer | None:
    """RFC 5652 §11.1."""
    if case.attributes is None or case.said(attribute.CONTENT_TYPE) == algorithms.oid(case.message.content_type):
        return None
    return _bad("contentType is absent or another", "content-type-agrees")


def inside_agrees(case: Case) -> Answer | None:
    """Two contents, one shown and one signed, is a known trick: what is inside must be what was asked."""
    if case.inside is None or case.inside is case.content or case.inside.equals(case.content):
        return None
    return Untrusted(Fault.DIGEST_MISMATCH, "the signature carries another content", check="inside-agrees")


def digest_agrees(case: Case) -> Answer | None:
    """RFC 5652 §11.2."""
    if case.attributes is None:
        return None
    stated = case.said(attribute.MESSAGE_DIGEST)
    if stated is None:
        return _bad("messageDigest is absent", "digest-agrees")
    if hmac.compare_digest(asn1.decode_der(bytes, stated), case.content.digest(case.scheme.hash_name)):
        return None
    return Untrusted(Fault.DIGEST_MISMATCH, "the content is not what was signed", check="digest-agrees")


def certificate_v2_agrees(case: Case) -> Answer | None:
    """RFC 5035 §5.4: where it is there, it binds the signature to this very certificate."""
    value = case.said(attribute.SIGNING_CERTIFICATE_V2)
    if value is None:
        return None
    named = asn1.decode_der(asn1.SigningCertificateV2, value).certificates
    fits = bool(named) and _names(named[0], case.candidates[0]) and _same_serial(named[0].issuer_serial, case)
    return None if fits else _bad("signingCertificateV2 names another certificate", "certificate-v2-agrees")


def _names(named: asn1.EssCertIdV2, certificate: bytes) -> bool:
    hash_name = algorithms.DIGESTS.get(asn1.algorithm(named.algorithm), "") if named.algorithm else "sha256"
    return bool(hash_name) and hashlib.new(hash_name, certificate).digest() == named.digest


def _same_serial(issuer_serial: list[asn1.TLV] | None, case: Case) -> bool:
    """RFC 5035 §5: where it is stated. The issuer's name, which the hash covers, may be written in another way."""
    return not issuer_serial or issuer_serial[-1].parse(int) == case.certificate.serial_number


def certificate_v1_agrees(case: Case) -> Answer | None:
    """RFC 2634 §5.4, SHA-1 by its format: it vouches for nothing, and a contradiction is a contradiction."""
    value = case.said(attribute.SIGNING_CERTIFICATE)
    if value is None:
        return None
    named = asn1.decode_der(asn1.SigningCertificate, value).certificates
    hashed = hashlib.sha1(case.candidates[0], usedforsecurity=False).digest()
    fits = bool(named) and hashed == named[0].digest and _same_serial(named[0].issuer_serial, case)
    return None if fits else _bad("signingCertificate names another certificate", "certificate-v1-agrees")


def protection_agrees(case: Case) -> Answer | None:
    """RFC 6211 §3: the algorithms that the signer protected are those of the SignerInfo."""
    value = case.said(attribute.ALGORITHM_PROTECTION)
    if value is None:
        return None
    told = asn1.decode_der(asn1.AlgorithmProtection, value)
    same_digest = asn1.algorithm(told.digest) == case.scheme.digest
    signature = _with_parameters(told.signature) if told.signature else None
    if told.mac is None and same_digest and signature == _with_parameters(case.info.signature_algorithm):
        return None
    return _bad("the protected algorithms are others", "protection-agrees")


def _with_parameters(identifier: list[asn1.TLV]) -> tuple[bytes, ...]:
    """NULL is as good as absent (RFC 6211 §3: compared by meaning)."""
    return tuple(each for each in map(asn1.whole, identifier) if each != b"\x05\x00")


def time_plausible(case: Case) -> Answer | None:
    claimed = case.attributes.signing_time if case.attributes else None
    if claimed is None or claimed <= case.at + SKEW:
        return None
    return _bad("signingTime is in the future", "time-plausible")


def signature_holds(case: Case) -> Answer | None:
    doubt = algorithms.check(case.certificate, case.scheme, case.info.signature, case.signed_digest)
    return _named(doubt, "signature-holds")
