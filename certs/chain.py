"""From a certificate to an anchor: the trust store, and its judgement of one certificate for one role.

Promises: always three answers. OpenSSL builds and checks the chain (RFC 5280 §6.1: signatures, validity,
basic constraints, path length, name constraints); we add profile, algorithm and key strength, and a CRL for
every certificate that is not an anchor: none means CannotTell. A store is an immutable snapshot, shared
freely between threads. Does not: fetch anything, follow addresses in certificates, vouch for a chain whose
authorities require explicit policies (a profile names its own), nor look at the clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, ObjectIdentifier
from OpenSSL import crypto

from certs import profiles, revocation, strength
from certs.model import CannotTell, Evidence, Fault, Identity, Trust, Trusted, Untrusted
from certs.profiles import Profile
from certs.revocation import Crl, Crls, Revocation, Standing

MAX_CERTIFICATE = 64 * 1024
"""Bytes of one DER certificate."""
MAX_EXTRA = 32
"""Certificates that a stranger may bring along."""

UNREADABLE = (
    ValueError,
    TypeError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)
"""All that cryptography raises on bytes which are no proper certificate."""

# OpenSSL's X509_V_ERR numbers (x509_vfy.h); what is not listed is a fault of the chain.
_FAULTS = {
    **dict.fromkeys((2, 18, 19, 20, 21, 27), Fault.UNKNOWN_ISSUER),
    **dict.fromkeys((4, 6, 7), Fault.BAD_SIGNATURE),
    **dict.fromkeys((9, 13), Fault.NOT_YET_VALID),
    **dict.fromkeys((10, 14), Fault.EXPIRED),
    **dict.fromkeys((26,), Fault.WRONG_USAGE),
    **dict.fromkeys(range(47, 54), Fault.NAME_CONSTRAINT),
    **dict.fromkeys((66, 67), Fault.WEAK_KEY),
    **dict.fromkeys((68,), Fault.WEAK_ALGORITHM),
}


# The library cannot be told an initial policy set, without which OpenSSL finds no policy at all: where an
# authority requires explicit policies (RFC 5280 §4.2.1.11) we cannot tell.
_NO_EXPLICIT_POLICY = 43


def read(der: bytes) -> x509.Certificate:
    """A certificate from its DER. Raises ValueError on unreadable or oversized bytes."""
    if len(der) > MAX_CERTIFICATE:
        raise ValueError("the certificate is too large")
    try:
        return x509.load_der_x509_certificate(der)
    except UNREADABLE as error:
        raise ValueError(f"unreadable certificate: {type(error).__name__}") from error


def identity(der: bytes) -> Identity:
    """Whom a DER certificate names. Raises ValueError on unreadable bytes. Says nothing about trust."""
    return _identity(read(der))


def _identity(certificate: x509.Certificate) -> Identity:
    try:
        return Identity(
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            serial=certificate.serial_number,
            fingerprint=_fingerprint(certificate),
            addresses=_addresses(certificate),
            common_name=_attribute(certificate, NameOID.COMMON_NAME),
            organisation=_attribute(certificate, NameOID.ORGANIZATION_NAME),
            unit=_attribute(certificate, NameOID.ORGANIZATIONAL_UNIT_NAME),
        )
    except UNREADABLE as error:
        raise ValueError(f"unreadable certificate: {type(error).__name__}") from error


def _fingerprint(certificate: x509.Certificate) -> str:
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def _addresses(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.get_values_for_type(x509.RFC822Name))


def _attribute(certificate: x509.Certificate, oid: ObjectIdentifier) -> str:
    """The first value of an attribute of the subject, or empty."""
    found = certificate.subject.get_attributes_for_oid(oid)
    return str(found[0].value) if found else ""


@dataclass(frozen=True, eq=False)
class TrustStore:
    """Anchors, known intermediates and CRLs at one moment. Reload by loading another."""

    anchors: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...] = ()
    crls: Crls = field(default_factory=lambda: Crls(()))

    @staticmethod
    def load(folder: Path) -> TrustStore:
        """Reads folder/anchors/*.pem, folder/intermediates/*.pem and folder/crls/*.{pem,der,crl}.

        Raises ValueError if a file is unreadable, naming it, and OSError if the folder cannot be read.
        """
        return TrustStore(
            anchors=tuple(_certificates(sorted((folder / "anchors").glob("*.pem")))),
            intermediates=tuple(_certificates(sorted((folder / "intermediates").glob("*.pem")))),
            crls=Crls(_crls(folder / "crls")),
        )

    def judge(self, leaf: bytes, extra: Sequence[bytes], profile: Profile, at: datetime) -> Trust:
        """Whether the DER certificate `leaf` may act as `profile` at `at`.

        `extra`: DER certificates that the stranger brought along; hints for the chain, never anchors.
        """
        try:
            certificate = read(leaf)
            who = _identity(certificate)
        except ValueError as error:
            return Untrusted(Fault.UNREADABLE, str(error))
        try:
            return self._judge(certificate, who, extra, profile, at)
        except UNREADABLE as error:
            return Untrusted(Fault.UNREADABLE, f"unreadable chain: {type(error).__name__}", who)

    def _judge(
        self, leaf: x509.Certificate, who: Identity, extra: Sequence[bytes], profile: Profile, at: datetime
    ) -> Trust:
        if len(extra) > MAX_EXTRA:
            return Untrusted(Fault.TOO_LARGE, "too many certificates beside the signer's", who)
        chain = self._chain(leaf, _readable(extra), at)
        if not isinstance(chain, tuple):
            return _about(chain, who)
        doubt = _weakness(chain, profile) or _misuse(leaf, profile)
        if doubt is not None:
            return _about(doubt, who)
        consulted = self._revocation(chain, at)
        if not isinstance(consulted, tuple):
            return _about(consulted, who)
        return Trusted(who, _evidence(chain, consulted, at))

    def _chain(
        self, leaf: x509.Certificate, extra: Iterable[x509.Certificate], at: datetime
    ) -> tuple[x509.Certificate, ...] | Untrusted | CannotTell:
        """The chain that OpenSSL found, leaf first and anchor last."""
        # An OpenSSL store carries the moment, so each judgement has its own: cheap, and nothing is shared.
        store = crypto.X509Store()
        for anchor in self._anchors:
            store.add_cert(anchor)
        store.set_flags(crypto.X509StoreFlags.POLICY_CHECK)
        store.set_time(at.astimezone(UTC))
        hints = [*self._intermediates, *map(crypto.X509.from_cryptography, extra)]
        try:
            found = crypto.X509StoreContext(store, crypto.X509.from_cryptography(leaf), hints).get_verified_chain()
        except crypto.X509StoreContextError as error:
            return _refused(error)
        return tuple(each.to_cryptography() for each in found)

    def _revocation(
        self, chain: tuple[x509.Certificate, ...], at: datetime
    ) -> tuple[str, ...] | Untrusted | CannotTell:
        """The CRLs consulted, one for each certificate under the anchor, or the first that says no.

        From the anchor downwards: a revoked authority's word about its certificates is worth nothing.
        """
        consulted: list[str] = []
        for place in range(len(chain) - 2, -1, -1):
            certificate = chain[place]
            answer = self.crls.ask(certificate, chain[place + 1 :], at)
            if answer.standing is not Standing.GOOD:
                return _refusal(answer, certificate)
            consulted.append(answer.crl)
        return tuple(consulted)

    @cached_property
    def _anchors(self) -> tuple[crypto.X509, ...]:
        """OpenSSL's own form, made once."""
        return tuple(map(crypto.X509.from_cryptography, self.anchors))

    @cached_property
    def _intermediates(self) -> tuple[crypto.X509, ...]:
        return tuple(map(crypto.X509.from_cryptography, self.intermediates))

    def anchors_pem(self) -> str:
        """The anchors, for a TLS library."""
        return "".join(each.public_bytes(Encoding.PEM).decode("ascii") for each in self.anchors)

    def crls_pem(self) -> str:
        """The CRLs that we understand, for a TLS library."""
        return "".join(each.listing.public_bytes(Encoding.PEM).decode("ascii") for each in self.crls)


def _refusal(answer: Revocation, certificate: x509.Certificate) -> Untrusted | CannotTell:
    if answer.standing is Standing.REVOKED:
        return Untrusted(Fault.REVOKED, answer.crl)
    if answer.standing is Standing.STALE:
        return CannotTell(Fault.STALE_CRL, answer.crl)
    return CannotTell(Fault.REVOCATION_UNKNOWN, f"no usable CRL of {certificate.issuer.rfc4514_string()}")


def _about(doubt: Untrusted | CannotTell, who: Identity) -> Untrusted | CannotTell:
    return type(doubt)(doubt.fault, doubt.detail, who)


def _refused(error: crypto.X509StoreContextError) -> Untrusted | CannotTell:
    number, depth, text = error.errors
    if number == _NO_EXPLICIT_POLICY:
        return CannotTell(Fault.UNSUPPORTED, f"{text} (depth {depth})")
    return Untrusted(_FAULTS.get(number, Fault.CHAIN), f"{text} (depth {depth})")


def _weakness(chain: tuple[x509.Certificate, ...], profile: Profile) -> Untrusted | CannotTell | None:
    """The first weak link. An anchor's own signature proves nothing and is not looked at; its key is."""
    for certificate in chain[:-1]:
        if doubt := strength.weak_hash(certificate):
            return doubt
    for certificate in chain:
        if doubt := strength.weak_key(certificate, profile.min_rsa_bits):
            return doubt
    return None


def _misuse(leaf: x509.Certificate, profile: Profile) -> Untrusted | None:
    lacking = profiles.misuse(leaf, profile)
    return Untrusted(Fault.WRONG_USAGE, lacking) if lacking else None


def _evidence(chain: tuple[x509.Certificate, ...], crls: tuple[str, ...], at: datetime) -> Evidence:
    return Evidence(
        at=at,
        chain=tuple(_fingerprint(each) for each in chain),
        crls=crls,
        algorithms=tuple(each.signature_algorithm_oid.dotted_string for each in chain[:-1]),
    )


def _readable(extra: Sequence[bytes]) -> list[x509.Certificate]:
    """The stranger's hints that are certificates at all; a hint that is not one is no reason to refuse."""
    kept = []
    for der in extra:
        try:
            kept.append(read(der))
        except ValueError:
            continue
    return kept


def _certificates(files: Iterable[Path]) -> Iterable[x509.Certificate]:
    for file in files:
        try:
            yield from x509.load_pem_x509_certificates(file.read_bytes())
        except UNREADABLE as error:
            raise ValueError(f"{file.name} holds no readable certificates") from error


_CRL_ENDINGS = frozenset({".pem", ".der", ".crl"})


def _crls(folder: Path) -> Iterable[Crl]:
    """The lists that we understand; any other leaves its issuer's certificates unknown."""
    for file in sorted(folder.glob("*")):
        if file.suffix not in _CRL_ENDINGS:
            continue
        try:
            crl = revocation.read(_crl_der(file.read_bytes()))
        except ValueError as error:
            raise ValueError(f"{file.name} holds no readable CRL") from error
        if crl is not None:
            yield crl


def _crl_der(data: bytes) -> bytes:
    return x509.load_pem_x509_crl(data).public_bytes(Encoding.DER) if data.lstrip().startswith(b"-----") else data
