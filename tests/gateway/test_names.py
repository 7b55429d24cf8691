"""In whose name an account writes: login, MAIL FROM, From and Sender fit together, at a real door before the real
intake and its custody."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs import tls
from certs.throwaway import Shape, subject
from gateway.accounts import Accounts
from gateway.demo.provider import AUDIENCE, Provider
from gateway.doors import replies
from gateway.tokens import Provider as Known
from gateway.tokens import Tokens
from relay.intake import Intake
from relay.model import Reason

ANNA, SERVICE, ZOE = "anna@lilas.example", "service@lilas.example", "zoe.lambert@lilas.example"
BERT = "bert@parc.example"
SUBJECT = "899700000001"

ROWS: list[tuple[str, tuple[str, ...], tuple[str, ...], Reason | None]] = [
    # MAIL FROM, From fields, Sender fields; why not
    (ANNA, (ANNA,), (), None),
    (ANNA.upper(), (f'"Dr A" <{ANNA.upper()}>',), (ANNA,), None),
    (SERVICE, (SERVICE,), (), None),
    (SERVICE, (SERVICE,), (ANNA,), None),
    (ANNA, (SERVICE,), (), None),
    ("", (ANNA,), (), None),
    ("", (ZOE,), (), Reason.FROM_NOT_ALLOWED),
    (ZOE, (ANNA,), (), Reason.SENDER_NOT_ALLOWED),
    (BERT, (ANNA,), (), Reason.SENDER_NOT_ALLOWED),
    (ANNA, (ZOE,), (), Reason.FROM_NOT_ALLOWED),
    (ANNA, (ZOE,), (ANNA,), Reason.FROM_NOT_ALLOWED),
    (ANNA, (ANNA,), (ZOE,), Reason.FROM_NOT_ALLOWED),
    (SERVICE, (ZOE,), (SERVICE,), Reason.FROM_NOT_ALLOWED),
    (ANNA, (BERT,), (), Reason.FROM_NOT_ALLOWED),
    (ANNA, (f'"{ANNA}" <{ZOE}>',), (), Reason.FROM_NOT_ALLOWED),
    (ANNA, (f"{ANNA}, {ZOE}",), (), Reason.FROM_AMBIGUOUS),
    (ANNA, (ANNA, ZOE), (), Reason.FROM_AMBIGUOUS),
    (ANNA, (ANNA,), (ANNA, ZOE), Reason.FROM_AMBIGUOUS),
    (ANNA, (), (), Reason.FROM_AMBIGUOUS),
]


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    made = Provider()
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def application(trust_space: Any) -> tuple[bytes, tuple[Path, Path]]:
    shape = Shape(eku=(ExtendedKeyUsageOID.CLIENT_AUTH,), key="p256")
    made = trust_space.pki.issue(subject("labo.lilas.example", "LILAS", "1750000001"), shape)
    return made.der, made.write(trust_space.folder / "applications", "labo")


@pytest.fixture
def accounts(tmp_path: Path, provider: Provider, application: tuple[bytes, tuple[Path, Path]]) -> Accounts:
    known = Known(provider.issuer, AUDIENCE, f"{provider.url}/certs")
    made = Accounts(tmp_path / "passwd", {ANNA: (SERVICE,)}, Tokens(known, now))
    made.add(ANNA, "un mot de passe")
    made.bind(ANNA, SUBJECT)
    made.bind_certificate(ANNA, application[0])
    return made


def bearer(user: str, token: str) -> str:
    return "AUTH XOAUTH2 " + b64encode(f"user={user}\1auth=Bearer {token}\1\1".encode()).decode()


Ways = dict[str, Callable[[Any], str]]


@pytest.fixture
def ways(accounts: Accounts, provider: Provider) -> Ways:
    """Each way in which ANNA logs in."""
    device = accounts.add_device(ANNA, "poste")
    return {
        "password": lambda client: client.log_in(ANNA, "un mot de passe"),
        "application password": lambda client: client.log_in(f"{ANNA}/poste", device),
        "token": lambda client: client.say(bearer(ANNA, provider.token(SUBJECT, now()))),
        "certificate": lambda client: client.say("AUTH EXTERNAL ="),
    }


def letter(authors: tuple[str, ...], senders: tuple[str, ...]) -> bytes:
    fields = [*(f"From: {each}" for each in authors), *(f"Sender: {each}" for each in senders)]
    return "\r\n".join([*fields, "Subject: essai", "", "Bonjour.", ".", ""]).encode()


def answer(client: Any, sender: str, wire: bytes) -> str:
    """To MAIL where it is refused, else to the letter."""
    client.say("RSET")
    said: str = client.say(f"MAIL FROM:<{sender}>")
    if not said.startswith("250"):
        return said
    assert client.say(f"RCPT TO:<{BERT}>").startswith("250")
    said = client.data(wire)
    return said


@pytest.mark.parametrize("way", ["password", "application password", "token", "certificate"])
def test_an_account_writes_in_its_own_names_only(
    open_door: Callable[..., Any],
    trust_space: Any,
    node: Any,
    accounts: Accounts,
    application: tuple[bytes, tuple[Path, Path]],
    ways: Ways,
    way: str,
) -> None:
    """Its own and those delegated to it, in the envelope, as author and as Sender, however it logged in; what is
    refused is not kept."""
    context = tls.context(tls.APPLICATION_IN, trust_space.host, trust_space.trust())
    intake = replace(node.intake, may_use=accounts.may_use)
    door = open_door(accounts=accounts, intake=intake, contexts=lambda: context)
    client = door.secure(application[1] if way == "certificate" else None)
    assert ways[way](client).startswith("235")
    for sender, authors, senders, why in ROWS:
        said = answer(client, sender, letter(authors, senders))
        told = replies.of(why) if why else None
        expected = f"{told.code}-{told.enhanced}" if told else "250 2.6.0"
        assert said.startswith(expected), (sender, authors, senders, said)
    assert sum(count for _, count in node.kept()) == sum(why is None for *_, why in ROWS)


def test_a_token_as_a_delegated_mailbox_is_that_mailbox(
    open_door: Callable[..., Any], node: Any, accounts: Accounts, provider: Provider
) -> None:
    """Who logged in as the service writes as the service, and not as himself."""
    door = open_door(accounts=accounts, intake=replace(node.intake, may_use=accounts.may_use))
    client = door.secure()
    assert client.say(bearer(SERVICE, provider.token(SUBJECT, now()))).startswith("235")
    assert answer(client, SERVICE, letter((SERVICE,), ())).startswith("250 2.6.0")
    assert answer(client, ANNA, letter((ANNA,), ())).startswith("550-5.7.1")


def test_with_the_check_off_a_borrowed_name_passes(
    open_door: Callable[..., Any], node: Any, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the check of the authors that refuses them, and nothing by chance."""
    monkeypatch.setattr(Intake, "_check_authors", lambda *_: None)
    client = open_door(accounts=accounts, intake=replace(node.intake, may_use=accounts.may_use)).secure()
    assert client.log_in(ANNA, "un mot de passe").startswith("235")
    assert answer(client, ANNA, letter((ZOE,), ())).startswith("250 2.6.0")
