"""An import is a plan before it is anything: counted, limited, read back, and equal to the difference of two files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from directory.feed import generator, ledger, limits, plan, sources
from directory.feed.counted import PLACES, Counted
from directory.feed.generator import Country
from directory.feed.items import Branch, Item, Source, apart
from directory.feed.ledger import Ledger, Taken
from directory.feed.limits import Facts, Kind, Limit
from directory.feed.lines import FeedError
from directory.feed.plan import Change, Head, Wish

NOW = datetime(2026, 11, 2, 6, 0, tzinfo=UTC)
SOURCE = sources.MSSANTE
FREE = {kind: Limit(10**9, 100.0) for kind in Kind}


def taken_in(book: Ledger, path: Path, head: Head) -> None:
    """As if the plan had been applied, without a directory."""
    with book.opened() as connection:
        for change in plan.changes_of(path):
            place = (connection, head.source, change.branch, change.key)
            if change.kind is Kind.DEACTIVATE:
                ledger.let_go(*place, NOW)
            elif change.kind is Kind.REMOVE:
                ledger.forget(*place)
            else:
                ledger.hold(*place, tuple((change.after or {}).get(name, "") for name in plan.FIELDS[change.branch]))
        ledger.finished(connection, Taken(head.source, head.dated, head.digest, head.items, NOW.isoformat()))
        connection.commit()


@pytest.fixture
def book(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


Planned = Callable[..., tuple[Head, list[Change], Path]]


@pytest.fixture
def planned(book: Ledger, tmp_path: Path) -> Planned:
    """Plans a file, and takes it in where `take` is said."""

    def make(
        file: Path, source: Source = SOURCE, take: bool = False, **wish: object
    ) -> tuple[Head, list[Change], Path]:
        target = tmp_path / f"{file.stem}.plan"
        head = plan.make(book, source, file, target, Wish(**{"now": NOW, "limits": FREE, **wish}))  # type: ignore[arg-type]
        if take:
            taken_in(book, target, head)
        return head, list(plan.changes_of(target)), target

    return make


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The mailboxes of three days, a fortnight apart so that much moves."""
    folder = tmp_path_factory.mktemp("jours")
    return [generator.write(Country(500, day=day), folder)["mssante"] for day in (0, 14, 28)]


def keys_of(file: Path) -> dict[str, Item]:
    """What a file wants, read without the ledger; a second row of one mailbox is apart."""
    with file.open("rb") as opened:
        rows = plan._Reading(opened, SOURCE, (), None).items()
        found: dict[str, Item] = {}
        for each in rows:
            further = apart(found[each.key], each) if each.key in found else None
            found.setdefault((further or each).key, further or each)
        return found


def test_the_first_file_only_creates(days: list[Path], planned: Planned) -> None:
    """Everything is new, each once; rejected lines are named by number; two rows of one address both stay."""
    head, changes, path = planned(days[0])
    wanted = keys_of(days[0])
    assert {change.key for change in changes} == set(wanted)
    assert len(changes) == len(wanted) == head.items == head.counts["create"] > 490
    assert {change.kind for change in changes} == {Kind.CREATE}
    assert head.groups["PER"]["create"] + head.groups["ORG"]["create"] == head.items
    assert [row.reason for row in plan.rejected_of(path)] == ["address"]
    assert head.rejected == 1
    addresses = [change.after["address"] for change in changes if change.after]
    assert len(addresses) - len(set(addresses)) == 1


def test_the_changes_between_two_files_are_their_difference(days: list[Path], planned: Planned) -> None:
    """Created, gone and changed are exactly what the two sets say, day after day."""
    planned(days[0], take=True)
    for earlier, later in pairwise(days):
        before, after = keys_of(earlier), keys_of(later)
        _, changes, _ = planned(later, take=True)
        by_kind = {kind: {change.key for change in changes if change.kind is kind} for kind in Kind}
        assert by_kind[Kind.CREATE] == after.keys() - before.keys()
        assert by_kind[Kind.DEACTIVATE] == before.keys() - after.keys()
        assert by_kind[Kind.UPDATE] == {k for k in before.keys() & after.keys() if before[k].values != after[k].values}
        assert by_kind[Kind.CREATE]
        assert by_kind[Kind.UPDATE]
        assert by_kind[Kind.DEACTIVATE]
        assert not by_kind[Kind.REMOVE]


def test_a_plan_counts_by_establishment(days: list[Path], planned: Planned) -> None:
    """Of the twenty with most changes, those first, each kind apart; what has no establishment is in none."""
    planned(days[0], take=True)
    head, changes, path = planned(days[1])
    counted = Counter((said["structure"], each.kind) for each in changes if (said := each.after or each.before))
    told = {(place.split()[0], Kind(kind)): n for place, kinds in head.places.items() for kind, n in kinds.items()}
    assert 1 < len(head.places) <= PLACES
    assert told == {key: count for key, count in counted.items() if key[0] in {place for place, _ in told}}
    sums = [sum(kinds.values()) for kinds in head.places.values()]
    assert sums == sorted(sums, reverse=True)
    assert plan.head_of(path).places == head.places
    nobodys = Counted()
    nobodys.add(Kind.CREATE, "bal", {"kind": "PER", "name": "SANS NUMÉRO"})
    assert (nobodys.by_place(), nobodys.kinds) == ({}, {Kind.CREATE: 1})


def test_the_same_file_again_changes_nothing(days: list[Path], planned: Planned) -> None:
    """An import that is repeated is an empty plan."""
    planned(days[0], take=True)
    head, changes, _ = planned(days[0])
    assert (changes, sum(head.counts.values())) == ([], 0)


def test_making_a_plan_changes_nothing(days: list[Path], planned: Planned, book: Ledger) -> None:
    """Two plans of one file are the same; the ledger holds nothing."""
    first, _, path = planned(days[0])
    text = path.read_text()
    second, _, again = planned(days[0])
    assert (first, text) == (second, again.read_text())
    assert (book.count(SOURCE.name), book.every()) == (0, ())


def test_who_comes_back_is_returned_and_who_stays_away_is_removed(
    days: list[Path], planned: Planned, tmp_path: Path
) -> None:
    """A retention clock runs from the day a mailbox disappeared; until it is over, nothing is removed."""
    planned(days[0], take=True, dated=NOW)
    lines = days[0].read_bytes().splitlines(keepends=True)
    without = tmp_path / "sans.txt"
    without.write_bytes(b"".join(lines[:-3]))
    _, changes, _ = planned(without, take=True)
    assert [change.kind for change in changes] == [Kind.DEACTIVATE] * 3
    _, changes, _ = planned(without)
    assert changes == []
    _, changes, _ = planned(days[0], dated=NOW)
    assert [change.kind for change in changes] == [Kind.RETURN] * 3
    late = {"now": NOW + timedelta(days=91), "dated": NOW + timedelta(days=91)}
    _, changes, _ = planned(without, **late)
    assert [change.kind for change in changes] == [Kind.REMOVE] * 3
    _, changes, _ = planned(without, **late, kept_days=92.0)
    assert changes == []


# --- files that say nothing about who left --------------------------------------------------------------------


def test_a_short_a_cut_and_a_stale_file_deactivate_nobody(days: list[Path], planned: Planned, tmp_path: Path) -> None:
    """Half a file, a last line without its end, a file of last week: what is new is taken, nobody goes."""
    planned(days[0], take=True)
    lines = days[0].read_bytes().splitlines(keepends=True)
    short, cut = tmp_path / "court.txt", tmp_path / "coupe.txt"
    short.write_bytes(b"".join(lines[: len(lines) // 2]))
    cut.write_bytes(b"".join(lines[:-2])[:-5])
    for file, rule, wish in (
        (short, "short", {}),
        (cut, "cut", {}),
        (without_last(days[0], tmp_path), "stale", {"now": NOW + timedelta(days=10), "dated": NOW}),
    ):
        head, changes, _ = planned(file, **wish)
        assert rule in head.withheld
        assert head.counts["deactivate"] == head.counts["remove"] == 0
        assert all(change.kind is not Kind.DEACTIVATE for change in changes)


def without_last(file: Path, folder: Path) -> Path:
    target = folder / "moins.txt"
    target.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))
    return target


def test_a_ten_day_outage_deactivates_nobody(days: list[Path], planned: Planned) -> None:
    """The source repeats its last file for ten days (directory §3.1): nothing changes; then it goes on."""
    planned(days[0], take=True)
    for day in range(1, 11):
        _, changes, _ = planned(days[0], now=NOW + timedelta(days=day), dated=NOW)
        assert changes == []
    head, _, _ = planned(days[1], now=NOW + timedelta(days=11), dated=NOW + timedelta(days=11))
    assert head.counts["deactivate"] > 0


def test_an_older_file_is_refused(days: list[Path], planned: Planned) -> None:
    """What was applied is not undone by an earlier extraction."""
    planned(days[1], take=True, dated=NOW)
    with pytest.raises(FeedError, match="plus ancien"):
        planned(days[0], dated=NOW - timedelta(days=7))


FACTS = Facts(items=1_000, before=1_000, rejected=0, ended=True, age=timedelta(0), stale_after=timedelta(hours=48))
DOUBTS = {
    "cut": replace(FACTS, ended=False),
    "short": replace(FACTS, items=899),
    "many-rejected": replace(FACTS, rejected=11),
    "stale": replace(FACTS, age=timedelta(hours=49)),
}


@pytest.mark.parametrize("name", limits.RULES)
def test_a_rule_that_is_switched_off_is_missed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rule alone says that its file tells nothing about who left, and none says so of a good file."""
    assert limits.withheld(FACTS) == ()
    assert limits.withheld(DOUBTS[name]) == (name,)
    monkeypatch.setitem(limits.RULES, name, lambda facts: False)
    assert limits.withheld(DOUBTS[name]) == ()


# --- limits ---------------------------------------------------------------------------------------------------


def test_too_many_changes_break_a_limit(days: list[Path], planned: Planned) -> None:
    """Both the count and the share must be passed; the first load breaks none."""
    first, _, _ = planned(days[0], take=True, limits=limits.FACTORY)
    assert first.breaches == ()
    tight = limits.FACTORY | {Kind.DEACTIVATE: Limit(3, 0.1)}
    head, _, _ = planned(days[2], limits=tight)
    assert [each.kind for each in head.breaches] == [Kind.DEACTIVATE]
    assert head.breaches[0].changes == head.counts["deactivate"]
    many = limits.FACTORY | {Kind.DEACTIVATE: Limit(10_000, 0.1)}
    assert planned(days[2], limits=many)[0].breaches == ()


def test_only_some_departments(days: list[Path], planned: Planned) -> None:
    """A region takes its own rows of the national file; the others are counted, not rejected."""
    head, changes, _ = planned(days[0], departments=("93", "75"))
    assert {change.after["postal_code"][:2] for change in changes if change.after} == {"93", "75"}
    assert head.outside + len(changes) + head.again == head.lines


# --- people, structures, gathering ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return generator.write(Country(300), tmp_path_factory.mktemp("pays"))


def test_people_and_where_they_practise_are_told_apart(country: dict[str, Path], planned: Planned) -> None:
    """One row for each exercise and activity: a person once, each place of practice once (directory §3.3)."""
    head, changes, _ = planned(country["personne-activite"], sources.ACTIVITIES)
    persons = [change for change in changes if change.branch is Branch.PERSONS]
    situations = [change for change in changes if change.branch is Branch.SITUATIONS]
    assert len(persons) == len({change.key for change in persons}) < len(situations)
    assert head.again == len(situations) - len(persons)


def test_skills_add_up_for_those_who_are_known(country: dict[str, Path], planned: Planned) -> None:
    """Rows of one person are one item, whatever their order; of strangers to the directory nothing is planned."""
    _, changes, _ = planned(country["savoir-faire"], sources.SKILLS)
    assert changes == []
    planned(country["personne-activite"], sources.ACTIVITIES, take=True)
    _, changes, _ = planned(country["savoir-faire"], sources.SKILLS)
    both = [change.after["specialties"] for change in changes if change.after and "; " in change.after["specialties"]]
    assert both
    assert all("Allergologie" in each for each in both)
    backwards = country["savoir-faire"].with_name("envers.txt")
    first, *rows = country["savoir-faire"].read_bytes().splitlines(keepends=True)
    backwards.write_bytes(first + b"".join(reversed(rows)))
    assert {c.key: c.after for c in planned(backwards, sources.SKILLS)[1]} == {c.key: c.after for c in changes}


# --- reading a plan back --------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"x\n", b'{"plan": 1}\n', b"[]\n"], ids=range(4))
def test_what_is_no_plan_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "autre"
    path.write_bytes(content)
    with pytest.raises(FeedError, match="n'est pas un plan"):
        plan.head_of(path)


def test_a_plan_of_another_version_is_refused(days: list[Path], planned: Planned) -> None:
    """What a later version wrote is not applied by this one."""
    _, _, path = planned(days[0])
    path.write_text(path.read_text().replace('"plan":1}', '"plan":2}', 1))
    with pytest.raises(FeedError, match="autre version"):
        plan.head_of(path)


def test_one_import_at_a_time(book: Ledger, days: list[Path], planned: Planned) -> None:
    """While one writes the ledger, another is told so, and may try again after."""
    with book.opened() as connection:
        ledger.hold(connection, "x", Branch.MAILBOXES, "k", ("v",) * 14)
        with pytest.raises(FeedError, match="un autre import"), Ledger(Path(str(book_path(book)))).opened() as other:
            ledger.hold(other, "x", Branch.MAILBOXES, "k", ("v",) * 14)
    planned(days[0])


def book_path(book: Ledger) -> str:
    return str(book._engine.url.database)
