"""Whom one is about to write to, as a card: name, speciality, structure, town, which way the letter would go, and why.

Promises: never a bare address; who has the same name as another holder is asked about by what tells them apart, and a
card is made only of who was chosen. Does not: list who is on the red list (his exact address finds him), or send.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from directory import address, names
from directory.model import Address, DirectoryDown, Entry, Found
from gateway import explanation
from relay.intake import Intake
from relay.model import Addressee, Door, Reason, Refusal, Route
from relay.policy import PolicyDown

SHOWN = 20
"""Of one search; then it is to be narrowed."""
_WORDS_MOST = 200


@dataclass(frozen=True)
class Card:
    entry: Entry
    mode: str = ""
    """A relay.model.Mode; empty: it cannot be written to."""
    refused: str = ""
    """The reason why not."""
    because: str = ""

    @property
    def name(self) -> str:
        return self.entry.display_name or str(self.entry.address)


@dataclass(frozen=True)
class Search:
    cards: tuple[Card, ...] = ()
    more: bool = False
    down: bool = False


def search(intake: Intake, text: str, own: Address, language: str) -> Search:
    """Those whose names, speciality, structure or town hold every word; of an address the one who has it."""
    words = " ".join(text.split())[:_WORDS_MOST]
    if not words:
        return Search()
    found = _exact(intake, words) if "@" in words else intake.directory.search(words, SHOWN + 1)
    if isinstance(found, DirectoryDown):
        return Search(down=True)
    entries = found if isinstance(found, tuple) else found.entries
    more = len(entries) > SHOWN or (not isinstance(found, tuple) and found.truncated)
    return Search(tuple(_routed(intake, each, own, language) for each in entries[:SHOWN]), more)


def _exact(intake: Intake, text: str) -> tuple[Entry, ...] | DirectoryDown:
    try:
        answer = intake.directory.find(address.parse(text))
    except address.BadAddress:
        return ()
    if isinstance(answer, DirectoryDown):
        return answer
    return (answer.entry, *answer.others) if isinstance(answer, Found) else ()


def card(intake: Intake, entry: Entry, own: Address, language: str) -> Card:
    """As the intake would judge now, without a letter."""
    known = intake.check_recipient(entry.address, Door.PAGE)
    return Card(entry, refused=known.reason) if isinstance(known, Refusal) else _routed(intake, entry, own, language)


def _routed(intake: Intake, entry: Entry, own: Address, language: str) -> Card:
    """Without asking the directory again: a list of twenty was found just now."""
    try:
        way = explanation.way(intake, Addressee(entry.address, entry), own, language)
    except PolicyDown:
        return Card(entry, refused=Reason.STORE_DOWN)
    if isinstance(way.answer, Route):
        return Card(entry, way.answer.mode.value, "", way.because)
    return Card(entry, refused=way.answer, because=way.because)


def named(intake: Intake, text: str) -> Entry | None:
    """The entry of an address that was chosen; None where there is none, or nobody can tell."""
    found = _exact(intake, text)
    return found[0] if isinstance(found, tuple) and found else None


def homonyms(intake: Intake, entry: Entry) -> tuple[Entry, ...] | DirectoryDown:
    """All who go by the same name, himself too, where they are several holders; empty where he is the only one."""
    wanted = _spoken(entry)
    found = intake.directory.search(wanted) if wanted else None
    if isinstance(found, DirectoryDown):
        return found
    same = [each for each in (found.entries if found else ()) if _spoken(each) == wanted]
    others = [each for each in same if each.address.key != entry.address.key]
    return _told_apart(entry, others)


def _told_apart(entry: Entry, others: Sequence[Entry]) -> tuple[Entry, ...]:
    if all(each.holder == entry.holder for each in others):
        return ()
    return tuple(sorted((entry, *others), key=lambda each: (each.town, each.structure, each.address.key)))


def _spoken(entry: Entry) -> str:
    """The name as people say it: without accents, case or order of its parts."""
    name = f"{entry.family_name} {entry.given_name}".strip() or entry.display_name
    return " ".join(sorted(names.words(name)))
