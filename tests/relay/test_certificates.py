"""To which certificates of a directory entry a letter may be encrypted."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from certs.chain import TrustStore
from certs.throwaway import Issued, Pki, Shape
from directory.address import parse
from directory.model import Address, Entry, Kind
from relay import certificates
from relay.certificates import NONE, usable

PAUL = parse("paul.durand@parc.mssante.example")


def entry(*issued: Issued, address: Address = PAUL) -> Entry:
    return Entry(address, Kind.PER, "Dr Paul DURAND", certificates=tuple(each.der for each in issued))


def issue(pki: Pki, name: str = str(PAUL), usage: str = "key_agreement", until: datetime | None = None) -> Issued:
    names = (x509.RFC822Name(name),) if name else ()
    shape = Shape(
        usage=frozenset({usage}),
        names=names,
        key="p256",
        not_before=until and until - timedelta(days=30),
        not_after=until,
    )
    return pki.issue(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Paul DURAND")]), shape)


def faults(found: certificates.Usable) -> list[str]:
    return [each.fault for each in found.judged]


def test_a_trusted_certificate_for_this_address_is_used(
    pki: Pki, reader: Issued, trust: TrustStore, today: datetime
) -> None:
    """RSA or elliptic curve; several keys of one person count all, each once."""
    other = issue(pki)
    found = usable(entry(reader, other, reader), trust, today)
    assert found.certificates == (reader.der, other.der)
    assert faults(found) == ["", ""]


def test_an_entry_without_certificates_has_none(trust: TrustStore, today: datetime) -> None:
    """Nor has a recipient without an entry."""
    assert usable(entry(), trust, today) == usable(None, trust, today) == NONE
    assert not NONE.unsure


def test_each_certificate_that_will_not_do_is_set_aside_by_name(pki: Pki, trust: TrustStore, today: datetime) -> None:
    """Out of date, for signing only, of an unknown authority, of somebody else; the good one beside them is used."""
    stranger = Pki.create(today, "ETRANGER")
    cases = {
        "expired": issue(pki, until=today - timedelta(days=1)),
        "wrong-usage": issue(pki, usage="digital_signature"),
        "unknown-issuer": issue(stranger),
        "wrong-name": issue(pki, "paul.durand@bois.mssante.example"),
    }
    good = issue(pki)
    found = usable(entry(*cases.values(), good), trust, today)
    assert faults(found) == [*cases, ""]
    assert found.certificates == (good.der,)
    assert not usable(entry(*cases.values()), trust, today).unsure


def test_bytes_that_are_no_certificate_are_set_aside(reader: Issued, trust: TrustStore, today: datetime) -> None:
    """A directory's value is a stranger's: named, and the good one beside it counts."""
    spoilt = Entry(PAUL, Kind.PER, "X", certificates=(b"\x30\x03abc", reader.der[:-9], reader.der))
    found = usable(spoilt, trust, today)
    assert faults(found) == ["unreadable", "unreadable", ""]
    assert found.certificates == (reader.der,)


@pytest.mark.parametrize("name", [" paul.durand@parc.mssante.example", "paul.durand@parc.mssante.example\x00"])
def test_an_address_is_compared_whole(pki: Pki, trust: TrustStore, today: datetime, name: str) -> None:
    """CVE-2026-2748: white space or a NUL in a certificate's address makes it another's, or nobody's."""
    assert usable(entry(issue(pki, name)), trust, today).certificates == ()
    capitals = issue(pki, "Paul.DURAND@parc.mssante.example")
    assert usable(entry(capitals), trust, today).certificates == (capitals.der,)


def test_a_certificate_without_an_address_stands_for_its_entry(pki: Pki, trust: TrustStore, today: datetime) -> None:
    """An establishment's; the directory says whose mailbox it is for."""
    issued = issue(pki, "")
    assert usable(entry(issued), trust, today).certificates == (issued.der,)


def test_a_revoked_certificate_is_set_aside_and_an_unknown_standing_is_no_answer(
    today: datetime, tmp_path: Path
) -> None:
    """Revoked is no; without its list nobody can tell, which is neither yes nor no."""
    pki = Pki.create(today)
    issued, other = issue(pki), issue(pki)
    pki.revoke(issued)
    pki.write_trust(tmp_path, today)
    told = usable(entry(issued, other), TrustStore.load(tmp_path), today)
    assert (faults(told), told.certificates) == (["revoked", ""], (other.der,))
    for crl in (tmp_path / "crls").iterdir():
        crl.unlink()
    unknown = usable(entry(other), TrustStore.load(tmp_path), today)
    assert unknown.certificates == ()
    assert unknown.unsure


def test_the_name_decides(pki: Pki, trust: TrustStore, today: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the comparison of names switched off another's certificate would be taken: it is what says no."""
    others = issue(pki, "lea.noir@parc.mssante.example")
    assert usable(entry(others), trust, today).certificates == ()
    monkeypatch.setattr(certificates, "names_owner", lambda identity, owner: True)
    assert usable(entry(others), trust, today).certificates == (others.der,)
