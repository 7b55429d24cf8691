"""Who is who: an address, a directory entry and the answers of a look-up.

Promises: an Address exists only normalised (directory.address.parse makes it); nouns are frozen.
Does not: look up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

PATIENT_DOMAIN = "patient.mssante.fr"
"""Citizen mailboxes (Mon espace santé): the local part is an INS, hence an identity (design §7)."""


class Kind(StrEnum):
    """Mailbox kinds (types de BAL), spec/operator.md §1.2. An open list: unknown codes become OTHER."""

    PER = "PER"
    ORG = "ORG"
    APP = "APP"
    CAB = "CAB"
    USAGER = "USAGER"
    OTHER = "OTHER"


@dataclass(frozen=True, order=True)
class Address:
    """One mail address, strictly parsed (RFC 5321 §4.1.2 Mailbox, RFC 6531 §3.3; dot-atom local part).

    Its domain is made of lower-case A-labels; its local part is kept as written, compared without case."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"

    @property
    def key(self) -> str:
        """For comparing and looking up."""
        return f"{self.local.lower()}@{self.domain}"

    @property
    def is_international(self) -> bool:
        """Only SMTPUTF8 carries it (RFC 6531); an internationalised domain alone is A-labels."""
        return not self.local.isascii()

    @property
    def is_patient(self) -> bool:
        return self.domain == PATIENT_DOMAIN


@dataclass(frozen=True)
class Capabilities:
    """What a mailbox says that it can take (mssCapability)."""

    xdm: bool = True
    smime: bool | None = None
    """None: it said nothing; a signature is then sent."""
    hprim: bool = False
    """Its software files HPRIM Médecin text."""
    mdn: bool = False
    max_bytes: int | None = None


@dataclass(frozen=True)
class Provenance:
    source: str
    """LDAP URI without credentials, or the name of the feed."""
    dn: str = ""
    uuid: str = ""
    """entryUUID (RFC 4530): stays when the entry is renamed."""
    owner: str = ""
    date: str = ""


@dataclass(frozen=True)
class Replacement:
    """Who reads the mail of an absent holder, in [begins, ends)."""

    address: Address
    begins: datetime
    ends: datetime


@dataclass(frozen=True)
class Situation:
    """One person in one structure (situation d'exercice)."""

    structure: str
    finess: str = ""
    role: str = ""
    mode: str = ""
    sector: str = ""
    town: str = ""
    postal_code: str = ""


@dataclass(frozen=True)
class Entry:
    """One mailbox with its holder."""

    address: Address
    kind: Kind
    display_name: str
    family_name: str = ""
    given_name: str = ""
    title: str = ""
    rpps: str = ""
    finess: str = ""
    structure: str = ""
    specialty: str = ""
    service: str = ""
    town: str = ""
    postal_code: str = ""
    red_list: bool = False
    """Routable by its exact address, never shown in a search or a suggestion."""
    preferred: int | None = None
    """Rank among the mailboxes of one holder, 1 first; None: it has none."""
    replacements: tuple[Replacement, ...] = ()
    """Told to whoever looks up; a letter is never turned aside by it."""
    ends: datetime | None = None
    """From then on it is not in force."""
    capabilities: Capabilities = field(default_factory=Capabilities)
    certificates: tuple[bytes, ...] = field(default=(), repr=False)
    """DER, from userCertificate and userSMIMECertificate."""
    provenance: Provenance = field(default_factory=lambda: Provenance(source=""))

    @property
    def holder(self) -> str:
        """Who holds the mailbox: RPPS, else FINESS and service, else the displayed name."""
        return self.rpps or "/".join((self.finess, self.service)).strip("/") or self.display_name

    def replaced_by(self, at: datetime) -> Address | None:
        """Who reads this mail at that time in the holder's place."""
        current = (each.address for each in self.replacements if each.begins <= at < each.ends)
        return next(current, None)


@dataclass(frozen=True)
class Found:
    entry: Entry
    stale: bool = False
    others: tuple[Entry, ...] = ()
    """Further entries with the same address (directory §3.5: it is legal)."""

    @property
    def several_holders(self) -> bool:
        """The entries name different holders: nobody can tell who reads the mailbox."""
        return len({entry.holder for entry in (self.entry, *self.others)}) > 1


@dataclass(frozen=True)
class NotFound:
    suggestions: tuple[Entry, ...] = ()
    """Nearest first; shown to authenticated senders only; red-listed entries are never among them."""
    closed: bool = False
    """There is such a mailbox, and it is not in force: suspended, closed, or out of its dates."""


@dataclass(frozen=True)
class DirectoryDown:
    detail: str


Lookup: TypeAlias = Found | NotFound | DirectoryDown


@dataclass(frozen=True)
class Listing:
    entries: tuple[Entry, ...]
    truncated: bool = False
    """True: more matched; narrow the search."""
