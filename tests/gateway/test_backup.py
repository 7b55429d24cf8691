"""Copies on both databases: one moment's rows with their bodies, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from gateway import backup
from gateway.app import METADATAS
from gateway.backup import NoBackup
from gateway.demo.postgresql import PROGRAMS, programs_of
from relay.store.bodies import BodyStore
from relay.store.engine import is_postgresql, reader_engine, writer_engine
from relay.store.migrations import upgrade
from relay.store.tables import letters

AT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
PUBLIC = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")  # RFC 7748 §6.1
Pair = tuple[str, str]


@pytest.fixture(params=["sqlite", "postgresql"])
def urls(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """A store with tables, and one that is empty."""
    if request.param == "sqlite":
        (tmp_path / "here").mkdir()
        found = (f"sqlite:///{tmp_path}/here/pli.sqlite", f"sqlite:///{tmp_path}/there/pli.sqlite")
    else:
        software = programs_of()
        for name, value in software.environment().items():
            monkeypatch.setenv(name, f"{software.root / PROGRAMS}:{value}" if name == "PATH" else value)
        make: Callable[[str], str] = request.getfixturevalue("databases")
        number = len(request.node.name)
        found = (make(f"here-{number}"), make(f"there-{number}"))
    upgrade(found[0], METADATAS)
    return found


def _silent(_what: str, _count: int) -> None:
    return None


def _fill(url: str, data: Path, count: int) -> list[str]:
    """Letters with bodies; and one body in no row."""
    store, engine = BodyStore(data / "bodies", PUBLIC, b"0" * 16), writer_engine(url)
    refs = [store.put(f"letter {n}".encode()) for n in range(count)]
    texts = dict.fromkeys(("door", "sender", "message_id", "trace", "verdict", "proof", "envid"), "x")
    with engine.begin() as conn:
        for n, ref in enumerate(refs):
            body = {"body_name": ref.name, "body_size": ref.size, "body_digest": ref.digest}
            conn.execute(insert(letters), texts | body | {"tenant": "lilas", "id": f"L{n}", "received_at": AT})
    engine.dispose()
    store.put(b"in no row")
    return [ref.name for ref in refs]


def _count(url: str) -> int:
    engine = reader_engine(url)
    with engine.connect() as conn:
        found = conn.execute(select(func.count()).select_from(letters)).scalar_one()
    engine.dispose()
    return int(found)


def test_a_copy_is_a_store_again(urls: Pair, tmp_path: Path) -> None:
    """Rows and exactly their bodies, byte for byte; a second restore finds that something is there."""
    names = _fill(urls[0], tmp_path / "here", 5)
    copy, there = tmp_path / "copy", tmp_path / "there"
    assert backup.make(urls[0], tmp_path / "here", [], copy, AT, _silent) == 5
    assert backup.restore(urls[1], there, [], copy, _silent) == 5
    assert _count(urls[1]) == 5
    assert sorted(path.name for path in there.glob("bodies/??/*")) == sorted(names)
    for path in there.glob("bodies/??/*"):
        assert path.read_bytes() == (tmp_path / "here" / path.relative_to(there)).read_bytes()
    with pytest.raises(NoBackup, match="already"):
        backup.restore(urls[1], there, [], copy, _silent)
    with pytest.raises(NoBackup, match="empty folder"):
        backup.make(urls[0], tmp_path / "here", [], copy, AT, _silent)


def test_a_copy_of_another_kind_of_database_is_refused(urls: Pair, tmp_path: Path) -> None:
    """SQLite's is not restored into PostgreSQL, nor the reverse, in a sentence."""
    _fill(urls[0], tmp_path / "here", 1)
    copy = tmp_path / "copy"
    backup.make(urls[0], tmp_path / "here", [], copy, AT, _silent)
    other = f"sqlite:///{tmp_path}/other/pli.sqlite" if is_postgresql(urls[0]) else None
    if other:
        with pytest.raises(NoBackup, match="PostgreSQL"):
            backup.restore(other, tmp_path / "other", [], copy, _silent)
    else:
        (copy / backup.SQLITE).rename(copy / backup.DUMP)
        with pytest.raises(NoBackup, match="gone"):
            backup.restore(urls[1], tmp_path / "other", [], copy, _silent)


@pytest.mark.parametrize("name", ["../../etc/x", "bodies/aa/../../../x", "/etc/x", "bodies/aa/short", "heads/0/x"])
def test_a_manifest_names_no_path_outside(tmp_path: Path, name: str) -> None:
    """A name that no copy holds is refused before anything is read or written."""
    text = json.dumps({"form": 1, "at": "", "files": {name: {"size": 1, "sha256": ""}}})
    (tmp_path / backup.MANIFEST).write_text(text)
    with pytest.raises(NoBackup, match="does not hold"):
        backup.checked(tmp_path, _silent)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"form": 2, "files": {}}', '{"form": 1}'])
def test_what_is_no_manifest_is_no_copy(tmp_path: Path, text: str) -> None:
    """A copy that was cut short has none; one of another form is not guessed at."""
    (tmp_path / backup.MANIFEST).write_text(text)
    with pytest.raises(NoBackup):
        backup.checked(tmp_path, _silent)
