"""IHE XDM archives (IHE_XDM.ZIP): read into documents, or refused by name; and written.

Promises: a document is what METADATA.XML lists, under its URI, with its size and hash, of one patient, with
the identifiers that its CDA says; names compare without case, README is optional, foreign entries are set
aside. Does not: guess a name, run a stylesheet, or read a zip by itself (dmp_bridge.archive does).
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from html import escape
from importlib import metadata

from lxml import etree

from certs import xml
from dmp_bridge import cda, ebrim
from dmp_bridge.archive import Entries, refuse, unzip
from dmp_bridge.model import Bad, Document, FilingReason

MAX_DOCUMENTS = 100
MAX_METADATA = 4 * 1024 * 1024
"""A document is described in some ten kilobytes."""
_METADATA = re.compile(r"(IHE_XDM/[^/]+/)METADATA\.XML", re.IGNORECASE)
_XML_TYPES = {"text/xml", "application/xml", "application/xslt+xml", "application/hl7-cda+xml"}


@dataclass(frozen=True, repr=False)
class Archive:
    """What an XDM archive holds. `documents` keep their exact bytes."""

    documents: tuple[Document, ...]
    refused: tuple[Bad, ...] = ()
    """Listed documents that are CDA and broken."""
    set_aside: int = 0
    """How many listed entries are no CDA (a PDF, a stylesheet, a text)."""
    listed: tuple[ebrim.Listed, ...] = ()
    """Every document entry of the metadata, in order."""


def read(data: bytes) -> Archive | Bad:
    """Bad(ARCHIVE_REFUSED, rule) where the archive breaks a rule, Bad(NOT_A_DOCUMENT) where it holds no
    CDA."""
    entries = unzip(data)
    if isinstance(entries, Bad):
        return entries
    listed = _listed(entries)
    if isinstance(listed, Bad):
        return listed
    if len({_patient_key(item.patient_id) for item, _ in listed}) != 1:
        # R2 ECO.2.1.1: one patient per mail.
        return refuse("several-patients" if listed else "nothing-listed")
    return _sorted(listed)


def remarks(data: bytes) -> tuple[str, ...]:
    """What an archive that is read lacks of the layout (payload §2.1); names of rules, nothing of its content."""
    entries = unzip(data)
    if isinstance(entries, Bad):
        return ()
    tops = {name.casefold() for name in entries.files}
    found = [f"{name}-absent" for name in ("readme.txt", "index.htm") if name not in tops]
    # ISO 9660 level 1: upper case, eight characters and three, no accents.
    plain = re.compile(r"([A-Z0-9_]{1,8}(\.[A-Z0-9]{1,3})?)(/[A-Z0-9_]{1,8}(\.[A-Z0-9]{1,3})?)*")
    if not all(plain.fullmatch(name) for name in entries.files):
        found.append("names-not-iso-9660")
    if sum(bool(_METADATA.fullmatch(name)) for name in entries.files) > 1:
        found.append("several-subsets")
    return tuple(found)


def _listed(entries: Entries) -> list[tuple[ebrim.Listed, bytes]] | Bad:
    """Every document entry of every subset with the bytes that it names."""
    files = {name.casefold(): content for name, content in entries.files.items()}
    found: list[tuple[ebrim.Listed, bytes]] = []
    folders = [match for match in map(_METADATA.fullmatch, entries.files) if match]
    if not folders:
        return refuse("metadata-absent")
    for match in folders:
        try:
            items = ebrim.listed(_metadata(entries.files[match[0]]))
        except xml.XmlRefused:
            return refuse("metadata-unreadable")
        for item in items:
            content = files.get(f"{match[1]}{item.uri}".casefold())
            rule = _faithful(item, content)
            if content is None or rule:
                return refuse(rule)
            found.append((item, content))
        if len(found) > MAX_DOCUMENTS:
            return refuse("too-many-documents")
    return found


def _metadata(data: bytes) -> etree._Element:
    return xml.parse(data, max_bytes=MAX_METADATA, max_markup=cda.MAX_MARKUP)


def _faithful(item: ebrim.Listed, content: bytes | None) -> str:
    """The rule that an entry breaks, or ''. IHE ITI TF-2 §3.32.4.1.2: URI, size and hash are required in
    XDM."""
    if not item.uri or content is None:
        return "file-absent"
    if not item.patient_id:
        return "patient-absent"
    if not item.size.isascii() or not item.size.isdigit() or int(item.size[:12]) != len(content):
        return "size-differs"
    wanted = item.hash.lower()
    # SHA-1 is the format's; the portability draft writes SHA-256 (payload §2.2).
    actual = hashlib.sha256(content).hexdigest() if len(wanted) == 64 else ebrim.sha1(content)
    return "" if wanted == actual else "hash-differs"


def _sorted(listed: Sequence[tuple[ebrim.Listed, bytes]]) -> Archive | Bad:
    documents: dict[str, Document] = {}
    refused: list[Bad] = []
    aside = 0
    for item, content in listed:
        document = _document(item, content)
        if isinstance(document, Bad):
            aside += document.reason == FilingReason.NOT_A_DOCUMENT
            refused += [document] if document.reason != FilingReason.NOT_A_DOCUMENT else []
            continue
        rule = _agrees(item, document) or ("document-repeated" if document.unique_id in documents else "")
        if rule:
            return refuse(rule)
        documents[document.unique_id] = replace(document, action=item.action)
    if not documents and not refused:
        return Bad(FilingReason.NOT_A_DOCUMENT, "no-clinical-document")
    return Archive(tuple(documents.values()), tuple(refused), aside, tuple(item for item, _ in listed))


def _document(item: ebrim.Listed, content: bytes) -> Document | Bad:
    if item.mime_type.lower() not in _XML_TYPES:
        return Bad(FilingReason.NOT_A_DOCUMENT, "media-type")
    return cda.read(content)


def _agrees(item: ebrim.Listed, document: Document) -> str:
    """What the metadata say of a document must be what the document says of itself (payload §2.8)."""
    if item.unique_id != document.unique_id:
        return "unique-id-differs"
    if item.action not in ("", "C", "D"):
        return "action-unknown"
    ids = {(root, value) for root, value in document.patient.local_ids}
    if document.patient.ins is not None:
        ids.add((document.patient.ins.root, document.patient.ins.value))
    return "" if _patient_key(item.patient_id) in ids else "patient-differs"


def _patient_key(cx: str) -> tuple[str, str]:
    """(root, identifier) of a CX: '279035121518989^^^&1.2.250.1.213.1.4.10&ISO^NH'."""
    fields = cx.split("^")
    authority = fields[3].split("&") if len(fields) > 3 else []
    return (authority[1] if len(authority) > 1 else ""), fields[0].strip()


# --- writing ------------------------------------------------------------------------------------------------


def write(documents: Sequence[Document], submission: ebrim.Submission, software: str = "Pli") -> bytes | Bad:
    """An IHE_XDM.ZIP of one patient's documents. Bad: several patients, nothing to send, or a type without
    class."""
    names = {document.unique_id: f"DOC{number:04}.XML" for number, document in enumerate(documents, 1)}
    patients = {ebrim.main_id(document.patient) for document in documents}
    if len(patients) != 1 or len(names) != len(documents) or len(documents) > MAX_DOCUMENTS:
        return refuse("several-patients" if len(patients) > 1 else "documents-count")
    patient = patients.pop()
    if patient is None:
        return Bad(FilingReason.INS_ABSENT, "patient-without-identifier")
    try:
        request = ebrim.submit_objects(documents, submission, patient, uris=names)
    except ebrim.TypeUnknown as unknown:
        return Bad(FilingReason.TYPE_UNKNOWN, str(unknown))
    subset = "IHE_XDM/SUBSET01/"
    files = {
        "README.TXT": _readme(submission, software, list(names.values())).encode("ascii", "replace"),
        "INDEX.HTM": _index(submission).encode("utf-8"),
        f"{subset}METADATA.XML": etree.tostring(request, xml_declaration=True, encoding="UTF-8"),
    }
    files |= {f"{subset}{names[document.unique_id]}": document.raw for document in documents}
    return _zip(files, submission.time)


def _zip(files: Mapping[str, bytes], at: datetime) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, (at.year, at.month, at.day, at.hour, at.minute, at.second))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return held.getvalue()


def _readme(submission: ebrim.Submission, software: str, names: Sequence[str]) -> str:
    """In ASCII: no source says which charset a README has (payload §2.1)."""
    author = submission.author
    lines = [
        "Emetteur :",
        f"  Nom : {author.given_name} {author.family_name}",
        f"  Organisme (FINESS) : {author.institution_name} ({author.institution_id})",
        "Application de l'emetteur :",
        f"  Nom : {software}",
        f"  Version : {_version()}",
        "  Editeur : logiciel libre (GPL-3.0-or-later)",
        "Instructions :",
        "  Ouvrir cette archive avec un logiciel de professionnel de sante.",
        "Arborescence :",
        "  README.TXT",
        "  INDEX.HTM",
        "  IHE_XDM/SUBSET01/METADATA.XML",
        *(f"  IHE_XDM/SUBSET01/{name}" for name in names),
    ]
    return "\r\n".join(lines) + "\r\n"


def _version() -> str:
    return metadata.version("pli-gateway")


def _index(submission: ebrim.Submission) -> str:
    author = submission.author
    sender = escape(f"{author.given_name} {author.family_name}, {author.institution_name}")
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN"\n'
        ' "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">\n'
        '<html xmlns="http://www.w3.org/1999/xhtml" lang="fr">\n'
        "<head><title>Documents de santé</title></head>\n"
        f"<body><h1>Documents de santé</h1><p>Émetteur : {sender}</p>\n"
        '<p><a href="README.TXT">README.TXT</a></p></body></html>\n'
    )
