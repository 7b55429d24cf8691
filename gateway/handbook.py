"""The handbook: the pages of docs/ as HTML, for the web pages to show under /aide.

Promises: HTML in a page is shown as text, never passed on; a link leads to a page of the handbook, to a heading, or by
https elsewhere, and nowhere else; headings can be linked to; no script and no style stands in it. Does not: serve it,
or translate it (operators' pages are in English, with the French terms).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from gateway import shipped

AT = "/aide"
PAGES = {
    "reading": ("Accueil, lire une lettre", "Home, reading a letter"),
    "writing": ("Écrire, liste de travail", "Writing, work list"),
    "signing-in": ("Se connecter aux pages", "Signing in at the pages"),
    "install": ("Installer", "Installing"),
    "operations": ("Exploiter", "Operating"),
    "when": ("Que faire quand…", "What to do when"),
    "upgrade": ("Mettre à jour", "Upgrading"),
    "backup": ("Sauvegarder", "Backing up"),
    "move-a-domain": ("Changer d’opérateur", "Moving a domain"),
    "import-mailboxes": ("Reprendre des boîtes", "Importing mailboxes"),
    "directory": ("Tenir l’annuaire", "The directory"),
    "documents": ("Les documents", "Documents"),
    "dossier-host": ("L’hébergeur de dossiers", "The dossier host"),
    "data-protection": ("Protection des données", "Data protection"),
    "configuration": ("Les réglages", "Configuration"),
}
"""Name -> how it is called; in the order in which they are listed."""
FRENCH = frozenset({"reading", "writing"})
"""Pages whose text is French."""
_PICTURE = re.compile(r"pictures/([a-z0-9-]{1,40})\.png")


@dataclass(frozen=True)
class Page:
    name: str
    title: str
    html: str
    language: str


@cache
def page(name: str) -> Page | None:
    """A page of the handbook, or None where there is none of that name; rendered once."""
    if name not in PAGES:
        return None
    text = (shipped.folder() / f"{name}.md").read_text("utf-8")
    return Page(name, _title(text), rendered(text), "fr" if name in FRENCH else "en")


@cache
def picture(name: str) -> bytes | None:
    """A picture of a page (PNG), by its name without ending; None where there is none."""
    file = shipped.folder() / "pictures" / f"{name}.png"
    return file.read_bytes() if _PICTURE.fullmatch(f"pictures/{name}.png") and file.is_file() else None


def _title(text: str) -> str:
    found = re.search(r"^# (.*)$", text, re.M)
    return found[1] if found else ""


def rendered(text: str) -> str:
    """CommonMark with tables, without raw HTML; of images our own alone."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.add_render_rule("heading_open", _heading)
    reader.add_render_rule("link_open", _link)
    reader.add_render_rule("image", _image)
    return _reachable(str(reader.render(text)))


def _reachable(html: str) -> str:
    """What is wider than a window is moved with the keyboard too (WCAG 2.1.1). In text these marks stand escaped."""
    return html.replace("<pre>", '<pre tabindex="0">').replace("<table>", '<table tabindex="0">')


def _heading(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: Mapping[str, Any], _env: Mapping[str, Any]
) -> str:
    tokens[at].attrSet("id", anchor(tokens[at + 1].content))
    return renderer.renderToken(tokens, at, options, _env)  # type: ignore[arg-type]


def _link(
    renderer: RendererHTML, tokens: Sequence[Token], at: int, options: Mapping[str, Any], _env: Mapping[str, Any]
) -> str:
    tokens[at].attrSet("href", place(str(tokens[at].attrGet("href") or "")))
    return renderer.renderToken(tokens, at, options, _env)  # type: ignore[arg-type]


def _image(
    _: RendererHTML, tokens: Sequence[Token], at: int, _options: Mapping[str, Any], _env: Mapping[str, Any]
) -> str:
    """One of docs/pictures; of any other its words."""
    words = escape(tokens[at].content)
    ours = _PICTURE.fullmatch(str(tokens[at].attrGet("src") or ""))
    return f'<img src="{AT}/pictures/{ours[1]}.png" alt="{words}" loading="lazy">' if ours else words


def anchor(heading: str) -> str:
    """As the pages link to it: lower case, hyphens for spaces."""
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


def place(target: str) -> str:
    """Where a link of a page leads within the product; what is not served leads to the list of pages."""
    if target.startswith(("#", "https://")):
        return target
    file, mark, heading = target.partition("#")
    path = Path(file)
    if path.suffix == ".md" and path.parent == Path() and path.stem in PAGES:
        return f"{AT}/{path.stem}{mark}{heading}"
    return AT
