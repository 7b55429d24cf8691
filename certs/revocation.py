"""Whether a certificate was revoked: CRLs, read once, asked in constant time.

Promises: three answers. A CRL counts only when its issuer's key signed it with a strong algorithm, its
scope holds the certificate and nothing in it is critical and unknown (RFC 5280 §5, §6.3). A serial on a CRL
is revoked even if that CRL has since gone stale. A delta CRL may add a
revocation and never vouches. Does not: fetch anything, read indirect CRLs or CRLs by reason, nor CRLs signed
by a key outside the chain: to these the answer is "unknown".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from certs import strength

MAX_CRL = 64 * 1024 * 1024
"""Bytes. A CRL larger than this is not read."""


class Standing(StrEnum):
    """What the CRLs say of one certificate."""

    GOOD = "good"
    REVOKED = "revoked"
    STALE = "stale"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Revocation:
    """The answer about one certificate; `crl` is 'issuer#crlNumber@thisUpdate' of the list that gave it."""

    standing: Standing
    crl: str = ""


@dataclass(frozen=True, eq=False)
class Crl:
    """One CRL, as loaded: its serials in a set, because cryptography's own look-up is linear."""

    listing: x509.CertificateRevocationList
    serials: frozenset[int]
    scope: x509.IssuingDistributionPoint | None
    delta: bool = False
    _signed_by: dict[bytes, bool] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        try:
            number = self.listing.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        except x509.ExtensionNotFound:
            number = 0
        issued = self.listing.last_update_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"{self.listing.issuer.rfc4514_string()}#{number}@{issued}"

    def signed_by(self, issuer: x509.Certificate) -> bool:
        """Whether this very issuer signed the list; checked once per issuer certificate."""
        key = issuer.public_bytes(strength.DER)
        if key not in self._signed_by:
            self._signed_by[key] = _may_sign(issuer) and _signature_holds(self.listing, issuer)
        return self._signed_by[key]

    def current(self, at: datetime) -> bool:
        """RFC 5280 §5.1.2.5. A list issued after `at` counts: it knows no less than the one before it."""
        until = self.listing.next_update_utc
        return until is not None and at <= until


class Crls:
    """All CRLs of one trust store. Built once; asking it changes nothing that a caller can see."""

    def __init__(self, crls: Iterable[Crl]) -> None:
        by_issuer: dict[bytes, list[Crl]] = {}
        for crl in crls:
            by_issuer.setdefault(crl.listing.issuer.public_bytes(), []).append(crl)
        self._by_issuer = by_issuer

    def __iter__(self) -> Iterator[Crl]:
        return (crl for lists in self._by_issuer.values() for crl in lists)

    def ask(self, certificate: x509.Certificate, issuers: Sequence[x509.Certificate], at: datetime) -> Revocation:
        """What the newest CRL that speaks of `certificate` says of it at `at`.

        `issuers`: the chain above the certificate. Its issuer, or an authority of the same name further up
        (whose key was renewed), may have signed the list.
        """
        signers = [each for each in issuers if each.subject == issuers[0].subject]
        for crl in self._lists(certificate.issuer, issuers[0].subject):
            if _speaks_of(crl, certificate) and any(map(crl.signed_by, signers)):
                answer = _answer(crl, certificate.serial_number, at)
                if answer is not None:
                    return answer
        return Revocation(Standing.UNKNOWN)

    def _lists(self, *spellings: x509.Name) -> list[Crl]:
        """Newest first. A certificate may spell its issuer in other case or spacing than that one itself."""
        names = {spelling.public_bytes() for spelling in spellings}
        found = [crl for name in names for crl in self._by_issuer.get(name, ())]
        return sorted(found, key=lambda crl: crl.listing.last_update_utc, reverse=True)


def _answer(crl: Crl, serial: int, at: datetime) -> Revocation | None:
    if serial in crl.serials:
        return Revocation(Standing.REVOKED, crl.name)
    if crl.delta:
        return None  # RFC 5280 §5.2.4: what it does not name, its base says
    return Revocation(Standing.GOOD if crl.current(at) else Standing.STALE, crl.name)


def read(der: bytes) -> Crl | None:
    """A CRL from its DER, or None for one that must not be used: indirect, unknown critical, weak.

    Raises ValueError if the bytes are no CRL.
    """
    if len(der) > MAX_CRL:
        raise ValueError("the CRL is too large")
    listing = x509.load_der_x509_crl(der)
    try:
        understood = _understood(listing)
        scope = _scope(listing)
    except (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError(f"a CRL extension is unreadable: {type(error).__name__}") from error
    if not understood or strength.weak_hash(listing) or not _plain(scope):
        return None
    delta = any(isinstance(each.value, x509.DeltaCRLIndicator) for each in listing.extensions)
    return Crl(listing, frozenset(_revoked(listing)), scope, delta)


_KNOWN = (x509.CRLNumber, x509.AuthorityKeyIdentifier, x509.IssuingDistributionPoint, x509.DeltaCRLIndicator)


def _revoked(listing: x509.CertificateRevocationList) -> Iterator[int]:
    for entry in listing:
        if not _lifted(entry):
            yield entry.serial_number


def _lifted(entry: x509.RevokedCertificate) -> bool:
    """RFC 5280 §5.3.1: removeFromCRL, in a delta only, ends a hold."""
    if not len(entry.extensions):
        return False
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return False
    return reason is x509.ReasonFlags.remove_from_crl


def _understood(listing: x509.CertificateRevocationList) -> bool:
    # RFC 5280 §5.2: a list with an unknown critical extension must not be used; each we know is obeyed.
    return all(isinstance(each.value, _KNOWN) or not each.critical for each in listing.extensions)


def _scope(listing: x509.CertificateRevocationList) -> x509.IssuingDistributionPoint | None:
    try:
        return listing.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except x509.ExtensionNotFound:
        return None


def _plain(scope: x509.IssuingDistributionPoint | None) -> bool:
    if scope is None:
        return True
    return not (scope.indirect_crl or scope.only_some_reasons or scope.only_contains_attribute_certs)


def _speaks_of(crl: Crl, certificate: x509.Certificate) -> bool:
    scope = crl.scope
    if scope is None:
        return True
    if scope.only_contains_user_certs and _is_authority(certificate):
        return False
    if scope.only_contains_ca_certs and not _is_authority(certificate):
        return False
    return _same_point(crl, scope, certificate)


def _same_point(crl: Crl, scope: x509.IssuingDistributionPoint, certificate: x509.Certificate) -> bool:
    """RFC 5280 §6.3.3 (b)(2)(i): the list's point is one of those which the certificate names."""
    listed = _point_names(scope, crl.listing.issuer)
    if not listed:
        return True
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return False
    return any(name in listed for point in points for name in _point_names(point, crl.listing.issuer))


def _point_names(
    point: x509.DistributionPoint | x509.IssuingDistributionPoint, issuer: x509.Name
) -> Sequence[x509.GeneralName]:
    """RFC 5280 §4.2.1.13: full names, or one relative to the CRL issuer's."""
    if point.relative_name is None:
        return point.full_name or ()
    return (x509.DirectoryName(x509.Name([*issuer.rdns, point.relative_name])),)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _may_sign(issuer: x509.Certificate) -> bool:
    """RFC 5280 §6.3.3 (f): a key usage, if stated, must include cRLSign."""
    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True


def _signature_holds(listing: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        return bool(listing.is_signature_valid(issuer.public_key()))  # type: ignore[arg-type]
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False  # a key type which signs no CRL signed none
