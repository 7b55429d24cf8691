"""The regional directory is kept by command: an invented country comes in, moves, and letters find it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from directory.region import region

pytestmark = pytest.mark.journey


def pli(world: Any, *words: str, status: int = 0) -> list[str]:
    """The command as an operator types it; its lines, or those of standard error where it fails."""
    done = world.pli(world.lilas, "directory", *words)
    assert done.returncode == status, done.stderr
    return (done.stderr if status == 2 else done.stdout).splitlines()


@pytest.fixture
def country(world: Any) -> list[Path]:
    """The mailboxes of two days, where the node's account can read them."""
    folder = world.lilas.folder / "data" / "pays"
    days = ("0", "45")
    for day in days:
        pli(world, "generate", "--out", str(folder), "--mailboxes", "60", "--day", day)
    return sorted(folder.glob("Extraction_*.txt"))


def planned(world: Any, file: Path, *words: str) -> dict[str, object]:
    told: dict[str, object] = json.loads(pli(world, "plan", str(file), "--source", "mssante", "--json", *words)[0])
    return told


def test_a_country_comes_in_moves_and_is_found(world: Any, country: list[Path]) -> None:
    """Plan, review, apply, twice; what is new is found and receives letters' routes; each import is in the journal."""
    now = "2026-11-25T02:13:00"
    first = planned(world, country[0], "--dated", now)
    path = str(first["path"])
    shown = [json.loads(line) for line in pli(world, "review", path, "--json", "--limit", "0")]
    assert len(shown) == first["items"] == 61  # one of them on two rows
    assert {each["kind"] for each in shown} == {"create"}
    assert json.loads(pli(world, "apply", path, "--json", "--by", "anne")[0])["create-done"] == 61
    assert json.loads(pli(world, "apply", path, "--json", "--by", "anne")[0])["create-already"] == 61
    someone = shown[0]["after"]
    found = json.loads(pli(world, "find", someone["address"], "--json")[0])
    assert (found["town"], found["provenance"]["owner"]) == (someone["town"], "mssante")
    assert any(someone["address"] in line for line in pli(world, "search", someone["given"], someone["family"]))
    second = planned(world, country[1], "--dated", "2026-11-25T02:14:00")
    changes = [json.loads(line) for line in pli(world, "review", str(second["path"]), "--json", "--limit", "0")]
    assert {each["kind"] for each in changes} >= {"create", "deactivate"}
    pli(world, "apply", str(second["path"]))
    gone = next(each["before"]["address"] for each in changes if each["kind"] == "deactivate")
    answer = world.pli(world.lilas, "directory", "find", gone)
    assert (answer.returncode, answer.stderr) == (1, "closed\n")
    assert gone not in [line.split()[0] for line in answer.stdout.splitlines()]  # what is like it may be suggested
    fresh = world.pli(world.lilas, "directory", "freshness", "--json")
    assert json.loads(fresh.stdout)["rows"] == second["items"]
    assert len(list((world.lilas.folder / "data" / "directory" / "plans").glob("*.report.json"))) == 2
    journal = sqlite3.connect(world.lilas.folder / "data/pli.sqlite")
    names = [
        row[0] for row in journal.execute("select event from journal where event like 'directory.%' order by number")
    ]
    assert names == ["directory.import-begun", "directory.import-ended"] * 3


def test_what_cannot_be_used_is_one_sentence(world: Any, country: list[Path]) -> None:
    """A file without its key column, a plan that is none, an override without a reason: exit code 2, nothing done."""
    wrong = country[0].with_name("sans.txt")
    wrong.write_text("Genre|Ville|\nPER|Meaux|\n")
    for words in (
        ("plan", str(wrong), "--source", "mssante"),
        ("review", str(wrong)),
        ("apply", str(wrong)),
        ("apply", str(wrong), "--override", "Anne"),
        ("plan", str(country[0]), "--source", "mssante", "--column", "a=b"),
        ("find", "pas une adresse"),
    ):
        said = pli(world, *words, status=2)
        assert len(said) == 1
        assert said[0].startswith("pli: ")


def test_a_table_of_ones_own_is_taken(world: Any, country: list[Path]) -> None:
    """The template's header, a spreadsheet's encoding, another name for a column."""
    header = pli(world, "template")[0]
    table = country[0].with_name("maison.csv")
    row = {"type": "ORG", "adresse": "accueil@maison.mssante.example", "structure": "Maison de l'été", "ville": "Meaux"}
    names = header.split(";")
    lines = [header.replace("ville", "Commune"), ";".join(row.get(name, "") for name in names)]
    table.write_text("\r\n".join(lines) + "\r\n", encoding="cp1252")
    words = ("--source", "tableau", "--encoding", "cp1252", "--column", "ville=Commune", "--json")
    told = json.loads(pli(world, "plan", str(table), *words)[0])
    assert told["counts"]["create"] == 1
    pli(world, "apply", str(told["path"]))
    assert json.loads(pli(world, "find", row["adresse"], "--json")[0])["town"] == "Meaux"


def test_the_columns_of_a_table_are_named_once(world: Any, country: list[Path]) -> None:
    """Kept under a name, used again without a word about them, listed; what does not hold together is one sentence."""
    table = country[0].with_name("service.csv")
    address = "accueil@service.mssante.example"
    table.write_text(f"Genre|Courriel|Commune\nORG|{address}|Créteil\n", encoding="cp1252")
    shape = ("--source", "tableau", "--encoding", "cp1252", "--separator", "|")
    named = ("--column", "type=Genre", "--column", "adresse=Courriel")
    pli(world, "plan", str(table), *shape, *named, "--column", "ville=Commune", "--save", "service")
    (kept,) = [json.loads(line) for line in pli(world, "columns", "--json")]
    assert (kept["name"], kept["columns"]["ville"], kept["separator"]) == ("service", "Commune", "|")
    assert "service: tableau, cp1252, « | » type=Genre" in pli(world, "columns")[0]
    told = json.loads(pli(world, "plan", str(table), "--columns", "service", "--json")[0])
    pli(world, "apply", str(told["path"]))
    assert json.loads(pli(world, "find", address, "--json")[0])["town"] == "Créteil"
    for words in (
        ("--columns", "autre"),
        ("--columns", "../service"),
        ("--columns", "service", "--source", "tableau"),
        (),
        (*shape, *named, "--save", "Mon Service"),
        (*shape, *named, "--column", "ville=Ville"),
        (*shape, *named, "--column", "ville=Courriel"),
        (*shape, *named, "--column", "ville=COURRIEL"),
        (*shape, *named, "--column", "Adresse=Commune"),
        (*shape, *named, "--column", "ville"),
        (*shape, *named, "--column", "pays=Pays"),
    ):
        said = pli(world, "plan", str(table), *words, status=2)
        assert (len(said), said[0].startswith("pli: ")) == (1, True), words
    file = world.lilas.folder / "data/directory/columns/service.json"
    whole = file.read_text()
    for broken in ("{", "[]", whole.replace("tableau", "mssante"), whole.replace('"|"', '"||"')):
        file.write_text(broken)
        assert "service.json" in pli(world, "plan", str(table), "--columns", "service", status=2)[0]
    file.write_text(whole)


def test_two_entries_of_one_person_are_merged_and_parted(world: Any) -> None:
    """Found, merged by command with a reason, parted again; each is in the journal; what is wrong is listed."""
    told = [json.loads(line) for line in pli(world, "duplicates", "--json", "--limit", "0")]
    assert told
    one, other = told[0]["one"]["dn"], told[0]["other"]["dn"]
    pli(world, "merge", other, "--into", one, "--because", "même personne", "--by", "anne")
    assert pli(world, "merge", one, "--into", other, "--because", "à l'envers", status=2)
    assert (one, other) not in {(each["one"]["dn"], each["other"]["dn"]) for each in _pairs(world)}
    pli(world, "unmerge", other, "--because", "homonyme", "--by", "anne")
    assert (one, other) in {(each["one"]["dn"], each["other"]["dn"]) for each in _pairs(world)}
    journal = sqlite3.connect(world.lilas.folder / "data/pli.sqlite")
    rows = journal.execute("select facts from journal where event in ('directory.merged', 'directory.parted')")
    assert [json.loads(row[0])["because"] for row in rows] == ["même personne", "homonyme"]
    found = [json.loads(line)["name"] for line in pli(world, "quality", "--json", status=1)]
    assert found
    assert pli(world, "quality", "--only", "rien", status=2)


def _pairs(world: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in pli(world, "duplicates", "--json", "--limit", "0")]


def test_a_mailbox_is_told_exported_and_a_copy_watched(world: Any) -> None:
    """find says which directory each field comes from; card is a vCard; the directory is in step with itself."""
    known, red = (next(e for e in region() if e.rpps and e.red_list is hidden) for hidden in (False, True))
    told = json.loads(pli(world, "find", str(known.address), "--json")[0])
    assert (told["rpps"], told["capabilities"]["xdm"]) == (known.rpps, known.capabilities.xdm)
    assert set(told["origins"].values()) == {told["provenance"]["source"]}
    shown = pli(world, "find", str(known.address))
    assert any(line.strip().startswith(told["provenance"]["source"]) for line in shown[1:])
    assert f"FN:{known.display_name}" in pli(world, "card", str(known.address))
    assert json.loads(pli(world, "replica", told["provenance"]["source"], "--json")[0])["behind_s"] == 0
    for words, said in (
        (("card", str(red.address)), "red list"),
        (("card", "personne@nulle.example"), "not found"),
        (("find", "a b"), "is not a mail address"),
        (("replica", "ldap://127.0.0.1:1"), "does not answer"),
    ):
        answer = world.pli(world.lilas, "directory", *words)
        assert answer.returncode in (1, 2)
        assert said in answer.stderr
        assert red.family_name not in answer.stdout
