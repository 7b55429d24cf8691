"""Policy as data: what is asked of a letter on its way, and where each value comes from.

Promises: a value is looked for at the nearest level first (mailbox, domain, tenant, factory) and, within one level, at
the nearest destination (address, domain, everybody); the first that says something counts and brings its origin along.
An unknown key or value is refused, with the nearest known one.
Does not: choose a route (relay.routing), refuse a recipient (relay.gate), read a file, or keep anything
(relay.store.policies).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from directory import address
from directory.model import PATIENT_DOMAIN, Address


class Level(StrEnum):
    """Who says it. Each overrides those before it."""

    FACTORY = "factory"
    TENANT = "tenant"
    DOMAIN = "domain"
    MAILBOX = "mailbox"


NEAREST_FIRST = (Level.MAILBOX, Level.DOMAIN, Level.TENANT, Level.FACTORY)
TOWARDS = "towards."
"""`towards.DESTINATION.KEY`: a value for letters to one domain or address."""
FACTORY_WROTE = "factory"

CHOICES: dict[str, tuple[str, ...]] = {
    "sign": ("mailbox", "establishment", "none"),
    "encrypt": ("never", "when-possible", "always"),
    "without_certificate": ("refuse", "wait"),
    "receipt": ("as-asked", "always"),
    "patient_ins": ("as-stated", "qualified"),
    "max_bytes": (),
}
"""Every key, with its words; max_bytes is a number of bytes, 0 for no limit of its own."""


class BadPolicy(ValueError):
    """One sentence for whoever typed it."""


class PolicyDown(Exception):
    """The store does not say what the policy is: ask again, nothing may be decided without it."""


@dataclass(frozen=True)
class Line:
    """One value that somebody gave."""

    level: Level
    holder: str
    """Domain or mailbox of ours; empty for factory and tenant."""
    key: str
    """With its destination, if it has one."""
    value: str
    by: str = FACTORY_WROTE
    """Who gave it: a person, or the name of a file."""
    at: datetime | None = None
    """Where a person did."""


FACTORY = (
    Line(Level.FACTORY, "", "sign", "mailbox"),
    Line(Level.FACTORY, "", "encrypt", "when-possible"),
    Line(Level.FACTORY, "", "without_certificate", "refuse"),
    Line(Level.FACTORY, "", "receipt", "as-asked"),
    Line(Level.FACTORY, "", "patient_ins", "as-stated"),
    Line(Level.FACTORY, "", "max_bytes", "0"),
    # Mon espace santé refuses what is larger than 25 Mo (spec/payload.md §1.6)
    Line(Level.FACTORY, "", f"{TOWARDS}{PATIENT_DOMAIN}.max_bytes", "25000000"),
)


# --- what a value may be --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A key taken apart."""

    destination: str
    """Domain or address; empty: everybody."""
    name: str


def place(key: str) -> Place:
    """Raises BadPolicy for a key that does not exist, or a destination that is none."""
    towards = key.startswith(TOWARDS)
    destination, _, name = key.removeprefix(TOWARDS).rpartition(".") if towards else ("", "", key)
    if name not in CHOICES or towards != bool(destination):
        raise BadPolicy(_no_such_key(key))
    return Place(_destination(destination) if destination else "", name)


def _no_such_key(key: str) -> str:
    known = [*CHOICES, *(f"{TOWARDS}DESTINATION.{name}" for name in CHOICES)]
    near = difflib.get_close_matches(key, known, n=1) or [
        f"{key.rpartition('.')[0]}.{name}"
        for name in difflib.get_close_matches(key.rpartition(".")[2], CHOICES, n=1)
        if key.startswith(TOWARDS)
    ]
    told = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
    return f"unknown key '{key}'; {told}"


def _destination(text: str) -> str:
    try:
        named = address.parse(text if "@" in text else f"x@{text}")
    except address.BadAddress as error:
        raise BadPolicy(f"'{text}' is neither a domain nor an address: {error}") from None
    if named.is_patient and "@" in text:
        # Their address is an identity: it would stand in the table and in the journal (design §7)
        raise BadPolicy("a patient's address has no policy of its own")
    return named.key if "@" in text else named.domain


def checked(line: Line) -> Line:
    """The line with its names as they are looked up. Raises BadPolicy."""
    if line.level is Level.FACTORY:
        raise BadPolicy("the factory's values are fixed: set the tenant's")
    if (line.level is Level.TENANT) != (line.holder == ""):
        raise BadPolicy("a tenant's value has no holder; a domain's or a mailbox's names it with --for")
    if line.level is not Level.TENANT and (line.level is Level.MAILBOX) != ("@" in line.holder):
        raise BadPolicy(f"'{line.holder}' is no {line.level.value}")
    there = place(line.key)
    key = f"{TOWARDS}{there.destination}.{there.name}" if there.destination else there.name
    holder = _destination(line.holder) if line.holder else ""
    return Line(line.level, holder, key, _value(there.name, line.value), line.by, line.at)


def _value(name: str, value: str) -> str:
    choices = CHOICES[name]
    if value in choices:
        return value
    if choices:
        near = difflib.get_close_matches(value, choices, n=1)
        told = f"did you mean '{near[0]}'?" if near else f"one of {', '.join(choices)}"
        raise BadPolicy(f"{name}: '{value}' is no value; {told}")
    if not (value.isascii() and value.isdigit() and len(value) < 16):
        raise BadPolicy(f"{name}: '{value}' is not a number of bytes")
    return str(int(value))


def any_value(key: str) -> str:
    """For naming a place without a value."""
    return (CHOICES[place(key).name] or ("0",))[0]


# --- what is wanted of one letter for one recipient ---------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """Each key's line that counts for one sender and one recipient."""

    lines: Mapping[str, Line]

    def __getitem__(self, name: str) -> str:
        return self.lines[name].value

    @property
    def max_bytes(self) -> int:
        """0: no limit but the door's."""
        return int(self["max_bytes"])


class Book:
    """All lines of one tenant, factory's included. Later lines of one place replace earlier ones."""

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self._lines = {(each.level, each.holder, each.key): each for each in (*FACTORY, *lines)}

    def wanted(self, own: Address | None, to: Address | None) -> Wanted:
        """`own`: our mailbox, whose letter it is or which gets it; None: nobody's, the tenant's values count."""
        return Wanted({name: self._line(name, own, to) for name in CHOICES})

    def _line(self, name: str, own: Address | None, to: Address | None) -> Line:
        for level, holder in _holders(own):
            for key in _keys(name, to):
                if found := self._lines.get((level, holder, key)):
                    return found
        raise LookupError(name)  # the factory has a line for each key

    def given(self, own: Address | None = None) -> Iterator[Line]:
        """Every line that concerns `own`, nearest level first; of the tenant alone without one."""
        for level, holder in _holders(own):
            for key in sorted(self._lines):
                if key[:2] == (level, holder):
                    yield self._lines[key]


def _holders(own: Address | None) -> Iterator[tuple[Level, str]]:
    if own is not None:
        yield Level.MAILBOX, own.key
        yield Level.DOMAIN, own.domain
    yield Level.TENANT, ""
    yield Level.FACTORY, ""


def _keys(name: str, to: Address | None) -> Iterator[str]:
    if to is not None:
        yield f"{TOWARDS}{to.key}.{name}"
        yield f"{TOWARDS}{to.domain}.{name}"
    yield name


FACTORY_BOOK = Book()
