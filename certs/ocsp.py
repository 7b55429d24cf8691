"""OCSP (RFC 6960): the question about one certificate, and what an answer is worth.

Promises: an answer counts only when the certificate's issuer, or a responder that this very issuer named, signed it
with a strong algorithm; an answer to another question (another nonce, another certificate) is refused by
name. SHA-1 finds certificates in CertID, where the format fixes it, and proves nothing. Does not: send
anything, keep answers, or judge how old one may be (revocation does).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs import ber, crl, strength
from certs.crl import extension, name_key
from certs.identities import UNREADABLE
from certs.model import Consulted

MAX_ANSWER = 64 * 1024
"""Bytes of one answer, certificates of its responder included."""
MAX_SINGLES = 100
MAX_BROUGHT = 8
"""Certificates of the answer that are looked at."""
NONCE_BYTES = 32
"""RFC 9654 §2.1."""
REQUEST_TYPE, ANSWER_TYPE = "application/ocsp-request", "application/ocsp-response"

ID_HASHES: dict[str, hashes.HashAlgorithm] = {"sha256": hashes.SHA256(), "sha1": hashes.SHA1()}  # noqa: S303
"""Of CertID, in the order in which we ask: many responders know SHA-1 only (RFC 5019 §2.1.1 fixed it)."""


# --- the question ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """One request, kept until its answer is there."""

    der: bytes = field(repr=False)
    nonce: bytes = field(repr=False)


def question(certificate: x509.Certificate, issuer: x509.Certificate, id_hash: str = "sha256") -> Question:
    """Asks about one certificate, with a nonce that nobody can foresee. `id_hash`: of ID_HASHES."""
    nonce = os.urandom(NONCE_BYTES)
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, ID_HASHES[id_hash])
    request = builder.add_extension(x509.OCSPNonce(nonce), critical=False).build()
    return Question(request.public_bytes(Encoding.DER), nonce)


# --- the answer -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Single:
    """What is said of one certificate."""

    status: ocsp.OCSPCertStatus
    this_update: datetime
    until: datetime | None
    """nextUpdate; None: newer word is always to be had (RFC 6960 §4.2.2.1)."""
    id_hash: str
    name_hash: bytes
    key_hash: bytes
    serial: int


@dataclass(frozen=True, eq=False)
class Answer:
    """One successful response, as read; nothing in it is believed yet."""

    der: bytes = field(repr=False)
    response: ocsp.OCSPResponse = field(repr=False)
    responder: str = ""
    """Its name, or its key's hash in hexadecimal."""
    singles: tuple[Single, ...] = ()
    nonce: bytes | None = field(default=None, repr=False)
    _signed_for: dict[bytes, x509.Certificate | None] = field(default_factory=dict, repr=False)

    @property
    def produced_at(self) -> datetime:
        return self.response.produced_at_utc

    def about(self, certificate: x509.Certificate, issuer: x509.Certificate) -> Single | None:
        """What it says of this certificate of this issuer: all of CertID must fit (RFC 6960 §4.1.1)."""
        return next((each for each in self.singles if fits(each, certificate, issuer)), None)

    def signer_for(self, issuer: x509.Certificate) -> x509.Certificate | None:
        """The certificate whose key signed it and which may speak for `issuer`; None if there is none."""
        key = issuer.public_bytes(Encoding.DER)
        if key not in self._signed_for:
            at_hand = (issuer, *_brought(self.response))
            self._signed_for[key] = next((each for each in at_hand if _speaks(self.response, each, issuer)), None)
        return self._signed_for[key]

    def consulted(self, single: Single, *, stale: bool = False) -> Consulted:
        produced = self.produced_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        name = f"{self.responder}#{single.serial:x}@{produced}"
        digest = hashlib.sha256(self.der).hexdigest()
        return Consulted("ocsp", name, digest, single.until, stale, self.der)


def read(der: bytes) -> Answer:
    """A successful answer from its DER. Raises ValueError, which says what is wrong, for anything else."""
    if len(der) > MAX_ANSWER:
        raise ValueError("the OCSP answer is too large")
    try:
        return _read(der, ocsp.load_der_ocsp_response(der))
    except UNREADABLE as error:
        why = str(error) if isinstance(error, ValueError) else type(error).__name__
        raise ValueError(f"no usable OCSP answer: {why}") from error


def _read(der: bytes, response: ocsp.OCSPResponse) -> Answer:
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise ValueError(f"responder says {response.response_status.name.lower()}")
    nonce = extension(response.extensions, x509.OCSPNonce)
    for each in response.extensions:
        if each.critical and not isinstance(each.value, x509.OCSPNonce):
            raise ValueError(f"critical extension {each.oid.dotted_string}")
    return Answer(der, response, _responder(response), tuple(_singles(response)), nonce.nonce if nonce else None)


def _singles(response: ocsp.OCSPResponse) -> Iterator[Single]:
    for count, each in enumerate(response.responses):
        if count == MAX_SINGLES:
            raise ValueError("too many certificates in one answer")
        name = each.hash_algorithm.name
        if name in ID_HASHES:
            yield Single(
                each.certificate_status,
                each.this_update_utc,
                each.next_update_utc,
                name,
                each.issuer_name_hash,
                each.issuer_key_hash,
                each.serial_number,
            )


def replayed(asked: Question, answer: Answer) -> str:
    """Why `answer` does not answer this question; empty if it may. RFC 6960 §4.4.1, RFC 9654 §2.1.

    An answer without a nonce was made before we asked, as many responders do; then its dates decide.
    """
    if answer.nonce is None or answer.nonce == asked.nonce:
        return ""
    return "the nonce is not ours: an answer to another question"


# --- what an answer is worth ----------------------------------------------------------------------------------------


def fits(single: Single, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """CertID names issuer and serial: RFC 6960 §4.1.1."""
    if single.serial != certificate.serial_number:
        return False
    name, key = id_hashes(issuer, single.id_hash)
    return single.name_hash == name and single.key_hash == key


def id_hashes(issuer: x509.Certificate, id_hash: str) -> tuple[bytes, bytes]:
    """(issuerNameHash, issuerKeyHash); the key is the BIT STRING's content without its first octet."""
    spki = list(ber.members(ber.content(crl.public_key(issuer))))
    key = ber.content(spki[1])[1:]
    return _digest(id_hash, issuer.subject.public_bytes()), _digest(id_hash, key)


def _digest(id_hash: str, data: bytes) -> bytes:
    return hashlib.new(id_hash, data, usedforsecurity=False).digest()


def _brought(response: ocsp.OCSPResponse) -> Sequence[x509.Certificate]:
    try:
        return response.certificates[:MAX_BROUGHT]
    except UNREADABLE:
        return ()


def _speaks(response: ocsp.OCSPResponse, signer: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether this one is the responder, may answer for `issuer`, and signed; a certificate with odd names is not."""
    try:
        return is_responder(response, signer) and may_answer(signer, issuer) and signature_holds(response, signer)
    except UNREADABLE:
        return False


def is_responder(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    """ResponderID is the signer's name, or its key's hash (RFC 6960 §4.2.1)."""
    if response.responder_key_hash is not None:
        return id_hashes(signer, "sha1")[1] == response.responder_key_hash
    named = response.responder_name
    return named is not None and name_key(signer.subject) == name_key(named)


def may_answer(signer: x509.Certificate, issuer: x509.Certificate) -> bool:
    """RFC 6960 §4.2.2.2: the issuer itself, or whom this very issuer certified for id-kp-OCSPSigning."""
    if signer == issuer:
        return True
    purposes = extension(signer.extensions, x509.ExtendedKeyUsage)
    if purposes is None or ExtendedKeyUsageOID.OCSP_SIGNING not in purposes:
        return False
    return _usable(signer) and _issued_by(signer, issuer)


_KNOWN = (x509.KeyUsage, x509.ExtendedKeyUsage, x509.BasicConstraints, x509.SubjectAlternativeName, x509.OCSPNoCheck)


def _usable(signer: x509.Certificate) -> bool:
    usage = extension(signer.extensions, x509.KeyUsage)
    if any(each.critical and not isinstance(each.value, _KNOWN) for each in signer.extensions):
        return False
    if usage is not None and not (usage.digital_signature or usage.content_commitment):
        return False
    return strength.weak_hash(signer) is None and strength.weak_key(signer, crl.MIN_RSA_BITS) is None


def _issued_by(signer: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        signer.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def valid_at(signer: x509.Certificate, at: datetime) -> bool:
    return signer.not_valid_before_utc <= at <= signer.not_valid_after_utc


def not_to_be_checked(signer: x509.Certificate) -> bool:
    """RFC 6960 §4.2.2.2.1: its issuer says that the responder's own standing is not to be asked."""
    return extension(signer.extensions, x509.OCSPNoCheck) is not None


def signature_holds(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    """With a strong algorithm only; RSA with PKCS#1 v1.5 or ECDSA, as responders sign."""
    try:
        algorithm = response.signature_hash_algorithm
        if algorithm is None or algorithm.name not in strength.HASHES:
            return False
        return _verify(signer, response.signature, response.tbs_response_bytes, algorithm)
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False


def _verify(signer: x509.Certificate, signature: bytes, signed: bytes, algorithm: hashes.HashAlgorithm) -> bool:
    """Raises InvalidSignature."""
    key = signer.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, signed, padding.PKCS1v15(), algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, signed, ec.ECDSA(algorithm))
    else:
        return False
    return True


def _responder(response: ocsp.OCSPResponse) -> str:
    if response.responder_name is not None:
        return response.responder_name.rfc4514_string()
    return (response.responder_key_hash or b"").hex()
