"""A clinical document, whose it is, and where it went.

Promises: frozen values; identity traits never reach repr(), hence no log line. Does not: read, match or send.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import TypeAlias

from dmp_bridge.norms import Norm

INS_ROOTS = {
    "1.2.250.1.213.1.4.8": "INS-NIR",
    "1.2.250.1.213.1.4.9": "INS-NIA",
    "1.2.250.1.213.1.4.10": "INS-NIR test",
    "1.2.250.1.213.1.4.11": "INS-NIR demonstration",
}
"""OIDs under which a matricule is an INS (spec/payload.md §3.2)."""


class FilingReason(StrEnum):
    """Why a document is not, or not yet, in a dossier."""

    NOT_A_DOCUMENT = "dossier.not-a-document"
    ARCHIVE_REFUSED = "dossier.archive-refused"
    DOCUMENT_REFUSED = "dossier.document-refused"
    TYPE_UNKNOWN = "dossier.type-unknown"
    PATIENT_UNKNOWN = "dossier.patient-unknown"
    INS_ABSENT = "dossier.ins-absent"
    INS_DIFFERS = "dossier.ins-differs"
    INS_INCOMPLETE = "dossier.ins-incomplete"
    INS_NOT_QUALIFIED = "dossier.ins-not-qualified"
    PATIENT_NOT_UNIQUE = "dossier.patient-not-unique"
    NOT_OURS = "dossier.author-not-ours"
    OPPOSED = "dossier.opposed"
    MASKED = "dossier.masked"
    OLD_VERSION = "dossier.not-latest-version"
    SIGNATURE = "dossier.signature-not-trusted"
    HOST_FORBIDS = "dossier.host-forbids"
    PRINTED = "dossier.printed-identity"
    RULE_CANNOT_TELL = "dossier.cannot-tell"
    HOST_DOWN = "dossier.host-down"
    HOST_REFUSED = "dossier.host-refused"
    HOST_WRONG = "dossier.host-contradicts-itself"
    NOT_IN_DOSSIER = "dossier.not-in-dossier"
    NO_DOSSIER = "dossier.none"
    DOSSIER_CLOSED = "dossier.closed"


class InsStatus(StrEnum):
    """Trust level of an identity in the local register (référentiel d'identitovigilance)."""

    PROVISIONAL = "provisional"
    RETRIEVED = "retrieved"
    VALIDATED = "validated"
    QUALIFIED = "qualified"
    UNSTATED = "unstated"


@dataclass(frozen=True)
class Ins:
    """A matricule INS: 15 characters (13 + key), and the OID of its root."""

    value: str
    root: str

    def __repr__(self) -> str:
        return "Ins(…)"


@dataclass(frozen=True, repr=False)
class Traits:
    """Strict traits (traits stricts). Names are upper case without accents when compared, kept as written here."""

    birth_name: str = ""
    first_given_name: str = ""
    given_names: str = ""
    birth_date: date | None = None
    sex: str = ""
    """M, F or UN."""
    birth_place: str = ""
    """COG code."""

    @property
    def complete(self) -> bool:
        return bool(self.birth_name and self.first_given_name and self.birth_date and self.sex)


@dataclass(frozen=True, repr=False)
class Patient:
    """A patient: as a document names him, or as the local register knows him."""

    ins: Ins | None
    traits: Traits
    local_ids: tuple[tuple[str, str], ...] = ()
    """(root OID, extension) of other identifiers (IPP)."""
    ins_status: InsStatus = InsStatus.UNSTATED
    id: str = ""
    """Row id in the register; empty for one read from a document."""


@dataclass(frozen=True)
class Code:
    code: str
    system: str
    label: str = ""


@dataclass(frozen=True, repr=False)
class Author:
    """Who wrote. Not in repr(): a patient may be the author, and his identifier is then an INS."""

    person_id: str
    """PS_IdNat, or '<structure>/<internal id>' for a system."""
    family_name: str
    given_name: str
    institution_id: str
    """Struct_IdNat, e.g. '1' + FINESS."""
    institution_name: str
    role: str = ""
    specialty: Code | None = None
    is_system: bool = False
    person_root: str = "1.2.250.1.71.4.2.1"
    """OID under which person_id stands: PS_IdNat, or an INS root where the patient is the author."""


@dataclass(frozen=True)
class Document:
    """A clinical document, read from the header of its CDA. `raw` is the exact bytes, never re-serialised."""

    unique_id: str
    """ClinicalDocument/id: root, or root^extension."""
    set_id: str
    version: int
    type: Code
    title: str = field(repr=False)
    effective_time: datetime
    service_start: datetime | None
    service_stop: datetime | None
    confidentiality: Code
    language: str
    authors: tuple[Author, ...]
    legal_authenticator: Author | None
    custodian_id: str
    facility: Code | None
    practice_setting: Code | None
    templates: tuple[str, ...]
    body_media_type: str
    """'' for a structured body; else nonXMLBody/text@mediaType."""
    replaces: str
    """parentDocument/id of an RPLC, or ''."""
    patient: Patient
    events: tuple[Code, ...] = ()
    """serviceEvent codes."""
    references: tuple[tuple[str, str, str], ...] = ()
    """(id, authority OID, type) for referenceIdList."""
    raw: bytes = field(default=b"", repr=False)
    mime_type: str = "text/xml"
    action: str = ""
    """What the metadata of its archive ask for: '' (file it), 'C' (it replaces) or 'D' (delete it), payload §2.6."""


@dataclass(frozen=True)
class Bad:
    """A document, archive or message that is refused, by name."""

    reason: str
    detail: str = ""


# --- matching ----------------------------------------------------------------------------------------------------


class Flag(StrEnum):
    """What a patient, or a professional for him, has said no to; it stands until it is lifted."""

    FILING = "filing"
    MAIL_TO = "mail-to-patient"
    MAIL_ABOUT = "mail-about-patient"
    NOT_VISIBLE = "not-visible-until-announced"
    CONSULTATION = "consultation"


@dataclass(frozen=True)
class Matched:
    patient_id: str
    evidence: tuple[tuple[str, str], ...]
    """(trait, 'agrees' | 'differs' | 'absent'): the names of traits, never their values."""
    flags: frozenset[Flag] = frozenset()
    """Those that stand for this patient, and those for this document."""


@dataclass(frozen=True)
class Doubtful:
    reason: FilingReason
    evidence: tuple[tuple[str, str], ...] = ()
    candidates: tuple[str, ...] = ()
    sides: tuple[tuple[tuple[str, str], ...], ...] = ()
    """The evidence for each candidate, in their order."""
    presented: tuple[str, ...] = ()
    """Pseudonyms of the local numbers by which the document's sender knows the patient."""


Match: TypeAlias = Matched | Doubtful


# --- rules -------------------------------------------------------------------------------------------------------


class Answer(StrEnum):
    YES = "yes"
    NO = "no"
    CANNOT_TELL = "cannot-tell"


@dataclass(frozen=True)
class Ruling:
    rule: str
    answer: Answer
    reason: FilingReason | None = None
    detail: str = ""
    """Names and codes, e.g. the type that was perhaps meant; never what a document says of a person."""


# --- filing ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HostProfile:
    """Everything that is particular to one dossier host: data, never code."""

    name: str
    url: str
    """Base; services hang below it: <url>/repository, <url>/registry."""
    repository_id: str
    source_id: str
    """OID of the sending system."""
    files_incoming: bool = False
    """False: what a peer sent is only looked for and shown (design §8)."""
    enabled: bool = True
    ins_root: str = "1.2.250.1.213.1.4.10"
    reads: bool = True
    """False: the host refuses reading (indirect mode, design §8), so its success is believed."""
    hides: bool = False
    """A result that is not announced yet is deposited, hidden from its patient (INVISIBLE_PATIENT); else it waits."""
    norm: Norm = field(default_factory=Norm)
    """What its kind asks and allows."""


class FilingState(StrEnum):
    BEGUN = "begun"
    FILED = "filed"
    FAILED = "failed"
    FOUND = "found"
    """Seen in the dossier, filed by someone else."""
    UNDONE = "undone"
    """Filed, and taken back: the host holds it with the status that deletion gives."""


@dataclass(frozen=True)
class Filing:
    id: str
    tenant: str
    letter_id: str
    document_id: str
    submission_id: str
    sha1: str
    size: int
    host: str
    state: FilingState
    entry_id: str = ""
    canonical: str = ""
    ended_at: datetime | None = None
    set_id: str = ""
    hidden_from: str = ""
    """Row of the register: the patient to whom it is not shown yet."""
