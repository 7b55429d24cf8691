"""The invented region: as large, as awkward and as repeatable as promised."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from directory.address import parse
from directory.model import Entry, Kind
from directory.region import DOMAINS, HOMONYMS, SUFFIX, ldif, region, with_luhn

ACTOR = Entry(
    parse("claire.moreau@imagerie-des-lilas.mssante.example"),
    Kind.PER,
    "Dr Claire MOREAU",
    rpps="10100000017",
    certificates=(b"DER",),
)


def test_the_same_seed_gives_the_same_region() -> None:
    """Twice the same, and another for another seed."""
    assert region() == region()
    assert region() != region(seed=2)


def test_it_is_large_enough() -> None:
    """240 people, 36 structures, every kind of mailbox, each address once."""
    mailboxes = region()
    kinds = Counter(entry.kind for entry in mailboxes)
    assert kinds[Kind.PER] == 240
    assert all(kinds[kind] for kind in (Kind.ORG, Kind.APP, Kind.CAB))
    assert len({entry.finess for entry in mailboxes if entry.finess}) == 36
    assert len({entry.address.key for entry in mailboxes}) == len(mailboxes)


def test_homonyms_and_the_red_list_are_in_it() -> None:
    """Several people of one name with different numbers; some mailboxes are red-listed."""
    mailboxes = region()
    names = Counter((entry.family_name, entry.given_name) for entry in mailboxes if entry.kind is Kind.PER)
    assert names[("MARTIN", "Marie")] > HOMONYMS
    assert sum(entry.red_list for entry in mailboxes) == 12
    assert len({entry.rpps for entry in mailboxes if entry.kind is Kind.PER}) == 240


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_domain_has_mailboxes(domain: str) -> None:
    """The demo's operators and the others each hold some."""
    assert any(entry.address.domain == domain for entry in region())


def test_everything_is_invented() -> None:
    """Addresses end in the reserved .example (RFC 2606 §2), RPPS numbers have their key."""
    for entry in region():
        assert entry.address.domain.endswith(".example")
        assert not entry.rpps or entry.rpps == with_luhn(entry.rpps[:-1])
        assert len(entry.rpps) in (0, 11)
        assert len(entry.finess) in (0, 9)


def test_actors_are_in_it_as_given() -> None:
    """An actor comes out unchanged, certificates included, also in place of an invented namesake."""
    namesake = replace(ACTOR, address=region()[0].address)
    mailboxes = region([ACTOR, namesake])
    assert ACTOR in mailboxes
    assert namesake in mailboxes
    assert len(mailboxes) == len(region()) + 1


def test_no_actor_no_certificate() -> None:
    """The region itself has no keys."""
    assert not any(entry.certificates for entry in region())


def test_the_key_of_a_number() -> None:
    """Luhn, by its textbook example, and not another digit."""
    assert with_luhn("7992739871") == "79927398713"


def test_ldif_holds_mailboxes_people_and_structures() -> None:
    """Each mailbox, person and structure is one record, people and structures once."""
    text = ldif(region(), SUFFIX)
    red = sum(entry.red_list for entry in region())
    assert (text.count(f",ou=bal,{SUFFIX}\n"), text.count(f",ou=rouge,{SUFFIX}\n")) == (len(region()) - red, red)
    assert text.count(f",ou=personnes,{SUFFIX}\n") == 240
    assert text.count(f",ou=structures,{SUFFIX}\n") == 36
