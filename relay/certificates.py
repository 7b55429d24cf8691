"""The certificates of a recipient's directory entry, judged before anything is encrypted to them.

Promises: a certificate counts only if the trust store trusts it for encryption at this moment, its key and usage permit
it, and it names this very address or none at all; three answers. Does not: look the entry up, encrypt, or decide what
becomes of a letter for which there is none (policy does).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from certs import addressees, identities, profiles
from certs.chain import TrustStore
from certs.envelope import MIN_RSA_BITS
from certs.model import CannotTell, Fault, Identity, Trusted
from directory import address
from directory.model import Address, Entry


@dataclass(frozen=True)
class Judged:
    """One certificate and what was found."""

    fingerprint: str
    fault: str = ""
    """Empty: it may be used."""
    unsure: bool = False
    """With a fault that may pass by itself: a list that is not there."""


@dataclass(frozen=True)
class Usable:
    """To what a recipient's letters can be encrypted."""

    certificates: tuple[bytes, ...] = ()
    """DER, of those that may be used."""
    judged: tuple[Judged, ...] = ()

    @property
    def unsure(self) -> bool:
        """None is usable, and of one nobody can tell."""
        return not self.certificates and any(each.unsure for each in self.judged)


NONE = Usable()


def usable(entry: Entry | None, store: TrustStore, at: datetime) -> Usable:
    """All certificates of the entry, each judged: a person may have several keys."""
    given = tuple(dict.fromkeys(entry.certificates)) if entry else ()
    if entry is None or not given:
        return NONE
    judged = tuple(_judged(each, entry.address, store, at) for each in given)
    return Usable(tuple(der for der, found in zip(given, judged, strict=True) if not found.fault), judged)


def _judged(der: bytes, owner: Address, store: TrustStore, at: datetime) -> Judged:
    fingerprint = hashlib.sha256(der).hexdigest()
    if fault := _misfit(der):  # most entries hold a certificate for signing: no chain is built for it
        return Judged(fingerprint, fault.value)
    trust = store.judge(der, (), profiles.ENCRYPTION, at)
    if not isinstance(trust, Trusted):
        return Judged(fingerprint, trust.fault.value, unsure=isinstance(trust, CannotTell))
    if not names_owner(trust.identity, owner):
        return Judged(fingerprint, Fault.WRONG_NAME.value)
    return Judged(fingerprint, Fault.WEAK_KEY.value if addressees.refusal(der, MIN_RSA_BITS) else "")


def _misfit(der: bytes) -> Fault | None:
    try:
        return Fault.WRONG_USAGE if addressees.usage_refusal(identities.read(der)) else None
    except identities.UNREADABLE:
        return Fault.UNREADABLE


def names_owner(identity: Identity, owner: Address) -> bool:
    """RFC 8550 §3: where a certificate has mail addresses, the owner's is one of them, after a strict parse. One
    without any (an establishment's) stands for the mailbox in whose entry it lies."""
    if identity.utf8_addresses and not identity.addresses:
        return False
    return not identity.addresses or any(_same(each, owner) for each in identity.addresses)


def _same(text: str, owner: Address) -> bool:
    try:
        return address.parse(text).key == owner.key
    except address.BadAddress:
        return False
