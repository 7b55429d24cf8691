"""The HTML of a mail, read into prose: the work of the process apart, with libxml2's parser.

Promises: nothing is fetched, run or styled; what is not seen (scripts, styles, heads, comments) is left out, every
other text is kept; a form, a frame or an unknown element gives its text alone. Does not: keep the look of a mail, or
show its pictures: the name of each stands in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from lxml import etree

from dmp_bridge.prose import DEPTH_MOST, Budget, Node, Piece, TooLarge, link_target, readable, span

Element: TypeAlias = etree._Element

MOST = 4 * 1024 * 1024
_KINDS = {
    "p": "block", "div": "block", "section": "block", "article": "block", "address": "block", "center": "block",
    "header": "block", "footer": "block", "main": "block", "fieldset": "block", "form": "block", "dl": "block",
    "dt": "block", "dd": "block", "figure": "block", "h1": "heading", "h2": "heading", "h3": "heading",
    "h4": "heading", "h5": "heading", "h6": "heading", "ul": "bullets", "ol": "numbers", "li": "item",
    "table": "table", "caption": "caption", "tr": "row", "th": "head", "td": "cell", "b": "strong",
    "strong": "strong", "i": "em", "em": "em", "u": "underline", "sub": "sub", "sup": "sup", "s": "del",
    "del": "del", "strike": "del", "ins": "ins", "br": "br", "hr": "br", "pre": "pre", "blockquote": "quote",
}  # fmt: skip
_UNSEEN = frozenset({
    "script", "style", "head", "title", "noscript", "template", "object", "applet", "iframe", "frame", "frameset",
    "svg", "math", "audio", "video", "canvas", "map", "xml",
})  # fmt: skip


def read(html: str) -> tuple[Node, ...]:
    """Raises prose.TooLarge."""
    if len(html) > MOST:
        raise TooLarge
    parser = etree.HTMLParser(no_network=True, remove_comments=True, remove_pis=True, encoding="utf-8", huge_tree=True)
    root = etree.HTML(html.encode("utf-8", "replace"), parser)
    if any(each.type_name == "ERR_RESOURCE_LIMIT" or "depth" in each.message.lower() for each in parser.error_log):
        raise TooLarge  # what lies deeper was dropped
    if root is None:
        return ()
    body = root.find("body")
    return tuple(_inside(root if body is None else body, Budget(), 0))


def _inside(parent: Element, budget: Budget, depth: int) -> Iterator[Node]:
    if parent.text:
        yield budget.take(readable(parent.text))
    for child in parent:
        if isinstance(child.tag, str):
            yield from _node(child, budget, depth + 1)
        if child.tail:
            yield budget.take(readable(child.tail))


def _node(element: Element, budget: Budget, depth: int) -> Iterator[Node]:
    name = str(element.tag).lower()
    if name in _UNSEEN:
        return
    budget.take()
    if depth > DEPTH_MOST:
        yield " ".join("".join(map(str, element.itertext())).split())
        return
    inner = tuple(_inside(element, budget, depth))
    if name == "a":
        yield Piece("link", inner, link_target(element.get("href", "")))
    elif name == "img":
        yield Piece("media", (budget.take(readable(element.get("alt", "")))[:500],))
    elif name in ("td", "th"):
        yield Piece(_KINDS[name], inner, across=span(element.get("colspan", "")), down=span(element.get("rowspan", "")))
    elif name in _KINDS:
        yield Piece(_KINDS[name], inner)
    else:
        yield from inner
