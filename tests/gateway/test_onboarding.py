"""Many arrive at once: a table applied to a real slapd and spooler, its accounts read by the real Dovecot.

Full size: PLI_ONBOARD=full .venv/bin/pytest tests/gateway/test_onboarding.py -q -s
"""

from __future__ import annotations

import json
import os
import random
import shutil
import smtplib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from directory import access, slapd
from directory.region import SUFFIX, with_luhn
from directory.slapd import Passwords
from gateway import config as configuration
from gateway.cli import pli
from gateway.demo.servers import Dovecot, Slapd, free_port, new_folder
from gateway.onboarding_table import COLUMNS
from tests.gateway.arrivals import NODE, WORD, Town, line, person, structure, tenant
from tests.gateway.spooling import spooler

FULL = os.environ.get("PLI_ONBOARD") == "full"
TENANTS, PEOPLE, STRUCTURES = (44, 8_500, 300) if FULL else (3, 90, 8)


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    folder = new_folder("pli-onb-")
    server = Slapd(folder / "slapd", free_port(), SUFFIX, Passwords(WORD, WORD, WORD))
    rdns = (access.GATEWAY, access.SUPPORT, access.DELEGATE)
    server.load("".join(slapd.identity(rdn, WORD, SUFFIX) for rdn in rdns))
    server.start()
    (folder / "word").write_text(WORD)
    (folder / "run").mkdir()
    (folder / "central").mkdir()
    made = Town(folder, server)
    made.config.write_text(NODE.format(folder=folder, uri=server.uri, suffix=SUFFIX))
    settings = configuration.load(made.config)
    with spooler(settings):
        yield made
    server.stop()
    shutil.rmtree(folder)


SPOILT: list[tuple[str, dict[str, str]]] = [
    ("address", {"adresse": "pas une adresse"}),
    ("patient-address", {"adresse": "279035121518989@patient.mssante.fr"}),
    ("rpps", {"rpps": "12345678901"}),
    ("kind", {"categorie": "XYZ"}),
    ("domain", {"adresse": "x@ailleurs.example"}),
    ("type", {"type": "chose"}),
    ("nom", {"nom": ""}),
    ("control-character", {"ville": "a\x07b"}),
    ("too-long", {"ville": "a" * 300}),
    ("address-twice", {"adresse": "p1@etab-2.mssante.example"}),
    ("struct_idnat", {"struct_idnat": "12"}),
]


def table(seed: int = 1) -> tuple[list[str], dict[int, str]]:
    """The lines with their header, and which of them are bad and why: two in a hundred."""
    rows = [tenant(number) for number in range(1, TENANTS + 1)]
    rows += [person(number, f"etab-{1 + number % TENANTS}.mssante.example") for number in range(PEOPLE)]
    rows += [structure(number, f"etab-{1 + number % TENANTS}.mssante.example") for number in range(STRUCTURES)]
    chance = random.Random(seed)  # invented rows, not secrets
    bad: dict[int, str] = {}
    people = range(TENANTS + TENANTS + 2, TENANTS + PEOPLE)  # the first ones stay, so that one can come twice
    for place in chance.sample(people, max(len(SPOILT), len(rows) // 50)):
        reason, how = SPOILT[len(bad) % len(SPOILT)]
        rows[place] |= how if reason != "domain" else {"adresse": f"x{place}@ailleurs.example"}
        bad[place + 2] = reason
    return [";".join(COLUMNS), *(line(**row) for row in rows)], bad


@pytest.fixture(scope="module")
def arrived(town: Town) -> tuple[Path, dict[int, str], dict[str, object]]:
    """The file, its bad lines, and what a first application said."""
    lines, bad = table()
    file = town.folder / "arrivants.csv"
    file.write_text("\r\n".join(lines) + "\r\n", encoding="cp1252")
    dry = town.onboard(file, "--dry-run", status=1)
    assert not (town.folder / "tenants").exists()
    began = time.monotonic()
    told = town.onboard(file, status=1)
    print(f"applied in {time.monotonic() - began:.1f} s: { {k: v for k, v in told.items() if k != 'rejected'} }")
    assert dry["rejected"] == told["rejected"]
    assert (dry["mailbox-new"], dry["tenant-new"]) == (told["mailbox-new"], told["tenant-new"])
    return file, bad, told


Arrived = tuple[Path, dict[int, str], dict[str, object]]


def test_bad_rows_are_listed_and_the_rest_is_there(arrived: Arrived) -> None:
    """Each with its line and reason; a dry run said the same and changed nothing."""
    _, bad, told = arrived
    rejected = told["rejected"]
    assert isinstance(rejected, list)
    assert {each["line"]: each["reason"] for each in rejected} == bad
    assert (told["tenant-new"], told["request-new"]) == (TENANTS, TENANTS)
    assert told["mailbox-new"] == told["account-new"] == told["publication-new"] == PEOPLE + STRUCTURES - len(bad)
    assert told["structure-new"] == STRUCTURES


def test_again_nothing_changes(town: Town, arrived: Arrived) -> None:
    """The same file: everything is there; accounts, keys, configuration and journal of changes are as they were."""
    file, bad, _ = arrived
    before = {path: path.read_bytes() for path in (town.folder / "tenants").rglob("*") if path.is_file()}
    config, rows = town.config.read_bytes(), _changes(town)
    began = time.monotonic()
    told = town.onboard(file, status=1)
    print(f"again in {time.monotonic() - began:.1f} s")
    news = {name: value for name, value in told.items() if name.endswith("-new")}
    assert (news, told["restart"]) == ({}, False)
    assert told["mailbox-there"] == PEOPLE + STRUCTURES - len(bad)
    assert {path: path.read_bytes() for path in (town.folder / "tenants").rglob("*") if path.is_file()} == before
    assert (town.config.read_bytes(), _changes(town)) == (config, rows)


def _changes(town: Town) -> int:
    rows = sqlite3.connect(town.folder / "data/pli.sqlite")
    return int(rows.execute("select count(*) from journal").fetchone()[0])


def test_each_arrival_is_in_the_journal(town: Town, arrived: Arrived) -> None:
    """Who, why, before, after; under its own tenant."""
    rows = sqlite3.connect(town.folder / "data/pli.sqlite").execute(
        "select tenant, facts from journal where event = 'mailbox.onboarded'"
    )
    facts = [(name, json.loads(each)) for name, each in rows]
    assert len(facts) == arrived[2]["mailbox-new"]
    assert {(each["by"], each["because"], each["before"], each["after"]) for _, each in facts} == {
        ("anne", "convention", "", "active")
    }
    assert all(each["mailbox"].endswith(f"@{name}.mssante.example") for name, each in facts)


def test_the_mailboxes_are_there_for_dovecot(town: Town, arrived: Arrived, trust_space: Any) -> None:
    """LMTP takes a letter for who arrived, and 550 for who did not; nobody logs in with an empty account."""
    accounts = configuration.load(town.config).view("etab-2").accounts.file
    folder = new_folder("pli-d-")
    server = Dovecot(folder / "d", free_port(), free_port(), accounts, *trust_space.host)
    try:
        server.start()
        with smtplib.LMTP("127.0.0.1", server.lmtp_port) as client:
            client.ehlo("x.example")
            client.mail("")
            assert client.rcpt("p1@etab-2.mssante.example")[0] == 250
            assert client.rcpt("personne@etab-2.mssante.example")[0] == 550
    finally:
        server.stop()
        shutil.rmtree(folder)


def test_new_tenants_keep_apart(town: Town, arrived: Arrived) -> None:
    """Each of its own keys, files and subtree; its administrator sees and changes its own and no other's."""
    settings = configuration.load(town.config)
    assert len(settings.views) == TENANTS + 1
    keys = {(town.folder / f"tenants/etab-{n}/digest.key").read_bytes() for n in range(1, TENANTS + 1)}
    assert len(keys) == TENANTS
    csr = (town.folder / "tenants/etab-1/requests/seal-etab-1.mssante.example.csr").read_text()
    assert csr.startswith("-----BEGIN CERTIFICATE REQUEST-----")
    own = town.pli("mailbox", "list", "--tenant", "etab-1", "--by", "carl", "--json").splitlines()
    assert {json.loads(each)["address"].rpartition("@")[2] for each in own} == {"etab-1.mssante.example"}
    assert "keeps etab-1, not etab-2" in town.pli("mailbox", "list", "--tenant", "etab-2", "--by", "carl", status=2)


def test_who_may_not_onboard_changes_nothing(town: Town, arrived: Arrived) -> None:
    """An establishment's administrator, a delegate, the help desk, a stranger: one sentence each, before anything."""
    file = town.folder / "un.csv"
    file.write_text(f"{';'.join(COLUMNS)}\n{line(**person(90_000_000, 'central.mssante.example'))}\n")
    words = ("onboard", str(file), "--apply", "--because", "x")
    for who, said in (("bob", "may not create"), ("dora", "may not create"), ("emil", "may not create"),
                      ("zoe", "not named there")):  # fmt: skip
        assert said in town.pli(*words, "--by", who, status=2)
    assert "central" not in {path.name for path in (town.folder / "tenants").iterdir()}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (tenant(1) | {"domaines": "etab-2.mssante.example"}, "domain-taken"),
        (tenant(1) | {"domaines": "etab-1.mssante.example autre.mssante.example"}, "tenant-differs"),
        (tenant(90) | {"domaines": "pas-un-domaine"}, "domaines"),
        (tenant(90) | {"etablissement": "Étab !"}, "etablissement"),
        (tenant(90) | {"struct_idnat": "12"}, "struct_idnat"),
        (tenant(90) | {"departement": "93"}, "departement"),
        (person(1, "etab-2.mssante.example", categorie="CAB"), "type-immutable"),
        (person(1, "etab-2.mssante.example", rpps=with_luhn("1055555555")), "other-holder"),
    ],
)
def test_what_clashes_with_what_is_there_is_rejected(
    town: Town, arrived: Arrived, row: dict[str, str], reason: str
) -> None:
    """By name; a row beside it is taken."""
    file = town.folder / "deux.csv"
    other = person(1, "etab-2.mssante.example") if row["type"] == "tenant" else tenant(1)
    file.write_text("\n".join([";".join(COLUMNS), line(**other), line(**row)]) + "\n")
    told = town.onboard(file, "--dry-run", status=1)
    if row.get("adresse") == other.get("adresse"):
        reason = "address-twice"
    assert told["rejected"] == [{"line": 3, "reason": reason}]


@pytest.mark.parametrize("text", ["", "nom;prenom\na;b\n", 'type;adresse\n\x00;"\n'])
def test_a_file_that_is_no_table_is_one_sentence(town: Town, text: str) -> None:
    """Nothing at all, another table, a broken quote."""
    file = town.folder / "faux.csv"
    file.write_text(text)
    said = CliRunner().invoke(pli, ["--config", str(town.config), "onboard", str(file), "--dry-run", "--by", "anne"])
    assert said.exit_code in (1, 2)
    assert "Traceback" not in said.output
    assert said.output.strip()


def test_the_template_is_a_table(town: Town) -> None:
    """Its rows are taken as they are."""
    file = town.folder / "modele.csv"
    file.write_text(town.pli("onboard", "--template"))
    told = town.onboard(file, "--dry-run")
    assert (told["tenant-new"], told["mailbox-new"], told["structure-new"]) == (1, 2, 1)


def test_what_arrived_is_published_and_the_report_is_read_back(town: Town, arrived: Arrived) -> None:
    """By the drop: a file with each mailbox of the tenant; yes and no come back and are known; then nothing is due."""
    words = ("directory", "publish", "--tenant", "etab-3", "--by", "anne", "--json")
    told = json.loads(town.pli(*words).splitlines()[-1])
    assert told["states"]["sent"] > 0
    files = sorted((town.folder / "depot/aller").glob("*.csv"))
    rows = [each.split(";") for out in files for each in out.read_text().splitlines()[1:]]
    assert len(rows) == told["states"]["sent"]
    back = town.folder / "depot/retour"
    back.mkdir()
    answers = [
        f"{reference};{address};{'refus' if n == 0 else 'ok'};motif"
        for n, (reference, _, address, *_) in enumerate(rows)
    ]
    (back / "r.csv").write_text("\n".join(["reference;adresse;resultat;motif", *answers]))
    after = json.loads(town.pli(*words, status=1).splitlines()[-1])
    assert after["states"] == {"due": 0, "sent": 0, "done": len(rows) - 1, "refused": 1}
    (refused,) = town.pli("directory", "publish", "--tenant", "etab-3", "--status", "--json", status=1).splitlines()
    assert json.loads(refused)["reason"] == "motif"
    assert "may not publish" in town.pli("directory", "publish", "--tenant", "etab-3", "--by", "emil", status=2)


ACTS = (
    ("suspend", "acte@central.mssante.example"),
    ("resume", "acte@central.mssante.example"),
    ("red-list", "acte@central.mssante.example"),
    ("change", "acte@central.mssante.example", "mssService", "Accueil"),
    ("close", "acte@central.mssante.example"),
)


@pytest.mark.parametrize(("who", "role"), [("dora", "delegate"), ("emil", "support")])
def test_who_may_not_keep_mailboxes_is_refused_and_journalled(
    town: Town, arrived: Arrived, who: str, role: str
) -> None:
    """Each act by each role that has none: one sentence, and who tried what as what, and why, in the journal."""
    new = ("create", f"neuve.{who}@central.mssante.example", "--kind", "ORG", "--name", "X")
    words = ("--tenant", "central", "--because", "essai", "--by", who)
    for act in (new, *ACTS):
        assert f"{who}, as {role}, may not {act[0]}" in town.pli("mailbox", *act, *words, status=2)
    rows = sqlite3.connect(town.folder / "data/pli.sqlite").execute(
        "select facts from journal where event = 'mailbox.not-changed'"
    )
    told = [each for each in (json.loads(row[0]) for row in rows) if each["by"] == who]
    assert [each["act"] for each in told] == [act[0] for act in (new, *ACTS)]
    assert {(each["as"], each["because"], each["why"]) for each in told} == {(role, "essai", "NotYours")}


def test_an_administrator_keeps_his_own_by_command(town: Town, arrived: Arrived) -> None:
    """From its making to its end, each with before and after; the delegate counts it and sees no name."""
    words = ("--tenant", "etab-1", "--because", "essai", "--by", "carl")
    one = "equipe@etab-1.mssante.example"
    town.pli("mailbox", "create", one, "--kind", "ORG", "--name", "Équipe", "--finess", "930000001", *words)
    for act in ACTS:
        town.pli("mailbox", act[0], one, *act[2:], *words)
    rows = sqlite3.connect(town.folder / "data/pli.sqlite").execute(
        "select facts from journal where event = 'mailbox.changed' order by number"
    )
    told = [each for each in (json.loads(row[0]) for row in rows) if each["mailbox"] == one]
    assert [(each["act"], each["before"], each["after"]) for each in told] == [
        ("create", "", "active"),
        ("suspend", "active", "suspended"),
        ("resume", "suspended", "active"),
        ("red-list", "listed", "red-list"),
        ("change", "mssService=", "mssService=Accueil"),
        ("close", "active", "closed"),
    ]
    assert {(each["by"], each["as"]) for each in told} == {("carl", "establishment")}
    counted = town.pli("mailbox", "adoption", "--tenant", "etab-1", "--by", "dora", "--json")
    assert '"number"' in counted
    assert "@" not in counted
    assert "may not see" in town.pli("mailbox", "list", "--tenant", "etab-1", "--by", "dora", status=2)
