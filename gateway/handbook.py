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


@dataclass(frozen=True)
class Page:
    name: str
    title: str
    html: str


@cache
def page(name: str) -> Page | None:
    """A page of the handbook, or None where there is none of that name; rendered once."""
    if name not in PAGES:
        return None
    text = (shipped.folder() / f"{name}.md").read_text("utf-8")
    return Page(name, _title(text), rendered(text))


def _title(text: str) -> str:
    found = re.search(r"^# (.*)$", text, re.M)
    return found[1] if found else ""


def rendered(text: str) -> str:
    """CommonMark with tables, without raw HTML and without images."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image"])
    reader.add_render_rule("heading_open", _heading)
    reader.add_render_rule("link_open", _link)
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
