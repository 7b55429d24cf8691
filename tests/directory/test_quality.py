"""What is wrong with an entry: each check says so of its own fault."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from certs.throwaway import Pki
from directory import quality
from directory.address import parse
from directory.model import Entry, Kind, Provenance
from directory.region import with_luhn

NOW = datetime(2026, 11, 25, tzinfo=UTC)
PKI = Pki.create(NOW, kind="p256")
ADDRESS = "anne@clinique.mssante.example"
GOOD = Entry(
    parse(ADDRESS), Kind.PER, "Dr Anne", "ANNE", "A", rpps=with_luhn("1090000001"), finess="930000001",
    structure="CLINIQUE", service="Urgences", provenance=Provenance("x", "cn=1", date="20261101000000Z"),
    certificates=(PKI.encryption(ADDRESS, "A", "C", "1930000001", key="p256").der,),
)  # fmt: skip
OLD = PKI.encryption(
    ADDRESS, "A", "C", "1930000001", key="p256", not_before=NOW - timedelta(days=9), not_after=NOW - timedelta(days=1)
)
FAULTS = {
    "no-structure": replace(GOOD, finess="", structure=""),
    "no-finess": replace(GOOD, finess=""),
    "no-service": replace(GOOD, kind=Kind.ORG, service=""),
    "no-holder": replace(GOOD, rpps=""),
    "wrong-rpps": replace(GOOD, rpps=GOOD.rpps[:-1] + str((int(GOOD.rpps[-1]) + 1) % 10)),
    "unknown-kind": replace(GOOD, kind=Kind.OTHER),
    "expired-certificate": replace(GOOD, certificates=(OLD.der,)),
    "wrong-certificate": replace(GOOD, address=parse("autre@clinique.mssante.example")),
    "stale": replace(GOOD, provenance=replace(GOOD.provenance, date="20260101000000Z")),
}


@pytest.mark.parametrize("name", quality.CHECKS)
def test_each_fault_is_found_by_its_check_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing of a good entry; with the check off it is missed."""
    assert list(quality.findings([GOOD], NOW)) == []
    assert [each.name for each in quality.findings([FAULTS[name]], NOW)] == [name]
    monkeypatch.setitem(quality.CHECKS, name, lambda entry, now: False)
    assert list(quality.findings([FAULTS[name]], NOW)) == []


def test_what_bounces_is_found_by_its_address_alone() -> None:
    """In whatever case it is written; an entry whose letters arrive is not among them."""
    shouted = replace(GOOD, address=parse(ADDRESS.replace("anne", "Anne")))
    other = "paul@clinique.mssante.example"
    found = list(quality.findings([shouted], NOW, {ADDRESS, other}))
    assert [(each.name, each.address) for each in found] == [("bouncing", str(shouted.address))]
    assert list(quality.findings([shouted], NOW, {other})) == []
    assert set(quality.NAMES) >= {"bouncing", *FAULTS}
