"""Every page that a walk over the links reaches, in both languages, on a desk and on the narrowest telephone: axe-core
finds nothing, nothing is asked of others, the browser complains of nothing. A new route that a link leads to is walked
by itself; one in the menu must have been."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Error, Page

from gateway.demo.cast import RADIOLOGIST
from gateway.web.faces import FACES
from gateway.web.roles import Face
from tests.browser.chromium import ENGLISH, FRENCH, NARROW, WIDE, View, Window, window
from tests.browser.house import CLAIRE, KEEPER, House

pytestmark = [pytest.mark.journey, pytest.mark.timeout(900)]

EACH_MOST = 2
"""Pages of one route."""
ELSEWHERE = {"/entrer/fournisseur/{provider}", "/entrer/retour/{provider}"}
"""Lead to a provider and back; tests/journeys/test_signing_in.py goes there."""
BESIDE_THE_MENU = {
    *("/entrer", "/aide", "/aide/{page}", "/lettres/{letter}", "/boite/{validity}/{uid}"),
    *("/liste-de-travail/{entry}", "/annuaire/fiche/{address}"),
}
"""Seen at least, with whatever stands in the menu."""
FOUND = (f"/annuaire/fiche/{RADIOLOGIST.address}",)
"""To which no link leads, but the answer to a form."""


def _pages() -> dict[str, re.Pattern[str]]:
    """Routes that answer a person with something, each with the shape of its paths."""
    shown = [each for each in FACES if "GET" in each.methods and not (each.beside or each.quiet)]
    return {each.path: _shape(each) for each in shown}


def _shape(face: Face) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(face.path)))


def _route(path: str) -> str | None:
    return next((route for route, shape in PAGES.items() if shape.fullmatch(path)), None)


PAGES = _pages()


def _links(at: Window) -> list[str]:
    """Paths with their queries, of this site."""
    urls = at.page.eval_on_selector_all("a[href]", "all => all.map(each => each.href)")
    parts = [urlsplit(each) for each in urls if each.startswith(f"{at.origin}/")]
    return [f"{each.path}?{each.query}" if each.query else each.path for each in parts]


def _walk(at: Window, most: int, *begin: str) -> Counter[str]:
    """How many of each route were seen; each page is checked."""
    seen: Counter[str] = Counter()
    waiting, known = list(begin), set(begin)
    while waiting:
        path = waiting.pop(0)
        route = _route(urlsplit(path).path)
        assert route is not None, f"a link leads to {path}, which is no page"
        if route in ELSEWHERE or seen[route] >= most:
            continue
        seen[route] += 1
        if _is_page(at, path):
            for size in (NARROW, WIDE):
                at.sized(*size)
                at.checked()
            fresh = [each for each in dict.fromkeys(_links(at)) if each not in known]
            known.update(fresh)
            waiting += fresh
    return seen


def _is_page(at: Window, path: str) -> bool:
    """Opens it: a page, a picture, or a file, which the browser keeps and does not show."""
    try:
        answer = at.page.goto(f"{at.origin}{path}")
    except Error as error:
        if "Download is starting" not in error.message:
            raise
        return False
    assert answer is not None
    assert answer.status == 200, (path, answer.status)
    return answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("view", [FRENCH, ENGLISH], ids=lambda view: view.language)
def test_nothing_is_found_on_any_page(house: House, view: View) -> None:
    """Of somebody with every role, and of a stranger; all routes were there."""
    with house.window(view, KEEPER) as at:
        seen = _walk(at, EACH_MOST, "/", *FOUND)
    with house.window(view) as at:
        seen += _walk(at, 1, "/entrer")
    wanted = {each.path for each in FACES if each.menu} | BESIDE_THE_MENU
    assert wanted - set(seen) == set()


def test_what_a_professional_is_shown_is_walked_too(house: House) -> None:
    """Who has no other role has other menus and letters."""
    with house.window(FRENCH, CLAIRE) as at:
        seen = _walk(at, EACH_MOST, "/")
    assert {"/", "/ecrire", "/lettres/{letter}"} <= set(seen)
    assert "/file" not in seen


def test_every_page_of_the_handbook(house: House) -> None:
    """All of them, once."""
    with house.window(FRENCH) as at:
        seen = _walk(at, 100, "/aide")
    assert seen["/aide/{page}"] > 5


class _Stranger(BaseHTTPRequestHandler):
    """A page of another origin, which frames what its query names; /plain is a page that lets itself be framed."""

    def do_GET(self) -> None:
        framed = urlsplit(self.path).query
        body = f'<iframe src="{framed}"></iframe>' if framed else "<p>laisse faire</p>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stranger() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Stranger)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_in_a_frame_of_another_s_page_nothing_is_shown(house: House, stranger: str) -> None:
    """Neither to who is signed in, nor to a stranger, nor the handbook (clickjacking); a page that lets itself be
    framed is shown there."""

    def framed(at: Page, url: str) -> tuple[str, str]:
        at.goto(f"{stranger}/?{url}")
        return at.frames[1].url, at.frames[1].locator("body").inner_text()

    with house.window(FRENCH, KEEPER) as at:
        kept = at.page.context.storage_state()
    for state in (kept, None):
        with window(house.browser, house.origin, FRENCH, state) as at:
            assert framed(at.page, f"{stranger}/plain") == (f"{stranger}/plain", "laisse faire")
            for path in ("/", "/entrer", "/aide", "/ecrire", "/static/pli.css"):
                shown, text = framed(at.page, f"{house.origin}{path}")
                assert (shown.startswith(house.origin), "Pli" in text) == (False, False), (path, text)


SPOILT = """
document.querySelector('label').remove();
document.querySelector('main').append(new Image());
fetch('https://elsewhere.example/').catch(() => 0);
"""


def test_the_walk_finds_what_is_wrong(house: House) -> None:
    """The twin: a field without a label, a picture without words, a request to others."""
    with window(house.browser, house.origin, FRENCH) as at:
        at.open("/entrer")
        at.checked()
        at.untroubled()
        with at.page.expect_console_message():
            at.page.evaluate(SPOILT)
        with pytest.raises(AssertionError) as found:
            at.checked()
        assert {"image-alt", "label"} <= set(re.findall(r"[a-z-]+", str(found.value)))
        with pytest.raises(AssertionError, match=r"elsewhere\.example"):
            at.untroubled()
