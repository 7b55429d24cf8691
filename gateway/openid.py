"""Signing a person in at an OpenID provider in the manner of Pro Santé Connect: authorization code flow with PKCE.

Promises: who it was is believed only from an ID token that gateway.tokens judges, made for this attempt (nonce) at the
assurance that was asked for (acr), and from the userinfo of the same subject; endpoints are those of the provider's own
discovery document, over TLS. Does not: know browsers, cookies or accounts (gateway.web.providers does), or keep a token
but the one by which the person signs out.
"""

from __future__ import annotations

import base64
import hashlib
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
import structlog

from certs.model import Clock
from gateway.tokens import Refused, Tokens, TokensDown

log = structlog.get_logger(__name__)

ANSWER_MOST = 256 * 1024
"""Octets of one answer of the provider."""
WAITED_S = 5.0
FRESH, HELD = timedelta(hours=1), timedelta(hours=24)
"""The discovery document is fetched again after the first, and counts for the second while the provider is down."""

PAUSE = timedelta(seconds=10)
"""Between two tries to have it."""


class ProviderDown(Exception):
    """The provider cannot be asked, or does not answer as one does. The text is for the log."""


class Denied(StrEnum):
    """Why somebody is not signed in, beside what is wrong with a token. Names go to logs."""

    CODE = "code"
    """The provider does not take the code: used, over, another's, or the verifier is not its own (RFC 6749 §5.2)."""
    USERINFO = "userinfo"
    """Of another subject than the ID token (OpenID Connect Core §5.3.2), or not readable."""


@dataclass(frozen=True)
class Attempt:
    """One sign-in that a browser began. The three secrets are known to that browser's session alone."""

    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    back: str
    """redirect_uri."""


@dataclass(frozen=True)
class Person:
    """Who signed in. `names`: what an account may be bound to: the subject, and the national identifier (SubjectNameID,
    8 and the RPPS; spec/operator.md §4.2)."""

    names: frozenset[str]
    id_token: str = field(repr=False)


@dataclass(frozen=True)
class Endpoints:
    """OpenID Connect Discovery §3."""

    authorization: str
    token: str
    userinfo: str
    end_session: str
    by_post: bool
    """The secret goes into the form; else into the Authorization field (RFC 6749 §2.3.1)."""


@dataclass(frozen=True)
class Told:
    """What we are to this provider."""

    issuer: str
    client: str
    secret: str = field(repr=False)
    discovery: str
    scope: str
    acr: tuple[str, ...]
    """Values of which the ID token must hold one; empty: any."""


@dataclass
class _Known:
    endpoints: Endpoints | None = None
    at: datetime | None = None
    tried: datetime | None = None


@dataclass(frozen=True)
class Client:
    """One provider, as somebody signs in there. Threads may share it."""

    told: Told
    tokens: Tokens
    clock: Clock
    trust: ssl.SSLContext | None = None
    """Who vouches for the provider; the system's authorities otherwise."""
    _known: _Known = field(default_factory=_Known, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def begun(self, attempt: Attempt) -> str:
        """Where the browser goes. Raises ProviderDown."""
        asked = {
            "response_type": "code",
            "client_id": self.told.client,
            "redirect_uri": attempt.back,
            "scope": self.told.scope,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": _challenge(attempt.verifier),  # RFC 7636 §4.2
            "code_challenge_method": "S256",
        }
        if self.told.acr:
            asked["acr_values"] = " ".join(self.told.acr)
        return _with(self.endpoints().authorization, asked)

    def finished(self, code: str, attempt: Attempt) -> Person | Refused | Denied:
        """Who came back with this code. Raises ProviderDown."""
        given = self._exchanged(code, attempt)
        if isinstance(given, Denied):
            return given
        id_token, access = str(given.get("id_token", "")), str(given.get("access_token", ""))
        try:
            subject = self.tokens.identity(id_token, attempt.nonce, self.told.acr)
        except TokensDown:
            raise ProviderDown("its keys cannot be had") from None
        if isinstance(subject, Refused):
            return subject
        told = self._userinfo(access)
        if told.get("sub") != subject.sub:
            return Denied.USERINFO
        named = told.get("SubjectNameID")
        return Person(frozenset({subject.sub, *([named.strip()] if isinstance(named, str) else [])} - {""}), id_token)

    def leaving(self, id_token: str, back: str) -> str:
        """Where the browser goes to sign out there too (RP-Initiated Logout 1.0 §2); empty where the provider has no
        such place, or is down."""
        try:
            at = self.endpoints().end_session
        except ProviderDown:
            return ""
        return _with(at, {"id_token_hint": id_token, "post_logout_redirect_uri": back}) if at else ""

    # --- what the provider says of itself

    def endpoints(self) -> Endpoints:
        """Raises ProviderDown."""
        with self._lock:
            known, now = self._known, self.clock()
            old = known.at is None or now - known.at > FRESH
            if old and (known.tried is None or now - known.tried >= PAUSE):
                known.tried = now
                self._discover(now)
            if known.endpoints is None or known.at is None or now - known.at > HELD:
                raise ProviderDown("its discovery document cannot be had")
            return known.endpoints

    def _discover(self, now: datetime) -> None:
        try:
            document = self._asked("GET", self.told.discovery)
            self._known.endpoints = _endpoints(document, self.told.issuer)
            self._known.at = now
        except (ProviderDown, ValueError, TypeError) as error:
            log.warning("provider-not-discovered", why=str(error))  # the one that is held counts for a while

    # --- what is asked of it

    def _exchanged(self, code: str, attempt: Attempt) -> Mapping[str, Any] | Denied:
        """OpenID Connect Core §3.1.3."""
        at, told = self.endpoints(), self.told
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": attempt.back,
            "code_verifier": attempt.verifier,
            "client_id": told.client,
        }
        head = {}
        if told.secret and at.by_post:
            form["client_secret"] = told.secret
        elif told.secret:
            both = f"{quote(told.client, safe='')}:{quote(told.secret, safe='')}"
            head["authorization"] = f"Basic {base64.b64encode(both.encode()).decode()}"
        answer = self._sent("POST", at.token, head, form)
        if answer.status_code == 400 and _said(answer).get("error") == "invalid_grant":
            return Denied.CODE
        return _read(answer)

    def _userinfo(self, access: str) -> Mapping[str, Any]:
        return self._asked("GET", self.endpoints().userinfo, {"authorization": f"Bearer {access}"})

    def _asked(self, method: str, url: str, head: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        return _read(self._sent(method, url, head or {}))

    def _sent(
        self, method: str, url: str, head: Mapping[str, str], form: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """No redirect is followed, and a large answer is none."""
        try:
            with (
                httpx.Client(verify=self.trust or ssl.create_default_context(), timeout=WAITED_S) as client,
                client.stream(method, url, headers={**head, "accept": "application/json"}, data=form) as answer,
            ):
                data = b""
                for piece in answer.iter_bytes():
                    data += piece
                    if len(data) > ANSWER_MOST:
                        raise ProviderDown("an answer is too large")
                return httpx.Response(answer.status_code, content=data)
        except (OSError, ValueError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProviderDown(type(error).__name__) from None


def _read(answer: httpx.Response) -> Mapping[str, Any]:
    if answer.status_code != 200:
        raise ProviderDown(f"it answers {answer.status_code} {_said(answer).get('error', '')}".strip())
    return _said(answer)


def _said(answer: httpx.Response) -> dict[str, Any]:
    """An object, or nothing."""
    try:
        told = answer.json()
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _endpoints(document: Mapping[str, Any], issuer: str) -> Endpoints:
    """Raises ValueError: it is another's (Discovery §4.3), or an endpoint is not over TLS."""
    if document.get("issuer") != issuer:
        raise ValueError("its discovery document names another issuer")
    methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return Endpoints(
        _safe(document.get("authorization_endpoint")),
        _safe(document.get("token_endpoint")),
        _safe(document.get("userinfo_endpoint")),
        _safe(document["end_session_endpoint"]) if document.get("end_session_endpoint") else "",
        by_post="client_secret_basic" not in methods,
    )


def _safe(url: object) -> str:
    if not isinstance(url, str) or urlsplit(url).scheme != "https" or not urlsplit(url).hostname:
        raise ValueError("an endpoint in its discovery document is not at https")
    return url


def _with(url: str, asked: Mapping[str, str]) -> str:
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(asked)}"


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode()
