"""Reading ebRIM objects: slots, classifications, identifiers.

Promises: pure readings of an element that the XML door let in. Does not: judge (submission.py), nor write.
"""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from dmp_bridge.host import names

_ORDER = {
    f"{{{names.RIM}}}{name}": rank
    for rank, name in enumerate(("Slot", "Name", "Description", "VersionInfo", "Classification", "ExternalIdentifier"))
}


def elements(parent: etree._Element, name: str) -> list[etree._Element]:
    return parent.findall(f"{{{names.RIM}}}{name}")


def in_order(parent: etree._Element) -> bool:
    """Whether children stand in the order of the ebRIM schema (spec/dossier.md §3.2), none foreign."""
    ranks = [_ORDER.get(child.tag, -1) for child in parent if isinstance(child.tag, str)]
    return -1 not in ranks and ranks == sorted(ranks)


def slot(parent: etree._Element, name: str) -> tuple[str, ...]:
    """The values of the slot of that name; () where there is none."""
    return next((values for each, values in slots(parent) if each == name), ())


def slots(parent: etree._Element) -> Iterator[tuple[str, tuple[str, ...]]]:
    for each in elements(parent, "Slot"):
        found = each.findall(f"{{{names.RIM}}}ValueList/{{{names.RIM}}}Value")
        yield each.get("name", ""), tuple((value.text or "").strip() for value in found)


def identifiers(parent: etree._Element, scheme: str) -> list[str]:
    held = elements(parent, "ExternalIdentifier")
    return [str(each.get("value", "")) for each in held if each.get("identificationScheme") == scheme]


def identifier(parent: etree._Element, scheme: str) -> str:
    return next(iter(identifiers(parent, scheme)), "")


def classified(parent: etree._Element, scheme: str) -> list[etree._Element]:
    held = elements(parent, "Classification")
    return [each for each in held if each.get("classificationScheme") == scheme]


def codes(parent: etree._Element, scheme: str) -> set[tuple[str, str]]:
    """(code, coding system) of each classification in that scheme."""
    held = classified(parent, scheme)
    return {(str(each.get("nodeRepresentation", "")), "".join(slot(each, "codingScheme"))) for each in held}


def display_name(parent: etree._Element) -> str:
    found = parent.find(f"{{{names.RIM}}}Name/{{{names.RIM}}}LocalizedString")
    return str(found.get("value", "")) if found is not None else ""
