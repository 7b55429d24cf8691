"""The work list on the pages of a real node: who opens it, what he sees, and what becomes of his decision."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from html import unescape
from typing import Any

import httpx
import pytest

from dmp_bridge.model import Document, Ins, InsStatus, Patient, Traits
from gateway.demo import sample
from gateway.demo.cast import RADIOLOGIST, RIS
from gateway.web.sentences import SENTENCES
from tests.journeys.browsing import Browser, signed_in, with_pages

pytestmark = pytest.mark.journey

ROOT = "1.2.250.1.213.1.4.10"
WHY = "pièce d’identité vue"
MARKUP = "<script>alert(1)</script>"


def _patient(body: str, **traits: Any) -> Patient:
    """An invented patient; `body` is a matricule without its key."""
    known = Traits("VAUQUELIN", "HERMINE", "HERMINE", date(1985, 6, 14), "F", "35238")
    ins = Ins(f"{body}{97 - int(body) % 97:02}", ROOT)
    return Patient(ins, replace(known, **traits), ((f"{sample.ROOT}.1", f"LDT-{body[-6:]}"),), InsStatus.QUALIFIED)


@pytest.fixture(scope="module")
def world(make_world: Any) -> Iterator[Any]:
    with make_world(with_pages) as made:
        yield made


@pytest.fixture(scope="module")
def secretary(world: Any) -> Browser:
    """Somebody who says whose documents are."""
    assert world.pli(world.lilas, "account", "role", str(RIS.address), "identity").returncode == 0
    return signed_in(world, str(RIS.address))


@pytest.fixture(scope="module")
def claire(world: Any) -> Browser:
    """A professional without that role."""
    return signed_in(world, str(RADIOLOGIST.address))


def waits(world: Any, known: Patient, written: Patient) -> tuple[str, str, Document]:
    """A letter whose document waits for a person: letter, entry, document."""
    world.enrol(world.lilas, known)
    document = world.report(written)
    letter = world.submit(world.packed(document))
    world.settled(world.lilas, letter)
    (row,) = world.worklist(world.lilas, letter)
    return letter, row["id"], document


def said(key: str) -> str:
    return SENTENCES[key][0]


def page(browser: Browser, entry: str) -> str:
    return unescape(browser.get(f"/liste-de-travail/{entry}").text)


def press(browser: Browser, entry: str, act: str = "decision", **typed: str) -> httpx.Response:
    token = re.search(r'name="token" value="([0-9a-f]+)"', browser.get("/").text)
    assert token
    return browser.http.post(f"/liste-de-travail/{entry}/{act}", data={"token": token[1], **typed})


def first(browser: Browser, entry: str) -> str:
    """The likeliest candidate, as his form has him."""
    found = re.search(r'name="patient" value="([^"]+)"', browser.get(f"/liste-de-travail/{entry}").text)
    assert found
    return found[1]


def journalled(world: Any, event: str) -> list[dict[str, str]]:
    with closing(sqlite3.connect(f"file:{world.lilas.folder / 'data' / 'pli.sqlite'}?mode=ro", uri=True)) as base:
        return [json.loads(row[0]) for row in base.execute("SELECT facts FROM journal WHERE event = ?", (event,))]


def by(facts: Any) -> bool:
    return str(RIS.address) in json.dumps(facts)


def test_an_entry_confirmed_at_the_page_is_filed(world: Any, secretary: Browser) -> None:
    """With its age on the list, the evidence side by side, who looked and who decided in the journal; then in the
    dossier, and the list has it no more."""
    known = _patient("2850635238111")
    letter, entry, document = waits(world, known, replace(known, traits=replace(known.traits, birth_name="EPOUSEE")))
    listed = unescape(secretary.get("/liste-de-travail").text)
    assert f"/liste-de-travail/{entry}" in listed
    assert said("trait-birth_name") in listed
    assert re.search(r"<td>\d+ min</td>", listed)
    seen = page(secretary, entry)
    beside = re.search(r"nom de naissance</th><td>(\w*)</td><td>(\w*)</td><td><span[^>]*>([^<]*)<", seen)
    assert beside is not None
    assert beside.groups() == ("EPOUSEE", "VAUQUELIN", said("work-differs-one"))
    assert seen.count(said("work-agrees")) >= 4
    assert by(journalled(world, "patient-revealed"))
    assert by(journalled(world, "looked-up"))
    done = press(secretary, entry, do="confirm", why=WHY, patient=first(secretary, entry))
    assert (done.status_code, said("work-confirmed") in unescape(done.text)) == (200, True)
    assert said("work-undo") in unescape(done.text)
    assert world.settled(world.lilas, letter)["dossier"] == ("done", "filed")
    assert world.fetched(document) == document.raw
    assert f"/liste-de-travail/{entry}" not in secretary.get("/liste-de-travail").text
    assert [each["decided_by"] for each in journalled(world, "worklist-decided")] == [str(RIS.address)]
    late = press(secretary, entry, "annuler")
    assert (late.status_code, said("work-too-late") in unescape(late.text)) == (409, True)


def test_a_decision_taken_back_in_time_files_nothing(world: Any, secretary: Browser) -> None:
    """The entry is open again, and can be refused; a refusal is taken back too."""
    known = _patient("2850635238122")
    letter, entry, document = waits(world, known, replace(known, traits=replace(known.traits, birth_name="EPOUSEE")))
    press(secretary, entry, do="confirm", why=WHY, patient=first(secretary, entry))
    undone = press(secretary, entry, "annuler")
    assert (undone.status_code, said("work-confirm") in unescape(undone.text)) == (200, True)
    assert world.states(world.lilas, letter)["dossier"] == ("failed", "dossier.ins-differs")
    assert [row["id"] for row in world.worklist(world.lilas, letter)] == [entry]
    refused = unescape(press(secretary, entry, do="refuse", why="document d’un autre établissement").text)
    assert said("work-refused") in refused
    assert world.entries(document) == []
    assert said("work-refuse") in unescape(press(secretary, entry, "annuler").text)
    assert [row["id"] for row in world.worklist(world.lilas, letter)] == [entry]


def test_another_patient_is_looked_for_and_chosen(world: Any, secretary: Browser) -> None:
    """By his number; each who is shown is journalled; a number that nobody has is a sentence."""
    meant = _patient("2850635238133", birth_name="AUTRE", first_given_name="ZENOBIE", birth_date=date(1950, 1, 2))
    written = replace(_patient("2850635238144"), ins=None)
    world.enrol(world.lilas, meant)
    _, entry, _ = waits(world, _patient("2850635238155"), written)
    nobody = press(secretary, entry, "patients", number="PERSONNE-1")
    assert (nobody.status_code, said("work-no-patient") in unescape(nobody.text)) == (422, True)
    shown = unescape(press(secretary, entry, "patients", number=meant.local_ids[0][1]).text)
    assert "ZENOBIE" in shown
    chosen = re.search(r'name="patient" value="([^"]+)"(?:(?!name="patient").)*value="correct"', shown, re.S)
    assert chosen is not None
    done = unescape(press(secretary, entry, do="correct", patient=chosen[1], why=WHY).text)
    assert said("work-corrected") in done
    told = [each for each in journalled(world, "worklist-decided") if each["entry"] == entry]
    assert [(each["decision"], each["patient_id"]) for each in told] == [("corrected", chosen[1])]


def test_a_decision_needs_a_reason_that_names_nobody(world: Any, secretary: Browser) -> None:
    """And a patient who was proposed; what is decided is decided once; an unknown act is none."""
    known = _patient("2850635238166")
    _, entry, _ = waits(world, known, replace(known, traits=replace(known.traits, birth_name="EPOUSEE")))
    whose = first(secretary, entry)
    cases = (
        ({"do": "confirm", "why": "", "patient": whose}, "work-why-missing"),
        ({"do": "confirm", "why": "Mme Vauquelin est venue", "patient": whose}, "work-why-names"),
        ({"do": "correct", "why": WHY}, "work-which"),
        ({"do": "correct", "why": WHY, "patient": "p:personne"}, "work-no-patient"),
    )
    for typed, key in cases:
        answer = press(secretary, entry, **typed)
        assert (answer.status_code, said(key) in unescape(answer.text)) == (422, True), key
    assert press(secretary, entry, do="erase", why=WHY).status_code == 400
    assert press(secretary, entry, do="refuse", why=WHY).status_code == 200
    again = press(secretary, entry, do="refuse", why=WHY)
    assert (again.status_code, said("work-closed") in unescape(again.text)) == (422, True)


def test_who_has_not_the_role_sees_nothing(world: Any, claire: Browser, secretary: Browser) -> None:
    """The refused twin: not even in the menu; and an entry that is not there is no page."""
    known = _patient("2850635238177")
    _, entry, _ = waits(world, known, replace(known, traits=replace(known.traits, birth_name="EPOUSEE")))
    for path in ("/liste-de-travail", f"/liste-de-travail/{entry}"):
        answer = claire.get(path)
        assert (answer.status_code, "VAUQUELIN" in answer.text) == (403, False)
    assert press(claire, entry, do="refuse", why=WHY).status_code == 403
    assert "/liste-de-travail" not in claire.get("/").text
    assert "/liste-de-travail" in secretary.get("/").text
    for nothing in (entry[:10], "0" * 64, "%25"):
        assert secretary.get(f"/liste-de-travail/{nothing}").status_code == 404


def test_what_a_document_says_is_text(world: Any, secretary: Browser) -> None:
    """Markup in a patient's name is shown, and does nothing."""
    known = _patient("2850635238188")
    _, entry, _ = waits(world, known, replace(known, traits=replace(known.traits, birth_name=f"NOM{MARKUP}")))
    raw = secretary.get(f"/liste-de-travail/{entry}").text
    assert MARKUP not in raw
    assert "NOM&lt;script&gt;" in raw


def test_no_identity_is_written_where_it_was_looked_at(world: Any, secretary: Browser) -> None:
    """Not in the log, nor in the journal: a name that was shown on a page stands in neither."""
    known = _patient("2850635238199", birth_name="ESCARBAGNAS")
    _, entry, _ = waits(world, known, replace(known, traits=replace(known.traits, first_given_name="AUTRE")))
    assert "ESCARBAGNAS" in page(secretary, entry)
    log = (world.lilas.folder / "pli.log").read_text("utf-8")
    with closing(sqlite3.connect(f"file:{world.lilas.folder / 'data' / 'pli.sqlite'}?mode=ro", uri=True)) as base:
        rows = repr(base.execute("SELECT * FROM journal").fetchall())
    assert "looked-up" in rows
    assert "ESCARBAGNAS" not in (log + rows).upper()
