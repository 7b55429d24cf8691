"""The courier to mailboxes of ours: LMTP, one reply per recipient, our verdict on top.

Promises: our fields are put on the outermost header block only, after any of that family was removed from it;
a letter whose signature is INVALID, or that opened without anybody vouching for its content, is delivered as a
warning letter, never as itself. Does not: open a letter (relay.couriers.opening does), keep mail (Dovecot does),
nor write Return-Path, which the server behind LMTP writes (RFC 5321 §4.4, RFC 2033 §3).
"""

from __future__ import annotations

from dataclasses import dataclass
from email.header import Header

from certs import meter
from certs.model import Clock, Fault
from relay import message as mime
from relay import warning
from relay.couriers import session as smtp
from relay.couriers.session import LmtpSession, Passenger, Reasons
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
        if not smtp.is_strict(data):
            return {each.id: Never(Reason.BARE_LINE_END) for each in recipients}
        session = LmtpSession(self.hostname, self.command_s)
        with smtp.cut_off(session, self.total_s), meter.step("relay"):
            try:
                trouble = self._begin(session, letter, data)
                if trouble:
                    return {each.id: trouble for each in recipients}
                riders = [Passenger(each.id, each.address) for each in recipients]
                return smtp.carry(session, riders, data, REASONS)
            except smtp.FAILURES as failure:
                return {each.id: Later(REASONS.lost, type(failure).__name__) for each in recipients}
            finally:
                session.leave()

    def _begin(self, session: LmtpSession, letter: Letter, data: bytes) -> Outcome | None:
        greeting = session.begin(self.host, self.port)
        if greeting.code != 220:
            return Later(REASONS.delayed, str(greeting))
        session.ehlo()
        eight = not data.isascii() and session.has_extn("8bitmime")
        begun = smtp.mail(session, letter.sender, ["BODY=8BITMIME"] if eight else [])
        return None if begun.ok else smtp.judge(begun, REASONS)


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
