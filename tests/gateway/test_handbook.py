"""The handbook: every page is rendered, nothing in one can act, every link leads somewhere that is served."""

from __future__ import annotations

import re

import pytest
from lxml import html
from starlette.applications import Starlette
from starlette.testclient import TestClient

from gateway import handbook, handbook_pages, shipped


@pytest.mark.parametrize("name", list(handbook.PAGES))
def test_every_page_is_there_with_its_tables(name: str) -> None:
    """A title, headings that can be linked to, and as many tables as the text has."""
    found = handbook.page(name)
    assert found
    tree = html.fromstring(found.html)
    assert found.title
    assert [each.text_content() for each in tree.iter("h1")] == [found.title.replace("`", "")]
    assert all(each.get("id") for each in tree.iter("h1", "h2", "h3"))
    text = (shipped.folder() / f"{name}.md").read_text("utf-8")
    assert len(list(tree.iter("table"))) == len(re.findall(r"(?m)^\|[-| ]+\|$", text))


@pytest.mark.parametrize("name", list(handbook.PAGES))
def test_every_link_of_a_page_is_served(name: str) -> None:
    """To another page, to a heading that is on it, or by https."""
    found = handbook.page(name)
    assert found
    for link in html.fromstring(found.html).iter("a"):
        target, _, heading = str(link.get("href")).partition("#")
        page = handbook.page(target.rpartition("/")[2]) if target.startswith(f"{handbook.AT}/") else found
        assert target.startswith("https://") or target in ("", handbook.AT) or page, target
        assert not heading or target.startswith("https://") or f'id="{heading}"' in page.html, link.get("href")


@pytest.mark.parametrize("name", ["", "nothing", "../SECURITY", "install.md", "INSTALL"])
def test_what_is_no_page_is_not_read(name: str) -> None:
    """No other file can be asked for."""
    assert handbook.page(name) is None


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "a <img src=x onerror=alert(1)> b",
        "[x](javascript:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "![x](https://elsewhere.example/pixel.png)",
        "<style>body{}</style>",
        "[x](//elsewhere.example/)",
        '[x](https://a.example/"onclick="alert(1))',
    ],
)
def test_nothing_in_a_page_can_act(text: str) -> None:
    """Neither script nor style nor picture nor handler comes out of it; the words stay readable."""
    tree = html.fromstring(f"<main>{handbook.rendered(text)}</main>")
    assert not [each.tag for each in tree.iter("script", "style", "img", "iframe", "object")]
    assert not [name for each in tree.iter() for name in each.attrib if name.startswith("on")]
    hrefs = [str(each.get("href")) for each in tree.iter("a")]
    assert all(each.startswith("https://") or each == handbook.AT for each in hrefs), hrefs
    assert tree.text_content().strip()


def test_pictures_of_ours_are_shown_and_no_others() -> None:
    """By their words; one that lies elsewhere leaves its words alone."""
    ours = html.fromstring(handbook.rendered('![Un "mot" <b>](pictures/accueil.png)'))
    (shown,) = ours.iter("img")
    assert (shown.get("src"), shown.get("alt")) == ("/aide/pictures/accueil.png", 'Un "mot" <b>')
    for place in (
        "https://a.example/x.png",
        "//a/pictures/x.png",
        "pictures/../../x.png",
        "/x.png",
        "data:image/png,x",
    ):
        assert "<img" not in handbook.rendered(f"![mot]({place})")
        assert "mot" in handbook.rendered(f"![mot]({place})")


@pytest.mark.parametrize("name", list(handbook.PAGES))
def test_every_picture_of_a_page_is_served(name: str, reader: TestClient) -> None:
    """With words, at both places, as the type that it is."""
    found = handbook.page(name)
    assert found
    for each in html.fromstring(found.html).iter("img"):
        answer = reader.get(str(each.get("src")))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png"), each.get("src")
        assert answer.content.startswith(b"\x89PNG")
        assert each.get("alt")
    assert reader.get("/aide/pictures/nothing.png").status_code == 404


def test_no_other_file_is_a_picture() -> None:
    for name in ("../reading", "", "accueil.png", "ACCUEIL", "../../README"):
        assert handbook.picture(name) is None
    assert handbook.picture("accueil")


def test_the_pages_of_professionals_show_pictures() -> None:
    """What they will see, before they see it."""
    for name in ("reading", "writing", "signing-in", "directory", "operations"):
        found = handbook.page(name)
        assert found
        assert "<img " in found.html, name


def test_without_the_look_at_links_one_would_lead_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """That look is what keeps them within."""
    assert 'href="/aide"' in handbook.rendered("[x](//elsewhere.example/)")
    monkeypatch.setattr(handbook, "place", lambda target: target)
    assert 'href="//elsewhere.example/"' in handbook.rendered("[x](//elsewhere.example/)")


# --- served -----------------------------------------------------------------------------------------------------


@pytest.fixture
def reader() -> TestClient:
    return TestClient(Starlette(routes=handbook_pages.routes()))


def test_the_list_leads_to_every_page(reader: TestClient) -> None:
    """Each link of /aide is answered, with a title, in its language."""
    links = [str(each.get("href")) for each in html.fromstring(reader.get("/aide").text).iter("a")]
    assert links == [f"/aide/{name}" for name in handbook.PAGES]
    for link in links:
        answer, said = reader.get(link), handbook.page(link.rpartition("/")[2])
        assert said
        tree = html.fromstring(answer.text)
        assert (answer.status_code, tree.get("lang")) == (200, said.language), link
        assert tree.findtext(".//title")
        assert len(list(tree.iter("main"))) == 1
        assert len(answer.content) < 100_000


@pytest.mark.parametrize("path", ["/aide/nothing", "/aide/..%2fSECURITY", "/aide/install.md", "/aide/%3Cscript%3E"])
def test_what_is_no_page_is_said_so(reader: TestClient, path: str) -> None:
    """404, in French, and nothing of the path is repeated."""
    answer = reader.get(path)
    assert answer.status_code == 404
    assert "script" not in answer.text


def test_the_browser_is_told_to_load_nothing_else(reader: TestClient) -> None:
    """No script, no frame, no form, no other host: on the list, on a page, on what is no page."""
    for path in ("/aide", "/aide/when", "/aide/nothing", "/aide/style.css", "/aide/pictures/accueil.png"):
        answer = reader.get(path)
        policy = answer.headers["content-security-policy"]
        assert answer.headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
    tree = html.fromstring(reader.get("/aide/operations").text)
    assert not [each.tag for each in tree.iter() if each.get("style") or each.tag == "script"]
