"""Reads a stored query (ITI-18) into a value: which query, with which parameters (spec/dossier.md §8.2,
§8.3).

Promises: an unknown query, an absent, repeated or badly quoted parameter is refused by its own error code;
text of a query never reaches SQL as text. Does not: answer (answers to a query come from registry.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from lxml import etree

from dmp_bridge.host import names, objects
from dmp_bridge.host.names import Code, refuse

_QUOTED = r"'(?:[^']|'')*'"
_SINGLE = re.compile(rf"\s*({_QUOTED})\s*\Z")
_LIST = re.compile(rf"\s*\(\s*({_QUOTED}(?:\s*,\s*{_QUOTED})*)\s*\)\s*\Z")
_EACH = re.compile(_QUOTED)
_NUMBER = re.compile(r"\s*[0-9]{1,20}\s*\Z")
_CODE = re.compile(r"[^^]+\^[^^]*\^[^^]+\Z")
MAX_VALUES = 1000

CODES = {
    "$XDSDocumentEntryClassCode": names.ENTRY_CLASS,
    "$XDSDocumentEntryTypeCode": names.ENTRY_TYPE,
    "$XDSDocumentEntryFormatCode": names.ENTRY_FORMAT,
    "$XDSDocumentEntryPracticeSettingCode": names.ENTRY_PRACTICE,
    "$XDSDocumentEntryHealthcareFacilityTypeCode": names.ENTRY_FACILITY,
    "$XDSDocumentEntryConfidentialityCode": names.ENTRY_CONFIDENTIALITY,
    "$XDSDocumentEntryEventCodeList": names.ENTRY_EVENT,
    "$XDSSubmissionSetContentType": names.LOT_CONTENT,
}
TIMES = {
    "$XDSDocumentEntryCreationTime": "creationTime",
    "$XDSDocumentEntryServiceStartTime": "serviceStartTime",
    "$XDSDocumentEntryServiceStopTime": "serviceStopTime",
    "$XDSSubmissionSetSubmissionTime": "submissionTime",
}
_TIME_NAMES = frozenset(f"{name}{end}" for name in TIMES for end in ("From", "To"))
_PATIENTS = frozenset({"$XDSDocumentEntryPatientId", "$XDSFolderPatientId"})
_SINGLES = _TIME_NAMES | {
    "$XDSDocumentEntryPatientId",
    "$XDSSubmissionSetPatientId",
    "$XDSFolderPatientId",
    "$patientId",
    "$XDSSubmissionSetEntryUUID",
    "$XDSSubmissionSetUniqueId",
    "$XDSSubmissionSetSourceId",
}


@dataclass(frozen=True)
class Shape:
    name: str
    required: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    """Exactly one of these."""
    several: bool = False
    """Of several patients, each of whom it names (IHE ITI TF-2 §3.51; that nobody is named is not taken here)."""


_OF_DOCUMENT = ("$XDSDocumentEntryEntryUUID", "$XDSDocumentEntryUniqueId")
_FIND = ("$XDSDocumentEntryPatientId", "$XDSDocumentEntryStatus")
SHAPES: Mapping[str, Shape] = {
    "14d4debf-8f97-4251-9a74-a90016b0af0d": Shape("FindDocuments", _FIND),
    "12941a89-e02e-4be5-967c-ce4bfc8fe492": Shape(
        "FindDocumentsByReferenceId", (*_FIND, "$XDSDocumentEntryReferenceIdList")
    ),
    "f26abbcb-ac74-4422-8a30-edb644bbc1a9": Shape(
        "FindSubmissionSets", ("$XDSSubmissionSetPatientId", "$XDSSubmissionSetStatus")
    ),
    "10b545ea-725c-446d-9b95-8aeb444eddf3": Shape(
        "GetAll", ("$patientId", "$XDSDocumentEntryStatus", "$XDSSubmissionSetStatus", "$XDSFolderStatus")
    ),
    "5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4": Shape("GetDocuments", one_of=(*_OF_DOCUMENT, "$XDSDocumentEntryLogicalID")),
    "a7ae438b-4bc2-4642-93e9-be891f7bb155": Shape("GetAssociations", ("$uuid",)),
    "bab9529a-4a10-40b3-a01f-f68a615d247a": Shape("GetDocumentsAndAssociations", one_of=_OF_DOCUMENT),
    "51224314-5390-4169-9b91-b1980040715a": Shape("GetSubmissionSets", ("$uuid",)),
    "e8e3cb2c-e39c-46b9-99e4-c12f57260b83": Shape(
        "GetSubmissionSetAndContents", one_of=("$XDSSubmissionSetEntryUUID", "$XDSSubmissionSetUniqueId")
    ),
    "d90e5407-b356-4d91-a89f-873917b4b0e6": Shape("GetRelatedDocuments", ("$AssociationTypes",), one_of=_OF_DOCUMENT),
    "3d1bdb10-39a2-11de-89c2-2f44d94eaa9f": Shape("FindDocumentsForMultiplePatients", _FIND, several=True),
    # Folders are not kept here: these five are known, and find nothing.
    "50d3f5ac-39a2-11de-a1ca-b366239e58df": Shape(
        "FindFoldersForMultiplePatients", ("$XDSFolderPatientId", "$XDSFolderStatus"), several=True
    ),
    "958f3006-baad-4929-a4de-ff1114824431": Shape("FindFolders", ("$XDSFolderPatientId", "$XDSFolderStatus")),
    "5737b14c-8a1a-4539-b659-e03a34a5e1e4": Shape("GetFolders"),
    "b909a503-523d-4517-8acf-8e5834dfc4c7": Shape("GetFolderAndContents"),
    "10cae35a-c7f9-4cf5-b61e-fc3278ffb578": Shape("GetFoldersForDocument", one_of=_OF_DOCUMENT),
}


@dataclass(frozen=True)
class Query:
    name: str
    leaf: bool
    """Whole objects (LeafClass), or their ids only (ObjectRef)."""
    parameters: Mapping[str, tuple[tuple[str, ...], ...]] = field(repr=False)
    """By name: an AND of ORs."""
    several: bool = False
    """Entries of several patients may be answered together."""

    def one(self, name: str) -> str:
        held = self.parameters.get(name, ())
        return held[0][0] if held else ""

    def any(self, name: str) -> tuple[str, ...]:
        """All values of all slots of that name."""
        return tuple(value for group in self.parameters.get(name, ()) for value in group)


def read(request: etree._Element) -> Query:
    """The query of an AdhocQueryRequest. Raises Refused."""
    option = request.find(f"{{{names.QUERY}}}ResponseOption")
    query = request.find(f"{{{names.RIM}}}AdhocQuery")
    if request.tag != f"{{{names.QUERY}}}AdhocQueryRequest" or query is None or option is None:
        raise refuse(Code.REGISTRY, "not an AdhocQueryRequest with its ResponseOption")
    shape = SHAPES.get(str(query.get("id", "")).strip().lower().removeprefix("urn:uuid:"))
    if shape is None:
        raise refuse(Code.UNKNOWN_QUERY, "the id is not that of a stored query of this registry")
    wanted = option.get("returnType", "RegistryObject")
    if wanted not in ("LeafClass", "ObjectRef"):
        raise refuse(Code.REGISTRY, "returnType is neither LeafClass nor ObjectRef")
    singles = _SINGLES - _PATIENTS if shape.several else _SINGLES
    parameters = _parameters(query, singles)
    _check(shape, parameters, singles)
    return Query(shape.name, wanted == "LeafClass", parameters, shape.several)


def _parameters(query: etree._Element, singles: frozenset[str]) -> dict[str, tuple[tuple[str, ...], ...]]:
    held: dict[str, tuple[tuple[str, ...], ...]] = {}
    total = 0
    for name, values in objects.slots(query):
        if not name.startswith("$"):
            raise refuse(Code.REGISTRY, "the name of a parameter does not start with $")
        group = tuple(each for value in values for each in _values(name, value, singles))
        total += len(group)
        if not group or total > MAX_VALUES:
            raise refuse(Code.PARAMETER_NUMBER, "a parameter has no value, or there are too many")
        held[name] = (*held.get(name, ()), group)
    return held


def _values(name: str, text: str, singles: frozenset[str]) -> list[str]:
    """The values in one Value: a number, 'text', or ('a','b') (IHE ITI TF-2 §3.18.4.1.2.3.5)."""
    pattern = _SINGLE if name in singles else _LIST
    found = pattern.match(text)
    if found is None and name in _TIME_NAMES and _NUMBER.match(text):
        return [text.strip()]
    if found is None:
        raise refuse(Code.REGISTRY, f"parameter {name[:64]} is not quoted as it should be")
    values = [each[1:-1].replace("''", "'") for each in _EACH.findall(found.group(1))]
    if name in CODES and not all(map(_CODE.match, values)):
        raise refuse(Code.REGISTRY, f"parameter {name} holds a code without its system")
    return values


def _check(shape: Shape, parameters: Mapping[str, tuple[tuple[str, ...], ...]], singles: frozenset[str]) -> None:
    absent = [name for name in shape.required if name not in parameters]
    if absent:
        raise refuse(Code.MISSING_PARAMETER, f"{absent[0]} is required")
    given = [name for name in shape.one_of if name in parameters]
    if shape.one_of and not given:
        raise refuse(Code.MISSING_PARAMETER, f"one of {', '.join(shape.one_of)} is required")
    if len(given) > 1:
        raise refuse(Code.PARAMETER_NUMBER, "parameters that exclude each other")
    for name in singles & parameters.keys():
        if len(parameters[name]) != 1 or len(parameters[name][0]) != 1:
            raise refuse(Code.PARAMETER_NUMBER, f"{name} takes one value")
