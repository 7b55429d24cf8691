"""How one LDAP directory names its things: what is asked of it, and what its answers mean.

Promises: whatever a directory calls its attributes, entries.read gets ours; every filter is made by directory.filters.
Does not: ask (directory.ldap does). directory.mapping has the shape of a directory that is not ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from directory import entries, filters
from directory.filters import Filter
from directory.model import Address
from directory.names import words

MAX_WORDS = 8
"""Of one question; the others are not asked for."""


class Shape(Protocol):
    @property
    def read(self) -> tuple[str, ...]:
        """Attributes to ask for."""

    @property
    def paged(self) -> bool:
        """Whether a list may be asked for as a page (RFC 2696): it then comes at once, however long it would be."""

    def ours(self, values: entries.Values) -> entries.Values:
        """The values of one entry under our names."""

    def mailbox(self, address: Address) -> Filter:
        """Entries with exactly this address."""

    def search(self, asked: Sequence[str], whole: bool = False) -> Filter:
        """Listed mailboxes with each of these folded words, or, unless `whole`, its beginning."""

    def near(self, address: Address) -> Iterator[Filter]:
        """Listed mailboxes whose address may be meant, the best question first."""


_MAILBOX = filters.equal("objectClass", entries.CLASS)
_HIDDEN = (filters.equal("mssListeRouge", "TRUE"), filters.present("mergedInto"))
SHOWN = filters.every(_MAILBOX, *map(filters.no, _HIDDEN))


class Regional:
    """A directory with our schema."""

    @property
    def paged(self) -> bool:
        return True

    @property
    def read(self) -> tuple[str, ...]:
        return entries.READ

    def ours(self, values: entries.Values) -> entries.Values:
        return values

    def mailbox(self, address: Address) -> Filter:
        return filters.every(_MAILBOX, filters.equal(entries.attribute_of(address), address.key))

    def search(self, asked: Sequence[str], whole: bool = False) -> Filter:
        return filters.every(SHOWN, *(_word(word, whole) for word in asked))

    def near(self, address: Address) -> Iterator[Filter]:
        named = words(address.local)[:MAX_WORDS]
        if not named:
            return
        domain = filters.equal("pliDomain", address.domain)
        beginnings = filters.some(*(filters.begins("pliWord", word[:3]) for word in named if len(word) > 2))
        same = filters.every(*(filters.equal("pliWord", word) for word in named))
        yield filters.every(SHOWN, filters.some(filters.every(domain, beginnings), same))
        yield filters.every(SHOWN, domain)


def _word(word: str, whole: bool) -> Filter:
    # Beginnings of one or two letters would read the whole index (directory §6.5).
    return filters.equal("pliWord", word) if whole or len(word) < 3 else filters.begins("pliWord", word)
