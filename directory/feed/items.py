"""What a source wants in the directory: an item for each entry, of one branch, under a key of its own.

Promises: an item is text in a fixed order of fields, so that two of one key are equal or differ in a field that has a
name; a row that makes no item says why, without its values; one row gives always the same items.
Does not: write LDAP (directory.feed.records makes attributes), nor compare.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from directory.address import BadAddress, parse
from directory.feed.lines import Column, Lines, Readable, Rejected, Row, Rows, Shape


class Branch(StrEnum):
    """Organisational units of directory §6.5 that are fed."""

    MAILBOXES = "bal"
    PERSONS = "personnes"
    STRUCTURES = "structures"
    SITUATIONS = "situations"


FIELDS: dict[Branch, tuple[str, ...]] = {
    Branch.MAILBOXES: (
        *("kind", "address", "person", "structure", "service", "title", "family", "given", "profession"),
        *("specialty", "paperless", "name", "town", "postal_code"),
    ),
    Branch.PERSONS: ("person", "title", "family", "given", "profession", "specialties", "diplomas"),
    Branch.STRUCTURES: ("finess", "legal_finess", "siret", "name", "category", "town", "postal_code", "phone"),
    Branch.SITUATIONS: (
        *("person", "structure", "name", "mode", "sector", "role", "town", "postal_code", "phone", "family", "given"),
    ),
}
"""The fields of an item, in their order."""

SEVERAL = "; "
"""Between the values of a field that holds several."""


@dataclass(frozen=True)
class Item:
    branch: Branch
    key: str
    """Stable from one file to the next; never shown to people."""
    values: tuple[str, ...] = field(repr=False)
    """In the order of FIELDS."""

    def named(self) -> dict[str, str]:
        """Those that are not empty."""
        return {name: value for name, value in zip(FIELDS[self.branch], self.values, strict=True) if value}


class Refused(ValueError):
    """A row that makes no item; the text is a word for the list of rejected lines."""


@dataclass(frozen=True)
class Source:
    """One kind of file."""

    name: str
    title: str
    """French, for screens."""
    columns: tuple[Column, ...]
    items: Callable[[dict[str, str]], Iterator[Item]]
    """Raises Refused."""
    shape: Shape = field(default_factory=Shape)
    opened: Callable[[Readable, Sequence[Column], Shape], Rows] = Lines
    files: str = ""
    """How its file is called within an archive, a regular expression; empty: any name, if it is the only one."""
    gathers: frozenset[str] = frozenset()
    """Fields in which the rows of one key add up (a person's specialties)."""
    owns: frozenset[str] = frozenset()
    """Fields that it alone says of an entry which another source makes; empty: it makes its entries itself."""
    stale_hours: int = 48

    def read(self, row: Row) -> tuple[Item, ...] | Rejected:
        try:
            values = dict(zip((column.field for column in self.columns), row.values, strict=True))
            return tuple(self.items(values))
        except Refused as refused:
            return Rejected(row.number, str(refused))


# --- what identifiers look like (directory §3.6) ---------------------------------------------------------------

RPPS = "8"
_FINESS = re.compile(r"[0-9A-Za-z]{9}")
_SIRET = re.compile(r"\d{14}")
# By the digit of directory §3.6: ADELI, FINESS and SIRET with a rank, RPPS.
_PERSONS = {
    "0": re.compile(r"\w{1,9}"),
    "3": re.compile(r"[0-9A-Za-z]{9}.*"),
    "5": re.compile(r"\d{14}.*"),
    RPPS: re.compile(r"\d{11}"),
}


def person(kind: str, number: str) -> str:
    """'8' + RPPS, '0' + ADELI …; empty where the row names nobody. Raises Refused."""
    if not number:
        return ""
    shape = _PERSONS.get(kind)
    if shape is None or not shape.fullmatch(number):
        raise Refused("person-identifier")
    return kind + number


def person_of(national: str) -> str:
    """The same from the national form, type digit and number in one. Raises Refused."""
    return person(national[:1], national[1:])


def structure(kind: str, number: str) -> str:
    """'FINESS:…', 'SIRET:…', or the kind's word and what it says; empty where the row names none. Raises Refused."""
    if not number:
        return ""
    word = kind.strip().upper()
    if word in ("FINESS", "1") or (not word and _FINESS.fullmatch(number)):
        if not _FINESS.fullmatch(number):
            raise Refused("finess")
        return f"FINESS:{number.upper()}"
    if word in ("SIRET", "3"):
        if not _SIRET.fullmatch(number):
            raise Refused("siret")
        return f"SIRET:{number}"
    return f"{word or 'ID'}:{number}"


def mailbox(values: dict[str, str]) -> Item:
    """The item of one mailbox, from named fields. Its key is the address with its holder, so that who moves to another
    structure keeps his entry; see `apart`. Raises Refused."""
    try:
        address = parse(values["address"])
    except BadAddress:
        raise Refused("address") from None
    if address.is_patient:
        raise Refused("patient-address")
    if not values["kind"]:
        raise Refused("kind")
    named = values | {"address": str(address), "kind": values["kind"].upper()}
    holder = named["person"] or f"{named['structure']}|{named['service'].casefold()}"
    key = f"{address.key}|{holder}"
    return item(Branch.MAILBOXES, key, named)


def item(branch: Branch, key: str, values: dict[str, str]) -> Item:
    return Item(branch, key, tuple(values.get(name, "") for name in FIELDS[branch]))


def apart(one: Item, other: Item) -> Item | None:
    """`other` under a key of its own, where two rows of one mailbox are two places: one address on several rows is
    legal (directory §3.5)."""
    place = FIELDS[Branch.MAILBOXES].index("structure")
    if one.branch is not Branch.MAILBOXES or one.values[place] == other.values[place]:
        return None
    return replace(other, key=f"{other.key}|{other.values[place]}")


def merged(one: Item, other: Item, gathers: Collection[str]) -> Item:
    """Two items of one key: gathered fields add up, of the rest the first that says something counts."""
    pairs = zip(FIELDS[one.branch], one.values, other.values, strict=True)
    return Item(one.branch, one.key, tuple(_sum(a, b) if name in gathers else a or b for name, a, b in pairs))


def _sum(one: str, other: str) -> str:
    """Sorted, so that the order of rows in a file is no change."""
    return SEVERAL.join(sorted({each for each in (*one.split(SEVERAL), *other.split(SEVERAL)) if each}))
