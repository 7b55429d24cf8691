"""The invented country: the same each time, with what real files have in them."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

from directory.feed import generator, sources
from directory.feed.generator import Country
from directory.feed.items import Item
from directory.feed.lines import Lines, Rejected

DOUBLED_OF_HALF_A_MILLION = 169
"""Addresses on two rows, counted in a national file (directory §3.5)."""
SIZE = 14_795
LATER = Country(SIZE, day=20)


class Text:
    """Lines as a file that is read."""

    def __init__(self, country: Country) -> None:
        self.lines = iter([generator.HEADERS["mssante"] + "\n", *generator.mailbox_lines(country)])

    def readline(self, limit: int) -> bytes:
        return next(self.lines, "").encode()


@cache
def read(country: Country) -> tuple[list[dict[str, str]], list[Rejected]]:
    """What an import would make of its mailboxes."""
    items: list[dict[str, str]] = []
    rejected: list[Rejected] = []
    for row in Lines(Text(country), sources.MSSANTE.columns):
        made = row if isinstance(row, Rejected) else sources.MSSANTE.read(row)
        if isinstance(made, Rejected):
            rejected.append(made)
        else:
            items += [each.named() for each in made if isinstance(each, Item)]
    return items, rejected


def places(country: Country) -> dict[str, set[str]]:
    """The structures of each mailbox."""
    found = defaultdict(set)
    for each in read(country)[0]:
        found[each["address"]].add(each["structure"])
    return found


def test_the_invented_country_is_the_same_each_time_and_moves(tmp_path: Path) -> None:
    """Byte for byte of one seed and day; other of another seed; some come and some leave by another day."""
    one, again, other, later = (
        generator.write(each, tmp_path / str(number))["mssante"].read_bytes()
        for number, each in enumerate((Country(3_000), Country(3_000), Country(3_000, seed=2), Country(3_000, day=30)))
    )
    assert one == again
    assert one != other
    lines, moved = set(one.splitlines()), set(later.splitlines())
    assert lines - moved
    assert moved - lines
    names = [tuple(line.split(b"|")[9:11]) for line in one.splitlines()[1:] if line.startswith(b"PER|")]
    assert len(names) > len(set(names))


def test_as_many_addresses_stand_on_two_rows_as_in_the_national_file() -> None:
    """169 of half a million, each of one holder at two structures; every other address stands once."""
    rows = Counter(each["address"] for each in read(Country(SIZE))[0])
    doubled = {address for address, count in rows.items() if count > 1}
    assert len(doubled) == round(SIZE * DOUBLED_OF_HALF_A_MILLION / 500_000) == 5
    assert {rows[each] for each in doubled} == {2}
    at = places(Country(SIZE))
    assert {len(at[each]) for each in doubled} == {2}
    assert len({(each["address"], each.get("person")) for each in read(Country(SIZE))[0]}) == len(rows)


def test_there_are_homonyms_and_no_number_twice() -> None:
    """One name, several holders, each with an RPPS of his own."""
    holders = [each for each in read(Country(SIZE))[0] if each["kind"] == "PER"]
    named = defaultdict(set)
    for each in holders:
        named[each["family"], each["given"]].add(each["person"])
    assert max(map(len, named.values())) > 1
    assert len({each["person"] for each in holders}) == len({each["address"] for each in holders})


def test_some_rows_are_errors() -> None:
    """One in 10,007: rejected with its number and a reason, while the rows beside it are taken."""
    rejected = read(Country(SIZE))[1]
    assert {each.reason for each in rejected} == {"address"}
    assert len(rejected) == len(range(3, SIZE, 10_007)) == 2


def test_by_a_later_day_some_came_some_left_and_some_moved() -> None:
    """As in the national files (directory §3.5): per day 340 of half a million, one of 1,100 and one of 2,000."""
    before, after = places(Country(SIZE)), places(LATER)
    came, left = after.keys() - before.keys(), before.keys() - after.keys()
    moved = {each for each in before.keys() & after.keys() if before[each] != after[each]}
    assert abs(len(came) - SIZE * 340 / 500_000 * LATER.day) < len(came) * 0.05
    assert abs(len(left) - SIZE / 1_100 * LATER.day) < len(left) * 0.15
    assert abs(len(moved) - SIZE / 2_000 * LATER.day) < len(moved) * 0.25
    persons = {each["address"]: each.get("person") for each in read(Country(SIZE))[0]}
    later = {each["address"]: each.get("person") for each in read(LATER)[0]}
    assert all(persons[each] == later[each] for each in moved)
