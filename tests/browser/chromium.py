"""A real Chromium before the pages of a node: Debian's, driven by Playwright; what it shows, asks for and complains of.

Promises: every window notes each request to another origin and each complaint of the browser (an error of a script, a
breach of the policy of content), and `Window.checked` asks axe-core (WCAG 2.1 A and AA, which RGAA 4.1.2 follows) and
that nothing is wider than the window. Does not: download a browser; ./dev installs Debian's package.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page, sync_playwright

PROGRAM = Path("/usr/bin/chromium")
NORM = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
AXE = Axe()
TABS_MOST = 150


@dataclass(frozen=True)
class View:
    """A language and a width."""

    language: str
    width: int
    height: int

    @property
    def name(self) -> str:
        return f"{self.language}-{'phone' if self.width < 600 else 'desktop'}"


WIDE, NARROW = (1280, 900), (320, 640)
"""The narrowest on which nothing may be moved sideways (WCAG 2.1, 1.4.10), and a desk."""
FRENCH, FRENCH_PHONE = View("fr", *WIDE), View("fr", *NARROW)
ENGLISH, ENGLISH_PHONE = View("en", *WIDE), View("en", *NARROW)
VIEWS = (FRENCH, ENGLISH_PHONE, FRENCH_PHONE, ENGLISH)


@dataclass
class Window:
    """One window of one person, and what went wrong in it."""

    page: Page
    origin: str
    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", self._asked)
        self.page.on("console", self._said)
        # Asked from the beginning: asked just before a key is pressed, Chromium may open a dialogue of its own first
        self.page.on("filechooser", lambda _: None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((f"{self.origin}/", "data:")):
            self.elsewhere.append(request.url)

    def _said(self, message: Any) -> None:
        refused = "Failed to load resource: the server responded" in message.text  # a refusal that a journey asked for
        if message.type in ("error", "warning") and not refused:
            self.complaints.append(message.text)

    # --- moving -----------------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        return urlsplit(self.page.url).path

    def open(self, path: str) -> None:
        self.page.goto(f"{self.origin}{path}")

    def sized(self, width: int, height: int) -> None:
        """The same page in another window."""
        self.page.set_viewport_size({"width": width, "height": height})

    def reach(self, wanted: Locator) -> None:
        """With the tabulator alone; where one is, is seen (RGAA 10.7)."""
        for _ in range(TABS_MOST):
            if wanted.evaluate("each => each === document.activeElement"):
                break
            self.page.keyboard.press("Tab")
        else:
            raise AssertionError(f"no keyboard reaches {wanted} at {self.path}")
        assert wanted.evaluate("each => getComputedStyle(each).outlineStyle") != "none", wanted

    def press(self, wanted: Locator) -> None:
        """A button or a link, with the Enter key."""
        self.reach(wanted)
        self.page.keyboard.press("Enter")

    def submit(self, wanted: Locator) -> None:
        """What leads to another page, which is awaited."""
        self.reach(wanted)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def type(self, wanted: Locator, text: str) -> None:
        self.reach(wanted)
        self.page.keyboard.type(text)

    def button(self, words: str) -> Locator:
        return self.page.get_by_role("button", name=words, exact=True).first

    # --- looking ----------------------------------------------------------------------------------------------

    def checked(self) -> None:
        """Raises with what axe-core found on the page as it stands, and where it is wider than its window."""
        found = AXE.run(self.page, options=NORM).response["violations"]
        told = [f"{each['id']}: {[node['html'][:160] for node in each['nodes'][:3]]}" for each in found]
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        blank = "[...document.images].filter(each => each.complete && !each.naturalWidth).map(each => each.src)"
        assert told == [], f"{self.path}: {told}"
        assert self.page.evaluate(blank) == [], f"{self.path}: pictures that are none"
        assert self.page.evaluate(wide) <= 1, f"{self.path}: wider than the window (WCAG 1.4.10)"

    def untroubled(self) -> None:
        """Nothing was asked of others, and the browser refused nothing."""
        troubles = [*self.elsewhere, *self.complaints]
        assert troubles == [], troubles


@contextmanager
def chromium() -> Iterator[Browser]:
    """Without its sandbox where we are root, as in a container: there it would not start."""
    alone = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=PROGRAM, args=[*alone, "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@contextmanager
def window(browser: Browser, origin: str, view: View, state: Any = None) -> Iterator[Window]:
    """The stage's authority is thrown away with it, so that no browser knows it."""
    context: BrowserContext = browser.new_context(
        ignore_https_errors=True,
        locale={"fr": "fr-FR", "en": "en-GB"}[view.language],
        viewport={"width": view.width, "height": view.height},
        storage_state=state,
    )
    context.set_default_timeout(60_000)
    try:
        yield Window(context.new_page(), origin)
    finally:
        context.close()
