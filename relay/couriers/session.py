"""One SMTP or LMTP transaction with another server, on smtplib: an outcome for each recipient.

Promises: each recipient's own reply decides for it; once the final reply is read nothing that follows changes
it; a server that stalls is cut off after a total time, however it trickles; replies lose addresses and long
numbers before they are kept, since a recipient may be a patient's identity. Does not: choose the server, or
trust it.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from relay.model import Done, Later, Never, Outcome

COMMAND_S = 120.0
TOTAL_S = 900.0
"""RFC 5321 §4.5.3.2 allows ten minutes after the final dot alone; a lease is renewed meanwhile."""

FAILURES = (OSError, smtplib.SMTPException, ssl.SSLError)
"""What a connection can raise; each means that the outcome is unknown, hence Later."""

_ADDRESS = re.compile(r"<?[^\s<>]*@[^\s<>]*>?")
_NUMBER = re.compile(r"\d{13,}")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
_ENHANCED = re.compile(r"^[245]\.\d{1,3}\.\d{1,3}\b")


@dataclass(frozen=True)
class Reply:
    code: int
    words: str
    """Cleaned; without the code."""

    @property
    def ok(self) -> bool:
        return 200 <= self.code < 400

    @property
    def enhanced(self) -> str:
        found = _ENHANCED.match(self.words)
        return found.group(0) if found else ""

    def __str__(self) -> str:
        return f"{self.code} {self.words}".strip()


def reply(answer: tuple[int, bytes]) -> Reply:
    code, text = answer
    words = _UNPRINTABLE.sub(" ", text.decode("ascii", "replace"))
    words = _NUMBER.sub("…", _ADDRESS.sub("<…>", words))
    return Reply(code, words[:300])


@dataclass(frozen=True)
class Reasons:
    """How this kind of server's answers are called."""

    delayed: str
    refused: str
    lost: str


@dataclass(frozen=True)
class Passenger:
    """One recipient of a transaction."""

    id: str
    address: str
    options: tuple[str, ...] = ()


class Session(smtplib.SMTP):
    """A connection that is opened by `begin`, not by its constructor."""

    told = False
    """The final dot of this transaction may have gone out: from here on the other side may have the letter."""
    over = False
    """It broke, or the other side is about to end it (RFC 5321 §3.8): nothing more is said over it."""

    def __init__(self, hostname: str, timeout: float = COMMAND_S) -> None:
        super().__init__(local_hostname=hostname, timeout=timeout)
        self.command_s = timeout

    def getreply(self) -> tuple[int, bytes]:
        code, words = super().getreply()
        self.over = self.over or code == 421
        return code, words

    def begin(self, host: str, port: int, address: str = "") -> Reply:
        """Connects, to `address` where the name was looked up already, and reads the greeting."""
        self._host = host  # smtplib shows it as the server's name in the handshake
        return reply(self.connect(address or host, port))

    def say(self, command: str, argument: str = "") -> Reply:
        return reply(self.docmd(command, argument))

    def next_reply(self) -> Reply:
        return reply(self.getreply())

    def send_body(self, data: bytes) -> None:
        """RFC 5321 §4.5.2: dots stuffed, ended by a dot alone. The data's lines end in CRLF."""
        end = b".\r\n" if data.endswith(b"\r\n") else b"\r\n.\r\n"
        stuffed = data.replace(b"\r\n.", b"\r\n..")
        self.told = True
        self.send((b"." if data.startswith(b".") else b"") + stuffed + end)

    def leave(self) -> None:
        """QUIT without caring: what was answered is answered."""
        with contextlib.suppress(*FAILURES):
            if self.sock is not None:
                self.sock.settimeout(2.0)
                self.docmd("QUIT")
        self.close()


class LmtpSession(Session):
    """RFC 2033: LHLO, and one final reply per accepted recipient."""

    ehlo_msg = "lhlo"


@contextmanager
def cut_off(session: Session, after_s: float) -> Iterator[None]:
    """Ends the connection from outside once the total time is over."""
    timer = threading.Timer(after_s, _shut, (session,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut(session: Session) -> None:
    if session.sock is not None:
        with contextlib.suppress(OSError):
            session.sock.shutdown(socket.SHUT_RDWR)


def judge(answer: Reply, reasons: Reasons) -> Outcome:
    """A final answer for one recipient."""
    if answer.ok:
        return Done(str(answer))
    if answer.code // 100 == 5:
        return Never(reasons.refused, str(answer))
    # RFC 5321 §3.8: with 421 it is the server that takes nothing, not this letter
    return Later(reasons.delayed, str(answer), whole=answer.code == 421)


def mail(session: Session, sender: str, options: Sequence[str]) -> Reply:
    session.told = False
    return session.say("MAIL", " ".join((f"FROM:<{sender}>", *options)))


def carry(session: Session, passengers: Sequence[Passenger], data: bytes, reasons: Reasons) -> dict[str, Outcome]:
    """RCPT… and DATA after a good MAIL. A lost connection leaves `Later` for whoever had no final reply."""
    outcomes: dict[str, Outcome] = {}
    try:
        _carry(session, passengers, data, reasons, outcomes)
    except FAILURES as failure:
        session.over = True
        lost = Later(reasons.lost, type(failure).__name__, whole=True)
        outcomes.update({each.id: lost for each in passengers if each.id not in outcomes})
    return outcomes


def _carry(
    session: Session,
    passengers: Sequence[Passenger],
    data: bytes,
    reasons: Reasons,
    outcomes: dict[str, Outcome],
) -> None:
    aboard = [each for each in passengers if _board(session, each, reasons, outcomes)]
    if not aboard:
        return
    started = session.say("DATA")
    if started.code != 354:
        session.over = session.over or started.ok  # an answer to another question: nothing more is believed
        refused = Later(reasons.delayed, str(started)) if started.ok else judge(started, reasons)
        outcomes.update({each.id: refused for each in aboard})
        return
    session.send_body(data)
    _finals(session, aboard, reasons, outcomes)


def _board(session: Session, each: Passenger, reasons: Reasons, outcomes: dict[str, Outcome]) -> bool:
    answer = session.say("RCPT", " ".join((f"TO:<{each.address}>", *each.options)))
    if not answer.ok:
        outcomes[each.id] = judge(answer, reasons)
    return answer.ok


def _finals(session: Session, aboard: Sequence[Passenger], reasons: Reasons, outcomes: dict[str, Outcome]) -> None:
    if isinstance(session, LmtpSession):
        for each in aboard:  # RFC 2033 §4.2, in the order of RCPT
            outcomes[each.id] = judge(session.next_reply(), reasons)
        return
    final = judge(session.next_reply(), reasons)
    outcomes.update({each.id: final for each in aboard})
