"""Rules for the metadata of one object: a SubmissionSet, a document entry, an association (spec/dossier.md
§8.3).

Promises: each rule yields its problems, by name and never with a value: values are identities. Does not:
know about other objects of the submission (submission.py), nor the store (registry.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from lxml import etree

from dmp_bridge.host import formats, names, objects
from dmp_bridge.host.names import Code, Problem

Form = Callable[[str], bool]
MAX_VALUE = 256
"""ebRIM: LongName of 256 characters."""
MANY = 1_000_000


@dataclass(frozen=True)
class SlotRule:
    form: Form
    least: int = 0
    most: int = 1


@dataclass(frozen=True)
class CodeRule:
    least: int = 1
    most: int = 1


ENTRY_SLOTS: Mapping[str, SlotRule] = {
    "creationTime": SlotRule(formats.is_time, least=1),
    "languageCode": SlotRule(formats.is_language, least=1),
    "serviceStartTime": SlotRule(formats.is_time),
    "serviceStopTime": SlotRule(formats.is_time),
    "sourcePatientId": SlotRule(formats.is_local_cx, least=1),
    "sourcePatientInfo": SlotRule(formats.is_source_patient_info, most=MANY),
    "legalAuthenticator": SlotRule(formats.is_xcn),
    "hash": SlotRule(formats.is_sha1),
    "size": SlotRule(formats.is_size),
    "repositoryUniqueId": SlotRule(formats.is_oid),
}
LOT_SLOTS: Mapping[str, SlotRule] = {"submissionTime": SlotRule(formats.is_time, least=1)}
AUTHOR_SLOTS: Mapping[str, SlotRule] = {
    "authorPerson": SlotRule(formats.is_xcn, least=1),
    "authorInstitution": SlotRule(formats.is_xon, most=MANY),
}
ENTRY_CODES: Mapping[str, CodeRule] = {
    names.ENTRY_CLASS: CodeRule(),
    names.ENTRY_TYPE: CodeRule(),
    names.ENTRY_FORMAT: CodeRule(),
    names.ENTRY_FACILITY: CodeRule(),
    names.ENTRY_PRACTICE: CodeRule(),
    names.ENTRY_CONFIDENTIALITY: CodeRule(most=MANY),
    names.ENTRY_EVENT: CodeRule(least=0, most=MANY),
}
LOT_CODES: Mapping[str, CodeRule] = {names.LOT_CONTENT: CodeRule()}
ENTRY_IDS: Mapping[str, Form] = {
    names.ENTRY_PATIENT: formats.is_cx,
    names.ENTRY_UNIQUE: formats.is_document_id,
}
LOT_IDS: Mapping[str, Form] = {
    names.LOT_PATIENT: formats.is_cx,
    names.LOT_SOURCE: formats.is_oid,
    names.LOT_UNIQUE: formats.is_oid,
}


def lot_problems(lot: etree._Element) -> Iterator[Problem]:
    yield from _shape(lot, LOT_SLOTS)
    yield from _classifications(lot, LOT_CODES, names.LOT_AUTHOR)
    yield from _identifiers(lot, LOT_IDS)


def entry_problems(entry: etree._Element) -> Iterator[Problem]:
    yield from _shape(entry, ENTRY_SLOTS)
    yield from _classifications(entry, ENTRY_CODES, names.ENTRY_AUTHOR)
    yield from _identifiers(entry, ENTRY_IDS)
    if entry.get("objectType") != names.STABLE:
        yield Problem(Code.METADATA, "objectType is not that of a stable document")
    if not formats.is_media_type(str(entry.get("mimeType", ""))):
        yield Problem(Code.METADATA, "mimeType has not its form")
    if len(objects.display_name(entry)) > 128:
        yield Problem(Code.METADATA, "title is longer than 128 characters")
    yield from _chronology(entry)


def link_problems(link: etree._Element, own: set[str]) -> Iterator[Problem]:
    """`own`: the ids of the SubmissionSet and the entries of the message."""
    kind, source, target = (str(link.get(name, "")) for name in ("associationType", "sourceObject", "targetObject"))
    if kind not in names.LINKS:
        yield Problem(Code.METADATA, "associationType is not known")
    if source not in own or not (target in own or formats.is_uuid(target)) or source == target:
        yield Problem(Code.UNRESOLVED, "an end of an association does not resolve")
    if kind == names.HAS_MEMBER:
        yield from _member_problems(link, target in own)


def _member_problems(link: etree._Element, original: bool) -> Iterator[Problem]:
    if objects.slot(link, "SubmissionSetStatus") != ("Original" if original else "Reference",):
        yield Problem(Code.METADATA, "SubmissionSetStatus is not single, or not Original or Reference as it should be")
    if objects.elements(link, "Classification"):
        yield Problem(Code.METADATA, "HasMember carries a code")


def _shape(element: etree._Element, rules: Mapping[str, SlotRule]) -> Iterator[Problem]:
    if not objects.in_order(element):
        yield Problem(Code.METADATA, "children are not in the order of the ebRIM schema")
    yield from _slots(element, rules)


def _slots(element: etree._Element, rules: Mapping[str, SlotRule]) -> Iterator[Problem]:
    held = list(objects.slots(element))
    if len({name for name, _ in held}) != len(held):
        yield Problem(Code.METADATA, "two slots have one name")
    for name, values in held:
        if not values or not all(0 < len(value) <= MAX_VALUE for value in values):
            yield Problem(Code.METADATA, f"slot {name[:64]} is empty or has a value that is empty or too long")
    for name, rule in rules.items():
        values = objects.slot(element, name)
        if not rule.least <= len(values) <= rule.most or not all(map(rule.form, values)):
            yield Problem(Code.METADATA, f"slot {name} is absent, repeated or has not its form")


def _classifications(element: etree._Element, rules: Mapping[str, CodeRule], author: str) -> Iterator[Problem]:
    for held in objects.elements(element, "Classification"):
        if held.get("classifiedObject") != element.get("id"):
            yield Problem(Code.METADATA, "a classification names another object")
    for scheme, rule in rules.items():
        found = objects.classified(element, scheme)
        if not rule.least <= len(found) <= rule.most or not all(map(_is_code, found)):
            yield Problem(Code.METADATA, f"code of {scheme} is absent, repeated or incomplete")
    authors = objects.classified(element, author)
    if not authors:
        yield Problem(Code.METADATA, "no author")
    for held in authors:
        yield from _slots(held, AUTHOR_SLOTS)


def _is_code(held: etree._Element) -> bool:
    """A code, its system and its label."""
    system = objects.slot(held, "codingScheme")
    return bool(held.get("nodeRepresentation")) and len(system) == 1 and bool(objects.display_name(held))


def _identifiers(element: etree._Element, rules: Mapping[str, Form]) -> Iterator[Problem]:
    for held in objects.elements(element, "ExternalIdentifier"):
        if held.get("registryObject") != element.get("id"):
            yield Problem(Code.METADATA, "an identifier names another object")
    for scheme, form in rules.items():
        found = objects.identifiers(element, scheme)
        if len(found) != 1 or not form(found[0]):
            yield Problem(Code.METADATA, f"identifier {scheme} is absent, repeated or has not its form")


def _chronology(entry: etree._Element) -> Iterator[Problem]:
    start = "".join(objects.slot(entry, "serviceStartTime"))
    stop = "".join(objects.slot(entry, "serviceStopTime"))
    shared = min(len(start), len(stop))
    if start[:shared] > stop[:shared]:
        yield Problem(Code.METADATA, "serviceStopTime comes before serviceStartTime")
