"""Real documents of the national samples, each the whole way: submitted, filed, and fetched back as it was."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dmp_bridge import cda
from dmp_bridge.model import Document
from gateway.demo import sample
from gateway.demo.cast import SURGEON
from gateway.demo.looks import message_id

pytestmark = [pytest.mark.journey, pytest.mark.corpus]

SAMPLES = Path("cda") / "ExemplesCDA"
IMAGING = "IMG_CR_IMG_2024.01.xml"
NOT_LISTED = "IMG-DA-IMG_2024.01_Radiographie_IRM_Genou.xml"
FIRST_VERSIONS = (
    "BIO-CR-BIO_2021.01_Auto-Presentable.xml",
    "BIO-CR-BIO_2024.01_Glycémie mole.xml",
    "BIO-CR-BIO_2021.01_CDA-R2-Niveau-1.xml",
    "DOC_NON_STRUCTURE_CDA-R2-N1.xml",
    "LDL-SES_2022.01.xml",
    "VSM_1.4_2022.01.xml",
)
"""Laboratory (structured, with and without a PDF of its own; N1), not structured, discharge letter, summary."""


def _read(data: bytes) -> Document:
    document = cda.read(data)
    assert isinstance(document, Document), document
    return document


@pytest.fixture(scope="module")
def regional(make_world: Callable[..., Any], corpus: Path) -> Iterator[Any]:
    """A sender that files for the structures that wrote the samples; their patient is in its register."""
    names = (*FIRST_VERSIONS, IMAGING)
    written = [_read((corpus / SAMPLES / name).read_bytes()) for name in names]
    structures = sorted({author.institution_id for document in written for author in document.authors})

    def files_for(stage: Any) -> None:
        config = stage.seats["lilas"].config
        text = config.read_text(encoding="utf-8")
        config.write_text(text.replace("[dossier]", f"[dossier]\ninstitutions = {json.dumps(structures)}"), "utf-8")

    with make_world(files_for) as world:
        yield world


def _packed(world: Any, document: Document) -> bytes:
    """Where the document has no PDF of its own, the sender's software joins one."""
    copy = sample.report_pdf(datetime.now(UTC).replace(microsecond=0))
    mail: bytes = world.packed(document, copies={} if cda.pdf_copy(document) else {document.unique_id: copy})
    return mail


def _filed(world: Any, document: Document) -> str:
    letter: str = world.submit(_packed(world, document))
    states = world.settled(world.lilas, letter)
    assert states["dossier"] == ("done", "filed"), (states, world.worklist(world.lilas, letter))
    return letter


@pytest.mark.parametrize("name", FIRST_VERSIONS)
def test_a_sample_is_filed_and_fetched_back_byte_for_byte(regional: Any, corpus: Path, name: str) -> None:
    """What ITI-43 gives back is the file, and ITI-18 finds it once."""
    data = (corpus / SAMPLES / name).read_bytes()
    document = _read(data)
    _filed(regional, document)
    assert len(regional.entries(document)) == 1
    assert regional.fetched(document) == data


def test_a_sample_reaches_the_colleague_unchanged_too(regional: Any, corpus: Path) -> None:
    """The archive in the delivered letter holds the file's own bytes."""
    from dmp_bridge import candidates
    from relay.message import scan

    data = (corpus / SAMPLES / FIRST_VERSIONS[1]).read_bytes()
    mail = _packed(regional, _read(data))
    regional.submit(mail)
    delivered = regional.received(regional.parc, SURGEON.address, message_id(mail))
    assert [found.raw for found in candidates.documents(scan(delivered))] == [data]


def test_a_second_version_waits_for_a_person_until_the_first_is_there_and_then_replaces_it(
    regional: Any, corpus: Path
) -> None:
    """The imaging sample replaces a document: unknown to the dossier, it is not filed; known, it takes its place.

    The sample names what it replaces by a UUID, which the host takes for no document's identifier any more: the first
    version is filed under the same number as an OID, and renamed by the host's own hand.
    """
    data = (corpus / SAMPLES / IMAGING).read_bytes()
    document = _read(data)
    letter = regional.submit(_packed(regional, document))
    assert regional.settled(regional.lilas, letter)["dossier"] == ("failed", "dossier.not-in-dossier")
    assert regional.entries(document) == []

    first = _read(_first_version(data, f"2.25.{uuid.UUID(document.replaces).int}"))
    _filed(regional, first)
    _renamed(regional, first.unique_id, document.replaces)
    _filed(regional, document)
    assert regional.fetched(document) == data


def test_a_sample_of_a_structure_that_is_not_ours_waits_for_a_person(regional: Any, corpus: Path) -> None:
    """Only who wrote a document files it: another structure's stands on the work list, and in no dossier."""
    document = _read((corpus / SAMPLES / NOT_LISTED).read_bytes())
    letter = regional.submit(_packed(regional, document))
    assert regional.settled(regional.lilas, letter)["dossier"][0] == "failed"
    assert [row["reason"] for row in regional.worklist(regional.lilas, letter)] == ["dossier.author-not-ours"]
    assert regional.entries(document) == []


def _renamed(world: Any, old: str, new: str) -> None:
    """As a host that was there before today's rules."""
    with sqlite3.connect(world.company.host_folder / "kept" / "dossiers.db", timeout=20) as base:
        changed = base.execute(
            "UPDATE entries SET unique_id = ?, xml = CAST(REPLACE(CAST(xml AS TEXT), ?, ?) AS BLOB)"
            " WHERE unique_id = ?",
            (new, old, new, old),
        )
        assert changed.rowcount == 1


def _first_version(data: bytes, unique_id: str) -> bytes:
    """What the sample says that it replaces: the same report under that id, replacing nothing."""
    text = data.decode("utf-8")
    start, end = text.index("<relatedDocument"), text.index("</relatedDocument>") + len("</relatedDocument>")
    text = text[:start] + text[end:]
    text = text.replace('<id root="1.2.250.1.213.1.1.1.45.2024.1.1"/>', f'<id root="{unique_id}"/>', 1)
    return text.replace('<versionNumber value="2"/>', '<versionNumber value="1"/>', 1).encode()
