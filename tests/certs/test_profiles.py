"""Profiles: what a certificate may be used for, seen on its extensions alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from cryptography.x509.oid import NameOID, ObjectIdentifier

from certs import policies, profiles
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


def _with_policy(pki: Pki, like: x509.Certificate, dotted: str, *others: x509.ExtensionType) -> x509.Certificate:
    policy = x509.PolicyInformation(ObjectIdentifier(dotted), None)
    builder = x509.CertificateBuilder(
        like.issuer,
        like.subject,
        like.public_key(),
        like.serial_number,
        like.not_valid_before_utc,
        like.not_valid_after_utc,
    ).add_extension(x509.CertificatePolicies([policy]), critical=False)
    for other in others:
        builder = builder.add_extension(other, critical=False)
    return builder.sign(pki.authority.key, Shape().digest)


def test_an_authority_plays_no_role(pki: Pki) -> None:
    """A CA certificate fits no profile."""
    anything = Profile("anything", frozenset({"key_cert_sign"}))
    assert "authority" in profiles.misuse(pki.authority.certificate, anything)


# --- the file ----------------------------------------------------------------------------------------------

GOOD = """
[one]
key_usage = ["digital_signature"]
eku = ["emailProtection", "1.2.3.4"]
absent_permits = false
names = ["rfc822"]
policies = ["1.2.3"]
initial_policies = ["1.2.3"]
require_explicit_policy = true
min_rsa_bits = 3072
environment = "test"
source = "somewhere"
confidence = "verified"

[one.observed]
production_policies = []
test_policies = ["1.2.9"]
note = "seen once"

[two]
like = "one"
source = "elsewhere"
confidence = "not-seen"
"""


def test_a_file_of_profiles_is_read() -> None:
    """Each word arrives in the profile; one that is like another has all of its rules and its own origin."""
    read = profiles.read(GOOD)
    one, two = read["one"], read["two"]
    assert one.eku == {Eku.EMAIL_PROTECTION, ObjectIdentifier("1.2.3.4")}
    assert (one.policies, one.initial_policies, one.require_explicit_policy) == (("1.2.3",), ("1.2.3",), True)
    assert (one.absent_permits, one.names, one.min_rsa_bits, one.environment) == (False, {"rfc822"}, 3072, "test")
    assert one.observed.test_policies == ("1.2.9",)
    assert (two.name, two.source, two.confidence) == ("two", "elsewhere", "not-seen")
    assert replace(two, name="one", source=one.source, confidence="verified", observed=one.observed) == one


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('names = ["rfc822"]', 'nams = ["rfc822"]', "one: nams is unknown"),
        ('names = ["rfc822"]', 'names = ["mail"]', "one: names has 'mail'"),
        ('names = ["rfc822"]', 'names = "rfc822"', "one: names is no list"),
        ('names = ["rfc822"]', 'name = "three"', "one: name is unknown"),
        ('["digital_signature"]', '["sign"]', "one: key_usage has 'sign'"),
        ('key_usage = ["digital_signature"]', "", "one: key_usage is missing"),
        ('["digital_signature"]', "[]", "one: key_usage is missing"),
        ('"emailProtection"', '"email"', "one: eku has 'email'"),
        ('policies = ["1.2.3"]', 'policies = ["abc"]', "one: policies has 'abc'"),
        ("absent_permits = false", "absent_permits = 0", "one: absent_permits is no bool"),
        ("min_rsa_bits = 3072", "min_rsa_bits = true", "one: min_rsa_bits is no int"),
        ('environment = "test"', 'environment = "moon"', "one: environment"),
        ('confidence = "verified"', 'confidence = "sure"', "one: source or confidence"),
        ('source = "somewhere"', "", "one: source or confidence"),
        ('note = "seen once"', "", "one: observed"),
        ('like = "one"', 'like = "three"', "two: is like 'three'"),
        ('source = "elsewhere"', 'source = "e"\neku = ["clientAuth"]', "two: not seen, and yet asks for eku"),
        ("[two]", "[one]", "profiles: "),
        ("[one]", "three = 1\n[one]", "three: not a table"),
    ],
)
def test_a_file_with_a_fault_is_refused_by_name(old: str, new: str, words: str) -> None:
    """An unknown word, a wrong kind or a missing origin stops the start and says in which profile it stands."""
    assert old in GOOD
    with pytest.raises(ValueError, match=words):
        profiles.read(GOOD.replace(old, new, 1))


def test_an_unknown_profile_is_refused_by_name() -> None:
    """A name that no file has is no profile."""
    assert profiles.named("igc-sante-org-sign").title.startswith("ORG SIGN")
    with pytest.raises(ValueError, match="igc-sante-org-seal"):
        profiles.named("igc-sante-org-seal")


def test_the_usual_names_come_from_the_file() -> None:
    """What the product asks for by a constant is what the file says, under the same name."""
    constants = {value.name: value for value in vars(profiles).values() if isinstance(value, Profile)}
    assert len(constants) == 10
    assert {name: profiles.SHIPPED[name] for name in constants} == constants
    assert all(profile.initial_policies == (policies.ANY,) for profile in constants.values())


IGC = {name: profile for name, profile in profiles.SHIPPED.items() if name.startswith("igc-sante-")}


def test_each_profile_of_igc_sante_is_shipped_with_its_origin() -> None:
    """The five profiles and a test twin say where they come from; what was not seen asks for what the norms ask."""
    titles = {profile.title.split(" (")[0] for profile in IGC.values()}
    assert titles == {"ORG AUTH_CLI", "S/MIME organisation", "ORG SIGN", "SERV SSL", "ORG CONF"}
    rules = ("key_usage", "eku", "policies", "absent_permits", "names", "initial_policies", "authority")
    normal = [tuple(getattr(p, rule) for rule in rules) for p in profiles.SHIPPED.values() if p.confidence == "norm"]
    for profile in IGC.values():
        assert profile.source
        assert profile.observed.note
        if profile.confidence == "not-seen":
            assert tuple(getattr(profile, rule) for rule in rules) in normal


def test_a_policy_that_was_only_observed_is_never_asked_for(pki: Pki) -> None:
    """The test hierarchy's policy stands on several kinds of certificate: with it or without, ORG SIGN is ORG SIGN."""
    shape = Shape(usage=frozenset({"digital_signature"}), eku=(Eku.EMAIL_PROTECTION,), key="p256")
    plain = pki.issue(NAME, shape).certificate
    (observed,) = profiles.named("igc-sante-org-sign").observed.test_policies
    for dotted in (observed, "1.2.3"):
        assert profiles.named("igc-sante-org-sign").policies == ()
        mine = _with_policy(pki, plain, dotted, x509.ExtendedKeyUsage([Eku.EMAIL_PROTECTION]), x509.KeyUsage(**_SIGNS))
        assert profiles.misuse(mine, profiles.named("igc-sante-org-sign")) == ""
    assert profiles.misuse(_with_policy(pki, plain, observed), profiles.named("igc-sante-org-sign")) != ""


_SIGNS = {
    "digital_signature": True,
    **dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False),
    **dict.fromkeys(("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False),
}


@pytest.mark.parametrize(
    ("name", "usage", "eku", "fits"),
    [
        ("igc-sante-org-auth-cli", "digital_signature", Eku.CLIENT_AUTH, True),
        ("igc-sante-org-auth-cli", "digital_signature", Eku.EMAIL_PROTECTION, False),
        ("igc-sante-org-auth-cli", "digital_signature", None, False),
        ("igc-sante-org-sign", "content_commitment", Eku.EMAIL_PROTECTION, True),
        ("igc-sante-org-sign", "key_encipherment", Eku.EMAIL_PROTECTION, False),
        ("igc-sante-serv-ssl", "digital_signature", Eku.SERVER_AUTH, True),
        ("igc-sante-serv-ssl", "digital_signature", Eku.CLIENT_AUTH, False),
        ("igc-sante-org-conf", "key_encipherment", Eku.EMAIL_PROTECTION, True),
        ("igc-sante-org-conf", "key_agreement", None, True),
        ("igc-sante-org-conf", "digital_signature", Eku.EMAIL_PROTECTION, False),
        ("ocsp-signer", "digital_signature", Eku.OCSP_SIGNING, True),
        ("ocsp-signer", "digital_signature", None, False),
        ("encryption", "key_agreement", Eku.ANY_EXTENDED_KEY_USAGE, True),
        ("encryption", "key_agreement", Eku.SERVER_AUTH, False),
    ],
)
def test_a_shipped_profile_asks_for_its_uses(
    pki: Pki, name: str, usage: str, eku: ObjectIdentifier | None, fits: bool
) -> None:
    """Each profile has a certificate that fits it and one that does not."""
    made = certificate(pki, usage, *([eku] if eku else []))
    assert (profiles.misuse(made, profiles.named(name)) == "") is fits


def test_the_white_list_s_signer_has_its_policy_and_its_address(pki: Pki) -> None:
    """S/MIME organisation, in production: address and policy as on the certificate that signs the national list."""
    profile = profiles.named("igc-sante-smime-organisation")
    shape = Shape(eku=(Eku.EMAIL_PROTECTION,), names=(x509.RFC822Name("alb@test.invalid"),), key="p256")
    plain = pki.issue(NAME, shape).certificate
    rest = [each.value for each in plain.extensions if isinstance(each.value, x509.KeyUsage | x509.ExtendedKeyUsage)]
    address = x509.SubjectAlternativeName([x509.RFC822Name("alb@test.invalid")])
    (policy,) = profile.policies
    assert profiles.misuse(_with_policy(pki, plain, policy, address, *rest), profile) == ""
    assert "subjectAltName" in profiles.misuse(_with_policy(pki, plain, policy, *rest), profile)
    assert "policy" in profiles.misuse(_with_policy(pki, plain, "1.2.3", address, *rest), profile)
