"""A running node at which people sign in with a provider shaped like Pro Santé Connect, or with a card; what is taken
away from them, and what is renewed, counts without a restart."""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.throwaway import Shape, subject
from gateway.demo import stage
from gateway.demo.cast import RADIOLOGIST, RIS, SURGEON
from gateway.demo.processes import free_port
from gateway.demo.provider import AUDIENCE
from gateway.demo.wallet import CERTS, DISCOVERY, SECRET, Wallet
from tests.journeys.browsing import Browser

pytestmark = pytest.mark.journey

PORT, BESIDE = free_port(), free_port()
NUMBER = f"8{RADIOLOGIST.rpps}"


@pytest.fixture(scope="module")
def wallet() -> Iterator[Wallet]:
    made = Wallet()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def world(make_world: Any, wallet: Wallet) -> Iterator[Any]:
    def change(built: stage.Stage) -> None:
        seat = built.seats["lilas"]
        wallet.tls = built.pki.tls_server("127.0.0.1", "ANS", "1750000042").write(built.folder / "wallet", "wallet")
        wallet.start()
        wallet.backs = {f"https://127.0.0.1:{PORT}/entrer/retour/lilas"}
        stage.secret_file(seat.folder / "provider.secret", SECRET.encode())
        text = re.sub(r"(?ms)^\[provider\]\n.*?(?=^\[|\Z)", "", seat.config.read_text("utf-8"))
        seat.config.write_text(f"{text}\n{told(wallet, built, seat)}", "utf-8")

    with make_world(change) as made:
        yield made


def told(wallet: Wallet, built: stage.Stage, seat: stage.Seat) -> str:
    return f"""[web]
port = {PORT}
url = "https://127.0.0.1:{PORT}"
certificate_port = {BESIDE}
[provider]
issuer = "{wallet.issuer}"
audience = "{AUDIENCE}"
keys_url = "{wallet.url}{CERTS}"
discovery_url = "{wallet.url}{DISCOVERY}"
secret_file = "{seat.folder}/provider.secret"
authorities = "{built.anchors}"
"""


def well(world: Any, *words: str) -> None:
    done = world.pli(world.lilas, *words)
    assert (done.returncode, done.stderr) == (0, ""), done


def test_a_professional_signs_in_with_the_national_identifier(world: Any, wallet: Wallet) -> None:
    """Bound by the operator's command while the node runs; he sees his letter; he leaves here and there."""
    login = str(RADIOLOGIST.address)
    letter = world.submit(world.plain(login, str(SURGEON.address)))
    wallet.person(RADIOLOGIST.rpps)
    browser = Browser(world)
    assert "Se connecter avec Pro Santé Connect" in browser.get("/entrer").text
    assert browser.get("/entrer/fournisseur/lilas").status_code == 403  # identified there, and nobody's account
    well(world, "account", "bind", login, NUMBER)
    assert browser.get("/entrer/fournisseur/lilas").url.path == "/"
    assert str(SURGEON.address) in browser.get(f"/lettres/{letter}").text
    left = browser.post("/aide", "/sortir").text
    assert re.search(r'http-equiv="refresh" content="0; url=https://127\.0\.0\.1:\d+/realms/', left)
    assert browser.get("/").url.path == "/entrer"


def test_a_role_given_and_taken_by_a_command_counts_at_once(world: Any, wallet: Wallet) -> None:
    """In a session that stands."""
    login = str(RADIOLOGIST.address)
    wallet.person(RADIOLOGIST.rpps)
    well(world, "account", "bind", login, NUMBER)
    browser = Browser(world)
    browser.get("/entrer/fournisseur/lilas")
    assert browser.get("/ou-est-ma-lettre").status_code == 403
    well(world, "account", "role", login, "support")
    assert browser.get("/ou-est-ma-lettre").status_code == 200
    well(world, "account", "role", login)
    assert browser.get("/ou-est-ma-lettre").status_code == 403


def test_a_card_signs_in_until_it_is_revoked(world: Any, tmp_path: Path) -> None:
    """Bound by the operator's command; the list that names it is read while the node runs."""
    pki = world.company.stage.pki
    held = pki.issue(subject("899700000077", "IMAGERIE", "1750000001"), Shape(eku=(ExtendedKeyUsageOID.CLIENT_AUTH,)))
    chain, key = held.write(tmp_path, "card")
    tmp_path.chmod(0o755)
    (tmp_path / "shown.pem").write_bytes(chain.read_bytes())
    for folder in tmp_path.parents[:3]:
        folder.chmod(folder.stat().st_mode | 0o011)
    (tmp_path / "shown.pem").chmod(0o644)
    well_bound = world.pli(world.lilas, "account", "certificate", str(RIS.address), str(tmp_path / "shown.pem"))
    assert well_bound.returncode == 0, well_bound
    assert str(RIS.address) in card(world, chain, key).text
    pki.revoke(held)
    pki.write_trust(world.company.stage.trust, datetime.now(UTC))
    assert 'id="wrong"' in card(world, chain, key).text


def card(world: Any, chain: Path, key: Path) -> httpx.Response:
    """Presses the button with this card in the reader."""
    context = ssl.create_default_context(cafile=str(world.ca))
    context.check_hostname = False
    context.load_cert_chain(chain, key)
    with httpx.Client(verify=context, base_url=f"https://127.0.0.1:{PORT}", timeout=60, follow_redirects=True) as http:
        page = http.get("/entrer").text
        action = re.search(r'action="(https://[^"]+/entrer/certificat)"', page)
        token = re.search(r'name="token" value="([0-9a-f]+)"', page)
        assert action
        assert token
        return http.post(action[1], data={"token": token[1]})


def test_a_renewed_certificate_is_shown_without_a_restart(world: Any) -> None:
    """By the pages as by the mail doors, and the process is the same."""
    seat = world.lilas
    pid = (seat.folder / "run" / "web.pid").read_text()
    who = seat.tls[0].stat()
    new = world.company.stage.pki.tls_server(seat.who.hostname, seat.who.organisation, seat.who.unit)
    assert shown() != new.der
    for path in new.write(seat.tls[0].parent, "server"):
        path.chmod(0o644 if path == seat.tls[0] else 0o600)
        _owned(path, who.st_uid, who.st_gid)
    world.until(lambda: shown() == new.der, "the renewed certificate")
    assert (seat.folder / "run" / "web.pid").read_text() == pid


def _owned(path: Path, uid: int, gid: int) -> None:
    if os.geteuid() == 0:
        os.chown(path, uid, gid)


def shown() -> bytes:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", PORT), 30) as bare, context.wrap_socket(bare) as session:
        return session.getpeercert(True) or b""
