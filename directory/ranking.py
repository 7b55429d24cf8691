"""What comes first: in a list of what was found, and among the addresses that may have been meant.

Promises: pure; the same entries in any order give the same list. Does not: ask a directory.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from enum import IntEnum

from directory.entries import search_words
from directory.model import Address, Entry
from directory.names import words

SUGGESTIONS = 3
NEAR = 0.6
"""Least likeness of a suggested address, of both its parts, by difflib's ratio."""


class Closeness(IntEnum):
    """How well an entry answers the words asked for; the best is least."""

    NAMED = 0
    """Each is a whole word of the holder's name."""
    WHOLE = 1
    """Each is a whole word of the entry."""
    BEGUN = 2
    """Some only begin one."""


def closeness(asked: Sequence[str], entry: Entry) -> Closeness:
    """`asked`: folded words."""
    return _closeness(asked, _named(entry), entry)


def _closeness(asked: Sequence[str], named: Sequence[str], entry: Entry) -> Closeness:
    if set(asked) <= set(named):
        return Closeness.NAMED
    return Closeness.WHOLE if set(asked) <= set(search_words(entry)) else Closeness.BEGUN


def ordered(asked: Sequence[str], found: Sequence[Entry]) -> list[Entry]:
    """Names as asked before those that only begin so; then by name; of one holder, the preferred mailbox first."""
    return sorted(found, key=lambda entry: _place(asked, entry))


def _place(asked: Sequence[str], entry: Entry) -> tuple[int, tuple[str, ...], str, bool, int, str]:
    named = _named(entry)
    first, preferred = _closeness(asked, named, entry), entry.preferred
    return first, named, entry.holder, preferred is None, preferred or 0, entry.address.key


def _named(entry: Entry) -> tuple[str, ...]:
    return words(entry.family_name, entry.given_name, entry.display_name)


def rank(address: Address, candidates: Sequence[Entry]) -> list[Entry]:
    """The nearest of some entries by their address, at most SUGGESTIONS, none that is not like it."""
    scored = [(_likeness(address, entry.address), entry) for entry in candidates]
    scored.sort(key=lambda pair: (-pair[0], pair[1].address.key))
    near = {entry.address.key: entry for likeness, entry in scored if likeness >= NEAR}
    return list(near.values())[:SUGGESTIONS]


def _likeness(one: Address, other: Address) -> float:
    pairs = ((one.local.lower(), other.local.lower()), (one.domain, other.domain))
    return min(SequenceMatcher(None, *pair).ratio() for pair in pairs)
