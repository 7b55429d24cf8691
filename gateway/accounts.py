"""Accounts of mailboxes: a passwd-file in Dovecot's format, so that one rule decides for SMTP and IMAP.

Promises: a password is kept only as ARGON2ID (RFC 9106), with parameters that Dovecot verifies too; an
unknown login costs as much as a wrong password; a line that cannot be read lets nobody in; a change is atomic
and synced. Does not: log, nor count failures (the doors do).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from directory.address import BadAddress, parse
from directory.model import Address

SCHEME = "{ARGON2ID}"

# One lane: the library behind Dovecot verifies no other. Memory in KiB.
_hasher = PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=1)


class BadAccount(ValueError):
    """This login or password cannot be kept; the text is for the operator and repeats no password."""


class Accounts:
    """The logins of one node. Threads may share it; the file is read again when it changed."""

    def __init__(self, file: Path, delegations: Mapping[str, Sequence[str]] = MappingProxyType({})) -> None:
        self._file = file
        self._delegations = {
            login.lower(): frozenset(each.lower() for each in others) for login, others in delegations.items()
        }
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._hashes: dict[str, str] = {}
        self._nobody = _hasher.hash(os.urandom(16))

    def verify(self, login: str, password: str) -> str | None:
        """The account's name where the password is right, else None. Some 50 ms of CPU: for a thread."""
        known = self._read().get(login.lower())
        right = _matches(known or self._nobody, password)
        return login.lower() if right and known else None

    def may_use(self, account: str, address: Address) -> bool:
        """May this account send as this address? Its own, or one that the configuration delegates to it."""
        return address.key == account.lower() or address.key in self._delegations.get(account.lower(), ())

    def add(self, login: str, password: str) -> None:
        """Writes, or replaces, one account; raises BadAccount."""
        name = _checked(login, password)
        line = f"{name}:{SCHEME}{_hasher.hash(password)}::::::"
        with self._lock:
            kept = [each for each in _lines(self._file) if each.partition(":")[0].lower() != name]
            _replace(self._file, [*kept, line])

    def _read(self) -> dict[str, str]:
        with self._lock:
            try:
                now = self._file.stat()
            except FileNotFoundError:
                return {}
            seen = (now.st_mtime_ns, now.st_size, now.st_ino)
            if seen != self._seen:
                self._hashes, self._seen = dict(_accounts(_lines(self._file))), seen
            return self._hashes


def _checked(login: str, password: str) -> str:
    try:
        name = parse(login).key
    except BadAddress as error:
        raise BadAccount(f"an account is named by the address of its mailbox: {error}") from None
    if not password or any(ord(char) < 32 for char in password):
        raise BadAccount("a password is not empty and holds no control character")
    return name


def _lines(file: Path) -> list[str]:
    return file.read_text("utf-8").splitlines() if file.exists() else []


def _accounts(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        name, _, rest = line.partition(":")
        secret = rest.partition(":")[0]
        if name and not name.startswith("#") and secret.startswith(SCHEME):
            yield name.lower(), secret.removeprefix(SCHEME)


def _matches(kept: str, password: str) -> bool:
    try:
        return _hasher.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False


def _replace(file: Path, lines: Sequence[str]) -> None:
    """A reader sees the old file or the new one, whole, and never more of it than before."""
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
    draft = file.with_name(f"{file.name}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        out.write("".join(f"{line}\n" for line in lines))
        out.flush()
        os.fchmod(out.fileno(), mode)
        os.fsync(out.fileno())
    draft.replace(file)
