"""The dossier host: what it takes, refuses, stores and finds."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from lxml import etree

from dmp_bridge import soap
from dmp_bridge.host import names
from dmp_bridge.host.registry import Registry
from tests.dmp_bridge.asking import (
    APPROVED,
    DEPRECATED,
    GET_DOCUMENTS,
    REPOSITORY_ID,
    RIM,
    XDSB,
    answer,
    ask,
    find,
    outcome,
    renamed,
    replacing,
    submission,
    whole_dossier,
)

# --- rules against the store ---------------------------------------------------------------------------


@pytest.mark.corpus
def test_nothing_of_a_refused_lot_is_kept(registry: Registry, corpus: Path) -> None:
    """All or nothing: where one document of two is known already, neither row nor file of the other stays."""
    first = submission(corpus)
    assert outcome(ask(registry, "repository", names.PROVIDE, first, b"one", b"two")) == "Success"
    files = registry.contents.names()
    second = renamed(first, **{"20100312105241_4": "20100312105241.5", "20100312105241_3": "20100312105241.6"})
    reply = ask(registry, "repository", names.PROVIDE, second, b"one", b"other")
    assert outcome(reply) == "XDSDuplicateUniqueIdInRegistry"
    assert registry.contents.names() == files
    with registry.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM entries").scalar() == 2


@pytest.mark.corpus
def test_other_bytes_under_a_known_id_are_refused_by_their_own_code(registry: Registry, corpus: Path) -> None:
    """A uniqueId that is known with other bytes is XDSNonIdenticalHash, not a plain duplicate."""
    root = submission(corpus)
    ask(registry, "repository", names.PROVIDE, root, b"one", b"two")
    again = ask(registry, "repository", names.PROVIDE, submission(corpus), b"uno", b"two")
    assert outcome(again) == "XDSNonIdenticalHash"


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("slot", "value", "expected"),
    [
        ("hash", hashlib.sha1(b"one", usedforsecurity=False).hexdigest(), "Success"),
        ("hash", "0" * 40, "XDSRepositoryMetadataError"),
        ("size", "3", "Success"),
        ("size", "4", "XDSRepositoryMetadataError"),
    ],
)
def test_hash_and_size_are_those_of_the_bytes(
    registry: Registry, corpus: Path, slot: str, value: str, expected: str
) -> None:
    """A hash or size in the metadata that is not that of the document is refused."""
    root = submission(corpus)
    entry = next(root.iter(f"{RIM}ExtrinsicObject"))
    held = etree.Element(f"{RIM}Slot", name=slot)
    etree.SubElement(etree.SubElement(held, f"{RIM}ValueList"), f"{RIM}Value").text = value
    entry.insert(0, held)
    assert outcome(ask(registry, "repository", names.PROVIDE, root, b"one", b"two")) == expected


@pytest.mark.corpus
def test_documents_and_entries_are_one_to_one(registry: Registry, corpus: Path) -> None:
    """A document without an entry is refused, as is an entry without a document."""
    extra = submission(corpus)
    etree.SubElement(extra, f"{XDSB}Document", id="nobody").append(soap.include("d1@test"))
    reply = ask(registry, "repository", names.PROVIDE, extra, b"one", b"two")
    assert outcome(reply) == "XDSMissingDocumentMetadata"
    lacking = submission(corpus)
    lacking.remove(lacking.findall(f"{XDSB}Document")[0])
    reply = ask(registry, "repository", names.PROVIDE, lacking, b"one", b"two")
    assert outcome(reply) == "XDSMissingDocument"


@pytest.mark.corpus
def test_one_patient_per_submission(registry: Registry, corpus: Path) -> None:
    """Where an entry names another patient than its SubmissionSet, the lot is refused."""
    root = submission(corpus)
    found = next(root.iter(f"{RIM}ExternalIdentifier"))
    found.set("value", "another^^^&1.3.6.1.4.1.21367.2005.3.7&ISO")
    reply = ask(registry, "repository", names.PROVIDE, root, b"one", b"two")
    assert outcome(reply) == "XDSPatientIdDoesNotMatch"


@pytest.mark.corpus
def test_a_patient_list_decides_who_has_a_dossier(registry: Registry, corpus: Path) -> None:
    """With a list of patients, one who is not on it is unknown; one who is on it is served."""
    registry.admit(["somebody^^^&1.2.3&ISO"])
    reply = ask(registry, "repository", names.PROVIDE, submission(corpus), b"one", b"two")
    assert outcome(reply) == "XDSUnknownPatientId"
    registry.admit(["53ff11cb404344e^^^&1.3.6.1.4.1.21367.2005.3.7&ISO"])
    reply = ask(registry, "repository", names.PROVIDE, submission(corpus), b"one", b"two")
    assert outcome(reply) == "Success"


@pytest.mark.corpus
def test_a_replaced_document_is_deprecated_once(registry: Registry, corpus: Path) -> None:
    """RPLC makes the old entry Deprecated; a second RPLC of it is refused."""
    ask(registry, "repository", names.PROVIDE, submission(corpus), b"one", b"two")
    unique = "('1.42.20100312105241.2')"
    old = find(registry, GET_DOCUMENTS, XDSDocumentEntryUniqueId=unique)[0]
    assert old.get("status") == APPROVED
    reply = ask(registry, "repository", names.PROVIDE, replacing(corpus, str(old.get("id"))), b"1", b"2")
    assert outcome(reply) == "Success"
    assert find(registry, GET_DOCUMENTS, XDSDocumentEntryUniqueId=unique)[0].get("status") == DEPRECATED
    third = renamed(replacing(corpus, str(old.get("id"))), **{"20100312105242": "20100312105243"})
    reply = ask(registry, "repository", names.PROVIDE, third, b"1", b"2")
    assert outcome(reply) == "XDSRegistryDeprecatedDocumentError"


@pytest.mark.corpus
def test_what_is_replaced_must_be_here(registry: Registry, corpus: Path) -> None:
    """An association to an entry that the registry does not know is refused."""
    nowhere = "urn:uuid:00000000-0000-4000-8000-000000000000"
    reply = ask(registry, "repository", names.PROVIDE, replacing(corpus, nowhere), b"1", b"2")
    assert outcome(reply) == "UnresolvedReferenceException"


@pytest.mark.corpus
def test_answers_are_valid_by_the_schema(registry: Registry, corpus: Path) -> None:
    """What the registry gives back is valid by the ebXML schema: element order, ids, required attributes."""
    ask(registry, "repository", names.PROVIDE, submission(corpus), b"one", b"two")
    root = etree.Element(f"{{{names.QUERY}}}AdhocQueryResponse", status=names.SUCCESS)
    held = etree.SubElement(root, f"{RIM}RegistryObjectList")
    for each in whole_dossier(registry):
        held.append(each)
    rules = etree.XMLSchema(etree.parse(corpus / "xds/schema/query.xsd"))
    rules.assertValid(etree.fromstring(etree.tostring(root)))


@pytest.mark.corpus
def test_some_found_and_some_not_is_a_partial_success(registry: Registry, corpus: Path) -> None:
    """ITI-43 for one known and one unknown document answers the first and an error for the second."""
    ask(registry, "repository", names.PROVIDE, submission(corpus), b"one", b"two")
    root = etree.Element(f"{XDSB}RetrieveDocumentSetRequest")
    for unique in ("1.42.20100312105241.2", "1.2.3"):
        wanted = etree.SubElement(root, f"{XDSB}DocumentRequest")
        etree.SubElement(wanted, f"{XDSB}RepositoryUniqueId").text = REPOSITORY_ID
        etree.SubElement(wanted, f"{XDSB}DocumentUniqueId").text = unique
    reply = ask(registry, "repository", names.RETRIEVE, root)
    assert reply.body is not None
    response = reply.body.find(f"{{{names.RS}}}RegistryResponse")
    assert response is not None
    assert response.get("status") == names.PARTIAL
    assert outcome(reply) == "XDSDocumentUniqueIdError"
    documents = reply.body.findall(f"{XDSB}DocumentResponse/{XDSB}Document")
    assert [soap.content(each, reply.attachments) for each in documents] == [b"one"]


# --- privacy -------------------------------------------------------------------------------------------


@pytest.mark.corpus
def test_accesses_are_journalled_without_identity(registry: Registry, corpus: Path) -> None:
    """Every access leaves a row with who asked and how it went; no row and no file name says about whom."""
    ask(registry, "repository", names.PROVIDE, submission(corpus), b"one", b"two")
    find(registry, GET_DOCUMENTS, XDSDocumentEntryUniqueId="('1.42.20100312105241.2')")
    answer(registry, "registry", "text/plain", b"nonsense")
    with registry.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT action, certificate, outcome, objects FROM accesses").all()
    assert [(row[0].rpartition(":")[2], row[2], row[3]) for row in rows] == [
        ("ProvideAndRegisterDocumentSet-b", "Success", 2),
        ("RegistryStoredQuery", "Success", 1),
        ("registry", "fault Sender", 0),
    ]
    written = repr(rows) + repr(registry.contents.names())
    assert "53ff11cb404344e" not in written
    assert "1.42.2010" not in written
