"""Letters that did not arrive are shown to their author until he has dealt with them, on a real spooler and journal."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from gateway import app, config
from gateway.web.faces import FACES
from gateway.web.sessions import COOKIE
from gateway.web.site import Site
from relay import spool
from relay.journal import SpoolJournal
from relay.model import BodyRef, Door, DoorProof, Event, Letter, Mode, Recipient, Route, State, Verdict, new_id
from tests.gateway.spooling import spooler, with_pages

ANNE, BERT = "anne@lilas.example", "bert@lilas.example"
FAR, FARTHER = "labo@parc.example", "accueil@parc.example"


@pytest.fixture
def settings(configure: Callable[[str], Path], tmp_path: Path) -> Iterator[config.Settings]:
    made = with_pages(configure, tmp_path, ANNE, BERT)
    with spooler(made):
        yield made


@pytest.fixture
def site(settings: config.Settings) -> Site:
    return Site(settings, FACES, lambda: datetime.now(UTC))


class Person:
    """Somebody before his first page."""

    def __init__(self, site: Site, account: str) -> None:
        self.http = TestClient(site.application(), base_url="https://testserver", follow_redirects=False)
        name = site.sessions.begin(account, "lilas")
        self.http.cookies.set(COOKIE, name)
        self._token = site.sessions.token(name)

    def says(self, recipient: str, do: str) -> int:
        form = {"token": self._token, "recipient": recipient, "do": do}
        return int(self.http.post("/a-verifier", data=form).status_code)

    def sees(self) -> tuple[list[str], list[str]]:
        """Recipients with whom he has to deal, and those with whom he has."""
        page = self.http.get("/").text
        shown = re.findall(r'name="recipient" value="([^"]+)"><button class="small" name="do" value="(\w+)"', page)
        open_ones, over = ([name for name, act in shown if act == wanted] for wanted in ("deal", "again"))
        return open_ones, over


def failed(settings: config.Settings) -> tuple[str, list[str]]:
    """A letter of Anne's that two recipients did not get: its id and theirs."""
    now = datetime.now(UTC)
    letter = new_id(now)
    body, proof = BodyRef("0123abcd", 3, "d1"), DoorProof(account=ANNE, tls="TLSv1.3")
    kept = Letter(letter, "lilas", Door.SUBMISSION, ANNE, f"<{letter}@lilas>", body, now, "", Verdict(), proof)
    route = Route(Mode.PEER_SIGNED, "parc.example", "signed-by-default")
    rows = [
        Recipient(f"{letter}-{n}", letter, "lilas", each, route, State.FAILED) for n, each in enumerate((FAR, FARTHER))
    ]
    spool.keep(app.client(settings), kept, rows, [Event("failed", letter, row.id) for row in rows])
    return letter, [row.id for row in rows]


def happens(settings: config.Settings, event: str, letter: str, recipient: str) -> None:
    SpoolJournal(app.client(settings)).add("lilas", [Event(event, letter, recipient)])


def said(settings: config.Settings) -> list[tuple[str, Any]]:
    query = "SELECT event, recipient_id, facts FROM journal WHERE event IN ('dealt-with', 'taken-up') ORDER BY number"
    with closing(sqlite3.connect(f"file:{settings.paths.data / 'pli.sqlite'}?mode=ro", uri=True)) as base:
        return [(event, recipient, json.loads(facts)["by"]) for event, recipient, facts in base.execute(query)]


def test_what_was_dealt_with_leaves_the_list_and_comes_back(settings: config.Settings, site: Site) -> None:
    """Of one recipient, in his author's name; undone it is there again."""
    _, (one, other) = failed(settings)
    anne = Person(site, ANNE)
    assert anne.sees() == ([one, other], [])
    assert anne.says(one, "deal") == 303
    assert anne.sees() == ([other], [one])
    assert anne.says(one, "again") == 303
    assert anne.sees() == ([one, other], [])
    assert said(settings) == [("dealt-with", one, ANNE), ("taken-up", one, ANNE)]


def test_it_comes_back_when_something_new_happens(settings: config.Settings, site: Site) -> None:
    """Another try that failed does; that she was told of the failure, or that somebody looked, does not."""
    letter, (one, other) = failed(settings)
    anne = Person(site, ANNE)
    assert anne.says(one, "deal") == 303
    for event in ("noticed", "looked-up", "bounced"):
        happens(settings, event, letter, one)
    happens(settings, "failed", letter, other)
    assert anne.sees() == ([other], [one])
    happens(settings, "failed", letter, one)
    assert anne.sees() == ([one, other], [])


def test_nobody_deals_with_anothers_letter(settings: config.Settings, site: Site) -> None:
    """Nor with what is no trouble, nor twice: nothing is journalled."""
    _, (one, _) = failed(settings)
    bert, anne = Person(site, BERT), Person(site, ANNE)
    assert (bert.sees(), bert.says(one, "deal"), bert.says(one, "again")) == (([], []), 404, 404)
    assert (anne.says("none", "deal"), anne.says("", "again"), anne.says(one, "again")) == (404, 404, 404)
    assert said(settings) == []
    assert (anne.says(one, "deal"), anne.says(one, "deal")) == (303, 404)
    assert said(settings) == [("dealt-with", one, ANNE)]
