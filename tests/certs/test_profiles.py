"""Profiles: what a certificate may be used for, seen on its extensions alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from cryptography.x509.oid import NameOID, ObjectIdentifier

from certs import profiles
from certs.profiles import Profile
from certs.throwaway import Pki, Shape

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])


def certificate(pki: Pki, usage: str, *eku: ObjectIdentifier) -> x509.Certificate:
    return pki.issue(NAME, Shape(usage=frozenset({usage}), eku=eku, key="p256")).certificate


@pytest.mark.parametrize(
    ("usage", "profile", "fits"),
    [
        ("digital_signature", profiles.SMIME, True),
        ("content_commitment", profiles.SMIME, True),
        ("key_agreement", profiles.SMIME, False),
        ("digital_signature", profiles.TLS_PEER, True),
        ("content_commitment", profiles.TLS_PEER, False),
    ],
)
def test_key_usage_decides(pki: Pki, usage: str, profile: Profile, fits: bool) -> None:
    """One of the profile's key usages must be there, where the extension is."""
    assert (profiles.misuse(certificate(pki, usage), profile) == "") is fits


@pytest.mark.parametrize(
    ("eku", "profile", "fits"),
    [
        ((), profiles.SMIME, True),
        ((Eku.EMAIL_PROTECTION,), profiles.SMIME, True),
        ((Eku.ANY_EXTENDED_KEY_USAGE,), profiles.SMIME, True),
        ((Eku.ANY_EXTENDED_KEY_USAGE,), profiles.TLS_PEER, False),
        ((Eku.CLIENT_AUTH,), profiles.SMIME, False),
        ((Eku.CLIENT_AUTH,), profiles.TLS_PEER, True),
        ((Eku.CLIENT_AUTH,), profiles.TLS_SERVER, False),
        ((Eku.CLIENT_AUTH, Eku.SERVER_AUTH), profiles.TLS_SERVER, True),
    ],
)
def test_extended_usage_decides(pki: Pki, eku: tuple[ObjectIdentifier, ...], profile: Profile, fits: bool) -> None:
    """Absent permits; present must name one of the profile's; 'any' counts for mail only."""
    assert (profiles.misuse(certificate(pki, "digital_signature", *eku), profile) == "") is fits


def test_a_policy_may_be_asked_for(pki: Pki, now: datetime) -> None:
    """A profile with policies refuses a certificate that states none; without, it does not ask."""
    plain = certificate(pki, "digital_signature")
    asking = replace(profiles.SMIME, policies=("1.2.250.1.213.1.7.1.1.2.3.1",))
    assert profiles.misuse(plain, profiles.SMIME) == ""
    assert "certificatePolicies" in profiles.misuse(plain, asking)
    stated = _with_policy(pki, plain, "1.2.250.1.213.1.7.1.1.2.3.1")
    other = _with_policy(pki, plain, "1.2.250.1.213.1.7.2.1.1.1.1")
    assert profiles.misuse(stated, asking) == ""
    assert profiles.misuse(other, asking) != ""


def _with_policy(pki: Pki, like: x509.Certificate, dotted: str) -> x509.Certificate:
    policy = x509.PolicyInformation(ObjectIdentifier(dotted), None)
    builder = x509.CertificateBuilder(
        like.issuer,
        like.subject,
        like.public_key(),
        like.serial_number,
        like.not_valid_before_utc,
        like.not_valid_after_utc,
    ).add_extension(x509.CertificatePolicies([policy]), critical=False)
    return builder.sign(pki.authority.key, Shape().digest)


def test_an_authority_plays_no_role(pki: Pki) -> None:
    """A CA certificate fits no profile."""
    anything = Profile("anything", frozenset({"key_cert_sign"}))
    assert "authority" in profiles.misuse(pki.authority.certificate, anything)
