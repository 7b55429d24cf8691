"""The form in which a submitted object is stored and given back: real ids in place of symbolic ones.

Promises: what the source wrote stays, but for ids, and for what the host itself must say: hash, size,
repository, version (IHE ITI TF-2 §3.41.4.1.3). Does not: decide whether an object may be stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

from lxml import etree

from dmp_bridge.host import formats, names
from dmp_bridge.host.submission import Entry, Link, Lot

_REFERENCES = ("id", "classifiedObject", "registryObject", "sourceObject", "targetObject")
_LOT_MARK = "Classification"


def renamed(element: etree._Element, ids: Mapping[str, str]) -> etree._Element:
    """A copy in which every reference to a symbolic id is one to its urn:uuid."""
    copy = deepcopy(element)
    copy.tail = None
    for each in copy.iter(f"{{{names.RIM}}}*"):
        for name in _REFERENCES:
            if each.get(name) in ids:
                each.set(name, ids[str(each.get(name))])
    return copy


def stored_entry(entry: Entry, ids: Mapping[str, str], repository_id: str, hash_: str) -> bytes:
    own = {"hash": hash_, "size": str(entry.size), "repositoryUniqueId": repository_id}
    return _with_own(renamed(entry.element, ids), ids[entry.id], 1, own)


def amended_entry(
    element: etree._Element, old_id: str, new_id: str, lid: str, version: int, own: Mapping[str, str]
) -> bytes:
    """A further version of a stored entry (ITI-57); `own`: what the host itself says of its document."""
    return _with_own(renamed(element, {old_id: new_id}), lid, version, own)


def _with_own(element: etree._Element, lid: str, version: int, own: Mapping[str, str]) -> bytes:
    element.set("lid", lid)
    for slot in element.findall(f"{{{names.RIM}}}Slot"):
        if slot.get("name") in own:
            element.remove(slot)
    for name, value in own.items():
        element.insert(0, _slot(name, value))
    _version(element, version)
    return etree.tostring(element)


def stored_lot(lot: Lot, ids: Mapping[str, str]) -> bytes:
    """With its mark as SubmissionSet inside, whichever way the source wrote it."""
    element = renamed(lot.element, ids)
    element.set("lid", ids[lot.id])
    element.set("status", names.APPROVED)
    marks = element.findall(f"{{{names.RIM}}}{_LOT_MARK}")
    if not any(mark.get("classificationNode") == names.LOT_NODE for mark in marks):
        mark = etree.Element(f"{{{names.RIM}}}{_LOT_MARK}", id=f"{ids[lot.id]}-node")
        mark.set("classifiedObject", ids[lot.id])
        mark.set("classificationNode", names.LOT_NODE)
        identifiers = element.findall(f"{{{names.RIM}}}ExternalIdentifier")
        identifiers[0].addprevious(mark)
    _version(element)
    return etree.tostring(element)


def stored_link(link: Link, ids: Mapping[str, str]) -> bytes:
    element = renamed(link.element, ids)
    element.set("status", names.APPROVED)
    return etree.tostring(element)


def real_ids(lot: Lot, fresh: list[str]) -> dict[str, str]:
    """Each id of the message to the urn:uuid under which it is stored: its own where it has one."""
    held = [lot.id, *(each.id for each in lot.entries), *(each.id for each in lot.links)]
    return {each: each if formats.is_uuid(each) else new for each, new in zip(held, fresh, strict=True)}


def _slot(name: str, value: str) -> etree._Element:
    slot = etree.Element(f"{{{names.RIM}}}Slot", name=name)
    values = etree.SubElement(slot, f"{{{names.RIM}}}ValueList")
    etree.SubElement(values, f"{{{names.RIM}}}Value").text = value
    return slot


def _version(element: etree._Element, number: int = 1) -> None:
    """VersionInfo, at its place in the schema's order."""
    for held in element.findall(f"{{{names.RIM}}}VersionInfo"):
        element.remove(held)
    before = [f"{{{names.RIM}}}{name}" for name in ("Slot", "Name", "Description")]
    place = sum(1 for child in element if child.tag in before)
    element.insert(place, etree.Element(f"{{{names.RIM}}}VersionInfo", versionName=str(number)))
