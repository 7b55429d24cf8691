"""Prose as HTML of our own: each kind of node is one element, each text is escaped.

Promises: what comes out holds no element, attribute or address but those that stand here, whatever went in. Does not:
read what strangers wrote (a process apart did).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup, escape

from dmp_bridge.prose import Node, Piece, text

_ELEMENTS = {
    "block": "div", "bullets": "ul", "numbers": "ol", "item": "li", "strong": "strong", "em": "em", "underline": "u",
    "sub": "sub", "sup": "sup", "del": "del", "ins": "ins", "pre": "pre", "quote": "blockquote", "heading": "div",
}  # fmt: skip
_CLASSES = {"block": "prose-block", "heading": "prose-heading"}
_BR = Markup("<br>")


def shown(nodes: Sequence[Node], picture: str) -> Markup:
    """`picture`: what stands in the place of one."""
    return Markup("").join(_each(nodes, picture))


def _each(nodes: Sequence[Node], picture: str) -> Iterator[Markup]:
    for each in nodes:
        yield escape(each) if isinstance(each, str) else _piece(each, picture)


def _piece(piece: Piece, picture: str) -> Markup:
    match piece.kind:
        case "br":
            return _BR
        case "media":
            return Markup('<span class="soft">[{}]</span>').format(
                ": ".join((picture, *filter(None, [text(piece.children)])))
            )
        case "link":
            return _link(piece, shown(piece.children, picture))
        case "table":
            return _table(piece, picture)
        case "bullets" | "numbers":
            name = _ELEMENTS[piece.kind]
            return _wrapped(name, "", Markup("").join(_items(piece.children, picture)))
        case "item":  # outside of a list
            return _wrapped("div", "prose-block", shown(piece.children, picture))
        case "caption" | "row" | "head" | "cell":  # outside of a table
            return _wrapped("div", "prose-block", shown(piece.children, picture))
    return _wrapped(_ELEMENTS[piece.kind], _CLASSES.get(piece.kind, ""), shown(piece.children, picture))


def _wrapped(name: str, kind: str, inner: Markup) -> Markup:
    named = Markup(' class="{}"').format(kind) if kind else Markup("")
    return Markup("<{0}{1}>{2}</{0}>").format(name, named, inner)


def _link(piece: Piece, inner: Markup) -> Markup:
    """Where it leads is said: its words may say something else."""
    if not piece.target:
        return inner
    said = text(piece.children).strip()
    told = Markup("") if said == piece.target else Markup(' <span class="soft">({})</span>').format(piece.target)
    words = inner if said else escape(piece.target)
    return Markup('<a href="{}" rel="noopener noreferrer nofollow">{}</a>{}').format(piece.target, words, told)


def _items(nodes: Sequence[Node], picture: str) -> Iterator[Markup]:
    """Whatever stands in a list is an item of it."""
    for each in nodes:
        if isinstance(each, str):
            if each.strip():
                yield _wrapped("li", "", escape(each))
        else:
            inner = each.children if each.kind == "item" else (each,)
            yield _wrapped("li", "", shown(inner, picture))


def _table(piece: Piece, picture: str) -> Markup:
    caption, rows, rest = list[Markup](), list[Markup](), list[Node]()
    for each in piece.children:
        if isinstance(each, Piece) and each.kind == "caption":
            caption.append(shown(each.children, picture))
        elif isinstance(each, Piece) and each.kind == "row":
            rows.append(_row(each, picture))
        elif not isinstance(each, str) or each.strip():
            rest.append(each)
    head = _wrapped("caption", "", Markup(" ").join(caption)) if caption else Markup("")
    table = Markup('<div class="scroll" tabindex="0"><table>{}<tbody>{}</tbody></table></div>').format(
        head, Markup("").join(rows)
    )
    return shown(rest, picture) + (table if rows else Markup(" ").join(caption))


def _row(row: Piece, picture: str) -> Markup:
    cells = []
    for each in row.children:
        if isinstance(each, str):
            if each.strip():
                cells.append(Markup("<td>{}</td>").format(each))
            continue
        kind = "th" if each.kind == "head" else "td"
        across = Markup(' colspan="{}"').format(each.across) if each.across > 1 else Markup("")
        down = Markup(' rowspan="{}"').format(each.down) if each.down > 1 else Markup("")
        inner = each.children if each.kind in ("head", "cell") else (each,)
        cells.append(Markup("<{0}{1}{2}>{3}</{0}>").format(kind, across, down, shown(inner, picture)))
    return Markup("<tr>{}</tr>").format(Markup("").join(cells))
