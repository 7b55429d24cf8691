"""`pli dossier` on a running node: found, fetched, taken back; and what earlier recipients get."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from dmp_bridge import cda
from dmp_bridge.model import Document, Ins, InsStatus, Patient, Traits
from gateway import config as configuration
from gateway.demo import sample
from gateway.demo.cast import RADIOLOGIST, SURGEON
from gateway.demo.looks import message_id
from gateway.demo.processes import new_folder

pytestmark = pytest.mark.journey

BODY = "2790635238066"
KNOWN = Patient(
    Ins(f"{BODY}{97 - int(BODY) % 97:02}", "1.2.250.1.213.1.4.10"),
    Traits("KERMADEC", "ROZENN", "ROZENN", date(1979, 6, 14), "F", "29019"),
    ((f"{sample.ROOT}.1", "IPP-070066"),),
    InsStatus.QUALIFIED,
)


def next_version(document: Document) -> Document:
    """What replaces a report: another identifier, version 2, and RPLC."""
    text = document.raw.decode()
    text = text.replace(f'root="{document.unique_id}"', f'root="{document.unique_id}.2"', 1)
    text = text.replace('<versionNumber value="1"/>', '<versionNumber value="2"/>')
    parent = f'<parentDocument><id root="{document.unique_id}"/></parentDocument>'
    related = f'<relatedDocument typeCode="RPLC">{parent}</relatedDocument>'
    read = cda.read(text.replace("<documentationOf>", f"{related}<documentationOf>", 1).encode())
    assert isinstance(read, Document), read
    return read


@pytest.fixture
def filed(world: Any) -> tuple[Document, str]:
    """A report in the dossier, which the surgeon has in his mailbox too."""
    world.enrol(world.lilas, KNOWN)
    document = world.report(KNOWN)
    letter = world.submit(world.packed(document))
    assert world.settled(world.lilas, letter)["dossier"] == ("done", "filed")
    return document, letter


def typed(world: Any, *words: str, code: int = 0) -> Any:
    """`pli dossier …`, which ends with that code."""
    done = world.pli(world.lilas, "dossier", *words)
    assert done.returncode == code, done.stderr
    return done


def status(world: Any, document: Document) -> str:
    return str(json.loads(typed(world, "find", "--document", document.unique_id, "--json").stdout)["status"])


@pytest.fixture
def desk() -> Iterator[Path]:
    """A folder in which the node's own account may write."""
    folder = new_folder("pli-d-")
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def test_a_document_is_found_fetched_and_taken_back(world: Any, filed: tuple[Document, str], desk: Path) -> None:
    """The commands of an operator, one after the other; nothing that they print names the patient."""
    document, letter = filed
    assert status(world, document) == "Approved"
    fetched = desk / "fetched.xml"
    said = [typed(world, "fetch", document.unique_id, "-o", str(fetched))]
    assert fetched.read_bytes() == document.raw
    said.append(typed(world, "find", "--document", document.unique_id))
    said.append(typed(world, "undo", document.unique_id, "--yes"))
    assert status(world, document) != "Approved"
    again = typed(world, "undo", document.unique_id, "--yes", code=1)
    assert "déjà retiré" in again.stderr
    assert "dossier-undone" in [step["event"] for step in world.trail(world.lilas, letter)["steps"]]
    words = "".join(each.stdout + each.stderr for each in said)
    assert not [trait for trait in ("KERMADEC", "ROZENN", BODY) if trait in words]


def test_who_got_it_is_asked_to_delete_it(world: Any, filed: tuple[Document, str]) -> None:
    """After an undo the surgeon has a mail that names the document, and no patient."""
    document, letter = filed
    typed(world, "undo", document.unique_id, "--yes")
    hostname = configuration.load(world.lilas.config).node.hostname
    text = world.received(world.parc, SURGEON.address, f"<deleted.{letter}@{hostname}>")
    assert document.unique_id.encode() in text.replace(b"=\r\n", b"")
    assert b"KERMADEC" not in text


def test_who_had_the_old_version_gets_the_new_one(world: Any, filed: tuple[Document, str]) -> None:
    """The new version is sent to somebody else: the dossier has it in the place of the old one, the surgeon the letter
    as its sender sent it."""
    document, _ = filed
    newer = next_version(document)
    mail = world.packed(newer)
    letter = world.submit(mail, RADIOLOGIST.address)
    assert world.settled(world.lilas, letter)["dossier"] == ("done", "filed")
    assert (status(world, newer), status(world, document)) == ("Approved", "Deprecated")
    assert b"IHE_XDM.zip" in world.received(world.parc, SURGEON.address, message_id(mail))


def test_what_is_not_there_is_not_found(world: Any, desk: Path) -> None:
    """The twins: exit code 1 with a French sentence, 2 where the question makes no sense."""
    missing = typed(world, "fetch", "2.25.404", "-o", str(desk / "x"), code=1)
    assert "ne tient pas ce document" in missing.stderr
    typed(world, "find", "--document", "2.25.404", code=1)
    typed(world, "undo", "2.25.404", "--yes", code=1)
    typed(world, "find", code=2)
    typed(world, "file", "0" * 26, code=1)
    typed(world, "find", "--document", "2.25.1", "--host", "nowhere", code=2)


def test_a_choice_of_host_is_recorded_and_shown(world: Any, filed: tuple[Document, str]) -> None:
    """By the establishment's own number of the patient; a host that is not configured cannot be chosen."""
    assert filed
    typed(world, "choose", "IPP-070066", "nowhere", code=2)
    typed(world, "choose", "IPP-070066", "regional")
    assert "regional" in typed(world, "choose", "IPP-070066").stdout
