"""Writes the host's answers: RegistryResponse, AdhocQueryResponse, RetrieveDocumentSetResponse.

Promises: statuses and errors in the forms of spec/dossier.md §3.7-3.8. Does not: frame them
(dmp_bridge.soap does).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lxml import etree

from dmp_bridge.host import names
from dmp_bridge.host.finding import Answer
from dmp_bridge.host.names import Problem
from dmp_bridge.soap import Attachment, include

_NSMAP = {"rs": names.RS, "rim": names.RIM}


@dataclass(frozen=True)
class Retrieved:
    unique_id: str
    mime_type: str
    data: bytes = field(repr=False)


def registry_response(problems: Sequence[Problem] = ()) -> etree._Element:
    root = etree.Element(f"{{{names.RS}}}RegistryResponse", nsmap=_NSMAP)
    root.set("status", names.FAILURE if problems else names.SUCCESS)
    _errors(root, problems)
    return root


def query_response(found: Sequence[Answer], leaf: bool, problems: Sequence[Problem] = ()) -> etree._Element:
    root = etree.Element(f"{{{names.QUERY}}}AdhocQueryResponse", nsmap={"query": names.QUERY, **_NSMAP})
    root.set("status", names.FAILURE if problems else names.SUCCESS)
    _errors(root, problems)
    held = etree.SubElement(root, f"{{{names.RIM}}}RegistryObjectList")
    for each in found:
        if leaf:
            held.append(each.element)
        else:
            etree.SubElement(held, f"{{{names.RIM}}}ObjectRef", id=each.id)
    return root


def retrieve_response(
    repository_id: str, found: Sequence[Retrieved], problems: Sequence[Problem]
) -> tuple[etree._Element, list[Attachment]]:
    """Some found and some not is PartialSuccess (IHE ITI TF-2 §3.43.4.2.3)."""
    root = etree.Element(f"{{{names.XDSB}}}RetrieveDocumentSetResponse", nsmap={"xdsb": names.XDSB, **_NSMAP})
    response = registry_response(problems)
    if found and problems:
        response.set("status", names.PARTIAL)
    root.append(response)
    attachments = []
    for number, each in enumerate(found, 1):
        cid = f"document-{number}@pli"
        held = etree.SubElement(root, f"{{{names.XDSB}}}DocumentResponse")
        _text(held, "RepositoryUniqueId", repository_id)
        _text(held, "DocumentUniqueId", each.unique_id)
        _text(held, "mimeType", each.mime_type)
        etree.SubElement(held, f"{{{names.XDSB}}}Document").append(include(cid))
        attachments.append(Attachment(cid, each.mime_type, each.data))
    return root, attachments


def _errors(root: etree._Element, problems: Sequence[Problem]) -> None:
    if not problems:
        return
    held = etree.SubElement(root, f"{{{names.RS}}}RegistryErrorList", highestSeverity=names.SEVERITY_ERROR)
    for problem in problems:
        etree.SubElement(
            held,
            f"{{{names.RS}}}RegistryError",
            errorCode=problem.code,
            codeContext=problem.context,
            severity=names.SEVERITY_ERROR,
            location="",
        )


def _text(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, f"{{{names.XDSB}}}{name}").text = text
