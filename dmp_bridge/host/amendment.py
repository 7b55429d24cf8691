"""Reads and judges a change of what is stored (ITI-57): other attributes of an entry, or another status.

Promises: one change a request is asked of the store as a value; what the norm fixes (uniqueId, patient, hash, size)
does not change here (IHE ITI TF-2 §3.57.4.1.3). Does not: know what is stored (registry.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from lxml import etree

from dmp_bridge.host import formats, names, objects
from dmp_bridge.host.metadata import entry_problems, lot_problems
from dmp_bridge.host.names import Code, Refused, refuse
from dmp_bridge.host.submission import lot_element


@dataclass(frozen=True)
class NewStatus:
    """`target`: entryUUID."""

    target: str
    old: str
    new: str


@dataclass(frozen=True)
class NewVersion:
    """An entry with other attributes. `lid` names which, `previous` the version that it was made from."""

    id: str
    lid: str
    previous: int
    unique_id: str
    patient_id: str = field(repr=False)
    element: etree._Element = field(repr=False)


Change: TypeAlias = NewStatus | NewVersion


def read(request: etree._Element) -> tuple[etree._Element, Change]:
    """The SubmissionSet and the change. Raises Refused."""
    held = request.find(f"{{{names.RIM}}}RegistryObjectList")
    if request.tag != f"{{{names.LCM}}}SubmitObjectsRequest" or held is None:
        raise refuse(Code.UPDATE, "not a SubmitObjectsRequest")
    lot = lot_element(held)
    problems = tuple(lot_problems(lot))
    if problems:
        raise Refused(*problems)
    entries, links = objects.elements(held, "ExtrinsicObject"), objects.elements(held, "Association")
    if len(links) != 1 or links[0].get("sourceObject") != lot.get("id"):
        raise refuse(Code.UPDATE_OPERATION, "one change a request, from its SubmissionSet")
    if links[0].get("associationType") == names.UPDATE_STATUS and not entries:
        return lot, _status(links[0])
    if links[0].get("associationType") == names.HAS_MEMBER and len(entries) == 1:
        return lot, _version(entries[0], links[0])
    raise refuse(Code.UPDATE_OPERATION, "neither a new status nor a new version of one entry")


def _status(link: etree._Element) -> NewStatus:
    told = [objects.slot(link, name) for name in ("OriginalStatus", "NewStatus")]
    if any(len(each) != 1 or each[0] not in names.STATUSES for each in told):
        raise refuse(Code.UPDATE, "OriginalStatus and NewStatus are each one status")
    return NewStatus(str(link.get("targetObject")), told[0][0], told[1][0])


def _version(entry: etree._Element, link: etree._Element) -> NewVersion:
    problems = tuple(entry_problems(entry))
    if problems:
        raise Refused(*problems)
    lid, name = str(entry.get("lid", "")), str(entry.get("id", ""))
    previous = objects.slot(link, "PreviousVersion")
    if not formats.is_uuid(lid) or lid == name:
        raise refuse(Code.UPDATE, "the logical id is absent, or the entry's own")
    if len(previous) != 1 or not formats.is_size(previous[0]) or link.get("targetObject") != name:
        raise refuse(Code.VERSION, "PreviousVersion is absent, repeated or no number")
    return NewVersion(
        id=name,
        lid=lid,
        previous=int(previous[0]),
        unique_id=objects.identifier(entry, names.ENTRY_UNIQUE),
        patient_id=objects.identifier(entry, names.ENTRY_PATIENT),
        element=entry,
    )
