"""Signing in at a provider shaped like Pro Santé Connect: one that serves over TLS and misbehaves."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from structlog.testing import capture_logs

from certs.throwaway import Pki
from gateway import openid
from gateway.accounts import Accounts
from gateway.demo.processes import free_port
from gateway.demo.provider import AUDIENCE, Provider
from gateway.demo.wallet import CERTS, DISCOVERY, SECRET, TOKEN, USERINFO, Wallet
from gateway.doors.budgets import Rate
from gateway.web import providers
from gateway.web.sentences import SENTENCES
from gateway.web.sessions import COOKIE, Sessions
from tests.gateway.conftest import _SETTINGS as SETTINGS
from tests.gateway.pages_over_tls import Node
from tests.gateway.signing_in import CLAIRE, LABO, OTHER, RPPS, Browser


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Wallet]]:
    """PEM of who vouches for the provider, and the provider."""
    folder = tmp_path_factory.mktemp("provider")
    pki = Pki.create(datetime.now(UTC), "FOURNISSEUR", kind="p256")
    pki.write_trust(folder / "trust", datetime.now(UTC))
    wallet = Wallet(tls=pki.tls_server("127.0.0.1", "ANS", "1750000042").write(folder, "wallet"))
    wallet.start()
    yield folder / "trust" / "anchors" / "root.pem", wallet
    wallet.stop()


@pytest.fixture(scope="module")
def more(authority: tuple[Path, Wallet], tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the node is told of it."""
    authorities, wallet = authority
    port, secret = free_port(), tmp_path_factory.mktemp("secret") / "secret"
    secret.write_text(SECRET, "utf-8")
    wallet.backs = {f"https://127.0.0.1:{port}/entrer/retour/lilas"}
    return f"""url = "https://127.0.0.1:{port}"
port = {port}
[provider]
issuer = "{wallet.issuer}"
audience = "{AUDIENCE}"
keys_url = "{wallet.url}{CERTS}"
discovery_url = "{wallet.url}{DISCOVERY}"
secret_file = "{secret}"
authorities = "{authorities}"
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    folder = tmp_path_factory.mktemp("node")

    def configure(more: str) -> Path:
        file = folder / "pli.toml"
        file.write_text(SETTINGS.format(folder=folder) + more, "utf-8")
        return file

    made = Node(folder, configure)
    made.server().write(folder, "tls")
    return made


@pytest.fixture(scope="module")
def port(node: Node, more: str) -> Iterator[int]:
    with node.opened(more, port=None) as got:
        yield got


@pytest.fixture
def wallet(authority: tuple[Path, Wallet]) -> Wallet:
    """It behaves, and Claire is who signs in."""
    made = authority[1]
    made.wrong, made.said, made.closed, made.error, made.down = {}, {}, set(), "", False
    made.left.clear()
    made.person(RPPS)
    return made


@pytest.fixture
def browser(node: Node, port: int, wallet: Wallet) -> Browser:
    """A new one; the node holds nothing of the provider yet, and one account is bound."""
    (node.folder / "passwd").unlink(missing_ok=True)
    Accounts(node.folder / "passwd").bind(CLAIRE, f"8{RPPS}")
    (house,) = node.site.houses
    for held in (house.client._known, house.client.tokens._held):
        held.__init__()  # type: ignore[misc]
    node.site.failures = Rate(30, 900.0, lambda: datetime.now(UTC))
    return Browser(port)


def said(key: str) -> str:
    return SENTENCES[key][0].format(name="Pro Santé Connect")


def test_a_person_signs_in_by_the_national_identifier(browser: Browser, wallet: Wallet) -> None:
    """The account that is bound to SubjectNameID, which is 8 and the RPPS; state, nonce and PKCE go along."""
    assert 'href="/entrer/fournisseur/lilas">Se connecter avec Pro Santé Connect' in browser.get("/entrer").text
    answer = browser.signs_in()
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert CLAIRE in browser.get("/aide").text
    asked = parse_qs(urlsplit(browser.seen[0]).query)
    assert asked["scope"] == ["openid scope_all"]
    assert (asked["acr_values"], asked["code_challenge_method"]) == (["eidas1"], ["S256"])
    assert len({asked["state"][0], asked["nonce"][0], asked["code_challenge"][0]}) == 3
    assert browser.http.cookies[COOKIE] not in browser.seen[0]


def test_a_person_signs_in_by_the_subject(browser: Browser, node: Node, wallet: Wallet) -> None:
    """Where the account is bound to `sub` itself, and userinfo names nobody."""
    wallet.person(OTHER, SubjectNameID=None)
    Accounts(node.folder / "passwd").bind(LABO, str(wallet.who["sub"]))
    browser.signs_in()
    assert LABO in browser.get("/aide").text


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"aud": "another"}, "audience"),
        ({"azp": "another"}, "audience"),
        ({"iss": "https://auth.example/realms/esante-wallet"}, "issuer"),
        ({"exp": 1}, "expired"),
        ({"iat": 1}, "expired"),
        ({"iat": 9_999_999_999}, "not-yet"),
        ({"alg": "none"}, "algorithm"),
        ({"alg": "HS256"}, "algorithm"),
        ({"kid": "k9"}, "unknown-key"),
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"acr": "eidas0"}, "acr"),
        ({"typ": "Bearer"}, "kind"),
        ({"sub": "f:another:899700000009"}, "userinfo"),
    ],
)
def test_one_thing_wrong_with_the_id_token_lets_nobody_in(
    browser: Browser, wallet: Wallet, wrong: dict[str, Any], why: str
) -> None:
    """Each has its name in the log; the person reads one sentence."""
    wallet.wrong = wrong
    with capture_logs() as lines:
        answer = browser.signs_in()
    assert answer.status_code == 403
    assert said("provider-acr" if why == "acr" else "provider-again") in answer.text
    assert [line["why"] for line in lines if line["event"] == "sign-in"] == [why]
    assert browser.get("/").headers["location"] == "/entrer"


def test_a_key_of_somebody_else_under_a_known_name_counts_not(browser: Browser, wallet: Wallet) -> None:
    """The head names k1, the signature is a stranger's."""
    stranger = Provider()
    stranger.add_key("k1")
    own, wallet.keys = wallet.keys, stranger.keys
    wallet.closed = {CERTS}
    try:
        browser_first = browser.out()
        wallet.keys, wallet.closed = own, set()
        published = wallet.published()
        wallet.keys = stranger.keys
        wallet.published = lambda: published  # type: ignore[method-assign]
        with capture_logs() as lines:
            assert browser.back(browser_first).status_code == 403
        assert [line["why"] for line in lines if line["event"] == "sign-in"] == ["signature"]
    finally:
        wallet.keys = own
        wallet.__dict__.pop("published", None)


def test_a_code_counts_once(browser: Browser, wallet: Wallet) -> None:
    """The way back, opened again: by the browser that came in (its attempt is over), and at the provider."""
    url = browser.out()
    assert browser.back(url).status_code == 303
    with capture_logs() as lines:
        assert browser.back(url).status_code == 403
    assert [line["why"] for line in lines if line["event"] == "sign-in"] == ["state"]
    url = browser.out()
    code = parse_qs(urlsplit(url).query)["code"][0]
    for grant in wallet._codes.values():
        grant.used = True
    with capture_logs() as lines:
        assert browser.back(url).status_code == 403
    assert [line["why"] for line in lines if line["event"] == "sign-in"] == ["code"]
    assert code


def test_the_way_back_is_the_browsers_that_went_out(browser: Browser, wallet: Wallet) -> None:
    """A state of another browser, an altered one, none, one of another provider: nobody comes in (login CSRF)."""
    other = Browser(int(browser.pages.rpartition(":")[2]))
    theirs, own = other.out(), browser.out()
    state, code = (parse_qs(urlsplit(own).query)[name][0] for name in ("state", "code"))
    back = urlsplit(own).path
    later = f"{int(state.partition('.')[0]) + 1}.{state.partition('.')[2]}"
    for url in (
        theirs,
        f"{browser.pages}{back}?code={code}",
        f"{browser.pages}{back}?code={code}&state=",
        f"{browser.pages}{back}?code={code}&state=x.y.z",
        f"{browser.pages}{back}?code={code}&state={later}",
        f"{browser.pages}{back}?code={code}&state={state}&iss=https://another.example",
    ):
        assert browser.back(url).status_code == 403, url
        assert browser.get("/").headers["location"] == "/entrer"
    assert browser.back(own).status_code == 303


def test_a_code_of_another_sign_in_does_not_fit(browser: Browser, wallet: Wallet) -> None:
    """Injected into this browser's own attempt: PKCE tells (RFC 7636)."""
    other = Browser(int(browser.pages.rpartition(":")[2]))
    stolen = parse_qs(urlsplit(other.out()).query)["code"][0]
    own = browser.out()
    code = parse_qs(urlsplit(own).query)["code"][0]
    with capture_logs() as lines:
        assert browser.back(own.replace(code, stolen)).status_code == 403
    assert [line["why"] for line in lines if line["event"] == "sign-in"] == ["code"]


def test_codes_are_not_tried_at_will(browser: Browser, node: Node, wallet: Wallet) -> None:
    """Each try is a question to the provider: after thirty failures from one place it is put off."""
    own = browser.out()
    code = parse_qs(urlsplit(own).query)["code"][0]
    answers = [browser.get(urlsplit(own.replace(code, f"x{n}")).path + "?" + urlsplit(own.replace(code, f"x{n}")).query)
               for n in range(31)]  # fmt: skip
    assert [each.status_code for each in answers] == [403] * 30 + [429]


def test_an_attempt_ends() -> None:
    """After ten minutes."""
    now = [datetime(2026, 11, 26, 9, tzinfo=UTC)]
    site = type(
        "S", (), {"sessions": Sessions(lambda: now[0], timedelta(hours=2)), "clock": lambda _: now[0], "url": ""}
    )
    visit: Any = type("V", (), {"site": site(), "name": "n"})()
    house: Any = type("H", (), {"name": "lilas"})()
    begun = f"{int((now[0] + providers.LIFE).timestamp())}.x"
    attempt = providers._attempt(visit, house, begun)
    assert providers._held(visit, house, attempt.state) == attempt
    now[0] += providers.LIFE
    assert providers._held(visit, house, attempt.state) is None


@pytest.mark.parametrize("path", [DISCOVERY, TOKEN, USERINFO, CERTS, ""])
def test_a_provider_that_is_down_is_said_in_a_sentence(browser: Browser, wallet: Wallet, path: str) -> None:
    """Wherever it stops: 503, and other ways stay open."""
    if path in (DISCOVERY, ""):
        wallet.closed, wallet.down = {path}, not path
        answer = browser.get("/entrer/fournisseur/lilas")
    else:
        url = browser.out()
        wallet.closed = {path}
        answer = browser.back(url)
    assert answer.status_code == 503
    assert said("provider-down") in answer.text
    assert 'name="password"' in answer.text


def test_a_provider_nobody_vouches_for_is_not_asked(
    node: Node, port: int, wallet: Wallet, more: str, authority: tuple[Path, Wallet]
) -> None:
    """Its TLS certificate is of another authority than we believe."""
    told = more.replace(str(authority[0]), str(node.folder / "trust" / "anchors" / "root.pem"))
    usual = node.site
    with node.opened(told, port=0) as another:
        assert Browser(another).get("/entrer/fournisseur/lilas").status_code == 503
    node.site = usual


@pytest.mark.parametrize(
    "said_of_itself",
    [
        {"issuer": "https://auth.example/realms/esante-wallet"},
        {"token_endpoint": "http://127.0.0.1:1/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"end_session_endpoint": "data:text/html,x"},
        {"userinfo_endpoint": None},
    ],
)
def test_a_discovery_document_that_lies_is_not_believed(
    browser: Browser, wallet: Wallet, said_of_itself: dict[str, Any]
) -> None:
    """Of another issuer, with an endpoint in clear or none: nobody is sent anywhere."""
    wallet.said = said_of_itself
    assert browser.get("/entrer/fournisseur/lilas").status_code == 503


def test_the_provider_says_no(browser: Browser, wallet: Wallet) -> None:
    """Given up, refused: a sentence; in trouble: another."""
    wallet.error = "access_denied"
    answer = browser.signs_in()
    assert (answer.status_code, said("provider-not-there") in answer.text) == (403, True)
    wallet.error = "temporarily_unavailable"
    assert browser.signs_in().status_code == 503


def test_nobodys_identity_opens_nothing(browser: Browser, node: Node, wallet: Wallet) -> None:
    """Identified, and bound to no account; to one that is suspended; to one that another domain's line claims."""
    wallet.person(OTHER)
    answer = browser.signs_in()
    assert (answer.status_code, said("provider-unbound") in answer.text) == (403, True)
    accounts = Accounts(node.folder / "passwd")
    accounts.bind("quelquun@parc.example", f"8{OTHER}")
    assert browser.signs_in().status_code == 403
    accounts.bind(LABO, f"8{OTHER}")
    accounts.suspend(LABO, to=True)
    assert browser.signs_in().status_code == 403
    accounts.suspend(LABO, to=False)
    assert browser.signs_in().status_code == 303


def test_a_person_of_several_mailboxes_chooses(browser: Browser, node: Node, wallet: Wallet) -> None:
    """Of his own, by form, once; another's is not among them."""
    Accounts(node.folder / "passwd").bind(LABO, f"8{RPPS}")
    Accounts(node.folder / "passwd").bind("direction@lilas.example", "autre")
    page = browser.signs_in()
    assert CLAIRE in page.text
    assert LABO in page.text
    refused = browser.post("/entrer/compte", page.text, account="direction@lilas.example")
    assert refused.status_code == 403
    assert browser.post("/entrer/compte", page.text, account=LABO).status_code == 403  # once, whatever it was
    page = browser.signs_in()
    assert browser.post("/entrer/compte", page.text, account=LABO).headers["location"] == "/"
    assert LABO in browser.get("/aide").text


def test_leaving_leaves_the_provider_too(browser: Browser, wallet: Wallet) -> None:
    """With the ID token of that sign-in, and back to our page; the session here is over whatever becomes of it."""
    browser.signs_in()
    page = browser.post("/sortir", browser.get("/aide").text).text
    there = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page)
    assert there
    assert browser.get("/").headers["location"] == "/entrer"
    gone = browser.http.get(there[1].replace("&amp;", "&"))
    assert gone.headers["location"] == f"{browser.pages}/entrer"
    assert wallet.left[0]["id_token_hint"].count(".") == 2


def test_without_a_place_to_leave_only_ours_is_left(browser: Browser, wallet: Wallet) -> None:
    """A provider that names none."""
    wallet.said = {"end_session_endpoint": None}
    browser.signs_in()
    assert browser.post("/sortir", browser.get("/aide").text).headers["location"] == "/entrer"


def test_the_secret_goes_where_the_provider_wants_it(browser: Browser, wallet: Wallet) -> None:
    """In the form, where its document says so."""
    wallet.said = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert browser.signs_in().status_code == 303


def test_a_link_from_elsewhere_keeps_the_session(browser: Browser, wallet: Wallet) -> None:
    """The browser keeps the cookie back; a page of ours asks again, and who was signed in still is."""
    browser.signs_in()
    assert browser.back(f"{browser.pages}/aide?x=%22%3E%3Cscript%3E").status_code == 200
    assert CLAIRE in browser.get("/aide").text
    assert "<script>" not in browser.arrive(f"{browser.pages}/aide?x=%22%3E%3Cscript%3E").text


def test_no_secret_of_a_sign_in_is_logged(browser: Browser, wallet: Wallet) -> None:
    """Neither code, token, secret nor who it is, on any way."""
    with capture_logs() as lines:
        url = browser.out()
        browser.back(url)
        wallet.person(OTHER)
        browser.signs_in()
        wallet.closed = {TOKEN}
        browser.signs_in()
    code = parse_qs(urlsplit(url).query)["code"][0]
    for secret in (code, "eyJ", SECRET, OTHER, RPPS, "MOREAU"):
        assert secret not in repr(lines)


def test_a_provider_that_talks_too_much_is_down(wallet: Wallet, authority: tuple[Path, Wallet]) -> None:
    """An answer beyond every use is not kept."""
    told = openid.Told(wallet.issuer, AUDIENCE, SECRET, f"{wallet.url}{DISCOVERY}", "openid", ())
    trust = ssl.create_default_context(cafile=authority[0])
    client = openid.Client(told, None, lambda: datetime.now(UTC), trust)  # type: ignore[arg-type]
    assert client.endpoints().userinfo.endswith("/userinfo")
    wallet.said = {"more": "x" * openid.ANSWER_MOST}
    with pytest.raises(openid.ProviderDown):
        replace(client, _known=openid._Known()).endpoints()
