"""Somebody who is signed in before the pages of a node: what she opens, says and sends."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

from gateway.web.roles import Role
from gateway.web.sessions import COOKIE
from gateway.web.site import Site

ANNE = "anne@lilas.example"


class Browser:
    """Anne, signed in, with these roles."""

    def __init__(self, site: Site, *roles: Role, language: str = "fr") -> None:
        self.http = TestClient(site.application(), base_url="https://testserver", follow_redirects=False)
        self.http.headers["accept-language"] = language
        site.people.give(ANNE, frozenset(roles))
        name = site.sessions.begin(ANNE, "lilas")
        self.http.cookies.set(COOKIE, name)
        self._token = site.sessions.token(name)

    def get(self, path: str) -> Any:
        return self.http.get(path)

    def post(self, path: str, **form: str) -> Any:
        return self.http.post(path, data={"token": self._token, **form})

    def send(self, path: str, name: str, data: bytes, **form: str) -> Any:
        """With a file."""
        return self.http.post(path, data={"token": self._token, **form}, files={"file": (name, data)})
