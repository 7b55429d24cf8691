"""The handbook: every page is rendered, nothing in one can act, every link leads somewhere that is served."""

from __future__ import annotations

import re

import pytest
from lxml import html

from gateway import handbook, shipped


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


def test_without_the_look_at_links_one_would_lead_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """That look is what keeps them within."""
    assert 'href="/aide"' in handbook.rendered("[x](//elsewhere.example/)")
    monkeypatch.setattr(handbook, "place", lambda target: target)
    assert 'href="//elsewhere.example/"' in handbook.rendered("[x](//elsewhere.example/)")
