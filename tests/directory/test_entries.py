"""Entries as LDAP attributes and back, and the odd ones of strangers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from certs.throwaway import Pki
from directory import entries
from directory.address import parse
from directory.entries import Unreadable, in_force, read
from directory.model import Capabilities, Entry, Kind
from directory.region import region

BARE = {"mail": [b"a@x.fr"], "mssType": [b"PER"]}


def as_ldap(entry: Entry) -> Mapping[str, Sequence[bytes]]:
    """What LDAP would give back for an entry that we wrote."""
    return {
        name: [value.encode() if isinstance(value, str) else value for value in values]
        for name, values in entries.attributes(entry).items()
    }


@pytest.fixture(scope="module")
def certificate() -> x509.Certificate:
    pki = Pki.create(datetime(2026, 11, 25, tzinfo=UTC))
    return pki.smime("a@x.fr", "A", "X", "1750000028").certificate


def test_what_is_written_is_read_back() -> None:
    """Every mailbox of the region survives the way to LDAP and back."""
    for entry in region():
        back = read("", as_ldap(entry), "region-inventee")
        assert isinstance(back, Entry)
        assert back.provenance.source == entry.provenance.source
        assert Entry(**{**vars(back), "provenance": entry.provenance}) == entry


def test_certificates_are_kept_as_they_are(certificate: x509.Certificate) -> None:
    """DER goes in and the same DER comes out, also from a PKCS #7 bag."""
    der = certificate.public_bytes(Encoding.DER)
    bag = pkcs7.serialize_certificates([certificate], Encoding.DER)
    entry = Entry(parse("a@x.fr"), Kind.PER, "A", certificates=(der,))
    assert read("", as_ldap(entry), "").certificates == (der,)  # type: ignore[union-attr]
    assert read("", {**BARE, "userSMIMECertificate": [bag]}, "").certificates == (der,)  # type: ignore[union-attr]


def test_a_broken_bag_holds_no_certificate() -> None:
    """userSMIMECertificate that is not PKCS #7 is passed over; the entry stays usable."""
    back = read("", {**BARE, "userSMIMECertificate": [b"0\x80garbage"]}, "")
    assert isinstance(back, Entry)
    assert back.certificates == ()


@pytest.mark.parametrize(
    "mail", [[], [b""], [b"a@x.fr "], [b"a @x.fr"], [b"\xff@x.fr"], [b"a@x.fr\x00"], [b'"a"@x.fr'], [b"b@x.fr"]]
)
def test_an_entry_without_the_address_is_unreadable(mail: list[bytes]) -> None:
    """No address, one that is not strict, or another than asked for: said by name, not raised."""
    assert read("", {**BARE, "mail": mail}, "", parse("a@x.fr")) == Unreadable("mail")


def test_the_address_asked_for_is_taken() -> None:
    """Of several addresses of one entry, the one asked for is the entry's, without case."""
    back = read("", {**BARE, "mail": [b"other@x.fr", b"A@X.fr"]}, "", parse("a@x.fr"))
    assert isinstance(back, Entry)
    assert str(back.address) == "A@x.fr"


def test_strange_values_do_no_harm() -> None:
    """Unknown kinds, broken text, identifiers and capabilities of others become the nearest harmless value."""
    strange = {
        **BARE,
        "mssType": [b"XYZ"],
        "displayName": [b"a\x00\xff\r\nb"],
        "hcIdentifier": [b"ANS:RPPS:10900000500:active", b"nonsense", b"\xff\xff", b"a:RPPS"],
        "mssCapability": [b"max:huge", b"max:10", b"max:20", b"no-smime", b"smime", b"teleport"],
    }
    back = read("", strange, "")
    assert isinstance(back, Entry)
    assert (back.kind, back.rpps) == (Kind.OTHER, "10900000500")
    assert back.display_name.isprintable()
    assert back.capabilities == Capabilities(xdm=True, smime=False, mdn=False, max_bytes=10)


def test_a_nameless_entry_is_called_by_its_address() -> None:
    """An empty or absent display name is replaced."""
    assert read("", BARE, "").display_name == "a@x.fr"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, True),
        ({"lifecycleState": [b"ACTIVE"]}, True),
        ({"lifecycleState": [b"suspended"]}, False),
        ({"lifecycleState": [b"pending"]}, False),
        ({"lifecycleState": [b"closed"]}, False),
        ({"validFrom": [b"20261125093000Z"]}, True),
        ({"validFrom": [b"20261125093001Z"]}, False),
        ({"validTo": [b"20261125093001Z"]}, True),
        ({"validTo": [b"20261125093000Z"]}, False),
        ({"validTo": [b"yesterday"]}, True),
    ],
)
def test_an_entry_lives_inside_its_dates(values: Mapping[str, list[bytes]], expected: bool, now: datetime) -> None:
    """From validFrom on, until validTo, while active; a date that says nothing bounds nothing."""
    assert in_force(values, now) is expected
