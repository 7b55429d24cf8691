"""The intake after DATA: which letters enter custody, on which routes, and which are refused or delayed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from certs.chain import TrustStore
from certs.throwaway import Pki
from directory.address import parse
from directory.model import Address
from gateway.demo.servers import Slapd
from relay import smime, spool, withdrawal
from relay.intake import Intake
from relay.message import Message
from relay.model import (
    BodyRef,
    Door,
    Envelope,
    Extra,
    Findings,
    Mode,
    Reason,
    Receipt,
    Refusal,
    Route,
    SignatureState,
    Signer,
    Verdict,
)
from relay.policy import Book, Level, Line, PolicyDown
from tests.relay.house import (
    ACCOUNT,
    ANNE,
    MARIE,
    OURS,
    PATIENT,
    PAUL,
    PEER,
    House,
    Mail,
    accept,
    body,
    from_peer,
    running,
    submission,
)


def test_a_policy_that_cannot_be_read_delays_the_letter(house: House, today: datetime, make_mail: Mail) -> None:
    """Nothing is decided by the factory's values instead; readable again, the letter enters."""

    def down() -> Book:
        raise PolicyDown("gone")

    def tell(intake: Intake) -> object:
        raw = make_mail()
        return intake.accept(submission(today, PAUL), raw, BodyRef("b", len(raw), "d"))

    assert tell(replace(house.intake, book=down)) == Refusal(Reason.STORE_DOWN, permanent=False)
    assert isinstance(tell(house.intake), Receipt)


def test_policy_refuses_one_recipient_and_not_the_other(house: House, today: datetime, make_mail: Mail) -> None:
    """250 with a row that failed by name; refused as a whole only where nobody is left."""
    always = Line(Level.TENANT, "", "towards.parc.mssante.example.encrypt", "always")
    strict = replace(house.intake, book=lambda: Book([always]))
    raw = make_mail()
    kept = strict.accept(submission(today, PAUL, ANNE), raw, BodyRef("b", len(raw), "d"))
    assert isinstance(kept, Receipt)
    assert kept.refused == ((parse(PAUL), Reason.NO_CERTIFICATE),)
    assert house.recipients(kept.letter_id)[ANNE] == ("mailbox", "queued", "")
    alone = strict.accept(submission(today, PAUL), raw, BodyRef("b", len(raw), "d"))
    assert alone == Refusal(Reason.NO_CERTIFICATE, permanent=True)


def test_a_letter_enters_custody_with_a_route_per_recipient(house: House, today: datetime, make_mail: Mail) -> None:
    """One row each, queued by its route; the journal says accepted, verified and queued; a name twice counts
    once."""
    given = submission(today, ANNE, PAUL, PATIENT, PAUL.upper().replace(PEER.upper(), PEER))
    answer = accept(house, given, make_mail())
    assert answer == Receipt(given.id)
    assert house.recipients(given.id) == {
        ANNE: ("mailbox", "queued", ""),
        PAUL: ("peer-signed", "queued", ""),
        PATIENT: ("peer-plain", "queued", ""),
    }
    assert house.events(given.id)[:2] == ["accepted", "verified"]
    kept = house.kept(given.id)
    assert kept.trace.startswith("Received: from poste ([192.0.2.7])")
    assert "with ESMTPSA id" in kept.trace
    assert PATIENT not in kept.trace


def test_a_letter_that_is_to_wait_waits_for_each_recipient(house: House, today: datetime, make_mail: Mail) -> None:
    """A dossier that was found in it too; and its author may take it back."""

    def find(message: Message, given: Envelope, verdict: Verdict) -> Findings:
        return Findings((Extra("dossier:regional", Route(Mode.DOSSIER, "regional", "candidates.xdm"), "xdm"),))

    given = replace(submission(today, ANNE, PAUL), door=Door.PAGE, not_before=today + timedelta(seconds=10))
    accept(replace(house, intake=replace(house.intake, finders=(find,))), given, make_mail())
    held = spool.letter(house.engine, "lilas", given.id)
    assert held is not None
    assert [row.due_at for row in held[1]] == [given.not_before] * 3
    assert withdrawal.until(held[0], held[1], MARIE, today) == given.not_before


def test_what_the_other_end_said_cannot_break_the_trace(house: House, today: datetime, make_mail: Mail) -> None:
    """A greeting with line ends and brackets stays one field."""
    proof = replace(ACCOUNT, helo="a\r\nX-Evil: (b) <c>")
    given = submission(today, ANNE, proof=proof)
    accept(house, given, make_mail())
    kept = house.kept(given.id)
    assert kept.trace.startswith("Received: from aX-Evil:bc ([192.0.2.7])")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"From": f"{MARIE}, {ANNE}"}, Reason.FROM_AMBIGUOUS),
        ({"From": f'"{MARIE}" <{ANNE}>'}, Reason.FROM_NOT_ALLOWED),
        ({"From": PAUL}, Reason.FROM_NOT_ALLOWED),
        ({"Sender": PAUL}, Reason.FROM_NOT_ALLOWED),
        ({"Sender": f"{MARIE}, {ANNE}"}, Reason.FROM_AMBIGUOUS),
    ],
)
def test_an_author_who_is_not_at_the_door_is_refused(
    house: House, today: datetime, make_mail: Mail, headers: dict[str, str], reason: Reason
) -> None:
    """From and Sender are whoever the account may write as, and exactly one."""
    answer = accept(house, submission(today, ANNE), make_mail(**({"From": MARIE} | headers)))
    assert isinstance(answer, Refusal)
    assert (answer.reason, answer.permanent) == (reason, True)


def test_a_peer_writes_in_its_own_domains_only(house: House, today: datetime, make_mail: Mail) -> None:
    """The domain of From is one of the peer's, whatever the envelope says."""
    assert isinstance(accept(house, from_peer(today, ANNE), make_mail(From=PAUL)), Receipt)
    forged = accept(house, from_peer(today, ANNE), make_mail(From=MARIE))
    assert forged == Refusal(Reason.FROM_NOT_ALLOWED, permanent=True)


REPORT = (
    "From: mailer-daemon@elsewhere.example\r\nSubject: DSN\r\n"
    "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
    "--b\r\n\r\ntext\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
    "Reporting-MTA: dns; x.example\r\n\r\nFinal-Recipient: rfc822; {}\r\nAction: failed\r\n\r\n--b--\r\n"
)


def test_a_report_may_come_for_a_recipient_of_the_peer(house: House, today: datetime) -> None:
    """With the null sender the certificate is listed for From or for the reported recipient (design §7)."""
    given = from_peer(today, ANNE, sender=None)
    assert isinstance(accept(house, given, REPORT.format(PAUL).encode()), Receipt)
    kept = house.kept(given.id)
    assert kept.verdict.automatic == "null-sender"


def test_a_report_about_somebody_elses_recipient_is_refused(house: House, today: datetime) -> None:
    """The twin: a peer may not report for a recipient that is not its own, nor with a sender."""
    refused = Refusal(Reason.FROM_NOT_ALLOWED, permanent=True)
    assert accept(house, from_peer(today, ANNE, sender=None), REPORT.format("x@y.example").encode()) == refused
    assert accept(house, from_peer(today, ANNE), REPORT.format(PAUL).encode()) == refused


def test_a_malformed_letter_is_refused_by_the_name_of_its_fault(house: House, today: datetime) -> None:
    """The scanner's reason is told."""
    answer = accept(house, submission(today, ANNE), b"From MARIE\r\n\r\n")
    assert answer == Refusal(Reason.MALFORMED, permanent=True, detail="header-line")


def test_a_letter_in_circles_is_refused(house: House, today: datetime, make_mail: Mail) -> None:
    """RFC 5321 §6.3: more than fifty hops; fifty are taken."""
    hop = b"Received: by x\r\n"
    assert accept(house, submission(today, ANNE), hop * 51 + make_mail()) == Refusal(Reason.LOOP, True)
    assert isinstance(accept(house, submission(today, ANNE), hop * 50 + make_mail()), Receipt)


def test_only_when_nobody_can_be_served_is_the_letter_refused(house: House, today: datetime, make_mail: Mail) -> None:
    """One of two has no route: 250, and that one fails with a notice due; all of them: refused, nothing
    kept."""
    gone = "x@elsewhere.example"
    given = submission(today, ANNE, gone)
    assert accept(house, given, make_mail()) == Receipt(given.id, ((parse(gone), Reason.NOT_LISTED),))
    due = {letter.id: rows for letter, rows in spool.due_notices(house.engine)}
    assert [each.address for each in due[given.id]] == [gone]
    alone = submission(today, gone)
    assert accept(house, alone, make_mail()) == Refusal(Reason.NOT_LISTED, permanent=True)
    assert spool.letter(house.engine, "lilas", alone.id) is None


def test_a_finder_adds_a_dossier_and_may_refuse_one_recipient(house: House, today: datetime, make_mail: Mail) -> None:
    """What finders find is one more delivery; a refusal of theirs is that recipient's only."""
    seen: list[Verdict] = []

    def find(message: Message, given: Envelope, verdict: Verdict) -> Findings:
        seen.append(verdict)
        dossier = Extra("dossier:regional", Route(Mode.DOSSIER, "regional", "xdm-found"), "xdm")
        return Findings((dossier,), ((Address("Anne.Petit", OURS), "dossier.refused"),))

    intake = replace(house.intake, finders=(find,))
    given = submission(today, ANNE, PAUL)
    raw = make_mail(Auto_Submitted="auto-generated")
    answer = intake.accept(given, raw, body(raw))
    assert isinstance(answer, Receipt)
    assert [str(each) for each, _ in answer.refused] == [ANNE]
    assert seen[0].automatic == "auto-submitted"
    rows = house.recipients(given.id)
    assert rows["dossier:regional"][:2] == ("dossier", "queued")
    assert rows[PAUL][:2] == ("peer-signed", "queued")


def test_a_finder_that_breaks_delays_the_letter(house: House, today: datetime, make_mail: Mail) -> None:
    """A surprise is Later: the sender keeps it, nothing is filed wrongly nor forgotten."""

    def breaks(message: Message, given: Envelope, verdict: Verdict) -> Findings:
        raise KeyError("content that no log may hold")

    raw = make_mail()
    answer = replace(house.intake, finders=(breaks,)).accept(submission(today, ANNE), raw, body(raw))
    assert answer == Refusal(Reason.SURPRISE, permanent=False)


def test_the_verdict_is_kept_with_the_letter(house: House, pki: Pki, today: datetime, make_mail: Mail) -> None:
    """Signature and findings are judged once, on entry."""
    issued = pki.smime(PAUL, "Paul DURAND", "PARC", "1750000002")
    given = from_peer(today, ANNE)
    accept(house, given, smime.sign(make_mail(From=PAUL), issued.signer(), today))
    kept = house.kept(given.id)
    assert (kept.verdict.signature, kept.verdict.signer) == (SignatureState.VALID, Signer.MAILBOX)
    assert kept.verdict.signer_name == "Paul DURAND"


def test_a_message_id_that_holds_a_matricule_is_kept_as_a_pseudonym(
    house: House, today: datetime, make_mail: Mail
) -> None:
    """No patient's identity outside bodies and recipient rows."""
    given = submission(today, PATIENT)
    accept(house, given, make_mail(Message_ID="<279035121518989@lilas.mssante.example>"))
    kept = house.kept(given.id)
    assert "279035121518989" not in repr(kept)


def test_a_store_that_is_down_delays(
    slapd: Slapd, trust: TrustStore, today: datetime, tmp_path: Path, make_mail: Mail
) -> None:
    """No 250 without the row on disk."""
    with running(slapd, trust, today, tmp_path) as house:
        house.stop_spooler()
        answer = accept(house, submission(today, ANNE), make_mail())
    assert answer == Refusal(Reason.STORE_DOWN, permanent=False)
