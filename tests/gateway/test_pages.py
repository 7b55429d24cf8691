"""The foundation of the pages: who is let in, and what every answer carries."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner
from starlette.responses import Response
from starlette.testclient import TestClient

from gateway import config
from gateway.accounts import Accounts
from gateway.cli import pli
from gateway.doors import introspection
from gateway.tokens import Refused
from gateway.web import guard, people, roles, sentences, signing
from gateway.web.faces import FACES
from gateway.web.passes import LIFE, Passes
from gateway.web.people import People
from gateway.web.roles import Face, Role
from gateway.web.sessions import COOKIE
from gateway.web.site import Site
from gateway.web.visits import Visit

ANNA, PASSWORD = "anna@lilas.example", "un mot de passe"


async def _plain(visit: Visit) -> Response:
    return Response("vu")


ONE_EACH = tuple(Face(f"/of/{role.value}", _plain, frozenset({role}), ("GET", "POST")) for role in Role)


class Pages:
    """A site with one page for each role, its clock, and somebody with a password and one-time codes."""

    def __init__(self, settings: Any, secret: bytes) -> None:
        self.now = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
        self.site = Site(settings, (*FACES, *ONE_EACH), lambda: self.now)
        self._secret = secret

    def browser(self) -> TestClient:
        return TestClient(self.site.application(), base_url="https://testserver", follow_redirects=False)

    def code(self) -> str:
        return people._totp(self._secret).generate(int(self.now.timestamp())).decode()

    def sign_in(self, browser: TestClient, **wrong: str) -> Any:
        told = {"token": token(browser.get("/entrer")), "login": ANNA, "password": PASSWORD, "code": self.code()}
        return browser.post("/entrer", data=told | wrong)


def token(answer: Any) -> str:
    found = re.search(r'name="token" value="([0-9a-f]{64})"', answer.text)
    assert found, answer.text
    return found[1]


@pytest.fixture
def settings(configure: Callable[[str], Path], tmp_path: Path) -> Any:
    (tmp_path / "data").mkdir()
    (tmp_path / "run").mkdir()
    Accounts(tmp_path / "passwd").add(ANNA, PASSWORD)
    return config.load(configure("[doors]\n[web]\n"))


@pytest.fixture
def pages(settings: Any) -> Iterator[Pages]:
    held = People(settings.paths.data / "people.json")
    held.enrol(ANNA)
    made = Pages(settings, held.person(ANNA).secret)
    yield made
    made.site.close()


def test_password_and_code_let_in(pages: Pages) -> None:
    """And the address of a page that is not public leads to signing in before."""
    browser = pages.browser()
    assert browser.get("/of/professional").headers["location"] == "/entrer"
    answer = pages.sign_in(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert browser.get("/of/professional").text == "vu"


@pytest.mark.parametrize("wrong", [{"password": "x"}, {"code": "000000"}, {"login": "bert@lilas.example"}])
def test_one_wrong_thing_lets_nobody_in_and_sounds_like_another(pages: Pages, wrong: dict[str, str]) -> None:
    """Login, password and code have one answer."""
    browser = pages.browser()
    answer = pages.sign_in(browser, **wrong)
    assert answer.status_code == 403
    assert sentences.SENTENCES["signing-wrong"][0] in answer.text
    assert browser.get("/of/professional").status_code == 303


def test_a_code_counts_once(pages: Pages) -> None:
    """RFC 6238 §5.2; the one of the next step does count."""
    assert pages.sign_in(pages.browser()).status_code == 303
    assert pages.sign_in(pages.browser()).status_code == 403
    pages.now += timedelta(seconds=30)
    assert pages.sign_in(pages.browser()).status_code == 303


def test_a_new_secrets_code_counts_at_once(pages: Pages) -> None:
    """Of the same moment as one that was used: it is another code, and the old secret's counts no more."""
    assert pages.sign_in(pages.browser()).status_code == 303
    People(pages.site.people._file).enrol(ANNA)
    old = pages.code()
    pages._secret = People(pages.site.people._file).person(ANNA).secret
    assert pages.sign_in(pages.browser(), code=old).status_code == 403
    assert pages.sign_in(pages.browser()).status_code == 303
    assert pages.sign_in(pages.browser()).status_code == 403


def test_tries_are_counted(pages: Pages) -> None:
    """After ten of one login the right one waits a quarter of an hour too; where it came in lately it comes in again,
    so that who guesses keeps nobody out."""
    for _ in range(10):
        assert pages.sign_in(pages.browser(), password="x").status_code == 403
    assert pages.sign_in(pages.browser()).status_code == 429
    pages.now += timedelta(minutes=16)
    assert pages.sign_in(pages.browser()).status_code == 303
    for _ in range(12):
        assert pages.sign_in(pages.browser(), password="x").status_code == 403
    pages.now += timedelta(seconds=30)
    assert pages.sign_in(pages.browser()).status_code == 303


def test_guesses_from_one_place_are_counted(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty failures from the addresses of one block, whatever the logins; another block is not touched."""
    client = ["2001:db8::1"]
    monkeypatch.setattr(signing, "client_of", lambda visit: client[0])
    for number in range(30):
        client[0] = f"2001:db8::{number + 1:x}"
        assert pages.sign_in(pages.browser(), login=f"{number}@lilas.example").status_code == 403
    assert pages.sign_in(pages.browser()).status_code == 429
    client[0] = "2001:db8:1::1"
    assert pages.sign_in(pages.browser()).status_code == 303


def test_a_suspended_account_has_no_session_left(pages: Pages, settings: Any) -> None:
    """Its page leads to signing in, which it may not."""
    browser = pages.browser()
    pages.sign_in(browser)
    assert browser.get("/of/professional").text == "vu"
    Accounts(settings.accounts.file).suspend(ANNA, to=True)
    assert browser.get("/of/professional").headers["location"] == "/entrer"
    Accounts(settings.accounts.file).suspend(ANNA, to=False)
    assert browser.get("/of/professional").headers["location"] == "/entrer"


@pytest.mark.parametrize("role", list(Role))
def test_every_page_with_every_role(pages: Pages, role: Role) -> None:
    """Whoever has a role opens its pages, and no other."""
    browser = pages.browser()
    pages.site.people.give(ANNA, frozenset({role}))
    browser.cookies.set(COOKIE, pages.site.sessions.begin(ANNA, "lilas"))
    for face in ONE_EACH:
        opens = bool(face.roles & {role, Role.PROFESSIONAL})
        assert browser.get(face.path).status_code == (200 if opens else 403), face.path


def test_a_role_that_was_taken_away_is_gone_at_the_next_click(pages: Pages, settings: Any) -> None:
    """Roles are asked at each request, of the file that `pli account role` writes, not kept from the sign-in."""
    browser, elsewhere = pages.browser(), People(settings.paths.data / "people.json")
    pages.sign_in(browser)
    assert browser.get("/of/operator").status_code == 403
    elsewhere.give(ANNA, frozenset({Role.OPERATOR}))
    assert browser.get("/of/operator").text == "vu"
    assert 'href="/file"' in browser.get("/aide").text
    elsewhere.give(ANNA, frozenset())
    assert browser.get("/of/operator").status_code == 403
    assert 'href="/file"' not in browser.get("/aide").text


def test_the_rule_of_roles_stands_in_one_place(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    """Switched off, everybody opens everything."""
    monkeypatch.setattr(guard, "allowed", lambda face, held: True)
    browser = pages.browser()
    browser.cookies.set(COOKIE, pages.site.sessions.begin(ANNA, "lilas"))
    assert browser.get("/of/operator").text == "vu"


def test_only_public_pages_are_open_to_anybody(pages: Pages) -> None:
    """Of the whole table."""
    browser = pages.browser()
    for face in pages.site.faces:
        if not face.public and "GET" in face.methods:
            assert browser.get(face.path).status_code in (204, 303), face.path
        assert face.public or face.roles


def test_a_change_needs_the_token_of_its_session(pages: Pages) -> None:
    """None, another visitor's, or one from elsewhere changes nothing (CSRF)."""
    browser, other = pages.browser(), pages.browser()
    pages.sign_in(browser)
    foreign = token(other.get("/entrer"))
    right = pages.site.sessions.token(browser.cookies[COOKIE])
    for told in ({}, {"token": ""}, {"token": foreign}):
        assert browser.post("/of/professional", data=told).status_code == 403
    elsewhere = browser.post("/of/professional", data={"token": right}, headers={"sec-fetch-site": "cross-site"})
    assert elsewhere.status_code == 403
    assert browser.post("/of/professional", data={"token": right}).text == "vu"


def test_a_planted_session_is_worth_nothing(pages: Pages) -> None:
    """The name is new at each sign-in (fixation), and ends when one signs out."""
    browser, thief = pages.browser(), pages.browser()
    browser.get("/entrer")
    planted = browser.cookies[COOKIE]
    answer = pages.sign_in(browser)
    kept = answer.cookies[COOKIE]
    assert kept != planted
    thief.cookies.set(COOKIE, planted)
    assert thief.get("/of/professional").status_code == 303
    browser.cookies.clear()
    browser.cookies.set(COOKIE, kept)
    browser.post("/sortir", data={"token": pages.site.sessions.token(kept)})
    thief.cookies.clear()
    thief.cookies.set(COOKIE, kept)
    assert thief.get("/of/professional").status_code == 303


def test_the_cookie_is_for_this_host_and_no_script(pages: Pages) -> None:
    """__Host-, Secure, HttpOnly, SameSite=Strict."""
    said = pages.browser().get("/entrer").headers["set-cookie"].lower()
    assert said.startswith(COOKIE.lower())
    assert {"secure", "httponly", "samesite=strict", "path=/"} <= {each.strip() for each in said.split(";")}


@pytest.mark.parametrize("path", ["/entrer", "/nowhere", "/static/pli.css", "/of/professional"])
def test_every_answer_carries_the_policy(pages: Pages, path: str) -> None:
    """No inline script, no frame of others around it (clickjacking), whatever the answer."""
    head = pages.browser().get(path).headers
    policy = head["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert (head["x-content-type-options"], head["referrer-policy"]) == ("nosniff", "no-referrer")


def test_a_session_warns_and_ends(pages: Pages) -> None:
    """A page that asks by itself keeps none awake; a person who stays does."""
    browser = pages.browser()
    pages.sign_in(browser)
    pages.now += timedelta(minutes=111)
    assert "9 min" in browser.get("/session").text or "8 min" in browser.get("/session").text
    pages.now += timedelta(minutes=5)
    browser.post("/session", data={"token": pages.site.sessions.token(browser.cookies[COOKIE])})
    assert "min." not in browser.get("/session").text
    pages.now += timedelta(minutes=120)
    assert browser.get("/session").headers["hx-redirect"] == "/entrer"


def test_a_form_that_is_too_large_is_refused(pages: Pages) -> None:
    """Counted as it comes."""
    browser = pages.browser()
    pages.sign_in(browser)
    right = pages.site.sessions.token(browser.cookies[COOKIE])
    assert browser.post("/of/professional", data={"token": right, "x": "a" * roles.SMALL}).status_code == 413
    assert browser.post("/of/professional", data={"token": right, "x": "a"}).status_code == 200


def test_every_sentence_has_both_languages(pages: Pages) -> None:
    """And a page is in the one that is asked for."""
    assert [key for key, pair in sentences.SENTENCES.items() if len(pair) != 2 or not all(pair)] == []
    english = pages.browser().get("/entrer", headers={"accept-language": "en-GB,fr;q=0.5"}).text
    assert '<html lang="en">' in english
    assert "Sign in" in english
    assert '<html lang="fr">' in pages.browser().get("/entrer").text


def test_what_is_typed_is_shown_as_text(pages: Pages) -> None:
    """A login that is markup comes back escaped."""
    answer = pages.sign_in(pages.browser(), login='"><script>alert(1)</script>')
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text


def test_a_pass_opens_one_mailbox_for_minutes(settings: Any, tmp_path: Path) -> None:
    """Altered, over, made before a restart, or of a suspended account, it opens none."""
    now = [datetime(2026, 11, 26, 9, 0, tzinfo=UTC)]
    passes = Passes(tmp_path / "pass.key", lambda: now[0])
    passes.renew_key()
    made = passes.make(ANNA)
    assert passes.redeem(made) == (ANNA, now[0] + LIFE)
    assert passes.redeem(made[:-1] + ("0" if made[-1] != "0" else "1")) is None
    assert passes.redeem(made.replace("pli-pass.", "pli-pass.a")) is None
    now[0] += LIFE
    assert passes.redeem(made) is None
    again = passes.make(ANNA)
    passes.renew_key()
    assert passes.redeem(again) is None


def test_dovecots_question_takes_a_pass(settings: Any) -> None:
    """By the wiring of the doors; a suspended account's is taken no more, nor any where there are no pages."""
    from gateway import app, entrance

    redeem = entrance._redeems(settings)
    passes, accounts = Passes(settings.pass_key, app.clock), app.accounts(settings)
    passes.renew_key()
    made = passes.make(ANNA)
    found = introspection.judged(accounts, made, redeem)
    assert not isinstance(found, Refused)
    assert found.account == ANNA
    assert isinstance(introspection.judged(accounts, made, None), Refused)
    Accounts(settings.accounts.file).suspend(ANNA, to=True)
    assert isinstance(introspection.judged(accounts, made, redeem), Refused)


def test_commands_give_a_code_and_a_role(configure: Callable[[str], Path], settings: Any) -> None:
    """And refuse another's domain, a role that there is not, a node without pages."""
    file, run = str(configure("[doors]\n[web]\n")), CliRunner().invoke
    said = run(pli, ["--config", file, "account", "code", ANNA])
    assert said.exit_code == 0, said.output
    assert parse_qs(urlsplit(said.output.strip()).query)["secret"]
    assert run(pli, ["--config", file, "account", "role", ANNA, "operator"]).exit_code == 0
    held = People(settings.paths.data / "people.json").person(ANNA)
    assert held.roles == {Role.PROFESSIONAL, Role.OPERATOR}
    assert run(pli, ["--config", file, "account", "role", ANNA, "king"]).exit_code == 2
    assert run(pli, ["--config", file, "account", "code", "anna@parc.example"]).exit_code != 0
    assert run(pli, ["--config", str(configure("[doors]\n")), "account", "code", ANNA]).exit_code != 0


@pytest.mark.root
def test_what_root_wrote_the_pages_read(tmp_path: Path) -> None:
    """`pli account role` typed by root leaves the file to the account whose folder it is in."""
    os.chown(tmp_path, 65534, 65534)
    People(tmp_path / "people.json").give(ANNA, frozenset({Role.SUPPORT}))
    held = (tmp_path / "people.json").stat()
    assert (held.st_uid, held.st_gid, held.st_mode & 0o777) == (65534, 65534, 0o600)
