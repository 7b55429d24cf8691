"""What each source last brought: one SQLite file, the feed's memory between two files.

Promises: a file is staged in bounded memory and compared by the database; what is held changes only as changes are
applied, so that an import which was stopped goes on where it was. One source at a time (`BusyLedger`).
Does not: hold what people changed by hand, nor speak LDAP. It can be made again from the directory's source files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    exists,
    func,
    select,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import OperationalError

from directory.feed.items import Branch, Item, Source, apart, merged
from directory.feed.lines import FeedError

_BATCH = 5_000
_SEPARATOR = "\x1f"

metadata = MetaData()

held = Table(
    "held",
    metadata,
    Column("source", String, primary_key=True),
    Column("branch", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("said", Text, nullable=False),
    Column("gone_since", String, nullable=True),
    Index("held_by_key", "branch", "key"),
    comment="What each source last said of each entry; gone_since: it no longer says so, the retention clock runs.",
    sqlite_with_rowid=False,
)

staged = Table(
    "staged",
    metadata,
    Column("branch", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("said", Text, nullable=False),
    prefixes=["TEMPORARY"],
    sqlite_with_rowid=False,
)

taken = Table(
    "taken",
    metadata,
    Column("source", String, primary_key=True),
    Column("dated", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("at", String, nullable=False),
    comment="The file of each source that was last applied to its end.",
)


class BusyLedger(FeedError):
    """Another import is at work."""


@dataclass(frozen=True)
class Taken:
    """A file that was applied to its end."""

    source: str
    dated: str
    digest: str
    rows: int
    at: str


@dataclass(frozen=True)
class Staging:
    """How staging went."""

    items: int
    again: int
    """Items that another row of the file had brought already."""
    differed: int
    """Those among them that said something else: it was merged."""


@dataclass(frozen=True)
class Difference:
    branch: Branch
    key: str
    before: tuple[str, ...] | None = field(repr=False)
    after: tuple[str, ...] | None = field(repr=False)
    gone_since: str | None = None


class Ledger:
    """The file at `path`, made where there is none."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._engine = _engine(path)
        metadata.create_all(self._engine, tables=[held, taken])

    @contextmanager
    def opened(self) -> Iterator[Connection]:
        """One connection with its own staging table; raises BusyLedger where somebody else writes."""
        try:
            with self._engine.connect() as connection:
                metadata.create_all(connection, tables=[staged])
                connection.commit()
                yield connection
        except OperationalError as error:
            raise BusyLedger("un autre import est en cours dans ce registre") from error

    def last(self, source: str) -> Taken | None:
        with self._engine.connect() as connection:
            row = connection.execute(select(taken).where(taken.c.source == source)).one_or_none()
        return Taken(**row._mapping) if row else None

    def every(self) -> tuple[Taken, ...]:
        with self._engine.connect() as connection:
            return tuple(Taken(**row._mapping) for row in connection.execute(select(taken).order_by(taken.c.source)))

    def count(self, source: str) -> int:
        """Entries that the source says are there."""
        with self._engine.connect() as connection:
            return int(
                connection.scalar(
                    select(func.count()).where(held.c.source == source, held.c.gone_since.is_(None)),
                )
                or 0
            )


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 10})

    @event.listens_for(engine, "connect")
    def _pragmas(connection: object, _: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]  # a DBAPI connection
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "temp_store = FILE", "cache_size = -65536"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


# --- staging -------------------------------------------------------------------------------------------------


def stage(connection: Connection, items: Iterable[Item], gathers: Collection[str]) -> Staging:
    """Puts items into the staging table, which is emptied first; those of one key are merged."""
    connection.execute(staged.delete())
    seen = _Seen()
    for batch in _batches(items):
        known = dict(_already(connection, batch))
        wanted: dict[tuple[str, str], Item] = {}
        for each in batch:
            seen.add(each, known, wanted, gathers)
        _put(connection, wanted)
    return Staging(seen.items, seen.again, seen.differed)


Places = dict[tuple[str, str], Item]


@dataclass
class _Seen:
    items: int = 0
    again: int = 0
    differed: int = 0

    def add(self, item: Item, known: Places, wanted: Places, gathers: Collection[str]) -> None:
        """One more item; `known` is what earlier batches brought, `wanted` what this one does."""
        self.items += 1
        place = (item.branch.value, item.key)
        other = wanted.get(place) or known.get(place)
        if other is not None and (further := apart(other, item)) is not None:
            item, place = further, (further.branch.value, further.key)
            other = wanted.get(place)
        if other is not None:
            self.again += 1
            self.differed += other.values != item.values
            item = merged(other, item, gathers)
        wanted[place] = item


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    source = iter(items)
    while batch := list(islice(source, _BATCH)):
        yield batch


def _already(connection: Connection, batch: Sequence[Item]) -> Iterator[tuple[tuple[str, str], Item]]:
    """What earlier batches brought under these keys."""
    for branch in {item.branch.value for item in batch}:
        keys = [item.key for item in batch if item.branch.value == branch]
        for begin in range(0, len(keys), 900):  # below SQLite's limit of parameters
            part = keys[begin : begin + 900]
            asked = select(staged.c.key, staged.c.said).where(staged.c.branch == branch, staged.c.key.in_(part))
            for key, said in connection.execute(asked).all():
                yield (branch, key), Item(Branch(branch), key, tuple(said.split(_SEPARATOR)))


def _put(connection: Connection, wanted: Places) -> None:
    rows = [
        {"branch": branch, "key": key, "said": _SEPARATOR.join(item.values)} for (branch, key), item in wanted.items()
    ]
    if rows:
        statement = insert(staged)
        said = {"said": statement.excluded.said}
        connection.execute(statement.on_conflict_do_update(index_elements=["branch", "key"], set_=said), rows)


# --- comparing -----------------------------------------------------------------------------------------------


def arrivals(connection: Connection, source: Source) -> Iterator[Difference]:
    """What is staged and not held, or held and said otherwise, or back again; by key.

    Of a source that says something of others' entries, only of those that are there.
    """
    same = (held.c.source == source.name) & (held.c.branch == staged.c.branch) & (held.c.key == staged.c.key)
    asked = (
        select(staged.c.branch, staged.c.key, staged.c.said, held.c.said.label("held"), held.c.gone_since)
        .select_from(staged.outerjoin(held, same))
        .where(held.c.said.is_(None) | (held.c.said != staged.c.said) | held.c.gone_since.is_not(None))
        .order_by(staged.c.branch, staged.c.key)
    )
    if source.owns:
        makers = held.alias("makers")
        made = (makers.c.source != source.name) & (makers.c.branch == staged.c.branch) & (makers.c.key == staged.c.key)
        asked = asked.where(exists().where(made, makers.c.gone_since.is_(None)))
    for branch, key, said, before, gone_since in connection.execute(asked.execution_options(yield_per=2_000)):
        yield Difference(Branch(branch), key, _values(before), _values(said), gone_since)


def departures(connection: Connection, source: Source) -> Iterator[Difference]:
    """What is held and no longer staged, whether its clock runs already or not; by key."""
    same = (held.c.branch == staged.c.branch) & (held.c.key == staged.c.key)
    asked = (
        select(held.c.branch, held.c.key, held.c.said, held.c.gone_since)
        .select_from(held.outerjoin(staged, same))
        .where(held.c.source == source.name, staged.c.key.is_(None))
        .order_by(held.c.branch, held.c.key)
    )
    for branch, key, said, gone_since in connection.execute(asked.execution_options(yield_per=2_000)):
        yield Difference(Branch(branch), key, _values(said), None, gone_since)


def _values(said: str | None) -> tuple[str, ...] | None:
    return None if said is None else tuple(said.split(_SEPARATOR))


# --- holding -------------------------------------------------------------------------------------------------


def holds(connection: Connection, source: str, branch: Branch, key: str) -> Difference | None:
    """What is held now, as `before`."""
    asked = select(held.c.said, held.c.gone_since).where(
        held.c.source == source, held.c.branch == branch.value, held.c.key == key
    )
    row = connection.execute(asked).one_or_none()
    return Difference(branch, key, _values(row.said), None, row.gone_since) if row else None


def hold(connection: Connection, source: str, branch: Branch, key: str, values: Sequence[str]) -> None:
    row = {"source": source, "branch": branch.value, "key": key, "said": _SEPARATOR.join(values), "gone_since": None}
    statement = insert(held).values(row)
    said = {"said": statement.excluded.said, "gone_since": None}
    connection.execute(statement.on_conflict_do_update(index_elements=["source", "branch", "key"], set_=said))


def let_go(connection: Connection, source: str, branch: Branch, key: str, since: datetime) -> None:
    """The source no longer says so: the retention clock runs."""
    connection.execute(
        held.update()
        .where(held.c.source == source, held.c.branch == branch.value, held.c.key == key)
        .values(gone_since=since.isoformat())
    )


def forget(connection: Connection, source: str, branch: Branch, key: str) -> None:
    connection.execute(held.delete().where(held.c.source == source, held.c.branch == branch.value, held.c.key == key))


def finished(connection: Connection, file: Taken) -> None:
    """The file was applied to its end."""
    statement = insert(taken).values(**vars(file))
    connection.execute(statement.on_conflict_do_update(index_elements=["source"], set_=vars(file)))
