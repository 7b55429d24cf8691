"""Applies a plan to the directory, in batches that can be stopped and begun again.

Promises: a change is done once, however often the plan is applied; what somebody changed by hand meanwhile is a
conflict that is told and left as it is; the ledger says what was really done. A plan with broken limits needs a named
person and a reason. Nothing is deleted but what has been gone for as long as policy keeps it.
Does not: make plans, or write the journal (whoever calls does, with the report).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any

import ldap
from ldap import modlist
from sqlalchemy import Connection

from directory.feed import ledger, plan, records
from directory.feed.items import FIELDS, Source
from directory.feed.ledger import Ledger, Taken
from directory.feed.limits import Kind
from directory.feed.lines import FeedError
from directory.feed.plan import Change, Head
from directory.feed.records import Attributes

BATCH = 200
"""Changes that are looked at together, and then one commit of the ledger."""
AT_ONCE = 2
"""Writes that wait at the server: it does one after the other, and each that waits keeps one of its threads from those
who search."""
CONFLICTS_KEPT = 1_000


class Result(StrEnum):
    DONE = "done"
    ALREADY = "already"
    """The ledger, or the directory, says so already."""
    CONFLICT = "conflict"


@dataclass(frozen=True)
class Override:
    """Who takes it upon himself that limits are broken, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class Conflict:
    """A change that was not made."""

    kind: Kind
    dn: str
    why: str


@dataclass
class Report:
    """What was done, by kind and result."""

    counts: Counter[tuple[Kind, Result]] = field(default_factory=Counter)
    conflicts: list[Conflict] = field(default_factory=list)
    stopped: bool = False

    def of(self, result: Result) -> int:
        return sum(count for (_, its), count in self.counts.items() if its is result)


@dataclass(frozen=True)
class Target:
    """The directory as its feeder, see `directory.connection`."""

    connection: Any
    suffix: str
    timeout_s: float = 30.0


Progress = Callable[[int], None]
"""Told how many changes have been looked at."""


def refusal(head: Head, source: Source, last: Taken | None, override: Override | None) -> str:
    """Why this plan is not applied, in French; empty where it may be."""
    if head.source != source.name:
        return f"ce plan est pour la source {head.source}"
    done = last.digest if last else ""
    if done not in (head.based_on, head.digest):
        return "un autre fichier a été appliqué depuis : refaites le plan"
    if head.breaches and override is None:
        broken = ", ".join(f"{each.kind} {each.changes} sur {each.held}" for each in head.breaches)
        return f"seuils dépassés ({broken}) : il faut le nom de qui en répond, et pourquoi"
    return ""


def apply(
    book: Ledger,
    source: Source,
    path: Path,
    target: Target,
    now: datetime,
    *,
    override: Override | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Report:
    """Applies the plan at `path`. Raises FeedError for one that may not be applied, ldap.LDAPError where the directory
    does not answer: what was done by then stays done, and is known."""
    head, report = plan.head_of(path), Report()
    if why := refusal(head, source, book.last(source.name), override):
        raise FeedError(why)
    writer = _Writer(source, target, now)
    with book.opened() as connection:
        changes = plan.changes_of(path)
        while batch := list(islice(changes, BATCH)):
            if stop():
                report.stopped = True
                return report
            for change, result, why in writer.write(connection, batch):
                report.counts[change.kind, result] += 1
                if result is Result.CONFLICT and len(report.conflicts) < CONFLICTS_KEPT:
                    report.conflicts.append(Conflict(change.kind, writer.dn(change), why))
            connection.commit()
            if progress:
                progress(len(batch))
        ledger.finished(connection, Taken(source.name, head.dated, head.digest, head.items, now.isoformat()))
        connection.commit()
    return report


Told = tuple[Change, Result, str]


class _Writer:
    """Batches of one source's changes."""

    def __init__(self, source: Source, target: Target, now: datetime) -> None:
        self._source, self._target, self._now = source, target, now
        self._ldap = target.connection

    def dn(self, change: Change) -> str:
        said = change.after or change.before or {}
        return records.dn(change.branch, change.key, said, self._target.suffix)

    def write(self, connection: Connection, batch: Sequence[Change]) -> Iterator[Told]:
        """Reads what the entries are now, sends what is to change, and notes what was done."""
        due = []
        for change in batch:
            if self._noted(connection, change):
                yield change, Result.ALREADY, ""
            else:
                due.append(change)
        asked = [(change, self._look(change)) for change in due]
        sent: deque[tuple[Change, int | Told | None]] = deque()
        for change, number in asked:
            sent.append((change, self._send(change, self._found(number))))
            if len(sent) == AT_ONCE:
                yield self._done(connection, *sent.popleft())
        while sent:
            yield self._done(connection, *sent.popleft())

    def _done(self, connection: Connection, change: Change, answer: int | Told | None) -> Told:
        result, why = self._answered(answer)
        if result is not Result.CONFLICT:
            self._note(connection, change)
        return change, result, why

    # --- the ledger -----------------------------------------------------------------------------------------

    def _noted(self, connection: Connection, change: Change) -> bool:
        """Whether an earlier run did it."""
        held = ledger.holds(connection, self._source.name, change.branch, change.key)
        if change.kind is Kind.REMOVE:
            return held is None
        if change.kind is Kind.DEACTIVATE:
            return held is not None and held.gone_since is not None
        return held is not None and held.gone_since is None and held.before == _values(change)

    def _note(self, connection: Connection, change: Change) -> None:
        place = (connection, self._source.name, change.branch, change.key)
        if change.kind is Kind.REMOVE:
            ledger.forget(*place)
        elif change.kind is Kind.DEACTIVATE:
            ledger.let_go(*place, self._now)
        else:
            ledger.hold(*place, _values(change))

    # --- the directory --------------------------------------------------------------------------------------

    def _look(self, change: Change) -> int:
        number: int = self._ldap.search_ext(self.dn(change), ldap.SCOPE_BASE)
        return number

    def _found(self, number: int) -> Attributes | None:
        try:
            _, rows, *_ = self._ldap.result3(number, 1, self._target.timeout_s)
        except ldap.NO_SUCH_OBJECT:
            return None
        return {name: list(values) for name, values in rows[0][1].items()} if rows else None

    def _send(self, change: Change, found: Attributes | None) -> int | Told | None:
        """The number of the request; None where nothing is to do; what is told where it cannot be done."""
        if change.kind is Kind.REMOVE:
            return self._ldap.delete_ext(self.dn(change)) if found is not None and not self._source.owns else None
        before, after = self._sides(change)
        if found is None:
            if change.kind is Kind.DEACTIVATE:
                return None
            if self._source.owns:
                return change, Result.CONFLICT, "no-entry"
            return self._add(change, after)
        if by_hand := _by_hand(found, before, after):
            return change, Result.CONFLICT, f"changed-by-hand: {', '.join(by_hand)}"
        wanted = _modifications(found, before, after)
        return self._ldap.modify_ext(self.dn(change), wanted) if wanted else None

    def _sides(self, change: Change) -> tuple[Attributes, Attributes]:
        """What the source said of the entry, and what it says."""
        if change.kind is Kind.DEACTIVATE and not self._source.owns:
            return {"lifecycleState": [b"active"]}, records.gone(self._now)
        before = self._said(change, change.before)
        if change.kind is Kind.DEACTIVATE:
            return before, {}
        after = self._said(change, change.after) | ({} if self._source.owns else records.seen(self._now))
        if change.kind is Kind.RETURN:
            return {name: before[name] for name in before if name != "lifecycleState"}, after | records.alive()
        return before, after

    def _said(self, change: Change, said: dict[str, str] | None) -> Attributes:
        if said is None:
            return {}
        if self._source.owns:
            return records.owned(self._source.owns, said)
        return records.attributes(self._source.name, change.branch, change.key, said)

    def _add(self, change: Change, after: Attributes) -> int:
        number: int = self._ldap.add_ext(self.dn(change), modlist.addModlist({k: v for k, v in after.items() if v}))
        return number

    def _answered(self, sent: int | Told | None) -> tuple[Result, str]:
        if sent is None:
            return Result.ALREADY, ""
        if isinstance(sent, tuple):
            return sent[1], sent[2]
        try:
            self._ldap.result3(sent, 1, self._target.timeout_s)
        except (ldap.SERVER_DOWN, ldap.TIMEOUT, ldap.UNAVAILABLE, ldap.BUSY):
            raise
        except ldap.LDAPError as error:
            return Result.CONFLICT, type(error).__name__.lower()
        return Result.DONE, ""


def _values(change: Change) -> tuple[str, ...]:
    return tuple((change.after or {}).get(name, "") for name in FIELDS[change.branch])


def _by_hand(found: Attributes, before: Attributes, after: Attributes) -> list[str]:
    """Attributes that are neither what the source said nor what it says now: a person changed them."""
    return [
        name
        for name, said in before.items()
        if name not in _OURS
        and not _same(found.get(name, []), said)
        and not _same(found.get(name, []), after.get(name, []))
    ]


_OURS = frozenset({"objectClass", "pliWord", "pliDomain", "dataSourceDate"})
"""Computed, whatever anybody wrote there."""


def _modifications(
    found: Attributes, before: Attributes, after: Attributes
) -> list[tuple[int, str, list[bytes] | None]]:
    """What differs of what the source says; what others wrote beside it stays."""
    names = [name for name in {**before, **after} if name != "objectClass"]
    classes = {each.lower() for each in found.get("objectClass", [])}
    missing = [each for each in after.get("objectClass", []) if each.lower() not in classes]
    return [
        *([(ldap.MOD_ADD, "objectClass", missing)] if missing else []),
        *(
            (ldap.MOD_REPLACE, name, after.get(name) or None)
            for name in names
            if not _same(found.get(name, []), after.get(name, []))
        ),
    ]


def _same(one: Sequence[bytes], other: Sequence[bytes]) -> bool:
    return sorted(one) == sorted(other)
