"""A browser before the pages of a node of a stage, and somebody who signs in with it."""

from __future__ import annotations

import base64
import re
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from gateway.demo import stage
from gateway.demo.cast import PASSWORD
from gateway.demo.processes import free_port
from gateway.demo.stage import Seat


def with_pages(built: stage.Stage) -> None:
    """Every node of the stage serves its pages."""
    for seat in built.seats.values():
        web = f'[web]\nport = {free_port()}\nimap_port = {seat.ports.imaps}\nimap_name = "{seat.who.hostname}"\n'
        seat.config.write_text(f"{seat.config.read_text('utf-8')}\n{web}", "utf-8")


class Browser:
    """As a browser does: keeps cookies, follows, sends back the hidden token of the page's form."""

    def __init__(self, world: Any, seat: Seat | None = None) -> None:
        text = (seat or world.lilas).config.read_text("utf-8")
        port = int(re.findall(r"\[web\]\nport = (\d+)", text)[0])
        self.http = httpx.Client(
            verify=_trusting(world.ca), base_url=f"https://127.0.0.1:{port}", timeout=60, follow_redirects=True
        )

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path)

    def post(self, page: str, path: str, **form: str) -> httpx.Response:
        token = re.search(r'name="token" value="([0-9a-f]+)"', self.get(page).text)
        assert token
        return self.http.post(path, data={"token": token[1], **form})


def _trusting(ca: Path) -> Any:
    context = ssl.create_default_context(cafile=str(ca))
    context.check_hostname = False  # the certificate names the host, and we call loopback
    return context


def signed_in(world: Any, login: str, seat: Seat | None = None) -> Browser:
    """`seat`: at another node than Lilas."""
    done = world.pli(seat or world.lilas, "account", "code", login)
    assert (done.returncode, done.stderr) == (0, "")
    secret = parse_qs(urlsplit(done.stdout.strip()).query)["secret"][0]
    browser = Browser(world, seat)
    code = TOTP(_bytes(secret), 6, SHA1(), 30).generate(int(datetime.now(UTC).timestamp())).decode()  # noqa: S303
    answer = browser.post("/entrer", "/entrer", login=login, password=PASSWORD, code=code)
    assert answer.status_code == 200, answer.text
    return browser


def _bytes(secret: str) -> bytes:
    return base64.b32decode(secret + "=" * (-len(secret) % 8))
