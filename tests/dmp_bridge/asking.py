"""A dossier host asked without its door, and submissions of the corpus to hand it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree

from certs.xml import parse
from dmp_bridge import mtom, soap
from dmp_bridge.host import names, services
from dmp_bridge.host.contents import Contents
from dmp_bridge.host.registry import Registry
from dmp_bridge.host.tables import open_store

REPOSITORY_ID = "2.25.7"
RIM, XDSB = f"{{{names.RIM}}}", f"{{{names.XDSB}}}"
APPROVED, DEPRECATED = names.APPROVED, names.DEPRECATED


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A host's registry and repository, without its door."""
    engine = open_store(tmp_path / "dossiers.db")
    return Registry(engine, Contents(tmp_path / "documents"), REPOSITORY_ID, lambda: datetime.now(UTC))


def ask(registry: Registry, service: str, action: str, body: etree._Element, *documents: bytes) -> soap.Soap:
    attachments = [soap.Attachment(f"d{n}@test", "text/xml", data) for n, data in enumerate(documents, 1)]
    kind, data = soap.encode(action, body, attachments, mtom=service == "repository")
    return answer(registry, service, kind, data)


def answer(registry: Registry, service: str, kind: str, data: bytes) -> soap.Soap:
    house, batch, caller = services.House(registry), registry.contents.batch(), "c" * 64
    try:
        reader = mtom.Reader(kind, batch.sink)
        reader.feed(data)
        reply = services.answer(house, service, reader, batch, b"", caller)
    except soap.SoapRefused as refusal:
        batch.drop()
        reply = services.refused(house, service, refusal, caller)
    return soap.decode(reply.content_type, reply.data)


def outcome(reply: soap.Soap) -> str:
    """'Success', the error codes, or 'fault CODE'."""
    if reply.fault is not None:
        return f"fault {reply.fault.code}"
    assert reply.body is not None
    codes = [str(each.get("errorCode")) for each in reply.body.iter(f"{{{names.RS}}}RegistryError")]
    found = next(iter(reply.body.iter(f"{{{names.RS}}}RegistryResponse")), reply.body)
    return ",".join(sorted(set(codes))) or str(found.get("status")).rpartition(":")[2]


def submission(corpus: Path, name: str = "pnr.xml") -> etree._Element:
    """A submission of the corpus, with an xop:Include for each of its entries."""
    root = parse((corpus / "xds/messages" / name).read_bytes())
    for number, entry in enumerate(root.iter(f"{RIM}ExtrinsicObject"), 1):
        held = etree.SubElement(root, f"{XDSB}Document", id=str(entry.get("id")))
        held.append(soap.include(f"d{number}@test"))
    return root


def renamed(root: etree._Element, **changes: str) -> etree._Element:
    """The same submission with other texts: by plain replacement in its XML."""
    text = etree.tostring(root).decode()
    for old, new in changes.items():
        text = text.replace(old.replace("_", "."), new)
    return etree.fromstring(text.encode())


def request(query_id: str, leaf: bool = True, **slots: str) -> etree._Element:
    """An AdhocQueryRequest; the names of its parameters without the dollar."""
    root = etree.Element(f"{{{names.QUERY}}}AdhocQueryRequest")
    option = etree.SubElement(root, f"{{{names.QUERY}}}ResponseOption", returnComposedObjects="true")
    option.set("returnType", "LeafClass" if leaf else "ObjectRef")
    query = etree.SubElement(root, f"{RIM}AdhocQuery", id=f"urn:uuid:{query_id}")
    for name, value in slots.items():
        slot = etree.SubElement(query, f"{RIM}Slot", name=f"${name}")
        etree.SubElement(etree.SubElement(slot, f"{RIM}ValueList"), f"{RIM}Value").text = value
    return root


def find(registry: Registry, query_id: str, leaf: bool = True, **slots: str) -> list[etree._Element]:
    """What a query that succeeds finds."""
    reply = ask(registry, "registry", names.STORED_QUERY, request(query_id, leaf, **slots))
    assert outcome(reply) == "Success"
    assert reply.body is not None
    return reply.body.findall(f"{RIM}RegistryObjectList/*")


GET_DOCUMENTS = "5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4"
FIND_DOCUMENTS = "14d4debf-8f97-4251-9a74-a90016b0af0d"
WHOSE = "'53ff11cb404344e^^^&1.3.6.1.4.1.21367.2005.3.7&ISO'"


def whole_dossier(registry: Registry) -> list[etree._Element]:
    statuses = ("XDSDocumentEntryStatus", "XDSSubmissionSetStatus", "XDSFolderStatus")
    approved = dict.fromkeys(statuses, f"('{APPROVED}')")
    return find(registry, "10b545ea-725c-446d-9b95-8aeb444eddf3", patientId=WHOSE, **approved)


def replacing(corpus: Path, target: str) -> etree._Element:
    """A submission with new ids whose first entry replaces `target`."""
    root = renamed(submission(corpus), **{"20100312105241": "20100312105242"})
    held = root.find(f"{{{names.LCM}}}SubmitObjectsRequest/{RIM}RegistryObjectList")
    assert held is not None
    link = etree.SubElement(held, f"{RIM}Association", id="Replacement01", associationType=names.RPLC)
    link.set("sourceObject", "Document01")
    link.set("targetObject", target)
    return root
