"""The work of workman on a letter that somebody reads: its headers, its text, what is enclosed, and pictures of pages.

Promises: one answer per question, with nothing kept between them; text by a few known charsets, HTML as prose, a PDF as
pictures and text, a CDA by its PDF first and then its narrative; of what is signed opaquely, the content. Does not:
judge a signature, open what is encrypted, look into enclosed letters, or run anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from certs import cms
from dmp_bridge import archive, cda, letterhead, mail_html, narrative, paged, prose, xdm
from dmp_bridge.model import Bad, Document
from dmp_bridge.prose import Node, TooLarge
from relay import coverage
from relay.fields import Malformed, as_text
from relay.message import Message, Part, scan

LAYERS_MOST = 5
TEXT_MOST = 500_000
"""Characters that are shown."""
ITEM_MOST = 200
PART_MOST = 64 * 1024 * 1024
# Of those that Python knows, some cost minutes or fail in ways of their own
_CHARSET = re.compile(r"utf-?8|us-ascii|iso-8859-(?:[1-9]|1[013456])|windows-125[0-8]|cp125[0-8]")
_IMAGES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_DROPPED = coverage.SIGNATURES
"""Technical: the signature is told as a sentence."""


def craft() -> Callable[[dict[str, Any], bytes], dict[str, Any]]:
    asked: dict[str, Callable[[dict[str, Any], Message], dict[str, Any]]] = {
        "letter": lambda _, message: _letter(message),
        "preview": lambda question, message: _preview(message, str(question["item"])),
        "picture": lambda question, message: _picture(message, str(question["item"]), int(question["number"])),
        "file": lambda question, message: _file(message, str(question["item"])),
    }

    def work(question: dict[str, Any], raw: bytes) -> dict[str, Any]:
        try:
            return asked[question["ask"]](question, _innermost(scan(raw)))
        except Malformed as malformed:
            return {"why": malformed.reason}
        except TooLarge:
            return {"why": "too-large"}

    return work


def _innermost(message: Message) -> Message:
    """What an opaque signature holds, with the outer headers, which are those that the sender and we wrote."""
    inner = message
    for _ in range(LAYERS_MOST):
        if not coverage.is_pkcs7(inner.root):
            break
        try:
            content = cms.encapsulated(inner.root.decode(PART_MOST))
        except (ValueError, Malformed):
            break
        if content is None:
            break
        inner = scan(content)
    return Message(inner.raw, message.headers, message.header_span, inner.parts, message.defects)


# --- the letter ---------------------------------------------------------------------------------------------------


def _letter(message: Message) -> dict[str, Any]:
    texts, pages, enclosed = _sorted(message)
    at = letterhead.moment(message.value("Date"))
    text = "\n\n".join(texts)
    formed, whole = _formed(pages)
    return {
        "subject": letterhead.subject(message.value("Subject")),
        "author": _people(message, "From"),
        "to": _people(message, "To"),
        "copy": _people(message, "Cc"),
        "at": at.isoformat() if at else "",
        "text": text[:TEXT_MOST],
        "cut": len(text) > TEXT_MOST or not whole,
        "formed": prose.told(formed),
        "items": [item for part in enclosed for item in _items(part)][:ITEM_MOST],
        "closed": coverage.is_pkcs7(message.root),
    }


def _formed(pages: Sequence[str]) -> tuple[tuple[Node, ...], bool]:
    """What HTML says, and whether that is all of it."""
    found: list[Node] = []
    for each in pages:
        try:
            found += mail_html.read(each)
        except TooLarge:
            return tuple(found), False
    return tuple(found), True


def _people(message: Message, name: str) -> list[dict[str, Any]]:
    return [asdict(each) for each in letterhead.people(message.headers, name)]


def _sorted(message: Message) -> tuple[list[str], list[str], list[Part]]:
    """What is text, what is HTML, and what is enclosed."""
    texts, pages, enclosed = list[str](), list[str](), list[Part]()
    for part in message.parts:
        if part.is_multipart or part.type in _DROPPED:
            continue
        said = part.type in ("text/plain", "text/html") and part.disposition != "attachment" and not part.filename
        if not said:
            enclosed.append(part)
        elif part.type == "text/html":
            pages.append(_text(part))
        else:
            texts.append(_text(part))
    return [each for each in texts if each.strip()], [each for each in pages if each.strip()], enclosed


def _text(part: Part) -> str:
    charset = part.params.get("charset", "utf-8").lower()
    data = part.decode(PART_MOST)
    text = data.decode(charset, "replace") if _CHARSET.fullmatch(charset) else as_text(data)
    return prose.readable(text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", ""))


# --- what is enclosed ---------------------------------------------------------------------------------------------


def _items(part: Part) -> Iterator[dict[str, Any]]:
    try:
        data = part.decode(PART_MOST)
    except Malformed as malformed:
        yield _item(part, 0, "file", why=malformed.reason)
        return
    yield _item(part, len(data), kind_of(part, data), label=_label(data))
    if archive.looks_like_zip(data) and archive.lists_xdm(data):
        yield from _held(part, data)


def _item(part: Part, size: int, kind: str, **more: str) -> dict[str, Any]:
    name = part.filename or ("lettre.eml" if kind == "letter" else "")
    return {
        "id": part.path,
        "name": name,
        "type": part.type,
        "size": size,
        "kind": kind,
        "label": "",
        "why": "",
        **more,
    }


def _held(part: Part, data: bytes) -> Iterator[dict[str, Any]]:
    """The documents of an XDM archive."""
    held = xdm.read(data)
    if isinstance(held, Bad):
        yield {**_item(part, 0, "file", why=str(held.reason)), "id": f"{part.path}-0"}
        return
    for number, each in enumerate(held.documents):
        told = {"id": f"{part.path}-{number}", "name": f"{_title(each)}.xml", "type": "text/xml", "kind": "document"}
        yield {**told, "size": len(each.raw), "label": each.type.label, "why": ""}
    for number, bad in enumerate(held.refused, len(held.documents)):
        yield {**_item(part, 0, "file", why=str(bad.reason)), "id": f"{part.path}-{number}"}


def _title(document: Document) -> str:
    return (document.title or document.type.label or "document")[:80]


def kind_of(part: Part, data: bytes) -> str:
    """By what it holds, not by what it says that it is."""
    if part.type.startswith("message/"):
        return "letter" if part.type == "message/rfc822" else "text"
    if data.startswith(b"%PDF-"):
        return "pdf"
    if data.startswith(_IMAGES):
        return "image"
    if _is_document(data):
        return "document"
    return "text" if part.type == "text/plain" else "file"


def _is_document(data: bytes) -> bool:
    return b"ClinicalDocument" in data[:200_000] and data.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<")


def _label(data: bytes) -> str:
    read = cda.read(data) if _is_document(data) else None
    return read.type.label if isinstance(read, Document) else ""


def _found(message: Message, item: str) -> tuple[str, str, bytes] | None:
    """Name, kind and content."""
    path, _, number = item.partition("-")
    part = next((each for each in message.parts if each.path == path and not each.is_multipart), None)
    if part is None:
        return None
    data = part.decode(PART_MOST)
    if not number:
        kind = kind_of(part, data)
        return _item(part, 0, kind)["name"], kind, data
    held = xdm.read(data)
    if isinstance(held, Bad) or int(number) >= len(held.documents):
        return None
    chosen = held.documents[int(number)]
    return f"{_title(chosen)}.xml", "document", chosen.raw


def _file(message: Message, item: str) -> dict[str, Any]:
    found = _found(message, item)
    return {"why": "absent"} if found is None else {"name": found[0], "data": found[2]}


# --- looking at it ------------------------------------------------------------------------------------------------


def _preview(message: Message, item: str) -> dict[str, Any]:
    found = _found(message, item)
    if found is None:
        return {"why": "absent"}
    name, kind, data = found
    told: dict[str, Any] = {"name": name, "kind": kind, "pages": 0, "count": 0, "texts": [], "passages": [], "text": ""}
    told |= {"facts": [], "unshown": ""}
    if kind == "document":
        return told | _document(data)
    if kind in ("pdf", "image"):
        return told | paged.told(data)
    if kind == "text":
        text = prose.readable(as_text(data).replace("\r\n", "\n"))
        return told | {"text": text[:TEXT_MOST]}
    return told | {"unshown": "not-shown-here"}


def _document(data: bytes) -> dict[str, Any]:
    """The PDF first: it is what its author saw; the narrative after it, or alone."""
    read = cda.read(data)
    if isinstance(read, Bad):
        return {"unshown": str(read.reason)}
    passages = [[each.title, each.depth, prose.told(each.body)] for each in narrative.sections(data)]
    pdf = cda.pdf_copy(read)
    seen = paged.told(pdf) if pdf is not None else {} if passages else _bare(cda.body_content(read))
    if passages:
        seen.pop("unshown", None)
    return {"passages": passages, "facts": _facts(read), **seen}


def _bare(content: bytes | None) -> dict[str, Any]:
    """A body that is an image or a text; one of another kind is handed out only."""
    if content is not None and content.startswith(_IMAGES):
        return paged.told(content)
    if content is None or b"\0" in content or content.startswith((b"{\\rtf", b"%PDF-")):
        return {"unshown": "not-shown-here"}
    return {"text": prose.readable(as_text(content).replace("\r\n", "\n"))[:TEXT_MOST]}


def _facts(document: Document) -> list[list[str]]:
    traits, first = document.patient.traits, next(iter(document.authors), None)
    found: Sequence[tuple[str, str]] = (
        ("type", document.type.label),
        ("title", document.title),
        ("at", f"{document.effective_time:%d/%m/%Y %H:%M} UTC"),
        ("author", " ".join(filter(None, (first.given_name, first.family_name))) if first else ""),
        ("patient", " ".join(filter(None, (traits.birth_name, traits.first_given_name)))),
        ("born", f"{traits.birth_date:%d/%m/%Y}" if traits.birth_date else ""),
    )
    return [[name, value] for name, value in found if value]


def _picture(message: Message, item: str, number: int) -> dict[str, Any]:
    found = _found(message, item)
    if found is None:
        return {"why": "absent"}
    _, kind, data = found
    if kind == "document":
        read = cda.read(data)
        data = (cda.pdf_copy(read) or cda.body_content(read) or b"") if isinstance(read, Document) else b""
    picture = paged.picture(data, number)
    return {"data": picture} if picture else {"why": "absent"}
