"""The pages of a mailbox, measured: from the browser's question to the whole answer, over TLS, signed in.

A node of the demo with its Dovecot; one mailbox is filled with letters whose subjects must be escaped. Asked by turns:
the first page, the list's newest, second and middle page, and a letter. The peer, by turns in the same run: the server
itself, asked over a connection that stays for the same headers of the same fifty letters: what a page cannot be faster
than. Times are of one browser that asks one page after the other; page_bytes is what goes to the browser.
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
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx

from gateway.demo import pages, stage
from gateway.demo.cast import PASSWORD, RADIOLOGIST
from gateway.demo.processes import new_folder
from gateway.demo.running import company
from gateway.imap import HEADS
from gateway.web.inbox import EACH

LOGIN = str(RADIOLOGIST.address)
BATCH = 1000
SUBJECT = "CR d'imagerie médicale <PAT-TROIS> & DOMINIQUE, l'été, n° {}" + " très long" * 8


@dataclass(frozen=True)
class Scene:
    browser: httpx.Client
    mailbox: imaplib.IMAP4_SSL
    letters: int


def bench(arguments: list[str]) -> dict[str, Any]:
    """Runs it and answers ratios, figures and conditions. Raises SystemExit where a page is not there."""
    asked = _asked(arguments)
    with _scene(asked.letters) as scene:
        took = {name: list[float]() for name in (*_questions(scene), "server")}
        sizes: dict[str, int] = {}
        for _ in range(asked.rounds):
            for name, question in {**_questions(scene), "server": _server(scene)}.items():
                for _ in range(asked.times):
                    begun = time.perf_counter()
                    sizes[name] = question()
                    took[name].append(time.perf_counter() - begun)
    return _told(asked, took, sizes)


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench pages")
    parser.add_argument("--letters", type=int, default=100_000, help="in the mailbox")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--times", type=int, default=20, help="that each page is asked for in a round")
    return parser.parse_args(arguments)


def _questions(scene: Scene) -> dict[str, Callable[[], int]]:
    """Each answers how many octets came."""
    middle = max(1, scene.letters // EACH // 2)
    listed = {"newest": "/boite", "second": "/boite?page=2", "middle": f"/boite?page={middle}"}
    newest = _content(scene, "/boite")
    letter = re.search(rb'href="(/boite/\d+/\d+[^"]*)"', newest)
    if letter is None:
        raise SystemExit("bench pages: the list names no letter")
    paths = {"home": "/", **listed, "letter": letter[1].decode().replace("&amp;", "&")}
    return {name: partial(_size, scene, path) for name, path in paths.items()}


def _size(scene: Scene, path: str) -> int:
    return len(_content(scene, path))


def _content(scene: Scene, path: str) -> bytes:
    answer = scene.browser.get(path)
    if answer.status_code != 200:
        raise SystemExit(f"bench pages: {path} answers {answer.status_code}")
    return answer.content


def _server(scene: Scene) -> Callable[[], int]:
    """The same fifty letters, asked of the server alone."""
    first = max(1, scene.letters - EACH + 1)

    def asked() -> int:
        scene.mailbox.select("INBOX", readonly=True)
        _, found = scene.mailbox.fetch(f"{first}:{scene.letters}", HEADS)
        return sum(len(part) for each in found if isinstance(each, tuple) for part in each)

    return asked


@contextmanager
def _scene(letters: int) -> Iterator[Scene]:
    folder = new_folder("pli-b-")
    built = stage.build(folder / "s", datetime.now(UTC), with_pages=True)
    seat = built.seats["lilas"]
    try:
        with company(built):
            context = ssl.create_default_context(cafile=str(built.anchors))
            context.check_hostname = False  # the certificate names the host, and we call loopback
            mailbox = imaplib.IMAP4_SSL("127.0.0.1", seat.ports.imaps, ssl_context=context)
            mailbox.login(LOGIN, PASSWORD)
            _fill(mailbox, letters)
            url = f"https://127.0.0.1:{seat.ports.pages}"
            with httpx.Client(verify=context, base_url=url, follow_redirects=True) as browser:
                _sign_in(browser, pages.code(seat.folder, LOGIN, datetime.now(UTC)))
                yield Scene(browser, mailbox, letters)
            mailbox.logout()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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


def _sign_in(browser: httpx.Client, code: str) -> None:
    token = re.search(r'name="token" value="([0-9a-f]+)"', browser.get("/entrer").text)
    if token is None:
        raise SystemExit("bench pages: nobody can sign in")
    told = {"token": token[1], "login": LOGIN, "password": PASSWORD, "code": code}
    browser.post("/entrer", data=told).raise_for_status()


def _told(asked: argparse.Namespace, took: dict[str, list[float]], sizes: dict[str, int]) -> dict[str, Any]:
    figures: dict[str, float] = {}
    for name, each in took.items():
        figures[f"{name}_ms"] = round(statistics.median(each) * 1000, 1)
        figures[f"{name}_p95_ms"] = round(sorted(each)[int(len(each) * 0.95)] * 1000, 1)
        figures[f"{name}_page_bytes"] = sizes[name]
    ratios = {name: round(figures["server_ms"] / figures[f"{name}_ms"], 3) for name in ("newest", "second", "middle")}
    conditions = f"{platform.machine()}, {os.cpu_count()} cores, {asked.letters} letters, {asked.rounds} rounds"
    return {"peer": "Dovecot itself, the same headers", "ratios": ratios, "figures": figures, "conditions": conditions}
