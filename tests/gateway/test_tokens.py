"""Bearer tokens against a provider that misbehaves on request: what counts, and the name of why not."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.provider import AUDIENCE, Provider
from gateway.tokens import Provider as Known
from gateway.tokens import Refused, Subject, Tokens, TokensDown, Why

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Hand:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    made = Provider()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def tokens(provider: Provider, clock: Hand) -> Tokens:
    return Tokens(Known(provider.issuer, AUDIENCE, f"{provider.url}/certs"), clock)


def test_a_token_of_ours_counts(provider: Provider, tokens: Tokens) -> None:
    """Signed by the provider, for us, now: its subject, until its end; RS256 and PS256."""
    for alg in ("RS256", "PS256"):
        assert tokens.judge(provider.token("899700000001", NOW, alg=alg)) == Subject("899700000001", NOW + HOUR / 12)
    several = provider.token("899700000001", NOW, aud=["another", AUDIENCE])
    assert isinstance(tokens.judge(several), Subject)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"aud": "another"}, Why.AUDIENCE),
        ({"aud": ["another"]}, Why.AUDIENCE),
        ({"aud": None}, Why.AUDIENCE),
        ({"iss": "https://auth.example/realms/esante-wallet"}, Why.ISSUER),
        ({"iss": None}, Why.ISSUER),
        ({"exp": int(NOW.timestamp()) - 61}, Why.EXPIRED),
        ({"exp": None}, Why.EXPIRED),
        ({"iat": int(NOW.timestamp()) + 600}, Why.NOT_YET),
        ({"nbf": int(NOW.timestamp()) + 600}, Why.NOT_YET),
        ({"sub": None}, Why.SUBJECT),
        ({"sub": ""}, Why.SUBJECT),
        ({"sub": " "}, Why.SUBJECT),
        ({"sub": 12}, Why.SUBJECT),
        ({"alg": "none"}, Why.ALGORITHM),
        ({"alg": "HS256"}, Why.ALGORITHM),
        ({"alg": "RS512"}, Why.ALGORITHM),
        ({"alg": "ES256"}, Why.ALGORITHM),
    ],
)
def test_each_wrong_has_its_name(provider: Provider, tokens: Tokens, wrong: dict[str, Any], why: Why) -> None:
    """One thing is wrong with an otherwise good token: it does not count, for that reason."""
    assert tokens.judge(provider.token("899700000001", NOW, **wrong)) == Refused(why)


def test_within_the_leeway_clocks_may_differ(provider: Provider, tokens: Tokens) -> None:
    """A minute either way is forgiven."""
    for claim, second in (("exp", -59), ("nbf", 59), ("iat", 59)):
        token = provider.token("s", NOW, **{claim: int(NOW.timestamp()) + second})
        assert isinstance(tokens.judge(token), Subject)


def test_a_strangers_key_signs_nothing(provider: Provider, tokens: Tokens) -> None:
    """The same key name, another key; and claims changed after signing."""
    stranger = Provider()
    stranger.add_key("k1")
    stranger._server = provider._server
    assert tokens.judge(stranger.token("s", NOW)) == Refused(Why.SIGNATURE)
    head, body, signature = provider.token("s", NOW).split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    changed = base64.urlsafe_b64encode(json.dumps(claims | {"sub": "other"}).encode()).rstrip(b"=").decode()
    assert tokens.judge(f"{head}.{changed}.{signature}") == Refused(Why.SIGNATURE)


def test_a_new_key_is_fetched_and_an_invented_one_not_for_ever(provider: Provider, tokens: Tokens, clock: Hand) -> None:
    """The provider rolls its key over: the first token that names it makes us look; invented names do so rarely."""
    assert isinstance(tokens.judge(provider.token("s", NOW)), Subject)
    provider.add_key("k2")
    clock.at += timedelta(minutes=1)
    new = provider.token("s", clock.at, kid="k2", typ="ID", nonce="n")
    assert isinstance(tokens.identity(new, "n", ()), Subject)
    assert isinstance(tokens.judge(provider.token("s", clock.at, kid="k2")), Subject)
    before = provider.asked
    clock.at += timedelta(minutes=1)
    for n in range(50):
        assert tokens.judge(provider.token("s", clock.at, kid=f"invented-{n}")) == Refused(Why.UNKNOWN_KEY)
    assert provider.asked == before + 1


def test_while_the_provider_is_down_held_keys_count_for_a_time(provider: Provider, tokens: Tokens, clock: Hand) -> None:
    """A day by policy; after that no token can be judged, which is not a refusal."""
    assert isinstance(tokens.judge(provider.token("s", NOW)), Subject)
    provider.down = True
    try:
        clock.at = NOW + timedelta(hours=23)
        assert isinstance(tokens.judge(provider.token("s", clock.at)), Subject)
        clock.at = NOW + timedelta(hours=25)
        with pytest.raises(TokensDown):
            tokens.judge(provider.token("s", clock.at))
    finally:
        provider.down = False
    clock.at += timedelta(minutes=1)
    assert isinstance(tokens.judge(provider.token("s", clock.at)), Subject)


def test_keys_that_are_no_keys_leave_us_down(clock: Hand) -> None:
    """HTML, an empty set, symmetric keys, keys for encryption: none of them judges a token."""
    secret, sealing = {"kty": "oct", "k": "AAAA"}, {"kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB"}
    sets = [json.dumps({"keys": [each | {"kid": "k1"}]}).encode() for each in (secret, sealing)]
    for document in (b"<html>", b"{}", b'{"keys": []}', b"[]", *sets):
        tokens = Tokens(Known("i", "a", "u"), clock, lambda _, document=document: document)
        with pytest.raises(TokensDown):
            tokens.judge("a.b.c")


def test_a_token_without_the_name_of_its_key(provider: Provider, tokens: Tokens) -> None:
    """Where the provider has several keys nobody guesses which."""
    provider.add_key("k3")
    claims = {"iss": provider.issuer, "aud": AUDIENCE, "sub": "s", "exp": int(NOW.timestamp()) + 60}
    assert tokens.judge(provider.signed({"alg": "RS256"}, claims)) == Refused(Why.UNKNOWN_KEY)


def test_a_huge_token_is_not_read(provider: Provider, tokens: Tokens) -> None:
    """Beyond what fits on a command line."""
    assert tokens.judge(provider.token("s" * 9000, NOW)) == Refused(Why.MALFORMED)


@cache
def keys() -> dict[str, Any]:
    made = Provider()
    made.add_key("k1")
    return made.published()


keys()  # before the clock of a test runs


@given(noise=st.text(max_size=200))
def test_noise_is_malformed(noise: str) -> None:
    """Whatever stands in a token's place, the answer is a refusal."""
    tokens = Tokens(Known("i", "a", "u"), lambda: NOW, lambda _: json.dumps(keys()).encode())
    assert isinstance(tokens.judge(noise), Refused)
    assert isinstance(tokens.identity(noise, "n", ()), Refused)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"nonce": "another"}, Why.NONCE),
        ({"nonce": None}, Why.NONCE),
        ({"acr": "eidas2"}, Why.ACR),
        ({"acr": None}, Why.ACR),
        ({"typ": "Bearer"}, Why.KIND),
        ({"azp": "another"}, Why.AUDIENCE),
        ({"aud": ["another", AUDIENCE]}, Why.AUDIENCE),
        ({"iat": None}, Why.MALFORMED),
        ({"iat": int(NOW.timestamp()) - 3600}, Why.EXPIRED),
        ({"iss": "https://auth.example/realms/esante-wallet"}, Why.ISSUER),
        ({"alg": "none"}, Why.ALGORITHM),
    ],
)
def test_an_id_token_is_of_this_sign_in(provider: Provider, tokens: Tokens, wrong: dict[str, Any], why: Why) -> None:
    """Beside what holds for every token: its nonce, its assurance, its age, whom it was made for."""
    right = {"typ": "ID", "nonce": "n", "acr": "eidas1"}
    assert isinstance(tokens.identity(provider.token("s", NOW, **right), "n", ("eidas1",)), Subject)
    asked = {**right, **wrong}
    assert tokens.identity(provider.token("s", NOW, **asked), "n", ("eidas1",)) == Refused(why)


def test_an_id_token_opens_no_door(provider: Provider, tokens: Tokens) -> None:
    """It passes through addresses of browsers when somebody signs out, and is no access token."""
    assert tokens.judge(provider.token("s", NOW, typ="ID")) == Refused(Why.KIND)


def test_several_audiences_name_the_party(provider: Provider, tokens: Tokens) -> None:
    """Then azp says that it is us (OpenID Connect Core §3.1.3.7)."""
    right = {"typ": "ID", "nonce": "n", "acr": "eidas1", "aud": ["another", AUDIENCE], "azp": AUDIENCE}
    assert isinstance(tokens.identity(provider.token("s", NOW, **right), "n", ("eidas1",)), Subject)
