"""A plan is applied to a real directory: once, stoppable, never over what a person changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import ldap
import pytest

from directory import connection
from directory.address import parse
from directory.feed import applying, generator, plan, sources
from directory.feed.applying import Override, Report, Result, Target
from directory.feed.generator import Country
from directory.feed.items import Source
from directory.feed.ledger import Ledger
from directory.feed.limits import Kind, Limit
from directory.feed.lines import FeedError
from directory.feed.plan import Wish
from directory.ldap import LdapDirectory
from directory.model import Entry, Found, NotFound
from directory.region import SUFFIX
from directory.slapd import FEEDER
from gateway.demo.servers import Slapd

NOW = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
FREE = {kind: Limit(10**9, 100.0) for kind in Kind}
PLACE = f"ou=bal,{SUFFIX}"


class Feed:
    """One directory, its ledger, and what the feeder does."""

    def __init__(self, slapd: Slapd, folder: Path, password: str) -> None:
        self.link = connection.opened(slapd.uri, f"{FEEDER},{SUFFIX}", password, 10.0)
        self.folder, self.book = folder, Ledger(folder / "ledger.sqlite")
        self.target = Target(self.link, SUFFIX)

    def plan(self, file: Path, source: Source = sources.MSSANTE, **wish: object) -> Path:
        target = self.folder / f"{file.stem}.plan"
        plan.make(self.book, source, file, target, Wish(**{"now": NOW, "dated": NOW, "limits": FREE, **wish}))  # type: ignore[arg-type]
        return target

    def apply(self, path: Path, source: Source = sources.MSSANTE, **more: object) -> Report:
        return applying.apply(self.book, source, path, self.target, more.pop("now", NOW), **more)  # type: ignore[arg-type]

    def take(self, file: Path, source: Source = sources.MSSANTE) -> Report:
        return self.apply(self.plan(file, source), source)

    def entries(self, asked: str = "(pliKey=*)", base: str = PLACE) -> dict[str, dict[str, list[bytes]]]:
        return dict(self.link.search_s(base, ldap.SCOPE_ONELEVEL, asked))


@pytest.fixture
def feed(own_slapd: Slapd, tmp_path: Path) -> Iterator[Feed]:
    own_slapd.start()
    made = Feed(own_slapd, tmp_path, own_slapd.passwords.feeder)
    yield made
    made.link.unbind_s()


@pytest.fixture
def relay(own_slapd: Slapd) -> Callable[[datetime], LdapDirectory]:
    """The directory as letters see it, at a moment."""

    def at(moment: datetime) -> LdapDirectory:
        password = own_slapd.passwords.relay
        return LdapDirectory(own_slapd.uri, SUFFIX, own_slapd.relay_dn, password, clock=lambda: moment)

    return at


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Path]]:
    folder = tmp_path_factory.mktemp("jours")
    return [generator.write(Country(120, day=day), folder) for day in (0, 30)]


def lines_of(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines(keepends=True)


def test_what_was_imported_is_found_and_what_left_no_longer(
    feed: Feed, days: list[dict[str, Path]], relay: Callable[[datetime], LdapDirectory]
) -> None:
    """A mailbox of the file receives letters; after it disappears from the file it is closed, not deleted."""
    report = feed.take(days[0]["mssante"])
    assert (report.of(Result.DONE), report.conflicts) == (len(feed.entries()), [])
    first = {change.key: change for change in plan.changes_of(feed.plan(days[1]["mssante"]))}
    gone = next(change.before for change in first.values() if change.kind is Kind.DEACTIVATE)
    new = next(change.after for change in first.values() if change.kind is Kind.CREATE)
    assert gone
    assert new
    assert found(relay(NOW), gone["address"]).town == gone["town"]
    report = feed.take(days[1]["mssante"])
    assert report.conflicts == []
    assert found(relay(NOW), new["address"]).structure == new["name"]
    answer = relay(NOW + timedelta(minutes=1)).find(parse(gone["address"]))
    assert isinstance(answer, NotFound)
    assert answer.closed


def found(directory: LdapDirectory, address: str) -> Entry:
    answer = directory.find(parse(address))
    assert isinstance(answer, Found)
    return answer.entry


def test_a_plan_applied_twice_is_applied_once(feed: Feed, days: list[dict[str, Path]]) -> None:
    """The second time every change is known already, and the directory stays byte for byte."""
    path = feed.plan(days[0]["mssante"])
    feed.apply(path)
    before = feed.entries()
    report = feed.apply(path)
    assert (report.of(Result.DONE), report.of(Result.ALREADY)) == (0, len(before))
    assert feed.entries() == before


def test_an_import_that_was_stopped_goes_on(
    feed: Feed, days: list[dict[str, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped between two batches, then applied again: everything is there, once, and only then is the file taken."""
    monkeypatch.setattr(applying, "BATCH", 40)
    path = feed.plan(days[0]["mssante"])
    batches = iter([False, True])
    report = feed.apply(path, stop=lambda: next(batches))
    assert (report.stopped, len(feed.entries()), feed.book.last("mssante")) == (True, 40, None)
    report = feed.apply(path)
    assert report.of(Result.ALREADY) == 40
    assert len(feed.entries()) == 40 + report.of(Result.DONE)
    assert feed.book.last("mssante") is not None


def test_a_crash_between_directory_and_ledger_is_mended(feed: Feed, days: list[dict[str, Path]]) -> None:
    """Entries that were written while the ledger was lost are taken as they are."""
    path = feed.plan(days[0]["mssante"])
    feed.apply(path)
    before = feed.entries()
    feed.book = Ledger(feed.folder / "perdu.sqlite")
    report = feed.apply(feed.plan(days[0]["mssante"]))
    assert report.conflicts == []
    assert feed.entries() == before


def changed(file: Path, old: str, new: str) -> Path:
    target = file.with_name(f"change-{file.name}")
    text = file.read_text()
    assert old in text
    target.write_text(text.replace(old, new))
    return target


def test_what_a_person_changed_is_a_conflict_and_stays(feed: Feed, days: list[dict[str, Path]]) -> None:
    """The import does not write over it, says so, and goes on with the others; the next plan has it again."""
    feed.take(days[0]["mssante"])
    dn, values = next(iter(feed.entries("(&(pliKey=*)(postalCode=75011)(mssType=PER))").items()))
    feed.link.modify_s(dn, [(ldap.MOD_REPLACE, "displayName", [b"Corrige a la main"])])
    file = changed(days[0]["mssante"], "|75011|", "|75012|")
    report = feed.take(file)
    assert [(each.dn, each.why) for each in report.conflicts] == [(dn, "changed-by-hand: displayName")]
    assert report.of(Result.DONE) > 5
    assert feed.entries()[dn]["displayName"] == [b"Corrige a la main"]
    assert feed.entries()[dn]["postalCode"] == values["postalCode"]
    again = list(plan.changes_of(feed.plan(file)))
    assert [each.kind for each in again] == [Kind.UPDATE]


def test_what_others_wrote_beside_it_stays(feed: Feed, days: list[dict[str, Path]]) -> None:
    """Capabilities, red list, certificates: no source says them, and no import touches them."""
    feed.take(days[0]["mssante"])
    dn = next(iter(feed.entries("(&(pliKey=*)(postalCode=75011))")))
    beside = [(ldap.MOD_ADD, "mssCapability", [b"smime"]), (ldap.MOD_ADD, "mssListeRouge", [b"TRUE"])]
    feed.link.modify_s(dn, beside)
    report = feed.take(changed(days[0]["mssante"], "|75011|", "|75012|"))
    assert report.conflicts == []
    entry = feed.entries()[dn]
    assert (entry["mssCapability"], entry["mssListeRouge"]) == ([b"smime"], [b"TRUE"])
    assert entry["postalCode"] == [b"75012"]


def test_broken_limits_need_a_name_and_a_reason(feed: Feed, days: list[dict[str, Path]]) -> None:
    """Nothing is changed without them; with them it is."""
    feed.take(days[0]["mssante"])
    path = feed.plan(days[1]["mssante"], limits={kind: Limit(0, 0.0) for kind in Kind})
    before = feed.entries()
    with pytest.raises(FeedError, match="seuils dépassés"):
        feed.apply(path)
    assert feed.entries() == before
    assert feed.apply(path, override=Override("Anne Martin", "fusion de deux cliniques")).of(Result.DONE) > 0


def test_a_plan_made_before_another_file_was_applied_is_refused(feed: Feed, days: list[dict[str, Path]]) -> None:
    """It says what was true then."""
    feed.take(days[0]["mssante"])
    old = feed.plan(changed(days[0]["mssante"], "|75011|", "|75012|"))
    feed.take(days[1]["mssante"])
    with pytest.raises(FeedError, match="refaites le plan"):
        feed.apply(old)
    with pytest.raises(FeedError, match="pour la source mssante"):
        feed.apply(old, sources.FINESS)


def test_a_directory_that_goes_away_loses_nothing(
    feed: Feed, own_slapd: Slapd, days: list[dict[str, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the middle of an import: what was done is known, and the rest follows when it is back."""
    monkeypatch.setattr(applying, "BATCH", 30)
    path = feed.plan(days[0]["mssante"])

    def down(_: int) -> None:
        own_slapd.stop()

    with pytest.raises(ldap.SERVER_DOWN):
        feed.apply(path, progress=down)
    own_slapd.start()
    feed.link = connection.opened(own_slapd.uri, f"{FEEDER},{SUFFIX}", own_slapd.passwords.feeder, 10.0)
    feed.target = Target(feed.link, SUFFIX)
    report = feed.apply(path)
    assert report.of(Result.ALREADY) == 30
    assert len(feed.entries()) == 30 + report.of(Result.DONE)


def test_after_retention_an_entry_is_removed(feed: Feed, days: list[dict[str, Path]], tmp_path: Path) -> None:
    """Not before, and only what its source no longer says."""
    feed.take(days[0]["mssante"])
    whole = len(feed.entries())
    less = tmp_path / "moins.txt"
    less.write_bytes(b"".join(lines_of(days[0]["mssante"])[:-1]))
    feed.take(less)
    assert len(feed.entries()) == whole
    late = NOW + timedelta(days=91)
    report = feed.apply(feed.plan(less, now=late, dated=late), now=late)
    assert (report.of(Result.DONE), len(feed.entries())) == (1, whole - 1)


def test_people_their_skills_and_diplomas_and_structures(feed: Feed, days: list[dict[str, Path]]) -> None:
    """Each source writes what is its own: the person, then specialties and diplomas beside it; places of practice."""
    for source in (sources.ACTIVITIES, sources.SKILLS, sources.DIPLOMAS, sources.FINESS):
        report = feed.take(days[0][source.name], source)
        assert (source.name, report.conflicts) == (source.name, [])
        assert report.of(Result.DONE) > 3
    doctors = feed.entries(
        "(&(hcProfession=*decin)(hcQualification=*))".replace("*decin", "Médecin"), f"ou=personnes,{SUFFIX}"
    )
    assert doctors
    assert all(entry["hcSpecialisation"] for entry in doctors.values())
    assert feed.entries("(hcMode=*)", f"ou=situations,{SUFFIX}")
    assert feed.entries("(businessCategory=*)", f"ou=structures,{SUFFIX}")
    less = changed(days[0]["savoir-faire"], "Allergologie", "Angiologie")
    assert feed.take(less, sources.SKILLS).conflicts == []
    assert feed.entries("(hcSpecialisation=Angiologie)", f"ou=personnes,{SUFFIX}")
    assert not feed.entries("(hcSpecialisation=Allergologie)", f"ou=personnes,{SUFFIX}")
