"""Who may be one: rules with three answers, one deterministic decision, and merges that lose nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import ldap
import pytest

from directory import connection, duplicates, merging
from directory.address import parse
from directory.duplicates import Answer, Decision, compare, has_key, mislabelled, pairs
from directory.feed.items import Branch
from directory.feed.records import attributes
from directory.ldap import LdapDirectory
from directory.merging import CannotMerge, Done
from directory.model import Entry, Found, Kind, Listing, Provenance
from directory.region import SUFFIX, with_luhn
from directory.slapd import FEEDER
from gateway.demo.servers import Slapd

ROOT = Path(__file__).resolve().parent.parent.parent
NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
RPPS, OTHER = with_luhn("1090000001"), with_luhn("1090000002")


def someone(number: int, **more: object) -> Entry:
    entry = Entry(
        parse(f"anne.le-goff{number}@clinique.mssante.example"), Kind.PER, "Dr Anne LE GOFF", "LE GOFF", "Anne",
        specialty="Cardiologie", postal_code="75019", provenance=Provenance("x", f"cn={number}"),
    )  # fmt: skip
    return replace(entry, **more)  # type: ignore[arg-type]


CASES = {
    "same number, name written otherwise": (
        {"rpps": RPPS}, {"rpps": RPPS, "family_name": "Le-Göff", "given_name": "ANNE"}, Decision.SAME,
    ),
    "same number, two family names": ({"rpps": RPPS}, {"rpps": RPPS, "family_name": "LE GOFF MARTIN"}, Decision.SAME),
    "same number, another name": ({"rpps": RPPS}, {"rpps": RPPS, "family_name": "DURAND"}, Decision.CANDIDATE),
    "no number, all else the same": ({}, {}, Decision.CANDIDATE),
    "no number on one side": ({"rpps": RPPS}, {}, Decision.CANDIDATE),
    "two numbers, all else the same": ({"rpps": RPPS}, {"rpps": OTHER}, Decision.APART),
    "a number with a slip": ({"rpps": RPPS}, {"rpps": RPPS[:-1] + str((int(RPPS[-1]) + 1) % 10)}, Decision.CANDIDATE),
    "another trade and town": ({}, {"specialty": "Urologie", "postal_code": "35000"}, Decision.APART),
    "a slip in the name": ({}, {"family_name": "LE GOF"}, Decision.CANDIDATE),
    "another given name": ({}, {"given_name": "Yann"}, Decision.APART),
    "a person and a service": ({"rpps": RPPS}, {"rpps": RPPS, "kind": Kind.ORG}, Decision.APART),
}  # fmt: skip


@pytest.mark.parametrize(("one", "other", "decision"), CASES.values(), ids=CASES)
def test_what_two_entries_are(one: dict[str, object], other: dict[str, object], decision: Decision) -> None:
    """Only the same number with the same name is decided without a person."""
    compared = compare(someone(1, **one), someone(2, **other))
    assert compared.decision is decision
    assert set(compared.evidence) == set(duplicates.RULES)
    assert compare(someone(2, **other), someone(1, **one)).decision is decision


def test_nothing_said_is_cannot_tell() -> None:
    """An empty field is neither the same nor another."""
    empty = someone(1, family_name="", given_name="", specialty="", postal_code="", service="", finess="", rpps="")
    said = compare(empty, someone(2, rpps=RPPS)).evidence
    assert {name for name, answer in said.items() if answer is not Answer.CANNOT_TELL} == {"one-address"}


def test_the_key_of_an_rpps() -> None:
    """One digit that slipped, or two that changed places, show."""
    assert has_key(RPPS)
    assert not has_key(RPPS[:-1])
    assert not any(has_key(RPPS[:place] + str((int(RPPS[place]) + 1) % 10) + RPPS[place + 1 :]) for place in range(11))


def test_switched_off_the_rule_of_numbers_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it nothing is the same by itself."""
    monkeypatch.setitem(duplicates.RULES, "one-number", (lambda one, other: Answer.CANNOT_TELL, 6, -9))
    assert compare(someone(1, rpps=RPPS), someone(2, rpps=RPPS)).decision is Decision.CANDIDATE


def test_pairs_are_found_once_and_common_names_do_not_swamp() -> None:
    """Blocks bring together what shares something; a block of a common name is left alone, a number never is."""
    crowd = [someone(number, postal_code=f"{number:05d}", specialty="") for number in range(10, 90)]
    twins = [someone(1, rpps=RPPS), someone(2, rpps=RPPS, family_name="LE GOFF-DURAND")]
    found = list(pairs([*crowd, *twins]))
    assert [(each.one.rpps, each.decision) for each in found] == [(RPPS, Decision.SAME)]


def test_one_address_of_several_people_is_an_organisations() -> None:
    """A personal mailbox that two people hold is said; one person at two places is not."""
    address = parse("secretariat@clinique.mssante.example")
    two = [someone(1, address=address, rpps=RPPS), someone(2, address=address, rpps=OTHER)]
    alone = [someone(3, rpps=RPPS), someone(3, rpps=RPPS, town="Meaux")]
    assert list(mislabelled([*two, *alone])) == [tuple(two)]


# --- merging ---------------------------------------------------------------------------------------------------


@pytest.fixture
def keeper(own_slapd: Slapd) -> Iterator[object]:
    """The directory as whoever keeps it, with two entries of one person."""
    own_slapd.start()
    link = connection.opened(own_slapd.uri, f"{FEEDER},{SUFFIX}", own_slapd.passwords.feeder, 10.0)
    for number in (1, 2, 3):
        said = {
            "kind": "PER",
            "address": f"anne.le-goff{number}@clinique.mssante.example",
            "family": "LE GOFF",
            "given": "Zélie",
        }
        values = attributes("tableau", Branch.MAILBOXES, str(number), said)
        link.add_s(dn(number), list(values.items()))
    yield link
    link.unbind_s()


def dn(number: int) -> str:
    return f"mail=anne.le-goff{number}@clinique.mssante.example,ou=bal,{SUFFIX}"


def seen(slapd: Slapd) -> tuple[list[str], list[bool]]:
    """(addresses of a search, whether each address is still found)"""
    directory = LdapDirectory(slapd.uri, SUFFIX, slapd.relay_dn, slapd.passwords.relay, clock=lambda: NOW)
    listing = directory.search("zelie le goff")
    assert isinstance(listing, Listing)
    addresses = [f"anne.le-goff{number}@clinique.mssante.example" for number in (1, 2, 3)]
    found = [isinstance(directory.find(parse(each)), Found) for each in addresses]
    return [entry.address.local for entry in listing.entries], found


def test_a_merge_hides_one_entry_and_can_be_undone(keeper: object, own_slapd: Slapd) -> None:
    """A search shows the one that stands for both; letters to either still arrive; parted, all is as it was."""
    before = keeper.search_s(dn(2), ldap.SCOPE_BASE)  # type: ignore[attr-defined]
    assert merging.merge(keeper, dn(2), dn(1)) == Done(dn(2), "", dn(1))
    assert seen(own_slapd) == (["anne.le-goff1", "anne.le-goff3"], [True, True, True])
    assert merging.unmerge(keeper, dn(2)) == Done(dn(2), dn(1), "")
    assert keeper.search_s(dn(2), ldap.SCOPE_BASE) == before  # type: ignore[attr-defined]
    assert seen(own_slapd)[0] == ["anne.le-goff1", "anne.le-goff2", "anne.le-goff3"]


def test_no_chain_and_no_ring(keeper: object) -> None:
    """What stands for another is merged into none, and none into what is merged already."""
    merging.merge(keeper, dn(2), dn(1))
    for one, into in ((dn(1), dn(3)), (dn(3), dn(2)), (dn(1), dn(1)), (dn(9), dn(1)), (dn(1), dn(9))):
        with pytest.raises(CannotMerge):
            merging.merge(keeper, one, into)
    with pytest.raises(CannotMerge):
        merging.unmerge(keeper, dn(1))
    assert merging.merge(keeper, dn(2), dn(3)) == Done(dn(2), dn(1), dn(3))


def test_everything_is_read_page_by_page(keeper: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """All mailboxes, once, without those that are merged."""
    monkeypatch.setattr(merging, "PAGE", 7)
    whole = list(merging.everything(keeper, SUFFIX, "x"))
    merging.merge(keeper, dn(2), dn(1))
    less = list(merging.everything(keeper, SUFFIX, "x"))
    names = {each.provenance.dn for each in whole}
    assert len(names) == len(whole) > 250
    assert names - {each.provenance.dn for each in less} == {dn(2)}


def test_a_labelled_set_is_merged_without_a_mistake() -> None:
    """A small one; the whole, with its bound, is `./dev bench duplicates`."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "duplicates", "1000"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    figures = json.loads(done.stdout)["figures"]
    assert figures["false_merges"] == 0
    assert figures["recall_with_candidates"] > figures["recall_automatic"] > 0.3


def test_the_set_knows_nothing_of_the_rules() -> None:
    """What makes the pairs imports nothing of what judges them."""
    text = (ROOT / "tests/bench/holders.py").read_text()
    assert "duplicates" not in text
    assert "names" not in [line.split()[1].rpartition(".")[2] for line in text.splitlines() if line.startswith("from")]
