"""A mailbox read at the pages of a real node, over IMAP with a pass: listed, read, looked into, taken home; and what is
shown first."""

from __future__ import annotations

import imaplib
import re
import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from html import unescape
from typing import Any

import httpx
import pytest

from gateway.demo import sample
from gateway.demo.cast import PASSWORD, RADIOLOGIST, RIS, SURGEON
from gateway.web.sentences import SENTENCES
from tests.journeys.browsing import Browser, signed_in, with_pages

pytestmark = pytest.mark.journey


@pytest.fixture(scope="module")
def world(make_world: Any) -> Iterator[Any]:
    with make_world(with_pages) as made:
        yield made


@pytest.fixture(scope="module")
def ris(world: Any) -> Browser:
    return signed_in(world, str(RIS.address))


def said(key: str, **values: object) -> str:
    return SENTENCES[key][0].format(**values)


def sent_to_ris(world: Any, mail: bytes) -> str:
    letter = world.submit(mail, RIS.address)
    world.settled(world.lilas, letter)
    return str(letter)


def mail(subject: str, text: str = "Bonjour") -> EmailMessage:
    made = EmailMessage(policy=SMTP)
    made["From"], made["To"], made["Subject"] = str(RADIOLOGIST.address), str(RIS.address), subject
    made["Date"], made["Message-ID"] = datetime.now(UTC), f"<{datetime.now(UTC).timestamp()}@journeys.example>"
    made.set_content(text)
    return made


def opened(browser: Browser, subject: str, listed: str = "/boite") -> httpx.Response:
    """The newest letter of that subject, chosen on the list."""
    found = re.findall(r'<a href="(/boite/[^"]+)"[^>]*>(.*?)</a>', unescape(browser.get(listed).text), re.DOTALL)
    path = next(path for path, words in found if subject in words)
    return browser.get(path)


def links(answer: httpx.Response, end: str = "") -> list[str]:
    pattern = rf'href="(/boite/\d+/\d+/piece/[^"?/]+{end}\?[^"]*)"'
    return [unescape(each) for each in re.findall(pattern, answer.text)]


def test_a_letter_is_listed_read_and_marked_as_read(world: Any, ris: Browser) -> None:
    """From the list, which says that it is unread; with its signature in a sentence, who wrote it, and its steps."""
    letter = sent_to_ris(world, mail("Réunion de jeudi", "Bonjour,\n  à jeudi <b>9 h</b>.").as_bytes())
    listed = unescape(ris.get("/boite").text)
    assert "Réunion de jeudi" in listed
    assert said("box-unread") in listed
    page = opened(ris, "Réunion de jeudi")
    assert page.status_code == 200
    text = unescape(page.text)
    assert "<h1>Réunion de jeudi</h1>" in text
    assert "à jeudi &lt;b&gt;9 h&lt;/b&gt;." in page.text
    assert str(RADIOLOGIST.address) in text
    assert said("read-professional") in text
    assert "Non signé." in text
    assert f"/lettres/{letter}" in page.text
    assert said("read-not-ours") not in text
    assert said("box-unread") not in unescape(ris.get("/boite").text).partition("Réunion de jeudi")[0][-300:]
    assert "Réunion de jeudi" in unescape(ris.get("/").text)


def test_a_health_document_is_looked_at_and_taken_home(world: Any, ris: Browser) -> None:
    """Without the prefix for programs; its PDF as a picture that is drawn anew, with the text of the page beside it;
    the file as it was sent, to be saved."""
    document = world.report()
    sent_to_ris(world, world.packed(document, RIS.address))
    page = opened(ris, sample.PATIENT.traits.birth_name)
    assert "XDM/1.0" not in page.text
    shown = ris.get(links(page)[0])
    assert shown.status_code == 200
    text = unescape(shown.text)
    assert sample.PATIENT.traits.birth_name in text
    assert "Gonalgie droite" in text
    (picture, *_) = [unescape(each) for each in re.findall(r'<img src="([^"]+)"', shown.text)]
    drawn = ris.get(picture)
    assert (drawn.headers["content-type"], drawn.content[:4]) == ("image/png", b"\x89PNG")
    assert len(drawn.content) > 20_000
    assert ris.get(picture.replace("/page/1?", "/page/9?")).status_code == 404
    files = [ris.get(each) for each in links(page, "/fichier")]
    assert document.raw in [each.content for each in files]
    for each in files:
        assert each.headers["content-disposition"].startswith("attachment; ")
        assert each.headers["content-type"] == "application/octet-stream"
        assert each.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in each.headers["content-security-policy"]


def test_a_signature_that_came_with_a_letter_is_a_sentence(world: Any) -> None:
    """At the other operator's node: by the mailbox of who wrote; one that does not hold is a warning, and says so."""
    letter = world.submit(world.plain(str(RADIOLOGIST.address), str(SURGEON.address), "Avis signé"))
    world.settled(world.lilas, letter)
    surgeon = signed_in(world, str(SURGEON.address), world.parc)
    found = world.until(lambda: "Avis signé" in unescape(surgeon.get("/boite").text), "the letter at the other node")
    assert found
    text = unescape(opened(surgeon, "Avis signé").text)
    assert re.search(r"Signé par la boîte de [^<]+\.</span>", text)
    assert said("read-not-ours") not in text


def test_what_did_not_come_in_by_the_node_claims_nothing(world: Any, ris: Browser) -> None:
    """A letter that is put into the mailbox with our fields, and the id of a real one, has no word of ours on it; the
    same letter as it came in does (the twin)."""
    sent_to_ris(world, mail("Vraie lettre").as_bytes())
    real = opened(ris, "Vraie lettre")
    assert said("read-not-ours") not in unescape(real.text)
    letter = re.search(r"/lettres/([0-9a-z]{26})", real.text)
    assert letter
    forged = f"X-Pli-Letter: {letter[1]}\r\nX-Pli-Signature: valid\r\nX-Pli-Words: tout va bien\r\n".encode()
    put(world, forged + mail("Fausse lettre").as_bytes())
    page = opened(ris, "Fausse lettre")
    assert said("read-not-ours") in unescape(page.text)
    assert "/lettres/" not in page.text


def put(world: Any, letter: bytes) -> None:
    """Into the mailbox, by its owner's mail program."""
    context = ssl.create_default_context(cafile=str(world.ca))
    context.check_hostname = False
    with imaplib.IMAP4_SSL("127.0.0.1", world.lilas.ports.imaps, ssl_context=context) as client:
        client.login(str(RIS.address), PASSWORD)
        assert client.append("INBOX", "", "", letter)[0] == "OK"


def test_nobody_reads_anothers_mailbox(world: Any, ris: Browser) -> None:
    """The numbers of one mailbox are another letter's, or nothing, in another one."""
    sent_to_ris(world, mail("Pour le RIS seul").as_bytes())
    path = opened(ris, "Pour le RIS seul").url.raw_path.decode()
    claire = signed_in(world, str(RADIOLOGIST.address))
    assert claire.get(path).status_code == 404
    assert claire.get(path.replace("?", "/original?")).status_code == 404
    assert ris.get(path.replace("?", "/original?")).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/boite?dossier=Absent", "/boite?dossier=%0d%0aA1%20LOGOUT", "/boite?dossier=%22)", "/boite/1/1", "/boite/x/1",
     "/boite/1/9999999999999", "/boite/1/1/piece/../fichier", "/boite/1/1/piece/1.1/page/0"],
)  # fmt: skip
def test_what_is_not_there_is_no_page(ris: Browser, path: str) -> None:
    """A folder, a number, or what would end an IMAP line."""
    assert ris.get(path).status_code == 404


def test_home_begins_with_what_must_be_looked_at(world: Any, ris: Browser) -> None:
    """A letter that was refused, with why and its steps; the work list for who has the role alone, and from a letter
    read to its entry; in this order, then the mailbox."""
    assert world.pli(world.lilas, "account", "role", str(RIS.address), "identity").returncode == 0
    document = world.report(replace(sample.PATIENT, traits=replace(sample.PATIENT.traits, birth_name="AUTRE-NOM")))
    letter = world.submit(world.packed(document, RIS.address), RIS.address, sender=str(RADIOLOGIST.address))
    world.settled(world.lilas, letter)
    (row,) = world.worklist(world.lilas, letter)
    home = unescape(ris.get("/").text)
    assert f"/liste-de-travail/{row['id']}" in home
    heads = re.findall(r"<h2[^>]*>([^<]*)</h2>", home)
    assert heads == [said(f"home-{each}") for each in ("check", "box", "sent")]
    read = opened(ris, "AUTRE-NOM")
    assert f'href="/liste-de-travail/{row["id"]}"' in read.text
    claire = signed_in(world, str(RADIOLOGIST.address))
    mine = unescape(claire.get("/").text)
    assert said("home-refused") in mine
    assert f"/lettres/{letter}" in mine
    assert f"/liste-de-travail/{row['id']}" not in mine


def test_a_mailbox_that_does_not_answer_is_said_and_found_again(world: Any, ris: Browser) -> None:
    """The rest of the first page is there, with what the node itself knows; when the server is back, so is the mailbox,
    although a connection was kept."""
    letter = sent_to_ris(world, mail("Avant la panne").as_bytes())
    assert ris.get("/boite").status_code == 200
    server = world.company.dovecot(world.lilas)
    server.stop()
    try:
        for path in ("/boite", "/boite/1/1", "/boite/1/1/original"):
            answer = ris.get(path)
            assert (answer.status_code, said("box-unreachable") in unescape(answer.text)) == (503, True), path
        home = ris.get("/")
        assert (home.status_code, said("box-unreachable") in unescape(home.text)) == (200, True)
        assert f"/lettres/{letter}" in home.text
    finally:
        server.start()
    assert "Avant la panne" in unescape(ris.get("/boite").text)


def test_no_content_stands_in_a_log(world: Any, ris: Browser) -> None:
    """Of all that was read above."""
    opened(ris, sample.PATIENT.traits.birth_name)
    written = b"".join(each.read_bytes() for each in world.lilas.folder.rglob("*.log"))
    assert written
    for word in ("Gonalgie", sample.PATIENT.traits.birth_name, "Réunion de jeudi"):
        assert word.encode() not in written
