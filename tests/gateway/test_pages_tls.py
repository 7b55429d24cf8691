"""The pages over real TLS: which certificate they show, and when a renewed one counts."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.throwaway import Issued, Pki, Shape, subject
from gateway import config, readiness
from gateway.accounts import Accounts
from gateway.demo.processes import free_port
from gateway.web.sentences import SENTENCES
from gateway.web.sessions import COOKIE
from tests.gateway.pages_over_tls import HOST, Node


def shown(port: int, name: str | None = HOST) -> bytes:
    """The certificate that a caller of now sees, asking for `name`."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), 30) as bare,
        context.wrap_socket(bare, server_hostname=name) as session,
    ):
        return session.getpeercert(True) or b""


@pytest.fixture
def node(tmp_path: Path, configure: Callable[[str], Path]) -> Node:
    return Node(tmp_path, configure)


def test_a_renewed_certificate_is_shown_without_a_restart(node: Node) -> None:
    """From the next session on, as at the mail doors; one that cannot be used leaves the old one."""
    first, second = node.server(), node.server()
    files = first.write(node.folder, "tls")
    with node.opened() as port:
        assert shown(port) == first.der
        second.write(node.folder, "tls")
        assert shown(port) == second.der
        assert shown(port, None) == second.der
        files[0].write_text("no certificate")
        assert shown(port) == second.der
        first.write(node.folder, "tls")
        assert shown(port) == first.der


def test_the_pages_may_show_a_certificate_of_their_own(node: Node) -> None:
    """One that browsers believe; renewed like the other."""
    public, second = node.server("pages.lilas.example"), node.server("pages.lilas.example")
    node.server().write(node.folder, "tls")
    certificate, key = public.write(node.folder, "public")
    with node.opened(f'certificate = "{certificate}"\nkey = "{key}"\n') as port:
        assert shown(port) == public.der
        second.write(node.folder, "public")
        assert shown(port) == second.der


# --- signing in with a certificate --------------------------------------------------------------------------------

LAB = "laboratoire@lilas.example"


def card(pki: Pki, cn: str, *uses: Any, **more: Any) -> Issued:
    shape = Shape(eku=uses or (ExtendedKeyUsageOID.CLIENT_AUTH,), key="p256", **more)
    return pki.issue(subject(cn, "IMAGERIE DES LILAS", "1750000001"), shape)


class Cards:
    """Who holds a card, and the pages that ask for one."""

    def __init__(self, node: Node) -> None:
        past, now = datetime.now(UTC) - timedelta(days=10), datetime.now(UTC)
        held = {
            "bound": card(node.pki, "899700000001"),
            "renewed": card(node.pki, "899700000001"),
            "unbound": card(node.pki, "899700000002"),
            "revoked": card(node.pki, "899700000001"),
            "expired": card(node.pki, "899700000001", not_before=past, not_after=now - timedelta(hours=1)),
            "another issuer": card(Pki.create(now, "AUTRE", kind="p256"), "899700000001"),
            "for mail": card(node.pki, "899700000001", ExtendedKeyUsageOID.EMAIL_PROTECTION),
        }
        node.pki.revoke(held["revoked"])
        node.pki.write_trust(node.folder / "trust", now)
        node.server().write(node.folder, "tls")
        Accounts(node.folder / "passwd").bind_certificate(LAB, held["bound"].der)
        self.files = {name: each.write(node.folder / "cards", name.replace(" ", "-")) for name, each in held.items()}
        self.beside, self.port = free_port(), free_port()
        self.more = f'url = "https://127.0.0.1:{self.port}"\ncertificate_port = {self.beside}\nport = {self.port}\n'

    def browser(self, shows: str = "") -> httpx.Client:
        """One that shows a card where it is asked, and keeps cookies by host, whatever the port."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if shows:
            context.load_cert_chain(*self.files[shows])
        return httpx.Client(verify=context, base_url=f"https://127.0.0.1:{self.port}", timeout=60)

    def try_in(self, browser: httpx.Client) -> httpx.Response:
        """Presses the button of the page."""
        page = browser.get("/entrer").text
        action = re.search(r'action="([^"]+/entrer/certificat)"', page)
        token = re.search(r'name="token" value="([0-9a-f]+)"', page)
        assert action
        assert token
        return browser.post(action[1], data={"token": token[1]}, headers={"sec-fetch-site": "same-site"})


@pytest.fixture
def cards(node: Node) -> Iterator[Cards]:
    made = Cards(node)
    with node.opened(made.more, port=None):
        yield made


@pytest.mark.parametrize("shown", ["bound", "renewed"])
def test_a_card_signs_in(cards: Cards, shown: str) -> None:
    """At its own port, by the name that is bound, so that a renewed one goes on; the session counts at the other."""
    with cards.browser(shown) as browser:
        before = browser.get("/entrer").cookies[COOKIE]
        answer = cards.try_in(browser)
        assert (answer.status_code, answer.headers["location"]) == (303, f"https://127.0.0.1:{cards.port}/")
        assert answer.cookies[COOKIE] != before
        assert answer.headers["connection"] == "close"
        assert LAB in browser.get("/aide").text


@pytest.mark.parametrize("shown", ["", "unbound", "revoked"])
def test_a_card_that_may_not_is_told_so(cards: Cards, shown: str) -> None:
    """None, one that nobody bound, one that was revoked: back to the page, with one sentence; nobody is signed in."""
    with cards.browser(shown) as browser:
        answer = cards.try_in(browser)
        assert answer.status_code == 303
        assert SENTENCES["signing-no-certificate"][0] in browser.get(answer.headers["location"]).text
        assert browser.get("/").headers["location"] == "/entrer"


@pytest.mark.parametrize("shown", ["expired", "another issuer", "for mail"])
def test_a_card_that_is_not_ours_ends_the_handshake(cards: Cards, shown: str) -> None:
    """Before a page answers."""
    with cards.browser(shown) as browser, pytest.raises(httpx.TransportError):
        cards.try_in(browser)


def test_a_card_is_asked_for_at_its_port_only(cards: Cards) -> None:
    """Who signs in otherwise is shown no question; there, nothing but signing in is served."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(*cards.files["another issuer"])
    usual = f"https://127.0.0.1:{cards.port}"
    with httpx.Client(verify=context, base_url=usual) as stranger:
        assert stranger.get("/entrer").status_code == 200
        token = re.search(r'name="token" value="([0-9a-f]+)"', stranger.get("/entrer").text)
        assert token
        assert stranger.post("/entrer/certificat", data={"token": token[1]}).status_code == 404
    with cards.browser("bound") as browser:
        policy = browser.get("/entrer").headers["content-security-policy"]
        assert policy.endswith(f"form-action 'self' https://127.0.0.1:{cards.beside}")
        for path in ("/", "/entrer", "/ecrire", "/aide"):
            assert browser.get(f"https://127.0.0.1:{cards.beside}{path}").headers["location"] == f"{usual}/"


def test_a_card_of_another_page_signs_nobody_in(cards: Cards) -> None:
    """A form that we did not make for this browser (CSRF), or another site's, begins no session."""
    with cards.browser("bound") as browser, cards.browser() as other:
        at = f"https://127.0.0.1:{cards.beside}/entrer/certificat"
        theirs = re.search(r'name="token" value="([0-9a-f]+)"', other.get("/entrer").text)
        own = re.search(r'name="token" value="([0-9a-f]+)"', browser.get("/entrer").text)
        assert theirs
        assert own
        assert browser.post(at, data={"token": theirs[1]}).status_code == 403
        assert browser.post(at, data={}).status_code == 403
        cross = browser.post(at, data={"token": own[1]}, headers={"sec-fetch-site": "cross-site"})
        assert cross.status_code == 403
        assert browser.get("/").headers["location"] == "/entrer"


def test_a_card_whose_standing_is_unknown_waits(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a list of revoked ones nobody can tell: not let in, and told to try again; by policy, let in."""
    cards = Cards(node)
    for file in (node.folder / "trust" / "crls").iterdir():
        file.unlink()
    with node.opened(cards.more, port=None), cards.browser("bound") as browser:
        answer = cards.try_in(browser)
        assert SENTENCES["signing-certificate-later"][0] in browser.get(answer.headers["location"]).text
    monkeypatch.setenv("PLI_TRUST__CANNOT_TELL", "accept-marked")
    with node.opened(cards.more, port=None), cards.browser("bound") as browser:
        cards.try_in(browser)
        assert LAB in browser.get("/aide").text


def test_an_address_chooses_a_sentence_and_says_none(node: Node) -> None:
    """What stands after the question mark is never shown."""
    cards = Cards(node)
    with node.opened(cards.more, port=None), cards.browser() as browser:
        page = browser.get("/entrer", params={"refus": "Appelez le 0899 000 000"}).text
        assert "0899" not in page
        assert 'role="alert"' not in page


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('certificate = "/x.pem"', "certificate and key come together"),
        ("certificate_port = 8443", "certificate_port is another than port"),
        ('url = "http://pages.example"', "url"),
        ('url = "https://pages.example/dossier"', "url"),
    ],
)
def test_pages_that_cannot_be_are_refused_at_the_start(configure: Callable[[str], Path], more: str, words: str) -> None:
    """In words, with the key; what fits is taken (the twin)."""
    with pytest.raises(config.ConfigError, match=words):
        config.load(configure(f"[doors]\n[web]\n{more}\n"))
    assert config.load(configure('[doors]\n[web]\nurl = "https://pages.example:8443"\n')).web


def test_config_check_sees_what_signing_in_needs(configure: Callable[[str], Path], tmp_path: Path) -> None:
    """A secret that is not there, or open to others; the pages' own key."""
    secret, key = tmp_path / "secret", tmp_path / "web.key"
    more = f"""[doors]
[web]
certificate = "{tmp_path}/web.pem"
key = "{key}"
[provider]
issuer = "i"
audience = "a"
keys_url = "https://provider.example/certs"
discovery_url = "https://provider.example/discovery"
secret_file = "{secret}"
"""
    settings = config.load(configure(more))
    names = ("web.certificate", "web.key", "provider.secret_file")
    assert {each.name for each in readiness.checks(settings) if each.name in names and not each.ok} == set(names)
    for file in (secret, key, tmp_path / "web.pem"):
        file.write_text("x")
        file.chmod(0o644)
    seen = {each.name: each.ok for each in readiness.checks(settings)}
    assert [seen[f"{name} private"] for name in ("web.key", "provider.secret_file")] == [False, False]
    secret.chmod(0o600)
    key.chmod(0o600)
    seen = {each.name: each.ok for each in readiness.checks(settings)}
    assert all(seen[name] for name in (*names, "web.key private", "provider.secret_file private"))
