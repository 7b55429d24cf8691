"""What a stranger may put into a certificate: himself as his own authority, addresses to fetch, another spelling."""

from __future__ import annotations

import socket
import unicodedata
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import AuthorityInformationAccessOID as Access
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku

from certs import cms, profiles
from certs.chain import TrustStore, identity
from certs.model import Fault, Trusted, Untrusted
from certs.revocation import Crls
from certs.revocation import read as crl
from certs.throwaway import Issued, Pki, Shape

CONTENT = b"Content-Type: text/plain\r\n\r\nBonjour.\r\n"
WHO = ("Marie MARTIN", "LILAS", "1750000001")


@pytest.fixture
def pki(now: datetime) -> Pki:
    return Pki.create(now)


def store(pki: Pki, now: datetime) -> TrustStore:
    lists = [read for read in map(crl, pki.crls(now)) if read is not None]
    return TrustStore((pki.root.certificate,), (pki.authority.certificate,), Crls(lists))


def rebuilt(issued: Issued, issuer: Issued, *more: x509.ExtensionType) -> Issued:
    """The same certificate with further extensions, signed by `issuer`."""
    old = issued.certificate
    builder = x509.CertificateBuilder(
        issuer.certificate.subject if issuer is not issued else old.subject,
        old.subject,
        old.public_key(),
        old.serial_number,
        old.not_valid_before_utc,
        old.not_valid_after_utc,
    )
    kept = [each for each in old.extensions if not isinstance(each.value, x509.AuthorityKeyIdentifier)]
    for each in kept:
        builder = builder.add_extension(each.value, each.critical)
    for value in more:
        builder = builder.add_extension(value, critical=False)
    return Issued(builder.sign(issuer.key, hashes.SHA256()), issued.key, issuer.chain)


def test_a_self_signed_signer_is_refused(pki: Pki, now: datetime) -> None:
    """His own authority: the signature is sound, the signer unknown; the same key under ours is trusted."""
    known = pki.smime("marie.martin@lilas.mssante.example", *WHO, key="p256")
    alone = rebuilt(known, known)
    proof = cms.verify(cms.sign(CONTENT, alone.signer(), now), CONTENT, store(pki, now), profiles.SMIME, now)
    assert isinstance(proof.trust, Untrusted)
    assert proof.trust.fault in (Fault.UNKNOWN_ISSUER, Fault.CHAIN)
    assert cms.verify(cms.sign(CONTENT, known.signer(), now), CONTENT, store(pki, now), profiles.SMIME, now).valid


def test_addresses_in_a_certificate_are_never_fetched(pki: Pki, now: datetime) -> None:
    """AIA, OCSP and CRL addresses that point into our own network, in a trusted certificate and in a stranger's: no
    connection is made, whatever the answer."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.2)
    there = x509.UniformResourceIdentifier(f"http://127.0.0.1:{listening.getsockname()[1]}/x")
    access = x509.AuthorityInformationAccess(
        [x509.AccessDescription(kind, there) for kind in (Access.CA_ISSUERS, Access.OCSP)]
    )
    points = x509.CRLDistributionPoints([x509.DistributionPoint([there], None, None, None)])
    ours = rebuilt(pki.smime("a@lilas.mssante.example", *WHO, key="p256"), pki.authority, access, points)
    other = Pki.create(now, "ELSEWHERE")
    theirs = rebuilt(other.smime("a@lilas.mssante.example", *WHO, key="p256"), other.authority, access, points)
    mine = store(pki, now)
    assert isinstance(mine.judge(ours.der, (), profiles.SMIME, now), Trusted)
    assert isinstance(mine.judge(theirs.der, theirs.chain, profiles.SMIME, now), Untrusted)
    with pytest.raises(TimeoutError):
        listening.accept()
    listening.close()


@pytest.mark.parametrize(
    "written",
    ["MARIE.MARTIN@lilas.mssante.example", "marie.martin@lilas.mssante.example ", "marie\u200b.martin@lilas.example"],
)
def test_an_address_is_read_as_it_is_written(pki: Pki, now: datetime, written: str) -> None:
    """CVE-2026-2748: nothing is trimmed, folded or normalised before it is compared; what is not ASCII is not read
    as an address that looks like it."""
    try:
        who = pki.issue(
            x509.Name([]), Shape(eku=(Eku.EMAIL_PROTECTION,), names=(x509.RFC822Name(written),), key="p256")
        )
    except ValueError:  # the library refuses to write what is not ASCII: it cannot be read either
        assert not written.isascii()
        return
    assert "marie.martin@lilas.mssante.example" not in identity(who.der).addresses
    assert unicodedata.normalize("NFKC", written) in identity(who.der).addresses


def test_a_certificate_judged_after_a_clock_jump_answers_for_that_moment(pki: Pki, now: datetime) -> None:
    """A clock that jumps changes the answer for its moment only: nothing is remembered from before."""
    who, mine = pki.smime("a@lilas.mssante.example", *WHO, key="p256"), store(pki, now)
    for at, trusted in (
        (now, True),
        (now + timedelta(days=4000), False),
        (now - timedelta(days=1), False),
        (now, True),
    ):
        assert isinstance(mine.judge(who.der, (), profiles.SMIME, at), Trusted) is trusted
