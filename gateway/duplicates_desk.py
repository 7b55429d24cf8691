"""Who may be one holder, and saying so: what the command and the pages do alike.

Promises: looking changes nothing; a merge and its parting are done only for whoever the roles let merge, are journalled
with who and why, and lose nothing (directory.merging). Does not: show anything, or decide who is one.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import ldap

from directory import merging
from directory.duplicates import Compared, Decision, pairs
from directory.merging import CannotMerge, Done
from directory.model import Entry
from directory.roles import Act, NotYours
from gateway import administration, feeding
from gateway.config import Settings


class NotMerged(Exception):
    """Nothing was changed; the text is for people."""


class Settled(NotMerged):
    """What stands already is in the way."""


@dataclass(frozen=True)
class Pairs:
    """What one look found: `same` by the deterministic rule, then candidates, likeliest first; `same_count` and
    `candidates_count` count those that are not listed too."""

    listed: tuple[Compared, ...]
    same_count: int
    candidates_count: int


def look(settings: Settings, most: int, read: Callable[[int], None], stopped: Callable[[], bool]) -> Pairs:
    """`most`: of each kind, listed. `read`: told how many entries were read. Raises ldap.LDAPError, ConfigError."""
    target = feeding.target(settings)
    everything = merging.everything(target.connection, target.suffix, settings.directory.uri)
    found = list(pairs(_counted(everything, read, stopped)))
    same = [each for each in found if each.decision is Decision.SAME]
    rest = [each for each in found if each.decision is Decision.CANDIDATE]
    likeliest = heapq.nlargest(most, rest, key=lambda each: each.score)
    return Pairs((*same[:most], *likeliest), len(same), len(rest))


def _counted(entries: Iterator[Entry], read: Callable[[int], None], stopped: Callable[[], bool]) -> Iterator[Entry]:
    for number, each in enumerate(entries, 1):
        if stopped():
            return
        if number % 1_000 == 0:
            read(number)
        yield each


def merge(settings: Settings, dn: str, into: str, by: str, why: str) -> Done:
    """Raises NotMerged, ConfigError."""
    return _done(settings, "directory.merged", lambda link: merging.merge(link, dn, into), by, why)


def part(settings: Settings, dn: str, by: str, why: str) -> Done:
    """Takes a merge back. Raises as `merge`."""
    return _done(settings, "directory.parted", lambda link: merging.unmerge(link, dn), by, why)


def _done(settings: Settings, event: str, work: Callable[[Any], Done], by: str, why: str) -> Done:
    require(settings, by)
    try:
        done = work(feeding.target(settings).connection)
    except CannotMerge as error:
        raise Settled(str(error)) from None
    except ldap.LDAPError as error:
        raise NotMerged(f"the directory did not take it ({type(error).__name__})") from None
    feeding.note(settings, event, done, by, why)
    return done


def require(settings: Settings, by: str) -> None:
    """Who is one is the region's to say. Raises NotMerged, ConfigError."""
    try:
        with administration.desk(settings, by) as at:
            at.require(Act.MERGE)
    except NotYours as error:
        raise NotMerged(str(error)) from None
