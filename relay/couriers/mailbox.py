"""The courier to mailboxes of ours: LMTP, one reply per recipient, our verdict on top.

Promises: our fields are put on the outermost header block only, after any of that family was removed from it;
a letter whose signature is INVALID is delivered as a warning letter, never as itself. Does not: keep mail
(Dovecot does), nor write Return-Path, which the server behind LMTP writes (RFC 5321 §4.4, RFC 2033 §3).
"""

from __future__ import annotations

from dataclasses import dataclass
from email.header import Header

from certs import meter
from certs.model import Clock
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

AS_WARNING = "warning-letter"
"""Note of a Done."""
REASONS = Reasons(Reason.MAILBOX_DELAYED, Reason.MAILBOX_REFUSED, Reason.MAILBOX_DELAYED)

_STATES = {
    SignatureState.NONE: "Lettre non signée.",
    SignatureState.INVALID: "Signature non valide.",
    SignatureState.CANNOT_TELL: "Signature présente, qui n'a pas pu être vérifiée.",
    SignatureState.PARTIAL: "Signature qui ne couvre qu'une partie de la lettre.",
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
        raw = mime.without_own_headers(job.raw())
        if job.letter.verdict.signature is not SignatureState.INVALID:
            return self._carry(job.letter, job.recipients, own_fields(job.letter) + raw)
        outcomes: dict[str, Outcome] = {}
        for each in job.recipients:  # one each: it names its recipient
            wrapped = warning.wrap(job.letter, raw, each.address, self.hostname, self.clock())
            outcomes |= self._carry(job.letter, (each,), own_fields(job.letter) + wrapped)
        return {key: _noted(outcome) for key, outcome in outcomes.items()}

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


def _noted(outcome: Outcome) -> Outcome:
    return Done(outcome.reference, AS_WARNING) if isinstance(outcome, Done) else outcome


def own_fields(letter: Letter) -> bytes:
    """Trace, then our verdict for mail clients: names for programs, one French sentence for people."""
    verdict = letter.verdict
    values = {
        "X-Pli-Letter": letter.id,
        "X-Pli-Signature": verdict.signature.value,
        "X-Pli-Signer": verdict.signer.value if verdict.signer else "",
        "X-Pli-Fault": verdict.fault,
        "X-Pli-Findings": ", ".join(verdict.findings),
        "X-Pli-Automatic": verdict.automatic,
        "X-Pli-Words": _encoded(words(verdict)),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in values.items() if value)
    return (letter.trace + lines).encode("ascii", "replace")


def words(verdict: Verdict) -> str:
    """Whose word it is, in French; an establishment seals, it never signs in a person's name (design §7)."""
    if verdict.signature is not SignatureState.VALID:
        return _STATES[verdict.signature]
    if verdict.signer is Signer.MAILBOX:
        return f"Signé par {verdict.signer_name}, certificat de l'adresse de l'expéditeur."
    if verdict.signer is Signer.ESTABLISHMENT:
        return f"Scellé par l'établissement {verdict.signer_name}."
    who = f"Signé avec le certificat de {verdict.signer_name}"
    return f"{who}, qui n'est pas celui de l'adresse de l'expéditeur."


def _encoded(text: str) -> str:
    plain = "".join(each if each.isprintable() else " " for each in text)
    return Header(plain, "utf-8", header_name="X-Pli-Words").encode(linesep="\r\n")
