"""Our own checks on a chain: each refusal has its twin; a check that is switched off is missed by its cases alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from cryptography.x509.oid import ObjectIdentifier
from hypothesis import given, settings
from hypothesis import strategies as st

from certs import ber, chain, checks, paths, profiles, revocation
from certs.chain import TrustStore
from certs.model import Fault, Trust, Trusted, Untrusted
from certs.profiles import Profile
from certs.revocation import Crls
from certs.throwaway import Issued, Shape
from tests.certs.kit import ADDRESS, DAY, MAIL, NAME, SAN, Kit, fault, people, raw_names, san, stated, usage

# --- each check, switched off, is missed by exactly its cases ----------------------------------------------


@dataclass(frozen=True)
class Case:
    """A certificate that one check refuses."""

    make: Callable[[Kit], tuple[bytes, Issued]]
    fault: Fault
    check: str
    profile: Profile = profiles.SMIME
    revoked: bool = False
    days: int = 0

    def judge(self, kit: Kit, made: tuple[bytes, Issued]) -> Trust:
        return kit.judge(*made, self.profile, self.revoked, self.days)


def plain(*extensions: x509.ExtensionType, critical: bool = False) -> Callable[[Kit], tuple[bytes, Issued]]:
    return lambda kit: (kit.leaf(kit.pki.authority, *extensions, critical=critical), kit.pki.authority)


def under(*constraints: x509.ExtensionType) -> Callable[[Kit], tuple[bytes, Issued]]:
    def make(kit: Kit) -> tuple[bytes, Issued]:
        by = kit.authority(*constraints)
        return kit.leaf(by), by

    return make


def of_key(make: Callable[[], Any]) -> Callable[[Kit], tuple[bytes, Issued]]:
    return lambda kit: (kit.leaf(kit.pki.authority, key=make()), kit.pki.authority)


def by_sha1(kit: Kit) -> tuple[bytes, Issued]:
    issued = kit.pki.issue(NAME, Shape(key="p256", not_after=kit.now + DAY))
    return kit.with_sha1(issued.certificate.tbs_certificate_bytes, kit.pki.authority), kit.pki.authority


UNKNOWN = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
# OpenSSL takes this one for understood (RFC 3779), and we for a reason to refuse.
ADDRESS_BLOCKS = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.5.5.7.1.7"), bytes.fromhex("3000"))
ASKING = replace(profiles.SMIME, policies=("1.2.3",))
NAMING = replace(profiles.SMIME, names=frozenset({"rfc822"}))
EXPLICIT = replace(profiles.SMIME, require_explicit_policy=True)
CASES = {
    "unknown critical extension": Case(plain(UNKNOWN, critical=True), Fault.UNSUPPORTED, "critical-extensions"),
    "unknown critical extension of the authority": Case(under(UNKNOWN), Fault.UNSUPPORTED, "critical-extensions"),
    "SHA-1": Case(by_sha1, Fault.WEAK_ALGORITHM, "strong-hashes"),
    "RSA 1024": Case(of_key(lambda: rsa.generate_private_key(65537, 1024)), Fault.WEAK_KEY, "strong-keys"),  # noqa: S505
    "odd curve": Case(of_key(lambda: ec.generate_private_key(ec.SECP256K1())), Fault.WEAK_KEY, "strong-keys"),
    "odd address": Case(plain(raw_names(ber.tlv(ADDRESS, b"a@b.test "))), Fault.WRONG_NAME, "end-names"),
    "key usage": Case(plain(usage("key_encipherment")), Fault.WRONG_USAGE, "key-usage"),
    "extended key usage": Case(plain(x509.ExtendedKeyUsage([Eku.SERVER_AUTH])), Fault.WRONG_USAGE, "extended-usage"),
    "no policy": Case(plain(), Fault.WRONG_USAGE, "stated-policy", ASKING),
    "another policy": Case(plain(stated("1.2.4")), Fault.WRONG_USAGE, "stated-policy", ASKING),
    "no address": Case(plain(), Fault.WRONG_USAGE, "required-names", NAMING),
    "host instead of address": Case(plain(*san(x509.DNSName("b.test"))), Fault.WRONG_USAGE, "required-names", NAMING),
    "authority": Case(plain(x509.BasicConstraints(True, None)), Fault.WRONG_USAGE, "no-authority"),
    "policy that the authority requires": Case(
        under(x509.PolicyConstraints(0, None), stated("1.2.3")), Fault.POLICY, "policy-path"
    ),
    "policy that we require": Case(plain(), Fault.POLICY, "policy-path", EXPLICIT),
    "expired": Case(plain(), Fault.EXPIRED, "validity", days=3),
    "revoked": Case(plain(), Fault.REVOKED, "not-revoked", revoked=True),
    "name constraint": Case(
        under(x509.NameConstraints([x509.DirectoryName(people(o="X"))], None)),
        Fault.NAME_CONSTRAINT,
        "name-constraints",
    ),
}

SWITCHES: dict[str, tuple[ModuleType, str, object]] = {
    "critical-extensions": (checks, "critical_extensions", None),
    "strong-hashes": (checks, "strong_hashes", None),
    "strong-keys": (checks, "strong_keys", None),
    "end-names": (checks, "end_names", None),
    "key-usage": (profiles, "key_usage", ""),
    "extended-usage": (profiles, "extended_usage", ""),
    "stated-policy": (profiles, "stated_policy", ""),
    "required-names": (profiles, "required_names", ""),
    "no-authority": (profiles, "no_authority", ""),
    "policy-path": (checks, "policy_path", None),
    "not-revoked": (chain, "not_revoked", None),
}
"""Where each check stands, and what it answers when it has no objection."""


@pytest.fixture(scope="module")
def made(kit: Kit) -> dict[str, tuple[bytes, Issued]]:
    return {name: case.make(kit) for name, case in CASES.items()}


def refusals(kit: Kit, made: dict[str, tuple[bytes, Issued]]) -> dict[str, tuple[Fault, str]]:
    """Of each case that is not trusted, why and by which check."""
    answers = {name: case.judge(kit, made[name]) for name, case in CASES.items()}
    return {name: (each.fault, each.check) for name, each in answers.items() if not isinstance(each, Trusted)}


def test_each_case_is_refused_by_its_own_check(kit: Kit, made: dict[str, tuple[bytes, Issued]]) -> None:
    """The reason and the check's name are those of the table; a certificate that does nothing wrong is trusted."""
    assert refusals(kit, made) == {name: (case.fault, case.check) for name, case in CASES.items()}
    assert isinstance(kit.judge(kit.leaf(kit.pki.authority, MAIL), kit.pki.authority), Trusted)


@pytest.mark.parametrize("check", SWITCHES)
def test_a_check_that_is_switched_off_is_missed(
    kit: Kit, made: dict[str, tuple[bytes, Issued]], monkeypatch: pytest.MonkeyPatch, check: str
) -> None:
    """With one function answering that it has no objection, exactly its cases are trusted."""
    module, function, silence = SWITCHES[check]
    monkeypatch.setattr(module, function, lambda *_: silence)
    expected = {name for name, case in CASES.items() if case.check != check}
    assert set(refusals(kit, made)) == expected
    assert len(expected) < len(CASES)


def test_the_moment_that_openssl_is_told_is_the_check_of_validity(
    kit: Kit, made: dict[str, tuple[bytes, Issued]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told another moment, at which all is valid, OpenSSL objects to no expired certificate any more."""
    real = paths.tell_moment
    monkeypatch.setattr(paths, "tell_moment", lambda store, _at: real(store, kit.now))
    assert set(refusals(kit, made)) == CASES.keys() - {"expired"}


def test_openssl_s_own_list_of_what_is_understood_is_not_ours(kit: Kit) -> None:
    """A critical extension that OpenSSL lets pass and nobody here obeys is refused."""
    trust = kit.judge(*plain(ADDRESS_BLOCKS, critical=True)(kit))
    assert isinstance(trust, Untrusted)
    assert trust.check == "critical-extensions"
    assert isinstance(kit.judge(*plain(ADDRESS_BLOCKS)(kit)), Trusted)


@pytest.mark.parametrize(
    ("wanted", "stated_by_end", "trusted"),
    [(("1.2.3",), "1.2.3", True), (("1.2.4",), "1.2.3", False), ((profiles.policy.ANY,), "1.2.3", True)],
)
def test_our_initial_policies_bind_the_path(
    kit: Kit, wanted: tuple[str, ...], stated_by_end: str, trusted: bool
) -> None:
    """RFC 5280 §6.1.1 (c): where the authority requires a policy it must be one that our profile accepts."""
    by = kit.authority(x509.PolicyConstraints(0, None), stated("1.2.3"))
    asking = replace(profiles.SMIME, initial_policies=wanted)
    trust = kit.judge(kit.leaf(by, stated(stated_by_end)), by, asking)
    assert isinstance(trust, Trusted) is trusted


# --- whatever stands in an extension -----------------------------------------------------------------------

EXTENSIONS = {
    "2.5.29.15": "03020780",
    "2.5.29.17": "300a81086140622e74657374",
    "2.5.29.19": "3000",
    "2.5.29.30": "300ea00c300a8108622e7465737430",
    "2.5.29.31": "30173015a013a011860f687474703a2f2f622e746573742f78",
    "2.5.29.32": "3006300406022a03",
    "2.5.29.33": "300a300806022a0306022a04",
    "2.5.29.35": "30068004aabbccdd",
    "2.5.29.36": "3003800100",
    "2.5.29.37": "300a06082b06010505070304",
    "2.5.29.54": "020100",
}


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_extension_makes_a_judgement_fail(kit: Kit, data: st.DataObject) -> None:
    """Signed by a right authority, with any bytes in its extensions: always one of the three answers, by name."""
    chosen = data.draw(st.lists(st.sampled_from(sorted(EXTENSIONS)), unique=True, max_size=3))
    made = []
    for dotted in chosen:
        body = bytearray.fromhex(EXTENSIONS[dotted])
        for place, octet in data.draw(
            st.lists(st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255)), max_size=3)
        ):
            body[place] = octet
        made.append(x509.UnrecognizedExtension(ObjectIdentifier(dotted), bytes(body)))
    leaf = kit.leaf(kit.pki.authority, *made, critical=data.draw(st.booleans()))
    profile = data.draw(st.sampled_from(sorted(profiles.SHIPPED.values(), key=lambda each: each.name)))
    trust = kit.judge(leaf, kit.pki.authority, profile)
    assert isinstance(trust, Trusted) or trust.check
    beside = kit.judge(kit.pki.authority.der, kit.pki.root, profiles.CRL_SIGNER, extra=(leaf,))
    assert isinstance(beside, Trusted), "what came along is nobody's concern"


def test_a_hint_with_unreadable_extensions_is_left_away(kit: Kit) -> None:
    """What a stranger brings along cannot spoil a judgement: a broken hint changes no answer."""
    broken = kit.leaf(kit.pki.authority, x509.UnrecognizedExtension(SAN, b"\xff"))
    good = kit.leaf(kit.pki.authority, MAIL)
    # A list that nobody of the chain signed: the hints are looked at for its signer.
    forged = kit._crl(replace(kit.pki.authority, key=kit.key))
    lists = Crls(map(revocation.read, (kit._crl(kit.pki.root), forged)))
    store = TrustStore((kit.pki.root.certificate,), (kit.pki.authority.certificate,), lists)
    with_hint, without = (store.judge(good, hints, profiles.SMIME, kit.now) for hints in ((broken,), ()))
    assert with_hint == without
    assert fault(without) is Fault.REVOCATION_UNKNOWN
    assert fault(kit.judge(broken, kit.pki.authority)) is Fault.UNREADABLE
