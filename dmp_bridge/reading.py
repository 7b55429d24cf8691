"""A letter as its reader sees it, in plain values; who asks for it. What is made of it is made in a process apart
(dmp_bridge.unfolding), which has no key.

Promises: what strangers wrote is parsed there alone; what comes back is looked at again, and is values; who asks gets
them, or the name of why there are none. Does not: fetch a letter, say whose signature it bears, or keep anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from dmp_bridge import prose
from dmp_bridge.letterhead import Person, line
from dmp_bridge.prose import Node, readable
from dmp_bridge.workshop import Budget, Unanswered, Workshop

T = TypeVar("T")

BUDGET = Budget(seconds=10, memory=1024 * 2**20, start_s=60)
ITEM = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){0,20}(-[0-9]{1,3})?")
"""A part of the letter ('1.2'), or a document of the archive in it ('1.2-0')."""
KINDS = frozenset({"document", "pdf", "image", "text", "letter", "file"})
_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,80}/[a-z0-9][a-z0-9.+-]{0,80}")


@dataclass(frozen=True, repr=False)
class Item:
    """Something enclosed."""

    id: str
    name: str
    type: str
    size: int
    kind: str
    """One of KINDS; 'file' is only handed out."""
    label: str = ""
    """Of a document: what kind it says that it is."""
    why: str = ""
    """Why it cannot be read: a reason's name."""


@dataclass(frozen=True, repr=False)
class Reading:
    """A letter, unfolded."""

    subject: str = ""
    author: tuple[Person, ...] = ()
    to: tuple[Person, ...] = ()
    copy: tuple[Person, ...] = ()
    at: datetime | None = None
    """What its Date says, in UTC."""
    text: str = ""
    formed: tuple[Node, ...] = ()
    """What its HTML says."""
    items: tuple[Item, ...] = ()
    closed: bool = False
    """It is encrypted."""
    cut: bool = False
    """Its text is longer than what is shown."""


@dataclass(frozen=True, repr=False)
class Passage:
    """A section of a document."""

    title: str
    depth: int
    body: tuple[Node, ...]


@dataclass(frozen=True, repr=False)
class Preview:
    """Something enclosed, as it can be looked at here."""

    name: str
    kind: str
    pages: int = 0
    """Pictures that can be asked for, from 1."""
    count: int = 0
    """Pages that there are."""
    texts: tuple[str, ...] = ()
    """What can be read of each page."""
    passages: tuple[Passage, ...] = ()
    text: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    """Of a document: type, date, author, patient, birth date."""
    why: str = ""
    """Why nothing of it is shown."""


@dataclass(frozen=True, repr=False)
class File:
    name: str
    data: bytes


class Reader:
    """Threads may share it: questions wait for each other."""

    def __init__(self, budget: Budget = BUDGET) -> None:
        self._shop = Workshop("reading", budget=budget)

    def letter(self, raw: bytes) -> Reading | Unanswered:
        return _tried(_reading, self._shop.ask({"ask": "letter"}, raw))

    def preview(self, raw: bytes, item: str) -> Preview | Unanswered:
        return _tried(_preview, self._shop.ask({"ask": "preview", "item": item}, raw))

    def picture(self, raw: bytes, item: str, number: int) -> bytes | Unanswered:
        """One page as a PNG."""
        return _tried(_picture, self._shop.ask({"ask": "picture", "item": item, "number": number}, raw))

    def file(self, raw: bytes, item: str) -> File | Unanswered:
        return _tried(_file, self._shop.ask({"ask": "file", "item": item}, raw))

    def close(self) -> None:
        self._shop.close()


def _tried(read: Callable[[Mapping[str, Any]], T], answer: Mapping[str, Any] | Unanswered) -> T | Unanswered:
    """`why` is a reason of ours, 'absent', or of the workshop; a surprise there is 'broken'."""
    if isinstance(answer, Unanswered):
        return answer
    if why := answer.get("why"):
        return Unanswered(str(why))
    try:
        return read(answer)
    except (KeyError, TypeError, ValueError):
        return Unanswered("broken")


def _reading(told: Mapping[str, Any]) -> Reading:
    people = {name: tuple(_person(each) for each in told[name]) for name in ("author", "to", "copy")}
    return Reading(
        subject=line(told["subject"], 1000), **people, at=datetime.fromisoformat(told["at"]) if told["at"] else None,
        text=readable(told["text"]),
        formed=prose.heard(told["formed"]), items=tuple(map(_item, told["items"])),
        closed=bool(told["closed"]), cut=bool(told["cut"]),
    )  # fmt: skip


def _person(told: Mapping[str, Any]) -> Person:
    return Person(line(told["name"]), line(told["address"]), bool(told["patient"]))


def _item(told: Mapping[str, Any]) -> Item:
    if not ITEM.fullmatch(told["id"]) or told["kind"] not in KINDS:
        raise ValueError("no such item")
    kind = told["type"] if _TYPE.fullmatch(told["type"]) else "application/octet-stream"
    return Item(
        told["id"], line(told["name"]), kind, int(told["size"]), told["kind"], line(told["label"]),
        line(told["why"]),
    )  # fmt: skip


def file_name(text: str) -> str:
    """As a file of the reader may be called: one line, no folder, nothing that a shell or a disk takes for more."""
    last = line(text, 1000).replace("\\", "/").rpartition("/")[2]
    plain = "".join("_" if each in '<>:"|?*%;' else each for each in last).strip(". ")
    return plain[:150].strip() if len(plain) <= 150 else f"{plain[:120].strip()}…{plain[-25:].strip()}"


def _preview(told: Mapping[str, Any]) -> Preview:
    if told["kind"] not in KINDS:
        raise ValueError("no such kind")
    passages = tuple(
        Passage(line(title, 500), min(max(int(depth), 1), 4), prose.heard(body))
        for title, depth, body in told["passages"]
    )
    return Preview(
        name=line(told["name"]), kind=told["kind"], pages=int(told["pages"]), count=int(told["count"]),
        texts=tuple(map(readable, told["texts"])), passages=passages, text=readable(told["text"]),
        facts=tuple((line(name), line(value)) for name, value in told["facts"]), why=line(told["unshown"]),
    )  # fmt: skip


def _picture(told: Mapping[str, Any]) -> bytes:
    data = told["data"]
    if not isinstance(data, bytes) or not data.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError("no picture")
    return data


def _file(told: Mapping[str, Any]) -> File:
    return File(file_name(told["name"]), told.get("data", b""))
