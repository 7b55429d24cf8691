"""A TLS context that follows its files: what is renewed counts from the next session on.

Promises: a session that stands goes on with what it began with; new files that cannot be used leave the old context in
use, and one log line says why, once; a certificate that is there before its key waits for it. Does not: watch (it looks
when somebody asks for the context), nor read trust again (whoever gives `trust` does).
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

import structlog

from certs.chain import TrustStore

Stamp: TypeAlias = tuple[tuple[int, int, int] | None, ...]
Context = TypeVar("Context")
_log = structlog.get_logger(__name__)


class Renewed(Generic[Context]):
    """Call it for the context of a new session. Safe to share between threads."""

    def __init__(
        self,
        name: str,
        make: Callable[[], Context],
        files: Sequence[Path],
        trust: Callable[[], TrustStore] | None = None,
    ) -> None:
        """`name`: of the role, for the log. `trust`: a new answer of it makes a new context too.

        Makes the first context: raises what `make` raises.
        """
        self._name, self._make, self._files, self._trust = name, make, tuple(files), trust
        self._lock = threading.Lock()
        self._seen = self._state()
        self._held = make()

    def __call__(self) -> Context:
        state = self._state()
        if state != self._seen:
            with self._lock:
                if state != self._seen:
                    self._renew(state)
        return self._held

    def _renew(self, state: tuple[Stamp, TrustStore | None]) -> None:
        self._seen = state  # also of what cannot be used: it is tried once, and said once
        try:
            self._held = self._make()
        except (OSError, ValueError) as error:
            _log.error("alarm-tls-not-renewed", role=self._name, why=_why(error))
        else:
            _log.info("tls-renewed", role=self._name)

    def _state(self) -> tuple[Stamp, TrustStore | None]:
        return tuple(map(_stamp, self._files)), self._trust() if self._trust else None


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None  # said when it is read
    return found.st_mtime_ns, found.st_size, found.st_ino


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or type(error).__name__
    return f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
