"""Changes of what a host holds (ITI-57): other attributes of an entry, or another status; as SubmitObjectsRequest.

Promises: an entry goes back as the host gave it, but for what changes, with its logical id and the version that it
replaces (IHE ITI TF-2 §3.57.4.1.3); deletion is a status, never a removal. Does not: read the entry, nor send.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

from lxml import etree

from dmp_bridge import ebrim, rim
from dmp_bridge.ebrim import PatientId, Submission
from dmp_bridge.model import Code
from dmp_bridge.rim import LCM, RIM

UPDATE_STATUS = "urn:ihe:iti:2010:AssociationType:UpdateAvailabilityStatus"
_ENTRY = "Document01"


def confidentiality(
    entry: etree._Element, version: int, codes: Sequence[Code], submission: Submission, patient: PatientId
) -> etree._Element:
    """`entry`: the ExtrinsicObject as the host holds it, in its `version`; `codes`: all its confidentiality codes."""
    root, objects = _lot(submission, patient)
    changed = _renamed(entry)
    for held in _classified(changed, ebrim.ENTRY_SCHEMES["confidentialityCode"]):
        changed.remove(held)
    made = etree.Element("codes", id=_ENTRY)
    for number, code in enumerate(codes, 1):
        rim.coded(made, ebrim.ENTRY_SCHEMES["confidentialityCode"], f"confidentiality{number}", code)
    place = next(each for each in changed if each.tag == f"{{{RIM}}}Classification")
    for held in list(made):
        place.addprevious(held)
    objects.insert(0, changed)
    member = rim.association(objects, "Member01", ebrim.HAS_MEMBER, "Lot", _ENTRY)
    rim.slot(member, "SubmissionSetStatus", "Original")
    rim.slot(member, "PreviousVersion", str(version))
    return root


def status(entry_id: str, old: str, new: str, submission: Submission, patient: PatientId) -> etree._Element:
    """`old`, `new`: URNs of availability statuses (TD3.3c/d)."""
    root, objects = _lot(submission, patient)
    change = rim.association(objects, "Status01", UPDATE_STATUS, "Lot", entry_id)
    rim.slot(change, "OriginalStatus", old)
    rim.slot(change, "NewStatus", new)
    return root


def _lot(submission: Submission, patient: PatientId) -> tuple[etree._Element, etree._Element]:
    root = etree.Element(f"{{{LCM}}}SubmitObjectsRequest", nsmap={"lcm": LCM, "rim": RIM})
    objects = rim.add(root, "RegistryObjectList")
    ebrim.package(objects, submission, patient)
    node = {"classifiedObject": "Lot", "classificationNode": ebrim.SUBMISSION_NODE}
    rim.add(objects, "Classification", id="Lot-node", **node)
    return root, objects


def _renamed(entry: etree._Element) -> etree._Element:
    """A copy under a symbolic id, without what the registry itself says: status of a version, its number."""
    changed = deepcopy(entry)
    changed.tail = None
    old = changed.get("id", "")
    changed.set("lid", changed.get("lid") or old)
    for held in changed.findall(f"{{{RIM}}}VersionInfo"):
        changed.remove(held)
    for number, each in enumerate(changed.iter(f"{{{RIM}}}*")):
        for name in ("classifiedObject", "registryObject"):
            if each.get(name) == old:
                each.set(name, _ENTRY)
        if each.get("id"):
            each.set("id", _ENTRY if each is changed else f"{_ENTRY}-{number}")
    return changed


def _classified(entry: etree._Element, scheme: str) -> list[etree._Element]:
    found = entry.findall(f"{{{RIM}}}Classification")
    return [each for each in found if each.get("classificationScheme") == scheme]
