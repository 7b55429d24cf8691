"""SMTPUTF8 on the way out (RFC 6531 §3): which recipients of a letter need it, and what is said where it is offered.

Promises: to a server that does not offer it nothing beyond ASCII is said; who needs it is Never with that reason, the
others of the letter go on. Does not: change a letter so that an older server could take it.
"""

from __future__ import annotations

from dataclasses import replace

from relay import international
from relay.couriers.session import Passenger, Session
from relay.model import Job, Letter, Never, Outcome, Reason


def sort(session: Session, job: Job, data: bytes) -> tuple[Job, dict[str, Outcome]]:
    """The job for whom this server can serve, and the outcome of the others. `data`: the letter as it goes out."""
    if offered(session):
        return job, {}
    whole = international.needed(job.letter, data)
    stranded = [each for each in job.recipients if whole or not each.address.isascii()]
    left = replace(job, recipients=tuple(each for each in job.recipients if each not in stranded))
    return left, {each.id: Never(Reason.PEER_NO_SMTPUTF8) for each in stranded}


def offered(session: Session) -> bool:
    return bool(session.has_extn("smtputf8"))


def options(session: Session, letter: Letter, addresses: list[str], data: bytes) -> list[str]:
    """MAIL's parameter, where the letter needs it (RFC 6531 §3.4); commands are UTF-8 from here on."""
    needed = international.needed(letter, data) or not all(map(str.isascii, addresses))
    session.command_encoding = "utf-8"
    return ["SMTPUTF8"] if needed and offered(session) else []


def aboard(session: Session, each: Passenger) -> Passenger:
    """As the mailbox server behind us knows him: one that reads no international address (Dovecot 2.3) has the
    mailbox under its name in ASCII. A local part is read by whoever serves the domain alone (RFC 5321 §2.3.11)."""
    return each if offered(session) else replace(each, address=in_ascii(each.address))


def in_ascii(text: str) -> str:
    """hélène@x.example: xn--hlne-6oae@x.example (RFC 3492, of the lower-case letters); an ASCII address as it is."""
    local, _, domain = text.rpartition("@")
    return text if local.isascii() else f"xn--{local.lower().encode('punycode').decode('ascii')}@{domain}"
