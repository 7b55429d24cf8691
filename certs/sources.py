"""Where a certificate says that its revocation can be asked: addresses of CRLs, of deltas, of OCSP responders.

Promises: only names; each http or https address once, in the certificate's order. What we do not follow, such as
ldap, is listed apart. Does not: fetch, or believe: the caller asks for the addresses of certificates whose
chain reached an anchor, and of no others (design §7).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from certs.crl import extension
from certs.identities import UNREADABLE

MOST = 8
"""Addresses of one kind in one certificate that are looked at."""


@dataclass(frozen=True)
class Sources:
    crls: tuple[str, ...] = ()
    """Complete lists and deltas (RFC 5280 §4.2.1.13, §4.2.1.15)."""
    ocsp: tuple[str, ...] = ()
    """RFC 5280 §4.2.2.1, RFC 6960 §3.1."""
    left: tuple[str, ...] = ()
    """Addresses that we do not follow."""


def of(certificate: x509.Certificate) -> Sources:
    """Nothing where an extension cannot be read: such a certificate has no standing anyway."""
    try:
        named = tuple(_points(certificate))
        responders = tuple(_responders(certificate))
    except UNREADABLE:
        return Sources()
    return Sources(_web(named), _web(responders), tuple(url for url in named + responders if not _is_web(url)))


def deltas(listing: x509.CertificateRevocationList) -> tuple[str, ...]:
    """Where a complete list says that its deltas are (RFC 5280 §5.2.6)."""
    freshest = extension(listing.extensions, x509.FreshestCRL)
    return _web(tuple(_urls(freshest or ())))


def _points(certificate: x509.Certificate) -> Iterator[str]:
    yield from _urls(extension(certificate.extensions, x509.CRLDistributionPoints) or ())
    yield from _urls(extension(certificate.extensions, x509.FreshestCRL) or ())


def _urls(points: Iterable[x509.DistributionPoint]) -> Iterator[str]:
    for point in points:
        for name in point.full_name or ():
            if isinstance(name, x509.UniformResourceIdentifier):
                yield name.value


def _responders(certificate: x509.Certificate) -> Iterator[str]:
    for access in extension(certificate.extensions, x509.AuthorityInformationAccess) or ():
        at = access.access_location
        if access.access_method == AuthorityInformationAccessOID.OCSP and isinstance(
            at, x509.UniformResourceIdentifier
        ):
            yield at.value


def _web(urls: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(url for url in urls if _is_web(url)))[:MOST]


def _is_web(url: str) -> bool:
    return url.lower().startswith(("http://", "https://"))
