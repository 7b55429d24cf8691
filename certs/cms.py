"""CMS signatures (RFC 5652 §5) over bytes that travel beside them: made with a Signer, answered with a Proof.

Promises: `verify` never raises on what a stranger sent and never answers Trusted unless there is exactly
one signer, the digest and the signature hold over the content as given, every signed attribute we know
agrees, and the trust store vouches for the certificate. Content is taken as it is: line endings are the
caller's business. Does not: read MIME, compare addresses, counter-signatures or time stamps, RSASSA-PSS or
EdDSA (CannotTell, named), encryption.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.asn1 import encode_der

from certs import algorithms, asn1, attributes, ber, chain, meter, strength
from certs.chain import TrustStore
from certs.keys import Signer
from certs.model import CannotTell, Fault, Proof, Trust, Untrusted
from certs.profiles import Profile

_SIGNED_DATA = "1.2.840.113549.1.7.2"


class _Stop(Exception):
    """Inside this file only: a check said no; carries the answer."""

    def __init__(self, answer: Untrusted | CannotTell) -> None:
        super().__init__(answer.fault.value)
        self.answer = answer


def _no(fault: Fault, detail: str = "") -> _Stop:
    return _Stop(Untrusted(fault, detail))


def verify(cms: bytes, content: bytes, store: TrustStore, profile: Profile, at: datetime) -> Proof:
    """Whether `cms` (a BER or DER ContentInfo) is one trusted signature over exactly `content`, at `at`."""
    with meter.step("verify"):
        try:
            signature = _open(cms)
        except _Stop as stop:
            return Proof(stop.answer)
        return signature.proof(_Question(content, store, profile, at))


def encapsulated(cms: bytes) -> bytes | None:
    """The content that a SignedData carries inside, or None if it is detached. Raises ValueError.

    It proves nothing: give it to `verify` as the content.
    """
    try:
        return _signed_data(cms).encapsulated.content
    except _Stop as stop:
        raise ValueError(stop.answer.detail or stop.answer.fault.value) from stop


def sign(content: bytes, signer: Signer, at: datetime, hash_name: str = "sha256") -> bytes:
    """A detached signature over `content`: DER ContentInfo with the signer's certificate and chain.

    `hash_name`: sha256, sha384 or sha512. Raises ValueError for another hash or a key that signs no CMS here,
    and what the signer raises (KeeperDown).
    """
    if hash_name not in strength.HASHES:
        raise ValueError(f"no signature is made with {hash_name}")
    with meter.step("sign"):
        certificate = chain.read(signer.certificate)
        signed = attributes.compose(content, signer.certificate, at, hash_name)
        digest = hashlib.new(hash_name, ber.set_of(*signed)).digest()
        signature = signer.sign_digest(digest, hash_name)
        info = _signer_info(certificate, signed, signature, hash_name)
        return _content_info(info, (signer.certificate, *signer.chain), hash_name)


def _signer_info(certificate: x509.Certificate, signed: tuple[bytes, ...], signature: bytes, hash_name: str) -> bytes:
    """RFC 5652 §5.3, version 1: the signer by issuer and serial number."""
    return ber.tlv(
        0x30,
        encode_der(1),
        ber.tlv(0x30, certificate.issuer.public_bytes(), encode_der(certificate.serial_number)),
        algorithms.digest_identifier(hash_name),
        ber.tlv(0xA0, *signed),
        algorithms.signature_identifier(certificate, hash_name),
        encode_der(signature),
    )


def _content_info(info: bytes, certificates: Iterable[bytes], hash_name: str) -> bytes:
    """RFC 5652 §5.1: detached, so the encapsulated content is only named."""
    data = ber.tlv(
        0x30,
        encode_der(1),
        ber.set_of(algorithms.digest_identifier(hash_name)),
        ber.tlv(0x30, algorithms.oid(attributes.DATA)),
        ber.tlv(0xA0, *sorted(certificates)),
        ber.set_of(info),
    )
    return ber.tlv(0x30, algorithms.oid(_SIGNED_DATA), ber.tlv(0xA0, data))


def _signed_data(cms: bytes) -> asn1.SignedData:
    """DER is tried first: nearly all signatures are, and it costs a hundredth."""
    if len(cms) > ber.MAX_BYTES:
        raise _no(Fault.TOO_LARGE, "the signature is too large")
    try:
        return _parsed(cms)
    except ValueError:
        pass  # it is BER, or nothing
    try:
        return _parsed(ber.normalise(cms))
    except ValueError as error:
        raise _no(Fault.UNREADABLE, "not CMS") from error


def _parsed(der: bytes) -> asn1.SignedData:
    info = asn1.decode_der(asn1.ContentInfo, der)
    kind = info.content_type.dotted_string
    if kind != _SIGNED_DATA:
        raise _Stop(CannotTell(Fault.UNSUPPORTED, f"content type {kind}"))
    data: asn1.SignedData = info.content.parse(asn1.SignedData)
    return data


def _open(cms: bytes) -> _Signature:
    data = _signed_data(cms)
    try:
        signer = _only_signer(data)
        digest, signature = (
            asn1.algorithm(signer.digest_algorithm),
            asn1.algorithm(signer.signature_algorithm),
        )
    except ValueError as error:
        raise _no(Fault.UNREADABLE, "a signer is unreadable") from error
    return _Signature(data.encapsulated, signer, digest, signature, _certificates(data))


def _certificates(data: asn1.SignedData) -> tuple[bytes, ...]:
    """The X.509 ones; RFC 5652 §10.2.2 knows others, all obsolete or of no use here."""
    found = tuple(asn1.whole(each) for each in data.certificates or () if bytes(each.tag_bytes) == b"\x30")
    if len(found) > chain.MAX_EXTRA:
        raise _no(Fault.TOO_LARGE, "too many certificates")
    return found


def _only_signer(data: asn1.SignedData) -> asn1.SignerInfo:
    signers = list(ber.members(bytes(data.signer_infos.data)))
    if not signers:
        raise _no(Fault.NO_SIGNER)
    # RFC 5652 allows several; one letter has one author, and a second signer is how verdicts were confused.
    if len(signers) > 1:
        raise _no(Fault.SEVERAL_SIGNERS, f"{len(signers)} signers")
    return asn1.decode_der(asn1.SignerInfo, signers[0])


@dataclass(frozen=True)
class _Question:
    """What is asked about a signature."""

    content: bytes
    store: TrustStore
    profile: Profile
    at: datetime


@dataclass(frozen=True)
class _Signature:
    """A SignedData with one signer, read but not yet believed."""

    inside: asn1.EncapsulatedContentInfo
    signer: asn1.SignerInfo
    digest: str
    signature: str
    certificates: tuple[bytes, ...]

    def proof(self, asked: _Question) -> Proof:
        claimed: datetime | None = None
        try:
            signed = attributes.read(self.signer)
            if isinstance(signed, Untrusted):
                raise _Stop(signed)
            claimed = attributes.signing_time(signed)
            trust = self._trust(asked, signed)
        except _Stop as stop:
            trust = stop.answer
        except chain.UNREADABLE as error:
            trust = Untrusted(Fault.UNREADABLE, f"a part of the signature: {type(error).__name__}")
        return Proof(trust, claimed, algorithms.name(self.digest), self.signature, self.certificates)

    def _trust(self, asked: _Question, signed: Mapping[str, bytes]) -> Trust:
        """RFC 5652 §5.4 and §5.6, then the trust store."""
        der = self._certificate()
        certificate = chain.read(der)
        doubt = (
            strength.weak_key(certificate, asked.profile.min_rsa_bits)
            or algorithms.doubt(self.digest, self.signature)
            or self._disagreement(asked, signed, der)
            or self._broken(asked.content, certificate)
        )
        if doubt is not None:
            return type(doubt)(doubt.fault, doubt.detail, chain.identity(der))
        return asked.store.judge(der, self.certificates, asked.profile, asked.at)

    def _certificate(self) -> bytes:
        for der in self.certificates:
            if _is_signers(der, self.signer.signer):
                return der
        raise _no(Fault.NO_CERTIFICATE, "the signer's certificate is not in the message")

    def _disagreement(self, asked: _Question, signed: Mapping[str, bytes], certificate: bytes) -> Untrusted | None:
        """Whether anything in the message speaks of another content, or another signer."""
        # Two contents, one shown and one signed, is a known trick: what is inside must be what was asked.
        if self.inside.content is not None and self.inside.content != asked.content:
            return Untrusted(Fault.DIGEST_MISMATCH, "the signature carries another content")
        kind = self.inside.content_type.dotted_string
        if self.signer.signed_attributes is None:
            return _bare(asked.content, kind)
        hash_name = algorithms.DIGESTS[self.digest]
        return attributes.disagreement(signed, asked.content, kind, hash_name, certificate, asked.at)

    def _broken(self, content: bytes, certificate: x509.Certificate) -> Untrusted | None:
        """RFC 5652 §5.4: the signature is over the content or, if there are attributes, over their SET OF."""
        listed = self.signer.signed_attributes
        signed = content if listed is None else ber.tlv(0x31, *map(asn1.whole, listed))
        return algorithms.check(certificate, self.digest, self.signature, self.signer.signature, signed)


def _bare(content: bytes, kind: str) -> Untrusted | None:
    """Whether a signature without signed attributes may be over `content`."""
    # RFC 5652 §5.3: attributes must be there for any other content type.
    if kind != attributes.DATA:
        return Untrusted(Fault.BAD_ATTRIBUTES, "signed attributes are absent")
    # A content that is itself a SET OF Attribute could be the attributes of another letter's signature.
    if content[:1] == b"\x31":
        return Untrusted(Fault.BAD_ATTRIBUTES, "the content looks like signed attributes")
    return None


def _is_signers(der: bytes, signer: asn1.IssuerAndSerialNumber | bytes) -> bool:
    """RFC 5652 §5.3: by issuer and serial number, or by subject key identifier."""
    try:
        certificate = chain.read(der)
        if isinstance(signer, bytes):
            extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
            return extension.value.digest == signer
    except (x509.ExtensionNotFound, *chain.UNREADABLE):
        return False
    same_serial = certificate.serial_number == signer.serial
    return same_serial and certificate.issuer.public_bytes() == asn1.whole(signer.issuer)
