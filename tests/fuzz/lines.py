"""Two more doors: what a client says in command lines and logins, and what stands in a list of addresses.

Promises: whatever is read has one reading, which survives being written down and read again; nothing that was read can
make a line of a reply, a log or a trace field. Does not: ask whether anyone may.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from functools import cache

from directory import address
from directory.model import Address
from gateway.doors import commands, sasl
from tests.fuzz.promises import holds

_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
LONGEST = 64
"""Octets of a line: short, so that the fuzzer meets lines that are too long."""
NOTIFY = frozenset({"NEVER", "SUCCESS", "FAILURE", "DELAY"})


# --- command lines --------------------------------------------------------------------------------------------


def command_lines(data: bytes) -> None:
    """gateway.doors.commands and gateway.doors.sasl."""
    text = data.decode("utf-8", "surrogateescape")
    mail, rcpt = commands.mail(text), commands.rcpt(text, utf8=True)
    plainly = commands.rcpt(text, utf8=False)
    holds(text.isascii() or not isinstance(plainly, commands.Rcpt), "beyond ASCII only where SMTPUTF8 was said")
    holds(not (isinstance(mail, commands.Mail) and isinstance(rcpt, commands.Rcpt)), "MAIL or RCPT, not both")
    if isinstance(mail, commands.Mail):
        _mail(mail)
    if isinstance(rcpt, commands.Rcpt):
        _rcpt(rcpt)
    chunk, host = commands.chunk(text), commands.host(text)
    holds(chunk is None or 0 <= chunk.size < 10**12, "a chunk has a size")
    holds(host is None or (_visible(host) and len(host) <= 257), "a host name is a word")
    _logins(data)
    _line_ends(data)


def _mail(mail: commands.Mail) -> None:
    holds(mail.sender is None or _sound(mail.sender), "a sender is an address")
    holds(_visible(mail.envid) and len(mail.envid) <= 100, "ENVID is xtext")
    holds(mail.size >= 0, "SIZE is a number")
    holds(mail.utf8 or mail.sender is None or not mail.sender.is_international, "beyond ASCII only with SMTPUTF8")
    words = ["ENVID=" + mail.envid] * bool(mail.envid) + ["REQUIRETLS"] * mail.require_tls + ["SMTPUTF8"] * mail.utf8
    line = f"FROM:<{mail.sender or ''}> SIZE={mail.size} RET={'FULL' if mail.return_full else 'HDRS'}"
    line = " ".join([line, *words])
    holds(commands.mail(line) == mail, "MAIL written down reads the same")


def _rcpt(rcpt: commands.Rcpt) -> None:
    holds(_sound(rcpt.recipient), "a recipient is an address")
    asked = rcpt.asked
    holds(asked.notify <= NOTIFY and not ("NEVER" in asked.notify and len(asked.notify) > 1), "NOTIFY is known words")
    holds(_visible(asked.orcpt) and len(asked.orcpt) <= 500, "ORCPT is xtext")
    notify = f" NOTIFY={','.join(sorted(asked.notify))}" if asked.notify else ""
    line = f"TO:<{rcpt.recipient}>{notify}{f' ORCPT={asked.orcpt}' if asked.orcpt else ''}"
    holds(commands.rcpt(line, utf8=True) == rcpt, "RCPT written down reads the same")


def _logins(data: bytes) -> None:
    plain = sasl.plain(data)
    if plain is not None:
        holds("\0" not in plain.login + plain.password, "NUL is between, not in")
        again = f"\0{plain.login}\0{plain.password}".encode()
        holds(data.endswith(again) and sasl.plain(again) == plain, "PLAIN written down reads the same")
    for read in (sasl.xoauth2, sasl.oauthbearer):
        bearer = read(data)
        holds(bearer is None or _TOKEN.fullmatch(bearer.token), "a token has the letters of tokens")
        holds(bearer is None or "\1" not in bearer.user, "what separates is in no user's name")
    name, _, password = data.partition(b"\0")
    said = sasl.login(name, password)
    if said is not None:
        holds((said.login.encode(), said.password.encode()) == (name, password), "LOGIN takes the answers as they are")


# --- where a command line ends ----------------------------------------------------------------------------------


def _line_ends(data: bytes) -> None:
    whole = _loop().run_until_complete(_read(data, len(data) or 1))
    holds(all(line.endswith(b"\r\n") and not {10, 13} & set(line[:-2]) for line in whole), "a line ends once")
    at = 0
    for line in whole:
        at = data.find(line, at)
        holds(at >= 0, "lines come in order, as they were sent")
        at += len(line)
    for size in (1, 7):
        holds(_loop().run_until_complete(_read(data, size)) == whole, "it is the same however the pieces break")


async def _read(data: bytes, size: int) -> list[bytes]:
    """The lines that a door would carry out, of octets that come in pieces; the library's loop, in short."""
    reader = commands.Lines(limit=LONGEST, loop=asyncio.get_running_loop(), most=10**6)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    lines: list[bytes] = []
    too_long = False
    while True:
        try:
            reading = asyncio.ensure_future(reader.readuntil())
            await asyncio.sleep(0)
            while not reading.done():
                if pieces:
                    reader.feed_data(pieces.pop(0))
                else:
                    reader.feed_eof()
                await asyncio.sleep(0)
            line = reading.result()
        except asyncio.LimitOverrunError as error:
            await reader.read(error.consumed)
            too_long = True
            continue
        except (asyncio.IncompleteReadError, commands.BareLineEnd, commands.EndlessLine):
            return lines
        if not too_long:
            lines.append(line)
        too_long = False


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


# --- addresses --------------------------------------------------------------------------------------------------


def addresses(data: bytes) -> None:
    """directory.address: one address, and a header's list of them."""
    text = data.decode("utf-8", "surrogateescape")
    with suppress(address.BadAddress):
        found = address.parse(text)
        holds(_sound(found), "an address is printable, with one @ and an ASCII domain")
        holds(found.local == text.partition("@")[0], "the local part is as written")
    try:
        pairs = address.parse_list(text)
    except address.BadAddress:
        return
    holds(0 < len(pairs) <= text.count(",") + 1, "one address between two commas")
    for name, found in pairs:
        holds(_sound(found) and found.local in text, "each address stands in the text")
        holds(name.isprintable(), "a display name is printable")
    again = ", ".join(f"{_quoted(name)} <{found}>" for name, found in pairs)
    holds(address.parse_list(again) == pairs, "a list written down reads the same")


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if name else ""


def _sound(found: Address) -> bool:
    text = str(found)
    local = found.local.isprintable() and " " not in found.local
    fits = text.count("@") == 1 and len(text.encode()) <= address.MAX_ADDRESS
    return local and _visible(found.domain) and fits and address.parse(text) == found


def _visible(text: str) -> bool:
    """ASCII without blanks or control characters."""
    return all("!" <= each <= "~" for each in text)
