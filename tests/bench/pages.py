"""The pages, measured: from the browser's question to the whole answer, over TLS, signed in.

A node of the demo with its Dovecot and its slapd; a mailbox is filled with letters whose subjects must be escaped, and
the directory with an invented country. Asked by turns: the first page, the list's newest, second and middle page, a
letter, whom to write to, and as the region's keeper a search and an entry. The peers, by turns in the same run: the
mail server itself, asked over a connection that stays for the same headers of the same fifty letters, and the
directory's look-up without a page around it: what a page cannot be faster than. Times are of one browser that asks one
page after the other; page_bytes is the most that went to the browser; third_party counts what the pages would have it
load from elsewhere. In full: ./dev bench pages
"""

from __future__ import annotations

import argparse
import base64
import imaplib
import os
import platform
import re
import shutil
import ssl
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

import httpx

from directory.ldap import LdapDirectory
from gateway.demo import pages, stage
from gateway.demo.cast import PASSWORD, RADIOLOGIST
from gateway.demo.processes import new_folder
from gateway.demo.running import Company, company
from gateway.demo.servers import Slapd
from gateway.demo.stage import Seat
from gateway.imap import HEADS
from gateway.web.inbox import EACH
from tests.bench import resolving, searching

LOGIN = str(RADIOLOGIST.address)
BATCH = 1000
SUBJECT = "CR d'imagerie médicale <PAT-TROIS> & DOMINIQUE, l'été, n° {}" + " très long" * 8


ELSEWHERE = re.compile(rb"""(?:\b(?:src|srcset|data|poster|action)=["']?|<link[^>]*href=["']?|url\()(?:https?:)?//""")
"""What a browser would fetch from, or send to, another host."""
Question = Callable[[], tuple[int, int]]
"""Answers how many octets came, and how much of the page lies elsewhere."""


@dataclass(frozen=True)
class Scene:
    browser: httpx.Client
    keeper: httpx.Client
    mailbox: imaplib.IMAP4_SSL
    directory: LdapDirectory
    addresses: list[str]
    letters: int


def bench(arguments: list[str]) -> dict[str, Any]:
    """Runs it and answers ratios, figures and conditions. Raises SystemExit where a page is not there."""
    asked = _asked(arguments)
    with _scene(asked) as scene:
        questions = _questions(scene) | {"server": _server(scene), "directory": _directory(scene)}
        took = {name: list[float]() for name in questions}
        sizes, elsewhere = dict.fromkeys(questions, 0), 0
        for _ in range(asked.rounds):
            for name, question in questions.items():
                for _ in range(asked.times):
                    begun = time.perf_counter()
                    size, outside = question()
                    took[name].append(time.perf_counter() - begun)
                    sizes[name], elsewhere = max(sizes[name], size), elsewhere + outside
    return _told(asked, took, sizes, elsewhere)


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench pages")
    parser.add_argument("--letters", type=int, default=100_000, help="in the mailbox")
    parser.add_argument("--mailboxes", type=int, default=600_000, help="in the directory")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--times", type=int, default=20, help="that each page is asked for in a round")
    return parser.parse_args(arguments)


def _questions(scene: Scene) -> dict[str, Question]:
    middle = max(1, scene.letters // EACH // 2)
    listed = {"newest": "/boite", "second": "/boite?page=2", "middle": f"/boite?page={middle}"}
    newest = scene.browser.get("/boite").content
    letter = re.search(rb'href="(/boite/\d+/\d+[^"]*)"', newest)
    if letter is None:
        raise SystemExit("bench pages: the list names no letter")
    paths = {"home": "/", **listed, "letter": letter[1].decode().replace("&amp;", "&")}
    read: dict[str, Question] = {name: partial(_content, scene.browser, path) for name, path in paths.items()}
    return read | {
        "recipients": _asking(scene.browser, "/ecrire", "/ecrire/destinataires", "search"),
        "region_search": _asking(scene.keeper, "/annuaire", "/annuaire", "words"),
        "region_entry": _entries(scene),
    }


def _content(browser: httpx.Client, path: str) -> tuple[int, int]:
    return _seen(path, browser.get(path))


def _seen(path: str, answer: httpx.Response) -> tuple[int, int]:
    if answer.status_code != 200:
        raise SystemExit(f"bench pages: {path} answers {answer.status_code}")
    return len(answer.content), len(ELSEWHERE.findall(answer.content))


def _asking(browser: httpx.Client, form: str, path: str, field: str) -> Question:
    """Other words each time, as people type them."""
    token, numbers = _token(browser, form), count()

    def asked() -> tuple[int, int]:
        words = searching.words(next(numbers))
        return _seen(path, browser.post(path, data={"token": token, field: words}))

    return asked


def _entries(scene: Scene) -> Question:
    numbers = count()

    def asked() -> tuple[int, int]:
        named = scene.addresses[next(numbers) % len(scene.addresses)]
        return _content(scene.keeper, f"/annuaire/fiche/{named}")

    return asked


def _server(scene: Scene) -> Question:
    """The same fifty letters, asked of the server alone."""
    first = max(1, scene.letters - EACH + 1)

    def asked() -> tuple[int, int]:
        scene.mailbox.select("INBOX", readonly=True)
        _, found = scene.mailbox.fetch(f"{first}:{scene.letters}", HEADS)
        return sum(len(part) for each in found if isinstance(each, tuple) for part in each), 0

    return asked


def _directory(scene: Scene) -> Question:
    """The same words, asked of the directory without a page."""
    numbers = count()

    def asked() -> tuple[int, int]:
        return len(repr(scene.directory.search(searching.words(next(numbers))))), 0

    return asked


@contextmanager
def _scene(asked: argparse.Namespace) -> Iterator[Scene]:
    folder = new_folder("pli-b-")
    built = stage.build(folder / "s", datetime.now(UTC), with_pages=True)
    seat = built.seats["lilas"]
    try:
        with company(built) as running:
            directory, addresses = _region(running, folder, asked.mailboxes)
            context = ssl.create_default_context(cafile=str(built.anchors))
            context.check_hostname = False  # the certificate names the host, and we call loopback
            mailbox = imaplib.IMAP4_SSL("127.0.0.1", seat.ports.imaps, ssl_context=context)
            mailbox.login(LOGIN, PASSWORD)
            _fill(mailbox, asked.letters)
            with _signed_in(seat, context, LOGIN) as browser, _signed_in(seat, context, pages.KEEPER) as keeper:
                yield Scene(browser, keeper, mailbox, directory, addresses, asked.letters)
            mailbox.logout()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _region(running: Company, folder: Path, mailboxes: int) -> tuple[LdapDirectory, list[str]]:
    """Puts an invented country beside those of the demo; the directory, and some of its addresses."""
    (folder / "country").mkdir()
    addresses = resolving.planned(folder / "country", mailboxes)
    server = replace(running.slapd, max_bytes=8 << 30)
    server.stop()
    server.load(chain((running.stage.ldif,), resolving.entries(folder / "country/plan")))
    server.start()
    return _reader(server), addresses


def _reader(server: Slapd) -> LdapDirectory:
    clock = partial(datetime.now, UTC)
    return LdapDirectory(server.uri, server.suffix, server.relay_dn, server.passwords.relay, clock=clock)


def _fill(mailbox: imaplib.IMAP4_SSL, letters: int) -> None:
    """By MULTIAPPEND (RFC 3502) without waiting (RFC 7888): one command for many letters."""
    for begun in range(1, letters + 1, BATCH):
        batch = [_letter(number) for number in range(begun, min(begun + BATCH, letters + 1))]
        said = b"".join(b" {%d+}\r\n%s" % (len(each), each) for each in batch)
        mailbox.send(b"FILL APPEND INBOX" + said + b"\r\n")
        while not (line := mailbox.readline()).startswith(b"FILL "):
            pass
        if not line.startswith(b"FILL OK"):
            raise SystemExit("bench pages: the mailbox takes no letters")


def _letter(number: int) -> bytes:
    subject = base64.b64encode(SUBJECT.format(number).encode()).decode()
    head = f"From: =?utf-8?q?Dr_H=C3=A9l=C3=A8ne?= <h{number}@parc.example>\r\nSubject: =?utf-8?b?{subject}?=\r\n"
    return f"{head}Date: Thu, 26 Nov 2026 09:00:00 +0000\r\nMIME-Version: 1.0\r\n\r\nBonjour.\r\n".encode()


@contextmanager
def _signed_in(seat: Seat, context: ssl.SSLContext, login: str) -> Iterator[httpx.Client]:
    url = f"https://127.0.0.1:{seat.ports.pages}"
    with httpx.Client(verify=context, base_url=url, follow_redirects=True, timeout=60) as browser:
        code = pages.code(seat.folder, login, datetime.now(UTC))
        told = {"token": _token(browser, "/entrer"), "login": login, "password": PASSWORD, "code": code}
        browser.post("/entrer", data=told).raise_for_status()
        yield browser


def _token(browser: httpx.Client, path: str) -> str:
    token = re.search(r'name="token" value="([0-9a-f]+)"', browser.get(path).text)
    if token is None:
        raise SystemExit(f"bench pages: {path} has no form")
    return token[1]


def _told(
    asked: argparse.Namespace, took: dict[str, list[float]], sizes: dict[str, int], elsewhere: int
) -> dict[str, Any]:
    figures: dict[str, float] = {"third_party": elsewhere}
    for name, each in took.items():
        figures[f"{name}_ms"] = round(statistics.median(each) * 1000, 1)
        figures[f"{name}_p95_ms"] = round(sorted(each)[int(len(each) * 0.95)] * 1000, 1)
        figures[f"{name}_page_bytes"] = sizes[name]
    ratios = {name: round(figures["server_ms"] / figures[f"{name}_ms"], 3) for name in ("newest", "second", "middle")}
    for name in ("recipients", "region_search"):
        ratios[name] = round(figures["directory_ms"] / figures[f"{name}_ms"], 3)
    conditions = f"{platform.machine()}, {os.cpu_count()} cores, {asked.letters} letters, {asked.mailboxes} mailboxes"
    peer = "Dovecot itself, the same headers; the directory's look-up, the same words"
    return {"peer": peer, "ratios": ratios, "figures": figures, "conditions": f"{conditions}, {asked.rounds} rounds"}
