"""Of which certificates, and of which reasons, a CRL speaks (RFC 5280 §5.2.5, §6.3.3).

Promises: pure rules over a list and a certificate; the answer is the set of reasons that the list covers, empty
where it does not speak of the certificate. Does not: look at signatures, dates or entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from cryptography import x509
from cryptography.x509 import ReasonFlags

from certs.crl import Crl, NameKey, extension, name_key

Reasons: TypeAlias = frozenset[ReasonFlags]
ALL: Reasons = frozenset(ReasonFlags) - {ReasonFlags.unspecified, ReasonFlags.remove_from_crl}
"""RFC 5280 §6.3.1 (b): every reason, and so every list that says nothing of reasons."""
NONE: Reasons = frozenset()


def points(certificate: x509.Certificate) -> tuple[x509.DistributionPoint | None, ...]:
    """Where the certificate's lists are said to be; last None, for any list of its issuer (§6.3.3, end)."""
    stated = extension(certificate.extensions, x509.CRLDistributionPoints)
    return (*(stated or ()), None)


def covered(crl: Crl, certificate: x509.Certificate, point: x509.DistributionPoint | None) -> Reasons:
    """The reasons for which `crl` speaks of `certificate` at this point: §6.3.3 (b) and (d)."""
    if not (_by_the_right_issuer(crl, certificate, point) and _of_this_kind(crl, certificate)):
        return NONE
    if not _same_point(crl, certificate, point):
        return NONE
    listed = crl.scope.only_some_reasons if crl.scope is not None else None
    stated = point.reasons if point is not None else None
    return ALL & (listed or ALL) & (stated or ALL)


def _by_the_right_issuer(crl: Crl, certificate: x509.Certificate, point: x509.DistributionPoint | None) -> bool:
    """§6.3.3 (b)(1): the certificate's issuer, or the one that it names for an indirect list."""
    if point is not None and point.crl_issuer:
        indirect = crl.scope is not None and crl.scope.indirect_crl
        return indirect and crl.issuer in named(point.crl_issuer)
    return crl.issuer == name_key(certificate.issuer)


def _of_this_kind(crl: Crl, certificate: x509.Certificate) -> bool:
    """§6.3.3 (b)(2)(ii), (iii)."""
    scope = crl.scope
    if scope is None:
        return True
    unwanted = scope.only_contains_user_certs if is_authority(certificate) else scope.only_contains_ca_certs
    return not unwanted


def _same_point(crl: Crl, certificate: x509.Certificate, point: x509.DistributionPoint | None) -> bool:
    """§6.3.3 (b)(2)(i): the list's point, if it names one, is the certificate's."""
    listed = _names(crl.scope, crl.listing.issuer) if crl.scope is not None else ()
    if not listed:
        return True
    if point is None:
        return name_key(certificate.issuer) in named(listed)
    stated = _names(point, crl.listing.issuer) or point.crl_issuer or ()
    return any(name in listed for name in stated) or bool(named(stated) & named(listed))


def _names(
    point: x509.DistributionPoint | x509.IssuingDistributionPoint, issuer: x509.Name
) -> Sequence[x509.GeneralName]:
    """§4.2.1.13: full names, or one relative to the CRL issuer's."""
    if point.relative_name is None:
        return point.full_name or ()
    return (x509.DirectoryName(x509.Name([*issuer.rdns, point.relative_name])),)


def named(names: Iterable[x509.GeneralName]) -> frozenset[NameKey]:
    """The directory names among them, made comparable."""
    return frozenset(name_key(name.value) for name in names if isinstance(name, x509.DirectoryName))


def is_authority(certificate: x509.Certificate) -> bool:
    constraints = extension(certificate.extensions, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def same(one: Crl, other: Crl) -> bool:
    """Whether two lists have one scope: issuer and issuing distribution point (§6.3.3 (c)(1), (2))."""
    return one.issuer == other.issuer and one.scope == other.scope
