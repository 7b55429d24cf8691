"""What professionals do at the pages, in a real browser with the keyboard alone: in French and in English, at a desk
and on the narrowest telephone. On each page on the way axe-core finds nothing."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dmp_bridge.model import Document
from gateway.demo import sample
from tests.browser import gestures
from tests.browser.chromium import FRENCH, VIEWS, View, Window
from tests.browser.house import CLAIRE, KEEPER, House, said, waiting

pytestmark = [
    pytest.mark.journey,
    pytest.mark.timeout(900),
]
each_view = pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)

TRIES = 5


def _written(at: Window, view: View, subject: str) -> str:
    gestures.chooses_the_surgeon(at, view)
    gestures.writes(at, subject, "Bonjour Paul")
    gestures.checks(at, view)
    return gestures.sends(at, view)


def test_a_radiologist_sends_a_document_and_follows_it(house: House) -> None:
    """The patient is read from the document; the timeline comes to its end in a page that is never loaded again, where
    a screen reader is told; the document is in the dossier. While one is on its way, the next is written."""
    with ExitStack() as open_windows:
        sent = [_sent(house, open_windows.enter_context(house.window(view, CLAIRE)), view) for view in VIEWS]
        for at, letter, document in sent:
            at.page.locator("#timeline .state.good").nth(1).wait_for(timeout=120_000)
            assert at.page.evaluate("window.stays")
            at.checked()
            assert house.world.settled(house.world.lilas, letter)["dossier"] == ("done", "filed")
            assert house.world.fetched(document) == document.raw


def _sent(house: House, at: Window, view: View) -> tuple[Window, str, Document]:
    document = house.world.report()
    gestures.chooses_the_surgeon(at, view)
    gestures.brings(at, view, document)
    told = at.page.inner_text("main")
    assert (sample.PATIENT.traits.birth_name in told, said(view, "write-none") in told) == (True, False)
    at.checked()
    gestures.writes(at, "IRM du genou", "Voici le compte rendu.")
    gestures.checks(at, view)
    at.checked()
    letter = gestures.sends(at, view)
    assert said(view, "letters-dossier", host="regional") in at.page.inner_text("main")
    at.page.evaluate("window.stays = true")
    at.checked()
    assert at.page.locator("[aria-live=polite] #timeline").count() == 1
    return at, letter, document


def test_a_document_is_dropped_on_the_page(house: House, tmp_path: Path) -> None:
    """Instead of being chosen; its patient is read as well."""
    file = tmp_path / "compte-rendu.xml"
    file.write_bytes(house.world.report().raw)
    with house.window(FRENCH, CLAIRE) as at:
        at.open("/ecrire")
        gestures.drops(at, FRENCH, file)
        assert sample.PATIENT.traits.birth_name in at.page.inner_text("main")


@each_view
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


def test_a_secretary_decides_whose_a_document_is(house: House) -> None:
    """With the evidence side by side and a reason; what was decided can be undone for a while, then it is filed."""
    entries = [waiting(house.world, 111 + number) for number, _ in enumerate(VIEWS)]
    for view, entry in zip(VIEWS, entries, strict=True):
        with house.window(view, KEEPER) as at:
            gestures.decides(at, view, entry, "pièce d’identité vue")
            assert said(view, "work-confirmed") in at.page.inner_text("main")
            assert at.button(said(view, "work-undo")).is_visible()
            at.checked()

    def decided() -> bool:
        return not set(entries) & {row["id"] for row in _listed(house)}

    house.world.until(decided, "decided")


def _listed(house: House) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(house.world.pli(house.world.lilas, "worklist", "--json").stdout)
    return rows


@each_view
def test_the_language_is_changed_at_the_page(house: House, view: View) -> None:
    """By its button, and the page says so to a screen reader."""
    with house.window(view, CLAIRE) as at:
        at.open("/")
        assert at.page.locator("html").get_attribute("lang") == view.language
        at.submit(at.button(said(view, "other-language")))
        assert at.page.locator("html").get_attribute("lang") == {"fr": "en", "en": "fr"}[view.language]
        at.checked()
