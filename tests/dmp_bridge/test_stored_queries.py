"""Stored queries (ITI-18, ITI-51): each of the standard's finds what was stored, and only that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from dmp_bridge.host import names
from dmp_bridge.host.query import SHAPES
from dmp_bridge.host.registry import Registry
from tests.dmp_bridge.asking import (
    APPROVED,
    DEPRECATED,
    FIND_DOCUMENTS,
    GET_DOCUMENTS,
    RIM,
    WHOSE,
    ask,
    find,
    outcome,
    renamed,
    replacing,
    request,
    submission,
    whole_dossier,
)

REFERENCE = "77777^^^&1.2.3&ISO^urn:ihe:iti:xds:2013:accession"
ENTRY = "1.42.20100312105241.2"


@pytest.mark.corpus
def test_find_documents_by_status_and_code(registry: Registry, corpus: Path) -> None:
    """FindDocuments answers by patient, status and code; another code or status finds nothing."""
    ask(registry, "repository", names.PROVIDE, submission(corpus), b"one", b"two")
    base = {"XDSDocumentEntryPatientId": WHOSE, "XDSDocumentEntryStatus": f"('{APPROVED}')"}
    assert len(find(registry, FIND_DOCUMENTS, **base)) == 2
    code = "('Communication^^Connect-a-thon classCodes','x^^y')"
    assert len(find(registry, FIND_DOCUMENTS, XDSDocumentEntryClassCode=code, **base)) == 1
    assert find(registry, FIND_DOCUMENTS, XDSDocumentEntryClassCode="('x^^y')", **base) == []
    assert find(registry, FIND_DOCUMENTS, **{**base, "XDSDocumentEntryStatus": f"('{DEPRECATED}')"}) == []
    assert [each.tag for each in find(registry, FIND_DOCUMENTS, leaf=False, **base)] == [f"{RIM}ObjectRef"] * 2


@pytest.mark.corpus
def test_find_documents_by_time(registry: Registry, corpus: Path) -> None:
    """A time range takes its beginning in and leaves its end out."""
    ask(registry, "repository", names.PROVIDE, submission(corpus), b"one", b"two")
    base = {"XDSDocumentEntryPatientId": WHOSE, "XDSDocumentEntryStatus": f"('{APPROVED}')"}
    inside = {"XDSDocumentEntryServiceStartTimeFrom": "'200512240800'"}
    outside = {"XDSDocumentEntryServiceStartTimeTo": "'200512240800'"}
    assert len(find(registry, FIND_DOCUMENTS, **base, **inside)) == 2
    assert find(registry, FIND_DOCUMENTS, **base, **outside) == []


def tags(found: list[etree._Element]) -> list[str]:
    return sorted(etree.QName(each).localname for each in found)


@pytest.mark.corpus
def test_the_other_queries(registry: Registry, corpus: Path) -> None:
    """Submission sets, associations and whole dossiers are found; folders never are."""
    ask(registry, "repository", names.PROVIDE, submission(corpus), b"one", b"two")
    entry = str(find(registry, GET_DOCUMENTS, XDSDocumentEntryUniqueId="('1.42.20100312105241.2')")[0].get("id"))
    approved = f"('{APPROVED}')"
    held = {"XDSSubmissionSetPatientId": WHOSE, "XDSSubmissionSetStatus": approved}
    lots = find(registry, "f26abbcb-ac74-4422-8a30-edb644bbc1a9", **held)
    assert tags(lots) == ["RegistryPackage"]
    assert tags(find(registry, "a7ae438b-4bc2-4642-93e9-be891f7bb155", uuid=f"('{entry}')")) == ["Association"]
    owners = find(registry, "51224314-5390-4169-9b91-b1980040715a", uuid=f"('{entry}')")
    assert tags(owners) == ["Association", "RegistryPackage"]
    whole = whole_dossier(registry)
    assert tags(whole) == ["Association"] * 2 + ["ExtrinsicObject"] * 2 + ["RegistryPackage"]
    unique = "'1.42.20100312105241.4'"
    contents = find(registry, "e8e3cb2c-e39c-46b9-99e4-c12f57260b83", XDSSubmissionSetUniqueId=unique)
    assert tags(contents) == tags(whole)
    folders = {"XDSFolderPatientId": WHOSE, "XDSFolderStatus": approved}
    assert find(registry, "958f3006-baad-4929-a4de-ff1114824431", **folders) == []


# --- the other standard queries ------------------------------------------------------------------------


@pytest.fixture
def filled(registry: Registry, corpus: Path) -> str:
    """A lot of two, one with a reference id, and another lot that replaces its first; the id of the replaced entry."""
    root = submission(corpus)
    first = next(root.iter(f"{RIM}ExtrinsicObject"))
    slot = etree.Element(f"{RIM}Slot", name=names.REFERENCE_IDS)
    etree.SubElement(etree.SubElement(slot, f"{RIM}ValueList"), f"{RIM}Value").text = REFERENCE
    first.insert(0, slot)
    assert outcome(ask(registry, "repository", names.PROVIDE, root, b"one", b"two")) == "Success"
    old = str(find(registry, GET_DOCUMENTS, XDSDocumentEntryUniqueId=f"('{ENTRY}')")[0].get("id"))
    assert outcome(ask(registry, "repository", names.PROVIDE, replacing(corpus, old), b"1", b"2")) == "Success"
    return old


@pytest.mark.corpus
def test_documents_and_what_links_them(registry: Registry, filled: str) -> None:
    """GetDocumentsAndAssociations: the entry, its membership and what replaced it; of nothing, nothing."""
    query = "bab9529a-4a10-40b3-a01f-f68a615d247a"
    assert tags(find(registry, query, XDSDocumentEntryEntryUUID=f"('{filled}')")) == [
        "Association", "Association", "ExtrinsicObject"
    ]  # fmt: skip
    assert find(registry, query, XDSDocumentEntryUniqueId="('1.2.3')") == []


@pytest.mark.corpus
def test_related_documents(registry: Registry, filled: str) -> None:
    """GetRelatedDocuments: both ends of a replacement, by the kinds that are asked for; of another kind, nothing."""
    query, whose = "d90e5407-b356-4d91-a89f-873917b4b0e6", f"('{ENTRY}')"
    found = find(registry, query, XDSDocumentEntryUniqueId=whose, AssociationTypes=f"('{names.RPLC}')")
    assert tags(found) == ["Association", "ExtrinsicObject", "ExtrinsicObject"]
    assert {each.get("status") for each in found if each.tag.endswith("ExtrinsicObject")} == {APPROVED, DEPRECATED}
    other = f"('{names.XFRM_RPLC}')"
    assert find(registry, query, XDSDocumentEntryUniqueId=whose, AssociationTypes=other) == []


@pytest.mark.corpus
def test_documents_by_a_reference(registry: Registry, filled: str) -> None:
    """FindDocumentsByReferenceId: the one that bears it, in its status; another reference, and another status, find
    nothing."""
    query = "12941a89-e02e-4be5-967c-ce4bfc8fe492"
    base = {"XDSDocumentEntryPatientId": WHOSE, "XDSDocumentEntryStatus": f"('{DEPRECATED}')"}
    (found,) = find(registry, query, XDSDocumentEntryReferenceIdList=f"('{REFERENCE}')", **base)
    assert found.get("id") == filled
    assert find(registry, query, XDSDocumentEntryReferenceIdList="('8^^^&1.2.3&ISO^x')", **base) == []
    base["XDSDocumentEntryStatus"] = f"('{APPROVED}')"
    assert find(registry, query, XDSDocumentEntryReferenceIdList=f"('{REFERENCE}')", **base) == []


FOLDERS = {
    "958f3006-baad-4929-a4de-ff1114824431": {"XDSFolderPatientId": WHOSE, "XDSFolderStatus": f"('{APPROVED}')"},
    "5737b14c-8a1a-4539-b659-e03a34a5e1e4": {"XDSFolderUniqueId": "('1.2.3')"},
    "b909a503-523d-4517-8acf-8e5834dfc4c7": {"XDSFolderUniqueId": "('1.2.3')"},
    "10cae35a-c7f9-4cf5-b61e-fc3278ffb578": {"XDSDocumentEntryUniqueId": f"('{ENTRY}')"},
    "50d3f5ac-39a2-11de-a1ca-b366239e58df": {
        "XDSFolderPatientId": f"({WHOSE})", "XDSFolderStatus": f"('{APPROVED}')"
    },
}  # fmt: skip


@pytest.mark.corpus
@pytest.mark.parametrize("query", FOLDERS)
def test_folders_are_known_and_not_kept(registry: Registry, filled: str, query: str) -> None:
    """A success with nothing in it: the query is no unknown one, and there is no folder."""
    assert find(registry, query, **FOLDERS[query]) == []


OTHER = "54ff11cb404344e^^^&1.3.6.1.4.1.21367.2005.3.7&ISO"


def of_another(corpus: Path) -> etree._Element:
    """The corpus' lot with other ids, of another patient."""
    return renamed(submission(corpus), **{"20100312105241": "20100312105249", "53ff11cb404344e": "54ff11cb404344e"})


@pytest.mark.corpus
def test_documents_of_several_patients(registry: Registry, corpus: Path) -> None:
    """ITI-51: of each patient who is named, and of nobody else; who names nobody is refused, and FindDocuments takes
    one patient."""
    for lot in (submission(corpus), of_another(corpus)):
        assert outcome(ask(registry, "repository", names.PROVIDE, lot, b"one", b"two")) == "Success"
    query, approved = "3d1bdb10-39a2-11de-89c2-2f44d94eaa9f", f"('{APPROVED}')"
    both = f"({WHOSE},'{OTHER}')"
    found = find(registry, query, XDSDocumentEntryPatientId=both, XDSDocumentEntryStatus=approved)
    assert len(found) == 4
    held = find(registry, query, XDSDocumentEntryPatientId=f"({WHOSE})", XDSDocumentEntryStatus=approved)
    assert len(held) == 2
    action = names.SEVERAL_PATIENTS_QUERY
    asked = request(query, XDSDocumentEntryPatientId=both, XDSDocumentEntryStatus=approved)
    assert outcome(ask(registry, "registry", action, asked)) == "Success"
    nobody = request(query, XDSDocumentEntryStatus=approved)
    assert outcome(ask(registry, "registry", action, nobody)) == "XDSStoredQueryMissingParam"
    one = request(FIND_DOCUMENTS, XDSDocumentEntryPatientId=both, XDSDocumentEntryStatus=approved)
    assert outcome(ask(registry, "registry", names.STORED_QUERY, one)) == "XDSRegistryError"


@pytest.mark.corpus
def test_entries_of_several_patients_are_not_answered_otherwise(registry: Registry, corpus: Path) -> None:
    """The twin: GetDocuments that would open two dossiers at once is refused by its code; references are answered."""
    for lot in (submission(corpus), of_another(corpus)):
        ask(registry, "repository", names.PROVIDE, lot, b"one", b"two")
    ids: Any = {"XDSDocumentEntryUniqueId": f"('{ENTRY}','{ENTRY.replace('241.2', '249.2')}')"}
    refused = ask(registry, "registry", names.STORED_QUERY, request(GET_DOCUMENTS, **ids))
    assert outcome(refused) == "XDSResultNotSinglePatient"
    assert len(find(registry, GET_DOCUMENTS, leaf=False, **ids)) == 2


def test_every_query_of_the_standard_is_known() -> None:
    """The sixteen ids of the fact sheet (spec/dossier.md §8.2), and what each cannot do without."""
    assert len(SHAPES) == 16
    for query, shape in SHAPES.items():
        assert len(query) == 36
        assert shape.required or shape.one_of or shape.name in ("GetFolders", "GetFolderAndContents")
