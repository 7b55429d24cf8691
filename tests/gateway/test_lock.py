"""A session that nobody uses is locked; who takes it up again finds his letter, and nobody else does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from gateway import config
from gateway.accounts import Accounts
from gateway.web import people
from gateway.web.faces import FACES
from gateway.web.people import People
from gateway.web.sentences import SENTENCES
from gateway.web.sessions import COOKIE
from gateway.web.site import Site

ANNA, BERT, PASSWORD = "anna@lilas.example", "bert@lilas.example", "un mot de passe"
LOCK, KEPT = timedelta(minutes=120), timedelta(hours=12)


class Workplace:
    """One browser at which several people sign in."""

    def __init__(self, settings: Any) -> None:
        self.now = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
        self.site = Site(settings, FACES, lambda: self.now)
        self.http = TestClient(self.site.application(), base_url="https://testserver", follow_redirects=False)
        self.http.headers["accept-language"] = "fr"

    @property
    def token(self) -> str:
        return self.site.sessions.token(self.http.cookies[COOKIE])

    def get(self, path: str) -> Any:
        return self.http.get(path)

    def post(self, path: str, head: dict[str, str] | None = None, **form: str) -> Any:
        return self.http.post(path, data={"token": self.token, **form}, headers=head)

    def sign_in(self, login: str = ANNA) -> Any:
        self.get("/entrer")
        secret = self.site.people.person(login).secret
        self.now += timedelta(seconds=90)  # a code counts once
        code = people._totp(secret).generate(int(self.now.timestamp())).decode()
        return self.post("/entrer", login=login, password=PASSWORD, code=code)

    def writes(self, text: str = "Cher confrère") -> str:
        """Some words, kept as they are typed; the letter's name."""
        answer = self.post("/ecrire/brouillon", subject="Objet", text=text, draft="")
        found = re.fullmatch(r'<input type="hidden" id="draft" name="draft" value="([\w-]+)">', answer.text)
        assert found, answer.text
        return found[1]


@pytest.fixture
def place(configure: Callable[[str], Path], tmp_path: Path) -> Iterator[Workplace]:
    (tmp_path / "data").mkdir()
    (tmp_path / "run").mkdir()
    made = Workplace(config.load(configure("[doors]\n[web]\n")))
    for each in (ANNA, BERT):
        Accounts(tmp_path / "passwd").add(each, PASSWORD)
        People(tmp_path / "data" / "people.json").enrol(each)
    yield made
    made.site.close()


def test_a_locked_session_shows_and_does_nothing(place: Workplace) -> None:
    """It is said whose it is and what is kept; its pages lead there, and what asks by itself is sent there too."""
    place.sign_in()
    place.now += LOCK
    assert place.get("/ecrire").headers["location"] == "/entrer"
    assert place.get("/session").headers["hx-redirect"] == "/entrer"
    page = place.get("/entrer").text
    assert SENTENCES["locked-title"][0] in page
    assert SENTENCES["locked-what"][0].format(account=ANNA) in page
    assert f'value="{ANNA}"' in page
    assert place.post("/sortir").headers["location"] == "/entrer"
    assert place.site.sessions.locked(place.http.cookies[COOKIE]) is not None


def test_who_takes_it_up_again_finds_the_letter(place: Workplace) -> None:
    """At the same browser, under a new name of the session; what was typed stands in the form."""
    place.sign_in()
    before, letter = place.http.cookies[COOKIE], place.writes()
    place.now += LOCK + timedelta(hours=1)
    answer = place.sign_in()
    assert answer.headers["location"] == f"/ecrire?brouillon={letter}"
    assert place.http.cookies[COOKIE] != before
    page = place.get(answer.headers["location"]).text
    assert "Cher confrère" in page
    assert 'value="Objet"' in page
    assert place.site.sessions.locked(before) is None


def test_somebody_else_finds_nothing(place: Workplace) -> None:
    """His own session begins empty, and the letter is gone, for its author too."""
    place.sign_in()
    letter = place.writes()
    place.now += LOCK
    assert place.sign_in(BERT).headers["location"] == "/"
    assert "Cher confrère" not in place.get(f"/ecrire?brouillon={letter}").text
    place.post("/sortir")
    place.sign_in()
    assert "Cher confrère" not in place.get(f"/ecrire?brouillon={letter}").text


def test_typing_is_use(place: Workplace) -> None:
    """What is kept as it is typed holds the lock off."""
    place.sign_in()
    letter = place.writes()
    for _ in range(4):
        place.now += timedelta(minutes=60)
        place.post("/ecrire/brouillon", draft=letter, text="encore")
    assert place.get("/ecrire").status_code == 200


def test_a_form_sent_too_late_is_kept_and_nothing_else_happens(place: Workplace) -> None:
    """Without a script too: its words wait behind the lock; a form that is not ours is not kept."""
    place.sign_in()
    place.now += LOCK
    sent = place.post("/ecrire", draft="", subject="Tard", text="Écrit sans script", do="next")
    assert (sent.status_code, sent.headers["location"]) == (303, "/entrer")
    forged = place.http.post("/ecrire", data={"token": "0" * 64, "text": "Forgé"})
    assert forged.status_code == 403
    quiet = place.post("/ecrire/brouillon", {"hx-request": "true"}, draft="", text="Écrit sans script")
    assert (quiet.status_code, quiet.headers["hx-redirect"]) == (204, "/entrer")
    page = place.get(place.sign_in().headers["location"]).text
    assert "Écrit sans script" in page
    assert "Forgé" not in page


def test_a_form_of_nobody_is_not_kept(place: Workplace) -> None:
    """Who never signed in keeps nothing here; nor does a lock that is over."""
    place.get("/entrer")
    place.post("/ecrire", draft="", text="Rien")
    assert not place.site.drafts._held
    place.sign_in()
    place.now += LOCK + KEPT
    place.post("/ecrire", draft="", text="Rien")
    assert not place.site.drafts._held


def test_what_is_locked_is_forgotten_in_the_end(place: Workplace) -> None:
    """After twelve hours more: no name is shown, and the letter is gone."""
    place.sign_in()
    place.writes()
    place.now += LOCK + KEPT
    assert SENTENCES["locked-title"][0] not in place.get("/entrer").text
    assert place.sign_in().headers["location"] == "/"
    assert len(place.site.sessions._held) == 1


def test_without_a_letter_one_goes_on_where_one_was(place: Workplace) -> None:
    """The page, not what it asked by itself."""
    place.sign_in()
    place.get("/ecrire")
    place.get("/session")
    place.now += LOCK
    assert place.sign_in().headers["location"] == "/ecrire"


def test_signing_out_keeps_nothing(place: Workplace) -> None:
    """Only a lock keeps a letter."""
    place.sign_in()
    letter = place.writes()
    place.post("/sortir")
    place.sign_in()
    assert "Cher confrère" not in place.get(f"/ecrire?brouillon={letter}").text


def test_the_lock_is_said_before_and_without_a_script(place: Workplace) -> None:
    """A region that screen readers announce, and a sentence where nothing can ask."""
    place.sign_in()
    page = place.get("/ecrire").text
    assert re.search(r'<div id="session" role="status" aria-live="polite" hx-get="/session"', page)
    assert SENTENCES["session-no-script"][0].format(minutes=120) in page
    place.now += timedelta(minutes=112)
    assert SENTENCES["session-ends"][0].format(minutes=8) in place.get("/session").text
