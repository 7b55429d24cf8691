"""The one wrapper around aioimaplib: a mailbox at an IMAP server, read by UID, listed by page, watched by IDLE.

Promises: every wait ends: with its answer, with Lost when the connection goes, or with Lost after its time; what a
server says is read as numbers and bytes (gateway.imap_words), never believed further; nothing of it reaches a log.
Does not: decide what to do with a letter (gateway.doors.imap and gateway.web do), keep a password, try again.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from aioimaplib import aioimaplib

from certs.tls import case
from gateway import imap_words
from gateway.imap_words import Folder, Head

# Its debug lines hold whole letters, its info lines what servers say.
logging.getLogger("aioimaplib").setLevel(logging.CRITICAL)

T = TypeVar("T")

IDLE_RENEWED_S = 25 * 60.0
"""RFC 2177: a server may end an idle client after 30 minutes."""
_USER = re.compile(r"[A-Za-z0-9.!#$&'*+/=?^_`{|}~@-]+")
_VALIDITY = re.compile(rb"\[UIDVALIDITY (\d{1,10})\]")
_EXISTS = re.compile(rb"(\d{1,10}) EXISTS")
_SIZE = re.compile(rb"RFC822\.SIZE (\d{1,12})\b")
HEADS = (
    "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE CONTENT-TYPE)] BODY.PEEK[1.MIME])"
)
"""No BODYSTRUCTURE: the library counts parentheses outside of literals, and a file name may hold one."""


class Lost(Exception):
    """The connection is gone, or was silent too long: connect again later. Its text is for operators."""


class Denied(Exception):
    """The server said no to us: login, mailbox or command. Asking again at once is useless."""


@dataclass(frozen=True)
class Login:
    """How the mailbox's owner proves himself: a password, a token (XOAUTH2), or the TLS client certificate alone."""

    user: str
    password: str = ""
    token: str = ""

    def __post_init__(self) -> None:
        # The library writes the user name as an IMAP atom, as it is.
        if not _USER.fullmatch(self.user):
            raise ValueError("the user name has characters that no IMAP login of ours takes")


class _Sasl(aioimaplib.Command):  # type: ignore[misc]  # the library has no types
    """A server that refuses a token says why in a challenge and waits for an empty line (RFC 7628 §3.2.3), which the
    library never sends."""

    def __init__(self, protocol: aioimaplib.IMAP4ClientProtocol, mechanism: str, response: str) -> None:
        super().__init__("AUTHENTICATE", protocol.new_tag(), mechanism, response, loop=protocol.loop)
        self._transport = protocol.transport

    def append_to_resp(self, line: bytes, result: str = "Pending") -> None:
        super().append_to_resp(line, result)
        if line.startswith(b"+"):
            self._transport.write(b"\r\n")


class _Client(aioimaplib.IMAP4):  # type: ignore[misc]
    """The library knows the server by the name that it calls; `named` is the one in its certificate."""

    def __init__(self, named: str, *arguments: Any, **more: Any) -> None:
        self._named = named
        super().__init__(*arguments, **more)

    def create_client(
        self, host: str, port: int, loop: Any, conn_lost_cb: Any = None, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        loop = loop or asyncio.get_running_loop()
        self.protocol = aioimaplib.IMAP4ClientProtocol(loop, conn_lost_cb)
        made = loop.create_connection(
            lambda: self.protocol, host, port, ssl=ssl_context, server_hostname=self._named or host
        )
        self._client_task = loop.create_task(made)


class Mailbox:
    """One connection, one selected mailbox. Made by `Mailbox.opened`; used by one task."""

    def __init__(self, client: aioimaplib.IMAP4, lost: asyncio.Event, timeout_s: float) -> None:
        self._client = client
        self._lost = lost
        self._timeout_s = timeout_s
        self.uid_validity = 0
        self.count = 0
        """Letters, when it was selected."""

    @staticmethod
    async def opened(
        host: str,
        port: int,
        context: ssl.SSLContext,
        login: Login,
        folder: str = "INBOX",
        timeout_s: float = 30.0,
        named: str = "",
    ) -> Mailbox:
        """TLS from the first byte (RFC 8314 §3.2), login, SELECT; no folder: none is selected. `named`: in the server's
        certificate, where it is not `host`. Raises Lost or Denied."""
        lost = asyncio.Event()
        client = _Client(named, host, port, timeout=timeout_s, conn_lost_cb=lambda _: lost.set(), ssl_context=context)
        mailbox = Mailbox(client, lost, timeout_s)
        try:
            await mailbox._raced(client.wait_hello_from_server())
            await mailbox._log_in(login)
            if folder:
                await mailbox.select(folder)
        except BaseException:
            mailbox.close()
            raise
        return mailbox

    @property
    def alive(self) -> bool:
        """As far as is known without asking."""
        return not self._lost.is_set()

    # --- what is there

    async def folders(self) -> list[Folder]:
        """Those that can be opened, as the server lists them."""
        lines = await self._said(self._client.list('""', "*"))
        return [found for line in lines if (found := imap_words.folder(bytes(line)))]

    async def heads(self, first: int, last: int) -> list[Head]:
        """Of the letters from sequence number `first` to `last`, rising; of those that are gone, nothing."""
        return imap_words.heads(await self._said(self._client.fetch(f"{first}:{last}", HEADS)))

    async def uids_after(self, uid: int) -> list[int]:
        """The UIDs above `uid`, rising."""
        lines = await self._said(self._client.uid_search(f"UID {uid + 1}:*", charset=None))
        # RFC 3501 §6.4.8: n:* names the last letter even where its UID is below n
        found = {int(word) for line in lines[:1] for word in line.split() if word.isdigit()}
        return sorted(each for each in found if each > uid)

    async def size(self, uid: int) -> int | None:
        """Bytes; None where the letter is gone."""
        lines = await self._said(self._client.uid("fetch", str(uid), "(RFC822.SIZE)"))
        found = [match for line in lines if (match := _SIZE.search(line))]
        return int(found[0][1]) if found else None

    async def fetch(self, uid: int) -> bytes | None:
        """The letter as it lies there, its flags untouched; None where it is gone."""
        lines = await self._said(self._client.uid("fetch", str(uid), "(BODY.PEEK[])"))
        bodies = [bytes(line) for line in lines if isinstance(line, bytearray)]
        return bodies[0] if bodies else None

    async def mark_seen(self, uid: int) -> None:
        await self._said(self._client.uid("store", str(uid), "+FLAGS.SILENT", "(\\Seen)"))

    async def wait(self, most_s: float) -> None:
        """Until something happens in the mailbox, or `most_s` seconds went by. Raises Lost."""
        if not self._client.has_capability("IDLE"):
            await self._pause(most_s)
            await self._said(self._client.noop())
            return
        idling = await self._raced(self._client.idle_start(timeout=IDLE_RENEWED_S))
        try:
            await self._pushed(min(most_s, IDLE_RENEWED_S))
        finally:
            if not self._lost.is_set():
                self._client.idle_done()
        await self._raced(_awaited(idling))

    async def _pushed(self, most_s: float) -> None:
        try:
            while not _is_news(await self._raced(self._client.wait_server_push(most_s), most_s + 1)):
                pass
        except TimeoutError:
            return

    async def log_out(self) -> None:
        with suppress(Lost, Denied, TimeoutError):  # it is ended either way
            await self._raced(self._client.logout(), 5.0)
        self.close()

    def close(self) -> None:
        transport = self._client.protocol.transport
        if transport is not None:
            transport.abort()
        self._client._client_task.cancel()

    # --- one command

    async def _log_in(self, login: Login) -> None:
        if login.password:
            await self._said(self._client.login(login.user, login.password), "login")
        elif login.token:
            # RFC 7628 in its older dress, as operators offer it
            words = f"user={login.user}\1auth=Bearer {login.token}\1\1".encode()
            await self._said(self._authenticated("XOAUTH2", base64.b64encode(words).decode("ascii")), "login")
        else:
            # RFC 4422 appendix A: the identity is the client certificate's own, so the response is empty
            await self._said(self._authenticated("EXTERNAL", "="), "login")

    async def _authenticated(self, mechanism: str, response: str) -> Any:
        """AUTHENTICATE with an initial response (RFC 4959)."""
        protocol = self._client.protocol
        answer = await protocol.execute(_Sasl(protocol, mechanism, response), scrub=response)
        if answer.result == "OK":
            protocol.state = aioimaplib.AUTH
        return answer

    async def select(self, folder: str, *, only_look: bool = False) -> None:
        """`only_look`: by EXAMINE, so that nothing changes (RFC 3501 §6.3.2). Raises Lost, Denied."""
        chosen = self._client.examine if only_look else self._client.select
        lines = await self._said(chosen(aioimaplib.quoted(folder)), "mailbox")
        self._client.protocol.state = aioimaplib.SELECTED  # after EXAMINE the library itself would not know
        found = [match for line in lines if (match := _VALIDITY.search(line))]
        if not found:
            raise Denied("the server gives no UIDVALIDITY, without which no letter can be told from another")
        self.uid_validity = int(found[0][1])
        self.count = next((int(match[1]) for line in lines if (match := _EXISTS.fullmatch(line))), 0)

    async def _said(self, asked: Awaitable[Any], what: str = "command") -> list[bytes]:
        response = await self._raced(asked)
        if response.result != "OK":
            # Its words may quote what it likes; the class of refusal is enough.
            raise Denied(f"the server refuses the {what}")
        return list(response.lines)

    async def _raced(self, asked: Awaitable[T], most_s: float | None = None) -> T:
        """The answer, unless the connection is lost first: the library itself would wait for ever."""
        task = asyncio.ensure_future(asked)
        gone = asyncio.ensure_future(self._lost.wait())
        try:
            await asyncio.wait({task, gone}, timeout=most_s or self._timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Lost("the connection ended" if gone.done() else "the server does not answer")
            return task.result()
        except (OSError, ssl.SSLError, aioimaplib.AioImapException) as error:
            if isinstance(error, TimeoutError) and most_s is not None:
                raise
            raise Lost(_named(error)) from error
        finally:
            for each in (task, gone):
                each.cancel()

    async def _pause(self, most_s: float) -> None:
        try:
            await asyncio.wait_for(self._lost.wait(), most_s)
        except TimeoutError:
            return
        raise Lost("the connection ended")


async def _awaited(future: Awaitable[T]) -> T:
    return await future


def _is_news(pushed: Any) -> bool:
    """RFC 3501 §7.3.1: EXISTS tells of a new letter; the library's own word ends a wait that is to be renewed."""
    if pushed == aioimaplib.STOP_WAIT_SERVER_PUSH:
        return True
    return any(line.endswith(b"EXISTS") for line in pushed)


def _named(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"the TLS handshake: {case(error)}"
    return f"{type(error).__name__}"


Opens = Callable[[], Awaitable[Mailbox]]
"""Connects, logs in and selects: what a collector is given. Raises Lost, Denied."""
