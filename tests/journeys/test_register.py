"""A person decides whose a document is, or notes what a patient refuses: at the keyboard, and in the dossier."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from dmp_bridge.model import Ins, InsStatus, Patient, Traits
from gateway.demo import sample

pytestmark = pytest.mark.journey

WHY = ("--why", "pièce d'identité vue")


TABLES = ("journal", "patients", "patient_identifiers", "patient_links", "oppositions", "worklist")
NAMES = {"11": "VAUQUELIN", "22": "TOURNEBISE", "33": "LARMANDIER", "44": "ESCOFFIER", "55": "QUINSONNAS"}
GIVEN = {"11": "HERMINE", "22": "ROXANE", "33": "SIDONIE", "44": "PHILIPPA", "55": "BERTHE"}


def _patient(body: str) -> Patient:
    """An invented patient like no other here; `body` is a matricule without its key."""
    ins = Ins(f"{body}{97 - int(body) % 97:02}", "1.2.250.1.213.1.4.10")
    name, given, born = NAMES[body[-2:]], GIVEN[body[-2:]], date(1985, 6, int(body[-2:]) % 28 + 1)
    traits = Traits(name, given, given, born, "F", "35238")
    return Patient(ins, traits, ((f"{sample.ROOT}.1", f"REG-{body[-4:]}"),), InsStatus.QUALIFIED)


def _waits(world: Any, patient: Patient) -> tuple[str, str, Any]:
    """(letter, entry, document) of a report about the patient that was put before a person."""
    document = world.report(patient)
    letter = world.submit(world.packed(document))
    assert world.settled(world.lilas, letter)["dossier"][0] == "failed"
    (row,) = world.worklist(world.lilas, letter)
    assert world.entries(document) == []
    return letter, row["id"], document


def test_what_a_person_confirms_is_filed(world: Any) -> None:
    """The evidence side by side, a reason that names nobody, the document in the dossier, and the entry closed."""
    known = _patient("2850635238711")
    world.enrol(world.lilas, known)
    married = replace(known, traits=replace(known.traits, birth_name="EPOUSEE"))
    letter, entry, document = _waits(world, married)

    shown = world.pli(world.lilas, "worklist", "show", entry[:10])
    assert "nom de naissance" in shown.stdout
    assert "diffère" in shown.stdout
    naming = world.pli(world.lilas, "worklist", "confirm", entry, "--why", "c'est Hermine")
    assert (naming.returncode, "names the patient" in naming.stderr) == (2, True)
    done = world.pli(world.lilas, "worklist", "confirm", entry, *WHY)
    assert (done.returncode, done.stdout.strip()) == (0, "confirmed, sent to the dossier again"), done.stderr
    assert world.settled(world.lilas, letter)["dossier"] == ("done", "filed")
    assert len(world.entries(document)) == 1
    assert world.worklist(world.lilas, letter) == []
    closed = json.loads(world.pli(world.lilas, "worklist", "show", entry, "--json").stdout)
    assert (closed["open"], closed["decision"], closed["why"]) == (False, "confirmed", WHY[1])
    said = shown.stdout + naming.stderr + done.stdout + world.pli(world.lilas, "trace", letter).stdout
    assert [each for each in ("VAUQUELIN", "HERMINE", "EPOUSEE", "REG-", "2850635238711") if each in said.upper()] == []


def test_what_a_person_refuses_is_not_filed(world: Any) -> None:
    """The twin: closed, and in no dossier."""
    letter, entry, document = _waits(world, _patient("2850635238722"))
    assert world.pli(world.lilas, "worklist", "confirm", entry, *WHY).returncode == 2, "nobody to confirm"
    done = world.pli(world.lilas, "worklist", "refuse", entry, *WHY)
    assert (done.returncode, done.stdout.strip()) == (0, "refused")
    assert world.worklist(world.lilas, letter) == []
    assert world.settled(world.lilas, letter)["dossier"][0] == "failed"
    assert world.entries(document) == []


def test_a_refusal_of_filing_holds_until_it_is_lifted(world: Any) -> None:
    """Opposed: kept out by name; lifted: what waited is filed, without anybody sending it anew."""
    known = _patient("2850635238733")
    number = known.local_ids[0][1]
    world.enrol(world.lilas, known)
    noted = world.pli(
        world.lilas, "patients", "oppose", number, "not-visible-until-announced", "--why", "annonce prévue jeudi"
    )
    assert (noted.returncode, noted.stderr) == (0, "")
    letter, _, document = _waits(world, known)
    (row,) = world.worklist(world.lilas, letter)
    assert row["reason"] == "dossier.opposed"
    lifted = world.pli(world.lilas, "patients", "lift", number, "not-visible-until-announced", "--why", "annoncé")
    assert lifted.stdout.strip() == "1 lifted, 1 documents sent again"
    assert world.settled(world.lilas, letter)["dossier"] == ("done", "filed")
    assert len(world.entries(document)) == 1
    history = world.pli(world.lilas, "patients", "flags", number, "--json").stdout
    assert [json.loads(line)["lifted_why"] for line in history.splitlines()] == ["annoncé"]


@pytest.fixture
def hiding(world: Any) -> Iterator[None]:
    """The first operator's node, told to file hidden what must be announced first."""
    world.company.stop_node(world.lilas)
    world.company.start_node(world.lilas, {"PLI_DOSSIER__UNANNOUNCED": "hide"})
    yield
    world.company.stop_node(world.lilas)
    world.company.start_node(world.lilas)


def test_a_result_is_hidden_from_its_patient_until_it_is_announced(world: Any, hiding: None) -> None:
    """Filed at once, with the code that hides it; lifted, the node shows it by itself, and says how it went."""
    known = _patient("2850635238755")
    number, flag = known.local_ids[0][1], "not-visible-until-announced"
    world.enrol(world.lilas, known)
    noted = world.pli(world.lilas, "patients", "oppose", number, flag, "--why", "annonce prévue jeudi")
    assert (noted.returncode, noted.stderr) == (0, "")
    document = world.report(known)
    letter = world.submit(world.packed(document))
    assert world.settled(world.lilas, letter)["dossier"] == ("done", "filed")
    assert _codes(world, document) == ["N", "INVISIBLE_PATIENT"]
    assert "caché au patient" in world.pli(world.lilas, "trace", letter).stdout
    lifted = world.pli(world.lilas, "patients", "lift", number, flag, "--why", "annoncé")
    assert lifted.stdout.strip() == "1 lifted, 0 documents sent again"
    world.until(lambda: _codes(world, document) == ["N"], "the entry without its code")
    assert "montré au patient" in world.pli(world.lilas, "trace", letter).stdout
    kept = world.lilas.folder / "run/upkeep.json"
    world.until(lambda: "0 await their announcement" in kept.read_text(), "what health reads")


def _codes(world: Any, document: Any) -> list[str]:
    found = json.loads(world.pli(world.lilas, "dossier", "find", "--document", document.unique_id, "--json").stdout)
    return list(found["confidentiality"])


def test_identities_are_shown_only_when_asked_and_that_is_journalled(world: Any) -> None:
    """Looked for by name or matricule, shown by pseudonym; revealed on demand, which leaves who looked and no name."""
    known = _patient("2850635238744")
    number, matricule = known.local_ids[0][1], known.ins.value if known.ins else ""
    world.enrol(world.lilas, known)
    asked = ("patients", "find", "--ins", matricule, "--json")
    looks = (asked, ("patients", "find", "--name", "Escoffier", "--first-name", "Philippa"))
    looks += (("patients", "flags", number), ("patients", "links", number, "--json"))
    quiet = [world.pli(world.lilas, *look) for look in looks]
    assert [each.returncode for each in quiet] == [0] * len(looks)
    naming = world.pli(world.lilas, "patients", "oppose", number, "filing", "--why", "Mme Escoffier refuse")
    assert (naming.returncode, "names the patient" in naming.stderr) == (2, True)
    loud = world.pli(world.lilas, *asked, "--reveal")
    assert json.loads(loud.stdout)["traits"]["birth_name"] == "ESCOFFIER"
    assert world.pli(world.lilas, "patients", "find", "--name", "Personne", "--first-name", "Zoé").returncode == 1
    assert world.pli(world.lilas, "patients", "find").returncode == 2
    with closing(sqlite3.connect(f"file:{world.lilas.folder / 'data' / 'pli.sqlite'}?mode=ro", uri=True)) as base:
        rows = [repr(row) for table in TABLES for row in base.execute(f"SELECT * FROM {table}")]  # noqa: S608
    said = "".join((*rows, *(each.stdout + each.stderr for each in quiet), naming.stderr))
    said += (world.lilas.folder / "pli.log").read_text("utf-8")
    assert "patient-revealed" in said
    assert [each for each in ("ESCOFFIER", "PHILIPPA", matricule[:13], number) if each in said.upper()] == []


def test_doubles_are_merged_and_taken_apart(world: Any) -> None:
    """Either number finds the one patient; taken apart again, there are two."""
    known = _patient("2850635238755")
    double = replace(known, local_ids=((known.local_ids[0][0], "REG-DBL"),))
    world.enrol(world.lilas, known, double)
    numbers = [each.local_ids[0][1] for each in (double, known)]
    assert world.pli(world.lilas, "patients", "merge", *numbers, *WHY).stdout.strip() == "merged"
    assert world.pli(world.lilas, "patients", "merge", *numbers, *WHY).returncode == 2, "they are one already"
    assert world.pli(world.lilas, "patients", "unmerge", numbers[0], *WHY).stdout.strip() == "taken apart"
    asked = ("patients", "find", "--ins", known.ins.value if known.ins else "", "--json")
    assert len(world.pli(world.lilas, *asked).stdout.splitlines()) == 2
