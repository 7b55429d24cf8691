"""No page of ours is shown in another's frame (clickjacking), whatever is asked and whoever asks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from gateway import config
from gateway.accounts import Accounts
from gateway.web import site as sites
from gateway.web.faces import FACES
from gateway.web.roles import Role
from gateway.web.sessions import COOKIE
from gateway.web.site import STATIC, Site

ANNE = "anne@lilas.example"
METHODS = ("GET", "POST", "HEAD", "PUT", "OPTIONS")
PATHS = sorted(
    {re.sub(r"{\w+}", "1", face.path) for face in FACES} | {f"/static/{name}" for name in STATIC} | {"/none"}
)


@pytest.fixture
def site(configure: Callable[[str], Path], tmp_path: Path) -> Iterator[Site]:
    for name in ("run", "data"):
        (tmp_path / name).mkdir()
    Accounts(tmp_path / "passwd").open({ANNE: ""})
    with closing(Site(config.load(configure("[doors]\n[web]\n")), FACES, lambda: datetime.now(UTC))) as made:
        yield made


def _framable(site: Site, *, signed_in: bool, beside: bool) -> list[str]:
    """What a browser, new or old, would show in a frame."""
    application = site.application_beside() if beside else site.application()
    http = TestClient(application, "https://testserver", raise_server_exceptions=False, follow_redirects=False)
    if signed_in:
        site.people.give(ANNE, frozenset(Role))
        http.cookies.set(COOKIE, site.sessions.begin(ANNE, "lilas"))
    found = []
    for path in PATHS:
        for method in METHODS:
            head = http.request(method, path).headers
            policy = head.get("content-security-policy", "")
            if "frame-ancestors 'none'" not in policy or head.get("x-frame-options") != "DENY":
                found.append(f"{method} {path}")
    return found


@pytest.mark.parametrize("signed_in", [True, False], ids=["with every role", "a stranger"])
@pytest.mark.parametrize("beside", [True, False], ids=["port of certificates", "pages"])
def test_no_answer_lets_itself_be_framed(site: Site, signed_in: bool, beside: bool) -> None:
    """Pages, forms that are refused, errors, files: each says so twice, for old browsers too."""
    assert _framable(site, signed_in=signed_in, beside=beside) == []


def test_an_answer_without_it_would_be_found(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: without one of the two each path is named."""
    monkeypatch.delitem(sites.HEAD, "x-frame-options")
    assert len(_framable(site, signed_in=False, beside=False)) == len(PATHS) * len(METHODS)
