"""A copy of a running node, and a node from a copy: the database, the sealed bodies and the journal's sealed heads.

Promises: the database is one moment's (SQLite's backup, pg_dump), and every body that its rows name is in the copy;
MANIFEST.json is written last, with a digest of each file, so that a copy that was cut or changed is refused before
anything is restored; nothing is restored over what is there. Does not: copy keys, configuration, mailboxes or the
directory (docs/operations.md says how), nor send letters twice: what was on its way at the copy is on its way again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine, func, inspect, select
from sqlalchemy.engine import make_url

from certs import disk
from relay.store import engine, reads
from relay.store.tables import letters

MANIFEST = "MANIFEST.json"
SQLITE, DUMP = "database.sqlite", "database.dump"
FORM = 1
_NAMED = re.compile(rf"{SQLITE}|{DUMP}|bodies/[0-9a-f]{{2}}/[0-9a-f]{{32}}|heads/[0-9]+/heads-[0-9TZ]+\.(json|p7s)")
"""What a copy may hold: a name from a manifest is checked before it is a path."""

Told = Callable[[str, int], None]
"""(what is done, how many of it)."""


class NoBackup(Exception):
    """The copy cannot be made, or is none that can be restored. The text is for the operator."""


# --- making -----------------------------------------------------------------------------------------------------


def make(
    url: str, data: Path, heads: Sequence[Path], folder: Path, at: datetime, told: Told, link: bool = False
) -> int:
    """Copies into `folder`, which must be new or empty; how many bodies. `heads`: each tenant's folder of them; `link`:
    hard links, on the same file system: quick, and no copy against a lost disk. Raises NoBackup, OSError."""
    _empty(folder, "the copy")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Bodies before and after the rows: what a row names was there before it, or came since.
    _bodies(data / "bodies", folder / "bodies", link, told)
    held = _dumped(url, folder) if engine.is_postgresql(url) else _copied_base(url, folder)
    _bodies(data / "bodies", folder / "bodies", link, told)
    _drop_strangers(folder / "bodies", held)
    for number, each in enumerate(heads):
        _heads(each, folder / "heads" / str(number))
    _manifest(folder, at, told)
    return len(held)


def _empty(folder: Path, what: str) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise NoBackup(f"{what} wants an empty folder: {folder} holds something")


def _bodies(source: Path, target: Path, link: bool, told: Told) -> None:
    count = 0
    for path in source.glob("??/*"):
        to = target / path.parent.name / path.name
        if to.exists() or path.name.endswith(".part"):
            continue
        to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            os.link(path, to) if link else _copied(path, to)
        except FileNotFoundError:
            continue  # erased meanwhile
        count += 1
        told("bodies", count)


def _copied(source: Path, target: Path) -> None:
    made = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(made, "wb") as file, source.open("rb") as read:
        shutil.copyfileobj(read, file, 1024 * 1024)
        file.flush()
        os.fsync(file.fileno())


def _copied_base(url: str, folder: Path) -> set[str]:
    """One moment's copy of an SQLite store; the bodies that its rows name."""
    source = f"file:{engine.file_of(url)}?mode=ro"
    with closing(sqlite3.connect(source, uri=True)) as read, closing(sqlite3.connect(folder / SQLITE)) as written:
        read.backup(written)
        written.execute("PRAGMA journal_mode = DELETE")  # one file; who writes to it makes it WAL again
    os.chmod(folder / SQLITE, 0o600)
    return _named(f"sqlite:///{folder / SQLITE}")


def _named(url: str) -> set[str]:
    reader = engine.reader_engine(url)
    try:
        return {name for name in reads.body_names(reader) if name}
    finally:
        reader.dispose()


def _dumped(url: str, folder: Path) -> set[str]:
    """The same of PostgreSQL: the dump and the names see one snapshot."""
    reader = engine.reader_engine(url)
    words = ["pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={folder / DUMP}"]
    try:
        with reader.connect() as conn:
            snapshot = conn.scalar(select(func.pg_export_snapshot()))
            names = {name for name in conn.scalars(select(letters.c.body_name)) if name}
            _program([*words, f"--snapshot={snapshot}"], url)
        return names
    finally:
        reader.dispose()


def _drop_strangers(bodies: Path, held: set[str]) -> None:
    for path in list(bodies.glob("??/*")):
        if path.name not in held:
            path.unlink()


def _heads(source: Path, target: Path) -> None:
    for path in source.glob("heads-*.*"):
        if path.suffix in (".json", ".p7s"):
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            _copied(path, target / path.name)


def _manifest(folder: Path, at: datetime, told: Told) -> None:
    files = {}
    for number, path in enumerate(sorted(each for each in folder.rglob("*") if each.is_file()), 1):
        files[str(path.relative_to(folder))] = {"size": path.stat().st_size, "sha256": _digest(path)}
        told("digests", number)
    text = json.dumps({"form": FORM, "at": at.isoformat(timespec="seconds"), "files": files}, indent=1)
    disk.put(folder / MANIFEST, text.encode())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- restoring --------------------------------------------------------------------------------------------------


def restore(url: str, data: Path, heads: Sequence[Path], folder: Path, told: Told) -> int:
    """Puts a copy where nothing is yet; how many bodies. Raises NoBackup, and then has written nothing, or OSError."""
    files = checked(folder, told)
    _nothing_there(url, data)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    count = 0
    for name in files:
        part, _, rest = name.partition("/")
        if part in ("bodies", "heads"):
            to = data / "bodies" / rest if part == "bodies" else _head_place(heads, rest)
            to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _copied(folder / name, to)
            count += part == "bodies"
            told("files", count)
    # The rows last: a restore that was cut short has no letters, and is begun anew.
    _put_back(url, folder)
    return count


def _head_place(heads: Sequence[Path], rest: str) -> Path:
    number, _, name = rest.partition("/")
    if int(number) >= len(heads):
        raise NoBackup("the copy is of a node with more tenants than this configuration has")
    return heads[int(number)] / name


def checked(folder: Path, told: Told) -> tuple[str, ...]:
    """The names of a copy's files, each as it was written. Raises NoBackup."""
    try:
        held = json.loads((folder / MANIFEST).read_bytes())
        files = dict(held["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoBackup(f"{folder} is no whole copy: {MANIFEST} ({type(error).__name__})") from None
    if held.get("form") != FORM:
        raise NoBackup(f"a copy of another form: {held.get('form')}")
    for number, (name, about) in enumerate(files.items(), 1):
        if not _NAMED.fullmatch(name):
            raise NoBackup(f"a copy does not hold such a file: {name[:80]!r}")
        path = folder / name
        if not path.is_file() or path.is_symlink() or _digest(path) != about["sha256"]:
            raise NoBackup(f"{name} is gone or was changed since the copy was made")
        told("checked", number)
    return tuple(files)


def _nothing_there(url: str, data: Path) -> None:
    if any((data / "bodies").glob("??/*")):
        raise NoBackup(f"{data / 'bodies'} holds letters already: restore onto an empty folder")
    if not engine.is_postgresql(url):
        if engine.file_of(url).exists():
            raise NoBackup(f"{engine.file_of(url)} is there already: restore onto an empty folder")
        return
    reader = engine.reader_engine(url)
    try:
        if _tables(reader):
            raise NoBackup("the database has tables already: restore into an empty one")
    finally:
        reader.dispose()


def _tables(reader: Engine) -> list[str]:
    return inspect(reader).get_table_names()


def _put_back(url: str, folder: Path) -> None:
    if engine.is_postgresql(url):
        if not (folder / DUMP).exists():
            raise NoBackup("this copy is of an SQLite store, and store.url names PostgreSQL")
        words = ["pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]
        _program([*words, f"--dbname={make_url(url).database}", str(folder / DUMP)], url)
    elif not (folder / SQLITE).exists():
        raise NoBackup("this copy is of PostgreSQL: name its database in store.url")
    else:
        draft = engine.file_of(url).with_suffix(".new")
        _copied(folder / SQLITE, draft)
        draft.replace(engine.file_of(url))


def _program(words: list[str], url: str) -> None:
    """A program of PostgreSQL, from PATH; connection by libpq's variables, so that no password is an argument."""
    address = make_url(url)
    query = {key: value for key, value in address.query.items() if isinstance(value, str)}
    told = {
        "PGHOST": query.get("host", address.host or ""),
        "PGPORT": str(address.port or query.get("port", "")),
        "PGUSER": address.username or "",
        "PGDATABASE": address.database or "",
        "PGPASSFILE": query.get("passfile", ""),
        "PGSSLMODE": query.get("sslmode", ""),
        "PGSSLROOTCERT": query.get("sslrootcert", ""),
    }
    environment = {**os.environ, **{name: value for name, value in told.items() if value}}
    try:
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NoBackup(f"{words[0]} is not in PATH: it comes with Debian's postgresql-client-15") from None
    if done.returncode:
        raise NoBackup(f"{words[0]}: {' / '.join(done.stderr.splitlines()[-2:])}")
