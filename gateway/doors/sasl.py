"""What clients say in AUTH, read strictly: PLAIN (RFC 4616), XOAUTH2, OAUTHBEARER (RFC 7628), EXTERNAL (RFC 4422).

Promises: a response has one reading or none. Does not: ask whether it is right (accounts does), nor speak.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import dataclass, field

_BEARER = re.compile(r"Bearer ([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE)  # RFC 6750 §2.1
# RFC 5801 §4, RFC 7628 §3.1: no channel binding, perhaps an authorization identity
_GS2 = re.compile(r"[ny],(?:a=([^,\x00-\x1f]*))?,")


@dataclass(frozen=True)
class Credentials:
    login: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Bearer:
    user: str
    """Empty where none was said."""
    token: str = field(repr=False)


def plain(blob: bytes) -> Credentials | None:
    """authzid NUL authcid NUL password. Nobody acts for another: authzid is authcid."""
    parts = _text(blob).split("\0")
    if len(parts) != 3 or parts[0] not in ("", parts[1]):
        return None
    return Credentials(parts[1], parts[2])


def login(name: bytes, password: bytes) -> Credentials | None:
    """The two answers of LOGIN."""
    try:
        return Credentials(name.decode("utf-8"), password.decode("utf-8"))
    except UnicodeDecodeError:
        return None


def xoauth2(blob: bytes) -> Bearer | None:
    """user=NAME ^A auth=Bearer TOKEN ^A ^A, as Google and Microsoft wrote it down."""
    fields = _fields(_text(blob))
    if fields is None or set(fields) != {"user", "auth"}:
        return None
    return _bearer(fields["user"], fields["auth"])


def oauthbearer(blob: bytes) -> Bearer | None:
    """RFC 7628 §3.1: GS2 header ^A key=value ^A … ^A; host and port are read and not believed."""
    header, _, rest = _text(blob).partition("\1")
    said, fields = _GS2.fullmatch(header), _fields(rest)
    if said is None or fields is None or "auth" not in fields or set(fields) - {"auth", "host", "port"}:
        return None
    return _bearer((said[1] or "").replace("=2C", ",").replace("=3D", "="), fields["auth"])


def external(blob: bytes) -> str | None:
    """RFC 4422 appendix A: as whom to act, or nothing for the account that the certificate is."""
    try:
        user = blob.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if any(ord(char) < 32 for char in user) else user


REFUSED = b64encode(json.dumps({"status": "invalid_token"}).encode()).decode("ascii")
"""The challenge that says no; the client answers it with nothing (RFC 7628 §3.2.3)."""


def _bearer(user: str, auth: str) -> Bearer | None:
    token = _BEARER.fullmatch(auth)
    return Bearer(user, token[1]) if token else None


def _fields(text: str) -> dict[str, str] | None:
    """key=value, each ended by ^A, and a ^A at the end; no key twice."""
    if not text.endswith("\1\1"):
        return None
    found: dict[str, str] = {}
    for part in text[:-2].split("\1"):
        key, equals, value = part.partition("=")
        if not equals or key in found:
            return None
        found[key] = value
    return found


def _text(blob: bytes) -> str:
    """Empty, hence no reading, for what is not UTF-8."""
    try:
        return blob.decode("utf-8")
    except UnicodeDecodeError:
        return ""
