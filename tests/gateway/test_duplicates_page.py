"""Duplicates at the pages: looked for without the page, merged by a person, taken back; on a real slapd."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from html import unescape

import ldap
import pytest

from directory.region import SUFFIX
from gateway.web import works
from gateway.web.roles import Role
from tests.gateway.browsing import ANNE, Browser
from tests.gateway.region import WORD, Region, opened

PAGE = "/annuaire/doublons"
ONE, OTHER = f"mail=lea.martin@cabinet.example,ou=bal,{SUFFIX}", f"mail=lea.martin@parc.example,ou=bal,{SUFFIX}"
PAIR = {"dn": OTHER, "into": ONE}


@pytest.fixture
def region() -> Iterator[Region]:
    with opened() as made:
        yield made


@pytest.fixture
def keeper(region: Region) -> Browser:
    return region.browser(Role.DIRECTORY)


def looked(keeper: Browser) -> str:
    """The page once somebody looked for duplicates."""
    assert keeper.post(PAGE).status_code == 303
    until = time.monotonic() + 60
    while "En cours" in keeper.get(f"{PAGE}/avancement").text:
        assert time.monotonic() < until
        time.sleep(0.05)
    return unescape(keeper.get(PAGE).text)


def stands_for(region: Region, dn: str) -> list[bytes]:
    link = ldap.initialize(region.server.uri)
    link.simple_bind_s(f"cn=gestion,{SUFFIX}", WORD)
    try:
        rows = link.search_s(dn, ldap.SCOPE_BASE, attrlist=["mergedInto"])
    finally:
        link.unbind_s()
    found: list[bytes] = rows[0][1].get("mergedInto", [])
    return found


def acts(region: Region) -> list[tuple[str, dict[str, str]]]:
    with closing(sqlite3.connect(f"file:{region.settings.paths.data / 'pli.sqlite'}?mode=ro", uri=True)) as base:
        rows = base.execute("SELECT event, facts FROM journal WHERE event LIKE 'directory.%' ORDER BY number")
        return [(event, json.loads(facts)) for event, facts in rows]


def test_pairs_are_side_by_side_with_their_evidence(keeper: Browser) -> None:
    """One RPPS and one name first, then who may be one; what agrees has a sign and a word."""
    page = looked(keeper)
    assert "1 certain(s) par la règle" in page
    assert page.index("même RPPS, même nom") < page.index(">à regarder<")
    assert re.search(r"\+</span> RPPS : identique", page)
    assert re.search(r"\?</span> structure : ne se dit pas|−</span>", page)
    assert page.index(ONE) < page.index("Fusionner")


def test_a_merge_and_its_undoing_are_the_persons(region: Region, keeper: Browser) -> None:
    """Done on the server, journalled with who, before, after and why, and taken back from the same page."""
    looked(keeper)
    merged = keeper.post(f"{PAGE}/fusion", **PAIR, why="même personne, deux cabinets")
    assert (merged.status_code, "Séparer de nouveau" in merged.text) == (200, True)
    assert stands_for(region, OTHER) == [ONE.encode()]
    parted = keeper.post(f"{PAGE}/separation", **PAIR, why="erreur")
    assert (parted.status_code, "Fusionner" in parted.text) == (200, True)
    assert stands_for(region, OTHER) == []
    (first, one), (second, other) = acts(region)
    assert (first, second) == ("directory.merged", "directory.parted")
    assert (one["by"], one["before"], one["after"], one["because"]) == (ANNE, "", ONE, "même personne, deux cabinets")
    assert (other["before"], other["after"]) == (ONE, "")


def test_without_a_reason_or_off_the_list_nothing_is_merged(region: Region, keeper: Browser) -> None:
    """No other entry is moved from here, whatever a form says; and not before somebody looked."""
    assert keeper.post(f"{PAGE}/fusion", **PAIR, why="x").status_code == 404
    looked(keeper)
    assert keeper.post(f"{PAGE}/fusion", **PAIR, why=" ").status_code == 422
    alone = f"mail=paul.seul@parc.example,ou=bal,{SUFFIX}"
    assert keeper.post(f"{PAGE}/fusion", dn=alone, into=ONE, why="x").status_code == 404
    assert (stands_for(region, OTHER), stands_for(region, alone), acts(region)) == ([], [], [])


def test_who_is_not_the_regions_keeper_is_refused_again(region: Region) -> None:
    """The page's role is not enough: [administration] must name the account as the region's."""
    told = region.settings.administration
    assert told is not None
    support = told.people[ANNE].model_copy(update={"role": "support"})
    people = told.model_copy(update={"people": {ANNE: support}})
    region.site.settings = region.settings.model_copy(update={"administration": people})
    keeper = Browser(region.site, Role.DIRECTORY)
    looked(keeper)
    answer = keeper.post(f"{PAGE}/fusion", **PAIR, why="x")
    assert (answer.status_code, stands_for(region, OTHER)) == (409, [])


def test_one_work_at_a_time(region: Region, keeper: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is refused with a sentence while the first goes on; told to stop, it stops."""
    begun = region.site.works.begin("lilas", "plan", "bob", lambda work: work.stop.wait(60), ValueError)
    assert begun
    assert (keeper.post(PAGE).status_code, keeper.get(PAGE).status_code) == (409, 200)
    running = region.site.works.running()
    assert running
    running.stop.set()
    looked(keeper)


def test_a_work_that_breaks_is_said_and_names_nobody(region: Region, keeper: Browser) -> None:
    """The kind of a surprise on the page and in the log, not its text."""

    def breaks(_: works.Work) -> None:
        raise RuntimeError("Mme Escoffier")

    region.site.works.begin("lilas", "duplicates", ANNE, breaks, ValueError)
    until = time.monotonic() + 60
    while region.site.works.running():
        assert time.monotonic() < until
        time.sleep(0.01)
    page = keeper.get(PAGE).text
    assert "RuntimeError" in page
    assert "Escoffier" not in page


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.DIRECTORY}))
def test_nobody_else_opens_it(region: Region, role: Role) -> None:
    """Neither the list nor an act."""
    other = region.browser(role)
    for path in (PAGE, f"{PAGE}/avancement"):
        assert other.get(path).status_code == 403
    for path in (PAGE, f"{PAGE}/fusion", f"{PAGE}/separation", f"{PAGE}/arret"):
        assert other.post(path, **PAIR, why="x").status_code == 403
