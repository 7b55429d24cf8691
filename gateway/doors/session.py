"""One SMTP session, on aiosmtpd's command loop: everything that is said, and the turns of a letter.

Promises: every reply carries its enhanced code (RFC 2034) and is ASCII; nothing but NOOP, EHLO, STARTTLS and
QUIT before TLS (RFC 3207 §4); what was sent in clear before TLS is forgotten; one log line per transaction,
without content or a patient's identity; a surprise is answered 451 and logged by its type.
Does not: decide who may speak or receive (the intake does), nor know which door it is (smtp does).
"""

# ruff: noqa: N802  (the library finds a command by its name)
from __future__ import annotations

import asyncio
import collections
import logging
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, TypeVar

import structlog
from aiosmtpd.smtp import SMTP, TLSSetupException

from certs import tls
from directory.model import Address
from gateway.doors import commands, data, replies, turns
from gateway.doors.porter import Porter
from gateway.doors.spec import DoorSpec
from gateway.doors.turns import Turn
from relay.model import Addressee, DoorProof, Reason, Refusal

T = TypeVar("T")

log = structlog.get_logger("gateway.doors")
# The library logs command lines, hence addresses; our own line says what happened.
logging.getLogger("mail.log").setLevel(logging.CRITICAL + 1)

LINE_MOST = 12_288
"""RFC 4954 §4: the longest line, of AUTH."""

# What the library's loop says, and what we say instead.
_INSTEAD = (
    ("220 Ready to start TLS", Turn.TLS_GO),
    ("221 Bye", Turn.GOODBYE),
    ("250 OK", Turn.NOTHING_DONE),
    ("421 4.7.0 ", Turn.TOO_OFTEN),
    ("454 TLS", Turn.TLS_FAILED),
    ("500 Command line too long", Turn.LINE_TOO_LONG),
    ("500 Error: bad syntax", Turn.SYNTAX),
    ("500 Error: command", Turn.UNKNOWN_COMMAND),
    ("501 5.7.0 Auth aborted", Turn.AUTH_ABORTED),
    ("501 5.5.2 Can't", Turn.AUTH_SYNTAX),
    ("501 Syntax:", Turn.SYNTAX),
    ("502 5.5.1 Too many", Turn.TOO_MANY_UNKNOWN),
    ("503 Error: send", Turn.HELLO_FIRST),
    ("530 Must issue", Reason.TLS_REQUIRED),
)

_OFTEN = dict.fromkeys(("MAIL", "RCPT", "DATA", "RSET", "NOOP"), 10_000)
"""A kept connection carries many letters; anything else is not said a hundred times."""

HELD_MOST = 4_096
"""Octets of replies that wait for the next one: a sender who never stops asking is answered all the same."""


_TO_COME = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
"""Says to the library that there will be TLS; the context itself is asked for when a handshake begins."""


@dataclass
class Transaction:
    """From MAIL to the answer after DATA."""

    sender: Address | None
    asked: commands.Mail
    proof: DoorProof
    addressees: dict[str, Addressee] = field(default_factory=dict)
    refused: int = 0
    incoming: data.Incoming | None = None
    """Of a letter that comes in chunks (RFC 3030), from the first to the last."""
    deadline: float = 0.0
    """When its chunks must have come, on the loop's clock."""


class Session(SMTP, ABC):
    """What both doors have in common. `spec` says whom to call."""

    line_length_limit = LINE_MOST

    def __init__(self, spec: DoorSpec, porter: Porter, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            object(),
            hostname=spec.hostname,
            ident="ESMTP Pli",
            data_size_limit=spec.limits.max_bytes,
            tls_context=_TO_COME,
            require_starttls=tls_first(),
            timeout=spec.limits.command_s,
            command_call_limit={**_OFTEN, "*": 100},
            enable_SMTPUTF8=True,
            loop=loop,
        )
        # The library made a reader of its own, for which a bare LF ends a command.
        lines = commands.Lines(limit=LINE_MOST, loop=loop, most=spec.limits.unknown_bytes)
        self._lines = lines
        asyncio.StreamReaderProtocol.__init__(self, lines, self._cb_client_connected, loop)
        self.spec = spec
        self.porter = porter
        self.transaction: Transaction | None = None
        self._slow = False
        self._held = b""
        """Replies that go with the next one, because its command has come already (RFC 2920 §3.2)."""
        self.command_size_limits = collections.defaultdict(lambda: 512, {"MAIL": 1536, "RCPT": 1536, "AUTH": LINE_MOST})

    # --- what a door adds --------------------------------------------------------------------------------

    def offers(self) -> tuple[str, ...]:
        """Further EHLO keywords of this door."""
        return ()

    def barred(self) -> Reason | None:
        """Why no transaction may begin yet."""
        return None

    @abstractmethod
    def prove(self) -> DoorProof | Refusal:
        """Who is there; runs in a thread."""

    # --- coming and going --------------------------------------------------------------------------------

    @property
    def client(self) -> str:
        """Address of the other end."""
        peer: Any = self.session.peer if self.session else None
        return str(peer[0]) if peer else ""

    @property
    def helo(self) -> str:
        return (self.session.host_name if self.session else None) or ""

    @property
    def tls(self) -> Any:
        """The ssl object of this session, or None before STARTTLS."""
        return self.transport.get_extra_info("ssl_object") if self.transport and self._tls_protocol else None

    @property
    def tls_words(self) -> str:
        """Protocol and cipher suite, for the trace field."""
        return f"{self.tls.version()} {self.tls.cipher()[0]}" if self.tls else ""

    @property
    def busy(self) -> bool:
        return self.transaction is not None

    def say_goodbye(self) -> None:
        """Between two commands, because the service stops (RFC 5321 §3.8)."""
        self._last_words(Turn.CLOSING)

    def throw_out(self) -> None:
        """At once. Below TLS, whose own transport cannot be aborted any more once it was closed."""
        below = self._original_transport or self.transport
        if isinstance(below, asyncio.WriteTransport):
            below.abort()

    def _last_words(self, turn: Turn) -> None:
        """Says so and ends the session: what the other end still sends is never read as a command."""
        if isinstance(self.transport, asyncio.WriteTransport) and not self.transport.is_closing():
            self.transport.write(self._held + turns.said(turn).encode("ascii") + b"\r\n")
            self.transport.close()
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()

    def end(self, turn: Turn) -> NoReturn:
        """The same from inside a command: the loop reads no further."""
        self._last_words(turn)
        raise asyncio.CancelledError

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._set_post_data_state()
        self.porter.leave(self)

    def _timeout_cb(self) -> None:
        self._slow = True
        self._last_words(Turn.SLOW)

    async def _handle_client(self) -> None:
        if not self.porter.enter(self):
            self._last_words(Turn.BUSY)
            return
        try:
            await super()._handle_client()
        except ConnectionError:
            self._log("connection-lost")

    def _set_post_data_state(self) -> None:
        super()._set_post_data_state()  # type: ignore[no-untyped-call]
        if self.transaction and self.transaction.incoming:
            self.transaction.incoming.drop()
            self.transaction.incoming.leave_room()
        self.transaction = None

    async def handle_exception(self, error: Exception) -> str:
        if isinstance(error, commands.BareLineEnd):
            self.end(Turn.LINE_END)
        if isinstance(error, commands.OverBudget):
            self._log("over-budget")
            self.end(Turn.TOO_OFTEN)
        if isinstance(error, commands.EndlessLine):
            self.end(Turn.LINE_TOO_LONG)
        if isinstance(error, TLSSetupException):
            self._log("tls-failed", case=tls.case(error.__cause__))
            return turns.said(Turn.TLS_FAILED)
        log.error("door-surprise", door=self.spec.kind.value, client=self.client, type=type(error).__name__)
        return replies.refusal(Refusal(Reason.SURPRISE, permanent=False))

    # --- speaking ----------------------------------------------------------------------------------------

    async def push(self, status: Any) -> None:
        if status is None:  # the library's loop, after a session that ended in handle_exception
            return
        if isinstance(status, str):
            status = next((_words(ours) for theirs, ours in _INSTEAD if status.startswith(theirs)), status)
        if self._held:
            held, self._held = self._held, b""
            status = held + (status.encode("utf-8") if isinstance(status, str) else status)
        await super().push(status)

    async def answer_of_group(self, what: Turn | Reason | Refusal) -> None:
        """To MAIL, or to RCPT: sent with the reply to the next command where that has come whole (RFC 2920 §3.2), so
        that a letter's envelope costs one TLS record, not three."""
        if len(self._held) > HELD_MOST or not self._lines.has_more():
            return await self.answer(what)
        self._held += _words(what).encode("ascii") + b"\r\n"

    async def answer(self, what: Turn | Reason | Refusal, detail: str = "") -> None:
        await self.push(_words(what, detail))

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """A session that ends does not cut a letter that is being kept (gateway.doors.hands)."""
        return self.porter.start(work)

    # --- hello -------------------------------------------------------------------------------------------

    async def smtp_EHLO(self, hostname: str) -> None:
        assert self.session is not None
        if not (name := commands.host(hostname)):
            return await self.answer(Turn.HELLO_SYNTAX)
        self._set_rset_state()  # type: ignore[no-untyped-call]
        self.session.extended_smtp = True
        self.session.host_name = name
        offers = ("REQUIRETLS", *self.offers()) if self.tls else ("STARTTLS",)
        size = f"SIZE {self.spec.limits.max_bytes}"
        words = (
            self.hostname,
            "PIPELINING",
            size,
            "8BITMIME",
            "SMTPUTF8",
            "CHUNKING",
            "DSN",
            "ENHANCEDSTATUSCODES",
            *offers,
            "HELP",
        )
        await self.push("\r\n".join([f"250-{word}" for word in words[:-1]] + [f"250 {words[-1]}"]))

    async def smtp_HELO(self, hostname: str) -> None:
        if not commands.host(hostname):
            return await self.answer(Turn.HELLO_SYNTAX)
        await super().smtp_HELO(hostname)

    async def smtp_STARTTLS(self, arg: str) -> None:
        if self._tls_protocol:
            return await self.answer(Turn.TLS_ALREADY)
        self.tls_context = await asyncio.to_thread(self.spec.tls)  # it may look at files, and read some
        try:
            await super().smtp_STARTTLS(arg)
        except asyncio.CancelledError:
            if self._tls_protocol and not self.tls:
                self._log("tls-failed", case="timeout" if self._slow else "closed")
                self.connection_lost(None)  # within a handshake asyncio tells nobody, and our place would stay taken
            raise

    async def smtp_AUTH(self, arg: str) -> None:
        await self.answer(Turn.NOT_HERE)

    async def smtp_EXPN(self, arg: str) -> None:
        await self.answer(Turn.NOT_HERE)

    async def smtp_VRFY(self, arg: str) -> None:
        await self.answer(Turn.WILL_NOT_SAY)

    async def smtp_HELP(self, arg: str) -> None:
        await self.answer(Turn.HELP)

    # --- the turns of a letter ---------------------------------------------------------------------------

    async def smtp_MAIL(self, arg: str | None) -> None:
        if await self.check_helo_needed("EHLO"):
            return
        if reason := self.barred():
            return await self.answer(reason)
        if self.transaction:
            return await self.answer(Turn.MAIL_ALREADY)
        if not self.porter.may_send(self.client):
            self._log("too-many-letters")
            return await self.answer(Turn.LETTERS_TOO_OFTEN)
        asked = commands.mail(arg)
        if not isinstance(asked, commands.Mail):
            return await self.answer(asked)
        if asked.size > self.spec.limits.max_bytes:
            return await self.answer(Reason.TOO_LARGE)
        admitted = await self.run(lambda: self._admit(asked))
        if isinstance(admitted, Refusal):
            self._log("sender-refused", sender=self._named(asked.sender), reason=admitted.reason)
            return await self.answer(admitted)
        self._lines.most = self.spec.limits.known_bytes
        self.transaction = Transaction(asked.sender, asked, admitted)
        await self.answer_of_group(Turn.SENDER_DONE)

    def _admit(self, asked: commands.Mail) -> DoorProof | Refusal:
        proof = self.prove()
        if isinstance(proof, Refusal):
            return proof
        return self.spec.intake.check_sender(asked.sender, proof, self.spec.kind) or proof

    async def smtp_RCPT(self, arg: str | None) -> None:
        if not (letter := self.transaction):
            return await self.answer(Turn.MAIL_FIRST)
        if len(letter.addressees) >= self.spec.limits.max_recipients:
            return await self._refuse_recipient(letter, Reason.TOO_MANY_RECIPIENTS)
        asked = commands.rcpt(arg, utf8=letter.asked.utf8)
        if not isinstance(asked, commands.Rcpt):
            return await self._refuse_recipient(letter, asked)
        found = await self.run(lambda: self.spec.intake.check_recipient(asked.recipient, self.spec.kind))
        if isinstance(found, Refusal):
            return await self._refuse_recipient(letter, found)
        if refusal := await self._known_before(found, letter):
            return await self._refuse_recipient(letter, refusal)
        letter.addressees[asked.recipient.key] = replace(found, asked=asked.asked)
        await self.answer_of_group(Turn.RECIPIENT_DONE)

    async def _known_before(self, found: Addressee, letter: Transaction) -> Refusal | None:
        """RFC 1870 §6.2: what is declared at MAIL is looked at for each recipient; and whether a patient's address is
        one to write to."""
        size, sender = letter.asked.size, letter.sender
        if not size and not found.address.is_patient:
            return None
        return await self.run(lambda: self.spec.intake.check_route(found, sender, size))

    async def _refuse_recipient(self, letter: Transaction, why: Turn | Reason | Refusal) -> None:
        letter.refused += 1
        await self.answer_of_group(why)

    # --- the log -----------------------------------------------------------------------------------------

    def _named(self, sender: Address | None) -> str:
        return self.spec.pseudonyms.address(sender) if sender else "<>"

    def _log(self, event: str, **facts: Any) -> None:
        log.info(event, door=self.spec.kind.value, client=self.client, **facts)


def tls_first() -> bool:
    """RFC 3207 §4: in clear nothing is taken, at no door."""
    return True


def _words(what: Turn | Reason | Refusal, detail: str = "") -> str:
    if isinstance(what, Turn):
        return turns.said(what, detail)
    if isinstance(what, Reason):
        what = Refusal(what, permanent=replies.of(what).code >= 500)
    return replies.refusal(what)
