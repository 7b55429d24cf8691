"""Logging in by a token of the OpenID provider, with curl and word by word; application passwords."""

from __future__ import annotations

import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts import Accounts
from gateway.demo.provider import AUDIENCE, Provider
from gateway.doors import sasl
from gateway.doors.sasl import Bearer, Credentials
from gateway.tokens import Provider as Known
from gateway.tokens import Tokens

ANNA, SERVICE, BERT = "anna@lilas.example", "service@lilas.example", "bert@lilas.example"
SUBJECT = "899700000001"
LETTER = b"From: anna@lilas.example\r\nSubject: essai\r\n\r\nBonjour.\r\n"


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    made = Provider()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def accounts(tmp_path: Path, provider: Provider) -> Accounts:
    known = Known(provider.issuer, AUDIENCE, f"{provider.url}/certs", pause=timedelta(0))
    made = Accounts(tmp_path / "passwd", {ANNA: (SERVICE,)}, Tokens(known, now))
    made.bind(ANNA, SUBJECT)
    made.add(BERT, "autre mot de passe")
    return made


def xoauth2(user: str, token: str) -> str:
    return b64encode(f"user={user}\1auth=Bearer {token}\1\1".encode()).decode()


def oauthbearer(user: str, token: str) -> str:
    return b64encode(f"n,a={user},\1host=x\1port=587\1auth=Bearer {token}\1\1".encode()).decode()


WAYS = {"XOAUTH2": xoauth2, "OAUTHBEARER": oauthbearer}


@pytest.mark.parametrize("initial", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_a_token_logs_in(
    open_door: Callable[..., Any], accounts: Accounts, provider: Provider, way: str, initial: bool
) -> None:
    """With an initial response and without; as oneself, and as a mailbox that is delegated to one."""
    door = open_door(accounts=accounts)
    for user in (ANNA, SERVICE):
        client = door.secure()
        said = WAYS[way](user, provider.token(SUBJECT, now()))
        if initial:
            assert client.say(f"AUTH {way} {said}").startswith("235 2.7.0")
        else:
            assert client.say(f"AUTH {way}") == "334 "
            assert client.say(said).startswith("235 2.7.0")
        assert client.say(f"MAIL FROM:<{user}>").startswith("250 ")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("wrong", ["audience", "expired", "another subject", "another mailbox", "no token"])
def test_a_token_that_does_not_count(
    open_door: Callable[..., Any], accounts: Accounts, provider: Provider, way: str, wrong: str
) -> None:
    """Refused with a challenge that says no more than that, then 535; three of them end the session."""
    user, token = {
        "audience": (ANNA, provider.token(SUBJECT, now(), aud="another")),
        "expired": (ANNA, provider.token(SUBJECT, now() - timedelta(hours=1))),
        "another subject": (ANNA, provider.token("899700000002", now())),
        "another mailbox": (BERT, provider.token(SUBJECT, now())),
        "no token": (ANNA, "garbage"),
    }[wrong]
    client = open_door(accounts=accounts).secure()
    for _ in range(3):
        challenge = client.say(f"AUTH {way} {WAYS[way](user, token)}")
        assert b64decode(challenge.removeprefix("334 ")) == b'{"status": "invalid_token"}'
        assert client.say("AQ==").startswith("535-5.7.8")
    assert client.hear().startswith("421-4.7.0")


def test_a_provider_that_is_down_is_our_trouble(
    open_door: Callable[..., Any], accounts: Accounts, provider: Provider
) -> None:
    """454, to come back later; nobody is counted as having failed, and passwords go on."""
    client = open_door(accounts=accounts).secure()
    provider.down = True
    try:
        for _ in range(4):
            assert client.say(f"AUTH XOAUTH2 {xoauth2(ANNA, 'a.b.c')}").startswith("454-4.7.0")
        assert client.log_in(BERT, "autre mot de passe").startswith("235")
    finally:
        provider.down = False


def test_a_response_that_cannot_be_read(open_door: Callable[..., Any], accounts: Accounts) -> None:
    """Syntax, not a failed login; and who gives up in the middle is told so."""
    client = open_door(accounts=accounts).secure()
    for said in (
        b"user=a",
        b"auth=Bearer x\1\1",
        b"user=a\1auth=Basic x\1\1",
        b"user=a\1user=b\1auth=Bearer x\1\1",
        b"\xff",
    ):
        assert client.say(f"AUTH XOAUTH2 {b64encode(said).decode()}").startswith("501-5.5.2")
    assert client.say("AUTH XOAUTH2") == "334 "
    assert client.say("*").startswith("501-5.7.0")


def test_without_a_provider_nothing_is_offered(open_door: Callable[..., Any], accounts: Accounts) -> None:
    """Twin: a node that knows no provider names no such mechanism, and refuses it."""
    client = open_door().secure()
    assert "XOAUTH2" not in client.say("EHLO client.example")
    assert client.say("AUTH XOAUTH2 x").startswith("504-5.5.4")
    assert "AUTH PLAIN LOGIN XOAUTH2 OAUTHBEARER" in open_door(accounts=accounts).secure().say("EHLO client.example")


@pytest.mark.parametrize("way", WAYS)
def test_a_letter_by_curl(
    open_door: Callable[..., Any], accounts: Accounts, provider: Provider, tmp_path: Path, way: str
) -> None:
    """A client that nobody here wrote logs in by token and hands a letter in."""
    door = open_door(accounts=accounts)
    (tmp_path / "ca.pem").write_text(door.space.trust().anchors_pem())
    (tmp_path / "letter").write_bytes(LETTER)

    def curl(token: str) -> int:
        return subprocess.run(
            ["curl", "-sS", "--ssl-reqd", "--cacert", tmp_path / "ca.pem", "--user", ANNA, "--oauth2-bearer", token,
             "--login-options", f"AUTH={way}", "--mail-from", ANNA, "--mail-rcpt", "bert@parc.example",
             "--upload-file", tmp_path / "letter", f"smtp://127.0.0.1:{door.port}"],
            capture_output=True, check=False, timeout=60,
        ).returncode  # fmt: skip

    assert curl(provider.token(SUBJECT, now())) == 0
    assert [raw for _, raw, _ in door.intake.letters] == [LETTER]
    assert curl(provider.token("another", now())) == 67
    assert len(door.intake.letters) == 1


# --- application passwords -----------------------------------------------------------------------------------


def test_an_application_password_opens_its_account(accounts: Accounts) -> None:
    """One per device; revoked alone; the account's own password goes on, until the account goes."""
    first, second = accounts.add_device(BERT, "poste-1"), accounts.add_device(BERT, "telephone")
    assert first != second
    assert accounts.verify(f"{BERT}/poste-1", first) == BERT
    assert accounts.verify(f"{BERT}/poste-1", second) is None
    assert accounts.remove(f"{BERT}/poste-1")
    assert accounts.verify(f"{BERT}/poste-1", first) is None
    assert accounts.verify(f"{BERT}/telephone", second) == BERT
    assert accounts.verify(BERT, "autre mot de passe") == BERT
    assert accounts.remove(BERT)
    assert accounts.verify(f"{BERT}/telephone", second) is None
    assert not accounts.remove(BERT)


def test_where_policy_says_so_only_application_passwords_open(tmp_path: Path, accounts: Accounts) -> None:
    """The account's own password has its second factor on the pages, and opens no mail."""
    device = accounts.add_device(BERT, "poste")
    strict = Accounts(tmp_path / "passwd", application_passwords_only=True)
    assert strict.verify(BERT, "autre mot de passe") is None
    assert strict.verify(f"{BERT}/poste", device) == BERT


def test_an_account_that_is_bound_only_has_no_password(accounts: Accounts) -> None:
    """Neither an empty password nor the mark that stands in the hash's place opens it; a new password keeps the
    binding."""
    for password in ("", "!", "x"):
        assert accounts.verify(ANNA, password) is None
    accounts.add(ANNA, "nouveau")
    assert [line.subjects for line in accounts.lines() if line.name == ANNA] == [(SUBJECT,)]


def test_a_subject_may_hold_anything(accounts: Accounts) -> None:
    """Spaces, colons and line ends in a subject make no other line or field."""
    accounts.bind(BERT, "a b:c\nd user=x")
    assert [line.subjects for line in accounts.lines() if line.name == BERT] == [("a b:c\nd user=x",)]
    assert [line.name for line in accounts.lines()] == [ANNA, BERT]


# --- what is said, read -----------------------------------------------------------------------------------------


def test_each_form_has_one_reading() -> None:
    """The forms of the RFCs."""
    assert sasl.plain(b"\0a\0b") == Credentials("a", "b")
    assert sasl.plain(b"a\0a\0b") == Credentials("a", "b")
    assert sasl.xoauth2(b"user=a@b\1auth=Bearer t.o-k_e~n+/==\1\1") == Bearer("a@b", "t.o-k_e~n+/==")
    assert sasl.oauthbearer(b"n,,\1auth=Bearer t\1\1") == Bearer("", "t")
    assert sasl.oauthbearer(b"n,a=u=2Cv=3D,\1host=h\1port=1\1auth=bearer t\1\1") == Bearer("u,v=", "t")


@pytest.mark.parametrize(
    "said", [b"x\0a\0b", b"a\0b", b"\0a\0b\0c", b"\xff\0a\0b", b"p=x,,\1auth=Bearer t\1\1", b"n,,\1auth=Bearer \1\1",
             b"n,,\1auth=Bearer t\1", b"n,,\1evil=1\1auth=Bearer t\1\1"]
)  # fmt: skip
def test_others_have_none(said: bytes) -> None:
    """Acting for another, channel binding, no token, no end, an unknown key."""
    assert sasl.plain(said) is None
    assert sasl.oauthbearer(said) is None
    assert sasl.xoauth2(said) is None


@given(noise=st.binary(max_size=200))
def test_noise_never_raises(noise: bytes) -> None:
    """Whatever a client says."""
    for read in (sasl.plain, sasl.xoauth2, sasl.oauthbearer):
        assert read(noise) is None or noise.isascii() or read(noise)
    user = sasl.external(noise)
    assert user is None or (user.encode() == noise and "\0" not in user)
