"""What each kind of person does at the pages, in a real browser with the keyboard alone: French at a desk, English on a
telephone. On each page on the way axe-core finds nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.demo import sample
from gateway.demo.cast import RADIOLOGIST, SURGEON
from tests.browser import gestures
from tests.browser.chromium import ENGLISH_PHONE, FRENCH, View, Window
from tests.browser.house import CLAIRE, KEEPER, House, said, waiting

pytestmark = [
    pytest.mark.journey,
    pytest.mark.timeout(900),
    pytest.mark.parametrize("view", [FRENCH, ENGLISH_PHONE], ids=lambda view: view.name),
]

TRIES = 5


def _written(at: Window, view: View, subject: str) -> str:
    gestures.chooses_the_surgeon(at, view)
    gestures.writes(at, subject, "Bonjour Paul")
    gestures.checks(at, view)
    return gestures.sends(at, view)


def test_a_radiologist_sends_a_document_and_follows_it(house: House, view: View) -> None:
    """The patient is read from the document; the timeline comes to its end in a page that is never loaded again, where
    a screen reader is told; the document is in the dossier."""
    document = house.world.report()
    with house.window(view, CLAIRE) as at:
        gestures.chooses_the_surgeon(at, view)
        gestures.brings(at, view, document)
        assert sample.PATIENT.traits.birth_name in at.page.inner_text("main")
        at.checked()
        gestures.writes(at, "IRM du genou", "Voici le compte rendu.")
        gestures.checks(at, view)
        at.checked()
        letter = gestures.sends(at, view)
        at.page.evaluate("window.stays = true")
        at.checked()
        assert at.page.locator("[aria-live=polite] #timeline").count() == 1
        at.page.locator("#timeline .state.good").nth(1).wait_for(timeout=120_000)
        assert at.page.evaluate("window.stays")
        at.checked()
    assert house.world.settled(house.world.lilas, letter)["dossier"] == ("done", "filed")
    assert house.world.fetched(document) == document.raw


def test_a_radiologist_takes_a_letter_back(house: House, view: View) -> None:
    """In its ten seconds; on a machine that is slower than a person he may be too late, and tries another."""
    for number in range(TRIES):
        with house.window(view, CLAIRE) as at:
            letter = _written(at, view, f"À ne pas envoyer {number}")
            if _taken_back(at, view):
                at.checked()
                break
    states = house.world.settled(house.world.lilas, letter)
    assert states == {"peer-signed": ("failed", "letter.withdrawn")}


def _taken_back(at: Window, view: View) -> bool:
    try:
        gestures.takes_back(at, view)
    except AssertionError:  # the button left meanwhile
        return False
    return said(view, "undo-too-late") not in at.page.inner_text("main")


def test_a_secretary_decides_whose_a_document_is(house: House, view: View) -> None:
    """With the evidence side by side and a reason; what was decided can be undone for a while, then it is filed."""
    entry = waiting(house.world, 111 if view is FRENCH else 122)
    with house.window(view, KEEPER) as at:
        gestures.decides(at, view, entry, "pièce d’identité vue")
        assert said(view, "work-confirmed") in at.page.inner_text("main")
        assert at.button(said(view, "work-undo")).is_visible()
        at.checked()

    def listed() -> bool:
        return entry in [row["id"] for row in _listed(house)]

    house.world.until(lambda: not listed(), "decided")


def _listed(house: House) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(house.world.pli(house.world.lilas, "worklist", "--json").stdout)
    return rows


def test_an_operator_holds_a_queue_and_lets_it_go(house: House, view: View) -> None:
    """While the other operator is away; then what waited arrives."""
    world, domain = house.world, SURGEON.address.domain
    world.company.stop_node(world.parc)
    try:
        letter = world.submit(world.plain(CLAIRE, str(SURGEON.address)))
        world.until(lambda: world.states(world.lilas, letter)["peer-signed"][1], "a reason for the delay")
        with house.window(view, KEEPER) as at:

            def held() -> bool:  # just while it is carried nobody takes it
                gestures.moves(at, view, "hold", domain, "ticket 4711")
                at.checked()
                return bool(world.states(world.lilas, letter)["peer-signed"][0] == "held")

            world.until(held, "held")
    finally:
        world.company.start_node(world.parc)
    with house.window(view, KEEPER) as at:
        gestures.moves(at, view, "release", domain, "de retour")
        assert at.page.locator("main [role=status]").is_visible()
        at.checked()
    assert world.settled(world.lilas, letter) == {"peer-signed": ("done", "")}


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


def test_the_language_is_changed_at_the_page(house: House, view: View) -> None:
    """By its button, and the page says so to a screen reader."""
    with house.window(view, CLAIRE) as at:
        at.open("/")
        assert at.page.locator("html").get_attribute("lang") == view.language
        at.submit(at.button(said(view, "other-language")))
        assert at.page.locator("html").get_attribute("lang") == {"fr": "en", "en": "fr"}[view.language]
        at.checked()
