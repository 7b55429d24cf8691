"""Encrypting a letter on its way to another operator: to whom, in which groups, and by which certificates.

Promises: a recipient whom To and Cc do not name (Bcc) gets an encryption of his own, so that nobody reads in another's
letter who else has it (design §7); certificates are looked up and judged at this moment, and where none can be used
that recipient waits: nothing less than encryption is ever handed on. What its author encrypted passes untouched.
Does not: sign (relay.couriers.peer does), choose the mode, or hold a key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from certs.chain import TrustStore
from certs.envelope import FACTORY
from certs.model import Clock
from directory import address
from directory.lookup import Directory
from directory.model import DirectoryDown, Found
from relay import certificates, coverage, smime
from relay.certificates import Usable
from relay.fields import Malformed
from relay.message import Message, scan
from relay.model import Event, Job, Journal, Later, Never, Outcome, Reason, Recipient

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Group:
    """Those who share one letter, and to which certificates (DER) it is encrypted; none: to none."""

    job: Job
    certificates: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Closing:
    directory: Directory
    trust: Callable[[], TrustStore]
    journal: Journal
    clock: Clock

    def sort(self, job: Job) -> tuple[dict[str, Outcome], tuple[Group, ...]]:
        """Outcomes of those who wait or never get it, and the groups of the others."""
        try:
            message = scan(job.raw())
        except Malformed as error:
            return {each.id: Never(Reason.MALFORMED, error.reason) for each in job.recipients}, ()
        if coverage.encrypted(message) is not None:
            return {}, (Group(job),)
        answers = {each.id: self._usable(each) for each in job.recipients}
        waiting: dict[str, Outcome] = {key: each for key, each in answers.items() if isinstance(each, Later)}
        usable = {key: each.certificates for key, each in answers.items() if isinstance(each, Usable)}
        able = [each for each in job.recipients if each.id in usable]
        groups = (_group(job, members, usable) for members in apart(message, able))
        return waiting, tuple(groups)

    def _usable(self, recipient: Recipient) -> Usable | Later:
        found = self.directory.find(address.parse(recipient.address))
        if isinstance(found, DirectoryDown):
            return Later(Reason.DIRECTORY_DOWN)
        entry = found.entry if isinstance(found, Found) else None
        usable = certificates.usable(entry, self.trust(), self.clock())
        if usable.certificates:
            return usable
        why = ",".join(each.fault for each in usable.judged) or "none in the directory"
        _log.warning("not-encrypted", recipient=recipient.id, letter=recipient.letter_id, why=why)
        return Later(Reason.NO_CERTIFICATE, why)

    def close(self, group: Group, raw: bytes) -> bytes | Later:
        """The letter for the group's holders; Subject, X-MSS-* and the other fields stay outside."""
        try:
            made = smime.encrypt(raw, group.certificates)
        except ValueError as error:  # a certificate that the trust store took and the cipher does not
            return Later(Reason.NO_CERTIFICATE, type(error).__name__)
        prints = ",".join(hashlib.sha256(each).hexdigest() for each in group.certificates)
        facts = (("algorithm", FACTORY.content), ("certificates", prints))
        of = group.job.letter
        self.journal.add(of.tenant, [Event("encrypted", of.id, each.id, facts) for each in group.job.recipients])
        return made


def _group(job: Job, members: Sequence[Recipient], usable: dict[str, tuple[bytes, ...]]) -> Group:
    ders = dict.fromkeys(der for each in members for der in usable[each.id])
    return Group(replace(job, recipients=tuple(members)), tuple(ders))


def apart(message: Message, recipients: Sequence[Recipient]) -> tuple[tuple[Recipient, ...], ...]:
    """Those whom everybody sees together, then each of the others alone."""
    seen = _named(message)
    shown = tuple(each for each in recipients if address.parse(each.address).key in seen)
    hidden = tuple((each,) for each in recipients if each not in shown)
    return (shown, *hidden) if shown else hidden


def _named(message: Message) -> frozenset[str]:
    """Keys of To and Cc; a field that cannot be read names nobody, so that each gets a letter of his own."""
    found: set[str] = set()
    for name in ("To", "Cc"):
        try:
            found |= {each.key for each in message.addresses(name)}
        except address.BadAddress:
            continue
    return frozenset(found)
