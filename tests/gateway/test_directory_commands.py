"""The commands that keep and ask the regional directory, for people and for programs; a real slapd, a real spooler."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import ldap
import pytest
from click.testing import CliRunner

from directory import entries
from directory.region import SUFFIX
from gateway import app, saved_columns
from gateway.cli import pli
from gateway.directory_command import directory
from gateway.onboard_command import onboard
from gateway.web.roles import Role
from relay import spool
from relay.model import (
    BodyRef,
    Door,
    DoorProof,
    Event,
    Letter,
    Mode,
    Never,
    Reason,
    Recipient,
    Route,
    State,
    Verdict,
)
from tests.gateway.browsing import ANNE
from tests.gateway.region import NOW, WORD, Region, opened, person

BY = ("--by", ANNE)
LEA, OTHER = (f"mail=lea.martin@{domain},ou=bal,{SUFFIX}" for domain in ("parc.example", "cabinet.example"))
MERGE = ("directory", "merge", OTHER, "--into", LEA, "--because", "une personne", *BY)
UNMERGE = ("directory", "unmerge", OTHER, "--because", "deux personnes", *BY)
CROWD = 100


@dataclass(frozen=True)
class At:
    """The region, and a folder with an invented country's files and a plan that was applied."""

    region: Region
    folder: Path

    def run(self, *words: str) -> Any:
        return CliRunner().invoke(pli, ["--config", str(self.region.folder / "pli.toml"), *words])

    def told(self, *words: str) -> list[dict[str, Any]]:
        """What a program reads."""
        return [json.loads(line) for line in self.run(*words, "--json").stdout.splitlines()]


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[At]:
    with opened() as region:
        made = At(region, tmp_path_factory.mktemp("pays"))
        found = made.told("directory", "generate", "--out", str(made.folder), "--mailboxes", "30")
        file = next(each["path"] for each in found if each["source"] == "mssante")
        (made.folder / "jour.txt").write_bytes(Path(file).read_bytes())
        dated = NOW.strftime("%Y-%m-%dT%H:%M:%S")
        plan = ("directory", "plan", str(made.folder / "jour.txt"), "--source", "mssante", "--dated", dated)
        assert made.run(*plan).exit_code == 0
        assert made.run("directory", "apply", str(made.folder / "jour.txt.plan"), *BY).exit_code == 0
        saved_columns.keep(region.settings, "foyer", saved_columns.Saved("tableau", {"ville": "Commune"}))
        (made.folder / "arrivees.csv").write_text(made.run("onboard", "--template").stdout)
        yield made


CASES: dict[str, tuple[str, ...]] = {
    "find": ("directory", "find", "lea.martin@parc.example"),
    "search": ("directory", "search", "martin"),
    "card": ("directory", "card", "lea.martin@parc.example"),
    "replica": ("directory", "replica", "{uri}"),
    "plan": ("directory", "plan", "{folder}/jour.txt", "--source", "mssante", "--dated", "2026-11-26T10:00:00",
             "--out", "{folder}/autre.plan"),
    "review": ("directory", "review", "{folder}/jour.txt.plan"),
    "review --rejected": ("directory", "review", "{folder}/jour.txt.plan", "--rejected"),
    "apply": ("directory", "apply", "{folder}/jour.txt.plan", *BY),
    "duplicates": ("directory", "duplicates"),
    "merge": MERGE,
    "unmerge": UNMERGE,
    "quality": ("directory", "quality"),
    "freshness": ("directory", "freshness"),
    "publish": ("directory", "publish", *BY),
    "publish --status": ("directory", "publish", "--status"),
    "generate": ("directory", "generate", "--out", "{folder}/autre", "--mailboxes", "10"),
    "columns": ("directory", "columns"),
    "template": ("directory", "template"),
    "schema": ("directory", "schema"),
    "identity": ("directory", "identity", "passerelle", "--password-file", "{word}"),
    "onboard": ("onboard", "{folder}/arrivees.csv", "--dry-run", *BY),
    "onboard --template": ("onboard", "--template"),
}  # fmt: skip
BEFORE = {"merge": UNMERGE, "unmerge": MERGE}
"""What has to stand, so that it does something."""
SAYS = {
    "find": "address", "search": "address", "card": "vcard", "replica": "behind_s", "plan": "counts", "review": "kind",
    "review --rejected": "reason", "apply": "stopped", "duplicates": "evidence", "merge": "after", "unmerge": "before",
    "quality": "name", "freshness": "age_hours", "publish": "states", "publish --status": "state", "generate": "path",
    "columns": "source",
    "template": "columns", "schema": "schema", "identity": "ldif", "onboard": "rejected",
    "onboard --template": "columns",
}  # fmt: skip
"""A name that each object has."""
EMPTY = {"publish --status"}
"""Of a region where nothing waits to be published."""


def words(at: At, name: str) -> tuple[str, ...]:
    given = {"folder": at.folder, "uri": at.region.server.uri, "word": at.region.folder / "word"}
    if before := BEFORE.get(name):
        at.run(*before)
    return tuple(each.format(**given) if "{" in each else each for each in CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_each_command_is_for_people_and_for_programs(at: At, name: str) -> None:
    """Objects in JSON, one a line and nothing else, with --json; without it lines that are none."""
    done = at.run(*words(at, name), "--json")
    assert done.exit_code in (0, 1), done.output
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(SAYS[name] in each for each in told)
    assert bool(told) is (name not in EMPTY)
    read = at.run(*words(at, name))
    assert read.exit_code == done.exit_code
    assert read.stdout.strip()
    assert not read.stdout.startswith("{")


def test_no_command_was_left_out_of_that_table() -> None:
    """All of the group and `onboard`; `load`, which needs a slapd that is stopped, is asked by test_loading."""
    asked = {each.partition(" ")[0] for each in CASES}
    assert asked | {"load"} == {*directory.commands, "onboard"}
    for each in (*directory.commands.values(), onboard):
        assert "--json" in {option for param in each.params if isinstance(param, click.Option) for option in param.opts}


def test_a_replica_that_is_too_far_behind_is_exit_code_1(at: At) -> None:
    """Beyond --most; the same one within it is 0."""
    asked = ("directory", "replica", at.region.server.uri)
    assert (at.run(*asked).exit_code, at.run(*asked, "--most", "-1").exit_code) == (0, 1)


# --- a long list --------------------------------------------------------------------------------------------------


def octets(values: Iterable[str | bytes]) -> list[bytes]:
    return [each.encode() if isinstance(each, str) else each for each in values]


def add(region: Region, *numbers: int) -> None:
    link = ldap.initialize(region.server.uri)
    link.simple_bind_s(f"cn=gestion,{SUFFIX}", WORD)
    for number in numbers:
        one = person(f"foule{number}@foule.example", "Luc", "FOULE", 500 + number, town="Foix")
        values = entries.attributes(one)
        link.add_s(
            f"mail={one.address},ou=bal,{SUFFIX}", [(name, octets(said)) for name, said in values.items() if said]
        )
    link.unbind_s()


NARROW = {"fr": "précisez votre recherche", "en": "narrow your search"}


def asked_to_narrow(at: At) -> set[str]:
    """In which language and where."""
    browsers = {each: at.region.browser(Role.DIRECTORY, language=each) for each in NARROW}
    shown = {f"page {each}": browser.post("/annuaire", words="foule foix").text for each, browser in browsers.items()}
    said = {f"command {each}": at.run("directory", "search", "foule", "foix", "--lang", each) for each in NARROW}
    assert {len(each.stdout.splitlines()) for each in said.values()} == {CROWD}
    heard = shown | {name: each.stderr for name, each in said.items()}
    return {name for name, text in heard.items() if NARROW[name[-2:]] in text}


def test_a_list_that_is_cut_asks_to_narrow_the_search(at: At) -> None:
    """By command and at the page, in both languages; a hundred are all shown, and nothing is asked."""
    add(at.region, *range(CROWD))
    assert asked_to_narrow(at) == set()
    add(at.region, CROWD)
    assert asked_to_narrow(at) == {"page fr", "page en", "command fr", "command en"}


# --- what bounces -------------------------------------------------------------------------------------------------


def sent(region: Region, id: str, detail: str, *addresses: str) -> None:
    """A letter of the tenant that its recipients' server refused for good."""
    letter = Letter(id, "lilas", Door.SUBMISSION, ANNE, f"<{id}@lilas>", BodyRef("0123abcd", 3, "d1"), NOW, "",
                    Verdict(), DoorProof(account="anne", tls="TLSv1.3"))  # fmt: skip
    route = Route(Mode.PEER_SIGNED, "parc.example", "signed-by-default")
    rows = [Recipient(f"{id}-{n}", id, "lilas", each, route, State.QUEUED) for n, each in enumerate(addresses)]
    client = app.client(region.settings)
    assert spool.keep(client, letter, rows, [Event("accepted", id)])
    (claimed,) = spool.claim(client, "w1", 10, 60, 4)
    refused = Never(Reason.PEER_REFUSED, detail)
    spool.settle(client, claimed, "w1", {each.id: refused for each in claimed.recipients})


def test_quality_finds_mailboxes_that_bounce(at: At) -> None:
    """Those of the directory alone, refused because nobody is there: no patient's, nobody's that is full."""
    asked = ("directory", "quality", "--only", "bouncing")
    assert at.run(*asked).exit_code == 0
    patient = "299010000000001@patient.mssante.fr"
    sent(at.region, "B1", "550 5.1.1 <…>: User unknown", "Lea.Martin@parc.example", "nulle@part.example", patient)
    sent(at.region, "B2", "552 5.2.2 mailbox full", "paul.seul@parc.example")
    assert at.told(*asked) == [{"name": "bouncing", "dn": LEA, "address": "lea.martin@parc.example"}]
    assert patient not in at.run("directory", "quality", "--json").output
    (line,) = (each for each in at.run("directory", "quality").stdout.splitlines() if " bouncing " in each)
    assert line.split(maxsplit=2) == ["1", "bouncing", "lettres rendues : personne à cette adresse"]
