"""What a dossier host's answer means: Done, Later or Never, by one table (codes/host_errors.csv).

Promises: of what a host says only names of codes are kept, since its words may name a patient; a success that carries
an error is a contradiction; an error that no table holds is tried again, unless it is a decision of a national host.
Does not: ask (dmp.py), nor decide what follows (courier.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TypeAlias

from lxml import etree

from dmp_bridge import codes, ebrim, soap
from dmp_bridge.model import Author, FilingReason
from relay.model import Later, Never

XDSB = "urn:ihe:iti:xds-b:2007"
RS = "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"
RIM = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
QUERY = "urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0"
_STATUS = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:"
ALREADY_THERE = "XDSDuplicateUniqueIdInRegistry"
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}\Z")
_RETRIED_STATUS = frozenset({401, 403, 404, 407, 408, 425, 429})

Trouble: TypeAlias = Later | Never


@dataclass(frozen=True)
class Meaning:
    """What one error code means."""

    outcome: str
    """'never', 'later' or 'warning'."""
    reason: FilingReason
    french: str


@cache
def meanings() -> dict[str, Meaning]:
    """By code in upper case: [D-PKG] compares without case."""
    rows = codes.table("host_errors")
    return {row["code"].upper(): _meaning(row) for row in rows}


def _meaning(row: dict[str, str]) -> Meaning:
    reason = FilingReason[row["reason"]] if row["reason"] else FilingReason.HOST_REFUSED
    return Meaning(row["outcome"], reason, row["french"])


def sentence(code: str) -> str:
    """French, for people; '' where no table holds the code."""
    known = meanings().get(code.upper())
    return known.french if known else ""


@dataclass(frozen=True)
class Held:
    """What a host says that it holds: never taken for more than its word."""

    entry_id: str
    unique_id: str
    status: str
    sha1: str
    size: int
    patient_id: str = field(repr=False)
    lid: str = ""
    version: int = 1
    confidentiality: tuple[str, ...] = ()
    element: etree._Element | None = field(default=None, repr=False, compare=False)
    """The entry as the host gave it."""

    @property
    def approved(self) -> bool:
        return self.status == ebrim.APPROVED


def read(status: int, take: Callable[[], soap.Soap], message_id: str) -> soap.Soap | Trouble:
    """The answer, where it is one to what was asked; else what to do about it. `take` reads it to its end."""
    try:
        answer = take()
    except soap.SoapRefused:
        return by_status(status)
    if answer.fault is not None:
        return by_fault(status, answer.fault)
    if answer.relates_to not in ("", message_id):
        return Later(FilingReason.HOST_WRONG, "an answer to another question")
    return answer if 200 <= status < 300 else by_status(status)


def by_status(status: int) -> Trouble:
    """Without words of SOAP: only what can never pass is Never."""
    if 400 <= status < 500 and status not in _RETRIED_STATUS:
        return Never(FilingReason.HOST_REFUSED, f"http {status}")
    return Later(FilingReason.HOST_DOWN, f"http {status}")


def by_fault(status: int, fault: soap.Fault) -> Trouble:
    """SOAP 1.2 part 1 §5.4.6: Receiver may pass later. A certificate that is not accepted can be renewed."""
    detail = f"fault {_named(fault.code)}, http {status}"
    if fault.code == "Receiver" or status in _RETRIED_STATUS:
        return Later(FilingReason.HOST_DOWN, detail)
    return Never(FilingReason.HOST_REFUSED, detail)


def _named(code: str) -> str:
    """A code as a name; anything else that a host puts in its place is not repeated."""
    return code if _CODE.match(code) else "unnamed"


def trouble_of(body: etree._Element | None, tag: str) -> Trouble | None:
    """What a RegistryResponse says against success (spec/dossier.md §3.7); None where it is one."""
    if body is None or body.tag != tag:
        return Later(FilingReason.HOST_WRONG, "not the answer of this transaction")
    status = str(body.get("status", ""))
    codes = [_named(str(each.get("errorCode", ""))) for each in _errors(body)]
    if status == f"{_STATUS}Success":
        # A success may carry warnings; with errors it contradicts itself.
        return Never(FilingReason.HOST_WRONG, f"success with {codes[0]}") if codes else None
    if status.endswith(":PartialSuccess"):
        return Never(FilingReason.HOST_WRONG, "half a success")
    return by_codes(codes)


def _errors(body: etree._Element) -> list[etree._Element]:
    found = body.findall(f"{{{RS}}}RegistryErrorList/{{{RS}}}RegistryError")
    return [each for each in found if not str(each.get("severity", "")).endswith(":Warning")]


def by_codes(found: Sequence[str]) -> Trouble:
    """One permanent error makes a failure permanent; a failure without a reason is tried again."""
    known = [(code, meanings().get(code.upper())) for code in found]
    for code, meaning in known:
        if meaning is not None and meaning.outcome == "never":
            return Never(meaning.reason, code)
        if meaning is None and code.upper().startswith("DMP"):
            return Never(FilingReason.HOST_REFUSED, code)
    first = next(((code, meaning) for code, meaning in known if meaning is None or meaning.outcome == "later"), None)
    if first is None:
        return Later(FilingReason.HOST_REFUSED, found[0] if found else "failure without an error")
    return Later(first[1].reason if first[1] else FilingReason.HOST_REFUSED, first[0])


def held(answer: soap.Soap) -> tuple[Held, ...] | Later | Never:
    trouble = trouble_of(answer.body, f"{{{QUERY}}}AdhocQueryResponse")
    if trouble is not None or answer.body is None:
        return trouble or Later(FilingReason.HOST_WRONG, "empty")
    entries = answer.body.findall(f"{{{RIM}}}RegistryObjectList/{{{RIM}}}ExtrinsicObject")
    return _latest([_entry(each) for each in entries])


def references(answer: soap.Soap) -> tuple[str, ...] | Later | Never:
    """entryUUIDs of an answer by reference."""
    trouble = trouble_of(answer.body, f"{{{QUERY}}}AdhocQueryResponse")
    if trouble is not None or answer.body is None:
        return trouble or Later(FilingReason.HOST_WRONG, "empty")
    found = answer.body.findall(f"{{{RIM}}}RegistryObjectList/{{{RIM}}}ObjectRef")
    return tuple(str(each.get("id", "")) for each in found)


def _latest(found: Sequence[Held]) -> tuple[Held, ...]:
    """Without the versions of an entry that a change of its attributes put aside (ITI-57)."""
    newest: dict[str, int] = {}
    for each in found:
        newest[each.lid] = max(newest.get(each.lid, 0), each.version)
    return tuple(each for each in found if each.version == newest[each.lid])


def _entry(element: etree._Element) -> Held:
    slots = {
        str(slot.get("name")): (slot.findtext(f"{{{RIM}}}ValueList/{{{RIM}}}Value") or "").strip()
        for slot in element.findall(f"{{{RIM}}}Slot")
    }
    identifiers = {
        str(each.get("identificationScheme")): str(each.get("value", "")).strip()
        for each in element.findall(f"{{{RIM}}}ExternalIdentifier")
    }
    size = slots.get("size", "")
    return Held(
        entry_id=str(element.get("id", "")),
        unique_id=identifiers.get(ebrim.ENTRY_SCHEMES["uniqueId"], ""),
        status=str(element.get("status", "")),
        sha1=slots.get("hash", "").lower(),
        size=int(size) if size.isascii() and size.isdigit() and len(size) < 16 else -1,
        patient_id=identifiers.get(ebrim.ENTRY_SCHEMES["patientId"], ""),
        lid=str(element.get("lid") or element.get("id", "")),
        version=_number(element),
        confidentiality=_confidentiality(element),
        element=element,
    )


def _number(element: etree._Element) -> int:
    told = element.find(f"{{{RIM}}}VersionInfo")
    text = str(told.get("versionName", "")) if told is not None else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1


def _confidentiality(element: etree._Element) -> tuple[str, ...]:
    scheme = ebrim.ENTRY_SCHEMES["confidentialityCode"]
    found = element.findall(f"{{{RIM}}}Classification")
    return tuple(
        str(each.get("nodeRepresentation", "")) for each in found if each.get("classificationScheme") == scheme
    )


def author(element: etree._Element) -> Author:
    """Who wrote an entry, as its host holds it (XON, XCN: payload §2.3): a change is made in the name of the structure
    that filed it (EX_2.1-1140)."""
    scheme = ebrim.ENTRY_SCHEMES["author"]
    found = element.findall(f"{{{RIM}}}Classification")
    held = next((each for each in found if each.get("classificationScheme") == scheme), element)
    person, structure = (_parts(held, name) for name in ("authorPerson", "authorInstitution"))
    return Author(
        person[0],
        person[1],
        person[2],
        structure[9],
        structure[0],
        is_system=person[9] == "U",
        person_root=person[8].strip("&").partition("&")[0],
    )


def _parts(element: etree._Element, name: str) -> list[str]:
    """Components of a slot's first value, ten at least."""
    value = element.findtext(f"{{{RIM}}}Slot[@name='{name}']/{{{RIM}}}ValueList/{{{RIM}}}Value", "")
    parts = value.split("^")
    return parts + [""] * (10 - len(parts))


def document(answer: soap.Soap, unique_id: str) -> bytes | Later | Never:
    """The one document of an ITI-43 answer."""
    body = answer.body
    if body is None or body.tag != f"{{{XDSB}}}RetrieveDocumentSetResponse":
        return Later(FilingReason.HOST_WRONG, "not the answer of this transaction")
    trouble = trouble_of(body.find(f"{{{RS}}}RegistryResponse"), f"{{{RS}}}RegistryResponse")
    if trouble is not None:
        return trouble
    responses = [
        each.find(f"{{{XDSB}}}Document")
        for each in body.findall(f"{{{XDSB}}}DocumentResponse")
        if each.findtext(f"{{{XDSB}}}DocumentUniqueId", "").strip() == unique_id
    ]
    if len(responses) != 1 or responses[0] is None:
        return Never(FilingReason.HOST_WRONG, "not the one document that was asked for")
    try:
        given: bytes = soap.content(responses[0], answer.attachments)
    except soap.SoapRefused:
        return Never(FilingReason.HOST_WRONG, "a document that is not in the answer")
    return given
