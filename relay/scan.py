"""The malware scan of a letter by clamd: clean, infected, or cannot tell, and then why.

Promises: three answers; what clamd cannot do is named (down, no database, stale, too large), and policy says what each
does to the letter; nothing of the letter is written anywhere by us. Does not: look into the letter itself (clamd reads
mail, archives and base64 by itself), fetch signatures (freshclam does), or start clamd.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from certs import meter
from certs.model import Clock
from relay.model import Reason, Refusal

CHUNK = 256 * 1024
STALE_AFTER = timedelta(days=3)
"""Signatures are published several times a day."""


class Unable(StrEnum):
    """Why a scan cannot tell. Names go to journals and screens."""

    DOWN = "down"
    NO_DATABASE = "no-database"
    STALE = "stale"
    """It was scanned, by signatures too old to rely on."""
    TOO_LARGE = "too-large"
    FAILED = "failed"
    """clamd answered that it could not scan this one."""


@dataclass(frozen=True)
class Clean:
    by: str
    """Engine and signatures, as clamd names them."""


@dataclass(frozen=True)
class Infected:
    name: str
    by: str


@dataclass(frozen=True)
class CannotScan:
    why: Unable
    by: str = ""


Scanned: TypeAlias = Clean | Infected | CannotScan
Scan: TypeAlias = Callable[[bytes], Scanned]


class Act(StrEnum):
    """What is done with a letter that could not be scanned."""

    DEFER = "defer"
    REFUSE = "refuse"
    MARK = "accept-marked"


FACTORY: Mapping[Unable, Act] = MappingProxyType(
    {
        Unable.DOWN: Act.DEFER,
        Unable.NO_DATABASE: Act.DEFER,
        Unable.STALE: Act.MARK,
        Unable.TOO_LARGE: Act.MARK,
        Unable.FAILED: Act.DEFER,
    }
)


@dataclass(frozen=True)
class Scanning:
    """A scan with what is done about its answer."""

    scan: Scan
    policy: Mapping[Unable, Act] = field(default_factory=lambda: FACTORY)

    def judge(self, raw: bytes) -> Refusal | str:
        """Why the letter does not enter, or what its verdict says: 'clean', 'unscanned:stale'…"""
        answer = self.scan(raw)
        if isinstance(answer, Clean):
            return "clean"
        if isinstance(answer, Infected):
            return Refusal(Reason.INFECTED, permanent=True, detail=answer.name)
        act = self.policy.get(answer.why, FACTORY[answer.why])
        if act is Act.MARK:
            return f"unscanned:{answer.why.value}"
        return Refusal(Reason.SCAN_UNABLE, permanent=act is Act.REFUSE, detail=answer.why.value)


class Silence(Exception):
    """clamd is not there, or does not speak as clamd does."""


# clamd(8): 'ClamAV 1.4.6/27500/Wed Nov 25 09:30:00 2026'; without signatures of its publisher only the first word.
_VERSION = re.compile(r"ClamAV [\w.\-]+(?:/(\d+)/(\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}))?")
_FOUND = re.compile(r"stream: (.{1,200}) FOUND")


@dataclass(frozen=True)
class Clamd:
    """One clamd, asked anew for each letter: it is restarted behind our back when its signatures change."""

    address: Path | tuple[str, int]
    clock: Clock
    stale_after: timedelta = STALE_AFTER
    timeout_s: float = 60.0
    own_signatures: bool = False
    """True: the operator relies on signatures of his own, which have no date."""

    def __call__(self, data: bytes) -> Scanned:
        with meter.step("scan"):
            try:
                version = self._ask(b"VERSION")
                said = self._ask(b"INSTREAM", data)
            except (OSError, Silence):
                return CannotScan(Unable.DOWN)
        return self._judged(said, version)

    def state(self) -> CannotScan | Clean:
        """What a letter could expect now, without one."""
        try:
            version = self._ask(b"VERSION")
        except (OSError, Silence):
            return CannotScan(Unable.DOWN)
        doubt = self._doubt(version)
        return CannotScan(doubt, version) if doubt else Clean(version)

    def _judged(self, said: str, version: str) -> Scanned:
        if found := _FOUND.fullmatch(said):
            return Infected(_printable(found[1]), version)
        if said.startswith("INSTREAM size limit exceeded"):
            return CannotScan(Unable.TOO_LARGE, version)
        if said != "stream: OK":
            return CannotScan(Unable.FAILED, version)
        doubt = self._doubt(version)
        return CannotScan(doubt, version) if doubt else Clean(version)

    def _doubt(self, version: str) -> Unable | None:
        """Whether the signatures are good enough for 'nothing found' to mean something."""
        dated = _VERSION.fullmatch(version)
        if dated is None:
            raise ValueError("checked when it was read")
        if self.own_signatures:
            return None
        if dated[2] is None:
            return Unable.NO_DATABASE
        published = datetime.strptime(dated[2], "%a %b %d %H:%M:%S %Y").replace(tzinfo=UTC)
        return Unable.STALE if self.clock() - published > self.stale_after else None

    def _ask(self, command: bytes, data: bytes | None = None) -> str:
        """One command, one answer (clamd(8), the z form: words ended by NUL)."""
        with self._connected() as line:
            line.sendall(b"z" + command + b"\0")
            if data is not None:
                _pour(line, data)
            answer = _heard(line)
        if command == b"VERSION" and not _VERSION.fullmatch(answer):
            raise Silence("this is no clamd")
        return answer

    def _connected(self) -> socket.socket:
        family = socket.AF_UNIX if isinstance(self.address, Path) else socket.AF_INET
        line = socket.socket(family, socket.SOCK_STREAM)
        try:
            line.settimeout(self.timeout_s)
            line.connect(str(self.address) if isinstance(self.address, Path) else self.address)
        except BaseException:
            line.close()
            raise
        return line


def _pour(line: socket.socket, data: bytes) -> None:
    """INSTREAM: pieces, each after its length; an empty one ends. clamd hangs up where the letter is too large for it,
    and has its answer ready then."""
    view = memoryview(data)
    try:
        for at in range(0, len(data), CHUNK):
            piece = view[at : at + CHUNK]
            line.sendall(struct.pack(">I", len(piece)))
            line.sendall(piece)
        line.sendall(b"\0\0\0\0")
    except (BrokenPipeError, ConnectionResetError):
        return


def _heard(line: socket.socket) -> str:
    heard = b""
    while not heard.endswith(b"\0"):
        more = line.recv(4096)
        if not more or len(heard) > 4096:
            raise Silence("the answer has no end")
        heard += more
    return heard[:-1].decode("utf-8", "replace").strip()


def _printable(name: str) -> str:
    return "".join(char if char.isprintable() and ord(char) < 127 else "?" for char in name)
