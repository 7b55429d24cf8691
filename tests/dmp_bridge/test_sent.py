"""What our client sends, as it leaves for the host: each message is valid by the schemas of the standards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from certs.xml import parse
from dmp_bridge import ebrim, mtom
from dmp_bridge.model import Code, Document, Ins
from dmp_bridge.norms import norm
from relay.model import Done

HL7 = "urn:hl7-org:v3"
SOAP = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://www.w3.org/2005/08/addressing"
MASK = Code("MASQUE_PS", "1.2.250.1.213.1.1.4.13", "Masqué aux professionnels de santé")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The envelopes of all requests, taken off the wire's last step; what is sent stays as it was."""
    heard: list[bytes] = []
    cut = mtom.cut

    def kept(parts: Iterable[bytes]) -> Any:
        whole = list(parts)
        joined = b"".join(whole)
        heard.append(joined[joined.index(b"<s:Envelope") : joined.index(b"</s:Envelope>") + 13])
        return cut(whole)

    monkeypatch.setattr("dmp_bridge.dmp.mtom.cut", kept)
    return heard


@pytest.fixture
def all_of_them(
    bridge: Any, dossier_host: Callable[..., str], report: Document, lot: ebrim.Submission, sent: list[bytes]
) -> list[etree._Element]:
    """One message of each kind that we have, to a real host that takes it: TD0.2, ITI-41 twice, four questions, a
    retrieval, two changes of attributes and of status."""
    client, patient = bridge.client(dossier_host()), report.patient.ins
    assert isinstance(patient, Ins)
    client.existence(patient)
    assert isinstance(client.submit([report], lot, patient), Done)
    (held,) = client.find([report.unique_id])
    newer = replace(report, unique_id="2.25.77", raw=report.raw + b"<!-- 2 -->")
    replacing = [ebrim.Replacement("2.25.77", held.entry_id)]
    assert isinstance(client.submit([newer], replace(lot, unique_id="2.25.3"), patient, replacing, [MASK]), Done)
    assert client.find_by_patient(patient)
    assert isinstance(client.locate("2.25.77", patient), tuple)
    assert isinstance(client.fetch("2.25.77"), bytes)
    (held,) = client.find(["2.25.77"])
    normal = [Code("N", "2.16.840.1.113883.5.25", "Normal")]
    assert isinstance(client.set_confidentiality(held, normal, replace(lot, unique_id="2.25.4"), patient), Done)
    (held,) = [each for each in client.find(["2.25.77"]) if each.approved]
    deleted = client.profile.norm.deleted
    answer = client.set_status(held.entry_id, held.status, deleted, replace(lot, unique_id="2.25.5"), patient)
    assert isinstance(answer, Done)
    messages = [parse(each) for each in sent]
    return [each for each in messages if each.find(f"{{{SOAP}}}Header/{{{ADDRESSING}}}RelatesTo") is None]


@pytest.fixture(scope="module")
def schemas(corpus: Path) -> dict[str, etree.XMLSchema]:
    """By the namespace of what they define."""
    files = {
        "urn:ihe:iti:xds-b:2007": "XDS.b_DocumentRepository.xsd",
        "urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0": "lcm.xsd",
        "urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0": "query.xsd",
    }
    return {name: etree.XMLSchema(etree.parse(str(corpus / "xds/schema" / file))) for name, file in files.items()}


def in_line(body: etree._Element) -> etree._Element:
    """The body as the schema knows it: what travels beside the message stands in it as base64 (dossier.md §7.2)."""
    for each in list(body.iter("{http://www.w3.org/2004/08/xop/include}Include")):
        holder = each.getparent()
        assert holder is not None
        holder.remove(each)
        holder.text = "AA=="
    return body


@pytest.mark.corpus
def test_all_that_we_send_is_valid(all_of_them: list[etree._Element], schemas: dict[str, etree.XMLSchema]) -> None:
    """The body of each. The HL7 v3 question has no schema in the corpus, which holds the envelope of SOAP 1.1 only."""
    kinds = []
    for envelope in all_of_them:
        (body,) = envelope.find(f"{{{SOAP}}}Body")  # type: ignore[misc]
        name = etree.QName(body)
        kinds.append(name.localname)
        if name.namespace != HL7:
            schemas[str(name.namespace)].assertValid(in_line(body))
    assert set(kinds) == {
        "PRPA_IN201307UV02", "ProvideAndRegisterDocumentSetRequest", "AdhocQueryRequest",
        "RetrieveDocumentSetRequest", "SubmitObjectsRequest",
    }  # fmt: skip


def mixed(body: etree._Element) -> etree._Element:
    """The first element, but the list of objects, with children of two kinds; the body itself where it has them."""
    lists = "{urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0}RegistryObjectList"
    return next(each for each in body.iter() if each.tag != lists and len({child.tag for child in each}) > 1)


@pytest.mark.corpus
def test_what_is_not_valid_is_seen(all_of_them: list[etree._Element], schemas: dict[str, etree.XMLSchema]) -> None:
    """The twin: each of the same messages with elements in another order is not valid."""
    for envelope in all_of_them:
        (body,) = envelope.find(f"{{{SOAP}}}Body")  # type: ignore[misc]
        name = etree.QName(body)
        if name.namespace != HL7:
            held = mixed(in_line(body))
            held[:] = reversed(held)
            assert not schemas[str(name.namespace)].validate(body), name.localname


@pytest.mark.corpus
def test_every_message_says_what_it_wants(all_of_them: list[etree._Element]) -> None:
    """WS-Addressing (dossier.md §1.3): one action that must be understood, its own id, an anonymous ReplyTo."""
    ids = []
    for envelope in all_of_them:
        header = envelope.find(f"{{{SOAP}}}Header")
        assert header is not None
        (action,) = header.findall(f"{{{ADDRESSING}}}Action")
        assert action.get(f"{{{SOAP}}}mustUnderstand") in ("1", "true")
        ids.append(header.findtext(f"{{{ADDRESSING}}}MessageID"))
        reply = header.findtext(f"{{{ADDRESSING}}}ReplyTo/{{{ADDRESSING}}}Address")
        assert reply == f"{ADDRESSING}/anonymous"
    assert len(set(ids)) == len(ids)


def test_what_a_host_wants_to_be_called_is_data(
    bridge: Any, dossier_host: Callable[..., str], report: Document, sent: list[bytes]
) -> None:
    """TD0.2 names the device of the host's norm and our own source; another norm, another device."""
    other = replace(norm("regional"), device="2.25.99")
    client = bridge.client(dossier_host(), norm=other)
    client.existence(report.patient.ins)
    question = parse(sent[0])
    devices = {
        name: question.find(f".//{{{HL7}}}{name}/{{{HL7}}}device/{{{HL7}}}id").get("root")  # type: ignore[union-attr]
        for name in ("receiver", "sender")
    }
    assert devices == {"receiver": "2.25.99", "sender": "2.25.2"}
    assert norm("national").device == "1.2.250.1.213.4.1.1.1"
