"""The courier to mailboxes of ours: LMTP, one reply per recipient, our verdict on top.

Promises: our fields are put on the outermost header block only, after any of that family was removed from it;
a letter whose signature is INVALID, or that opened without anybody vouching for its content, is delivered as a
warning letter, never as itself. Does not: open a letter (relay.couriers.opening does), keep mail (Dovecot does),
nor write Return-Path, which the server behind LMTP writes (RFC 5321 §4.4, RFC 2033 §3).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from email.header import Header

from certs import meter
from certs.model import Clock, Fault
from relay import line_ends, warning
from relay import message as mime
from relay.couriers import session as smtp
from relay.couriers import utf8
from relay.couriers.kept import Kept, Over
from relay.couriers.session import LmtpSession, Passenger, Reasons, Session
from relay.model import (
    Done,
    Job,
    Later,
    Letter,
    Never,
    Outcome,
    Reason,
    Recipient,
    SignatureState,
    Signer,
    Verdict,
)

NOT_OPENED = "no"
"""X-Pli-Opened of a letter that stayed closed; else it is the name of the algorithm."""
REASONS = Reasons(Reason.MAILBOX_DELAYED, Reason.MAILBOX_REFUSED, Reason.MAILBOX_DELAYED)

_STATES = {
    SignatureState.NONE: "Lettre non signée.",
    SignatureState.INVALID: "Signature non valide.",
    SignatureState.CANNOT_TELL: "Signature présente, qui n'a pas pu être vérifiée.",
    SignatureState.PARTIAL: "Signature qui ne vaut pas pour la lettre entière telle qu'elle se présente.",
}


@dataclass(frozen=True)
class MailboxCourier:
    host: str
    port: int
    hostname: str
    clock: Clock
    command_s: float = smtp.COMMAND_S
    total_s: float = smtp.TOTAL_S
    kept: Kept = field(default_factory=Kept)
    """Connections that outlive a letter: one transaction each, a reply per recipient (RFC 2033 §4.2)."""

    def deliver(self, job: Job) -> dict[str, Outcome]:
        return self.hand_in(job.letter, job.recipients, job.raw())

    def hand_in(
        self, letter: Letter, recipients: tuple[Recipient, ...], raw: bytes, opened: str = ""
    ) -> dict[str, Outcome]:
        """Delivers `raw`, which `letter.verdict` is about. `opened`: value of X-Pli-Opened."""
        raw = mime.without_own_headers(raw)
        if letter.verdict.signature is not SignatureState.INVALID:
            return self._carry(letter, recipients, own_fields(letter, opened) + raw)
        return self._warn(letter, recipients, warning.failed_signature(letter), raw, opened)

    def hand_in_text(
        self, letter: Letter, recipients: tuple[Recipient, ...], raw: bytes, text: str, opened: str
    ) -> dict[str, Outcome]:
        """EFAIL: the text of a letter for which nobody vouches, with the letter itself still encrypted."""
        raw = mime.without_own_headers(raw)
        return self._warn(letter, recipients, warning.unauthenticated(letter, text), raw, opened)

    def _warn(
        self, letter: Letter, recipients: tuple[Recipient, ...], what: warning.Cause, raw: bytes, opened: str
    ) -> dict[str, Outcome]:
        outcomes: dict[str, Outcome] = {}
        for each in recipients:  # one each: it names its recipient
            wrapped = warning.wrap(letter, what, raw, each.address, self.hostname, self.clock())
            outcomes |= self._carry(letter, (each,), own_fields(letter, opened) + wrapped)
        return {key: noted(outcome, what.note) for key, outcome in outcomes.items()}

    def _carry(self, letter: Letter, recipients: tuple[Recipient, ...], data: bytes) -> dict[str, Outcome]:
        if not line_ends.are_whole(data):
            return {each.id: Never(Reason.BARE_LINE_END) for each in recipients}
        riders = [Passenger(each.id, each.address) for each in recipients]
        over = Over[dict[str, Outcome]](
            begin=lambda session: _all(recipients, self._begin(session)),
            holds=lambda session: True,  # on loopback, and known by its port alone
            send=lambda session: self._send(session, letter, riders, data),
            lost=lambda failure: _each(recipients, Later(REASONS.lost, type(failure).__name__, whole=True)),
            total_s=self.total_s,
        )
        place = (self.host, self.port)
        with meter.step("relay"):
            return self.kept.use(place, None, lambda: LmtpSession(self.hostname, self.command_s), over)

    def _begin(self, session: Session) -> Outcome | None:
        greeting = session.begin(self.host, self.port)
        if greeting.code != 220:
            return Later(REASONS.delayed, str(greeting), whole=True)
        session.ehlo()
        return None

    def _send(self, session: Session, letter: Letter, riders: list[Passenger], data: bytes) -> dict[str, Outcome]:
        eight = not data.isascii() and session.has_extn("8bitmime")
        options = ["BODY=8BITMIME"] if eight else []
        options += utf8.options(session, letter, [each.address for each in riders], data)
        begun = smtp.mail(session, letter.sender, options)
        if not begun.ok:
            return {each.id: smtp.judge(begun, REASONS) for each in riders}
        return smtp.carry(session, [utf8.aboard(session, each) for each in riders], data, REASONS)


def _all(recipients: tuple[Recipient, ...], trouble: Outcome | None) -> dict[str, Outcome] | None:
    return _each(recipients, trouble) if trouble else None


def _each(recipients: tuple[Recipient, ...], outcome: Outcome) -> dict[str, Outcome]:
    return {each.id: outcome for each in recipients}


def noted(outcome: Outcome, note: str) -> Outcome:
    return Done(outcome.reference, note) if isinstance(outcome, Done) else outcome


def own_fields(letter: Letter, opened: str = "") -> bytes:
    """Trace, then our verdict for mail clients: names for programs, one French sentence for people."""
    verdict = letter.verdict
    values = {
        "X-Pli-Letter": letter.id,
        "X-Pli-Signature": verdict.signature.value,
        "X-Pli-Signer": verdict.signer.value if verdict.signer else "",
        "X-Pli-Fault": verdict.fault,
        "X-Pli-Findings": ", ".join(verdict.findings),
        "X-Pli-Automatic": verdict.automatic,
        "X-Pli-Opened": opened,
        "X-Pli-Words": _encoded(f"{_opening_words(opened)} {words(verdict)}".strip()),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in values.items() if value)
    return (letter.trace + lines).encode("ascii", "replace")


def words(verdict: Verdict) -> str:
    """Whose word it is, in French; an establishment seals, it never signs in a person's name (design §7)."""
    if verdict.signature is SignatureState.PARTIAL and verdict.fault == Fault.WRONG_NAME:
        return f"Signature de {verdict.signer_name}, dont le certificat porte une autre adresse que l'expéditeur."
    if verdict.signature is not SignatureState.VALID:
        return _STATES[verdict.signature]
    if verdict.signer is Signer.MAILBOX:
        return f"Signé par {verdict.signer_name}, certificat de l'adresse de l'expéditeur."
    if verdict.signer is Signer.ESTABLISHMENT:
        return f"Scellé par l'établissement {verdict.signer_name}."
    return f"Signé par l'auteur {verdict.signer_name}, avec son propre certificat, qui ne porte pas d'adresse."


def _opening_words(opened: str) -> str:
    if not opened:
        return ""
    return "Lettre chiffrée, non ouverte." if opened == NOT_OPENED else "Lettre chiffrée, ouverte à son arrivée."


def _encoded(text: str) -> str:
    plain = "".join(each if each.isprintable() else " " for each in text)
    return Header(plain, "utf-8", header_name="X-Pli-Words").encode(linesep="\r\n")
