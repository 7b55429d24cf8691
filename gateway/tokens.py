"""Bearer tokens of an OpenID provider in the manner of Pro Santé Connect: whom a token speaks of, or why it counts not.

Promises: a token counts only if the provider's own key signed it with an algorithm that we name, for us, from that
provider, now; the refusal has a name. Keys are fetched when they are needed and remembered; while the provider is down
those that we hold go on counting, for a time that is policy; a token that names an unknown key cannot make us fetch at
will. Does not: log in anywhere, keep a token, or know which mailbox a subject has (accounts does).
"""

from __future__ import annotations

import hmac
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx
from joserfc import errors, jwt
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from certs.model import Clock

TOKEN_MOST = 8 * 1024
"""Characters. A token fits on the longest command line (RFC 4954 §4)."""
KEYS_MOST = 256 * 1024
ALGORITHMS = ("RS256", "PS256", "ES256")
"""Asymmetric only: with HS256 the provider's public key would be the secret, and 'none' signs nothing (RFC 8725 §3)."""


ID = "ID"
"""What the provider (a Keycloak, as Pro Santé Connect's is) says in `typ` of an ID token."""
_REGISTRY = JWSRegistry(algorithms=list(ALGORITHMS))


class Why(StrEnum):
    """Why a token does not count. Names go to logs."""

    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    UNKNOWN_KEY = "unknown-key"
    SIGNATURE = "signature"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    NOT_YET = "not-yet"
    SUBJECT = "subject"
    KIND = "kind"
    """An ID token where an access token belongs, or the other way round (RFC 8725 §3.12)."""
    NONCE = "nonce"
    ACR = "acr"


@dataclass(frozen=True)
class Subject:
    """Whom a token speaks of."""

    sub: str
    until: datetime


@dataclass(frozen=True)
class Refused:
    why: Why


class TokensDown(Exception):
    """The provider's keys cannot be had, and none are held that still count: no token can be judged now."""


@dataclass(frozen=True)
class Provider:
    """One OpenID provider, as configured."""

    issuer: str
    audience: str
    """What 'aud' must hold: our client identifier."""
    keys_url: str
    """jwks_uri of the provider."""
    leeway: timedelta = timedelta(seconds=60)
    fresh_for: timedelta = timedelta(hours=1)
    """After that the keys are fetched again."""
    held_for: timedelta = timedelta(hours=24)
    """So long they count while the provider is down."""
    identity_age: timedelta = timedelta(minutes=5)
    """An ID token that was issued longer ago is of no sign-in of now."""
    pause: timedelta = timedelta(seconds=30)
    """Between two fetches, whatever tokens name."""


def vouching(authorities: Path | None) -> ssl.SSLContext | None:
    """Who vouches for a provider's servers: a PEM file, or the system's authorities (None). Raises OSError."""
    return ssl.create_default_context(cafile=authorities) if authorities else None


Download = Callable[[str], bytes]
"""Raises OSError or httpx.HTTPError."""


def download(url: str, context: ssl.SSLContext | None = None) -> bytes:
    """The keys' document: no redirect is followed, and a large one is refused."""
    trust = context or ssl.create_default_context()
    with httpx.Client(verify=trust, timeout=5.0) as client, client.stream("GET", url) as answer:
        answer.raise_for_status()
        data = b""
        for piece in answer.iter_bytes():
            data += piece
            if len(data) > KEYS_MOST:
                raise OSError("the keys are too large")
        return data


@dataclass
class _Held:
    keys: KeySet | None = None
    at: datetime | None = None
    tried: datetime | None = None


@dataclass(frozen=True)
class Tokens:
    """Judges tokens of one provider. Threads may share it."""

    provider: Provider
    clock: Clock
    download: Download = download
    _held: _Held = field(default_factory=_Held, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def judge(self, token: str) -> Subject | Refused:
        """An access token, at the doors. Raises TokensDown."""
        claims = self._judged(token)
        if isinstance(claims, Refused):
            return claims
        return Refused(Why.KIND) if claims.get("typ") == ID else self._subject(claims)

    def identity(self, token: str, nonce: str, acr: Sequence[str]) -> Subject | Refused:
        """An ID token of the sign-in for which `nonce` was made, at one of these assurances. Raises TokensDown."""
        claims = self._judged(token)
        if isinstance(claims, Refused):
            return claims
        wrong = self._unfit(claims, nonce, acr)
        return Refused(wrong) if wrong else self._subject(claims)

    def _unfit(self, claims: Mapping[str, Any], nonce: str, acr: Sequence[str]) -> Why | None:
        """OpenID Connect Core §3.1.3.7, what an access token has not."""
        provider, issued, audience = self.provider, claims.get("iat"), claims["aud"]
        several = isinstance(audience, list) and len(audience) > 1
        if claims.get("typ", ID) != ID:
            return Why.KIND
        if claims.get("azp", None if several else provider.audience) != provider.audience:
            return Why.AUDIENCE
        if not isinstance(issued, int | float):
            return Why.MALFORMED
        if issued < (self.clock() - provider.identity_age - provider.leeway).timestamp():
            return Why.EXPIRED
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            return Why.NONCE
        return Why.ACR if acr and claims.get("acr") not in acr else None

    def _judged(self, token: str) -> dict[str, Any] | Refused:
        """The claims of a token that the provider made for us and that counts now."""
        if len(token) > TOKEN_MOST or not token.isascii():
            return Refused(Why.MALFORMED)
        try:
            claims = self._verified(token)
            return self._refused(claims) or claims
        except errors.JoseError as error:
            return Refused(_why(error))
        except (ValueError, TypeError, KeyError):
            return Refused(Why.MALFORMED)

    def _verified(self, token: str) -> dict[str, Any]:
        """The claims of a token whose signature holds. A key that is not among ours is asked for once more."""
        try:
            return self._decoded(token, self._keys(renewed=False))
        except (errors.InvalidKeyIdError, errors.MissingKeyError):
            return self._decoded(token, self._keys(renewed=True))

    def _decoded(self, token: str, keys: KeySet) -> dict[str, Any]:
        """By the key that the token names; without a name only where the provider has one key."""
        named = jwt.decode(token, lambda signed: keys.get_by_kid(signed.headers().get("kid")), ALGORITHMS, _REGISTRY)
        return dict(named.claims)

    def _refused(self, claims: dict[str, Any]) -> Refused | None:
        """RFC 7519 §4.1, OpenID Connect Core §3.1.3.7."""
        provider, now = self.provider, int(self.clock().timestamp())
        leeway = int(provider.leeway.total_seconds())
        registry = jwt.JWTClaimsRegistry(
            now=now,
            leeway=leeway,
            iss={"essential": True, "value": provider.issuer},
            aud={"essential": True, "value": provider.audience},
            sub={"essential": True},
            exp={"essential": True},
        )
        registry.validate(claims)
        issued = claims.get("iat")
        if isinstance(issued, int | float) and issued > now + leeway:
            return Refused(Why.NOT_YET)
        return None if claims["sub"].strip() else Refused(Why.SUBJECT)

    def _subject(self, claims: Mapping[str, Any]) -> Subject:
        return Subject(claims["sub"], datetime.fromtimestamp(int(claims["exp"]), self.clock().tzinfo))

    # --- the provider's keys

    def _keys(self, *, renewed: bool) -> KeySet:
        """Those that we hold; fetched where they are old or `renewed` asks, at most once in a while."""
        with self._lock:
            held, now = self._held, self.clock()
            old = held.at is None or now - held.at > self.provider.fresh_for
            may = held.tried is None or now - held.tried >= self.provider.pause
            if (old or renewed) and may:
                self._fetch(now)
            if held.keys is None or held.at is None or now - held.at > self.provider.held_for:
                raise TokensDown
            return held.keys

    def _fetch(self, now: datetime) -> None:
        self._held.tried = now
        try:
            document = httpx.Response(200, content=self.download(self.provider.keys_url)).json()
            keys = KeySet.import_key_set(_signing(document))
        except (OSError, httpx.HTTPError, errors.JoseError, ValueError, TypeError, KeyError):
            return  # the held ones count for a while; without any the caller says that we are down
        self._held.keys, self._held.at = keys, now


def _signing(document: Any) -> Any:
    """RFC 7517 §4.2: keys for encryption are not for us, nor secrets that no public document should hold."""
    kept = [key for key in document["keys"] if key.get("use", "sig") == "sig" and key.get("kty") in ("RSA", "EC")]
    return {"keys": kept}


def _why(error: errors.JoseError) -> Why:
    match error:
        case errors.BadSignatureError():
            return Why.SIGNATURE
        case errors.InvalidKeyIdError() | errors.MissingKeyError():
            return Why.UNKNOWN_KEY
        case errors.UnsupportedAlgorithmError() | errors.ConflictAlgorithmError() | errors.InvalidKeyTypeError():
            return Why.ALGORITHM
        case errors.ClaimError():
            named = {
                "iss": Why.ISSUER,
                "aud": Why.AUDIENCE,
                "exp": Why.EXPIRED,
                "nbf": Why.NOT_YET,
                "iat": Why.NOT_YET,
                "sub": Why.SUBJECT,
            }
            return named.get(error.claim, Why.MALFORMED)
    return Why.MALFORMED
