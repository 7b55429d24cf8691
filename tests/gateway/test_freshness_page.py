"""Freshness at the pages, on a ledger that real files of the feed filled."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from directory.feed import ledger
from directory.feed.ledger import Taken
from gateway import feeding, freshness
from gateway.web.roles import Role
from tests.gateway.browsing import Browser
from tests.gateway.region import NOW, Region, opened

PAGE = "/annuaire/fraicheur"


@pytest.fixture
def region() -> Iterator[Region]:
    with opened() as made:
        yield made


def taken(region: Region, source: str, hours: int) -> None:
    book = feeding.ledger(region.settings)
    dated = (NOW - timedelta(hours=hours)).isoformat()
    with book.opened() as connection:
        ledger.finished(connection, Taken(source, dated, "0" * 64, 7, NOW.isoformat()))
        connection.commit()


def row(page: str, title: str) -> str:
    return page[page.index(f">{title}</th>") :].partition("</tr>")[0]


def test_what_is_too_old_is_said(region: Region) -> None:
    """By the limit of each source; a source that was never taken is named too."""
    taken(region, "mssante", 49)
    taken(region, "finess", 49)
    page = region.browser(Role.DIRECTORY).get(PAGE).text
    found = {each.taken.source: each for each in freshness.every(region.settings, NOW)}
    assert {name: each.stale for name, each in found.items()} == {"mssante": True, "finess": False}
    assert ("périmée" in row(page, found["mssante"].title), "2 jours" in row(page, found["mssante"].title)) == (
        True,
        True,
    )
    assert "à jour" in row(page, found["finess"].title)
    assert freshness.never(tuple(found.values()))[0] in page.partition("Jamais appliquées")[2]


def test_in_english(region: Region) -> None:
    taken(region, "mssante", 3)
    page = Browser(region.site, Role.SUPPORT, language="en").get(PAGE).text
    assert ("fresh</span>" in page, "3 h" in page) == (True, True)


def test_a_node_that_keeps_no_directory_says_so(region: Region) -> None:
    region.site.settings = region.settings.model_copy(update={"feed": None})
    answer = region.browser(Role.DIRECTORY).get(PAGE)
    assert (answer.status_code, "[feed]" in answer.text) == (200, True)


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.DIRECTORY, Role.SUPPORT}))
def test_nobody_else_opens_it(region: Region, role: Role) -> None:
    assert region.browser(role).get(PAGE).status_code == 403
