"""Writes ebRIM 3.0 objects, part by part, in the order of the schema: Slot, Name, Description, VersionInfo,
Classification, ExternalIdentifier.

Promises: what is empty is left out. Does not: know which parts an object of XDS has (ebrim.py, amendment.py).
"""

from __future__ import annotations

from lxml import etree

from dmp_bridge.model import Code

RIM = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
LCM = "urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"


def add(parent: etree._Element, tag: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, f"{{{RIM}}}{tag}", attributes)


def slot(parent: etree._Element, name: str, *values: str) -> None:
    kept = [value for value in values if value]
    if not kept:
        return
    holder = add(add(parent, "Slot", name=name), "ValueList")
    for value in kept:
        add(holder, "Value").text = value


def named(parent: etree._Element, text: str) -> None:
    if text:
        language = {"{http://www.w3.org/XML/1998/namespace}lang": "fr-FR"}
        etree.SubElement(add(parent, "Name"), f"{{{RIM}}}LocalizedString", {**language, "value": text[:1024]})


def association(parent: etree._Element, name: str, kind: str, source: str, target: str) -> etree._Element:
    return add(parent, "Association", id=name, associationType=kind, sourceObject=source, targetObject=target)


def coded(parent: etree._Element, scheme: str, name: str, code: Code | None) -> None:
    if code is None:
        return
    owner = parent.get("id", "")
    label = {"classificationScheme": scheme, "classifiedObject": owner, "nodeRepresentation": code.code}
    held = add(parent, "Classification", id=f"{owner}-{name}", **label)
    slot(held, "codingScheme", code.system)
    named(held, code.label or code.code)


def identified(parent: etree._Element, scheme: str, name: str, value: str) -> None:
    owner = parent.get("id", "")
    label = {"registryObject": owner, "identificationScheme": scheme, "value": value}
    held = add(parent, "ExternalIdentifier", id=f"{owner}-{name.rpartition('.')[2]}", **label)
    named(held, name)
