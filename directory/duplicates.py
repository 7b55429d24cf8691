"""Two entries that may be one holder: how they compare, as answers with names, and what follows.

Promises: each rule is a small function with three answers; only `one_number` and `one_name` together make two entries
one without a person (directory §7.5: the same RPPS is the same person); everything else is a candidate, with its
evidence and a score for ordering. Compared are professionals and services; patients are in no directory.
Does not: merge (directory.merging does), nor compare every entry with every other (`pairs` compares within blocks).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from itertools import combinations

from directory.model import Entry, Kind
from directory.names import fold, words

MOST_IN_A_BLOCK = 50
"""A block larger than this is a common name: its pairs say nothing, and would be thousands."""
ALIKE = 0.85
"""Least likeness of two names that may be one with a slip, by difflib's ratio."""
SHOWN = 3
"""Least score of a candidate."""


class Answer(StrEnum):
    YES = "yes"
    NO = "no"
    CANNOT_TELL = "cannot-tell"


class Decision(StrEnum):
    SAME = "same"
    """By the deterministic rule; needs no person."""
    CANDIDATE = "candidate"
    APART = "apart"


def one_number(one: Entry, other: Entry) -> Answer:
    """The RPPS is unique and permanent (directory §3.6)."""
    if not (one.rpps and other.rpps):
        return Answer.CANNOT_TELL
    if not (has_key(one.rpps) and has_key(other.rpps)):
        return Answer.CANNOT_TELL
    return Answer.YES if one.rpps == other.rpps else Answer.NO


def has_key(rpps: str) -> bool:
    """Eleven digits of which the last is the Luhn key (ISO/IEC 7812-1): a slip of one digit shows."""
    if len(rpps) != 11 or not rpps.isascii() or not rpps.isdecimal():
        return False
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(rpps))]
    return sum(value // 10 + value % 10 for value in doubled) % 10 == 0


def one_name(one: Entry, other: Entry) -> Answer:
    """Family and given names, without accents, case, hyphens or order; a second family name may be left out."""
    if not (one.family_name and other.family_name):
        return Answer.CANNOT_TELL
    families = set(words(one.family_name)), set(words(other.family_name))
    given = words(one.given_name), words(other.given_name)
    within = families[0] <= families[1] or families[1] <= families[0]
    if within and given[0] == given[1]:
        return Answer.YES
    if not (given[0] and given[1]) and within:
        return Answer.CANNOT_TELL
    return Answer.NO


def name_alike(one: Entry, other: Entry) -> Answer:
    """The same but for a slip."""
    if not (one.family_name and other.family_name):
        return Answer.CANNOT_TELL
    given, family = (one.given_name, other.given_name), (one.family_name, other.family_name)
    return Answer.YES if all(_likeness(*each) >= ALIKE for each in (given, family)) else Answer.NO


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, fold(one), fold(other)).ratio()


def one_trade(one: Entry, other: Entry) -> Answer:
    return _same(fold(one.specialty), fold(other.specialty))


def one_town(one: Entry, other: Entry) -> Answer:
    return _same(one.postal_code, other.postal_code)


def one_structure(one: Entry, other: Entry) -> Answer:
    return _same(one.finess, other.finess)


def one_service(one: Entry, other: Entry) -> Answer:
    return _same(fold(one.service), fold(other.service))


def one_address(one: Entry, other: Entry) -> Answer:
    return _same(one.address.key, other.address.key)


def _same(one: str, other: str) -> Answer:
    if not (one and other):
        return Answer.CANNOT_TELL
    return Answer.YES if one == other else Answer.NO


Rule = Callable[[Entry, Entry], Answer]

RULES: dict[str, tuple[Rule, int, int]] = {
    "one-number": (one_number, 6, -9),
    "one-name": (one_name, 2, 0),
    "name-alike": (name_alike, 1, -3),
    "one-trade": (one_trade, 1, -1),
    "one-town": (one_town, 1, -1),
    "one-structure": (one_structure, 1, 0),
    "one-service": (one_service, 1, -1),
    "one-address": (one_address, 2, 0),
}
"""Name -> rule, what yes adds to the score, what no does."""


@dataclass(frozen=True)
class Compared:
    """Two entries and all that the rules said of them, in the rules' order."""

    one: Entry
    other: Entry
    evidence: dict[str, Answer]
    score: int
    decision: Decision


def compare(one: Entry, other: Entry) -> Compared:
    evidence = {name: rule(one, other) for name, (rule, _, _) in RULES.items()}
    score = sum(yes if evidence[name] is Answer.YES else no if evidence[name] is Answer.NO else 0
                for name, (_, yes, no) in RULES.items())  # fmt: skip
    return Compared(one, other, evidence, score, _decided(one, other, evidence, score))


def _decided(one: Entry, other: Entry, evidence: dict[str, Answer], score: int) -> Decision:
    if one.kind is not other.kind:
        return Decision.APART
    if evidence["one-number"] is Answer.YES and evidence["one-name"] is Answer.YES:
        return Decision.SAME
    if evidence["one-number"] is Answer.NO:
        return Decision.APART
    return Decision.CANDIDATE if score >= SHOWN else Decision.APART


# --- which to compare ------------------------------------------------------------------------------------------


def pairs(entries: Iterable[Entry]) -> Iterator[Compared]:
    """Pairs that are the same or candidates, each once, in the order in which their blocks filled."""
    blocks: defaultdict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        for block in set(_blocks(entry)):
            if len(blocks[block]) <= MOST_IN_A_BLOCK:
                blocks[block].append(entry)
    seen: set[tuple[str, str]] = set()
    for held in blocks.values():
        if 1 < len(held) <= MOST_IN_A_BLOCK:
            for one, other in combinations(held, 2):
                place = (one.provenance.dn, other.provenance.dn)
                if place not in seen:
                    seen.add(place)
                    if (compared := compare(one, other)).decision is not Decision.APART:
                        yield compared


def _blocks(entry: Entry) -> Iterator[tuple[str, str]]:
    """What two entries of one holder are likely to share, one of them at least."""
    if entry.rpps:
        yield "rpps", entry.rpps
    yield "address", entry.address.key
    given, family = words(entry.given_name), words(entry.family_name)
    if given and family:
        for name in family:
            yield "name", f"{name} {given[0]}"
        yield "beginning", f"{family[0][:4]} {given[0][:2]} {entry.postal_code}"
    if entry.kind is not Kind.PER and entry.finess:
        yield "service", f"{entry.finess} {fold(entry.service)}"


def mislabelled(entries: Iterable[Entry]) -> Iterator[tuple[Entry, ...]]:
    """Personal mailboxes with one address and several holders: an organisation's, said to be a person's (§7.5)."""
    held: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.kind is Kind.PER:
            held[entry.address.key].append(entry)
    for several in held.values():
        if len({each.holder for each in several}) > 1:
            yield tuple(several)
