"""What is wrong with a directory, as a list of findings with names: what a keeper of it looks at in the morning.

Promises: each finding is a small function of one entry, or of all; an entry is named by its DN and address alone.
Does not: mend anything.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from certs.identities import identity, read
from directory.duplicates import has_key, mislabelled
from directory.model import Entry, Kind

STALE = timedelta(days=180)


@dataclass(frozen=True)
class Finding:
    name: str
    dn: str
    address: str


def no_structure(entry: Entry, now: datetime) -> bool:
    return not entry.finess and not entry.structure


def no_finess(entry: Entry, now: datetime) -> bool:
    """A structure is named, by its name alone."""
    return bool(entry.structure) and not entry.finess


def no_service(entry: Entry, now: datetime) -> bool:
    return entry.kind is Kind.ORG and not entry.service


def no_holder(entry: Entry, now: datetime) -> bool:
    return entry.kind is Kind.PER and not entry.rpps


def wrong_rpps(entry: Entry, now: datetime) -> bool:
    return bool(entry.rpps) and not has_key(entry.rpps)


def unknown_kind(entry: Entry, now: datetime) -> bool:
    return entry.kind is Kind.OTHER


def expired_certificate(entry: Entry, now: datetime) -> bool:
    """Has certificates, and none of them is in force."""
    return bool(entry.certificates) and not any(_in_force(der, now) for der in entry.certificates)


def wrong_certificate(entry: Entry, now: datetime) -> bool:
    """Has one that names another address."""
    return any(_names_another(der, entry) for der in entry.certificates)


def stale(entry: Entry, now: datetime) -> bool:
    """No source has said anything of it for half a year."""
    try:
        said = datetime.strptime(entry.provenance.date, "%Y%m%d%H%M%SZ")
    except ValueError:
        return False
    return said.replace(tzinfo=now.tzinfo) + STALE < now


def _in_force(der: bytes, now: datetime) -> bool:
    try:
        certificate = read(der)
    except ValueError:
        return False
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc


def _names_another(der: bytes, entry: Entry) -> bool:
    try:
        named = identity(der).addresses
    except ValueError:
        return True
    return bool(named) and entry.address.key not in {each.lower() for each in named}


CHECKS: dict[str, Callable[[Entry, datetime], bool]] = {
    "no-structure": no_structure,
    "no-finess": no_finess,
    "no-service": no_service,
    "no-holder": no_holder,
    "wrong-rpps": wrong_rpps,
    "unknown-kind": unknown_kind,
    "expired-certificate": expired_certificate,
    "wrong-certificate": wrong_certificate,
    "stale": stale,
}


NAMES = (*CHECKS, "bouncing", "several-holders")
"""Every name that a finding may have."""


def findings(entries: Iterable[Entry], now: datetime, bouncing: Container[str] = frozenset()) -> Iterator[Finding]:
    """One by one; at the end what only all of them together show. `bouncing`: keys of addresses whose last letter came
    back because nobody is there; who carries letters knows them."""
    kept: list[Entry] = []
    for entry in entries:
        kept.append(entry)
        yield from (_finding(name, entry) for name, check in CHECKS.items() if check(entry, now))
        if entry.address.key in bouncing:
            yield _finding("bouncing", entry)
    for several in mislabelled(kept):
        yield from (_finding("several-holders", entry) for entry in several)


def _finding(name: str, entry: Entry) -> Finding:
    return Finding(name, entry.provenance.dn, str(entry.address))
