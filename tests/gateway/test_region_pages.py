"""The regional directory at the pages: what is found, who says it, who reaches it; on a real slapd."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from directory import access
from directory.region import SUFFIX
from gateway import reach
from gateway.web.roles import Role
from tests.gateway.browsing import Browser
from tests.gateway.region import PEOPLE, Region, opened

LEA = "/annuaire/fiche/lea.martin@parc.example"
ROSE = "rose.discrete@parc.example"


@pytest.fixture(scope="module")
def region() -> Iterator[Region]:
    with opened() as made:
        yield made


@pytest.fixture
def keeper(region: Region) -> Browser:
    return region.browser(Role.DIRECTORY)


def rows(page: str) -> dict[str, str]:
    """First cell of each line -> the whole line, as text."""
    found = {}
    for line in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL):
        cells = [
            " ".join(re.sub(r"<[^>]+>", "", each).split()) for each in re.findall(r"<t[hd].*?</t[hd]>", line, re.S)
        ]
        found[cells[0]] = " | ".join(cells[1:])
    return found


def test_words_find_entries_without_accents(region: Region, keeper: Browser) -> None:
    """Every word must be there; a link leads to each entry; the red list is in no list."""
    found = keeper.post("/annuaire", words="lea martin meaux")
    assert (found.status_code, "3 fiche(s)" in found.text) == (200, True)
    assert f'href="{LEA.replace("@", "%40")}"' in found.text
    assert "Aucune fiche" in keeper.post("/annuaire", words="rose discrete").text
    assert "Aucune fiche" in keeper.post("/annuaire", words="martin melun").text
    assert keeper.post("/annuaire", words="  ").status_code == 422


def test_each_field_says_who_says_it(keeper: Browser) -> None:
    """The region's own directory, by its address."""
    page = keeper.get(LEA)
    assert page.status_code == 200
    told = rows(page.text)
    assert told["Spécialité"].startswith("Radiologie | ldap://127.0.0.1:")
    assert told["RPPS"].startswith(PEOPLE[0].rpps)


def test_the_red_list_is_the_keepers(region: Region, keeper: Browser) -> None:
    """By its exact address; to the support it does not exist."""
    assert "Liste rouge" in keeper.get(f"/annuaire/fiche/{ROSE}").text
    assert "1 fiche(s)" in keeper.post("/annuaire", words=ROSE).text
    support = region.browser(Role.SUPPORT)
    assert support.get(f"/annuaire/fiche/{ROSE}").status_code == 404
    assert "Aucune fiche" in support.post("/annuaire", words=ROSE).text
    assert support.get(LEA).status_code == 200


@pytest.mark.parametrize(
    "path", ["279035121518989@patient.mssante.fr", "personne@parc.example", "pas-une-adresse", "a%40b%3C"]
)
def test_what_is_no_entry_is_no_page(keeper: Browser, path: str) -> None:
    """A patient's address too, which is in no directory."""
    assert keeper.get(f"/annuaire/fiche/{path}").status_code == 404


def test_who_reaches_an_establishments_entry(keeper: Browser) -> None:
    """Our table of roles, and the server's own answer to each, with the attributes that it showed."""
    told = rows(keeper.get("/annuaire/fiche/accueil@lilas.example").text)
    assert told["Administrateur de l’annuaire régional"].startswith("oui | voir, compter")
    assert told["Administrateur de cet établissement"].startswith("oui | voir")
    assert "fusionner" not in told["Administrateur de cet établissement"]
    assert told["Administrateur d’un autre établissement"] == "non | rien | "
    delegate = told["Délégué au déploiement"]
    assert delegate.startswith("oui | compter | ")
    assert "mail" not in delegate.rpartition("|")[2].split(", ")
    assert told["Assistance"].startswith("oui | voir | ")
    assert told["Professionnels, par leur carnet d’adresses"] == "oui | rien | "


def test_who_reaches_the_red_list(keeper: Browser) -> None:
    """The region's keeper alone."""
    told = rows(keeper.get(f"/annuaire/fiche/{ROSE}").text)
    assert told["Administrateur de l’annuaire régional"].startswith("oui")
    for who in ("Assistance", "Délégué au déploiement", "Professionnels, par leur carnet d’adresses"):
        assert told[who].startswith("non"), who


def test_the_answer_is_the_servers(keeper: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked in the name of each: were all asked for as the help desk, another's administrator would see it."""
    support = f"{access.SUPPORT},{SUFFIX}"
    monkeypatch.setattr(reach.desk, "whom", lambda actor, _: "" if actor.role == "region" else support)
    told = rows(keeper.get("/annuaire/fiche/accueil@lilas.example").text)
    assert told["Administrateur d’un autre établissement"].startswith("oui | rien")


def test_a_node_that_may_not_ask_for_others_says_so(region: Region) -> None:
    """Without [administration] nobody can tell what the server would show to the others."""
    site = region.without_administration()
    told = rows(Browser(site, Role.DIRECTORY).get(LEA).text)
    assert told["Administrateur de l’annuaire régional"].startswith("oui")
    assert told["Assistance"].startswith("ne se dit pas")


def test_a_directory_that_is_away_is_said(region: Region) -> None:
    """A sentence and a 503, not an empty list."""
    region.server.stop()
    try:
        keeper = Browser(region.without_administration(), Role.DIRECTORY)
        assert keeper.post("/annuaire", words="martin").status_code == 503
        assert keeper.get(LEA).status_code == 503
    finally:
        region.server.start()


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.DIRECTORY, Role.SUPPORT}))
def test_nobody_else_opens_it(region: Region, role: Role) -> None:
    """Neither list nor entry."""
    other = region.browser(role)
    assert other.get("/annuaire").status_code == 403
    assert other.post("/annuaire", words="martin").status_code == 403
    assert other.get(LEA).status_code == 403
