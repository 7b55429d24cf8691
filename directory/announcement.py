"""What an operator tells the national directory of one of its mailboxes, and the port by which it is told.

Promises: an announcement is text that compares: the same mailbox gives the same bytes; outcomes are values; address and
type do not change once published (spec/operator.md §1.3), which is refused before anything is sent. The official feed
(TM2.1.x) is known by name only (§3.4), so that every form is an adapter behind `Publisher`.
Does not: keep what is wanted (relay.store.publications does), nor decide when to try again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Protocol

from directory.model import Entry


@dataclass(frozen=True)
class Announcement:
    """The fields of spec/operator.md §3.2 that an operator knows; `digitization`, `phone` are out since June 2026."""

    address: str
    kind: str
    rpps: str = ""
    finess: str = ""
    red_list: bool = False
    description: str = ""
    service: str = ""
    responsible: str = ""
    rank: int | None = None

    def text(self) -> str:
        told = {name: value for name, value in asdict(self).items() if value not in ("", None, False)}
        return json.dumps(told, ensure_ascii=False, sort_keys=True)

    @staticmethod
    def of_text(text: str) -> Announcement | None:
        """None: not to be published."""
        return Announcement(**json.loads(text)) if text else None


def of_entry(entry: Entry) -> Announcement:
    """A person's mailbox says who he is, the others what they are for (the table of §3.2)."""
    shared = entry.kind.value != "PER"
    return Announcement(
        entry.address.key,
        entry.kind.value,
        entry.rpps,
        entry.finess,
        entry.red_list,
        description=entry.display_name if shared else "",
        service=entry.service if shared else "",
        rank=entry.preferred,
    )


@dataclass(frozen=True)
class Wish:
    """One mailbox that is not published as it should be."""

    address: str
    wanted: Announcement | None
    published: Announcement | None
    attempts: int = 0
    """Earlier ones, whose fate may be unknown."""

    @property
    def reference(self) -> str:
        """By which an answer that comes later is known to be this one's."""
        text = self.wanted.text() if self.wanted else ""
        return hashlib.sha256(f"{self.address} {text}".encode()).hexdigest()[:16]


class Fate(StrEnum):
    DONE = "done"
    SENT = "sent"
    """Handed over; a report says later what became of it."""
    LATER = "later"
    NEVER = "never"
    """Asking again would change nothing: a person must look."""


@dataclass(frozen=True)
class Told:
    address: str
    fate: Fate
    reason: str = ""
    reference: str = ""
    """Of a report: which wish it is about."""


class Publisher(Protocol):
    def publish(self, wishes: Sequence[Wish]) -> Iterator[Told]:
        """One answer for each, in any order; those without one are asked again."""

    def reports(self) -> Iterator[tuple[Told, ...]]:
        """What came back since; each batch is put away when the next one is asked for."""


def immutable(wish: Wish) -> bool:
    """Whether it would change what never changes; to un-publish and publish again is the way (§1.3)."""
    return bool(wish.wanted and wish.published and wish.wanted.kind != wish.published.kind)


def holderless(wish: Wish) -> bool:
    """Whether nobody is named under whom it could be published (§3.4: a person's or a structure's identifier)."""
    said = wish.wanted or wish.published
    return said is not None and not (said.finess if said.kind in ("ORG", "APP") else said.rpps or said.finess)


def refusal(wish: Wish) -> Told | None:
    """What no adapter needs to send."""
    if immutable(wish):
        return Told(wish.address, Fate.NEVER, "type-immutable")
    return Told(wish.address, Fate.NEVER, "no-holder") if holderless(wish) else None
