"""Publication by files: what lies in `aller`, and what `retour` says of it."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from directory.announcement import Announcement, Fate, Wish, of_entry
from directory.dropping import REPORT, FileDrop
from directory.region import region

AT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
ONE = Announcement("anna@lilas.example", "PER", rpps="10900000518")
WISH = Wish(ONE.address, ONE, None)


def report(folder: Path, *rows: str) -> None:
    (folder / "retour").mkdir(exist_ok=True)
    (folder / "retour/r.csv").write_text("\n".join([";".join(REPORT), *rows]) + "\n", encoding="utf-8-sig")


def test_what_is_wanted_lies_there_whole(tmp_path: Path) -> None:
    """A creation, a change, a deletion; what cannot be is answered and not written; nothing half is left."""
    other = replace(ONE, kind="CAB")
    wishes = [
        WISH,
        Wish("b@x.example", replace(ONE, rank=2), ONE),
        Wish("c@x.example", None, ONE),
        Wish("d", other, ONE),
    ]
    told = list(FileDrop(tmp_path, AT).publish(wishes))
    assert [each.fate for each in told] == [Fate.NEVER, Fate.SENT, Fate.SENT, Fate.SENT]
    files = list((tmp_path / "aller").iterdir())
    assert [path.suffix for path in files] == [".csv"]
    with files[0].open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    assert [row["action"] for row in rows] == ["creer", "modifier", "supprimer"]
    assert rows[0]["reference"] == WISH.reference


def test_batches_of_one_moment_are_files_of_their_own(tmp_path: Path) -> None:
    """None is written over another."""
    drop, other = FileDrop(tmp_path, AT), replace(ONE, address="b@x.example")
    for each in (WISH, Wish(other.address, other, None)):
        assert [told.fate for told in drop.publish([each])] == [Fate.SENT]
    assert len(list((tmp_path / "aller").glob("*.csv"))) == 2


def test_a_report_is_read_once(tmp_path: Path) -> None:
    """Yes, no with a reason, later; then it lies among those that were read."""
    rows = [f"{WISH.reference};{ONE.address};ok;", f"{WISH.reference};B@X.example;refus;RPPS inconnu"]
    report(tmp_path, *rows, f"{WISH.reference};c@x.example;attente;")
    drop = FileDrop(tmp_path, AT)
    (told,) = drop.reports()
    assert [(each.address, each.fate, each.reason) for each in told] == [
        (ONE.address, Fate.DONE, ""),
        ("b@x.example", Fate.NEVER, "RPPS inconnu"),
        ("c@x.example", Fate.LATER, "said-by-report"),
    ]
    assert list(drop.reports()) == []
    assert (tmp_path / "lus/r.csv").exists()


def test_lines_that_say_nothing_change_nothing(tmp_path: Path) -> None:
    """Twin: no reference, an unknown result, no address, bytes that are no text."""
    report(tmp_path, f";{ONE.address};ok;", f"x;{ONE.address};peut-être;", "x;;ok;", "\x00;;;;;;;")
    assert list(FileDrop(tmp_path, AT).reports()) == [()]


def test_a_reports_link_is_not_followed(tmp_path: Path) -> None:
    """Who may write there may not have us read what he cannot."""
    report(tmp_path)
    (tmp_path / "retour/r.csv").rename(tmp_path / "secret")
    (tmp_path / "retour/r.csv").symlink_to(tmp_path / "secret")
    assert list(FileDrop(tmp_path, AT).reports()) == []


def test_an_announcement_is_the_same_text_for_the_same_mailbox() -> None:
    """And comes back from it; every mailbox of an invented region."""
    for entry in region(people=20, structures=6):
        said = of_entry(entry)
        assert Announcement.of_text(said.text()) == said
        assert of_entry(entry).text() == said.text()
    assert Announcement.of_text("") is None
