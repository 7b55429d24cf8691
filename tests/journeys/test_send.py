"""`pli send`: what a person or a script at the node hands in, and what is refused in a sentence."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from directory.model import PATIENT_DOMAIN
from dmp_bridge import cda
from dmp_bridge.model import Document, InsStatus
from gateway.demo import clients, looks, sample
from gateway.demo.cast import LILAS, RADIOLOGIST, SURGEON
from gateway.demo.stage import Seat
from relay.message import scan

pytestmark = pytest.mark.journey

FROM, TO = str(RADIOLOGIST.address), str(SURGEON.address)
IPP = sample.PATIENT.local_ids[0][1]


def _pdf() -> bytes:
    return sample.report_pdf(datetime.now(UTC).replace(microsecond=0))


def _sent(world: Any, *arguments: str) -> str:
    """The id of a letter that `pli send` took."""
    done = world.pli(world.lilas, "send", "--from", FROM, "--to", TO, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return str(done.stdout.strip())


def _refused(done: subprocess.CompletedProcess[str]) -> str:
    """The sentence of a command that did not do what was asked."""
    assert (done.returncode, done.stdout) == (2, ""), done
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith(("pli: ", "Usage: ")), done.stderr
    return done.stderr


def test_a_cda_is_sent_delivered_and_filed(world: Any) -> None:
    """`pli send` of a CDA goes the way of a letter from a mail client."""
    document = world.report()
    letter = _sent(world, str(world.paper("report.xml", document.raw)))
    assert world.settled(world.lilas, letter) == {"peer-signed": ("done", ""), "dossier": ("done", "filed")}
    assert world.fetched(document) == document.raw


def test_an_xdm_archive_is_sent_and_filed(world: Any) -> None:
    """`pli send` of an IHE_XDM.zip files the document that it holds."""
    document = world.report()
    parts = scan(world.packed(document)).parts
    archived = next(part.decode(1 << 20) for part in parts if part.filename == "IHE_XDM.zip")
    letter = _sent(world, str(world.paper("IHE_XDM.zip", archived)))
    assert world.settled(world.lilas, letter)["dossier"] == ("done", "filed")
    assert world.fetched(document) == document.raw


def test_a_pdf_of_a_patient_becomes_a_document_and_is_filed(world: Any) -> None:
    """With --patient and --type a bare PDF is wrapped as a CDA N1 about that patient of the register."""
    pdf = world.paper("scan.pdf", _pdf())
    letter = _sent(world, str(pdf), "--patient", IPP, "--type", "18748-4", "--title", "IRM du genou")
    assert world.settled(world.lilas, letter)["dossier"] == ("done", "filed")
    facts = [step["facts"] for step in world.trail(world.lilas, letter)["steps"]]
    filed = next(each["document"] for each in facts if "document" in each)
    read = cda.read(clients.dossier_fetch(looks.access(world.company, world.lilas), filed))
    assert isinstance(read, Document), read
    assert read.patient.ins == sample.PATIENT.ins
    assert cda.pdf_copy(read) == pdf.read_bytes()


def test_a_letter_to_a_patient_starts_from_the_register(world: Any) -> None:
    """By IPP: to the address of his qualified INS, in the patients' space, and no screen shows it."""
    sent = (str(world.paper("report.xml", world.report().raw)), "--to-patient", IPP, "--final")
    done = world.pli(world.lilas, "send", "--from", FROM, *sent)
    assert (done.returncode, done.stderr) == (0, "")
    trail = world.trail(world.lilas, done.stdout.strip())
    (patient,) = (row for row in trail["recipients"] if row["mode"] == "peer-plain")
    assert sample.PATIENT.ins
    assert sample.PATIENT.ins.value not in str(trail)
    assert patient["address"].endswith("@patient.mssante.fr"), patient


def test_who_is_not_qualified_has_no_address(world: Any) -> None:
    """Refused by IPP and by address, at the command and at the door, and nothing said names him; nor is there an
    answer to forbid where no patient is written to."""
    ins = replace(sample.PATIENT.ins, value="285063523874466") if sample.PATIENT.ins else None
    provisional = replace(sample.PATIENT, ins=ins, local_ids=((sample.PATIENT.local_ids[0][0], "P-1"),))
    world.enrol(world.lilas, replace(provisional, ins_status=InsStatus.PROVISIONAL))
    paper = str(world.paper("report.xml", world.report().raw))
    typed = f"285063523874466@{PATIENT_DOMAIN}"
    for whom, words in ((("--to-patient", "P-1"), "not qualified"), (("--to", typed), "INS est qualifi")):
        said = _refused(world.pli(world.lilas, "send", "--from", FROM, paper, *whom))
        assert words in said
        assert "2850635238744" not in said
    for more, words in ((("--to", TO, "--final"), "no recipient is one"), ((), "name a recipient")):
        assert words in _refused(world.pli(world.lilas, "send", "--from", FROM, paper, *more))
    with world.submission(world.lilas, FROM) as client:
        assert client.mail(FROM)[0] == 250
        code, words = client.rcpt(typed)
        assert (code, b"5.7.1" in words, b"2850635238744" in words) == (550, True, False)


def test_a_bare_pdf_is_a_plain_letter(world: Any) -> None:
    """A PDF about nobody is delivered and is nothing for a dossier."""
    letter = _sent(world, str(world.paper("note.pdf", _pdf())), "--title", "Planning", "--text", "Bonjour")
    assert world.settled(world.lilas, letter) == {"peer-signed": ("done", "")}


def test_what_root_sends_is_the_nodes_own(world: Any) -> None:
    """Typed by root, a letter is still one that the node's own account can read, carry and file."""
    document = world.report()
    paper = world.paper("root.xml", document.raw)
    letter = looks.pli(world.lilas, "send", "--from", FROM, "--to", TO, str(paper)).strip()
    assert world.settled(world.lilas, letter) == {"peer-signed": ("done", ""), "dossier": ("done", "filed")}


REFUSED = {
    "a text file": (["{text}"], TO, "name a CDA, an XDM zip or a PDF"),
    "an unknown recipient": (["{cda}"], f"paul.bernart@{SURGEON.address.domain}", TO),
    "a domain outside the white list": (["{cda}"], "quelqu.un@ailleurs.example", "liste blanche"),
    "a malformed recipient": (["{cda}"], "paul@@bernard", "is not a mail address"),
    "an unknown patient": (["{pdf}", "--patient", "IPP-999", "--type", "18748-4"], TO, "pli patients import"),
    "an unknown type": (["{pdf}", "--patient", IPP, "--type", "no-type"], TO, "--type"),
    "a PDF without a type": (["{pdf}", "--patient", IPP], TO, "--type"),
    "a PDF about nobody beside a CDA": (["{cda}", "{pdf}"], TO, "--patient"),
    "no file at all": (["/nowhere/report.xml"], TO, "does not exist"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_sent_is_one_sentence_and_exit_code_2(world: Any, case: str) -> None:
    """Each refusal says what to do, leaves nothing in custody, and is no traceback."""
    arguments, to, sentence = REFUSED[case]
    papers = {
        "text": world.paper("readme.txt", b"Bonjour\n"),
        "cda": world.paper("report.xml", world.report().raw),
        "pdf": world.paper("scan.pdf", _pdf()),
    }
    before = _bodies(world.lilas)
    filled = [each.format(**papers) for each in arguments]
    assert sentence in _refused(world.pli(world.lilas, "send", "--from", FROM, "--to", to, *filled))
    assert _bodies(world.lilas) == before


@pytest.mark.parametrize("sender", [TO, f"nobody@{LILAS}"], ids=["of another node", "of nobody"])
def test_only_a_mailbox_of_this_node_sends(world: Any, sender: str) -> None:
    """Another operator's mailbox, or one that the directory does not know, is refused as a sender."""
    paper = world.paper("report.xml", world.report().raw)
    assert sender in _refused(world.pli(world.lilas, "send", "--from", sender, "--to", TO, str(paper)))


def test_a_node_that_is_not_running_is_told(world: Any) -> None:
    """`pli send` to a node that is not running says how to start it, and nothing is in custody afterwards."""
    pdf = world.paper("scan.pdf", _pdf())
    paper = world.paper("report.xml", world.report().raw)
    before = _last(world)
    world.company.stop_node(world.lilas)
    try:
        store = _refused(world.pli(world.lilas, "send", "--from", FROM, "--to", TO, str(paper)))
        about = ("--patient", IPP, "--type", "18748-4")
        keeper = _refused(world.pli(world.lilas, "send", "--from", FROM, "--to", TO, str(pdf), *about))
    finally:
        world.company.start_node(world.lilas)
    assert "pli serve" in store
    assert "keeper" in keeper
    assert _last(world) == before


def _last(world: Any) -> str:
    """The newest letter of the sender."""
    newest: str = world.pli(world.lilas, "trace", "--json", "--sender", FROM).stdout.splitlines()[-1]
    return newest


def _bodies(seat: Seat) -> set[Path]:
    return {path for path in (seat.folder / "data" / "bodies").rglob("*") if path.is_file()}
