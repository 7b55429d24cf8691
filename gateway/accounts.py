"""Accounts of mailboxes: a passwd-file in Dovecot's format, so that one rule decides for SMTP and IMAP.

Promises: a password is kept only as ARGON2ID (RFC 9106), with parameters that Dovecot verifies too; an unknown login
costs as much as a wrong password; a line that cannot be read lets nobody in, nor does one that is suspended, by no door
and no proof; a change is atomic and synced. An account
is the address of its mailbox; ADDRESS/NAME is an application password of it, one for each device, so that a lost one is
revoked alone; subjects of the OpenID provider and client certificates are bound to it. Does not: log, count failures,
or judge a certificate (the doors do).
"""

from __future__ import annotations

import os
import re
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, unquote

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from certs.identities import identity
from directory.address import BadAddress, parse
from directory.model import Address
from gateway.tokens import Refused, Tokens, Why

SCHEME = "{ARGON2ID}"
NOBODY = "!"
"""In a hash's place: nobody logs in by password."""

# One lane: the library behind Dovecot verifies no other. Memory in KiB.
_hasher = PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=1)
_DEVICE = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")


class BadAccount(ValueError):
    """This login or password cannot be kept; the text is for the operator and repeats no password."""


@dataclass(frozen=True)
class Line:
    """One line of the file."""

    name: str
    """Address of the mailbox, or ADDRESS/NAME."""
    hash: str = field(repr=False)
    subjects: tuple[str, ...] = ()
    """Subjects of the OpenID provider that are this account."""
    certificates: tuple[str, ...] = ()
    """Client certificates that are this account: subjects (RFC 4514), or addresses that they carry."""
    suspended: bool = False
    """Nobody logs in; letters in custody are still delivered. Dovecot reads it as `nologin`."""

    @property
    def account(self) -> str:
        return self.name.partition("/")[0]

    @property
    def device(self) -> str:
        """Of an application password; empty for the account's own."""
        return self.name.partition("/")[2]

    def written(self) -> str:
        """passwd-file: user:password:uid:gid:gecos:home:shell:extra fields. An application password opens the
        account's own mailbox."""
        extra = [f"user={self.account}"] if self.device else []
        extra += [f"subject={quote(each, safe='')}" for each in self.subjects]
        extra += [f"certificate={quote(each, safe='')}" for each in self.certificates]
        # Dovecot's Password Database Extra Fields: the password may match, and nobody is let in.
        extra += ["nologin"] if self.suspended else []
        return f"{self.name}:{SCHEME}{self.hash}::::::{' '.join(extra)}"


@dataclass(frozen=True)
class Entered:
    """Whom a token lets in, and how long it counts."""

    account: str
    until: datetime


class Accounts:
    """The logins of one node. Threads may share it; the file is read again when it changed."""

    def __init__(
        self,
        file: Path,
        delegations: Mapping[str, Sequence[str]] = MappingProxyType({}),
        tokens: Tokens | None = None,
        application_passwords_only: bool = False,
    ) -> None:
        """`application_passwords_only`: an account's own password, which has a second factor elsewhere, opens no
        mail."""
        self._file = file
        self._delegations = {
            login.lower(): frozenset(each.lower() for each in others) for login, others in delegations.items()
        }
        self._tokens = tokens
        self._application_only = application_passwords_only
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._lines: dict[str, Line] = {}
        self._nobody = _nobody()

    # --- who it is

    @property
    def takes_tokens(self) -> bool:
        return self._tokens is not None

    def verify(self, login: str, password: str) -> str | None:
        """The account's name where the password is right, else None. Some 50 ms of CPU: for a thread."""
        known = self._read().get(login.lower())
        if known and suspended(known):
            known = None
        if known and self._application_only and not known.device:
            known = None
        kept = known.hash if known and known.hash != NOBODY else self._nobody
        right = _matches(kept, password)
        return known.account if right and known else None

    def token(self, user: str, token: str) -> str | Refused:
        """The account for which this token's subject may log in as `user`; why not, otherwise. Raises TokensDown."""
        found = self.bearer(user, token)
        return found.account if isinstance(found, Entered) else found

    def bearer(self, user: str, token: str) -> Entered | Refused:
        """The same, with the token's end.

        `user`: an account of the subject's, or one that is delegated to it; empty where the subject has but one.
        """
        if self._tokens is None:
            return Refused(Why.ISSUER)
        subject = self._tokens.judge(token)
        if isinstance(subject, Refused):
            return subject
        own = {line.account for line in self._open() if subject.sub in line.subjects}
        wanted = user.lower() or (next(iter(own)) if len(own) == 1 else "")
        delegated = any(wanted in self._delegations.get(each, ()) for each in own)
        allowed = wanted in own or (wanted and delegated)
        return Entered(wanted, subject.until) if allowed else Refused(Why.SUBJECT)

    def bound(self, names: Set[str]) -> tuple[str, ...]:
        """The open accounts to which one of these names of the provider's is bound."""
        return tuple(sorted({line.account for line in self._open() if names & set(line.subjects)}))

    def certificate(self, der: bytes, user: str = "") -> str | None:
        """The account to which this client certificate is bound, by its subject or by an address in it.

        `user`: which of them, or empty where there is but one. Says nothing about trust: who asks has judged it.
        """
        names = _names(der)
        bound = {line.account for line in self._open() if names & set(line.certificates)}
        wanted = user.lower() or (next(iter(bound)) if len(bound) == 1 else "")
        return wanted if wanted in bound else None

    def may_use(self, account: str, address: Address) -> bool:
        """May this account send as this address? Its own, or one that the configuration delegates to it; none while
        it is suspended, even in a session that was open before."""
        line = self._read().get(account.lower())
        if line and suspended(line):
            return False
        return address.key == account.lower() or address.key in self._delegations.get(account.lower(), ())

    def is_open(self, account: str) -> bool:
        """Is there such an account, and not suspended?"""
        line = self._read().get(account.lower())
        return line is not None and not suspended(line)

    def _open(self) -> Iterator[Line]:
        return (line for line in self._read().values() if not suspended(line))

    # --- kept

    def lines(self) -> list[Line]:
        return sorted(self._read().values(), key=lambda line: line.name)

    def add(self, login: str, password: str) -> None:
        """Writes, or replaces, one account's password; raises BadAccount."""
        self._put(_checked(login), _hashed(password))

    def add_device(self, login: str, device: str) -> str:
        """A new application password, which is shown this once; raises BadAccount."""
        name = _checked(login)
        if not _DEVICE.fullmatch(device):
            raise BadAccount("a device is named by lower-case letters, digits, dots and dashes")
        if name not in self._read():
            raise BadAccount(f"{name} is no account here")
        password = "-".join(secrets.token_hex(3) for _ in range(4))
        self._put(f"{name}/{device}", _hashed(password))
        return password

    def bind(self, login: str, subject: str) -> None:
        """The provider's subject is this account from now on; an account that is new has no password then."""
        if not subject.strip() or len(subject) > 255:
            raise BadAccount("a subject is not empty and has at most 255 characters")
        held = self._held(login)
        self._write(replace(held, subjects=tuple(sorted({*held.subjects, subject}))))

    def bind_certificate(self, login: str, der: bytes, *, by_address: bool = False) -> str:
        """Certificates with this one's subject, thus its successors too, are this account from now on; answers the name
        that is bound. `by_address`: those with its only address instead. Raises BadAccount, ValueError.
        """
        named = identity(der)
        if by_address and len(named.addresses) != 1:
            raise BadAccount(f"the certificate carries {len(named.addresses)} addresses; one is needed to bind by it")
        bound = named.addresses[0].lower() if by_address else named.subject
        if not bound:
            raise BadAccount("the certificate has no subject")
        held = self._held(login)
        self._write(replace(held, certificates=tuple(sorted({*held.certificates, bound}))))
        return bound

    def suspend(self, login: str, to: bool) -> bool:
        """Closes an account with all its application passwords to every login, or opens it again. False: it was so, or
        there is none."""
        name = login.lower()
        held = [each for each in self._read().values() if each.account == name and each.suspended is not to]
        if held:
            self._write(*(replace(each, suspended=to) for each in held))
        return bool(held)

    def open(self, subjects: Mapping[str, str]) -> int:
        """Accounts without a password for the addresses that have none yet, in one change: address -> the provider's
        subject that is this account, or empty. How many are new; raises BadAccount."""
        known, wanted = self._read(), {_checked(address): subject for address, subject in subjects.items()}
        lines = [
            Line(name, NOBODY, (subject,) if subject else ()) for name, subject in wanted.items() if name not in known
        ]
        if lines:
            self._write(*lines)
        return len(lines)

    def remove(self, login: str) -> bool:
        """An account with all its application passwords, or ADDRESS/NAME alone. False: it was not there."""
        name = login.lower()
        gone = [each for each in self._read() if each == name or each.startswith(f"{name}/")]
        with self._lock:
            _replace(self._file, [each for each in _texts(self._file) if _name(each) not in gone])
        return bool(gone)

    def _held(self, login: str) -> Line:
        """What is kept of an account; nothing of one that is new."""
        name = _checked(login)
        return self._read().get(name) or Line(name, NOBODY)

    def _put(self, name: str, hash: str) -> None:
        """A new device of a suspended account is suspended with it."""
        known = self._read()
        of = known.get(name.partition("/")[0])
        new = Line(name, hash, suspended=bool(of and of.suspended))
        self._write(replace(known.get(name) or new, hash=hash))

    def _write(self, *lines: Line) -> None:
        names = {line.name for line in lines}
        with self._lock:
            kept = [each for each in _texts(self._file) if _name(each) not in names]
            _replace(self._file, [*kept, *(line.written() for line in lines)])

    def _read(self) -> dict[str, Line]:
        with self._lock:
            try:
                now = self._file.stat()
            except FileNotFoundError:
                return {}
            seen = (now.st_mtime_ns, now.st_size, now.st_ino)
            if seen != self._seen:
                self._lines, self._seen = {each.name: each for each in _parsed(_texts(self._file))}, seen
            return self._lines


def suspended(line: Line) -> bool:
    """The one place that says so: to SMTP, to HTTP, and to Dovecot where it asks us."""
    return line.suspended


@cache
def _nobody() -> str:
    """What an unknown login is compared with: no password matches, at the same cost."""
    return _hasher.hash(os.urandom(16))


def _checked(login: str) -> str:
    try:
        return parse(login).key
    except BadAddress as error:
        raise BadAccount(f"an account is named by the address of its mailbox: {error}") from None


def _hashed(password: str) -> str:
    if not password or any(ord(char) < 32 for char in password):
        raise BadAccount("a password is not empty and holds no control character")
    return _hasher.hash(password)


def _texts(file: Path) -> list[str]:
    return file.read_text("utf-8").splitlines() if file.exists() else []


def _name(text: str) -> str:
    return text.partition(":")[0].lower()


def _parsed(texts: Iterable[str]) -> Iterator[Line]:
    for text in texts:
        name, _, rest = text.partition(":")
        secret, *more = rest.split(":", 6)
        if name and not name.startswith("#") and secret.startswith(SCHEME):
            extra = more[5].split() if len(more) > 5 else []
            subjects, certificates = _values(extra, "subject="), _values(extra, "certificate=")
            yield Line(name.lower(), secret.removeprefix(SCHEME), subjects, certificates, "nologin" in extra)


def _values(extra: Iterable[str], key: str) -> tuple[str, ...]:
    return tuple(unquote(each.removeprefix(key)) for each in extra if each.startswith(key))


def _names(der: bytes) -> set[str]:
    """Subject and addresses; none of a certificate that cannot be read."""
    try:
        named = identity(der)
    except ValueError:
        return set()
    return {named.subject, *(each.lower() for each in named.addresses)} - {""}


def _matches(kept: str, password: str) -> bool:
    try:
        return _hasher.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False


def _replace(file: Path, lines: Sequence[str]) -> None:
    """A reader sees the old file or the new one, whole, and never more of it than before; nor does a change that root
    makes take it from its owner."""
    was = file.stat() if file.exists() else None
    mode = was.st_mode & 0o777 if was else 0o600
    draft = file.with_name(f"{file.name}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        out.write("".join(f"{line}\n" for line in lines))
        out.flush()
        if was and os.geteuid() == 0:
            os.fchown(out.fileno(), was.st_uid, was.st_gid)
        os.fchmod(out.fileno(), mode)
        os.fsync(out.fileno())
    draft.replace(file)
