"""Dovecot asks our rule whom a token lets in: the door alone, then a real Dovecot and a real provider."""

from __future__ import annotations

import asyncio
import imaplib
import shutil
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from gateway import config, entrance
from gateway.accounts import Accounts
from gateway.config import ConfigError
from gateway.demo.processes import Account, Programs, free_port, new_folder, place
from gateway.demo.provider import AUDIENCE, Provider
from gateway.demo.servers import Dovecot
from gateway.doors import introspection, web
from gateway.doors.budgets import Rate
from gateway.doors.ports import PortUnusable
from gateway.tokens import Provider as Known
from gateway.tokens import Tokens

HERE = "127.0.0.1"
ANNA, SERVICE, BERT = "anna@lilas.example", "service@lilas.example", "bert@lilas.example"
SUBJECT = "899700000001"


def now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def served(opening: Callable[[], AbstractAsyncContextManager[Any]]) -> Iterator[int]:
    """An HTTP door in a thread; its port."""
    ports: list[int] = []
    ready, loop = threading.Event(), asyncio.new_event_loop()
    end = asyncio.Event()

    async def play() -> None:
        async with opening() as port:
            ports.append(port)
            ready.set()
            await end.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(play()))
    thread.start()
    try:
        assert ready.wait(20)
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(20)
        loop.close()


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    made = Provider()
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def accounts(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Accounts:
    """Its keys are fetched for each token and never held, so that a provider that is down is seen at once."""
    at_once = timedelta(0)
    known = Known(
        provider.issuer, AUDIENCE, f"{provider.url}/certs", fresh_for=at_once, held_for=at_once, pause=at_once
    )
    made = Accounts(tmp_path_factory.mktemp("accounts") / "passwd", {ANNA: (SERVICE,)}, Tokens(known, now))
    made.bind(ANNA, SUBJECT)
    made.add(BERT, "un mot de passe")
    return made


def door(accounts: Accounts, most: int = 1000) -> Callable[[], AbstractAsyncContextManager[int]]:
    return lambda: web.opened(HERE, 0, [introspection.route(accounts, Rate(most, 60, now))])


def ask(port: int, token: str) -> httpx.Response:
    return httpx.post(f"http://{HERE}:{port}/introspection", data={"token": token})


# --- the door alone --------------------------------------------------------------------------------------------------


def test_a_token_that_counts_says_whom_and_until_when(accounts: Accounts, provider: Provider) -> None:
    """RFC 7662 §2.2; nobody keeps the answer; the log names the account and holds no token."""
    at = now()
    token = provider.token(SUBJECT, at)
    with served(door(accounts)) as port, capture_logs() as lines:
        answer = ask(port, token)
    exp = int(at.timestamp()) + 300
    assert answer.json() == {"active": True, "username": ANNA, "exp": exp, "token_type": "Bearer"}
    assert answer.headers["cache-control"] == "no-store"
    assert [(line["active"], line["account"]) for line in lines if line["event"] == "introspection"] == [(True, ANNA)]
    assert token not in str(lines)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"aud": "another"}, "token-audience"),
        ({"exp": 1}, "token-expired"),
        ({"sub": "899700000002"}, "token-subject"),
        ({"iss": "https://else.example"}, "token-issuer"),
        ({"alg": "none"}, "token-algorithm"),
    ],
)
def test_one_that_does_not_says_no_more(
    accounts: Accounts, provider: Provider, wrong: dict[str, Any], why: str
) -> None:
    """The reason is for our log."""
    with served(door(accounts)) as port, capture_logs() as lines:
        assert ask(port, provider.token(SUBJECT, now(), **wrong)).json() == {"active": False}
    assert [line["why"] for line in lines if line["event"] == "introspection"] == [why]


def test_what_is_no_question_is_answered_without_a_look(accounts: Accounts, provider: Provider) -> None:
    """No token, two of them, a body that is too large, one that never ends, a GET: refused; the next one is heard."""
    good = provider.token(SUBJECT, now())
    with served(door(accounts)) as port:
        url = f"http://{HERE}:{port}/introspection"
        for content in (b"", b"token=", b"token=a&token=b", b"user=anna", b"\xff", b"token=" + b"a" * 20_000):
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            assert httpx.post(url, content=content, headers=headers).status_code == 400, content[:20]
        assert httpx.get(url, params={"token": good}).status_code == 405
        assert httpx.get(f"http://{HERE}:{port}/").status_code == 404
        assert ask(port, good).json()["active"] is True


def test_too_many_questions_wait(accounts: Accounts, provider: Provider) -> None:
    """Tokens are not tried out by the thousand."""
    good = provider.token(SUBJECT, now())
    with served(door(accounts, most=2)) as port:
        assert [ask(port, good).status_code for _ in range(3)] == [200, 200, 429]


def test_a_provider_that_is_down_is_later(accounts: Accounts, provider: Provider) -> None:
    """503 while its keys cannot be had; no token is called wrong for that."""
    good = provider.token(SUBJECT, now())
    with served(door(accounts)) as port:
        provider.down = True
        try:
            assert ask(port, good).status_code == 503
        finally:
            provider.down = False
        assert ask(port, good).json()["active"] is True


def test_a_fault_of_ours_is_no_answer(accounts: Accounts, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 and the kind of fault in the log, never an open mailbox; and no token in the log."""

    def broken(*_: object) -> Any:
        raise OSError("disk")

    token = provider.token(SUBJECT, now())
    monkeypatch.setattr(Accounts, "bearer", broken)
    with served(door(accounts)) as port, capture_logs() as lines:
        assert ask(port, token).status_code == 500
    assert [line["type"] for line in lines if line["event"] == "door-surprise"] == ["OSError"]
    assert token not in str(lines)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "localhost", ""])  # noqa: S104
def test_it_opens_on_loopback_only(accounts: Accounts, configure: Callable[[str], Path], host: str) -> None:
    """Neither by code nor by configuration."""

    async def play() -> None:
        async with web.opened(host, 0, []):
            pass

    with pytest.raises(PortUnusable, match="loopback only"):
        asyncio.run(play())
    with pytest.raises(ConfigError, match=r"introspection opens on 127\.0\.0\.1 or ::1 only"):
        config.load(configure(f'[doors]\nintrospection = {{ host = "{host}", port = 0 }}\n'))


def test_a_node_serves_it_where_it_is_configured(
    provider: Provider, configure: Callable[[str], Path], tmp_path: Path
) -> None:
    """The wiring: accounts, provider and port of the configuration; nothing without a port."""
    told = (
        f'[doors]\nintrospection = {{ port = 0 }}\n[provider]\nissuer = "{provider.issuer}"\naudience = "{AUDIENCE}"\n'
    )
    settings = config.load(configure(f'{told}keys_url = "{provider.url}/certs"\n'))
    Accounts(tmp_path / "passwd").bind(ANNA, SUBJECT)
    with served(lambda: entrance._web(settings)) as port:
        assert ask(port, provider.token(SUBJECT, now())).json()["username"] == ANNA
        with socket.socket() as other:
            assert other.connect_ex(("127.0.0.2", port)) != 0
    without = config.load(configure("[doors]\n"))

    async def nothing() -> object:
        async with entrance._web(without) as port:
            return port

    assert asyncio.run(nothing()) is None


# --- a real Dovecot ---------------------------------------------------------------------------------------------------

# As docs/operations.md shows it
_OAUTH2 = """\
introspection_url = http://127.0.0.1:{port}/introspection
introspection_mode = post
username_attribute = username
username_format = %Lu
active_attribute = active
active_value = true
"""
_MORE = """
auth_failure_delay = 0
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
auth_mechanisms = plain login xoauth2 oauthbearer
auth_username_chars = abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567890.-_@/
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2.conf
}}
"""


NO_TOKENS = 0
DEVICES_ONLY = "%{if;%Lu;*;*/*;%Lu;-}"
"""Dovecot's side of accounts.application_passwords_only: a login without a device is nobody's."""


class OurDovecot(Dovecot):
    """The node's Dovecot, told where to ask about tokens."""

    asks = 0

    def _prepare(self, folder: Path, software: Programs, who: Account) -> Path:
        conf = super()._prepare(folder, software, who)
        place(folder, "oauth2.conf", _OAUTH2.format(port=self.asks).encode(), who)
        passwords = "passdb {\n  driver = passwd-file\n"
        text = conf.read_text().replace(passwords, f"{passwords}  mechanisms = plain login\n", 1)
        if self.asks == NO_TOKENS:
            text = text.replace("username_format=%Lu", f"username_format={DEVICES_ONLY}", 1)
        return place(folder, "dovecot.conf", (text + _MORE.format(folder=folder)).encode(), who)


@contextmanager
def running(accounts: Accounts, space: Any, asks: int) -> Iterator[OurDovecot]:
    folder, (certificate, key) = new_folder("pli-introspection-") / "dovecot", space.host
    made = OurDovecot(folder, free_port(), free_port(), accounts._file, certificate, key, imaps_port=free_port())
    object.__setattr__(made, "asks", asks)
    made.start()
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder.parent, ignore_errors=True)


@pytest.fixture(scope="module")
def dovecot(accounts: Accounts, trust_space: Any) -> Iterator[OurDovecot]:
    with served(door(accounts)) as port, running(accounts, trust_space, port) as made:
        yield made


def xoauth2(user: str, token: str) -> bytes:
    return f"user={user}\1auth=Bearer {token}\1\1".encode()


def oauthbearer(user: str, token: str) -> bytes:
    return f"n,a={user},\1host=x\1port=993\1auth=Bearer {token}\1\1".encode()


WAYS = {"XOAUTH2": xoauth2, "OAUTHBEARER": oauthbearer}


def logged_in(dovecot: OurDovecot, trust_space: Any, way: str, user: str, token: str) -> str:
    """'OK', or what Dovecot says instead."""
    context = ssl.create_default_context(cadata=trust_space.trust().anchors_pem())
    said = iter([WAYS[way](user, token)])
    with imaplib.IMAP4_SSL(HERE, dovecot.imaps_port, ssl_context=context) as client:
        try:
            client.authenticate(way, lambda _: next(said, b""))
        except imaplib.IMAP4.error as error:
            return str(error)
        status, _ = client.select("INBOX")
        return status


def by_password(dovecot: OurDovecot, trust_space: Any, login: str, password: str) -> str:
    context = ssl.create_default_context(cadata=trust_space.trust().anchors_pem())
    with imaplib.IMAP4_SSL(HERE, dovecot.imaps_port, ssl_context=context) as client:
        try:
            return client.login(login, password)[0]
        except imaplib.IMAP4.error as error:
            return str(error)


@pytest.mark.parametrize("way", WAYS)
def test_a_token_opens_its_mailbox(dovecot: OurDovecot, trust_space: Any, provider: Provider, way: str) -> None:
    """The same account as at the submission door, whatever the case it is typed in."""
    for user in (ANNA, ANNA.upper()):
        assert logged_in(dovecot, trust_space, way, user, provider.token(SUBJECT, now())) == "OK"


@pytest.mark.parametrize(
    "wrong", ["audience", "expired", "unsigned", "another subject", "another mailbox", "delegated"]
)
def test_one_that_does_not_count_opens_none(
    dovecot: OurDovecot, trust_space: Any, provider: Provider, wrong: str
) -> None:
    """Nor another's mailbox, nor one that is delegated for sending only: over IMAP a token is its own account."""
    user, token = {
        "audience": (ANNA, provider.token(SUBJECT, now(), aud="another")),
        "expired": (ANNA, provider.token(SUBJECT, now() - timedelta(hours=1))),
        "unsigned": (ANNA, provider.token(SUBJECT, now(), alg="none")),
        "another subject": (ANNA, provider.token("899700000002", now())),
        "another mailbox": (BERT, provider.token(SUBJECT, now())),
        "delegated": (SERVICE, provider.token(SUBJECT, now())),
    }[wrong]
    assert "AUTHENTICATIONFAILED" in logged_in(dovecot, trust_space, "XOAUTH2", user, token)
    assert token not in (dovecot.folder / "dovecot.log").read_text()


def test_while_the_provider_is_down_passwords_go_on(dovecot: OurDovecot, trust_space: Any, provider: Provider) -> None:
    """A token waits for another time, and is not called wrong."""
    provider.down = True
    try:
        assert "UNAVAILABLE" in logged_in(dovecot, trust_space, "XOAUTH2", ANNA, provider.token(SUBJECT, now()))
        assert by_password(dovecot, trust_space, BERT, "un mot de passe") == "OK"
    finally:
        provider.down = False
    assert logged_in(dovecot, trust_space, "XOAUTH2", ANNA, provider.token(SUBJECT, now())) == "OK"


def test_a_password_in_a_token_s_place_opens_nothing(dovecot: OurDovecot, trust_space: Any) -> None:
    """A password is no token, there and here."""
    word = b64encode(b"un mot de passe").decode()
    assert "AUTHENTICATIONFAILED" in logged_in(dovecot, trust_space, "XOAUTH2", BERT, word)


def test_application_passwords_open_their_account_and_only_they_where_told(
    accounts: Accounts, dovecot: OurDovecot, trust_space: Any
) -> None:
    """IMAP as the submission door: with accounts.application_passwords_only an account's own password opens nothing."""
    device = accounts.add_device(BERT, "poste")
    accounts.bind(BERT, "899700000009")
    accounts.bind_certificate(BERT, trust_space.peer_issued.der)  # what stands beside a password disturbs nobody
    with running(accounts, trust_space, NO_TOKENS) as strict:
        assert by_password(strict, trust_space, f"{BERT}/poste", device) == "OK"
        assert by_password(strict, trust_space, f"{BERT}/poste", "un mot de passe") != "OK"
        assert by_password(strict, trust_space, BERT, "un mot de passe") != "OK"
    assert by_password(dovecot, trust_space, BERT, "un mot de passe") == "OK"
    assert accounts.remove(f"{BERT}/poste")


def test_the_page_shows_what_was_proved_here() -> None:
    """docs/operations.md gives the lines with which these tests ran."""
    page = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    shown = {line.strip() for line in page.splitlines()}
    more = [line.strip() for line in _MORE.splitlines() if line.startswith(("auth_mechanisms", "auth_username"))]
    wanted = [*_OAUTH2.format(port=8090).splitlines(), *more, "mechanisms = xoauth2 oauthbearer"]
    assert [line for line in wanted if line not in shown] == []
    assert f"username_format={DEVICES_ONLY} " in page
