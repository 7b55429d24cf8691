"""National archives as they come: the right file of them, through the zip door, as a stream."""

from __future__ import annotations

import tracemalloc
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from directory.feed import generator, plan, sources
from directory.feed.generator import Country
from directory.feed.items import Source
from directory.feed.ledger import Ledger
from directory.feed.lines import FeedError
from directory.feed.plan import Change, Wish
from dmp_bridge import archive
from gateway import feed_files
from tests.hostile.archive_attacks import ATTACKS

NOW = datetime(2026, 11, 2, 6, 0, tzinfo=UTC)
OF_SIZE = {"archive-too-large", "entry-too-large", "too-many-entries"}
"""An extraction may be larger than a letter; and what is not asked for is not inflated."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return generator.write(Country(300, day=0), tmp_path_factory.mktemp("pays"))


def zipped(target: Path, *held: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(target, "w", method) as made:
        for each in held:
            made.write(each, each.name)
    return target


def planned(file: Path, source: Source, folder: Path) -> tuple[plan.Head, list[Change]]:
    """Of a ledger without anything."""
    target = folder / f"{file.name}.plan"
    book = Ledger(folder / f"{file.name}.sqlite")
    head = plan.make(book, source, file, target, Wish(NOW), opened=feed_files.opened(source))
    return head, list(plan.changes_of(target))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_an_archive_gives_the_plan_of_the_file_in_it(files: dict[str, Path], tmp_path: Path, method: int) -> None:
    """The same changes and the same digest; its date is read from the archive's name."""
    text = files["mssante"]
    packed = zipped(tmp_path / f"{text.stem}.zip", text, method=method)
    (plain, expected), (head, changes) = (planned(each, sources.MSSANTE, tmp_path) for each in (text, packed))
    assert changes == expected != []
    assert (head.digest, head.dated, head.lines) == (plain.digest, plain.dated, plain.lines)


def test_of_three_files_in_one_archive_each_source_reads_its_own(files: dict[str, Path], tmp_path: Path) -> None:
    """PS_LibreAcces holds activities, skills and diplomas (directory §3.1)."""
    names = ("personne-activite", "savoir-faire", "diplomes")
    packed = zipped(tmp_path / "PS_LibreAcces_202611020213.zip", *(files[name] for name in names))
    for name in names:
        source = sources.KNOWN[name]
        assert planned(packed, source, tmp_path)[0].digest == planned(files[name], source, tmp_path)[0].digest
    with pytest.raises(FeedError, match="de la source mssante"):
        planned(packed, sources.MSSANTE, tmp_path)


def test_which_file_of_several_is_not_guessed(files: dict[str, Path], tmp_path: Path) -> None:
    """A table of one's own has no name that we know: alone in its archive it is read, beside another it is not."""
    table = tmp_path / "tableau.csv"
    table.write_text("type;adresse\nORG;accueil@x.example\n")
    own = sources.own_table({})
    assert planned(zipped(tmp_path / "un.zip", table), own, tmp_path)[0].items == 1
    with pytest.raises(FeedError, match="un seul"):
        planned(zipped(tmp_path / "deux.zip", table, files["mssante"]), own, tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_archive_is_refused_as_everywhere(files: dict[str, Path], tmp_path: Path, attack: str) -> None:
    """By the rule that it breaks, at the latest when it is read to its end; no plan is written."""
    make, rule = ATTACKS[attack]
    bad, beside = tmp_path / "mauvais.zip", tmp_path / "README.TXT"
    beside.write_text("lisez-moi")
    bad.write_bytes(make(zipped(tmp_path / "bon.zip", beside, files["finess"], files["mssante"]).read_bytes()))
    read = "MORE.TXT" if attack == "bytes behind the end of a stream" else files["mssante"].name
    with (
        pytest.raises(archive.Refused, match=rule),
        archive.streamed(bad, lambda name: name == read, archive.LETTER) as text,
    ):
        text.read()
    if rule in OF_SIZE or read == "MORE.TXT":
        return
    with pytest.raises(FeedError):
        planned(bad, sources.MSSANTE, tmp_path)
    assert not (tmp_path / "mauvais.zip.plan").exists()


def test_a_large_file_takes_no_memory(tmp_path: Path) -> None:
    """40 MB of lines in 200 kB: read whole, in pieces."""
    text = tmp_path / "grand.txt"
    text.write_bytes(b"0123456789" * 10 * 400_000)
    packed = zipped(tmp_path / "grand.zip", text)
    text.unlink()
    tracemalloc.start()
    with archive.streamed(packed, lambda _: True, archive.Budget(entry=1 << 30, total=1 << 30, ratio=1032)) as opened:
        count = sum(len(piece) for piece in iter(lambda: opened.read(1 << 16), b""))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 40_000_000
    assert most < 8 << 20
