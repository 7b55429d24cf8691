"""Revocation lists: which count, which do not, and which answer they give."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from certs import revocation
from certs.revocation import Crls, Standing
from certs.throwaway import Issued, Pki

DAY = timedelta(days=1)


def listing(
    issuer: Issued,
    issued: datetime,
    *serials: int,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    reason: x509.ReasonFlags | None = None,
) -> bytes:
    """A CRL valid for a day."""
    builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, issued, issued + DAY)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    for serial in serials:
        entry = x509.RevokedCertificateBuilder(serial, issued)
        if reason is not None:
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def standing(pki: Pki, issued: Issued, at: datetime, *ders: bytes) -> Standing:
    lists = [crl for crl in map(revocation.read, ders) if crl is not None]
    above = (pki.authority.certificate, pki.root.certificate)
    return Crls(lists).ask(issued.certificate, above, at).standing


def point(**scope: object) -> x509.IssuingDistributionPoint:
    every: dict[str, object] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**(every | scope))  # type: ignore[arg-type]


def test_a_list_says_good_or_revoked(pki: Pki, doctor: Issued, now: datetime) -> None:
    """A serial on the list is revoked, one that is not on it is good."""
    serial = doctor.certificate.serial_number
    assert standing(pki, doctor, now, listing(pki.authority, now)) is Standing.GOOD
    assert standing(pki, doctor, now, listing(pki.authority, now, serial)) is Standing.REVOKED
    assert standing(pki, doctor, now, listing(pki.authority, now, serial + 1)) is Standing.GOOD


def test_the_newest_list_speaks(pki: Pki, doctor: Issued, now: datetime) -> None:
    """A hold that a newer list no longer names is over; a revocation that only the newer names counts."""
    serial = doctor.certificate.serial_number
    older, newer = now - DAY / 2, now
    lifted = (listing(pki.authority, older, serial), listing(pki.authority, newer))
    added = (listing(pki.authority, older), listing(pki.authority, newer, serial))
    assert standing(pki, doctor, now, *lifted) is Standing.GOOD
    assert standing(pki, doctor, now, *added) is Standing.REVOKED


def test_a_list_grows_stale(pki: Pki, doctor: Issued, now: datetime) -> None:
    """Up to nextUpdate a list vouches, after it no more."""
    der = listing(pki.authority, now)
    assert standing(pki, doctor, now + DAY, der) is Standing.GOOD
    assert standing(pki, doctor, now + DAY + timedelta(seconds=1), der) is Standing.STALE


def test_a_later_list_judges_an_earlier_moment(pki: Pki, doctor: Issued, now: datetime) -> None:
    """Asked about the past, today's list still answers: it knows no less."""
    assert standing(pki, doctor, now - DAY, listing(pki.authority, now)) is Standing.GOOD


def test_a_delta_adds_and_never_vouches(pki: Pki, doctor: Issued, now: datetime) -> None:
    """A delta revokes what it names; alone it vouches for nobody; what it lifts it does not revoke."""
    serial = doctor.certificate.serial_number
    mark = ((x509.DeltaCRLIndicator(1), True),)
    base = listing(pki.authority, now - DAY / 2)
    assert standing(pki, doctor, now, base, listing(pki.authority, now, serial, extensions=mark)) is Standing.REVOKED
    assert standing(pki, doctor, now, listing(pki.authority, now, extensions=mark)) is Standing.UNKNOWN
    lifted = listing(pki.authority, now, serial, extensions=mark, reason=x509.ReasonFlags.remove_from_crl)
    assert standing(pki, doctor, now, base, lifted) is Standing.GOOD


@pytest.mark.parametrize(
    ("scope", "answer"),
    [
        ({"only_contains_user_certs": True}, Standing.GOOD),
        ({"only_contains_ca_certs": True}, Standing.UNKNOWN),
        ({"indirect_crl": True}, Standing.GOOD),
        ({"only_contains_attribute_certs": True}, Standing.UNKNOWN),
        ({"only_some_reasons": frozenset({x509.ReasonFlags.key_compromise})}, Standing.UNKNOWN),
        ({"full_name": [x509.UniformResourceIdentifier("http://other.invalid/a.crl")]}, Standing.UNKNOWN),
    ],
    ids=str,
)
def test_a_list_speaks_within_its_scope(
    pki: Pki, doctor: Issued, now: datetime, scope: dict[str, object], answer: Standing
) -> None:
    """A list for other certificates, of another point, or for some reasons only does not vouch."""
    der = listing(pki.authority, now, extensions=((point(**scope), True),))
    assert standing(pki, doctor, now, der) is answer


def test_an_unknown_critical_extension_stops_a_list(pki: Pki, doctor: Issued, now: datetime) -> None:
    """What is critical and unknown makes the list unusable; the same extension uncritical does not."""
    private = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.250.1.999.1"), b"\x05\x00")
    for critical, answer in ((True, Standing.UNKNOWN), (False, Standing.GOOD)):
        der = listing(pki.authority, now, extensions=((private, critical),))
        assert standing(pki, doctor, now, der) is answer


def test_a_sha1_list_does_not_count(
    pki: Pki, doctor: Issued, now: datetime, with_sha1: Callable[[bytes, Issued], bytes]
) -> None:
    """SHA-1 under a CRL makes it no CRL."""
    good = listing(pki.authority, now)
    weak = with_sha1(x509.load_der_x509_crl(good).tbs_certlist_bytes, pki.authority)
    assert standing(pki, doctor, now, weak) is Standing.UNKNOWN
    assert standing(pki, doctor, now, good) is Standing.GOOD


def test_who_may_not_sign_lists_does_not(pki: Pki, doctor: Issued, now: datetime) -> None:
    """A list signed by an end certificate, whose key usage has no cRLSign, says nothing."""
    der = listing(doctor, now)
    lists = Crls([crl for crl in [revocation.read(der)] if crl is not None])
    assert lists.ask(doctor.certificate, (doctor.certificate,), now).standing is Standing.UNKNOWN


@pytest.mark.parametrize("junk", [b"", b"\x30\x00", b"<html>"])
def test_junk_is_no_list(junk: bytes) -> None:
    """Bytes which are no CRL are refused with ValueError, not taken for an empty list."""
    with pytest.raises(ValueError, match=r".+"):
        revocation.read(junk)


def test_ten_thousand_serials_are_asked_at_once(pki: Pki, doctor: Issued, now: datetime) -> None:
    """A long list answers right at both ends and in between."""
    serials = range(1, 10_001)
    lists = Crls([crl for crl in [revocation.read(listing(pki.authority, now, *serials))] if crl is not None])
    crl = next(iter(lists))
    assert all(serial in crl.serials for serial in (1, 5_000, 10_000))
    assert doctor.certificate.serial_number not in crl.serials
