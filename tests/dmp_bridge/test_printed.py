"""A PDF that prints an identity: read from its page by a process apart, put before a person, never filed."""

from __future__ import annotations

import re
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from fpdf import FPDF
from PIL import Image

from directory import address
from dmp_bridge import candidates, filings, printed
from dmp_bridge.matrices import INS_HEADER, MatrixKind
from dmp_bridge.model import FilingReason, HostProfile
from dmp_bridge.printed import NOTHING, PROPOSED, PrintedCourier
from dmp_bridge.workshop import Budget
from gateway.demo import sample
from relay import message as mime
from relay.model import (
    BodyRef,
    Done,
    Door,
    DoorProof,
    Envelope,
    Job,
    Letter,
    Mode,
    Never,
    Outcome,
    Recipient,
    Route,
    SignatureState,
    State,
    Verdict,
)

REGION = HostProfile("region", "https://127.0.0.1:1", "2.25.5", "2.25.6")
TENANT = "tilleuls"
INS = INS_HEADER + (
    "S1279035121518989S21.2.250.1.213.1.4.10S3DOMINIQUE MARIE-LOUISE\x1dS4PAT-TROIS\x1dS5FS628-03-1979S751215"
)
TWO_D_DOC = "DC04FR0000011E581E58B201FRF0DOMINIQUE\x1dF1PAT-TROIS\x1dF228031979F3F\x1fMRZICP"


def page(*symbols: str) -> bytes:
    """A PDF with these symbols on its first page."""
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("helvetica")
    pdf.cell(text="Ordonnance")
    for number, symbol in enumerate(symbols):
        drawn = zxingcpp.write_barcode_to_image(zxingcpp.create_barcode(symbol.encode(), zxingcpp.DataMatrix), scale=4)
        shape = (drawn.shape[1], drawn.shape[0])
        pdf.image(Image.frombytes("L", shape, bytes(drawn)), x=20, y=40 + 60 * number, w=45)
    return bytes(pdf.output())


def letter(*pdfs: bytes) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["From"] = "helene.leroux@tilleuls.mssante.fr"
    mail["Subject"] = "Ordonnance"
    mail.set_content("Bonjour")
    for pdf in pdfs:
        mail.add_attachment(pdf, "application", "pdf", filename="o.pdf")
    return mail.as_bytes()


@pytest.fixture(scope="module")
def look() -> printed.Look:
    """pdfium and zxing-cpp in one process for all tests here; it ends with this one."""
    return printed.looker(Budget(seconds=30, start_s=60))


def test_symbols_are_read_from_the_page(look: printed.Look) -> None:
    """An INS datamatrix and a 2D-Doc, drawn and found again; a QR or a drug's matrix is nobody's identity."""
    raw = letter(page(INS, TWO_D_DOC), page("010340093000001717261231"))
    found = printed.imprints(mime.scan(raw), look)
    assert sorted(each.kind for each in found) == [MatrixKind.TWO_D_DOC, MatrixKind.INS]
    assert {each.patient.traits.birth_name for each in found} == {"PAT-TROIS"}


def test_what_is_no_pdf_is_not_looked_at(look: printed.Look) -> None:
    """A broken one has no symbol; one beyond the number of PDFs is not opened."""
    seen: list[bytes] = []

    def counting(pdf: bytes) -> tuple[bytes, ...]:
        seen.append(pdf)
        return ()

    assert printed.imprints(mime.scan(letter(b"%PDF-1.4 x", b"no pdf")), look) == ()
    assert printed.imprints(mime.scan(letter(*[b"%PDF-1.4"] * 9)), counting) == ()
    assert len(seen) == printed.MOST_PDFS


@pytest.mark.parametrize("pictures", [True, False])
def test_the_finder_opens_no_page(now: datetime, report_pdf: bytes, pictures: bool) -> None:
    """Where it is asked for, a letter with a PDF gets a row of its own kind; else none."""
    envelope = Envelope("0" * 26, "t", Door.SUBMISSION, address.parse("a@tilleuls.mssante.fr"), (), DoorProof(), now)
    finder = candidates.make_finder(REGION, pictures=pictures)
    sound = Verdict(signature=SignatureState.VALID)
    found = finder(mime.scan(letter(report_pdf)), envelope, sound).extras
    assert [each.route.rule for each in found] == ([printed.RULE] if pictures else [])


def test_a_document_comes_before_a_printed_identity(now: datetime, report_xml: bytes, report_pdf: bytes) -> None:
    """A letter that holds a CDA beside its PDF is of the CDA's kind."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = "helene.leroux@tilleuls.mssante.fr"
    mail.add_attachment(report_pdf, "application", "pdf", filename="cr.pdf")
    mail.add_attachment(report_xml, "text", "xml", filename="cr.xml")
    envelope = Envelope("0" * 26, "t", Door.SUBMISSION, address.parse("a@tilleuls.mssante.fr"), (), DoorProof(), now)
    finder = candidates.make_finder(REGION, pictures=True)
    (extra,) = finder(mime.scan(mail.as_bytes()), envelope, Verdict(signature=SignatureState.VALID)).extras
    assert extra.finding == "cda"


# --- the courier ------------------------------------------------------------------------------------------------


class Beyond:
    """The courier behind; says what it was handed."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def deliver(self, job: Job) -> dict[str, Outcome]:
        self.jobs.append(job)
        return {each.id: Done("beyond") for each in job.recipients}


def job(raw: bytes, now: datetime, rule: str = printed.RULE) -> Job:
    given = {"trace": "", "verdict": Verdict(), "proof": DoorProof(), "received_at": now}
    held = Letter("01" * 13, TENANT, Door.SUBMISSION, "a@b.fr", "<1@x>", BodyRef("body", len(raw), ""), **given)
    route = Route(Mode.DOSSIER, "region", rule)
    return Job(held, (Recipient("r1", held.id, TENANT, "dossier:region", route, State.RUNNING),), lambda: raw, 1)


@pytest.fixture
def courier(custody: Any, look: printed.Look) -> PrintedCourier:
    """With a real store; the sample's patient is in its register, qualified."""
    custody.know(TENANT, sample.PATIENT)
    return PrintedCourier(Beyond(), custody.register, custody.client, look, "region")


def test_a_printed_identity_is_put_before_a_person(courier: PrintedCourier, custody: Any, now: datetime) -> None:
    """Even where INS and traits fit one patient of the register: a line on the work list, and nothing filed."""
    assert courier.deliver(job(letter(page(INS)), now)) == {"r1": Done("", PROPOSED)}
    (entry,) = filings.waiting(custody.engine, TENANT)
    assert (entry.reason, entry.document_id) == (FilingReason.PRINTED, "")
    assert len(entry.evidence) == 6
    assert {answer for _, answer in entry.evidence} == {"agrees"}
    with custody.engine.connect() as connection:
        told = repr([connection.exec_driver_sql(f"SELECT * FROM {each}").all() for each in ("worklist", "filings")])  # noqa: S608
    assert "279035121518989" not in told
    assert "PAT-TROIS" not in told
    assert filings.of_document(custody.engine, TENANT, "region", "") == ()


def test_a_page_without_an_identity_is_done(
    courier: PrintedCourier, custody: Any, now: datetime, report_pdf: bytes
) -> None:
    """Nothing waits, nothing fails."""
    assert courier.deliver(job(letter(report_pdf), now)) == {"r1": Done("", NOTHING)}
    assert list(filings.waiting(custody.engine, TENANT)) == []


def test_other_letters_are_handed_on(courier: PrintedCourier, now: datetime, report_pdf: bytes) -> None:
    """What holds a document goes to the courier behind, unlooked at."""
    asked = job(letter(page(INS)), now, "candidates.xdm")
    assert courier.deliver(asked) == {"r1": Done("beyond")}
    assert courier.beyond.jobs == [asked]  # type: ignore[attr-defined]


def test_a_letter_that_cannot_be_scanned_never_is(courier: PrintedCourier, now: datetime) -> None:
    """Said so once, not tried for five days."""
    (outcome,) = courier.deliver(job(b"X: " + b"y" * (1 << 20), now)).values()
    assert isinstance(outcome, Never)


def test_a_pdf_with_script_is_only_drawn(look: printed.Look, tmp_path: Path) -> None:
    """JavaScript at opening and a launch action: the symbol is read, and neither has happened."""
    marker = tmp_path / "launched"
    action = f"<</Type/Action/S/Launch/F(/usr/bin/touch)/Win<</F(touch)/P({marker})>>>>".encode()
    script = b"<</Type/Action/S/JavaScript/JS(app.launchURL\\('http://127.0.0.1:9/'\\);)>>"
    pdf = page(INS)
    armed = re.sub(rb"/Type /Catalog", b"/Type /Catalog /OpenAction [" + script + b"] /AA <</O " + action + b">>", pdf)
    assert armed != pdf
    found = printed.imprints(mime.scan(letter(armed)), look)
    assert [each.kind for each in found] == [MatrixKind.INS]
    assert not marker.exists()
