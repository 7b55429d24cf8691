"""Passes: how the pages read a mailbox over IMAP without anybody's password.

Promises: a pass names one account, counts for minutes, and only at our own introspection door, which Dovecot asks; its
key is made anew when the pages start and lies readable by the node's account alone. Does not: log in at SMTP (what is
sent from a page goes through the intake), or ask whether an account is suspended (who redeems it does).
"""

from __future__ import annotations

import base64
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from certs import disk
from certs.model import Clock

MARK = "pli-pass."
LIFE = timedelta(minutes=5)


class Passes:
    """`file`: holds the key; the pages write it, the doors read it."""

    def __init__(self, file: Path, clock: Clock) -> None:
        self._file, self._clock = file, clock

    def renew_key(self) -> None:
        disk.put(self._file, secrets.token_bytes(32))

    def make(self, account: str) -> str:
        until = int((self._clock() + LIFE).timestamp())
        told = base64.urlsafe_b64encode(f"{until} {account}".encode()).decode().rstrip("=")
        return f"{MARK}{told}.{_sealed(self._file.read_bytes(), told)}"

    def redeem(self, given: str) -> tuple[str, datetime] | None:
        """The account and the end; None where it is not ours, altered or over."""
        told, _, seal = given.removeprefix(MARK).partition(".")
        try:
            key = self._file.read_bytes()
            if not hmac.compare_digest(_sealed(key, told), seal):
                return None
            until, _, account = base64.urlsafe_b64decode(told + "=" * (-len(told) % 4)).decode().partition(" ")
            end = datetime.fromtimestamp(int(until), UTC)
        except (OSError, ValueError, TypeError):
            return None
        return (account, end) if end > self._clock() else None


def _sealed(key: bytes, told: str) -> str:
    return hmac.digest(key, told.encode(), "sha256").hex()
