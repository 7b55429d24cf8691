"""A letter written at the page of a real node: chosen by card, checked, sent, taken back in time, filed; and what is
refused there."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from directory.address import parse
from directory.entries import attributes
from directory.ldif import escaped, record
from directory.region import SUFFIX
from gateway.accounts import Accounts
from gateway.demo import sample, stage
from gateway.demo.cast import LILAS, PARC, PASSWORD, RADIOLOGIST, RIS, SURGEON
from gateway.web.sentences import SENTENCES
from tests.journeys.browsing import Browser, signed_in, with_pages

pytestmark = pytest.mark.journey

NOBODY = f"hors.annuaire@{LILAS}"
MARKUP = "<script>alert(1)</script>"
ONE = replace(SURGEON, address=parse(f"anne.petit@{PARC}"), rpps="10100000033", family_name="PETIT", given_name="Anne",
              display_name="Dr Anne PETIT", town="Lyon", certificates=())  # fmt: skip
OTHER = replace(ONE, address=parse(f"anne.petit.2@{PARC}"), rpps="10100000041", family_name="Petit", town="Brest")
MARKED = replace(ONE, address=parse(f"balise@{PARC}"), rpps="10100000058", family_name="BALISE", given_name="Zoé",
                 display_name=f"Zoé BALISE {MARKUP}", structure=f"Cabinet {MARKUP}")  # fmt: skip


def _prepared(built: stage.Stage) -> None:
    with_pages(built)
    more = (ONE, OTHER, MARKED)
    people = "".join(
        record(f"mssAdresse={escaped(str(each.address))},ou=bal,{SUFFIX}", attributes(each)) for each in more
    )
    object.__setattr__(built, "ldif", built.ldif + people)
    Accounts(built.seats["lilas"].accounts).add(NOBODY, PASSWORD)


@pytest.fixture(scope="module")
def world(make_world: Any) -> Iterator[Any]:
    with make_world(_prepared) as made:
        yield made


@pytest.fixture(scope="module")
def claire(world: Any) -> Browser:
    return signed_in(world, str(RADIOLOGIST.address))


@pytest.fixture(scope="module")
def colleague(world: Any) -> Browser:
    return signed_in(world, str(RIS.address))


@dataclass
class Page:
    """The form of one letter, as far as it has come."""

    browser: Browser
    answer: httpx.Response

    def press(self, do: str, path: str = "/ecrire", files: Any = None, **typed: str) -> Page:
        fields = dict(re.findall(r'name="(token|draft)" value="([^"]*)"', self.answer.text))
        sent = self.browser.http.post(path, data={**fields, "do": do, **typed}, files=files)
        return Page(self.browser, sent)

    @property
    def text(self) -> str:
        return unescape(self.answer.text)

    @property
    def letter(self) -> str:
        found = re.search(r"/lettres/([0-9a-z]{26})$", str(self.answer.url))
        assert found, self.answer.url
        return found[1]


def _value(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, name
    return found[1]


def begun(browser: Browser) -> Page:
    return Page(browser, browser.get("/ecrire"))


def written(browser: Browser, subject: str, text: str = "Bonjour Paul") -> Page:
    """A letter to the surgeon, sent."""
    page = begun(browser).press(f"add:{SURGEON.address}", subject=subject, text=text).press("next")
    assert page.answer.status_code == 200, page.text
    sent = page.press("", "/ecrire/envoi")
    assert sent.answer.status_code == 200, sent.text
    return sent


def said(key: str, **values: object) -> str:
    return SENTENCES[key][0].format(**values)


def message_id(world: Any, letter: str) -> str:
    with closing(sqlite3.connect(f"file:{world.lilas.folder / 'data' / 'pli.sqlite'}?mode=ro", uri=True)) as base:
        return str(base.execute("SELECT message_id FROM letters WHERE id = ?", (letter,)).fetchone()[0])


def test_a_letter_written_at_the_page_arrives_signed(world: Any, claire: Browser) -> None:
    """Found by name without a script, chosen by card with its way and why, checked, sent; it is in the recipient's
    mailbox with the signature of the sender's mailbox."""
    page = begun(claire).press("search", search="bernard paul")
    assert "Chirurgie orthopédique · CLINIQUE DU PARC · Paris" in page.text
    assert said("mode-peer-signed") in page.text
    assert "la voie habituelle; signature de la boîte (réglage d'usine)" in page.text
    sent = written(claire, "Avis sur le genou")
    assert said("undo-go") in sent.text
    assert world.settled(world.lilas, sent.letter) == {"peer-signed": ("done", "")}
    name = message_id(world, sent.letter)
    mail = world.received(world.parc, SURGEON.address, name)
    assert b"multipart/signed" in mail
    assert world.trail(world.parc, "--message-id", name)["verdict"]["signature"] == "valid"


def test_the_list_comes_while_one_types(world: Any, claire: Browser) -> None:
    """The part of the page that htmx asks for; nobody is found by words that nobody has."""
    token = _value(claire.get("/ecrire").text, "token")

    def typed(words: str) -> str:
        return claire.http.post("/ecrire/destinataires", data={"token": token, "search": words}).text

    assert f'value="add:{SURGEON.address}"' in typed("orthopedique paris")
    assert f'value="add:{SURGEON.address}"' in typed(str(SURGEON.address).upper())
    assert said("write-none") in unescape(typed("personne de ce nom"))
    assert said("write-none") not in unescape(typed(" "))


def test_a_letter_taken_back_never_leaves(world: Any, claire: Browser, colleague: Browser) -> None:
    """By its author alone: to a colleague there is no such letter; in the journal, in his name; one that was sent later
    arrives, this one does not; and then it is too late for that one."""
    first = written(claire, "À ne pas envoyer")
    home = colleague.get("/")
    foreign = colleague.http.post(f"/lettres/{first.letter}/annuler", data={"token": _value(home.text, "token")})
    assert foreign.status_code == 404
    undone = first.press("", f"/lettres/{first.letter}/annuler")
    assert undone.answer.status_code == 200
    assert "annulé par son auteur" in undone.text
    assert said("undo-go") not in undone.text
    second = written(claire, "À envoyer")
    world.received(world.parc, SURGEON.address, message_id(world, second.letter))
    assert world.inbox(world.parc, SURGEON.address, message_id(world, first.letter)) == []
    assert world.states(world.lilas, first.letter) == {"peer-signed": ("failed", "letter.withdrawn")}
    steps = world.trail(world.lilas, first.letter)["steps"]
    assert [s["facts"]["by"] for s in steps if s["event"] == "withdrawn"] == [str(RADIOLOGIST.address)]
    late = second.press("", f"/lettres/{second.letter}/annuler")
    assert (late.answer.status_code, said("undo-too-late") in late.text) == (409, True)


def test_the_pages_may_die_after_a_letter_was_sent(own_world: Any) -> None:
    """It waits in the spool, and leaves once."""
    own = own_world(with_pages)
    browser = signed_in(own, str(RADIOLOGIST.address))
    sent = written(browser, "Malgré tout")
    os.kill(int((own.lilas.folder / "run" / "web.pid").read_text()), signal.SIGKILL)
    assert own.settled(own.lilas, sent.letter) == {"peer-signed": ("done", "")}
    name = message_id(own, sent.letter)
    own.received(own.parc, SURGEON.address, name)
    assert len(own.inbox(own.parc, SURGEON.address, name)) == 1


def test_a_store_that_dies_meanwhile_is_asked_again(own_world: Any) -> None:
    """Nobody can tell whether the letter was kept: the page says so, nothing of it is lost; sent again it is one."""
    own = own_world(with_pages)
    page = begun(signed_in(own, str(RADIOLOGIST.address))).press(f"add:{SURGEON.address}", text="Encore").press("next")
    bodies = own.lilas.folder / "data" / "bodies"
    before, spooler = _files(bodies), int((own.lilas.folder / "run" / "spooler.pid").read_text())
    os.kill(spooler, signal.SIGSTOP)
    with ThreadPoolExecutor() as hand:
        asked = hand.submit(page.press, "", "/ecrire/envoi")
        own.until(lambda: _files(bodies) - before, "the letter's body")
        os.kill(spooler, signal.SIGKILL)
        first = asked.result()
    assert (first.answer.status_code, said("write-again") in first.text) == (503, True)
    sent = own.until(lambda: _sent_again(first), "the letter is taken")
    assert own.settled(own.lilas, sent.letter) == {"peer-signed": ("done", "")}
    name = message_id(own, sent.letter)
    own.received(own.parc, SURGEON.address, name)
    assert len(own.inbox(own.parc, SURGEON.address, name)) == 1


def _sent_again(page: Page) -> Page | None:
    again = page.press("", "/ecrire/envoi")
    return again if again.answer.status_code == 200 else None


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_sent_twice_is_sent_once(world: Any, claire: Browser) -> None:
    """The same form again leads to the same letter."""
    page = begun(claire).press(f"add:{SURGEON.address}", subject="Une fois", text="Bonjour").press("next")
    letters = [page.press("", "/ecrire/envoi").letter for _ in range(2)]
    assert letters[0] == letters[1]
    assert world.states(world.lilas, letters[0]).keys() == {"peer-signed"}


def test_a_document_says_whose_it_is_and_is_filed(world: Any, claire: Browser) -> None:
    """Its patient, type and dossier are shown before anything leaves; then it is in the dossier, byte by byte."""
    document = world.report()
    paper = {"paper": ("compte rendu.xml", document.raw, "text/xml")}
    page = begun(claire).press("paper", files=paper)
    traits = sample.PATIENT.traits
    assert f"{traits.birth_name} {traits.first_given_name}" in page.text
    check = page.press(f"add:{SURGEON.address}").press("next", text="Voici le compte rendu.")
    assert sample.PATIENT.ins
    for told in (traits.birth_name, sample.PATIENT.ins.value, document.type.code, "regional"):
        assert told in check.text, told
    assert said("write-filing-doubt") not in check.text
    sent = check.press("", "/ecrire/envoi")
    assert world.settled(world.lilas, sent.letter) == {"peer-signed": ("done", ""), "dossier": ("done", "filed")}
    assert world.fetched(document) == document.raw


def test_a_pdf_about_a_patient_becomes_a_document(world: Any, claire: Browser) -> None:
    """By his number and a type; whose it is, is shown, and journalled in the name of who looked. A number that nobody
    has is a sentence."""
    pdf = sample.report_pdf(world.report().effective_time)
    page = begun(claire).press(f"add:{SURGEON.address}").press("paper", files={"paper": ("scan.pdf", pdf)})
    wrong = page.press("next", patient="IPP-QUI-N-EXISTE-PAS", type="18748-4", title="IRM", text="")
    assert (wrong.answer.status_code, said("write-no-patient") in wrong.text) == (422, True)
    check = wrong.press("next", patient=sample.PATIENT.local_ids[0][1], type="18748-4", title="IRM", text="")
    assert sample.PATIENT.traits.birth_name in check.text
    sent = check.press("", "/ecrire/envoi")
    assert world.settled(world.lilas, sent.letter)["dossier"] == ("done", "filed")
    with closing(sqlite3.connect(f"file:{world.lilas.folder / 'data' / 'pli.sqlite'}?mode=ro", uri=True)) as base:
        facts = [row[0] for row in base.execute("SELECT facts FROM journal WHERE event = 'patient-revealed'")]
    assert any(str(RADIOLOGIST.address) in each for each in facts)


PDF = ("scan.pdf", b"%PDF-1.4 x")
OF_A_PATIENT = {"patient": sample.PATIENT.local_ids[0][1], "type": "18748-4"}


@pytest.mark.parametrize(
    ("who", "papers", "typed", "key"),
    [
        ("claire", [PDF, ("r.xml", None)], {}, "write-whose"),
        ("claire", [("note.txt", b"Bonjour")], {}, "write-pdf-alone"),
        ("claire", [PDF], OF_A_PATIENT | {"type": ""}, "write-no-type"),
        ("colleague", [PDF], OF_A_PATIENT, "write-no-rpps"),
    ],
)
def test_papers_that_cannot_travel_so(world: Any, request: Any, who: str, papers: Any, typed: Any, key: str) -> None:
    """A PDF that names no patient beside a document, another paper alone, no type, a mailbox of no person: each is a
    sentence before anything is sent. The PDF alone, about nobody, may (the twin)."""
    page = begun(request.getfixturevalue(who)).press(f"add:{SURGEON.address}")
    for name, data in papers:
        page = page.press("paper", files={"paper": (name, data or world.report().raw)})
        assert page.answer.status_code == 200, page.text
    refused = page.press("next", **typed)
    assert (refused.answer.status_code, said(key) in refused.text) == (422, True)
    alone = begun(request.getfixturevalue(who)).press(f"add:{SURGEON.address}").press("paper", files={"paper": PDF})
    assert alone.press("next", patient="", text="").answer.status_code == 200


def test_who_has_a_namesake_is_asked_about(world: Any, claire: Browser) -> None:
    """By number, structure and town; without an answer nothing is taken, checked or sent; the answer must be one of
    those who were shown."""
    page = begun(claire).press(f"add:{ONE.address}", text="Bonjour")
    assert said("write-homonyms") in page.text
    for told in (ONE.rpps, OTHER.rpps, "Lyon", "Brest"):
        assert told in page.text, told
    for do, typed in (("which", {}), ("which", {"which": str(SURGEON.address)}), ("next", {})):
        refused = page.press(do, **typed)
        assert (refused.answer.status_code, said("write-homonyms-answer") in refused.text) == (422, True)
        assert said("write-nobody") in refused.text
    skipped = page.press("", "/ecrire/envoi")
    assert (skipped.answer.status_code, said("write-homonyms-answer") in skipped.text) == (422, True)
    chosen = page.press("which", which=str(OTHER.address))
    assert said("write-homonyms") not in chosen.text
    assert f'value="drop:{OTHER.address}"' in chosen.text
    assert chosen.press("next").answer.status_code == 200


def test_who_is_alone_with_his_name_is_not_asked_about(world: Any, claire: Browser) -> None:
    """The twin."""
    page = begun(claire).press(f"add:{SURGEON.address}")
    assert said("write-homonyms") not in page.text
    assert f'value="drop:{SURGEON.address}"' in page.text


@pytest.mark.parametrize("data", [b"GIF89a\x00", b"<lettre/>", b"PK\x03\x04 no zip", b""])
def test_what_is_no_document_is_a_sentence(world: Any, claire: Browser, data: bytes) -> None:
    """It names the file and is not taken."""
    page = begun(claire).press("paper", files={"paper": ("image <b>.gif", data)})
    assert page.answer.status_code == 422
    assert said("write-not-a-document", name="image <b>.gif") in page.text
    assert "drop-paper:" not in page.text


def test_what_is_too_large_is_refused(world: Any, claire: Browser) -> None:
    """Counted as it comes, and over all papers of one letter."""
    pdf = b"%PDF-1.4 " + b"x" * (14 * 1024 * 1024)
    assert begun(claire).press("paper", files={"paper": ("a.pdf", pdf + pdf)}).answer.status_code == 413
    page = begun(claire).press("paper", files={"paper": ("a.pdf", pdf)})
    assert page.answer.status_code == 200
    more = page.press("paper", files={"paper": ("b.pdf", pdf)})
    assert (more.answer.status_code, said("error-413") in more.text) == (422, True)


def test_nothing_to_send_and_nobody_to_send_to(world: Any, claire: Browser) -> None:
    """Each a sentence."""
    assert said("write-to-first") in begun(claire).press("next", text="Bonjour").text
    assert said("write-empty") in begun(claire).press(f"add:{SURGEON.address}").press("next", text=" ").text
    nobody = begun(claire).press("add:personne@nulle-part.example")
    assert (nobody.answer.status_code, said("write-no-recipient") in nobody.text) == (422, True)


def test_anothers_draft_is_nobodys(world: Any, claire: Browser, colleague: Browser) -> None:
    """Named by somebody else it is a new one, with nothing of the first."""
    page = begun(claire).press(f"add:{SURGEON.address}", text="Confidentiel")
    draft, home = _value(page.answer.text, "draft"), colleague.get("/ecrire")
    told = {"token": _value(home.text, "token"), "draft": draft}
    seen = colleague.http.post("/ecrire", data={**told, "do": "next"})
    assert "Confidentiel" not in seen.text
    assert said("write-to-first") in unescape(seen.text)
    assert str(colleague.http.post("/ecrire/envoi", data=told).url).endswith("/ecrire")


def test_markup_of_strangers_is_text(world: Any, claire: Browser) -> None:
    """In the directory, in a document's header, in the name of a file."""
    found = begun(claire).press("search", search="balise")
    chosen = found.press(f"add:{MARKED.address}")
    patient = replace(sample.PATIENT, traits=replace(sample.PATIENT.traits, birth_name=f"MARTIN{MARKUP}"))
    paper = {"paper": (f"{MARKUP}.xml", world.report(patient).raw, "text/xml")}
    brought = chosen.press("paper", files=paper)
    check = brought.press("next", text=f"Bonjour {MARKUP}", subject=MARKUP)
    for page in (found, chosen, brought, check):
        assert page.answer.status_code == 200, page.text
        assert MARKUP not in page.answer.text
        assert "&lt;script&gt;" in page.answer.text


def test_what_policy_forbids_is_no_choice(world: Any, colleague: Browser) -> None:
    """Encryption required and no certificate: the card says why it cannot be chosen, and it cannot; with the rule taken
    back it can (the twin)."""
    rule = ("policy", "set", "mailbox", "encrypt", "always", "--for", str(RIS.address))
    assert world.pli(world.lilas, *rule).returncode == 0
    page = begun(colleague).press("search", search=str(SURGEON.address))
    assert said("write-refused") in page.text
    assert f'value="add:{SURGEON.address}"' not in page.text
    refused = page.press(f"add:{SURGEON.address}")
    assert (refused.answer.status_code, said("write-nobody") in refused.text) == (422, True)
    assert world.pli(world.lilas, "policy", "unset", *rule[2:4], "--for", str(RIS.address)).returncode == 0
    assert f'value="drop:{SURGEON.address}"' in begun(colleague).press(f"add:{SURGEON.address}").text


def test_who_is_not_in_the_directory_does_not_write(world: Any) -> None:
    """He has an account, and nobody could answer him."""
    nobody = signed_in(world, NOBODY)
    page = begun(nobody).press(f"add:{SURGEON.address}").press("next", text="Bonjour")
    assert (page.answer.status_code, said("write-no-entry") in page.text) == (422, True)


def test_the_page_is_no_way_around_the_door(world: Any, claire: Browser) -> None:
    """Only who is signed in writes, as himself; and with the token of his session."""
    assert claire.http.post("/ecrire", data={"do": "next"}).status_code == 403
    stranger = Browser(world)
    assert str(stranger.get("/ecrire").url).endswith("/entrer")
    assert PASSWORD not in claire.get("/ecrire").text
