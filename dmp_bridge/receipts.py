"""What a bridge answers about a filing: a disposition notification, or an error mail (spec/payload.md
§1.8).

Promises: one builder for relay.notices; automatic mail is never answered; a notification is sent by itself
only where Disposition-Notification-To is the Return-Path; a failure that nobody asked to hear of is told to
a sender of ours in an error mail. Both give the original's content back as it came: they are letters with
clinical content, and go through the intake like others. Does not: send, nor decide how (relay.notices,
relay.routing).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from email.header import Header
from email.utils import format_datetime

from certs.model import Clock
from directory.address import BadAddress
from directory.model import Address
from dmp_bridge.model import FilingReason
from relay.message import Malformed, Message, Part, scan
from relay.model import INCOMING, Letter, Mode, Recipient, State
from relay.notices import answerable
from relay.routing import Node

# HL7 table 0533 as the receiving profile extends it (spec/payload.md §6): code and label by reason.
OTHER = ("906", "Autre erreur")
CODES: dict[str, tuple[str, str]] = {
    FilingReason.OLD_VERSION: ("900", "Version du document incorrecte"),
    FilingReason.NOT_OURS: ("901", "Auteur non autorisé"),
    FilingReason.PATIENT_UNKNOWN: ("902", "Identifiant de patient inconnu"),
    FilingReason.INS_ABSENT: ("903", "INS absent"),
    FilingReason.INS_DIFFERS: ("904", "INS ou traits différents"),
    FilingReason.INS_INCOMPLETE: ("905", "INS incomplet"),
}
_FAILED_PREFIX = "[KO Intégration système !]"
_SIGNATURES = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature"})
_FILED = "Le document a été classé au dossier du patient."

Words = Callable[[str], tuple[str, str, str]]


def receipt(
    letter: Letter,
    recipients: tuple[Recipient, ...],
    raw: Callable[[], bytes],
    node: Node,
    clock: Clock,
    words: Words,
) -> bytes | None:
    """The notification or error mail for the dossier's row among `recipients`, or None."""
    settled = [each for each in recipients if each.route.mode is Mode.DOSSIER]
    ended = [each for each in settled if each.state in (State.DONE, State.FAILED)]
    if not ended or letter.verdict.automatic or not answerable(letter):
        return None
    try:
        original = scan(raw())
    except Malformed:
        return None
    answer = _Answer(letter, ended[0], original, node, clock, words)
    asked = _asked(original)
    if asked is None:
        return answer.error_mail() if answer.failed and letter.door not in INCOMING else None
    # payload §1.8: where they differ a person confirms; the work list and the timeline show it.
    return answer.notification() if asked == letter.sender.lower() else None


def _asked(original: Message) -> str | None:
    """The one address of Disposition-Notification-To; '' where it cannot be read; None where it is absent."""
    if not original.values("Disposition-Notification-To"):
        return None
    try:
        held = original.addresses("Disposition-Notification-To")
    except BadAddress:
        return ""
    return held[0].key if len(held) == 1 else ""


def _addressed(original: Message) -> tuple[Address, ...]:
    try:
        return (*original.addresses("To"), *original.addresses("Cc"))
    except BadAddress:
        return ()


class _Answer:
    def __init__(
        self,
        letter: Letter,
        recipient: Recipient,
        original: Message,
        node: Node,
        clock: Clock,
        words: Words,
    ) -> None:
        self._letter, self._recipient, self._original = letter, recipient, original
        self._node, self._clock, self._words = node, clock, words
        self.failed = recipient.state is State.FAILED
        self._code, self._label = CODES.get(recipient.reason, OTHER)
        self._boundary = f"pli-receipt-{letter.id}"

    def notification(self) -> bytes:
        """RFC 8098 §3, as the receiving profile asks: words, disposition, then the original's own parts."""
        parts = [self._human(), self._machine(), *(each.raw for each in _contents(self._original))]
        kind = "multipart/report; report-type=disposition-notification"
        return self._mail(kind, parts)

    def error_mail(self) -> bytes:
        """The mail for a failure of which no notification was asked: the original is enclosed whole."""
        enclosed = (
            b'Content-Type: message/rfc822\r\nContent-Disposition: attachment; filename="message_original.eml"\r\n\r\n'
        )
        return self._mail("multipart/mixed", [self._human(), enclosed + self._original.raw])

    def _mail(self, kind: str, parts: list[bytes]) -> bytes:
        body = b"".join(b"--%b\r\n%b\r\n" % (self._boundary.encode(), part) for part in parts)
        return self._head(kind) + body + b"--%b--\r\n" % self._boundary.encode()

    def _head(self, kind: str) -> bytes:
        original = self._letter.message_id
        lines = (
            f'From: "Pli" <{self._from()}>',
            f"To: <{self._letter.sender}>",
            f"Subject: {self._subject()}",
            f"Date: {format_datetime(self._clock())}",
            f"Message-ID: <receipt.{self._letter.id}@{self._node.hostname}>",
            *([f"In-Reply-To: {original}"] if original else []),
            "Auto-Submitted: auto-replied",  # RFC 3834 §5
            "MIME-Version: 1.0",
            f"Content-Type: {kind};",
            f'\tboundary="{self._boundary}"',
        )
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _from(self) -> str:
        domain = self._letter.sender.rpartition("@")[2]
        ours = domain if domain in self._node.domains else min(self._node.domains, default="")
        return f"postmaster@{ours or self._node.hostname}"

    def _for(self) -> str:
        """RFC 8098 §3.2.4: the mailbox for which we answer, which the sender's node finds on its timeline. One of
        another operator's is not ours to speak for: then the node itself."""
        ours = (each for each in _addressed(self._original) if each.domain in self._node.domains)
        return str(next(ours, self._from()))

    def _subject(self) -> str:
        """The original's, behind the prefix and code that every bridge looks for where it failed."""
        prefix = f"{_FAILED_PREFIX}[{self._code}] " if self.failed else ""
        text = " ".join((prefix + self._original.subject).split())
        return text if text.isascii() else Header(text, "utf-8", header_name="Subject").encode(linesep="\r\n")

    def _human(self) -> bytes:
        text = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        lines = ["Bonjour,", "", *self._sentences(), "", f"Référence : {self._letter.id}", ""]
        return (text + "\r\n".join(lines)).encode()

    def _sentences(self) -> list[str]:
        if not self.failed:
            return [_FILED, "", "The document was filed in the patient's record."]
        _, french, english = self._words(self._recipient.reason)
        return [f"Erreur {self._code} : {self._label}.", french, "", english]

    def _machine(self) -> bytes:
        """RFC 8098 §3.1; the fields are ASCII."""
        disposition = "automatic-action/MDN-sent-automatically; processed"
        if self.failed:
            disposition += f"/Error: {self._code}^{_plain(self._label)}"
        original = self._letter.message_id
        fields = (
            f"Reporting-UA: {self._node.hostname}; Pli",
            f"Original-Recipient: rfc822;{self._for()}",
            f"Final-Recipient: rfc822;{self._for()}",
            *([f"Original-Message-ID: {original}"] if original else []),
            f"Disposition: {disposition}",
        )
        head = "Content-Type: message/disposition-notification\r\n\r\n"
        return (head + "\r\n".join(fields) + "\r\n").encode("ascii", "replace")


def _contents(original: Message) -> list[Part]:
    """What the letter consisted of, part by part, without the signature over it."""
    root = original.root
    if not root.is_multipart:
        return []
    leaves = [each for each in original.parts if not each.is_multipart]
    return [each for each in leaves if each.type not in _SIGNATURES]


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text)
    return letters.encode("ascii", "ignore").decode()
