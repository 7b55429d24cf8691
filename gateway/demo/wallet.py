"""A stand-in for the sign-in of Pro Santé Connect, over TLS: discovery, authorization, code for tokens, userinfo,
leaving; and the ways in which each can be wrong.

Promises: what it is asked it checks as a provider must: redirect_uri, client and secret, PKCE, a code once and for one
minute; it answers as the names of its documents say (spec/operator.md §4.2). Whoever comes is at once the person of
`who`. Does not: ask anybody anything, or stand on the serving path.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from gateway.demo.provider import AUDIENCE, Provider, Said

SECRET = "secret du client: +&="  # noqa: S105
REALM = "/realms/esante-wallet"
DISCOVERY = f"{REALM}/.well-known/wallet-openid-configuration"
CERTS, TOKEN, USERINFO, LOGOUT = (
    f"{REALM}/protocol/openid-connect/{each}" for each in ("certs", "token", "userinfo", "logout")
)
AUTH = "/auth"


@dataclass
class Grant:
    """What a code stands for."""

    asked: Mapping[str, str]
    used: bool = False


@dataclass
class Wallet(Provider):
    """`who`: the userinfo of whoever signs in. `wrong`: replaces what stands in the ID token (`alg`, `kid` its head);
    None leaves a claim out. `said`: replaces what its discovery document says. `closed`: paths that answer 503.
    `error`: it sends the browser back with this instead of a code."""

    who: dict[str, Any] = field(default_factory=dict)
    wrong: dict[str, Any] = field(default_factory=dict)
    said: dict[str, Any] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    error: str = ""
    backs: set[str] = field(default_factory=set)
    """The redirect_uri that it knows."""
    left: list[dict[str, str]] = field(default_factory=list)
    """Who signed out, and how."""
    _codes: dict[str, Grant] = field(default_factory=dict)
    _access: dict[str, dict[str, Any]] = field(default_factory=dict)

    def answer(self, method: str, path: str, head: Mapping[str, str], form: str) -> Said:
        at = urlsplit(path)
        asked = {key: values[0] for key, values in parse_qs(form or at.query, keep_blank_values=True).items()}
        if self.down or at.path in self.closed:
            return Said(503)
        match method, at.path:
            case "GET", str(place) if place == DISCOVERY:
                return Said(200, self._document())
            case "GET", str(place) if place == CERTS:
                return super().answer(method, path, head, form)
            case "GET", str(place) if place == AUTH:
                return self._authorized(asked)
            case "POST", str(place) if place == TOKEN:
                return self._exchanged(asked, head.get("authorization", head.get("Authorization", "")))
            case "GET", str(place) if place == USERINFO:
                return self._told(head.get("authorization", head.get("Authorization", "")))
            case "GET", str(place) if place == LOGOUT:
                self.left.append(asked)
                return Said(302, to=asked["post_logout_redirect_uri"])
        return Said(404)

    def person(self, rpps: str, **more: Any) -> None:
        """From now on this one signs in: `sub` as a Keycloak says it, the national identifier beside it."""
        sub = f"f:550dc1c8-d97b-4b1e-ac8c-8eb4471cf9dd:8{rpps}"
        named = {"sub": sub, "SubjectNameID": f"8{rpps}", "preferred_username": f"8{rpps}"}
        self.who = named | {"family_name": "MOREAU", "given_name": "CLAIRE"} | more

    def _document(self) -> dict[str, Any]:
        right = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.url}{AUTH}",
            "token_endpoint": f"{self.url}{TOKEN}",
            "userinfo_endpoint": f"{self.url}{USERINFO}",
            "end_session_endpoint": f"{self.url}{LOGOUT}",
            "jwks_uri": f"{self.url}{CERTS}",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
        }
        return {name: value for name, value in (right | self.said).items() if value is not None}

    def _authorized(self, asked: dict[str, str]) -> Said:
        """RFC 6749 §4.1.2.1: an unknown client or redirect_uri is told to the person, never sent back."""
        if asked.get("client_id") != AUDIENCE or asked.get("redirect_uri") not in self.backs:
            return Said(400)
        if asked.get("response_type") != "code" or asked.get("code_challenge_method") != "S256":
            return Said(400)
        back: dict[str, str] = {"error": self.error}
        if not self.error:
            back = {"code": secrets.token_urlsafe(16), "iss": self.issuer}
            self._codes[back["code"]] = Grant(asked)
        return Said(302, to=f"{asked['redirect_uri']}?{urlencode({**back, 'state': asked['state']})}")

    def _exchanged(self, form: dict[str, str], authorization: str) -> Said:
        if not _is_us(form, authorization, self.said.get("token_endpoint_auth_methods_supported")):
            return Said(401, {"error": "invalid_client"})
        grant = self._codes.get(form.get("code", ""))
        if grant is None or grant.used or not _fits(grant.asked, form):
            return Said(400, {"error": "invalid_grant"})
        grant.used = True
        access = secrets.token_urlsafe(32)
        self._access[access] = dict(self.who)
        return Said(200, {"access_token": access, "token_type": "Bearer", "id_token": self._id_token(grant)})

    def _id_token(self, grant: Grant) -> str:
        acr = grant.asked.get("acr_values", "").partition(" ")[0]
        right = {"nonce": grant.asked.get("nonce"), "acr": acr, "typ": "ID", "azp": AUDIENCE}
        return self.token(str(self.who["sub"]), datetime.now(UTC), **{**right, **self.wrong})

    def _told(self, authorization: str) -> Said:
        told = self._access.get(authorization.removeprefix("Bearer "))
        return Said(200, told) if told else Said(401)


def _is_us(form: Mapping[str, str], authorization: str, methods: list[str] | None) -> bool:
    """Basic (RFC 6749 §2.3.1: form-encoded before base64), unless the document says that the form is the place."""
    if methods == ["client_secret_post"]:
        return form.get("client_secret") == SECRET
    told = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
    return (unquote(told[0]), unquote(told[2])) == (AUDIENCE, SECRET)


def _fits(asked: Mapping[str, str], form: Mapping[str, str]) -> bool:
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return challenge == asked["code_challenge"] and form.get("redirect_uri") == asked["redirect_uri"]
