"""Imports at the pages: brought, planned, read, applied while other pages are read; on a real slapd and ledger."""

from __future__ import annotations

import io
import re
import stat
import zipfile
from collections.abc import Iterator
from html import unescape

import ldap
import pytest

from directory.feed import applying, generator, plan
from gateway import feeding, kept_plans, saved_columns
from gateway.feed_section import FeedSection
from gateway.saved_columns import Saved
from gateway.web.roles import Role
from gateway.web.works import Work
from tests.gateway.browsing import ANNE, Browser
from tests.gateway.imports import MAILBOXES, PAGE, acts, applied, boxes, held, idle, outcome, planned
from tests.gateway.region import Region, opened


@pytest.fixture
def region() -> Iterator[Region]:
    with opened() as made:
        yield made


@pytest.fixture
def keeper(region: Region) -> Browser:
    return region.browser(Role.DIRECTORY)


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The mailboxes of an invented country, and the same after one moved."""
    folder = tmp_path_factory.mktemp("country")
    first = generator.write(generator.Country(MAILBOXES, 1, 0), folder)["mssante"].read_bytes()
    return [first, first.replace(b" PARIS|", b" PARIS-NEUF|", 1)]


# --- from the file to the directory -------------------------------------------------------------------------------


def test_a_file_is_planned_read_and_applied(region: Region, keeper: Browser, country: list[bytes]) -> None:
    """Nothing changes before somebody says so; then all of it does, in the journal with who and which plan."""
    page = planned(region, keeper, country[0])
    told = unescape(keeper.get(page).text)
    kept = held(region, page)
    head = plan.head_of(kept.plan)
    assert (boxes(region), acts(region)) == (0, [])
    assert (f"{head.items} fiches" in told, "à décider" in told) == (True, True)
    assert f"Appliquer ces {head.counts['create']} changements" in told
    assert told.count(">créées</span>") == 20
    place, counts = next(iter(head.places.items()))
    assert f'<tr><th scope="row">{place}</th><td>{counts["create"]}</td><td>0</td>' in told
    told = applied(region, keeper, page)
    assert (
        outcome(told) == f"{head.counts['create']} faits, 0 déjà faits, 0 conflits ; par {ANNE}, le 26/11/2026 10:00."
    )
    assert boxes(region) == head.counts["create"] > MAILBOXES // 2
    (first, begun), (second, ended) = acts(region)
    assert (first, second) == ("directory.import-begun", "directory.import-ended")
    assert (begun["by"], begun["plan"], ended["create-done"]) == (ANNE, kept.digest, head.counts["create"])


def test_before_and_after_of_each_change(region: Region, keeper: Browser, country: list[bytes]) -> None:
    """With a sign in front; of one kind, or with one text, where these are asked for."""
    applied(region, keeper, planned(region, keeper, country[0]))
    page = planned(region, keeper, country[1], dated="2026-11-26T08:30")
    changes = list(plan.changes_of(held(region, page).plan))
    changed = next(each for each in changes if each.kind.value == "update")
    assert changed.before
    assert changed.after
    name = changed.fields[0]
    shown = unescape(keeper.post(page, kind="update", match=changed.after["address"].upper()).text)
    assert (name, f'<td class="was">− {changed.before[name]}</td>' in shown) == ("town", True)
    assert f'<td class="is">+ {changed.after[name]}</td>' in shown
    assert ">créées</span>" not in shown
    assert "Aucun changement" in keeper.post(page, match="personne-ne-s-appelle-ainsi").text


def test_a_long_plan_is_read_in_parts(region: Region, keeper: Browser, country: list[bytes]) -> None:
    """Each change once, in order, the last part saying that it is the last."""
    page = planned(region, keeper, country[0])
    changes = [each.after for each in plan.changes_of(held(region, page).plan)]
    seen, text = [], keeper.get(page).text
    while True:
        seen += re.findall(r"<caption id=\"change\d+\">.*</span> (.*)</caption>", unescape(text))
        further = re.search(r'name="place" value="(\d+)"', text)
        if not further:
            break
        text = keeper.post(page, place=further[1]).text
    assert seen == [each["address"] for each in changes if each]
    assert keeper.post(page, place="99999999999").status_code == 200
    assert keeper.post(page, place="-1 OR 1").status_code == 200


def test_a_table_whose_columns_are_kept_is_a_source(region: Region, keeper: Browser) -> None:
    """Offered beside the others, planned with its own columns; what nobody kept is none, a broken file is told."""
    named = {"type": "Genre", "adresse": "Courriel"}
    kept = saved_columns.keep(region.settings, "maison", Saved("tableau", named, separator="|"))
    assert 'value="colonnes:maison"' in keeper.get(PAGE).text
    table = b"Genre|Courriel\nORG|accueil@maison.mssante.example\n"
    page = planned(region, keeper, table, "maison.csv", source="colonnes:maison")
    assert plan.head_of(held(region, page).plan).counts["create"] == 1
    answer = keeper.send(PAGE, "maison.csv", table, source="colonnes:autre")
    assert (answer.status_code, "« autre »" in answer.text) == (409, True)
    kept.write_text("{")
    told = keeper.get(PAGE).text
    assert ("maison.json" in told, 'value="mssante"' in told) == (True, True)


def test_an_archive_is_read_through_the_zip_door(region: Region, keeper: Browser, country: list[bytes]) -> None:
    """As its source publishes it; one made to harm is refused with a sentence, and nothing of it is kept."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Extraction_Correspondance_MSSante_202611260800.txt", country[0])
    assert planned(region, keeper, packed.getvalue(), "jour.zip", dated="")
    bad = io.BytesIO()
    with zipfile.ZipFile(bad, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../Extraction_Correspondance_MSSante_202611260800.txt", country[0])
        archive.writestr("Extraction_Correspondance_MSSante_202611260900.txt", country[0])
    assert keeper.send(PAGE, "mal.zip", bad.getvalue(), source="mssante").status_code == 303
    idle(region)
    assert "archive" in keeper.get(f"{PAGE}/avancement").text
    assert len(list((feeding.folder(region.settings) / "asked").iterdir())) == 1


def test_what_is_no_file_of_that_source_is_said(region: Region, keeper: Browser) -> None:
    """A column that is missing, no file, no source: a sentence, and nothing is kept."""
    assert keeper.send(PAGE, "x.txt", b"a|b\n1|2\n", source="mssante").status_code == 303
    idle(region)
    work = region.site.works.of("lilas", "plan")
    assert work
    assert work.wrong in unescape(keeper.get(PAGE).text)
    assert work.wrong
    assert keeper.post(PAGE, source="mssante").status_code == 422
    assert keeper.send(PAGE, "x.txt", b"a", source="none").status_code == 422
    assert list((feeding.folder(region.settings) / "asked").iterdir()) == []


def test_rejected_lines_have_number_and_reason(region: Region, keeper: Browser, country: list[bytes]) -> None:
    bad = country[0] + b"BAL|sans|assez\n"
    page = planned(region, keeper, bad)
    rows = list(plan.rejected_of(held(region, page).plan))
    assert f"{len(rows)} ligne(s) rejetée(s)" in keeper.get(page).text
    shown = re.findall(
        r'<th scope="row">(\d+)</th><td lang="en">([^<]*)</td>', unescape(keeper.get(f"{page}/rejets").text)
    )
    assert shown == [(str(each.number), each.reason) for each in rows]
    assert shown[-1][0] == str(bad.count(b"\n"))


# --- limits, stopping, going on -----------------------------------------------------------------------------------


def strict(region: Region) -> None:
    """One new entry in a hundred is too many."""
    feed = region.settings.feed
    assert isinstance(feed, FeedSection)
    told = {"percent": dict.fromkeys(feed.limits, 0.0), "count": dict.fromkeys(feed.limits, 0)}
    region.site.settings = region.settings.model_copy(update={"feed": feed.model_copy(update=told)})


def test_a_limit_that_is_passed_asks_who_answers_for_it(region: Region, keeper: Browser, country: list[bytes]) -> None:
    """Without name and reason nothing is applied; with them the journal has both."""
    applied(region, keeper, planned(region, keeper, country[0]))
    strict(region)
    page = planned(region, keeper, country[1], dated="2026-11-26T08:30")
    before = len(acts(region))
    assert "Seuil dépassé" in keeper.get(page).text
    for form in ({}, {"answers": "Dr Chef"}, {"why": "fusion"}, {"answers": " ", "why": "fusion"}):
        answer = keeper.post(f"{page}/appliquer", **form)
        assert (answer.status_code, "Un seuil est dépassé" in answer.text) == (422, True)
    assert len(acts(region)) == before
    applied(region, keeper, page, answers="Dr Chef", why="fusion de deux hôpitaux")
    told = acts(region)[-1][1]
    assert (told["by"], told["answers-for-it"], told["because"]) == (ANNE, "Dr Chef", "fusion de deux hôpitaux")


def test_it_stops_and_goes_on(
    region: Region, keeper: Browser, country: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two batches; what was done stays done, and is not done twice."""
    monkeypatch.setattr(applying, "BATCH", 5)
    page = planned(region, keeper, country[0])
    stepped = Work.stepped

    def stopping(self: Work, count: int) -> None:
        stepped(self, count)
        assert keeper.post(f"{page}/arret").status_code == 303

    monkeypatch.setattr(Work, "stepped", stopping)
    told = applied(region, keeper, page)
    assert ("Arrêté avant la fin" in told, "5 faits" in told, boxes(region)) == (True, True, 5)
    monkeypatch.setattr(Work, "stepped", stepped)
    told = applied(region, keeper, page)
    assert "5 déjà faits" in told, outcome(told)
    assert boxes(region) == plan.head_of(held(region, page).plan).counts["create"]


def test_progress_is_shown_without_the_page(
    region: Region, keeper: Browser, country: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it runs: its share, a part that asks again by itself, and a page that says so without a script too."""
    monkeypatch.setattr(applying, "BATCH", 5)
    page = planned(region, keeper, country[0])
    seen: list[str] = []
    stepped = Work.stepped

    def looking(self: Work, count: int) -> None:
        stepped(self, count)
        seen.append(keeper.get(f"{page}/avancement").text)
        seen.append(keeper.get(page).text)

    monkeypatch.setattr(Work, "stepped", looking)
    applied(region, keeper, page)
    assert 'hx-trigger="every 2s"' in seen[0]
    assert "<progress" in seen[0]
    assert ("/arret" in seen[1], "/appliquer" in seen[1]) == (True, False)
    assert "hx-trigger" not in keeper.get(f"{page}/avancement").text


def test_an_import_that_died_goes_on(
    region: Region, keeper: Browser, country: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the directory went away in the middle: said, and asked again it does the rest."""
    monkeypatch.setattr(applying, "BATCH", 5)
    page = planned(region, keeper, country[0])

    def dies(_: Work, __: int) -> None:
        raise ldap.SERVER_DOWN

    with monkeypatch.context() as patch:
        patch.setattr(Work, "stepped", dies)
        told = applied(region, keeper, page)
    assert ("inachevé" in told, "the directory went away" in told) == (True, True)
    assert "5 déjà faits" in applied(region, keeper, page)


def test_one_import_at_a_time_whichever_process(region: Region, keeper: Browser, country: list[bytes]) -> None:
    """The command holds the same lock."""
    page = planned(region, keeper, country[0])
    with feeding._alone(feeding.folder(region.settings)):
        told = applied(region, keeper, page)
    assert ("un autre import est en cours" in told, boxes(region)) == (True, 0)


def test_another_file_was_applied_since(region: Region, keeper: Browser, country: list[bytes]) -> None:
    """Then the plan is not applied any more, and the page says so."""
    early = planned(region, keeper, country[0])
    other = planned(region, keeper, country[1], dated="2026-11-26T08:30")
    applied(region, keeper, other)
    assert "un autre fichier a été appliqué" in unescape(keeper.get(early).text)
    assert keeper.post(f"{early}/appliquer").status_code == 409


def test_what_was_read_is_what_is_applied(region: Region, keeper: Browser, country: list[bytes]) -> None:
    """A plan that somebody changed on the disk since is refused."""
    page = planned(region, keeper, country[0])
    path = held(region, page).plan
    path.write_bytes(path.read_bytes().replace(b"MEAUX", b"MELUN") + b"\n")
    assert "refaites-le" in applied(region, keeper, page)
    assert boxes(region) == 0


# --- what is kept -------------------------------------------------------------------------------------------------


def test_what_was_brought_is_private_and_goes(region: Region, keeper: Browser, country: list[bytes]) -> None:
    """A private folder under a name of ours; the file is gone once its plan is made; the oldest plans go first."""
    page = planned(region, keeper, country[0], "../../etc/passwd")
    (kept,) = kept_plans.every(region.settings)
    modes = {stat.S_IMODE(each.stat().st_mode) for each in (kept.folder, kept.folder.parent)}
    assert (modes, sorted(each.name for each in kept.folder.iterdir())) == ({0o700}, ["plan", "told.json"])
    assert plan.head_of(kept.plan).file == "passwd"
    kept_plans.forget_oldest(region.settings, 0)
    assert keeper.get(page).status_code == 404


def test_a_plan_is_dropped(region: Region, keeper: Browser, country: list[bytes]) -> None:
    page = planned(region, keeper, country[0])
    assert keeper.post(f"{page}/abandon").status_code == 303
    assert (keeper.get(page).status_code, kept_plans.every(region.settings)) == (404, [])


@pytest.mark.parametrize("name", ["20261126090000-0123456789abcdef", "%2e%2e", "x"])
def test_what_is_no_plan_is_no_page(region: Region, keeper: Browser, name: str) -> None:
    """Nor a way to another folder."""
    for path in ("", "/rejets", "/avancement"):
        assert keeper.get(f"{PAGE}/{name}{path}").status_code in (404, 405)
    for path in ("/appliquer", "/arret", "/abandon"):
        assert keeper.post(f"{PAGE}/{name}{path}").status_code in (404, 405)


def test_what_is_too_large_is_refused(region: Region, keeper: Browser) -> None:
    """As it comes, whatever length it says."""
    region.site.import_most = 1_000_000
    assert keeper.send(PAGE, "x.txt", b"x" * 1_100_000, source="mssante").status_code == 413
    assert not (feeding.folder(region.settings) / "asked").exists()


def test_a_full_disk_is_said(region: Region, keeper: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_plans, "_ROOM", 10**15)
    answer = keeper.send(PAGE, "x.txt", b"x" * 1_000, source="mssante")
    assert (answer.status_code, "place sur le disque" in answer.text) == (409, True)


def test_markup_in_a_file_is_text(region: Region, keeper: Browser, country: list[bytes]) -> None:
    """What a source says, and how its file is called."""
    page = planned(region, keeper, country[0].replace(b"MEAUX", b"<script>alert(1)</script>"), "<b>jour.txt")
    told = keeper.get(page).text + keeper.post(page, match="<script>").text + keeper.get(PAGE).text
    assert ("<script>alert" in told, "<b>jour" in told) == (False, False)


# --- who ----------------------------------------------------------------------------------------------------------


def test_who_is_not_the_regions_keeper_is_refused_again(region: Region, country: list[bytes]) -> None:
    """The page's role is not enough: [administration] must name the account as the region's."""
    page = planned(region, region.browser(Role.DIRECTORY), country[0])
    told = region.settings.administration
    assert told is not None
    support = told.people[ANNE].model_copy(update={"role": "support"})
    people = told.model_copy(update={"people": {ANNE: support}})
    region.site.settings = region.settings.model_copy(update={"administration": people})
    keeper = Browser(region.site, Role.DIRECTORY)
    assert keeper.send(PAGE, "x.txt", country[0], source="mssante").status_code == 409
    assert keeper.post(f"{page}/appliquer").status_code == 409
    assert (boxes(region), len(kept_plans.every(region.settings))) == (0, 1)


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.DIRECTORY}))
def test_nobody_else_opens_it(region: Region, role: Role) -> None:
    """Neither the list, nor a plan, nor an act."""
    other, plan_ = region.browser(role), f"{PAGE}/20261126090000-0123456789abcdef"
    for path in (PAGE, f"{PAGE}/avancement", plan_, f"{plan_}/rejets", f"{plan_}/avancement"):
        assert other.get(path).status_code == 403
    for path in (PAGE, plan_, f"{plan_}/appliquer", f"{plan_}/arret", f"{plan_}/abandon"):
        assert other.post(path).status_code == 403


def test_in_english(region: Region, country: list[bytes]) -> None:
    keeper = Browser(region.site, Role.DIRECTORY, language="en")
    page = planned(region, keeper, country[0])
    told = keeper.get(page).text
    assert ("to be decided" in told, "Apply these" in told) == (True, True)
    assert len(told) < 100_000


def test_a_node_that_keeps_no_directory_says_so(region: Region) -> None:
    region.site.settings = region.settings.model_copy(update={"feed": None})
    keeper = Browser(region.site, Role.DIRECTORY)
    answer = keeper.get(PAGE)
    assert (answer.status_code, "[feed]" in answer.text) == (200, True)
    assert keeper.send(PAGE, "x.txt", b"x", source="mssante").status_code == 409
