"""The body of a structured CDA document as people read it: its sections' titles and narrative blocks (CDA R2 §4.3.5).

Promises: every text of the narrative block is shown, in its order; what the author crossed out is shown as such; an
unknown element gives its text. Does not: run or fetch a stylesheet, fetch a picture, interpret entries, or say anything
of a document without a narrative.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from lxml import etree

from certs import xml
from dmp_bridge import cda
from dmp_bridge.prose import DEPTH_MOST, Budget, Node, Piece, TooLarge, link_target, readable, span

Element: TypeAlias = etree._Element

SECTIONS_MOST = 300
_KINDS = {
    "paragraph": "block", "item": "item", "table": "table", "caption": "caption", "tr": "row", "th": "head",
    "td": "cell", "sub": "sub", "sup": "sup", "br": "br", "footnote": "em", "renderMultiMedia": "media",
}  # fmt: skip
_STYLES = {"bold": "strong", "italics": "em", "emphasis": "em", "underline": "underline"}
_UNSEEN = frozenset({"col", "colgroup"})


@dataclass(frozen=True)
class Section:
    title: str
    depth: int
    """1 for a section of the body itself."""
    body: tuple[Node, ...]


def sections(raw: bytes) -> tuple[Section, ...]:
    """Of a document that cda.read took. Raises prose.TooLarge."""
    root = cda.locate(xml.parse(raw, max_bytes=cda.MAX_BYTES, max_markup=cda.MAX_MARKUP))
    body = root.find(_q("component") + "/" + _q("structuredBody")) if root is not None else None
    if body is None:
        return ()
    return tuple(_sections(body, 1, Budget()))


def _q(name: str) -> str:
    return f"{{{cda.HL7}}}{name}"


def _sections(parent: Element, depth: int, budget: Budget) -> Iterator[Section]:
    for section in parent.iterfind(f"{_q('component')}/{_q('section')}"):
        if depth > DEPTH_MOST:
            raise TooLarge
        title, block = section.find(_q("title")), section.find(_q("text"))
        words = " ".join("".join(map(str, title.itertext())).split()) if title is not None else ""
        body = tuple(_inside(block, budget, 0)) if block is not None else ()
        if words or body:
            yield Section(budget.take(readable(words)), depth, body)
        yield from _sections(section, depth + 1, budget)


def _inside(parent: Element, budget: Budget, depth: int) -> Iterator[Node]:
    if depth > DEPTH_MOST:
        raise TooLarge
    if parent.text:
        yield budget.take(readable(parent.text))
    for child in parent:
        if isinstance(child.tag, str):
            yield from _node(child, budget, depth)
        if child.tail:
            yield budget.take(readable(child.tail))


def _node(element: Element, budget: Budget, depth: int) -> Iterator[Node]:
    name = etree.QName(element).localname
    if name in _UNSEEN:
        return
    budget.take()
    inner = tuple(_inside(element, budget, depth + 1))
    yield from _styled(element, _formed(element, name, inner))


def _formed(element: Element, name: str, inner: tuple[Node, ...]) -> tuple[Node, ...]:
    if name == "list":
        return (Piece("numbers" if element.get("listType") == "ordered" else "bullets", inner),)
    if name == "linkHtml":
        return (Piece("link", inner, link_target(element.get("href", ""))),)
    if name in ("td", "th"):
        across, down = span(element.get("colspan", "")), span(element.get("rowspan", ""))
        return (Piece(_KINDS[name], inner, across=across, down=down),)
    if name == "content" and element.get("revised") in ("delete", "insert"):
        return (Piece("del" if element.get("revised") == "delete" else "ins", inner),)
    return (Piece(_KINDS[name], inner),) if name in _KINDS else inner


def _styled(element: Element, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """styleCode holds words (CDA R2 §4.3.5.11); inside a cell or a paragraph the form stands within it."""
    for word in element.get("styleCode", "").split():
        if kind := _STYLES.get(word.lower()):
            nodes = _within(nodes, kind)
    return nodes


def _within(nodes: tuple[Node, ...], kind: str) -> tuple[Node, ...]:
    only = nodes[0] if len(nodes) == 1 else None
    if isinstance(only, Piece) and only.kind in ("block", "item", "cell", "head", "caption"):
        return (Piece(only.kind, (Piece(kind, only.children),), only.target, only.across, only.down),)
    if isinstance(only, Piece) and only.kind in ("table", "row", "bullets", "numbers"):
        return nodes
    return (Piece(kind, nodes),)
