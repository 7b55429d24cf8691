"""Several directories in order: the region's own first, then others.

Promises: the first that knows an address answers; one that knows it as closed has answered; where an earlier one could
not be asked, nobody says NotFound, and what a later one says is marked stale. A list has those of the first directory
before those of the next that answer as well. Each field of a completed entry says which directory it comes from.
Does not: mix two holders: an entry is completed only by one with the same number (RPPS, else FINESS).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from directory.lookup import SEARCH_LIMIT, Directory
from directory.model import Address, DirectoryDown, Entry, Found, Listing, Lookup, NotFound, Provenance
from directory.names import words
from directory.ranking import closeness

COMPLETED = (
    *("family_name", "given_name", "title", "rpps", "finess", "structure", "specialty", "service", "town"),
    *("postal_code", "certificates"),
)
"""What another directory may add where the first says nothing. What a mailbox takes, and whether it is red-listed, the
first one alone says."""


@dataclass(frozen=True)
class Described:
    entry: Entry
    origins: Mapping[str, Provenance]
    """Field of the entry -> who says so."""
    others: tuple[Entry, ...] = ()
    """Further entries with the same address."""


class SeveralDirectories:
    """`directory.lookup.Directory` over others, asked in this order."""

    def __init__(self, members: Sequence[Directory]) -> None:
        self._members = tuple(members)

    def find(self, address: Address) -> Lookup:
        """The first that knows the address."""
        down: DirectoryDown | None = None
        unknown = NotFound()
        for member in self._members:
            answer = member.find(address)
            if isinstance(answer, DirectoryDown):
                down = down or answer
            elif isinstance(answer, Found):
                return replace(answer, stale=True) if down else answer
            elif answer.closed:
                return answer
            elif not unknown.suggestions:
                unknown = answer
        return down or unknown

    def search(self, text: str, limit: int = SEARCH_LIMIT) -> Listing | DirectoryDown:
        """As well answered as can be; DirectoryDown where none answers."""
        answers = [member.search(text, limit) for member in self._members]
        lists = [answer for answer in answers if isinstance(answer, Listing)]
        if not lists:
            return next((each for each in answers if isinstance(each, DirectoryDown)), Listing(()))
        asked = words(text)
        seen: dict[str, tuple[int, Entry]] = {}
        for listing in lists:
            for entry in listing.entries:
                seen.setdefault(entry.address.key, (closeness(asked, entry), entry))
        merged = [entry for _, entry in sorted(seen.values(), key=lambda pair: pair[0])]
        cut = len(merged) > limit or any(listing.truncated for listing in lists)
        # One that did not answer might have had more.
        return Listing(tuple(merged[:limit]), cut or len(lists) < len(answers))

    def described(self, address: Address) -> Described | NotFound | DirectoryDown:
        """The entry, completed by all who know it; every directory is asked, so not on the path of a letter."""
        first = self.find(address)
        if not isinstance(first, Found):
            return first
        origins = dict.fromkeys(_said(first.entry), first.entry.provenance)
        entry = first.entry
        for member in self._members:
            answer = member.find(address)
            if isinstance(answer, Found) and same_holder(entry, answer.entry):
                added = {name: getattr(answer.entry, name) for name in COMPLETED if _adds(name, entry, answer.entry)}
                entry = replace(entry, **added)
                origins |= dict.fromkeys(added, answer.entry.provenance)
        return Described(entry, origins, first.others)


def same_holder(one: Entry, other: Entry) -> bool:
    """One number that both say, and none that they say differently."""
    pairs = [(one.rpps, other.rpps), (one.finess, other.finess)]
    both = [(left, right) for left, right in pairs if left and right]
    return bool(both) and both[0][0] == both[0][1]


def _adds(name: str, entry: Entry, other: Entry) -> bool:
    return not getattr(entry, name) and bool(getattr(other, name))


def _said(entry: Entry) -> list[str]:
    return [each.name for each in fields(entry) if each.name != "provenance" and getattr(entry, each.name)]
