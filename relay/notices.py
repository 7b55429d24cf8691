"""Notices: what a sender is told when a letter, or the delivery report that he asked for, is settled (RFC
3461-3464).

Promises: a notice is a new letter through the intake, with the null sender and an id made from what it
reports, so that a repeated try is the same notice; it returns a fixed list of fields, never the original's
content, and a Subject that names a patient is replaced; nothing with a null sender, and no report, is ever
answered. Does not: tell of dossiers (dmp_bridge.receipts is one more builder), nor keep a body of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.header import Header
from email.utils import format_datetime
from typing import Protocol, TypeAlias

import structlog

from certs.model import Clock
from directory import address
from relay.couriers.peer import BY_PEER
from relay.fields import Malformed
from relay.intake import Intake
from relay.message import Message, scan
from relay.model import (
    BodyRef,
    Door,
    DoorProof,
    Envelope,
    Letter,
    Mode,
    Recipient,
    Refusal,
    State,
)
from relay.routing import Node

Raw: TypeAlias = Callable[[], bytes]
Words: TypeAlias = Callable[[str], tuple[str, str, str]]
"""A reason's RFC 3463 status, French sentence and English sentence (gateway/doors/replies.py)."""
Builder: TypeAlias = Callable[[Letter, tuple[Recipient, ...], Raw], bytes | None]
"""The notice for these recipients, or None when there is nothing to say."""

FIELDS = ("Date", "From", "To", "Cc", "Message-ID", "In-Reply-To", "Subject")
"""All that a notice returns of the original."""
SUBJECT_INSTEAD = "Document de sante (objet non repris)"
FIELD_MOST = 2000
_GLOBAL = {False: "", True: "global-"}

OPEN = frozenset({State.QUEUED, State.RUNNING, State.HELD})
_DOSSIER = frozenset({Mode.DOSSIER, Mode.DOSSIER_SHOW})
_NEVER_ANSWERED = frozenset({"null-sender", "report"})
# payload §1.3: 'XDM/1.0/DDM+<label> <NAME> <given name> <birth date>', also behind 'Re:' and the like
_NAMES_A_PATIENT = re.compile(r"\bXDM\s*/", re.IGNORECASE)
_log = structlog.get_logger(__name__)


class NoticeDelayed(Exception):
    """The notice could not enter custody now; it stays due."""


class Bodies(Protocol):
    def put(self, data: bytes) -> BodyRef: ...

    def erase(self, ref: BodyRef) -> None: ...


def plain_words(reason: str) -> tuple[str, str, str]:
    """Where nobody gave better ones."""
    return "5.0.0", f"La remise a échoué ({reason}).", f"Delivery failed ({reason})."


# --- sending ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Notices:
    intake: Intake
    bodies: Bodies
    node: Node
    builders: Sequence[Builder]
    clock: Clock

    def __call__(self, letter: Letter, recipients: tuple[Recipient, ...], raw: Raw) -> bool:
        """Builds and sends what there is to say; True if there was anything. Raises NoticeDelayed; asking again
        repeats nothing."""
        if not letter.sender:
            return False  # RFC 3464 §2: a notice is never answered with a notice
        told = False
        for number, build in enumerate(self.builders):
            notice = build(letter, recipients, raw)
            if notice is not None:
                self._send(letter, _id(letter, recipients, number), notice)
                told = True
        return told

    def _send(self, letter: Letter, notice_id: str, notice: bytes) -> None:
        to = self.intake.check_recipient(address.parse(letter.sender), Door.NOTICE)
        if isinstance(to, Refusal):
            self._refused(letter, to)
            return
        envelope = Envelope(
            id=notice_id,
            tenant=letter.tenant,
            door=Door.NOTICE,
            sender=None,
            addressees=(to,),
            proof=DoorProof(),
            received_at=self.clock(),
            require_tls=letter.require_tls,  # RFC 8689 §5
        )
        body = self.bodies.put(notice)
        answer = self.intake.accept(envelope, notice, body)
        if isinstance(answer, Refusal):
            if answer.certain:
                self.bodies.erase(body)
            self._refused(letter, answer)

    def _refused(self, letter: Letter, refusal: Refusal) -> None:
        if not refusal.permanent:
            raise NoticeDelayed(refusal.reason)
        # Nobody is left to tell but the operator
        _log.error("alarm-notice-refused", letter=letter.id, reason=str(refusal.reason))


def _id(letter: Letter, recipients: tuple[Recipient, ...], builder: int) -> str:
    """26 characters in the manner of relay.model.new_id: the letter's moment, then a digest of what is
    reported. A recipient that was sent again has another due moment, hence another notice."""
    ordered = sorted(recipients, key=lambda each: each.id)
    told = [f"{each.id}={_moment(each)}" for each in ordered]
    digest = hashlib.sha256("|".join([letter.id, str(builder), *told]).encode()).digest()
    number = int.from_bytes(digest[:10], "big")
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    return letter.id[:10] + "".join(alphabet[(number >> shift) & 31] for shift in range(75, -1, -5))


def _moment(recipient: Recipient) -> str:
    """A delay is one for a recipient's five days, however often it is tried meanwhile."""
    if recipient.state in OPEN:
        return f"delayed@{recipient.queued_at}"
    return f"{recipient.state.value}@{recipient.due_at}"


# --- what is said -------------------------------------------------------------------------------------------


def failure(
    letter: Letter,
    recipients: tuple[Recipient, ...],
    raw: Raw,
    node: Node,
    clock: Clock,
    words: Words = plain_words,
) -> bytes | None:
    """A DSN for recipients that will not be served, or None."""
    failed = tuple(each for each in recipients if each.state is State.FAILED and _wants_failure(each))
    if not failed or not answerable(letter):
        return None
    return _report(_Said(letter, failed, node, clock, words, "failed"), raw)


def delivered(
    letter: Letter,
    recipients: tuple[Recipient, ...],
    raw: Raw,
    node: Node,
    clock: Clock,
    words: Words = plain_words,
) -> bytes | None:
    """A DSN for recipients whose delivery report was asked and that no other server will send, or None."""
    served = tuple(each for each in recipients if each.state is State.DONE and _wants_success(each))
    if not served or letter.verdict.automatic or not letter.sender:
        return None
    return _report(_Said(letter, served, node, clock, words, "delivered"), raw)


def delayed(
    letter: Letter,
    recipients: tuple[Recipient, ...],
    raw: Raw,
    node: Node,
    clock: Clock,
    words: Words = plain_words,
    lifetime: timedelta = timedelta(days=5),
) -> bytes | None:
    """A DSN for recipients that still wait (RFC 3464 §2.3.3 'delayed'), or None. A machine is not warned."""
    waiting = tuple(each for each in recipients if each.warning == "due" and each.state in OPEN)
    if not waiting or letter.verdict.automatic or not letter.sender:
        return None
    return _report(_Said(letter, waiting, node, clock, words, "delayed", lifetime), raw)


def answerable(letter: Letter) -> bool:
    """A failure is told to whoever can be told: a null sender cannot, and a report must not be answered.
    Other automatic mail (a laboratory's, say) has somebody who waits for it: after custody nothing is dropped
    in silence."""
    return bool(letter.sender) and letter.verdict.automatic not in _NEVER_ANSWERED


def _wants_failure(recipient: Recipient) -> bool:
    # RFC 3461 §4.1: without NOTIFY, failures are told
    asked = recipient.asked.notify
    return recipient.route.mode not in _DOSSIER and (not asked or "FAILURE" in asked)


def _wants_success(recipient: Recipient) -> bool:
    ours = recipient.route.mode not in _DOSSIER and recipient.note != BY_PEER
    return ours and "SUCCESS" in recipient.asked.notify


_SUBJECTS = {
    "failed": "Lettre non remise / Undelivered letter",
    "delayed": "Lettre en attente / Letter delayed",
    "delivered": "Lettre remise / Letter delivered",
}


@dataclass(frozen=True)
class _Said:
    letter: Letter
    recipients: tuple[Recipient, ...]
    node: Node
    clock: Clock
    words: Words
    action: str
    lifetime: timedelta = timedelta(days=5)


def _report(said: _Said, raw: Raw) -> bytes:
    """RFC 6522 multipart/report: words, fields for programs, and some of the original's header."""
    boundary = f"pli-notice-{said.letter.id}-{said.action}"
    parts = (_human(said), _machine(said), _returned(raw(), utf8=_global(said)))
    body = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    return (_head(said, boundary) + body + f"--{boundary}--\r\n").encode("utf-8")


def _head(said: _Said, boundary: str) -> str:
    subject = _SUBJECTS[said.action]
    lines = (
        f'From: "Pli" <postmaster@{_our_domain(said)}>',
        f"To: <{said.letter.sender}>",
        f"Subject: {subject}",
        f"Date: {format_datetime(said.clock())}",
        f"Message-ID: <{said.action}.{said.letter.id}@{said.node.hostname}>",
        *([f"In-Reply-To: {said.letter.message_id}"] if said.letter.message_id else []),
        "Auto-Submitted: auto-replied",  # RFC 3834 §5
        "MIME-Version: 1.0",
        f"Content-Type: multipart/report; report-type={_GLOBAL[_global(said)]}delivery-status;",
        f'\tboundary="{boundary}"',
    )
    return "\r\n".join(lines) + "\r\n\r\n"


def _our_domain(said: _Said) -> str:
    """A domain of ours: the recipient's where the letter came to us, else the sender's."""
    theirs = [each.address.rpartition("@")[2] for each in said.recipients]
    for domain in (said.letter.sender.rpartition("@")[2], *theirs):
        if domain in said.node.domains:
            return domain
    return min(said.node.domains, default=said.node.hostname)


def _human(said: _Said) -> str:
    french = [_sentence(said, each, french=True) for each in said.recipients]
    english = [_sentence(said, each, french=False) for each in said.recipients]
    text = "\r\n".join(
        (
            "Bonjour,",
            "",
            *french,
            "",
            f"Référence : {said.letter.id}",
            "",
            "--",
            "",
            *english,
            "",
            f"Reference: {said.letter.id}",
        )
    )
    head = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    return head + text + "\r\n"


def _sentence(said: _Said, recipient: Recipient, *, french: bool) -> str:
    if said.action == "failed":
        _, sentence_fr, sentence_en = said.words(recipient.reason)
        start = "Votre lettre n'a pas été remise à" if french else "Your letter was not delivered to"
        return f"{start} <{recipient.address}>. {sentence_fr if french else sentence_en}"
    if said.action == "delayed":
        return _still_waiting(said, recipient, french=french)
    if french:
        return f"Votre lettre a été {_done(recipient)[1]} <{recipient.address}>."
    return f"Your letter was {_done(recipient)[2]} <{recipient.address}>."


def _still_waiting(said: _Said, recipient: Recipient, *, french: bool) -> str:
    _, sentence_fr, sentence_en = said.words(recipient.reason) if recipient.reason else ("", "", "")
    until = f"{_end(said, recipient):%d/%m/%Y %H:%M} UTC"
    if french:
        start = f"Votre lettre à <{recipient.address}> n'est pas encore remise ; elle sera essayée jusqu'au {until}."
        return f"{start} Il n'y a rien à faire. {sentence_fr}".rstrip()
    start = f"Your letter to <{recipient.address}> is not delivered yet; it will be tried until {until}."
    return f"{start} There is nothing to do. {sentence_en}".rstrip()


def _end(said: _Said, recipient: Recipient) -> datetime:
    return (recipient.queued_at or said.letter.received_at) + said.lifetime


def _done(recipient: Recipient) -> tuple[str, str, str]:
    if recipient.route.mode is Mode.MAILBOX:
        return "delivered", "remise à", "delivered to"
    return "relayed", "transmise à l'opérateur de", "passed to the operator of"


def _machine(said: _Said) -> str:
    """RFC 3464 §2.2, §2.3."""
    per_message = [
        f"Reporting-MTA: dns; {said.node.hostname}",
        *([f"Original-Envelope-Id: {said.letter.envid}"] if said.letter.envid else []),
        f"Arrival-Date: {format_datetime(said.letter.received_at)}",
    ]
    blocks = ["\r\n".join(per_message), *("\r\n".join(_fields(said, each)) for each in said.recipients)]
    encoding = "Content-Transfer-Encoding: 8bit\r\n" if _global(said) else ""
    head = f"Content-Type: message/{_GLOBAL[_global(said)]}delivery-status\r\n{encoding}\r\n"
    return head + "\r\n\r\n".join(blocks) + "\r\n"


def _global(said: _Said) -> bool:
    """RFC 6533 §4: only to an international sender, who needs SMTPUTF8 in any case; to another the same is said in
    ASCII (§3), so that no server on the way can refuse the report."""
    return not said.letter.sender.isascii()


def _fields(said: _Said, recipient: Recipient) -> list[str]:
    asked = [f"Original-Recipient: {recipient.asked.orcpt}"] if recipient.asked.orcpt else []
    diagnostic = [f"Diagnostic-Code: smtp; {_ascii(recipient.reference)}"] if recipient.reference else []
    return [
        *asked,
        f"Final-Recipient: {_typed(said, recipient.address)}",
        f"Action: {_done(recipient)[0] if said.action == 'delivered' else said.action}",
        f"Status: {_status(said, recipient)}",
        *diagnostic,
        f"Last-Attempt-Date: {format_datetime(said.clock())}",
        # RFC 3464 §2.3.9
        *([f"Will-Retry-Until: {format_datetime(_end(said, recipient))}"] if said.action == "delayed" else []),
    ]


def _typed(said: _Said, to: str) -> str:
    return f"utf-8; {to}" if _global(said) and not to.isascii() else address.typed(to)


def _status(said: _Said, recipient: Recipient) -> str:
    """A failure is final, whatever class the reason has while it may still pass (RFC 3463 §2)."""
    if said.action == "delivered":
        return "2.0.0"
    status = said.words(recipient.reason)[0] if recipient.reason else "4.0.0"
    if said.action == "delayed":
        return f"4{status[1:]}" if status[:1] in "245" and status[1:2] == "." else "4.0.0"
    return f"5{status[1:]}" if status[:1] in "245" and status[1:2] == "." else "5.0.0"


def _ascii(text: str) -> str:
    return "".join(each if " " <= each <= "~" else "?" for each in text)[:300]


def _returned(raw: bytes, *, utf8: bool) -> str:
    """RFC 6522 §4: header fields only, and of those a fixed list; `utf8`: as RFC 6533 §6 writes them."""
    kind = "message/global-headers" if utf8 else "text/rfc822-headers"
    head = f"Content-Type: {kind}\r\n" + ("Content-Transfer-Encoding: 8bit\r\n\r\n" if utf8 else "\r\n")
    try:
        message = scan(raw)
    except Malformed:
        return head
    return head + "".join(_field(message, name, utf8=utf8) for name in FIELDS if message.values(name))


def _field(message: Message, name: str, *, utf8: bool) -> str:
    value = message.value(name)
    if name == "Subject":
        value = SUBJECT_INSTEAD if _NAMES_A_PATIENT.search(message.subject) else message.subject
    readable = "".join(each if each.isprintable() else " " for each in value)[:FIELD_MOST]
    if (utf8 or readable.isascii()) and len(readable.encode()) < 900:
        return f"{name}: {readable}\r\n"
    return f"{name}: {Header(readable, 'utf-8', header_name=name).encode(linesep=chr(13) + chr(10))}\r\n"
