"""One certificate revocation list, read once (RFC 5280 §5): what it says of itself, and the serials that it names.

Promises: a list that must not be used (weak signature, something critical and unknown, attribute certificates) is
read all the same and says why in `doubt`; whether a key signed it is checked once per key. Does not: say
which certificates it speaks of (scope does), join lists, or answer about a certificate (revocation does).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
from typing import TypeAlias, TypeVar
from weakref import WeakValueDictionary

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs import ber, serials, strength
from certs.identities import UNREADABLE
from certs.model import Consulted
from certs.serials import Entries, Serials

MAX_CRL = 64 * 1024 * 1024
"""Bytes. A CRL larger than this is not read."""
MIN_RSA_BITS = 2048
"""Of the key that signs a list."""

E = TypeVar("E", bound=x509.ExtensionType)
NameKey: TypeAlias = tuple[tuple[tuple[str, str], ...], ...]


@lru_cache(maxsize=4096)
def name_key(name: x509.Name) -> NameKey:
    """Two spellings of one name have one key: case and white space do not count (RFC 5280 §7.1)."""
    return tuple(tuple(sorted((each.oid.dotted_string, _plain(each.value)) for each in rdn)) for rdn in name.rdns)


def _plain(value: str | bytes) -> str:
    return " ".join(value.casefold().split()) if isinstance(value, str) else value.hex()


@dataclass(frozen=True, eq=False)
class Crl:
    """One list, as loaded."""

    listing: x509.CertificateRevocationList
    serials: Serials
    """Of the list's own issuer."""
    digest: str
    """SHA-256 of its DER, lower-case hexadecimal."""
    issuer: NameKey
    scope: x509.IssuingDistributionPoint | None = None
    number: int | None = None
    base: int | None = None
    """BaseCRLNumber: the list is a delta to lists of this number or later (§5.2.4)."""
    authority_key: bytes | None = None
    others: tuple[tuple[frozenset[NameKey], Serials], ...] = ()
    """In an indirect list: the entries of other issuers, with their names (§5.3.3)."""
    doubt: str = ""
    """Why the list must not be used; empty where it may be."""
    _signed_by: dict[bytes, bool] = field(default_factory=dict, repr=False)

    @property
    def delta(self) -> bool:
        return self.base is not None

    @property
    def plain(self) -> bool:
        """Complete, for every reason, of its own issuer's certificates: what any program reads."""
        scope = self.scope
        return not self.delta and (scope is None or not (scope.indirect_crl or scope.only_some_reasons))

    @property
    def this_update(self) -> datetime:
        return self.listing.last_update_utc

    @property
    def until(self) -> datetime | None:
        return self.listing.next_update_utc

    @cached_property
    def name(self) -> str:
        issued = self.this_update.strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"{self.listing.issuer.rfc4514_string()}#{self.number or 0}@{issued}"

    def later_than(self, other: Crl) -> bool:
        """By number where both have one (§5.2.3), else by date."""
        if self.number is not None and other.number is not None:
            return self.number > other.number
        return self.this_update > other.this_update

    def signed_by(self, issuer: x509.Certificate) -> bool:
        """Whether this very issuer signed the list and may; checked once per issuer certificate."""
        key = issuer.public_bytes(strength.DER)
        if key not in self._signed_by:
            self._signed_by[key] = may_sign(issuer) and signature_holds(self.listing, issuer)
        return self._signed_by[key]

    def may_be_of(self, issuer: x509.Certificate) -> bool:
        """Whether name and key identifier speak for this issuer; asked before the dear question."""
        try:
            held = extension(issuer.extensions, x509.SubjectKeyIdentifier)
            same = name_key(issuer.subject) == self.issuer
        except UNREADABLE:
            return False  # a stranger's certificate: nothing of it was looked at before
        told = self.authority_key is not None and held is not None and held.digest != self.authority_key
        return same and not told

    def consulted(self, *, stale: bool = False) -> Consulted:
        return Consulted("crl", self.name, self.digest, self.until, stale)


def extension(extensions: x509.Extensions, kind: type[E]) -> E | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


_HELD: WeakValueDictionary[str, Crl] = WeakValueDictionary()


def read(der: bytes) -> Crl:
    """A CRL from its DER. Raises ValueError if the bytes are no CRL, or one too large.

    A list that somebody still holds is not read a second time: a store that is loaded again shares it.
    """
    if len(der) > MAX_CRL:
        raise ValueError("the CRL is too large")
    digest = hashlib.sha256(der).hexdigest()
    if (held := _HELD.get(digest)) is not None:
        return held
    try:
        listing = x509.load_der_x509_crl(der)
        return _HELD.setdefault(digest, _read(listing, der, digest))
    except UNREADABLE as error:
        raise ValueError(f"unreadable CRL: {type(error).__name__}") from error


def _read(listing: x509.CertificateRevocationList, der: bytes, digest: str) -> Crl:
    extensions, entries = listing.extensions, serials.read(_revoked(der))
    scope = extension(extensions, x509.IssuingDistributionPoint)
    number = extension(extensions, x509.CRLNumber)
    base = extension(extensions, x509.DeltaCRLIndicator)
    authority = extension(extensions, x509.AuthorityKeyIdentifier)
    return Crl(
        listing=listing,
        serials=entries.own,
        digest=digest,
        issuer=name_key(listing.issuer),
        scope=scope,
        number=number.crl_number if number else None,
        base=base.crl_number if base else None,
        authority_key=authority.key_identifier if authority else None,
        others=tuple((_issuers(listing[place]), others) for place, others in entries.others),
        doubt=_unknown(listing, entries) or _weak(listing) or _elsewhere(scope, entries),
    )


def _revoked(der: bytes) -> bytes:
    """The content of revokedCertificates, empty where absent (RFC 5280 §5.1: after the dates, before [0])."""
    tbs = next(ber.members(ber.content(der)))
    parts = list(ber.members(ber.content(tbs)))
    dates = [place for place, part in enumerate(parts) if part[0] in (0x17, 0x18)]
    if not dates or len(parts) <= dates[-1] + 1:
        return b""
    after = parts[dates[-1] + 1]
    return ber.content(after) if after[0] == 0x30 else b""


def _issuers(entry: x509.RevokedCertificate) -> frozenset[NameKey]:
    names = extension(entry.extensions, x509.CertificateIssuer)
    return frozenset(map(name_key, names.get_values_for_type(x509.DirectoryName))) if names else frozenset()


# --- what keeps a list from being used ------------------------------------------------------------------------------

_KNOWN = (
    x509.CRLNumber,
    x509.AuthorityKeyIdentifier,
    x509.IssuingDistributionPoint,
    x509.DeltaCRLIndicator,
    x509.FreshestCRL,
    x509.IssuerAlternativeName,
)


def _unknown(listing: x509.CertificateRevocationList, entries: Entries) -> str:
    """RFC 5280 §5.2, §5.3: with something critical and unknown, in list or entry, it must not be used."""
    for each in listing.extensions:
        if each.critical and not isinstance(each.value, _KNOWN):
            return f"critical extension {each.oid.dotted_string}"
    return "critical entry extension" if entries.unknown else ""


def _weak(listing: x509.CertificateRevocationList) -> str:
    doubt = strength.weak_hash(listing)
    return doubt.detail if doubt is not None else ""


def _elsewhere(scope: x509.IssuingDistributionPoint | None, entries: Entries) -> str:
    """§5.2.5, §5.3.3."""
    if scope is not None and scope.only_contains_attribute_certs:
        return "attribute certificates only"
    if entries.others and not (scope is not None and scope.indirect_crl):
        return "entries of another issuer in a list that is not indirect"
    return ""


# --- who signed -----------------------------------------------------------------------------------------------------


def may_sign(issuer: x509.Certificate) -> bool:
    """RFC 5280 §6.3.3 (f): a key usage, if stated, must include cRLSign; a weak key signs nothing."""
    usage = extension(issuer.extensions, x509.KeyUsage)
    return (usage is None or usage.crl_sign) and strength.weak_key(issuer, MIN_RSA_BITS) is None


def signature_holds(listing: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        return bool(listing.is_signature_valid(issuer.public_key()))  # type: ignore[arg-type]
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False  # a key type which signs no CRL signed none


def der(listing: x509.CertificateRevocationList) -> bytes:
    return listing.public_bytes(Encoding.DER)


def public_key(certificate: x509.Certificate) -> bytes:
    """SubjectPublicKeyInfo, DER."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
