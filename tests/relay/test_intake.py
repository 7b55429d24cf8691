"""The intake, on a real store, a real spooler and a real directory."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from certs.chain import TrustStore
from certs.throwaway import Pki
from directory.address import parse
from directory.ldap import LdapDirectory
from directory.model import Address, Entry, Kind
from directory.region import SUFFIX, ldif
from directory.slapd import Passwords
from gateway.demo.servers import Slapd, free_port, new_folder
from relay import smime, spool, withdrawal
from relay.intake import Intake
from relay.message import Message
from relay.model import (
    Addressee,
    BodyRef,
    Door,
    DoorProof,
    Envelope,
    Extra,
    Findings,
    Letter,
    Mode,
    Reason,
    Receipt,
    Refusal,
    Route,
    SignatureState,
    Signer,
    Verdict,
    new_id,
)
from relay.partners import Listed, WhiteList
from relay.policy import Book, Level, Line, PolicyDown
from relay.pseudonym import Pseudonyms
from relay.routing import Node
from relay.spooler import SpoolClient, Spooler
from relay.store import engine, migrations, tables

OURS, PEER = "lilas.mssante.example", "parc.mssante.example"
MARIE, ANNE = f"marie.martin@{OURS}", f"anne.petit@{OURS}"
PAUL = f"paul.durand@{PEER}"
CLOSED = f"jeanne.partie@{OURS}"
PATIENT = "279035121518989@patient.mssante.fr"
OUR_DN, PEER_DN = "CN=mss.lilas.example,O=LILAS,C=FR", "CN=mss.parc.example,O=PARC,C=FR"
ACCOUNT = DoorProof(account=MARIE, tls="TLSv1.3", client="192.0.2.7", helo="poste")
FROM_PEER = DoorProof(peer=PEER_DN, peer_fingerprint="ab" * 32, client="192.0.2.9", helo="mss.parc.example")
Mail = Callable[..., bytes]


@dataclass(frozen=True)
class House:
    """One node's intake with all that it stands on."""

    intake: Intake
    engine: Engine
    stop_spooler: Callable[[], None]

    def recipients(self, letter_id: str) -> dict[str, tuple[str, str, str]]:
        found = spool.letter(self.engine, "lilas", letter_id)
        rows = found[1] if found else ()
        return {row.address: (row.route.mode.value, row.state.value, row.reason) for row in rows}

    def kept(self, letter_id: str) -> Letter:
        found = spool.letter(self.engine, "lilas", letter_id)
        assert found is not None
        return found[0]

    def events(self, letter_id: str) -> list[str]:
        return [step.event for step in spool.timeline(self.engine, "lilas", letter_id)]


@pytest.fixture(scope="module")
def slapd() -> Iterator[Slapd]:
    folder = new_folder()
    server = Slapd(folder / "s", free_port(), SUFFIX, Passwords(relay="r", people="p", feeder="f"))
    people = [person(MARIE), person(ANNE), person(PAUL), person(f"rouge@{OURS}", red_list=True), person(CLOSED)]
    head, _, last = ldif(people).rpartition("dn: mail=")
    assert CLOSED in last
    server.load(f"{head}dn: mail={last.replace('lifecycleState: active', 'lifecycleState: suspended')}")
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


def person(address: str, **more: bool) -> Entry:
    given, _, family = address.partition("@")[0].partition(".")
    entry = Entry(parse(address), Kind.PER, f"Dr {given} {family}", family, given, "Dr", finess="750000001")
    return replace(entry, **more)  # type: ignore[arg-type]


@contextmanager
def running(slapd: Slapd, trust: TrustStore, today: datetime, folder: Path) -> Iterator[House]:
    url = f"sqlite:///{folder / 'pli.sqlite'}"
    migrations.upgrade(url, [tables.metadata])
    stop = threading.Event()
    spooler = Spooler(engine.writer_engine(url), folder / "s.sock", spool.WRITES, lambda: today)
    thread = threading.Thread(target=spooler.serve, args=(stop,))
    thread.start()
    assert spooler.ready.wait(10)

    def end() -> None:
        stop.set()
        thread.join(10)

    listed = [Listed(OURS, OUR_DN), Listed(PEER, PEER_DN), Listed("patient.mssante.fr", "CN=mes,O=CNAM,C=FR")]
    white_list = WhiteList.of(listed, today)
    intake = Intake(
        node=Node("lilas", frozenset({OURS}), "mss.lilas.example"),
        client=SpoolClient(folder / "s.sock", timeout=5.0),
        directory=LdapDirectory(slapd.uri, SUFFIX, slapd.relay_dn, "r", clock=lambda: today),
        white_list=lambda: white_list,
        trust=lambda: trust,
        finders=(),
        pseudonyms=Pseudonyms(b"k" * 32),
        clock=lambda: today,
    )
    yield House(intake, engine.reader_engine(url), end)
    end()


@pytest.fixture(scope="module")
def house(
    slapd: Slapd, trust: TrustStore, today: datetime, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """Shared: each test looks at its own letters only."""
    with running(slapd, trust, today, tmp_path_factory.mktemp("house")) as found:
        yield found


def submission(at: datetime, *to: str, sender: str | None = MARIE, proof: DoorProof = ACCOUNT) -> Envelope:
    return envelope(at, Door.SUBMISSION, to, sender, proof)


def from_peer(at: datetime, *to: str, sender: str | None = PAUL) -> Envelope:
    return envelope(at, Door.PEER, to, sender, FROM_PEER)


def envelope(at: datetime, door: Door, to: tuple[str, ...], sender: str | None, proof: DoorProof) -> Envelope:
    return Envelope(
        id=new_id(at),
        tenant="lilas",
        door=door,
        sender=parse(sender) if sender else None,
        addressees=tuple(Addressee(parse(each)) for each in to),
        proof=proof,
        received_at=at,
    )


def body(raw: bytes) -> BodyRef:
    return BodyRef("random-name", len(raw), "digest")


def accept(house: House, given: Envelope, raw: bytes) -> Receipt | Refusal:
    return house.intake.accept(given, raw, body(raw))


# --- before DATA --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("door", "address", "reason"),
    [
        (Door.SUBMISSION, ANNE, None),
        (Door.SUBMISSION, PAUL, None),
        (Door.SUBMISSION, PATIENT, None),
        (Door.SUBMISSION, f"rouge@{OURS}", None),
        (Door.SUBMISSION, f"nobody@{OURS}", Reason.UNKNOWN_RECIPIENT),
        (Door.SUBMISSION, f"nobody@{PEER}", Reason.UNKNOWN_RECIPIENT),
        (Door.SUBMISSION, "x@elsewhere.example", Reason.NOT_LISTED),
        (Door.SUBMISSION, "27707279035121518989@patient.mssante.fr", Reason.RECIPIENT_SYNTAX),
        (Door.SUBMISSION, "2770763220829106@patient.mssante.fr", Reason.RECIPIENT_SYNTAX),
        (Door.PEER, ANNE, None),
        (Door.PEER, f"nobody@{OURS}", Reason.UNKNOWN_RECIPIENT),
        (Door.PEER, PAUL, Reason.NO_RELAY),
        (Door.PEER, PATIENT, Reason.NO_RELAY),
        (Door.NOTICE, PAUL, None),
        (Door.NOTICE, "x@elsewhere.example", Reason.NOT_LISTED),
    ],
)
def test_a_recipient_is_known_or_refused_by_name(house: House, door: Door, address: str, reason: Reason | None) -> None:
    """What is knowable at RCPT is refused at RCPT; peers are never relayed for."""
    answer = house.intake.check_recipient(parse(address), door)
    if reason is None:
        assert isinstance(answer, Addressee)
        assert str(answer.address) == address
    else:
        assert isinstance(answer, Refusal)
        assert (answer.reason, answer.permanent) == (reason, True)


def test_nearest_entries_are_told_to_our_own_people_only(house: House) -> None:
    """A slip gets a suggestion at our own doors, a stranger learns nothing, and nobody hears of the red
    list."""
    slip = parse(f"marie.martn@{OURS}")
    own = house.intake.check_recipient(slip, Door.SUBMISSION)
    theirs = house.intake.check_recipient(slip, Door.PEER)
    assert isinstance(own, Refusal)
    assert isinstance(theirs, Refusal)
    assert MARIE in own.detail
    assert theirs.detail == ""
    red = house.intake.check_recipient(parse(f"roug@{OURS}"), Door.SUBMISSION)
    assert isinstance(red, Refusal)
    assert "rouge" not in red.detail


@pytest.mark.parametrize("door", [Door.SUBMISSION, Door.PEER])
def test_a_closed_mailbox_is_refused_by_a_name_of_its_own(house: House, door: Door) -> None:
    """Known and not in force is not unknown: the sender learns that the address was right."""
    closed = house.intake.check_recipient(parse(CLOSED), door)
    unknown = house.intake.check_recipient(parse(f"jamais.vue@{OURS}"), door)
    assert isinstance(closed, Refusal)
    assert isinstance(unknown, Refusal)
    assert (closed.reason, unknown.reason) == (Reason.RECIPIENT_CLOSED, Reason.UNKNOWN_RECIPIENT)
    assert closed.permanent


def test_a_directory_that_is_down_delays(house: House, today: datetime) -> None:
    """Temporary: the other side keeps the letter."""
    nowhere = LdapDirectory(f"ldap://127.0.0.1:{free_port()}", SUFFIX, "cn=x", "r", clock=lambda: today)
    answer = replace(house.intake, directory=nowhere).check_recipient(parse(ANNE), Door.PEER)
    assert answer == Refusal(Reason.DIRECTORY_DOWN, permanent=False)


@pytest.mark.parametrize(
    ("door", "sender", "proof", "reason"),
    [
        (Door.SUBMISSION, MARIE, ACCOUNT, None),
        (Door.SUBMISSION, None, ACCOUNT, None),
        (Door.SUBMISSION, ANNE, ACCOUNT, Reason.SENDER_NOT_ALLOWED),
        (Door.SUBMISSION, PAUL, ACCOUNT, Reason.SENDER_NOT_ALLOWED),
        (Door.PAGE, MARIE, ACCOUNT, None),
        (Door.PAGE, ANNE, ACCOUNT, Reason.SENDER_NOT_ALLOWED),
        (Door.PAGE, MARIE, DoorProof(), Reason.SENDER_NOT_ALLOWED),
        (Door.PEER, PAUL, FROM_PEER, None),
        (Door.PEER, None, FROM_PEER, None),
        (Door.PEER, MARIE, FROM_PEER, Reason.PEER_NOT_LISTED),
        (Door.PEER, PAUL, replace(FROM_PEER, peer=OUR_DN), Reason.PEER_NOT_LISTED),
        (Door.PEER, PAUL, replace(FROM_PEER, peer=""), Reason.PEER_NOT_LISTED),
        (Door.COMMAND, MARIE, DoorProof(), None),
        (Door.COMMAND, PAUL, DoorProof(), Reason.SENDER_NOT_ALLOWED),
    ],
)
def test_who_may_speak_for_whom(
    house: House, door: Door, sender: str | None, proof: DoorProof, reason: Reason | None
) -> None:
    """An account for its own address, a peer for the domains of its certificate, nobody for another."""
    answer = house.intake.check_sender(parse(sender) if sender else None, proof, door)
    assert (answer and answer.reason) == reason


def test_a_stale_white_list_delays_whatever_it_should_decide(house: House, today: datetime) -> None:
    """Too old to trust: peers and other domains wait, our own mailboxes do not."""
    late = replace(house.intake, clock=lambda: today + timedelta(hours=73))
    stale = Refusal(Reason.WHITE_LIST_STALE, permanent=False)
    assert late.check_sender(parse(PAUL), FROM_PEER, Door.PEER) == stale
    assert late.check_recipient(parse(PAUL), Door.SUBMISSION) == stale
    assert isinstance(late.check_recipient(parse(ANNE), Door.SUBMISSION), Addressee)


@pytest.mark.parametrize(
    ("policy", "known", "refused"),
    [
        ("as-stated", True, False),
        ("as-stated", None, False),
        ("as-stated", False, True),
        ("qualified", True, False),
        ("qualified", None, True),
        ("qualified", False, True),
    ],
)
def test_whose_address_a_patients_may_be(house: House, policy: str, known: bool | None, refused: bool) -> None:
    """ECO.2.2.6: what our register knows decides; of whom it does not know, policy. Nobody else is asked about."""
    lines = [Line(Level.TENANT, "", "patient_ins", policy)]
    asked: list[Address] = []
    intake = replace(house.intake, book=lambda: Book(lines), qualified=lambda one: asked.append(one) or known)
    patient, marie = Addressee(parse("279035121518989@patient.mssante.fr")), parse(MARIE)
    expected = Refusal(Reason.PATIENT_NOT_QUALIFIED, permanent=True) if refused else None
    assert intake.check_route(patient, marie, 0) == expected
    assert intake.check_route(Addressee(parse(PAUL)), marie, 0) is None
    assert asked == [patient.address]

    def down() -> Book:
        raise PolicyDown("gone")

    assert replace(intake, book=down).check_route(patient, marie, 0) == Refusal(Reason.STORE_DOWN, permanent=False)


# --- after DATA ---------------------------------------------------------------------------------------------


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
