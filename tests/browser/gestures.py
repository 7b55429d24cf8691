"""What people do at the pages, with the keyboard alone; each ends where its page stands."""

from __future__ import annotations

from pathlib import Path

from dmp_bridge.model import Document
from gateway.demo.cast import SURGEON
from tests.browser.chromium import View, Window
from tests.browser.house import said

CARD = f'#found button[value="add:{SURGEON.address}"]'


def goes(at: Window, view: View, menu: str) -> None:
    """By the menu, which a telephone shows when it is asked for."""
    opener = at.page.locator("nav summary")
    if opener.is_visible():
        at.press(opener)
    at.submit(at.page.get_by_role("navigation").get_by_role("link", name=said(view, menu), exact=True))


def chooses_the_surgeon(at: Window, view: View) -> None:
    """His card comes while his name is typed."""
    goes(at, view, "write-menu")
    at.type(at.page.locator("#search"), "bernard paul")
    at.page.locator(CARD).wait_for()
    at.submit(at.page.locator(CARD))
    at.page.locator(f'button[value="drop:{SURGEON.address}"]').wait_for()


def brings(at: Window, view: View, document: Document) -> None:
    """A document, by the file dialogue."""
    at.reach(at.page.locator("#paper"))
    with at.page.expect_file_chooser() as dialogue:
        at.page.keyboard.press("Space")
    paper = {"name": "compte-rendu-irm.xml", "mimeType": "text/xml", "buffer": document.raw}
    dialogue.value.set_files([paper])
    at.submit(at.button(said(view, "write-paper-go")))


def drops(at: Window, view: View, file: Path) -> None:
    """A document, from the desktop on to its field."""
    field = at.page.locator("#paper")
    field.scroll_into_view_if_needed()
    box = field.bounding_box()
    assert box
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    held = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
    browser = at.page.context.new_cdp_session(at.page)
    for act in ("dragEnter", "dragOver", "drop"):
        browser.send("Input.dispatchDragEvent", {"type": act, **place, "data": held})
    at.submit(at.button(said(view, "write-paper-go")))


def writes(at: Window, subject: str, text: str) -> None:
    at.type(at.page.locator("#subject"), subject)
    at.type(at.page.locator("#text"), text)


def checks(at: Window, view: View) -> None:
    at.submit(at.button(said(view, "write-next")))


def sends(at: Window, view: View) -> str:
    """The letter's id."""
    at.submit(at.button(said(view, "write-send")))
    return at.path.removeprefix("/lettres/")


def takes_back(at: Window, view: View) -> None:
    """Past the menu by the link for that, then the first button of the page."""
    at.press(at.page.locator("a.skip"))
    at.submit(at.button(said(view, "undo-go")))


def decides(at: Window, view: View, entry: str, why: str) -> None:
    """The likeliest patient it is."""
    goes(at, view, "work-menu")
    at.submit(at.page.locator(f'a[href="/liste-de-travail/{entry}"]'))
    at.type(at.page.locator("#why-1"), why)
    at.submit(at.button(said(view, "work-confirm")))


def moves(at: Window, view: View, act: str, target: str, why: str) -> None:
    """Holds or releases what waits for a destination."""
    goes(at, view, "queue-menu")
    at.submit(at.button(f"{said(view, f'queue-{act}')} – {target}"))
    at.type(at.page.locator("#why"), why)
    at.submit(at.page.locator("main button.main"))


def looks_up(at: Window, view: View, sender: str) -> None:
    goes(at, view, "search-menu")
    at.type(at.page.locator("#sender"), sender)
    at.submit(at.button(said(view, "search-go")))


def brings_a_file(at: Window, view: View, source: str, name: str, data: bytes) -> None:
    """Of the directory; until its plan is made."""
    goes(at, view, "import-menu")
    chosen = at.page.locator("#source")
    at.reach(chosen)
    for _ in range(chosen.locator("option").count()):
        if chosen.input_value() == source:
            break
        at.page.keyboard.press("ArrowDown")
    at.reach(at.page.locator("#file"))
    with at.page.expect_file_chooser() as dialogue:
        at.page.keyboard.press("Space")
    dialogue.value.set_files([{"name": name, "mimeType": "text/plain", "buffer": data}])
    at.submit(at.button(said(view, "import-plan")))
    at.submit(at.page.locator("[aria-live=polite]").get_by_role("link", name=said(view, "work-see")))


def opens_the_plan(at: Window, name: str) -> None:
    at.submit(at.page.get_by_role("link", name=name, exact=True))


def applies(at: Window, view: View) -> None:
    """The plan on the page. A screen reader is told of its progress, and the page leads to what became of it."""
    at.submit(at.page.locator('form[action$="/appliquer"] button.main'))
    assert at.page.locator("main [aria-live=polite]").inner_text().strip()
    at.submit(at.page.locator("[aria-live=polite]").get_by_role("link", name=said(view, "work-see")))
    assert at.page.locator("p.done[role=status]").is_visible()
