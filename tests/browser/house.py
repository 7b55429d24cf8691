"""A node with something on every page: people of every role, letters, a document that waits for a decision, a queue.

Promises: invented people and patients, and real servers. Does not: decide what a journey does with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from playwright.sync_api import Browser

from directory.feed import generator
from dmp_bridge.model import Ins, InsStatus, Patient, Traits
from gateway.demo import clients, looks, sample
from gateway.demo.cast import PASSWORD, RADIOLOGIST, RIS, SURGEON
from gateway.demo.clients import Login
from gateway.web.roles import Role
from gateway.web.sentences import SENTENCES
from tests.browser.chromium import View, Window, window
from tests.journeys.browsing import _bytes, with_pages
from tests.journeys.conftest import World, _world

CLAIRE, KEEPER = str(RADIOLOGIST.address), str(RIS.address)
"""A professional; and somebody who has every role."""
_FIRST = datetime.now(UTC) - timedelta(hours=12)
_ROOT = "1.2.250.1.213.1.4.10"
_TRAITS = Traits("VAUQUELIN", "HERMINE", "HERMINE", date(1985, 6, 14), "F", "35238")


@dataclass
class House:
    """The running stage, a browser, and who is signed in."""

    world: World
    browser: Browser
    states: dict[str, Any]

    @property
    def origin(self) -> str:
        port = re.findall(r"\[web\]\nport = (\d+)", self.world.lilas.config.read_text("utf-8"))[0]
        return f"https://127.0.0.1:{port}"

    @contextmanager
    def window(self, view: View, login: str = "") -> Iterator[Window]:
        """Of somebody who is signed in; without a login of a stranger. In the end nothing may have troubled it."""
        if login and login not in self.states:
            with window(self.browser, self.origin, view) as first:
                sign_in(self, first, view, login)
                self.states[login] = first.page.context.storage_state()
        with window(self.browser, self.origin, view, self.states.get(login)) as opened:
            if login:
                opened.open("/")
            yield opened
            opened.untroubled()


def said(view: View, key: str, **values: object) -> str:
    return SENTENCES[key][view.language != "fr"].format(**values)


def code(house: House, login: str) -> str:
    """The code of the moment: his application is enrolled anew."""
    done = house.world.pli(house.world.lilas, "account", "code", login)
    assert (done.returncode, done.stderr) == (0, "")
    secret = parse_qs(urlsplit(done.stdout.strip()).query)["secret"][0]
    return TOTP(_bytes(secret), 6, SHA1(), 30).generate(int(datetime.now(UTC).timestamp())).decode()  # noqa: S303


def sign_in(house: House, at: Window, view: View, login: str) -> None:
    """With the keyboard alone."""
    at.open("/")
    assert at.path == "/entrer"
    at.type(at.page.locator("#login"), login)
    at.type(at.page.locator("#password"), PASSWORD)
    at.type(at.page.locator("#code"), code(house, login))
    at.submit(at.button(said(view, "signing-go")))
    assert at.path == "/", at.page.inner_text("main")


def everybody(world: World) -> None:
    roles = [role.value for role in Role if role is not Role.PROFESSIONAL]
    assert world.pli(world.lilas, "account", "role", KEEPER, *roles).returncode == 0


def waiting(world: World, number: int = 101) -> str:
    """A document whose patient a person must confirm: the register has another birth name. Its entry."""
    body = f"2850635238{number}"
    ins = Ins(f"{body}{97 - int(body) % 97:02}", _ROOT)
    known = Patient(ins, _TRAITS, ((f"{sample.ROOT}.1", f"LDT-{number}"),), InsStatus.QUALIFIED)
    world.enrol(world.lilas, known)
    written = replace(known, traits=replace(_TRAITS, birth_name="EPOUSEE"))
    letter = world.submit(world.packed(world.report(written)))
    world.settled(world.lilas, letter)
    (row,) = world.worklist(world.lilas, letter)
    return str(row["id"])


def of_the_minute(minutes: int) -> str:
    """A file of the national mailboxes, so much younger than the first one, by its name."""
    return f"Extraction_Correspondance_MSSante_{_FIRST + timedelta(minutes=minutes):%Y%m%d%H%M}.txt"


def imported(world: World) -> bytes:
    """The mailboxes of an invented country, which the directory has from now on."""
    folder = world.company.stage.folder / "country"
    data = generator.write(generator.Country(30), folder)["mssante"].read_bytes()
    plan = str(world.lilas.folder / "data" / "first.plan")
    file = str(world.paper(of_the_minute(0), data))
    for act in (["plan", file, "--source", "mssante", "--out", plan], ["apply", plan]):
        done = world.pli(world.lilas, "directory", *act)
        assert done.returncode == 0, done.stderr
    return data


def lived_in(world: World) -> None:
    """Letters sent and received, one with a document; and an entry of the work list."""
    received = [world.plain(CLAIRE, KEEPER, each) for each in ("Réunion de concertation", "Gardes de décembre")]
    _handed_in(world, CLAIRE, KEEPER, *received, world.packed(world.report(), RIS.address))
    _handed_in(world, CLAIRE, str(SURGEON.address), world.packed(world.report()))
    _handed_in(world, KEEPER, CLAIRE, world.plain(KEEPER, CLAIRE, "Créneau IRM"))
    waiting(world)
    login = Login(KEEPER, PASSWORD)
    last = looks.message_id(received[-1])
    world.until(lambda: clients.mailbox_search(world.lilas.ports.imap, login, last, world.ca), "a letter received")


def _handed_in(world: World, sender: str, to: str, *mails: bytes) -> None:
    with world.submission(world.lilas, sender) as client:
        for mail in mails:
            assert client.sendmail(sender, [to], mail) == {}


@contextmanager
def opened() -> Iterator[World]:
    with _world(with_pages) as world:
        everybody(world)
        lived_in(world)
        yield world
