"""People's roles and one-time codes: a small file beside the accounts.

Promises: a code counts once, and for a minute and a half at most (RFC 6238 §5.2); the file is readable by its owner
alone and replaced whole. Whoever has an account is a professional; further roles are given by name. Does not: keep
passwords (gateway.accounts does), or count failures (gateway.web.signing does).
"""

from __future__ import annotations

import base64
import json
import os
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from certs import disk
from gateway.web.roles import Role

STEP_S, DIGITS = 30, 6
"""What every authenticator program assumes, with HMAC-SHA-1 (RFC 6238 §1.2), which rests on no collision."""
SECRET = 20
"""Octets: as long as the digest, RFC 4226 §4 R6."""


@dataclass(frozen=True)
class Person:
    login: str
    roles: frozenset[Role]
    secret: bytes
    """Of the one-time codes; empty: none was set."""


class People:
    """Threads may share it."""

    def __init__(self, file: Path) -> None:
        self._file, self._lock = file, threading.Lock()
        self._used: dict[bytes, int] = {}
        """Secret -> the last step of which a code was used: one of a new secret was not."""
        self._seen: tuple[int, int, int] | None = None
        self._rows: dict[str, dict[str, list[str]]] = {}

    def person(self, login: str) -> Person:
        row = self._read().get(login.lower(), {})
        roles = frozenset({Role.PROFESSIONAL, *(Role(each) for each in row.get("roles", []))})
        return Person(login.lower(), roles, base64.b32decode("".join(row.get("secret", []))))

    def give(self, login: str, roles: frozenset[Role]) -> None:
        """These are the further roles from now on."""
        self._change(login, "roles", sorted(each.value for each in roles - {Role.PROFESSIONAL}))

    def enrol(self, login: str, issuer: str = "Pli") -> str:
        """A new secret, as the otpauth address that authenticator programs read; the one before counts no more."""
        secret = os.urandom(SECRET)
        self._change(login, "secret", [base64.b32encode(secret).decode()])
        return _totp(secret).get_provisioning_uri(login.lower(), issuer)

    def code(self, login: str, at: datetime) -> str:
        """What this person's authenticator program shows at `at`."""
        return _totp(self.person(login).secret).generate(int(at.timestamp())).decode()

    def code_counts(self, login: str, code: str, now: datetime) -> bool:
        """A code of this moment, or of a step beside it, that was not used before."""
        secret = self.person(login).secret
        step = _step(secret, code, now)
        with self._lock:
            if step is None or step <= self._used.get(secret, 0):
                return False
            self._used[secret] = step
            return True

    def _read(self) -> dict[str, dict[str, list[str]]]:
        """Again only where the file changed: every request asks."""
        try:
            now = self._file.stat()
        except FileNotFoundError:
            return {}
        seen = (now.st_mtime_ns, now.st_size, now.st_ino)
        if seen != self._seen:
            self._rows, self._seen = json.loads(self._file.read_text("utf-8")), seen
        return self._rows

    def _change(self, login: str, name: str, value: list[str]) -> None:
        with self._lock:
            told = self._read()
            told = {**told, login.lower(): {**told.get(login.lower(), {}), name: value}}
            text = json.dumps(told, indent=1, sort_keys=True) + "\n"
            disk.put(self._file, text.encode(), owner=self._file.parent)  # the pages read what root's command wrote


def _totp(secret: bytes) -> TOTP:
    return TOTP(secret, DIGITS, SHA1(), STEP_S)  # noqa: S303


def _step(secret: bytes, code: str, now: datetime) -> int | None:
    """The time step that this code is of; the steps beside it, since a telephone's clock may differ."""
    if not secret:
        return None
    current = int(now.timestamp()) // STEP_S
    for step in (current, current - 1, current + 1):
        try:
            _totp(secret).verify(code.encode("ascii", "replace"), step * STEP_S)
        except InvalidToken:
            continue
        return step
    return None
