"""What a search of a real slapd finds, in which order, and that no text is ever anything but words."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from directory import filters
from directory.address import parse
from directory.entries import search_words
from directory.ldap import LdapDirectory
from directory.model import Address, DirectoryDown, Entry, Found, Kind, Listing, NotFound, Situation
from directory.names import words
from directory.ranking import Closeness, closeness, ordered
from directory.region import SUFFIX, region
from gateway.demo.servers import Slapd

NORTH = "hopital-nord.mssante.example"
SEVERAL = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NASTY = st.text(alphabet=st.sampled_from("*()\\\x00&|!=<>~ aeéŒ-'\u202e\U0001f600martin"), max_size=24)
ANY = st.text(alphabet=st.characters(codec="utf-8"), max_size=24)


def listed(directory: LdapDirectory, text: str) -> tuple[Entry, ...]:
    answer = directory.search(text)
    assert isinstance(answer, Listing)
    return answer.entries


def found(directory: LdapDirectory, address: str) -> Entry:
    answer = directory.find(parse(address))
    assert isinstance(answer, Found)
    return answer.entry


# --- by what -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["family_name", "rpps", "finess", "specialty", "town", "structure", "service"])
def test_a_mailbox_is_found_by_each_thing_known_of_it(directory: LdapDirectory, field: str) -> None:
    """Typed in capitals, with hyphens for blanks: what holds that value comes, and all that comes holds its words."""
    known = next(e for e in region() if getattr(e, field) and not e.red_list)
    text = getattr(known, field).upper().replace(" ", "-")
    answer = listed(directory, f"{text} {known.address.local}")
    assert known.address in [entry.address for entry in answer]
    assert all(set(words(text)) <= set(search_words(entry)) for entry in answer)


@pytest.mark.parametrize("kind", [Kind.ORG, Kind.APP, Kind.CAB])
def test_mailboxes_of_nobody_in_person_are_found_too(directory: LdapDirectory, kind: Kind) -> None:
    """Organisational, applicative and practice mailboxes, by the name of their structure."""
    known = next(entry for entry in region() if entry.kind is kind)
    assert known.address in [entry.address for entry in listed(directory, known.display_name)]


def test_an_entry_that_stands_in_the_red_branch_is_not_listed(directory: LdapDirectory) -> None:
    """Even without the mark on it; its exact address is found, and said to be red-listed."""
    assert listed(directory, "sans marque") == ()
    assert found(directory, f"sans.marque@{NORTH}").red_list


# --- order -------------------------------------------------------------------------------------------------------


def test_the_name_as_asked_comes_first_even_where_the_server_stops_before_it(directory: LdapDirectory) -> None:
    """130 names begin with PONT and fill the hundred; the one PONT, stored after them, is first."""
    answer = directory.search("pont")
    assert isinstance(answer, Listing)
    assert (answer.truncated, len(answer.entries)) == (True, 100)
    assert str(answer.entries[0].address) == f"zoe.pont@{NORTH}"


def test_of_one_holder_the_preferred_mailbox_comes_first(directory: LdapDirectory) -> None:
    """Rank 1, then 3, then the one without a rank."""
    assert [entry.preferred for entry in listed(directory, "trio")] == [1, 3, None]


def test_the_order_is_of_the_entries_alone() -> None:
    """Shuffled, they come out alike; whole names before beginnings."""
    some = list(region())[:60]
    asked = words("martin")
    first = ordered(asked, some)
    random.Random(7).shuffle(some)
    assert ordered(asked, some) == first
    ranks = [closeness(asked, entry) for entry in first]
    assert ranks == sorted(ranks)
    assert ranks[0] is Closeness.NAMED


# --- what else is told ---------------------------------------------------------------------------------------------


def test_situations_are_told(directory: LdapDirectory) -> None:
    """Where somebody practises now, from entries of person and structure; a closed one is not told."""
    both = tuple(Situation(place, "930000001", mode="libéral") for place in ("CABINET", "HÔPITAL NORD"))
    assert directory.situations("10900000559") == both
    assert directory.situations("10900000567") == ()


def test_a_replacement_is_told_between_its_dates(directory: LdapDirectory) -> None:
    """From the first day to before the last; outside them, nobody."""
    entry = found(directory, f"paul.absent@{NORTH}")
    assert str(entry.replaced_by(datetime(2026, 11, 1, tzinfo=UTC))) == f"zoe.pont@{NORTH}"
    assert entry.replaced_by(datetime(2026, 12, 1, tzinfo=UTC)) is None
    assert entry.replaced_by(datetime(2026, 10, 31, tzinfo=UTC)) is None


def test_situations_of_a_directory_that_is_down_are_not_none(
    own_slapd: Slapd, view_of_relay: Callable[..., LdapDirectory]
) -> None:
    """Nobody practises nowhere because the server is away."""
    assert isinstance(view_of_relay(own_slapd).situations("10900000559"), DirectoryDown)


# --- any text at all, against the real server ------------------------------------------------------------------------


@SEVERAL
@given(NASTY | ANY)
def test_whatever_is_typed_is_words(directory: LdapDirectory, text: str) -> None:
    """Every answer holds each word or its beginning: no sign of the language widens a search, or breaks it."""
    asked = words(text)[:8]
    for entry in listed(directory, text):
        held = search_words(entry)
        assert asked
        assert all(any(word.startswith(each) for word in held) for each in asked)
        assert not entry.red_list


@SEVERAL
@given(NASTY | ANY)
def test_whatever_stands_before_the_at_is_an_address(directory: LdapDirectory, local: str) -> None:
    """Nobody is found but under his own address."""
    answer = directory.find(Address(local, "medecin.mssante.example"))
    assert isinstance(answer, NotFound) or answer.entry.address.local.lower() == local.lower()  # type: ignore[union-attr]


def test_without_the_escape_a_star_would_find_everyone(
    directory: LdapDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin: it is the one builder's escape that holds."""
    everyone = Address("*)(mail=*", "medecin.mssante.example")
    assert isinstance(directory.find(everyone), NotFound)
    monkeypatch.setattr(filters, "_escaped", lambda value: value)
    monkeypatch.setattr("directory.entries.parse", lambda text: parse(text) and everyone)
    assert isinstance(directory.find(everyone), Found)


def test_who_may_not_page_gets_the_same_lists(directory: LdapDirectory, regional: Slapd) -> None:
    """The relay asks for a page; a professional's identity, which may not, gets its entries one by one: as many, and
    both say that there are more."""
    asked: list[str] = []
    one_by_one = LdapDirectory(
        regional.uri, SUFFIX, regional.people_dn, regional.passwords.people, clock=lambda: datetime.now(UTC)
    )
    listing = one_by_one._one_by_one
    one_by_one._one_by_one = lambda *told: (asked.append("asked"), listing(*told))[1]  # type: ignore[method-assign]
    for text, limit in (("bernard", 100), ("bernard", 3), ("nobody of this name", 100)):
        page, singly = directory.search(text, limit), one_by_one.search(text, limit)
        assert isinstance(page, Listing)
        assert isinstance(singly, Listing)
        assert (len(page.entries), page.truncated) == (len(singly.entries), singly.truncated)
    assert asked
