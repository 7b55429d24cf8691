"""Command lines, read strictly: their ends, and the arguments of MAIL and RCPT (RFC 5321 §4.1; RFC 3461; RFC 6531).

Promises: an argument has one reading or is answered by the name of what is wrong; the address is read by the
one address parser; nothing beyond ASCII is read where SMTPUTF8 was not said at MAIL (RFC 6531 §3.5), and nothing that
is not UTF-8. Does not: ask whether anyone may.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from directory.address import BadAddress, parse, read_xtext, xtext
from directory.model import Address
from gateway.doors.turns import Turn
from relay.model import Asked, Reason, Refusal

_BEYOND = r"\u0080-\ud7ff\ue000-\U0010ffff"
"""RFC 6531 §3.3 UTF8-non-ascii; an octet that is not UTF-8 comes as a surrogate, and is none of these."""
_PLAINLY = re.IGNORECASE | re.ASCII
"""No letter beyond ASCII is a keyword's (U+017F is an S without case)."""
# RFC 5321 §4.1.2: path, then esmtp-param; a blank after the colon is wrong there, common, and unambiguous.
_ARGUMENT = re.compile(rf"(FROM|TO): ?<([!-;=?-~{_BEYOND}]*)>((?: [!-~{_BEYOND}]+)*) *", _PLAINLY)
_PARAMETER = re.compile(rf"([A-Za-z0-9][A-Za-z0-9\-]*)(?:=([!-<>-~{_BEYOND}]+))?")
_XTEXT = r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})"  # RFC 3461 §4
# RFC 5321 §4.1.2 Domain or address literal, and the underscore that real hosts have.
_HOST = re.compile(r"[A-Za-z0-9._\-]{1,255}|\[[A-Za-z0-9.:\-]{1,255}\]")

_MAIL_PARAMETERS = {
    "SIZE": re.compile(r"[0-9]{1,20}"),
    "BODY": re.compile(r"7BIT|8BITMIME", _PLAINLY),
    "RET": re.compile(r"FULL|HDRS", _PLAINLY),
    "ENVID": re.compile(rf"(?=.{{1,100}}$){_XTEXT}+"),
    "AUTH": re.compile(rf"{_XTEXT}+"),  # RFC 4954 §5: read, and not believed
    "REQUIRETLS": re.compile(r""),  # RFC 8689 §2: without a value; nobody gets here without TLS
    "SMTPUTF8": re.compile(r""),  # RFC 6531 §3.4: without a value
}
_RCPT_PARAMETERS = {
    "NOTIFY": re.compile(r"NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2}", _PLAINLY),
    "ORCPT": re.compile(rf"(?=.{{1,500}}$)(?:(?!UTF-8;)[A-Z0-9\-]+;{_XTEXT}+|UTF-8;[!-<>-~{_BEYOND}]+)", _PLAINLY),
}

Wrong: TypeAlias = Turn | Reason | Refusal


@dataclass(frozen=True)
class Mail:
    sender: Address | None
    """None is the null sender, <>."""
    size: int = 0
    envid: str = ""
    """xtext, as written."""
    return_full: bool = False
    require_tls: bool = False
    utf8: bool = False
    """SMTPUTF8 was said (RFC 6531 §3.4)."""


@dataclass(frozen=True)
class Rcpt:
    recipient: Address
    asked: Asked


@dataclass(frozen=True)
class Chunk:
    """RFC 3030 §2: so many octets follow the command line."""

    size: int
    last: bool


class BareLineEnd(Exception):
    """A command line with a CR or LF of its own: nothing behind it may be read as a command."""


class EndlessLine(Exception):
    """A command line far beyond every limit: what still comes of it is not read."""


class OverBudget(Exception):
    """More octets of command lines than this session may send."""


DRAIN_MOST = 65_536
"""What is read and thrown away of a line that is too long, before the session ends."""


class Lines(asyncio.StreamReader):
    """Where a command line ends: at CRLF and nowhere else (RFC 5321 §2.3.8)."""

    _drained = 0
    _last = b""
    _spoilt = False
    """The line that is too long has a CR of its own."""
    _heard = 0

    def __init__(self, limit: int, loop: asyncio.AbstractEventLoop, most: int) -> None:
        """`most`: octets of command lines; raised once the other end is known."""
        super().__init__(limit=limit, loop=loop)
        self.most = most

    def has_more(self) -> bool:
        """Whether another whole command line is here already."""
        waiting: bytearray = self._buffer  # type: ignore[attr-defined]  # of asyncio.StreamReader, which tells nobody
        return b"\n" in waiting

    def widen(self, octets: int) -> None:
        """How much may wait unread before the other end is made to wait: more inside a letter than between commands."""
        self._limit = octets

    async def read(self, n: int = -1) -> bytes:
        data = await super().read(n)
        if self._drained:  # between two pieces of one line: no LF is among them
            self._spoilt = self._spoilt or b"\r" in (self._last + data)[:-1]
        self._last = data[-1:] if self._drained else b""
        return data

    async def readuntil(self, separator: Any = b"\n") -> bytes:
        try:
            line = await super().readuntil(separator)
        except asyncio.LimitOverrunError as error:
            self._drained += error.consumed
            if self._drained > DRAIN_MOST:
                raise EndlessLine from None
            raise
        self._heard += len(line)
        if self._heard > self.most:
            raise OverBudget
        # Of a line that is too long the library has read and thrown away all but the end, perhaps the CR too.
        whole = self._last + line if self._drained else line
        spoilt, self._drained, self._last, self._spoilt = self._spoilt, 0, b"", False
        if spoilt or not whole.endswith(b"\r\n") or b"\r" in whole[:-2]:
            raise BareLineEnd
        return line


def host(arg: str | None) -> str | None:
    """The name in EHLO or HELO, or None where it is not one."""
    return arg if arg and _HOST.fullmatch(arg) else None


def mail(arg: str | None) -> Mail | Wrong:
    match = _ARGUMENT.fullmatch(arg or "")
    if not match or match[1].upper() != "FROM":
        return Turn.SYNTAX
    given = _parameters(match[3], _MAIL_PARAMETERS)
    if isinstance(given, Turn):
        return given
    try:
        sender = parse(match[2]) if match[2] else None
    except BadAddress as error:
        return Refusal(Reason.SENDER_SYNTAX, permanent=True, detail=str(error))
    full, utf8 = given.get("RET", "").upper() == "FULL", "SMTPUTF8" in given
    if not announced(arg, utf8=utf8):
        return Reason.UTF8_NOT_ASKED
    return Mail(sender, int(given.get("SIZE", 0)), given.get("ENVID", ""), full, "REQUIRETLS" in given, utf8)


def announced(arg: str | None, *, utf8: bool) -> bool:
    """RFC 6531 §3.5: beyond ASCII only in a transaction whose MAIL said SMTPUTF8."""
    return utf8 or (arg or "").isascii()


def rcpt(arg: str | None, *, utf8: bool) -> Rcpt | Wrong:
    match = _ARGUMENT.fullmatch(arg or "")
    if not match or match[1].upper() != "TO":
        return Turn.SYNTAX
    given = _parameters(match[3], _RCPT_PARAMETERS)
    if isinstance(given, Turn):
        return given
    try:
        recipient = parse(match[2])
    except BadAddress as error:
        return Refusal(Reason.RECIPIENT_SYNTAX, permanent=True, detail=str(error))
    if not announced(arg, utf8=utf8):
        return Reason.UTF8_NOT_ASKED
    notify = frozenset(given["NOTIFY"].upper().split(",")) if "NOTIFY" in given else frozenset[str]()
    try:
        return Rcpt(recipient, Asked(notify, _original(given.get("ORCPT", ""))))
    except BadAddress:
        return Turn.PARAMETER_SYNTAX


def _original(orcpt: str) -> str:
    """As it came, in ASCII: an address of the type utf-8 in the one form that every server takes (RFC 6533 §3)."""
    kind, _, text = orcpt.partition(";")
    return f"utf-8;{xtext(read_xtext(text))}" if kind.lower() == "utf-8" else orcpt


_CHUNK = re.compile(r"([0-9]{1,12})( LAST)?", _PLAINLY)


def chunk(arg: str | None) -> Chunk | None:
    match = _CHUNK.fullmatch((arg or "").strip())
    return Chunk(int(match[1]), bool(match[2])) if match else None


def _parameters(text: str, known: Mapping[str, re.Pattern[str]]) -> dict[str, str] | Turn:
    given: dict[str, str] = {}
    for word in text.split(" ")[1:]:
        match = _PARAMETER.fullmatch(word)
        name = match[1].upper() if match else ""
        if not match or name in given:
            return Turn.PARAMETER_SYNTAX
        if name not in known:
            return Turn.PARAMETER_UNKNOWN
        if not known[name].fullmatch(match[2] or ""):
            return Turn.PARAMETER_SYNTAX
        given[name] = match[2] or ""
    return given
