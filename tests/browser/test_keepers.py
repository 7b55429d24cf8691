"""What those who run a node and keep a directory do at its pages, in a real browser with the keyboard alone: in French
and in English, at a desk and on the narrowest telephone. On each page on the way axe-core finds nothing."""

from __future__ import annotations

import pytest

from gateway.demo.cast import RADIOLOGIST, SURGEON
from tests.browser import gestures
from tests.browser.chromium import VIEWS, View
from tests.browser.house import CLAIRE, KEEPER, House, imported, of_the_minute, said

pytestmark = [pytest.mark.journey, pytest.mark.timeout(900)]

each_view = pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)


def test_an_operator_holds_a_queue_and_lets_it_go(house: House) -> None:
    """While the other operator is away, in each view; then what waited arrives."""
    world, domain = house.world, SURGEON.address.domain
    world.company.stop_node(world.parc)
    try:
        letter = world.submit(world.plain(CLAIRE, str(SURGEON.address)))
        world.until(lambda: world.states(world.lilas, letter)["peer-signed"][1], "a reason for the delay")
        for view in VIEWS:
            _held_and_released(house, view, letter, domain)
    finally:
        world.company.start_node(world.parc)
    assert world.settled(world.lilas, letter) == {"peer-signed": ("done", "")}


def _held_and_released(house: House, view: View, letter: str, domain: str) -> None:
    world = house.world
    with house.window(view, KEEPER) as at:

        def held() -> bool:  # just while it is carried nobody takes it
            gestures.moves(at, view, "hold", domain, "ticket 4711")
            at.checked()
            return bool(world.states(world.lilas, letter)["peer-signed"][0] == "held")

        world.until(held, "held")
        gestures.moves(at, view, "release", domain, "de retour")
        assert at.page.locator("main [role=status]").is_visible()
        at.checked()
    assert world.states(world.lilas, letter)["peer-signed"][0] != "held"


@each_view
def test_the_support_finds_a_letter(house: House, view: View) -> None:
    """By its sender, without a word of what it says."""
    world = house.world
    letter = world.submit(world.plain(CLAIRE, str(SURGEON.address), "Sujet tu", "Texte tu"))
    with house.window(view, KEEPER) as at:
        gestures.looks_up(at, view, str(RADIOLOGIST.address))
        text = at.page.inner_text("main")
        assert letter in text
        assert "tu" not in text.split()
        at.checked()


@pytest.fixture(scope="module")
def country(house: House) -> bytes:
    return imported(house.world)


@each_view
def test_the_directory_s_keeper_imports_a_file(house: House, view: View, country: bytes) -> None:
    """Brought, its plan read with before and after, applied while its progress is told; then its source is fresh."""
    turn = VIEWS.index(view) + 1
    name = of_the_minute(turn)
    with house.window(view, KEEPER) as at:
        gestures.brings_a_file(at, view, "mssante", name, country.replace(b" PARIS|", b" PARIS-%d|" % turn, 1))
        at.checked()
        gestures.opens_the_plan(at, name)
        told = at.page.inner_text("table.diff")
        assert (said(view, "change-update") in told, "− PARIS" in told, f"+ PARIS-{turn}" in told) == (True,) * 3
        at.checked()
        gestures.applies(at, view)
        at.checked()
        gestures.goes(at, view, "fresh-menu")
        assert at.page.locator("tbody tr", has_text=said(view, "fresh-good")).count() == 1
        at.checked()
