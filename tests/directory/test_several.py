"""Several directories: in which order they answer, what each may add, and a stranger's one behind a mapping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from directory.address import parse
from directory.ldap import LdapDirectory
from directory.mapping import BadMapping
from directory.mapping import parse as mapping
from directory.model import Address, DirectoryDown, Entry, Found, Kind, Listing, Lookup, NotFound, Provenance
from directory.region import SUFFIX
from directory.several import Described, SeveralDirectories
from gateway.demo.servers import Slapd

WHO = parse("paul.un@a.example")
OWN = Entry(WHO, Kind.PER, "Dr Paul UN", "UN", "Paul", rpps="10900000500", provenance=Provenance("own"))
NATIONAL = replace(
    OWN, display_name="Paul UN", specialty="Cardiologie", town="Meaux", provenance=Provenance("national")
)


class Shelf:
    """A directory with these answers."""

    def __init__(self, answer: Lookup, listing: Listing | DirectoryDown | None = None) -> None:
        self._answer, self._listing = answer, listing or Listing(())

    def find(self, address: Address) -> Lookup:
        return self._answer

    def search(self, text: str, limit: int = 100) -> Listing | DirectoryDown:
        return self._listing


DOWN = Shelf(DirectoryDown("away"), DirectoryDown("away"))
NONE = Shelf(NotFound())


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([Shelf(Found(OWN)), Shelf(Found(NATIONAL))], Found(OWN)),
        ([NONE, Shelf(Found(NATIONAL))], Found(NATIONAL)),
        ([NONE, NONE], NotFound()),
        ([Shelf(NotFound(closed=True)), Shelf(Found(NATIONAL))], NotFound(closed=True)),
        ([DOWN, Shelf(Found(NATIONAL))], Found(NATIONAL, stale=True)),
        ([DOWN, NONE], DirectoryDown("away")),
        ([NONE, DOWN], DirectoryDown("away")),
        ([Shelf(Found(OWN)), DOWN], Found(OWN)),
        ([Shelf(NotFound((OWN,))), Shelf(NotFound((NATIONAL,)))], NotFound((OWN,))),
    ],
)
def test_they_answer_in_order(members: list[Shelf], expected: Lookup) -> None:
    """First who knows; closed is an answer; away is never 'nobody', and what comes instead says so."""
    assert SeveralDirectories(members).find(WHO) == expected


def test_a_list_has_the_own_region_first() -> None:
    """Of entries that answer as well; an address comes once; one directory away leaves the list unfinished."""
    other = replace(NATIONAL, address=parse("paul.un@b.example"))
    both = SeveralDirectories([Shelf(NotFound(), Listing((OWN,))), Shelf(NotFound(), Listing((NATIONAL, other)))])
    assert both.search("un") == Listing((OWN, other))
    begun = replace(OWN, family_name="UNIQUE", display_name="Dr Paul UNIQUE")
    nearer = SeveralDirectories([Shelf(NotFound(), Listing((begun,))), Shelf(NotFound(), Listing((other,)))])
    assert nearer.search("un") == Listing((other, begun))
    half = SeveralDirectories([Shelf(NotFound(), Listing((OWN,))), DOWN])
    assert half.search("un") == Listing((OWN,), truncated=True)
    assert isinstance(SeveralDirectories([DOWN, DOWN]).search("un"), DirectoryDown)


def test_each_field_says_where_it_comes_from() -> None:
    """What the region says stands; what it does not say comes from the next, by its name."""
    told = SeveralDirectories([Shelf(Found(OWN)), Shelf(Found(NATIONAL))]).described(WHO)
    assert isinstance(told, Described)
    assert (told.entry.display_name, told.entry.specialty) == ("Dr Paul UN", "Cardiologie")
    assert {told.origins[name].source for name in ("display_name", "rpps")} == {"own"}
    assert {told.origins[name].source for name in ("specialty", "town")} == {"national"}


@pytest.mark.parametrize("other", [{"rpps": "10900000518"}, {"rpps": ""}])
def test_another_holder_adds_nothing(other: dict[str, str]) -> None:
    """Another number, or none, is no proof of one holder."""
    stranger = replace(NATIONAL, **other)  # type: ignore[arg-type]
    told = SeveralDirectories([Shelf(Found(OWN)), Shelf(Found(stranger))]).described(WHO)
    assert isinstance(told, Described)
    assert told.entry == OWN


# --- a directory with other names ------------------------------------------------------------------------------------

THEIRS = """
class = "inetOrgPerson"
searched = ["sn", "cn"]
[indexed]
objectClass = ["eq"]
uid = ["eq"]
sn = ["eq", "sub"]
cn = ["eq", "sub"]
mail = ["eq"]
[attributes]
mail = "mail"
sn = "sn"
givenName = "givenName"
displayName = "cn"
mssType = "employeeType"
[identifiers]
RPPS = "uid"
[values.mssType]
personnelle = "PER"
"""


@pytest.fixture
def strangers(own_slapd: Slapd, view_of_relay: Callable[..., LdapDirectory]) -> LdapDirectory:
    """The same server, with a person such as a stranger's directory holds; only the mapping knows its names."""
    person = f"""dn: uid=10900000609,ou=groupes,{SUFFIX}
objectClass: inetOrgPerson
uid: 10900000609
cn: Ada NATIONALE
sn: NATIONALE
givenName: Ada
mail: ada@ailleurs.example
employeeType: personnelle

"""
    own_slapd.load(person)
    own_slapd.start()
    return view_of_relay(own_slapd, shape=mapping(THEIRS))


def test_a_mapping_reads_a_strangers_directory(strangers: LdapDirectory) -> None:
    """Found and searched by their names, told by ours; a patient's and an unknown address are not there."""
    answer = strangers.find(parse("Ada@ailleurs.example"))
    assert isinstance(answer, Found)
    entry = answer.entry
    assert (entry.display_name, entry.rpps, entry.kind) == ("Ada NATIONALE", "10900000609", Kind.PER)
    listing = strangers.search("nationale")
    assert isinstance(listing, Listing)
    assert [each.address for each in listing.entries] == [entry.address]
    assert strangers.find(parse("ada@nulle-part.example")) == NotFound()
    assert strangers.search("*)(uid=*") == Listing(())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[attributes]\nmail = ", "[attributes]\nmssAdresse = "), "attributes.mail"),
        (('sn = ["eq", "sub"]', 'sn = ["eq"]'), "sn has no index 'sub'"),
        (('mail = ["eq"]', "mail = []"), "mail has no index"),
        (('displayName = "cn"', 'nom = "cn"'), "'nom' is none of ours"),
        (('displayName = "cn"', 'displayName = "c*)(n"'), "no name of an attribute"),
        (('class = "inetOrgPerson"', "class = 7"), "'class'"),
        (("[identifiers]", "[numbers]"), "unknown section: numbers"),
        (("[indexed]", "[indexed"), "no TOML"),
    ],
)
def test_a_mapping_that_cannot_serve_is_refused(change: tuple[str, str], said: str) -> None:
    """When it is read, not at the first letter; the sentence names the place."""
    assert mapping(THEIRS)
    with pytest.raises(BadMapping, match=said.replace(".", r"\.")):
        mapping(THEIRS.replace(*change))
