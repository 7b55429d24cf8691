"""The pages of a real node: signing in over TLS, one's own letters, their timeline, and the support's look-up."""

from __future__ import annotations

import base64
import json
import re
import sqlite3
import ssl
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from gateway.demo import stage
from gateway.demo.cast import PASSWORD, RADIOLOGIST, RIS, SURGEON
from gateway.demo.processes import free_port

pytestmark = pytest.mark.journey


@pytest.fixture(scope="module")
def world(make_world: Any) -> Iterator[Any]:
    def with_pages(built: stage.Stage) -> None:
        for seat in built.seats.values():
            seat.config.write_text(f"{seat.config.read_text('utf-8')}\n[web]\nport = {free_port()}\n", "utf-8")

    with make_world(with_pages) as made:
        yield made


class Browser:
    """As a browser does: keeps cookies, follows, sends back the hidden token of the page's form."""

    def __init__(self, world: Any) -> None:
        text = world.lilas.config.read_text("utf-8")
        port = int(re.findall(r"\[web\]\nport = (\d+)", text)[0])
        self.http = httpx.Client(
            verify=_trusting(world.ca), base_url=f"https://127.0.0.1:{port}", follow_redirects=True
        )

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path)

    def post(self, page: str, path: str, **form: str) -> httpx.Response:
        token = re.search(r'name="token" value="([0-9a-f]+)"', self.get(page).text)
        assert token
        return self.http.post(path, data={"token": token[1], **form})


def _trusting(ca: Path) -> Any:
    context = ssl.create_default_context(cafile=str(ca))
    context.check_hostname = False  # the certificate names the host, and we call loopback
    return context


def signed_in(world: Any, login: str) -> Browser:
    done = world.pli(world.lilas, "account", "code", login)
    assert (done.returncode, done.stderr) == (0, "")
    secret = parse_qs(urlsplit(done.stdout.strip()).query)["secret"][0]
    browser = Browser(world)
    code = TOTP(_bytes(secret), 6, SHA1(), 30).generate(int(datetime.now(UTC).timestamp())).decode()  # noqa: S303
    answer = browser.post("/entrer", "/entrer", login=login, password=PASSWORD, code=code)
    assert answer.status_code == 200, answer.text
    return browser


def _bytes(secret: str) -> bytes:
    return base64.b32decode(secret + "=" * (-len(secret) % 8))


@pytest.fixture(scope="module")
def claire(world: Any) -> Browser:
    return signed_in(world, str(RADIOLOGIST.address))


@pytest.fixture(scope="module")
def support(world: Any) -> Browser:
    """Somebody of the same establishment who answers for the support."""
    assert world.pli(world.lilas, "account", "role", str(RIS.address), "support").returncode == 0
    return signed_in(world, str(RIS.address))


def test_a_professional_sees_where_his_letter_is_and_no_other(world: Any, claire: Browser, support: Browser) -> None:
    """Mine, with one timeline per recipient in plain words; a colleague's is no page for anybody else."""
    letter = world.submit(world.plain(str(RADIOLOGIST.address), str(SURGEON.address)))
    world.settled(world.lilas, letter)
    assert f"/lettres/{letter}" in claire.get("/").text
    page = claire.get(f"/lettres/{letter}").text
    assert str(SURGEON.address) in page
    assert "remise" in page
    assert "hx-get" not in page.partition('id="timeline"')[2]  # settled: there is nothing more to ask
    assert support.get(f"/lettres/{letter}").status_code == 404
    assert support.get(f"/lettres/{letter}/suivi").status_code == 404
    assert f"/lettres/{letter}" not in support.get("/").text


def test_a_recipient_sees_himself_alone(world: Any, claire: Browser, support: Browser) -> None:
    """Who else got the letter may be a Bcc: of two recipients each has his own row; their author has both."""
    author, mine, other = str(RADIOLOGIST.address), RIS.address, SURGEON.address
    letter = world.submit(world.plain(author, str(mine)), mine, other)
    world.settled(world.lilas, letter)
    page = support.get(f"/lettres/{letter}").text
    assert str(mine) in page
    assert str(other) not in page
    assert str(other) not in support.get("/").text
    assert str(other) in claire.get(f"/lettres/{letter}").text


def test_the_support_finds_a_letter_and_the_journal_has_who_looked(
    world: Any, claire: Browser, support: Browser
) -> None:
    """Only who has the role; by sender; in the looker's name, and without a word of the letter."""
    login = str(RADIOLOGIST.address)
    letter = world.submit(world.plain(login, str(SURGEON.address), "Sujet tu", "Texte tu"))
    assert claire.get("/ou-est-ma-lettre").status_code == 403
    found = support.post("/ou-est-ma-lettre", "/ou-est-ma-lettre", sender=login).text
    assert letter in found
    assert "Sujet tu" not in found
    assert "Texte tu" not in found
    with closing(sqlite3.connect(f"file:{world.lilas.folder / 'data' / 'pli.sqlite'}?mode=ro", uri=True)) as base:
        asked = "SELECT facts FROM journal WHERE event = 'looked-up' AND letter_id = ?"
        looks = [json.loads(row[0]) for row in base.execute(asked, (letter,))]
    assert str(RIS.address) in json.dumps(looks)
