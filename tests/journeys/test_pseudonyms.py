"""Fifty letters to patients, and then a search through all that the product wrote: no matricule in clear."""

from __future__ import annotations

import json
import smtplib
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest

from directory.model import PATIENT_DOMAIN
from dmp_bridge import cda
from dmp_bridge.model import Ins
from gateway.demo import sample
from gateway.demo.cast import RADIOLOGIST, SURGEON
from gateway.demo.looks import message_id
from gateway.demo.processes import free_port
from gateway.demo.stage import Seat

pytestmark = pytest.mark.journey

EACH = 25
EXCEPTED = {("recipients", "address"), ("recipients", "address_key"), ("recipients", "orcpt")}
"""Of the spool: a letter must be delivered and found, and a delivery report names whom the sender named (design §7)."""


def _matricule(number: int) -> str:
    """An invented INS with a right key; one in five was born in Corsica."""
    place = ("75", "2A", "974"[:2], "2B", "13")[number % 5]
    body = f"{1 + number % 2}{30 + number}{1 + number % 12:02}{place}{100 + 7 * number:03}{1 + 3 * number:03}"
    key = 97 - int(body.replace("2A", "19").replace("2B", "18")) % 97
    assert cda.well_formed(Ins(f"{body}{key:02}", "1.2.250.1.213.1.4.10"))
    return f"{body}{key:02}"


TO_LILAS = [_matricule(number) for number in range(EACH)]
TO_PARC = [_matricule(number) for number in range(EACH, 2 * EACH)]
REFUSED, ELSEWHERE, WRITING = (_matricule(number) for number in (50, 51, 52))
ALL = [*TO_LILAS, *TO_PARC, REFUSED, ELSEWHERE, WRITING, sample.PATIENT.ins.value if sample.PATIENT.ins else ""]


@pytest.fixture(scope="module")
def spoken(make_world: Callable[..., Any]) -> Iterator[Any]:
    """Lilas' next operator refuses every patient, Parc's is away; both then have letters about them in every table."""

    def next_operators(stage: Any) -> None:
        lilas, parc = stage.seats["lilas"], stage.seats["parc"]
        for seat, port in ((lilas, lilas.ports.peers), (parc, free_port())):
            text = seat.config.read_text(encoding="utf-8")
            seat.config.write_text(
                text.replace("[peers]", f'[peers]\n"{PATIENT_DOMAIN}" = "127.0.0.1:{port}"'), "utf-8"
            )

    with make_world(next_operators) as world:
        _letters(world, world.lilas, str(RADIOLOGIST.address), TO_LILAS)
        _letters(world, world.parc, str(SURGEON.address), TO_PARC)
        _refusals(world)
        letter = world.submit(world.packed(world.report()))
        world.settled(world.lilas, letter)
        _settled(world.lilas, "failed", tried=EACH)
        _settled(world.parc, "queued", tried=1)  # one probe is enough where a host is away
        yield world


def _letters(world: Any, seat: Seat, sender: str, matricules: list[str]) -> None:
    """One letter a patient, whose matricule stands wherever a client can put it."""
    with world.submission(seat, sender) as client:
        for number, each in enumerate(matricules):
            address = f"{each if number % 2 else each.lower()}@{PATIENT_DOMAIN}"
            assert client.mail(sender, ["RET=HDRS"])[0] == 250
            assert client.rcpt(address, ["NOTIFY=SUCCESS,FAILURE", f"ORCPT=rfc822;{address}"])[0] == 250
            code, said = client.data(_mail(sender, address, each))
            assert code == 250, said


def _mail(sender: str, address: str, matricule: str) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = sender, address, f"Votre compte rendu, {matricule}"
    mail["Message-ID"] = f"<{matricule}.compte-rendu@{sender.partition('@')[2]}>"
    mail.set_content(f"Bonjour, matricule {matricule[:1]} {matricule[1:3]} {matricule[3:5]} {matricule[5:]}.")
    mail.add_attachment(b"%PDF-1.4 ", "application", "pdf", filename=f"{matricule}.pdf")
    return mail.as_bytes()


def _refusals(world: Any) -> None:
    """At RCPT by a node that does not relay, at RCPT outside the white list, and at MAIL in a patient's name."""
    with world.peer(world.parc.ports.peers, *world.lilas.tls) as peer:
        assert peer.mail(str(RADIOLOGIST.address))[0] == 250
        assert peer.rcpt(f"{REFUSED}@{PATIENT_DOMAIN}")[0] >= 500
    with world.submission(world.lilas, str(RADIOLOGIST.address)) as client:
        assert client.mail(f"{WRITING}@{PATIENT_DOMAIN}")[0] >= 500
        assert client.mail(str(RADIOLOGIST.address))[0] == 250
        assert client.rcpt(f"{ELSEWHERE}@ailleurs.example")[0] >= 500
    stranger = smtplib.SMTP("127.0.0.1", world.lilas.ports.peers, local_hostname=f"{WRITING}.example")
    with stranger:
        stranger.ehlo()
        assert stranger.mail(f"{WRITING}@{PATIENT_DOMAIN}")[0] >= 500


def _settled(seat: Seat, state: str, tried: int) -> None:
    """Every letter to a patient is there, and so many were tried."""
    end = time.monotonic() + 60
    asked = "SELECT COUNT(*), SUM(reason <> '') FROM recipients WHERE address LIKE ? AND state = ?"
    while time.monotonic() < end:
        with closing(_base(seat)) as base:
            there, reasons = base.execute(asked, (f"%@{PATIENT_DOMAIN}", state)).fetchone()
            if there == EACH and reasons >= tried:
                return
        time.sleep(0.2)
    raise AssertionError(f"not every letter to a patient is {state} at {seat.who.name}")


def _base(seat: Seat) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{seat.folder / 'data' / 'pli.sqlite'}?mode=ro", uri=True, timeout=20)


# --- the search ---------------------------------------------------------------------------------------------------


def _named(text: str) -> set[str]:
    """Matricules that stand in a text: 13 characters, with their key or without, in either case."""
    upper = text.upper()
    return {each for each in ALL if each[:13].upper() in upper}


def _values(seat: Seat) -> Iterator[tuple[str, str, str]]:
    """(table, column, value) of every cell of every table; journal and migrations included."""
    with closing(_base(seat)) as base:
        tables = [row[0] for row in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert {"letters", "recipients", "journal", "patients", "filings", "worklist"} <= set(tables)
        for table in tables:
            found = base.execute(f'SELECT * FROM "{table}"')  # noqa: S608  # its own list of tables
            columns = [each[0] for each in found.description]
            for row in found:
                for column, value in zip(columns, row, strict=True):
                    yield table, column, value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _files(seat: Seat) -> Iterator[Path]:
    """What the node itself wrote; Dovecot's mailboxes hold delivered mail."""
    for path in seat.folder.rglob("*"):
        if path.relative_to(seat.folder).parts[0] != "dovecot":
            yield path


SEATS = pytest.mark.parametrize("name", ["lilas", "parc"])


@SEATS
def test_no_row_of_any_table_names_a_patient(spoken: Any, name: str) -> None:
    """The addresses to deliver to are the only cells with a matricule; the journal has events of every letter."""
    seat = getattr(spoken, name)
    named = {(table, column) for table, column, value in _values(seat) if _named(value) - {WRITING}}
    assert named - EXCEPTED == set()
    assert ("recipients", "address") in named, "the search finds what is there"


@SEATS
def test_no_log_and_no_file_name_names_a_patient(spoken: Any, name: str) -> None:
    """Logs, pid files and configuration hold no matricule; neither do the names of files, bodies included."""
    seat = getattr(spoken, name)
    files = list(_files(seat))
    assert len([path for path in files if "bodies" in path.parts and path.is_file()]) >= EACH
    assert [path for path in files if _named(path.name)] == []
    held = [p for p in files if p.is_file() and "bodies" not in p.parts and not p.name.startswith("pli.sqlite")]
    assert {"pli.log", "server.log"} <= {path.name for path in held}
    assert [path.name for path in held if _named(path.read_bytes().decode("latin-1"))] == []


def test_the_log_tells_of_a_refused_patient_by_a_pseudonym(spoken: Any) -> None:
    """The twin: who was refused at MAIL is in the log, not by name."""
    log = (spoken.lilas.folder / "pli.log").read_text("utf-8").splitlines()
    refused = [json.loads(line)["sender"] for line in log if '"sender-refused"' in line]
    assert refused
    assert {sender[:2] + sender.partition("@")[2] for sender in refused} == {f"p:{PATIENT_DOMAIN}"}


def test_a_letter_by_a_patient_leaves_its_envelope_alone(spoken: Any) -> None:
    """What a patient writes is delivered; only the envelope, to which a notice would go, holds who wrote."""
    address = f"{WRITING}@{PATIENT_DOMAIN}"
    with spoken.peer(spoken.parc.ports.peers, *spoken.lilas.tls) as peer:
        mail = _mail(address, str(SURGEON.address), WRITING)
        assert peer.sendmail(address, [str(SURGEON.address)], mail) == {}
    spoken.received(spoken.parc, SURGEON.address, message_id(mail))
    cells = {(table, column) for table, column, value in _values(spoken.parc) if WRITING in _named(value)}
    assert cells == {("letters", "sender"), ("letters", "sender_key")}
    assert not any(WRITING in _named(value) for _, _, value in _values(spoken.lilas)), "there he was refused"
    done = spoken.pli(spoken.parc, "trace", "--json", "--sender", address)
    assert (done.returncode, _named(done.stdout)) == (0, set()), done
    assert _named((spoken.parc.folder / "pli.log").read_text("utf-8")) == set()


@SEATS
@pytest.mark.parametrize("look", ["trace", "trace-json", "trace-english", "queue", "worklist", "explain"])
def test_no_look_of_an_operator_names_a_patient(spoken: Any, name: str, look: str) -> None:
    """`pli trace`, `queue`, `worklist` and `explain` show pseudonyms, also where a patient's address was asked for."""
    seat, matricule = getattr(spoken, name), {"lilas": TO_LILAS, "parc": TO_PARC}[name][1]
    sender = str({"lilas": RADIOLOGIST, "parc": SURGEON}[name].address)
    arguments = {
        "trace": ["trace", "--sender", sender],
        "trace-json": ["trace", "--json", "--recipient", f"{matricule}@{PATIENT_DOMAIN}"],
        "trace-english": ["trace", "--lang", "en", "--sender", sender],
        "queue": ["queue"],
        "worklist": ["worklist", "--json"],
        "explain": ["explain", f"{matricule}@{PATIENT_DOMAIN}"],
    }[look]
    done = spoken.pli(seat, *arguments)
    assert done.returncode == 0, done
    assert _named(done.stdout + done.stderr) == set()
    if look.startswith("trace"):
        assert f"@{PATIENT_DOMAIN}" in done.stdout
        assert "p:" in done.stdout


def test_a_letter_is_found_by_a_message_id_that_names_a_patient(spoken: Any) -> None:
    """What stands as a pseudonym in the rows is still found by who has the mail itself."""
    wanted = f"<{TO_LILAS[3]}.compte-rendu@{RADIOLOGIST.address.domain}>"
    done = spoken.pli(spoken.lilas, "trace", "--json", "--message-id", wanted)
    assert done.returncode == 0, done.stderr
    assert _named(done.stdout) == set()


def test_no_trait_of_the_registers_patient_stands_in_a_row_or_a_log(spoken: Any) -> None:
    """The patient of the filed document: neither name nor birth date, though subject and file names held both."""
    traits = sample.PATIENT.traits
    born = traits.birth_date or date.min
    words = {traits.birth_name, f"{born:%d/%m/%Y}", born.isoformat(), f"{born:%Y%m%d}"}
    seat = spoken.lilas
    held = "\n".join(value for _, _, value in _values(seat)) + (seat.folder / "pli.log").read_text("utf-8")
    assert {word for word in words if word in held} == set()
