"""ebRIM metadata: valid by the schema, and saying what the document says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

from dmp_bridge import cda, ebrim
from dmp_bridge.model import Code, Document

RIM = {"rim": ebrim.RIM}


def slots(element: etree._Element) -> dict[str, list[str]]:
    return {
        slot.get("name", ""): [value.text or "" for value in slot.iter(f"{{{ebrim.RIM}}}Value")]
        for slot in element.findall("rim:Slot", RIM)
    }


@pytest.fixture(scope="module")
def schema(corpus: Path) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(corpus / "xds" / "schema" / "lcm.xsd")))


@pytest.mark.corpus
def test_metadata_of_every_example_are_valid(corpus: Path, schema: etree.XMLSchema, lot: ebrim.Submission) -> None:
    """The metadata of each of the 94 examples are valid by lcm.xsd, whether for an archive or for ITI-41."""
    for path in sorted((corpus / "cda" / "ExemplesCDA").glob("*.xml")):
        document = cda.read(path.read_bytes())
        assert isinstance(document, Document)
        assert document.patient.ins
        uris = {document.unique_id: "DOC0001.XML"}
        for given in (None, uris):
            built = ebrim.submit_objects([document], lot, document.patient.ins, uris=given)
            assert schema.validate(built), f"{path.name}: {schema.error_log}"


@pytest.mark.corpus
def test_a_replacement_is_an_association(schema: etree.XMLSchema, report: Document, lot: ebrim.Submission) -> None:
    """RPLC goes from the new entry to the old entryUUID, and the whole stays valid."""
    assert report.patient.ins
    old = ebrim.Replacement(report.unique_id, "urn:uuid:11111111-2222-3333-4444-555555555555")
    built = ebrim.submit_objects([report], lot, report.patient.ins, replacements=[old])
    assert schema.validate(built), schema.error_log
    found = [
        item for item in built.iter(f"{{{ebrim.RIM}}}Association") if item.get("associationType") == ebrim.REPLACES
    ]
    assert [(item.get("sourceObject"), item.get("targetObject")) for item in found] == [("Document01", old.entry_id)]


def test_an_entry_says_what_the_document_says(report: Document, lot: ebrim.Submission) -> None:
    """Times in UTC, hash and size of the exact bytes, the patient by his INS."""
    assert report.patient.ins
    entry = ebrim.submit_objects([report], lot, report.patient.ins).find(".//rim:ExtrinsicObject", RIM)
    assert entry is not None
    held = slots(entry)
    assert held["creationTime"] == ["20261125093000"]
    assert held["size"] == [str(len(report.raw))]
    assert held["hash"] == [ebrim.sha1(report.raw)]
    assert held["languageCode"] == ["fr-FR"]
    assert held["legalAuthenticator"] == ["810100000017^LEROUX^Hélène^^^^^^&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS"]
    assert "PID-5|PAT-TROIS^DOMINIQUE^^^^^L" in held["sourcePatientInfo"]
    assert "URI" not in held
    identifiers = {item.get("value") for item in entry.findall("rim:ExternalIdentifier", RIM)}
    assert identifiers == {report.unique_id, "279035121518989^^^&1.2.250.1.213.1.4.10&ISO^NH"}


def test_a_version_above_one_is_marked_as_a_replacement(report: Document, lot: ebrim.Submission) -> None:
    """In an archive the extra slot says C; the first version carries none."""
    assert report.patient.ins
    for version, expected in ((1, None), (2, ["C"])):
        document = replace(report, version=version)
        built = ebrim.submit_objects([document], lot, report.patient.ins, uris={report.unique_id: "DOC0001.XML"})
        entry = built.find(".//rim:ExtrinsicObject", RIM)
        assert entry is not None
        assert slots(entry).get(ebrim.ACTION_SLOT) == expected


def test_a_type_without_class_is_refused_loudly(report: Document, lot: ebrim.Submission) -> None:
    """101881-1 is in the list of types and in no association: nothing is invented."""
    assert report.patient.ins
    document = replace(report, type=Code("101881-1", "2.16.840.1.113883.6.1", "Carte d'implant"))
    with pytest.raises(ebrim.TypeUnknown):
        ebrim.submit_objects([document], lot, report.patient.ins)


def test_a_separator_in_a_name_grows_no_field(report: Document, lot: ebrim.Submission) -> None:
    """A caret in a family name is no HL7 separator: the identifier stays where it is."""
    author = replace(report.authors[0], family_name="LE^ROUX&1.2.3&ISO|~\\")
    assert ebrim.person_xcn(author).split("^")[1] == "LE ROUX 1.2.3 ISO"
    assert ebrim.person_xcn(author).count("^") == ebrim.person_xcn(report.authors[0]).count("^")


def test_a_system_and_a_patient_are_authors_of_their_own_kind(report: Document) -> None:
    """U and RI for a device, NH for the patient, who has no institution."""
    system = replace(report.authors[0], person_id="1750000018/7", is_system=True)
    assert ebrim.person_xcn(system).endswith("^U^^^RI")
    patient = replace(report.authors[0], person_root="1.2.250.1.213.1.4.10", institution_id="")
    assert ebrim.person_xcn(patient).endswith("^D^^^NH")
    assert ebrim.institution_xon(patient) == ""


@pytest.mark.corpus
def test_older_metadata_are_listed_too(corpus: Path) -> None:
    """ebRIM 3.0 in another prefix is read by local names; a document without entries lists none."""
    data = (corpus / "xds" / "xdm" / "minimal" / "IHE_XDM" / "SUBSET" / "METADATA.xml").read_bytes()
    (item,) = ebrim.listed(etree.fromstring(data))
    assert (item.uri, item.size, item.mime_type) == ("DOC.TXT", "11", "text/plain")
    assert ebrim.listed(etree.fromstring(b"<a/>")) == ()
