"""Reads and judges one lot of documents (ITI-41): what can be said without looking at the store.

Promises: a lot is answered whole or refused with every problem found (spec/dossier.md §8.3); of a document its file,
hash and size are known, not its bytes. Does not: store, nor compare with what is stored (registry.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from dmp_bridge.host import names, objects
from dmp_bridge.host.contents import Batch, Kept
from dmp_bridge.host.metadata import entry_problems, link_problems, lot_problems
from dmp_bridge.host.names import Code, Problem, Refused, refuse
from dmp_bridge.soap import content

MAX_DOCUMENTS = 200


@dataclass(frozen=True)
class Entry:
    """A document entry as submitted, with its bytes. `id` is symbolic or a urn:uuid."""

    id: str
    unique_id: str
    patient_id: str = field(repr=False)
    mime_type: str
    kept: Kept
    element: etree._Element = field(repr=False)

    @property
    def sha1(self) -> str:
        return self.kept.sha1

    @property
    def size(self) -> int:
        return self.kept.size

    @property
    def is_signature(self) -> bool:
        """The signature over the lot (spec/dossier.md §3.5)."""
        return any(code == names.SIGNATURE_FORMAT for code, _ in objects.codes(self.element, names.ENTRY_FORMAT))


@dataclass(frozen=True)
class Link:
    id: str
    kind: str
    source: str
    target: str
    element: etree._Element = field(repr=False)


@dataclass(frozen=True)
class Lot:
    id: str
    unique_id: str
    source_id: str
    patient_id: str = field(repr=False)
    element: etree._Element = field(repr=False)
    entries: tuple[Entry, ...]
    links: tuple[Link, ...]

    @property
    def institutions(self) -> frozenset[str]:
        """Identifiers of the structures that wrote the lot (XON.10)."""
        return institutions(self.element, names.LOT_AUTHOR)


def institutions(element: etree._Element, scheme: str) -> frozenset[str]:
    """XON.10 of each authorInstitution of an object's authors."""
    held = objects.classified(element, scheme)
    told = (value.split("^") for each in held for value in objects.slot(each, "authorInstitution"))
    return frozenset(fields[9] for fields in told if len(fields) > 9 and fields[9])


def read(request: etree._Element, attachments: Mapping[str, Any], batch: Batch) -> Lot:
    """The lot of a ProvideAndRegisterDocumentSetRequest. Raises Refused, and SoapRefused."""
    held = request.find(f"{{{names.LCM}}}SubmitObjectsRequest/{{{names.RIM}}}RegistryObjectList")
    if request.tag != f"{{{names.XDSB}}}ProvideAndRegisterDocumentSetRequest" or held is None:
        raise refuse(Code.REPOSITORY_METADATA, "no RegistryObjectList")
    lot = lot_element(held)
    entries = objects.elements(held, "ExtrinsicObject")
    links = objects.elements(held, "Association")
    documents = _documents(request, attachments, batch)
    problems = tuple(_problems(held, lot, entries, links)) + tuple(_pairs(entries, documents))
    if problems:
        raise Refused(*problems)
    read_entries = tuple(_entry(each, documents[str(each.get("id"))]) for each in entries)
    _check_contents(read_entries)
    return _lot(lot, read_entries, tuple(_link(each) for each in links))


def lot_element(held: etree._Element) -> etree._Element:
    """The one SubmissionSet. This host keeps no folders, and says so."""
    packages = objects.elements(held, "RegistryPackage")
    marks = [
        each.get("classifiedObject")
        for each in held.iter(f"{{{names.RIM}}}Classification")
        if each.get("classificationNode") == names.LOT_NODE
    ]
    lots = [each for each in packages if each.get("id") in marks]
    if len(lots) != 1 or len(marks) != 1:
        raise refuse(Code.METADATA, "not exactly one SubmissionSet")
    if len(packages) != 1:
        raise refuse(Code.METADATA, "folders are not kept here")
    return lots[0]


def _documents(request: etree._Element, attachments: Mapping[str, Any], batch: Batch) -> dict[str, Kept]:
    found = request.findall(f"{{{names.XDSB}}}Document")
    if len(found) > MAX_DOCUMENTS:
        raise refuse(Code.OUT_OF_RESOURCES, f"more than {MAX_DOCUMENTS} documents")
    given = ((str(each.get("id", "")), content(each, attachments)) for each in found)
    documents = {name: batch.take(held) if isinstance(held, bytes) else held for name, held in given}
    if len(documents) != len(found):
        raise refuse(Code.REPOSITORY_METADATA, "two documents have one id")
    return documents


def _problems(
    held: etree._Element, lot: etree._Element, entries: list[etree._Element], links: list[etree._Element]
) -> Iterator[Problem]:
    yield from lot_problems(lot)
    for entry in entries:
        yield from entry_problems(entry)
    ids = [str(each.get("id", "")) for each in (lot, *entries, *links)]
    if len(set(ids)) != len(ids) or "" in ids:
        yield Problem(Code.METADATA, "ids of objects are absent or not unique")
    yield from _same_patient(lot, entries)
    yield from _unique_ids(lot, entries)
    own = {str(each.get("id")) for each in (lot, *entries)}
    for link in links:
        yield from link_problems(link, own)
    yield from _members(lot, entries, links)


def _same_patient(lot: etree._Element, entries: list[etree._Element]) -> Iterator[Problem]:
    whose = {objects.identifier(lot, names.LOT_PATIENT)}
    whose |= {objects.identifier(each, names.ENTRY_PATIENT) for each in entries}
    if len(whose) > 1:
        yield Problem(Code.OTHER_PATIENT, "patientId differs inside the submission")


def _unique_ids(lot: etree._Element, entries: list[etree._Element]) -> Iterator[Problem]:
    held = Counter(objects.identifier(each, names.ENTRY_UNIQUE) for each in entries)
    held[objects.identifier(lot, names.LOT_UNIQUE)] += 1
    if any(count > 1 for count in held.values()):
        yield Problem(Code.DUPLICATE_IN_MESSAGE, "a uniqueId occurs twice")


def _members(lot: etree._Element, entries: list[etree._Element], links: list[etree._Element]) -> Iterator[Problem]:
    """Each entry is a member of the SubmissionSet, by one HasMember."""
    members = Counter(
        each.get("targetObject")
        for each in links
        if each.get("associationType") == names.HAS_MEMBER and each.get("sourceObject") == lot.get("id")
    )
    if any(members[each.get("id")] != 1 for each in entries):
        yield Problem(Code.METADATA, "an entry is not a member of the SubmissionSet, or twice")


def _pairs(entries: list[etree._Element], documents: Mapping[str, Kept]) -> Iterator[Problem]:
    """Documents and entries, one to one, both ways."""
    described = {str(each.get("id")) for each in entries}
    if described - documents.keys():
        yield Problem(Code.MISSING_DOCUMENT, "an entry has no document")
    if documents.keys() - described:
        yield Problem(Code.MISSING_METADATA, "a document has no entry")


def _check_contents(entries: tuple[Entry, ...]) -> None:
    """Hash and size, where the sender states them, are those of the bytes."""
    for entry in entries:
        stated, size = objects.slot(entry.element, "hash"), objects.slot(entry.element, "size")
        if stated and stated[0].lower() != entry.sha1:
            raise refuse(Code.REPOSITORY_METADATA, "hash is not that of the document")
        if size and int(size[0]) != entry.size:
            raise refuse(Code.REPOSITORY_METADATA, "size is not that of the document")


def _entry(element: etree._Element, document: Kept) -> Entry:
    return Entry(
        id=str(element.get("id")),
        unique_id=objects.identifier(element, names.ENTRY_UNIQUE),
        patient_id=objects.identifier(element, names.ENTRY_PATIENT),
        mime_type=str(element.get("mimeType")),
        kept=document,
        element=element,
    )


def _link(element: etree._Element) -> Link:
    return Link(
        id=str(element.get("id")),
        kind=str(element.get("associationType")),
        source=str(element.get("sourceObject")),
        target=str(element.get("targetObject")),
        element=element,
    )


def _lot(element: etree._Element, entries: tuple[Entry, ...], links: tuple[Link, ...]) -> Lot:
    return Lot(
        id=str(element.get("id")),
        unique_id=objects.identifier(element, names.LOT_UNIQUE),
        source_id=objects.identifier(element, names.LOT_SOURCE),
        patient_id=objects.identifier(element, names.LOT_PATIENT),
        element=element,
        entries=entries,
        links=links,
    )
