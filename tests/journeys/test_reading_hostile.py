"""Markup of strangers in letters (tests/hostile/xss.py), at the pages of a real node: nothing of it is an element, an
attribute or an address there, and it can still be read."""

from __future__ import annotations

import imaplib
import re
import ssl
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from typing import Any

import pytest

from directory.address import parse
from directory.entries import attributes
from directory.ldif import record
from directory.region import SUFFIX
from gateway.demo.cast import PARC, PASSWORD, RIS, SURGEON
from gateway.web.site import POLICY
from tests.hostile import xss
from tests.journeys.browsing import Browser, signed_in, with_pages

pytestmark = pytest.mark.journey

TO = str(RIS.address)


def _prepared(built: Any) -> None:
    """The region's directory has somebody for each payload, in every field that a card shows."""
    with_pages(built)
    people = [
        replace(
            SURGEON, address=parse(f"hostile{number}@{PARC}"), rpps=f"1010010{number:04}", certificates=(),
            family_name=f"HOSTILE{number}", display_name=f"{xss.MARK}nom{number} {each}",
            specialty=f"{xss.MARK}specialite{number} {each}", structure=f"{xss.MARK}structure{number} {each}",
            town=f"{xss.MARK}ville{number} {each}",
        )
        for number, each in enumerate(xss.PAYLOADS)
    ]  # fmt: skip
    more = "".join(record(f"mssAdresse={each.address},ou=bal,{SUFFIX}", attributes(each)) for each in people)
    object.__setattr__(built, "ldif", built.ldif + more)


@pytest.fixture(scope="module")
def world(make_world: Any) -> Iterator[Any]:
    with make_world(_prepared) as made:
        yield made


@pytest.fixture(scope="module")
def hostile(world: Any) -> list[xss.Hostile]:
    """All of them, in the mailbox; the first one first."""
    found = list(xss.letters(TO, world.report().raw))
    with _mailbox(world) as client:
        for each in found:
            assert client.append("INBOX", "", "", each.raw)[0] == "OK"
        assert client.create('"Dossier <img src=x onerror=alert(1)> &- LISIBLE"')[0] == "OK"
    return found


def _mailbox(world: Any) -> imaplib.IMAP4_SSL:
    context = ssl.create_default_context(cafile=str(world.ca))
    context.check_hostname = False
    client = imaplib.IMAP4_SSL("127.0.0.1", world.lilas.ports.imaps, ssl_context=context)
    client.login(TO, PASSWORD)
    return client


@pytest.fixture(scope="module")
def reader(world: Any, hostile: list[xss.Hostile]) -> Browser:
    return signed_in(world, TO)


def looked_at(browser: Browser, path: str) -> str:
    """A page, on which nothing is dangerous; its words."""
    answer = browser.get(path)
    assert answer.status_code == 200, path
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert xss.dangers(answer.text, browser.get("/aide").text) == [], path
    return xss.words(answer.text)


def everything(browser: Browser, letter: str) -> str:
    """The letter, and each thing in it that can be looked at."""
    words = looked_at(browser, letter)
    page = browser.get(letter).text
    for path in re.findall(r'href="(/boite/\d+/\d+/piece/[^"?/]+\?[^"]*)"', page):
        words += looked_at(browser, unescape(path))
    return words


def test_no_markup_of_a_stranger_runs_and_all_of_it_is_read(
    world: Any, hostile: list[xss.Hostile], reader: Browser
) -> None:
    """Subjects, names, file names, texts, HTML, CDA narratives: in the list, the letter and the previews."""
    paths: list[str] = []
    for number in range(1, -(-len(hostile) // 50) + 1):
        listed = f"/boite?page={number}"
        words = looked_at(reader, listed)
        assert "Dossier <img src=x onerror=alert(1)> & LISIBLE" in words
        paths += [unescape(each) for each in re.findall(r'<a href="(/boite/\d+/\d+\?[^"]*)"', reader.get(listed).text)]
    assert len(paths) == len(hostile)
    said = {each.name: everything(reader, path) for each, path in zip(hostile, reversed(paths), strict=True)}
    unread = [(each.name, word) for each in hostile for word in each.words if word not in said[each.name]]
    assert unread == []
    assert looked_at(reader, "/")


def test_what_is_handed_out_is_never_opened_in_the_page(hostile: list[xss.Hostile], reader: Browser) -> None:
    """Each file that a letter encloses, with its name as text in a header; the letter itself too."""
    wanted = [place for place, each in enumerate(hostile) if each.name.startswith(("line-", "cda-"))]
    listed = [path for number in (1, 2) for path in _paths(reader, number)]
    assert wanted
    for place in wanted:
        path = listed[len(hostile) - 1 - place]
        page = reader.get(path).text
        files = re.findall(r'href="(/boite/\d+/\d+/(?:piece/[^"/]+/fichier|original)\?[^"]*)"', page)
        assert len(files) == 2
        for each in files:
            answer = reader.get(unescape(each))
            assert answer.headers["content-security-policy"].startswith("sandbox;")
            assert answer.headers["content-type"] == "application/octet-stream"
            assert re.fullmatch(
                r"attachment; filename=\"[\w .-]+\"; filename\*=UTF-8''[\w.~%-]+",
                answer.headers["content-disposition"], re.ASCII,
            )  # fmt: skip


def _paths(reader: Browser, number: int) -> list[str]:
    page = reader.get(f"/boite?page={number}").text
    return [unescape(each) for each in re.findall(r'<a href="(/boite/\d+/\d+\?[^"]*)"', page)]


@pytest.mark.parametrize("number", range(len(xss.PAYLOADS)))
def test_no_markup_in_the_directory_runs(reader: Browser, number: int) -> None:
    """In the list of recipients, and on the card of one who was chosen; each field can be read."""
    empty = reader.get("/ecrire").text
    token = re.search(r'name="token" value="([0-9a-f]+)"', empty)
    assert token
    address = f"hostile{number}@{PARC}"
    for do in ("search", f"add:{address}"):
        answer = reader.http.post("/ecrire", data={"token": token[1], "do": do, "search": address})
        assert answer.status_code == 200
        assert xss.dangers(answer.text, empty) == []
        for field in ("nom", "specialite", "structure", "ville"):
            assert f"{xss.MARK}{field}{number}" in xss.words(answer.text), field


@pytest.mark.parametrize("body", xss.HTML.values(), ids=xss.HTML.keys())
def test_the_checker_finds_what_is_dangerous(body: str) -> None:
    """The twin: the same bodies put into a page as they are, but for those that only lie, weigh or confuse."""
    harmless = {"link-lies", "link-quote", "form-token", "deep", "identifier", "unclosed", "nul", "utf-7", "xml-pi"}
    name = next(key for key, value in xss.HTML.items() if value == body)
    assert bool(xss.dangers(body.replace("{m}", "x"))) is (name not in harmless)
