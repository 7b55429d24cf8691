"""What people wrote with some form (paragraphs, lists, tables), as a tree of few kinds of nodes that can do nothing.

Promises: a node is text, or of a kind that stands here with the attributes that stand here; a tree is bounded in size
and depth; what comes over a pipe is read as strictly as what a stranger sent. Does not: know HTML or CDA (mail_html and
narrative make such trees), or write HTML (gateway.web.prose_html does).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urlsplit

KINDS = frozenset({
    "block", "heading", "bullets", "numbers", "item", "table", "caption", "row", "head", "cell", "strong", "em",
    "underline", "sub", "sup", "del", "ins", "br", "pre", "quote", "link", "media",
})  # fmt: skip
DEPTH_MOST = 60
NODES_MOST = 60_000
CHARS_MOST = 2_000_000
SPAN_MOST = 100
_SCHEMES = frozenset({"http", "https", "mailto"})
_SPAN = re.compile(r"[1-9][0-9]{0,2}")
_UNSEEN = re.compile(r"[\s\x00-\x20]")


@dataclass(frozen=True)
class Piece:
    kind: str
    children: tuple[Node, ...] = ()
    target: str = ""
    """Of a link."""
    across: int = 1
    down: int = 1
    """Of a cell."""


Node: TypeAlias = str | Piece


class TooLarge(ValueError):
    """The tree is over its budget."""


@dataclass
class Budget:
    """Counted while a tree is made."""

    nodes: int = NODES_MOST
    chars: int = CHARS_MOST

    def take(self, text: str = "") -> str:
        self.nodes -= 1
        self.chars -= len(text)
        if self.nodes < 0 or self.chars < 0:
            raise TooLarge
        return text


def link_target(written: str) -> str:
    """An address that a reader may follow, or '': of a web page or a mailbox, and nothing that a browser would run."""
    target = written.strip()
    if _UNSEEN.search(target) or not target.isprintable() or len(target) > 2000:
        return ""
    try:
        parts = urlsplit(target)
    except ValueError:
        return ""
    if parts.scheme.lower() not in _SCHEMES or not (parts.netloc or parts.path):
        return ""
    return target if parts.scheme.lower() == "mailto" or parts.netloc else ""


def span(written: str) -> int:
    """Of colspan and rowspan."""
    return min(int(written), SPAN_MOST) if _SPAN.fullmatch(written.strip()) else 1


def readable(text: str) -> str:
    """Without what is not seen but acts: control and direction marks (Unicode TR 36 §2.5). Line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(each for each in text if each.isprintable() or each in "\n\t " or each.isspace())


# --- over the pipe ------------------------------------------------------------------------------------------------


def told(nodes: Sequence[Node]) -> list[Any]:
    """As JSON has it."""
    return [
        each if isinstance(each, str) else [each.kind, each.target, each.across, each.down, told(each.children)]
        for each in nodes
    ]


def heard(said: Any) -> tuple[Node, ...]:
    """The tree that `told` made, each node looked at again. Raises ValueError."""
    return tuple(_heard(said, Budget(), 0))


def _heard(said: Any, budget: Budget, depth: int) -> Iterator[Node]:
    if not isinstance(said, list) or depth > DEPTH_MOST:
        raise ValueError("no such tree")
    for each in said:
        if isinstance(each, str):
            yield budget.take(readable(each))
            continue
        kind, target, across, down, children = each
        if kind not in KINDS or not isinstance(target, str) or not all(isinstance(one, int) for one in (across, down)):
            raise ValueError("no such node")
        budget.take(target)
        inner = tuple(_heard(children, budget, depth + 1))
        yield Piece(kind, inner, link_target(target), span(str(across)), span(str(down)))


def text(nodes: Sequence[Node]) -> str:
    """What is said, without form."""
    return "".join(each if isinstance(each, str) else text(each.children) for each in nodes)
