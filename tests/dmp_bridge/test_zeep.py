"""zeep, a SOAP client that nobody here wrote, reads our host's answers by the schemas of the standard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import zeep
from lxml import etree
from zeep.transports import Transport
from zeep.wsa import WsAddressingPlugin

from dmp_bridge import soap
from dmp_bridge.model import Document
from relay.model import Done

WSDL = """<?xml version="1.0"?>
<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap12/"
    xmlns:query="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" xmlns:x="urn:test" targetNamespace="urn:test">
  <types><xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
    <xs:import namespace="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" schemaLocation="{schema}"/>
  </xs:schema></types>
  <message name="ask"><part name="body" element="query:AdhocQueryRequest"/></message>
  <message name="told"><part name="body" element="query:AdhocQueryResponse"/></message>
  <portType name="registry"><operation name="find">
    <input message="x:ask"/><output message="x:told"/></operation></portType>
  <binding name="registry12" type="x:registry">
    <soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
    <operation name="find"><soap:operation soapAction="urn:ihe:iti:2007:RegistryStoredQuery"/>
      <input><soap:body use="literal"/></input><output><soap:body use="literal"/></output></operation>
  </binding>
  <service name="host"><port name="registry" binding="x:registry12"><soap:address location="{url}"/></port></service>
</definitions>
"""
GET_DOCUMENTS = "urn:uuid:5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4"


@pytest.fixture
def service(site: Any, corpus: Path, tmp_path: Path, dossier_host: Callable[..., str]) -> Any:
    """zeep's client of the registry, over mutual TLS; and the host's URL."""
    url = dossier_host()
    wsdl = tmp_path / "registry.wsdl"
    schema = str(corpus / "xds/schema/query.xsd")
    wsdl.write_text(WSDL.format(schema=schema, url=f"{url}/registry"))
    session = requests.Session()
    session.cert = tuple(map(str, site.client))
    session.trust_env = False
    session.verify = str(next((site.trust_folder / "anchors").glob("*.pem")))
    plugin = WsAddressingPlugin()
    settings = zeep.Settings(strict=False)
    client = zeep.Client(str(wsdl), transport=Transport(session=session), plugins=[plugin], settings=settings)
    return client, url


def asked(unique_id: str, query: str = GET_DOCUMENTS) -> dict[str, Any]:
    value = {"_value_1": [{"Value": f"('{unique_id}')"}]}
    slot = {"name": "$XDSDocumentEntryUniqueId", "ValueList": value}
    return {
        "ResponseOption": {"returnComposedObjects": True, "returnType": "LeafClass"},
        "AdhocQuery": {"id": query, "Slot": [slot]},
    }


@pytest.mark.corpus
def test_zeep_finds_what_was_filed(service: Any, bridge: Any, report: Document, lot: Any) -> None:
    """Its strict reading of our answer gives the entry with its hash, size, title and codes."""
    client, url = service
    assert isinstance(bridge.client(url).submit([report], lot, report.patient.ins), Done)
    answer = client.service.find(**asked(report.unique_id))
    assert answer.status.endswith(":Success")
    # zeep knows no substitution groups: it leaves the object raw, and reads it by its own element when asked.
    (raw,) = answer.RegistryObjectList._raw_elements
    entry = client.get_element(raw.tag).parse(raw, client.wsdl.types)
    slots = {each.name: [value["Value"] for value in each.ValueList._value_1] for each in entry.Slot}
    assert slots["size"] == [str(len(report.raw))]
    assert slots["repositoryUniqueId"] == ["2.25.7"]
    assert entry.mimeType == "text/xml"
    assert {each.value for each in entry.ExternalIdentifier} >= {report.unique_id}
    (title,) = entry.Name._value_1
    assert title["LocalizedString"].value == report.title


@pytest.mark.corpus
def test_zeep_reads_that_nothing_is_there(service: Any) -> None:
    """An empty list is an answer."""
    answer = service[0].service.find(**asked("1.2.3"))
    assert answer.status.endswith(":Success")
    assert not answer.RegistryObjectList or not answer.RegistryObjectList._raw_elements


@pytest.mark.corpus
def test_zeep_reads_a_refusal(service: Any) -> None:
    """The twin: an unknown query is refused by its code, in a list that zeep reads."""
    answer = service[0].service.find(**asked("1.2.3", "urn:uuid:00000000-0000-4000-8000-000000000000"))
    assert answer.status.endswith(":Failure")
    assert [each.errorCode for each in answer.RegistryErrorList.RegistryError] == ["XDSUnknownStoredQuery"]


@pytest.mark.corpus
def test_the_answers_are_valid_by_the_schemas(
    bridge: Any, dossier_host: Callable[..., str], corpus: Path, report: Document, lot: Any, monkeypatch: Any
) -> None:
    """Every answer that the host gives our client, success, failure or document, is valid by the standard's schemas."""
    seen: list[etree._Element] = []
    decode = soap.opened

    def kept(reader: Any) -> Any:
        answer = decode(reader)
        seen.append(answer.body)
        return answer

    monkeypatch.setattr("dmp_bridge.dmp.soap.opened", kept)
    client = bridge.client(dossier_host())
    client.submit([report], lot, report.patient.ins)
    client.submit([report], lot, report.patient.ins)
    client.find([report.unique_id])
    (entry,) = client.find([report.unique_id])
    client.set_status(entry.entry_id, entry.status, "urn:x", lot, report.patient.ins)
    schemas = {
        "rs": etree.XMLSchema(etree.parse(str(corpus / "xds/schema/rs.xsd"))),
        "query": etree.XMLSchema(etree.parse(str(corpus / "xds/schema/query.xsd"))),
    }
    assert len(seen) == 5
    for body in seen:
        kind = "query" if body.tag.endswith("AdhocQueryResponse") else "rs"
        schemas[kind].assertValid(body)
