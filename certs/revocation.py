"""Whether a certificate was revoked: CRLs, read once, asked in constant time.

Promises: three answers. A CRL counts only when its issuer's key signed it with a strong algorithm, its
scope holds the certificate and nothing in it is critical and unknown (RFC 5280 §5, §6.3). A serial on a CRL
is revoked even if that CRL has since gone stale. Does not: fetch anything, read delta CRLs, indirect CRLs
or CRLs by reason, nor CRLs signed by another key of the same name: to these the answer is "unknown".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
        for lists in by_issuer.values():
            lists.sort(key=lambda crl: crl.listing.last_update_utc, reverse=True)
        self._by_issuer = by_issuer

    def __iter__(self) -> Iterator[Crl]:
        return (crl for lists in self._by_issuer.values() for crl in lists)

    def ask(self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime) -> Revocation:
        """What the newest CRL that speaks of `certificate` says of it at `at`."""
        lists = self._by_issuer.get(certificate.issuer.public_bytes(), ())
        for crl in lists:
            if _speaks_of(crl, certificate) and crl.signed_by(issuer):
                return _answer(crl, certificate.serial_number, at)
        return Revocation(Standing.UNKNOWN)


def _answer(crl: Crl, serial: int, at: datetime) -> Revocation:
    if serial in crl.serials:
        return Revocation(Standing.REVOKED, crl.name)
    return Revocation(Standing.GOOD if crl.current(at) else Standing.STALE, crl.name)


def read(der: bytes) -> Crl | None:
    """A CRL from its DER, or None for one that must not be used: delta, indirect, unknown critical, weak.

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
    return Crl(listing, frozenset(entry.serial_number for entry in listing), scope)


_KNOWN = (x509.CRLNumber, x509.AuthorityKeyIdentifier, x509.IssuingDistributionPoint)


def _understood(listing: x509.CertificateRevocationList) -> bool:
    # RFC 5280 §5.2: a list with an unknown critical extension must not be used; §5.2.4 marks a delta so.
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
    return _same_point(scope, certificate)


def _same_point(scope: x509.IssuingDistributionPoint, certificate: x509.Certificate) -> bool:
    """RFC 5280 §6.3.3 (b)(2)(i): the list's point is one of those which the certificate names."""
    if scope.relative_name is not None:
        return False
    if scope.full_name is None:
        return True
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return False
    named = [name for point in points for name in point.full_name or ()]
    return any(name in scope.full_name for name in named)


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
