"""The journal of a running node: sealed, verified, and a tail that was cut is seen."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.demo.cast import RADIOLOGIST, SURGEON
from gateway.demo.processes import new_folder
from gateway.demo.stage import Seat


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder that the node's own account may enter."""
    folder = new_folder("pli-copy-")
    yield folder
    shutil.rmtree(folder)


def test_a_cut_tail_shows_against_a_sealed_head(world: Any, elsewhere: Path) -> None:
    """Sealed on the running node; on a copy whose end was cut, only the sealed head shows it."""
    seat = world.lilas
    world.settled(seat, world.submit(world.plain(str(RADIOLOGIST.address), str(SURGEON.address))))
    sealed = world.pli(seat, "journal", "seal")
    assert sealed.returncode == 0, sealed.stderr
    heads = Path(sealed.stdout.strip()).parent
    whole = world.pli(seat, "journal", "verify")
    assert (whole.returncode, whole.stdout.splitlines()[-1]) == (0, "ok")
    assert "sealed heads compared: 0" not in whole.stdout

    copy = _copied(seat, elsewhere)
    cut = world.pli(copy, "journal", "verify", "--heads", str(heads))
    assert cut.returncode == 2
    assert "the end is missing" in cut.stdout
    alone = world.pli(copy, "journal", "verify", "--heads", str(elsewhere / "none"))
    assert (alone.returncode, alone.stdout.splitlines()[-1]) == (0, "ok")


def _copied(seat: Seat, folder: Path) -> Seat:
    """The same node on a copy of its database, without the last rows of its journal."""
    data = folder / "data"
    for each in (data, folder / "none"):
        each.mkdir()
        each.chmod(0o777)
    with (
        closing(sqlite3.connect(seat.folder / "data/pli.sqlite")) as source,
        closing(sqlite3.connect(data / "pli.sqlite")) as target,
    ):
        source.backup(target)
        target.execute("DELETE FROM journal WHERE number > (SELECT max(number) - 3 FROM journal)")
        target.commit()
    (data / "pli.sqlite").chmod(0o666)
    text = seat.config.read_text().replace(f"{seat.folder}/data", str(data))
    assert str(data) in text
    copy = replace(seat, folder=folder)
    copy.config.write_text(text)
    return copy
