"""A health-document mail as the MSSanté clients' reference asks: the XDM archive, its PDF copies, its
headers.

Promises: one patient per mail, one PDF beside the archive for each document (dmp_bridge.copies makes it where there
is none), Subject and X-MSS-* in the outermost header, 7-bit lines, no header value with a line end. Does not: sign, or
send.
"""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email import policy
from email.headerregistry import Address as Mailbox
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

from directory.model import Address, Entry, Kind
from dmp_bridge import archive, cda, copies, ebrim, xdm
from dmp_bridge.model import Author, Bad, Code, Document, FilingReason, Traits
from relay.model import new_id

XDM_NAME = "IHE_XDM.zip"
SUBJECT_PREFIX = "XDM/1.0/DDM+"
NO_ANSWER = "FIN"
"""X-MSS-MES: the exchange with the patient is closed (ECO.2.2.8, spec/payload.md §1.4)."""
LABEL_MOST = 40
UNDETERMINED = Code("97", "1.2.250.1.213.2.2", "Type d'activité indéterminé")
DEFAULT_BODY = "Bonjour,\n\nVeuillez trouver ci-joint un document de santé.\n\nCordialement,\n{sender}\n"


@dataclass(frozen=True, repr=False)
class Parcel:
    """What is to be sent. `documents` all concern one patient."""

    documents: tuple[Document, ...]
    sender: Entry
    recipients: tuple[Address, ...]
    source_id: str
    """OID of the sending system."""
    body: str = ""
    nil: str = ""
    """Product reference for X-MSS-NIL; the header is left out where there is none."""
    read_receipt: bool = True
    copies: Mapping[str, bytes] = field(default_factory=dict)
    """PDF by unique_id, for a document that holds none itself."""
    content_type: Code = UNDETERMINED
    final: bool = False
    """A patient among the recipients cannot answer."""


def read_files(paths: Sequence[Path]) -> tuple[Document, ...] | Bad:
    """The documents of CDA files and XDM archives, in order; the first that is refused is the answer."""
    return read_each([path.read_bytes() for path in paths])


def read_each(contents: Sequence[bytes]) -> tuple[Document, ...] | Bad:
    """The same of contents already in hand."""
    found: list[Document] = []
    for data in contents:
        read = xdm.read(data) if archive.looks_like_zip(data) else cda.read(data)
        if isinstance(read, Bad):
            return read
        found += [read] if isinstance(read, Document) else read.documents
    return tuple(found)


def pack(parcel: Parcel, at: datetime) -> bytes | Bad:
    """The mail, CRLF lines, 7-bit. Bad: nothing to send, several patients, no PDF for a document, unknown
    type."""
    pdfs = {document.unique_id: _pdf(document, parcel) for document in parcel.documents}
    if None in pdfs.values():
        return Bad(FilingReason.DOCUMENT_REFUSED, "no-readable-copy")
    archived = xdm.write(parcel.documents, _submission(parcel, at))
    if isinstance(archived, Bad):
        return archived
    mail = _envelope(parcel, at)
    mail.set_content(_body(parcel), charset="utf-8", cte="quoted-printable")
    mail.add_attachment(archived, "application", "zip", filename=XDM_NAME)
    for document in parcel.documents:
        copy = pdfs[document.unique_id]
        if copy is not None:
            mail.add_attachment(copy, "application", "pdf", filename=pdf_name(document))
    return mail.as_bytes()


def _pdf(document: Document, parcel: Parcel) -> bytes | None:
    return parcel.copies.get(document.unique_id) or copies.copy_of(document)


def _submission(parcel: Parcel, at: datetime) -> ebrim.Submission:
    # An OID from a UUID, ITU-T X.667 §6: no registration needed, at most 44 characters.
    unique = f"2.25.{uuid.uuid4().int}"
    return ebrim.Submission(unique, parcel.source_id, at, _author(parcel), parcel.content_type)


def _author(parcel: Parcel) -> Author:
    """The sending professional; a mailbox without an RPPS number sends in the name of the document's
    author."""
    sender = parcel.sender
    if not sender.rpps and parcel.documents:
        return parcel.documents[0].authors[0]
    structure = (f"1{sender.finess}" if sender.finess else "", sender.structure)
    return Author(f"8{sender.rpps}", sender.family_name, sender.given_name, *structure)


# --- headers, payload §1.3 and §1.4 -------------------------------------------------------------------------


def _envelope(parcel: Parcel, at: datetime) -> EmailMessage:
    sender = parcel.sender.address
    mail = EmailMessage(policy=policy.SMTP)
    mail["Date"] = format_datetime(at)
    mail["From"] = Mailbox(display_name(parcel.sender), sender.local, sender.domain)
    mail["To"] = tuple(Mailbox("", each.local, each.domain) for each in parcel.recipients)
    mail["Subject"] = subject(parcel.documents)
    mail["Message-ID"] = f"<{new_id(at)}@{sender.domain}>"
    mail["X-MSS-CODECDA"] = ",".join(dict.fromkeys(_token(each.type.code) for each in parcel.documents))
    mail["X-MSS-INS"] = "O" if all(_qualified(each) for each in parcel.documents) else "N"
    if parcel.final and any(each.is_patient for each in parcel.recipients):
        mail["X-MSS-MES"] = NO_ANSWER
    if parcel.nil:
        mail["X-MSS-NIL"] = parcel.nil
    if parcel.read_receipt:
        mail["Disposition-Notification-To"] = str(sender)
    return mail


def subject(documents: Sequence[Document]) -> str:
    """'XDM/1.0/DDM+<label> <NOM> <prenom> <JJ/MM/AAAA>' (ECO.2.1.3); in ASCII, so that servers may route on
    it."""
    traits = documents[0].patient.traits if documents else Traits()
    label = _label(documents[0]) if len(documents) == 1 else f"{len(documents)} documents"
    born = traits.birth_date.strftime("%d/%m/%Y") if traits.birth_date else ""
    words = (label, _ascii(traits.birth_name).upper(), _ascii(traits.first_given_name), born)
    return SUBJECT_PREFIX + " ".join(word for word in words if word)


def pdf_name(document: Document) -> str:
    """'<AAAAMMJJ>_<type>_<NOM>_<prenom>.pdf' (ECO.2.1.6)."""
    traits = document.patient.traits
    day = (document.service_start or document.effective_time).strftime("%Y%m%d")
    words = (day, _label(document), _ascii(traits.birth_name).upper(), _ascii(traits.first_given_name))
    return re.sub(r'[/\\:*?"<>|]', "-", "_".join(word for word in words if word)) + ".pdf"


def display_name(entry: Entry) -> str:
    """Dr_Marie_MARTIN_Cabinet Medical for a person, the name of the service or structure otherwise (payload
    §1.5)."""
    if entry.kind is not Kind.PER or not entry.family_name:
        return _line(entry.display_name)
    names = (entry.title, entry.given_name, entry.family_name.upper(), entry.structure)
    return "_".join(_line(name) for name in names if name)


def _qualified(document: Document) -> bool:
    """X-MSS-INS: matricule, OID and the four traits; the CDA itself has no field for the status (payload
    §3.2)."""
    ins = document.patient.ins
    return ins is not None and cda.well_formed(ins) and document.patient.traits.complete


def _body(parcel: Parcel) -> str:
    return parcel.body or DEFAULT_BODY.format(sender=_line(parcel.sender.display_name))


def _label(document: Document) -> str:
    return _ascii(document.type.label or document.title or document.type.code)[:LABEL_MOST].strip()


def _token(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "", text)


def _line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _ascii(text: str) -> str:
    """Without accents and on one line."""
    spelt = text.replace("’", "'").replace("Œ", "OE").replace("œ", "oe").replace("Æ", "AE").replace("æ", "ae")
    return _line(unicodedata.normalize("NFKD", spelt).encode("ascii", "ignore").decode())
