"""Our own checks on a chain: each refusal has its twin; a check that is switched off is missed by its cases alone."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from cryptography.x509.oid import NameOID, ObjectIdentifier
from hypothesis import given, settings
from hypothesis import strategies as st

from certs import ber, chain, checks, paths, profiles, revocation
from certs.chain import TrustStore
from certs.model import Fault, Trust, Trusted, Untrusted
from certs.profiles import Profile
from certs.revocation import Crls
from certs.throwaway import Issued, Pki, Shape

DAY = timedelta(days=1)
SAN = ObjectIdentifier("2.5.29.17")
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
MAIL = x509.ExtendedKeyUsage([Eku.EMAIL_PROTECTION])
Downgrade = Callable[[bytes, Issued], bytes]


@dataclass(frozen=True)
class Kit:
    """An infrastructure in which every kind of certificate can be made, and what a case needs to be judged."""

    pki: Pki
    now: datetime
    with_sha1: Downgrade
    key: ec.EllipticCurvePrivateKey

    def authority(self, *extensions: x509.ExtensionType) -> Issued:
        """An authority right under the root, with these critical extensions."""
        root = self.pki.root
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority {x509.random_serial_number()}")])
        basic = x509.BasicConstraints(ca=True, path_length=None)
        made = self._signed(root, name, self.key, (basic, *extensions), critical=True)
        return Issued(made, self.key, (made.public_bytes(Encoding.DER),))

    def leaf(
        self,
        by: Issued,
        *extensions: x509.ExtensionType,
        subject: x509.Name = NAME,
        key: Any = None,
        critical: bool = False,
    ) -> bytes:
        made = self._signed(by, subject, key or self.key, extensions, critical=critical)
        return made.public_bytes(Encoding.DER)

    def _signed(
        self, by: Issued, name: x509.Name, key: Any, extensions: tuple[x509.ExtensionType, ...], *, critical: bool
    ) -> x509.Certificate:
        begins, ends = self.now - DAY, self.now + DAY
        serial = x509.random_serial_number()
        builder = x509.CertificateBuilder(by.certificate.subject, name, key.public_key(), serial, begins, ends)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(by.key, hashes.SHA256())

    def judge(
        self,
        leaf: bytes,
        by: Issued,
        profile: Profile = profiles.SMIME,
        revoked: bool = False,
        days: int = 0,
        extra: tuple[bytes, ...] = (),
    ) -> Trust:
        """In a store of its own, with fresh lists of the root and of `by`."""
        serial = x509.load_der_x509_certificate(leaf).serial_number
        lists = [self._crl(self.pki.root), self._crl(by, *([serial] if revoked else []))]
        anchors = (self.pki.root.certificate,)
        store = TrustStore(anchors, (by.certificate,), Crls(map(revocation.read, lists)))
        return store.judge(leaf, extra, profile, self.now + days * DAY)

    def _crl(self, issuer: Issued, *serials: int) -> bytes:
        builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, self.now, self.now + 9 * DAY)
        for serial in serials:
            builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, self.now).build())
        return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def kit(pki: Pki, moment: datetime, with_sha1: Downgrade) -> Kit:
    return Kit(pki, moment, with_sha1, ec.generate_private_key(ec.SECP256R1()))


def fault(trust: Trust) -> Fault:
    assert not isinstance(trust, Trusted)
    return trust.fault


_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def usage(name: str) -> x509.KeyUsage:
    """A key usage of this one use."""
    return x509.KeyUsage(**{each: each == name for each in _USAGES})


def stated(*dotted: str) -> x509.CertificatePolicies:
    return x509.CertificatePolicies([x509.PolicyInformation(ObjectIdentifier(each), None) for each in dotted])


def raw_names(*names: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(SAN, ber.tlv(0x30, *names))


# --- names -------------------------------------------------------------------------------------------------

ADDRESS, HOST, URI = 0x81, 0x82, 0x86
ODD = {
    "NUL in an address": (ADDRESS, b"a@b.test\x00@c.test"),
    "space before an address": (ADDRESS, b" a@b.test"),
    "space after an address": (ADDRESS, b"a@b.test "),
    "space inside an address": (ADDRESS, b"a b@b.test"),
    "line break in an address": (ADDRESS, b"a@b.test\r\nBcc: x@y.test"),
    "tab in an address": (ADDRESS, b"a\t@b.test"),
    "two addresses in one": (ADDRESS, b"a@b.test,c@d.test"),
    "quoted address": (ADDRESS, b'"a@c.test"@b.test'),
    "address with a name": (ADDRESS, b"A <a@b.test>"),
    "no address": (ADDRESS, b"b.test"),
    "empty address": (ADDRESS, b""),
    "NUL in a host": (HOST, b"b.test\x00.c.test"),
    "space in a host": (HOST, b"b.test c.test"),
    "empty host": (HOST, b""),
    "two stars in a host": (HOST, b"*.*.test"),
    "NUL in a URI": (URI, b"https://b.test/\x00"),
    "space in a URI": (URI, b"https://b.test/ x"),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_alternative_name_is_refused(kit: Kit, name: str) -> None:
    """CVE-2026-2748: a name that two readers may read differently refuses the certificate; a plain one does not."""
    tag, value = ODD[name]
    trust = kit.judge(kit.leaf(kit.pki.authority, raw_names(ber.tlv(tag, value))), kit.pki.authority)
    assert isinstance(trust, Untrusted)
    assert (trust.fault, trust.check) == (Fault.WRONG_NAME, "end-names")


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (ADDRESS, b"jeanne.martin+x@hopital-a.mssante.fr"),
        (ADDRESS, b"a@[192.0.2.1]"),
        (HOST, b"mss.hopital-a.example"),
        (HOST, b"*.hopital-a.example"),
        (HOST, b"_dmarc.hopital-a.example"),
        (URI, b"https://b.test/x?y=%20"),
        (URI, b"urn:oid:1.2.3"),
    ],
)
def test_a_plain_alternative_name_is_read(kit: Kit, tag: int, value: bytes) -> None:
    """The usual forms, an address literal, a wildcard host and a URN are no objection."""
    leaf = kit.leaf(kit.pki.authority, raw_names(ber.tlv(tag, value)))
    assert isinstance(kit.judge(leaf, kit.pki.authority), Trusted)


@pytest.mark.parametrize("tag", [ADDRESS, HOST, URI])
def test_other_scripts_in_an_ascii_name_are_refused(kit: Kit, tag: int) -> None:
    """IA5String is ASCII: an address, host or URI with other characters makes the certificate unreadable."""
    name = {ADDRESS: "é@b.test", HOST: "é.test", URI: "https://é.test/"}[tag].encode()
    trust = kit.judge(kit.leaf(kit.pki.authority, raw_names(ber.tlv(tag, name))), kit.pki.authority)
    assert isinstance(trust, Untrusted)
    assert trust.fault in (Fault.UNREADABLE, Fault.WRONG_NAME)


SMTP_UTF8 = ber.tlv(0x06, bytes.fromhex("2b06010505070809"))


def test_an_internationalised_mailbox_is_named(kit: Kit) -> None:
    """RFC 9598: SmtpUTF8Mailbox is read and named, and is no rfc822Name; an unreadable one refuses the certificate."""
    value = ber.tlv(0x0C, "médecin@hôpital.test".encode())
    leaf = kit.leaf(kit.pki.authority, raw_names(ber.tlv(0xA0, SMTP_UTF8, ber.tlv(0xA0, value))))
    trust = kit.judge(leaf, kit.pki.authority)
    assert isinstance(trust, Trusted)
    assert trust.identity.utf8_addresses == ("médecin@hôpital.test",)
    assert trust.identity.addresses == ()
    odd = ber.tlv(0x0C, b"\xff@hopital.test")
    broken = kit.leaf(kit.pki.authority, raw_names(ber.tlv(0xA0, SMTP_UTF8, ber.tlv(0xA0, odd))))
    assert fault(kit.judge(broken, kit.pki.authority)) is Fault.UNREADABLE


def test_a_crowd_of_names_is_refused(kit: Kit) -> None:
    """A thousand alternative names are read, one more is not."""
    for count, refused in ((checks.MAX_NAMES, False), (checks.MAX_NAMES + 1, True)):
        names = [x509.RFC822Name(f"a{number}@b.test") for number in range(count)]
        trust = kit.judge(kit.leaf(kit.pki.authority, x509.SubjectAlternativeName(names)), kit.pki.authority)
        assert isinstance(trust, Untrusted) is refused
        assert isinstance(trust, Trusted) or fault(trust) is Fault.TOO_LARGE


# --- name constraints, which OpenSSL checks ----------------------------------------------------------------


def people(**attributes: str) -> x509.Name:
    oids = {"o": NameOID.ORGANIZATION_NAME, "cn": NameOID.COMMON_NAME, "email": NameOID.EMAIL_ADDRESS}
    return x509.Name([x509.NameAttribute(oids[name], value) for name, value in attributes.items()])


def san(name: x509.GeneralName) -> tuple[x509.ExtensionType, ...]:
    return (x509.SubjectAlternativeName([name]),)


def utf8(address: str) -> tuple[x509.ExtensionType, ...]:
    return san(x509.OtherName(ObjectIdentifier("1.3.6.1.5.5.7.8.9"), ber.tlv(0x0C, address.encode())))


CONSTRAINTS: dict[str, tuple[x509.GeneralName, Any, Any]] = {
    "host of an address": (
        x509.RFC822Name("b.test"),
        san(x509.RFC822Name("a@b.test")),
        san(x509.RFC822Name("a@x.b.test")),
    ),
    "one address": (x509.RFC822Name("a@b.test"), san(x509.RFC822Name("a@b.test")), san(x509.RFC822Name("z@b.test"))),
    "domain of an address": (
        x509.RFC822Name(".b.test"),
        san(x509.RFC822Name("a@x.b.test")),
        san(x509.RFC822Name("a@b.test")),
    ),
    "address in the subject": (x509.RFC822Name("b.test"), people(email="a@b.test"), people(email="a@c.test")),
    "internationalised address": (x509.RFC822Name("b.test"), utf8("é@b.test"), utf8("é@c.test")),
    "host": (x509.DNSName("b.test"), san(x509.DNSName("x.b.test")), san(x509.DNSName("xb.test"))),
    "URI": (
        x509.UniformResourceIdentifier("b.test"),
        san(x509.UniformResourceIdentifier("https://b.test/x")),
        san(x509.UniformResourceIdentifier("https://c.test/b.test")),
    ),
    "IP address": (
        x509.IPAddress(ipaddress.ip_network("192.0.2.0/24")),
        san(x509.IPAddress(ipaddress.ip_address("192.0.2.7"))),
        san(x509.IPAddress(ipaddress.ip_address("198.51.100.7"))),
    ),
    "distinguished name": (
        x509.DirectoryName(people(o="HOPITAL A")),
        people(o="HOPITAL A", cn="x"),
        people(o="HOPITAL B", cn="x"),
    ),
    "distinguished name as alternative": (
        x509.DirectoryName(people(o="HOPITAL A")),
        (people(), san(x509.DirectoryName(people(o="HOPITAL A", cn="y")))),
        (people(), san(x509.DirectoryName(people(o="HOPITAL B", cn="y")))),
    ),
}


@pytest.mark.parametrize("kind", CONSTRAINTS)
@pytest.mark.parametrize("permitting", [True, False], ids=["permitted", "excluded"])
def test_name_constraints_of_each_kind_hold(kit: Kit, kind: str, permitting: bool) -> None:
    """RFC 5280 §4.2.1.10, RFC 9598 §6: inside a permitted subtree, outside an excluded one, and the reverse refused."""
    base, inside, outside = CONSTRAINTS[kind]
    by = kit.authority(x509.NameConstraints(*(([base], None) if permitting else (None, [base]))))
    for named, fits in ((inside, permitting), (outside, not permitting)):
        trust = kit.judge(_named_leaf(kit, by, named), by)
        assert isinstance(trust, Trusted) is fits, named
        assert fits or (fault(trust) is Fault.NAME_CONSTRAINT and getattr(trust, "check", "") == "name-constraints")


def _named_leaf(kit: Kit, by: Issued, named: Any) -> bytes:
    if isinstance(named, x509.Name):
        return kit.leaf(by, subject=named)
    if isinstance(named[0], x509.Name):
        return kit.leaf(by, *named[1], subject=named[0])
    return kit.leaf(by, *named)


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
