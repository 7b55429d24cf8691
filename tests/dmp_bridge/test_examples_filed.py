"""Each document of ANS's examples: filed at a host over real TLS, found, and fetched with an equal hash; or why not."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from dmp_bridge import cda, codes, ebrim
from dmp_bridge.dmp import DossierClient
from dmp_bridge.model import Document, Ins
from relay.model import Done

FOLDER = "cda/ExemplesCDA"
EXPECTED = {"filed": 94}
"""How many of each outcome: a change of this table is a change of what we do."""


def read(corpus: Path) -> dict[str, Document | str]:
    """Each example as we read it, or the rule that refuses it."""
    found: dict[str, Document | str] = {}
    for path in sorted((corpus / FOLDER).glob("*.xml")):
        document = cda.read(path.read_bytes())
        found[path.name] = document if isinstance(document, Document) else document.detail
    return found


def patient(document: Document) -> Ins:
    """The document's INS; of the examples some have a patient of an older kind only, who is given a test one here."""
    return document.patient.ins or Ins("279035121518989", "1.2.250.1.213.1.4.10")


def outcome(client: DossierClient, document: Document, number: int, lot: ebrim.Submission, seen: set[str]) -> str:
    if codes.class_of(document.type.code) is None:
        return f"type {document.type.code} has no class"
    missing = [name for name in ("facility", "practice_setting", "service_start") if not getattr(document, name)]
    if missing:
        return f"no {missing[0]}"
    if document.unique_id in seen:
        return "same identifier as another example"
    seen.add(document.unique_id)
    submission = replace(lot, unique_id=f"2.25.9{number:03}", author=document.authors[0])
    answer = client.submit([document], submission, patient(document))
    if not isinstance(answer, Done):
        return f"host: {answer.detail}"
    held = client.find([document.unique_id])
    if not isinstance(held, tuple) or [each.sha1 for each in held] != [ebrim.sha1(document.raw)]:
        return "not found"
    given = client.fetch(document.unique_id)
    same = isinstance(given, bytes) and hashlib.sha256(given).digest() == hashlib.sha256(document.raw).digest()
    return "filed" if same else "other bytes"


@pytest.mark.corpus
def test_each_example_that_qualifies_is_filed_found_and_fetched(
    bridge: Any, dossier_host: Callable[..., str], corpus: Path, lot: Any, summary: list[str]
) -> None:
    """All 94: what is not filed is not for a reason that the table names; nothing is not found, nothing has other
    bytes."""
    client, seen = bridge.client(dossier_host()), set[str]()
    examples = read(corpus)
    assert len(examples) == 94
    told = {
        name: each if isinstance(each, str) else outcome(client, each, number, lot, seen)
        for number, (name, each) in enumerate(examples.items())
    }
    counted = Counter(told.values())
    summary.append(f"examples of ANS at a dossier host: {dict(counted)}")
    for name, why in told.items():
        print(f"{why:40} {name}")
    assert not {"not found", "other bytes"} & counted.keys()
    assert counted == EXPECTED


@pytest.mark.corpus
def test_every_lot_of_them_is_valid_by_the_schema(corpus: Path, lot: Any) -> None:
    """What we would send for each, its seal beside it, is valid by the ebXML schema."""
    schema = etree.XMLSchema(etree.parse(str(corpus / "xds/schema/lcm.xsd")))
    seal = ebrim.LotSeal("2.25.3", b"<x/>")
    documents = [each for each in read(corpus).values() if isinstance(each, Document)]
    for document in documents:
        if codes.class_of(document.type.code) is not None:
            schema.assertValid(ebrim.submit_objects([document], lot, patient(document), seal=seal, self_reference=True))
