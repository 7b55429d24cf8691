"""An import as a plan: a file that can be read, archived and signed off before anything changes.

Promises: making one changes nothing, whatever the file holds; one JSON object a line, first the head with what was
read, the counts and the limits that are broken, then each change with before and after, then each rejected line with
its number and reason. The same file and the same ledger give the same plan but for its time.
Does not: apply it (directory.feed.applying does).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from directory.feed import ledger, limits
from directory.feed.counted import Counted
from directory.feed.items import FIELDS, Branch, Item, Source
from directory.feed.ledger import Difference, Ledger, Staging, Taken
from directory.feed.limits import Breach, Facts, Kind, Limit
from directory.feed.lines import FeedError, Rejected

VERSION = 1
REJECTED_KEPT = 10_000
"""Rejected lines that are named; more are counted."""

_STAMP = re.compile(r"[_-](\d{8})(\d{4})?(?:\.|$)")

Progress = Callable[[int], None]
"""Told the bytes read so far, now and then."""


@dataclass(frozen=True)
class Change:
    kind: Kind
    branch: Branch
    key: str
    before: dict[str, str] | None = field(default=None, repr=False)
    after: dict[str, str] | None = field(default=None, repr=False)

    @property
    def fields(self) -> tuple[str, ...]:
        """Those that differ."""
        before, after = self.before or {}, self.after or {}
        return tuple(name for name in FIELDS[self.branch] if before.get(name, "") != after.get(name, ""))


@dataclass(frozen=True)
class Head:
    """The first line."""

    source: str
    title: str
    file: str
    digest: str
    dated: str
    """ISO 8601, UTC: when the source made the file."""
    made_at: str
    based_on: str
    """Digest of the file that was applied last; a plan is applied to what it was made for."""
    lines: int
    rejected: int
    outside: int
    """Rows of other departments."""
    items: int
    again: int
    held: int
    counts: dict[str, int]
    groups: dict[str, dict[str, int]]
    """Changes by type of mailbox or by branch, and by kind."""
    withheld: tuple[str, ...] = ()
    """Rules by which nobody is deactivated on this file's word."""
    breaches: tuple[Breach, ...] = ()
    places: dict[str, dict[str, int]] = field(default_factory=dict)
    """The same by establishment, of those with most changes."""
    plan: int = VERSION


@dataclass(frozen=True)
class Wish:
    """What whoever plans may set."""

    now: datetime
    dated: datetime | None = None
    """Else read from the file's name, else `now`."""
    departments: tuple[str, ...] = ()
    """Beginnings of postal codes; empty: all."""
    limits: dict[Kind, Limit] = field(default_factory=lambda: dict(limits.FACTORY))
    kept_days: float = 90.0


Opened = Callable[[Path], AbstractContextManager[BinaryIO]]
"""How a file is read that may be an archive: the one zip door stands above this package, and is passed in."""


def plainly(path: Path) -> AbstractContextManager[BinaryIO]:
    return path.open("rb")


def make(
    book: Ledger,
    source: Source,
    path: Path,
    target: Path,
    wish: Wish,
    progress: Progress | None = None,
    *,
    opened: Opened = plainly,
) -> Head:
    """Reads the file and writes the plan to `target`, which appears only when it is whole.

    Raises FeedError: a key column is missing, the file is older than the last one applied, another import is at work.
    """
    dated = wish.dated or dated_by_name(path.name) or wish.now
    last = book.last(source.name)
    if last and dated.isoformat() < last.dated:
        raise FeedError(
            f"ce fichier ({dated:%Y-%m-%d %H:%M}) est plus ancien que le dernier appliqué ({last.dated[:16]})"
        )
    part = target.with_name(target.name + ".part")
    with opened(path) as file, book.opened() as connection:
        reading = _Reading(file, source, wish.departments, progress)
        staging = ledger.stage(connection, reading.items(), source.gathers)
        withheld = limits.withheld(_facts(reading, staging, last, source, wish.now - dated))
        counted = _write_changes(part, _changes(connection, source, bool(withheld), wish), reading.refused)
        connection.rollback()
    told = _told_of_reading(reading, staging) | {"dated": dated.isoformat(), "based_on": last.digest if last else ""}
    head = _head(source, path, told, counted, book.count(source.name), withheld, wish)
    _assemble(head, part, target)
    return head


def _facts(reading: _Reading, staging: Staging, last: Taken | None, source: Source, age: timedelta) -> Facts:
    return Facts(
        items=staging.items - staging.again,
        before=last.rows if last else 0,
        rejected=reading.rejected,
        ended=reading.ended,
        age=age,
        stale_after=timedelta(hours=source.stale_hours),
    )


def _told_of_reading(reading: _Reading, staging: Staging) -> dict[str, Any]:
    return {
        "digest": reading.digest,
        "lines": reading.lines,
        "rejected": reading.rejected,
        "outside": reading.outside,
        "items": staging.items - staging.again,
        "again": staging.again,
    }


def _head(
    source: Source,
    path: Path,
    told: dict[str, Any],
    counted: Counted,
    held: int,
    withheld: tuple[str, ...],
    wish: Wish,
) -> Head:
    return Head(
        source=source.name,
        title=source.title,
        file=path.name,
        made_at=wish.now.isoformat(),
        held=held,
        counts={kind.value: counted.kinds[kind] for kind in Kind},
        groups=counted.by_group(),
        places=counted.by_place(),
        withheld=withheld,
        breaches=limits.breaches(counted.kinds, held, wish.limits),
        **told,
    )


def dated_by_name(name: str) -> datetime | None:
    """By names as of directory §3.1 and §3.7: …_202611250213.txt, finess-structures-mensuel-20261101.json."""
    found = _STAMP.search(name)
    try:
        return datetime.strptime(found[1] + (found[2] or "0000"), "%Y%m%d%H%M").replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


# --- reading the source ---------------------------------------------------------------------------------------


class _Digesting:
    """A file that digests what is read of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.sha256, self.read_bytes = file, hashlib.sha256(), 0

    def readline(self, limit: int) -> bytes:
        line = self._file.readline(limit)
        self.sha256.update(line)
        self.read_bytes += len(line)
        return line


class _Reading:
    """One pass over the file, and what is known after it."""

    def __init__(self, file: BinaryIO, source: Source, departments: tuple[str, ...], progress: Progress | None) -> None:
        self._file = _Digesting(file)
        self._lines = source.opened(self._file, source.columns, source.shape)
        self._source, self._progress = source, progress
        self._departments = departments
        names = [column.field for column in source.columns]
        self._postal = names.index("postal_code") if "postal_code" in names else None
        self.lines = self.rejected = self.outside = 0
        self.refused: list[Rejected] = []

    @property
    def ended(self) -> bool:
        return self._lines.ended

    @property
    def digest(self) -> str:
        return self._file.sha256.hexdigest()

    def items(self) -> Iterator[Item]:
        for row in self._lines:
            self.lines += 1
            if self._progress and self.lines % 10_000 == 0:
                self._progress(self._file.read_bytes)
            if isinstance(row, Rejected):
                self._refuse(row)
            elif self._elsewhere(row.values):
                self.outside += 1
            elif isinstance(found := self._source.read(row), Rejected):
                self._refuse(found)
            else:
                yield from found

    def _elsewhere(self, values: tuple[str, ...]) -> bool:
        if not self._departments or self._postal is None:
            return False
        return not values[self._postal].startswith(self._departments)

    def _refuse(self, row: Rejected) -> None:
        self.rejected += 1
        if len(self.refused) < REJECTED_KEPT:
            self.refused.append(row)


# --- finding the changes --------------------------------------------------------------------------------------


def _changes(connection: Any, source: Source, withheld: bool, wish: Wish) -> Iterator[Change]:
    for difference in ledger.arrivals(connection, source):
        yield _change(_arrival(difference), difference)
    if withheld:
        return
    for difference in ledger.departures(connection, source):
        if difference.gone_since is None:
            yield _change(Kind.DEACTIVATE, difference)
        elif limits.retention_over(difference.gone_since, wish.now, wish.kept_days):
            yield _change(Kind.REMOVE, difference)


def _arrival(difference: Difference) -> Kind:
    if difference.before is None:
        return Kind.CREATE
    return Kind.UPDATE if difference.gone_since is None else Kind.RETURN


def _change(kind: Kind, difference: Difference) -> Change:
    named = [
        None if values is None else Item(difference.branch, difference.key, values).named()
        for values in (difference.before, difference.after)
    ]
    return Change(kind, difference.branch, difference.key, *named)


# --- the file -------------------------------------------------------------------------------------------------


def _write_changes(part: Path, changes: Iterable[Change], refused: Iterable[Rejected]) -> Counted:
    counted = Counted()
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("w", encoding="utf-8") as file:
        for each in changes:
            counted.add(each.kind, each.branch, each.after or each.before or {})
            file.write(_line({"change": each.kind, "branch": each.branch, "key": each.key, **_sides(each)}))
        for row in refused:
            file.write(_line({"rejected": row.number, "reason": row.reason}))
    return counted


def _sides(change: Change) -> dict[str, Any]:
    return {name: said for name, said in (("before", change.before), ("after", change.after)) if said is not None}


def _line(told: dict[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")) + "\n"


def _assemble(head: Head, part: Path, target: Path) -> None:
    whole = target.with_name(target.name + ".whole")
    with whole.open("wb") as file, part.open("rb") as changes:
        file.write(_line(asdict(head)).encode())
        shutil.copyfileobj(changes, file, 1 << 20)
    part.unlink()
    whole.replace(target)


# --- reading a plan back --------------------------------------------------------------------------------------


def head_of(path: Path) -> Head:
    """The first line. Raises FeedError for a file that is no plan of this version."""
    with path.open(encoding="utf-8") as file:
        try:
            told = json.loads(file.readline())
            breaches = tuple(Breach(Kind(each["kind"]), each["changes"], each["held"]) for each in told.pop("breaches"))
            head = Head(**told | {"withheld": tuple(told["withheld"]), "breaches": breaches})
        except (ValueError, KeyError, TypeError, AttributeError):
            raise FeedError(f"{path.name} n'est pas un plan d'import") from None
    if head.plan != VERSION:
        raise FeedError(f"{path.name} est un plan d'une autre version ({head.plan})")
    return head


def changes_of(path: Path) -> Iterator[Change]:
    """Each change, in order. Raises FeedError where a line is none."""
    for told in _told(path):
        if "change" in told:
            yield _read(told)


def _read(told: dict[str, Any]) -> Change:
    return Change(Kind(told["change"]), Branch(told["branch"]), told["key"], told.get("before"), told.get("after"))


def lines_from(path: Path, place: int) -> Iterator[tuple[Change | None, int]]:
    """Each line from the first that begins at octet `place` or after it, and where the next begins: of a large plan a
    part is read at once. None where it is no change. Raises FeedError where a line is none of a plan."""
    with path.open("rb") as file:
        file.seek(max(place - 1, 0))
        file.readline()  # the head, or the end of the line before
        for line in iter(file.readline, b""):
            try:
                told = json.loads(line)
                change = _read(told) if "change" in told else None
            except (ValueError, KeyError, TypeError):
                raise FeedError(f"{path.name} : ce n'est pas un changement") from None
            yield change, file.tell()


def rejected_of(path: Path, place: int = 0) -> Iterator[Rejected]:
    """Those whose lines begin at octet `place` or after it; they stand behind the changes."""
    with path.open("rb") as file:
        file.seek(max(place - 1, 0))
        file.readline()
        for line in file:
            if line.startswith(b'{"rejected"'):
                told = json.loads(line)
                yield Rejected(told["rejected"], told["reason"])


def _told(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        file.readline()
        for number, line in enumerate(file, 2):
            try:
                yield json.loads(line)
            except ValueError:
                raise FeedError(f"{path.name}, ligne {number} : ce n'est pas un changement") from None


def digest_of(path: Path) -> str:
    """Names a plan: what is signed off is exactly what is applied."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
