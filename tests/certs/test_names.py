"""Names in certificates: alternative names that are odd, and the constraints of authorities."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from certs import ber, checks
from certs.model import Fault, Trusted, Untrusted
from certs.throwaway import Issued
from tests.certs.kit import ADDRESS, HOST, URI, Kit, fault, people, raw_names, san

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
