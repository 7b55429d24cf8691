"""The courier to our own mailboxes, against a real Dovecot: what lands, and what it says on top."""

from __future__ import annotations

import email
import email.policy
import imaplib
import shutil
import socket
from collections.abc import Callable, Iterator
from datetime import datetime
from email.message import EmailMessage

import pytest

from certs.chain import TrustStore
from certs.throwaway import Pki
from gateway.demo.servers import Dovecot, free_port, new_folder
from relay import message as mime
from relay import smime
from relay.couriers.mailbox import MailboxCourier, words
from relay.message import scan
from relay.model import (
    BodyRef,
    Done,
    Door,
    DoorProof,
    Job,
    Later,
    Letter,
    Mode,
    Never,
    Reason,
    Recipient,
    Route,
    SignatureState,
    Signer,
    State,
    Verdict,
)
from relay.warning import AS_WARNING

FROM = "marie.martin@lilas.mssante.example"
DOMAIN = "parc.mssante.example"
Mail = Callable[..., bytes]


@pytest.fixture(scope="module")
def dovecot(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dovecot]:
    files = tmp_path_factory.mktemp("accounts")
    cert, key = pki.tls_server("mss.parc.example", "PARC", "1750000002").write(files, "imap")
    accounts = files / "accounts"
    accounts.write_text("".join(f"{name}@{DOMAIN}:{{PLAIN}}secret::::::\n" for name in ("paul", "anne")))
    folder = new_folder()
    server = Dovecot(folder / "d", free_port(), free_port(), accounts, cert, key)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def courier(dovecot: Dovecot, today: datetime) -> MailboxCourier:
    return MailboxCourier("127.0.0.1", dovecot.lmtp_port, "mss.parc.example", lambda: today, command_s=10.0)


@pytest.fixture
def read(dovecot: Dovecot) -> Callable[[str], list[bytes]]:
    """Takes what is in a mailbox, over IMAP."""

    def fetch(name: str) -> list[bytes]:
        with imaplib.IMAP4("127.0.0.1", dovecot.imap_port) as client:
            client.login(f"{name}@{DOMAIN}", "secret")
            client.select("INBOX")
            _, found = client.search(None, "ALL")
            numbers = found[0].split()
            letters = [client.fetch(number.decode(), "(RFC822)")[1][0][1] for number in numbers]
            for number in numbers:
                client.store(number.decode(), "+FLAGS", "\\Deleted")
            client.expunge()
            return letters

    for name in ("paul", "anne"):
        fetch(name)
    return fetch


def job(raw: bytes, at: datetime, verdict: Verdict, *names: str) -> Job:
    letter = Letter(
        id="01abc",
        tenant="parc",
        door=Door.PEER,
        sender=FROM,
        message_id="<1@x>",
        body=BodyRef("n", len(raw), "d"),
        received_at=at,
        trace="Received: from mss.lilas.example ([127.0.0.1])\r\n\tby mss.parc.example (Pli) with ESMTPS id 01abc\r\n",
        verdict=verdict,
        proof=DoorProof(),
    )
    route = Route(Mode.MAILBOX, "lmtp", "mailbox-here")
    rows = [Recipient(each, letter.id, "parc", f"{each}@{DOMAIN}", route, State.RUNNING) for each in names]
    return Job(letter, tuple(rows), lambda: raw, 1)


def parsed(letter: bytes) -> EmailMessage:
    message = email.message_from_bytes(letter, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


SIGNED = Verdict(SignatureState.VALID, Signer.MAILBOX, "Marie MARTIN", "ab" * 32)


def test_letters_share_a_connection_each_in_its_own_transaction(
    courier: MailboxCourier, read: Callable[[str], list[bytes]], today: datetime, make_mail: Mail
) -> None:
    """One connection to Dovecot for three letters; a recipient refused in the second leaves it good for the third."""
    for number, names in enumerate((("paul", "anne"), ("nobody", "paul"), ("anne",))):
        raw = make_mail(Subject=f"lettre {number}")
        answer = courier.deliver(job(raw, today, SIGNED, *names))
        assert [isinstance(answer[name], Done) for name in names] == [name != "nobody" for name in names]
        assert len(courier.kept) == 1
    assert [str(parsed(each)["Subject"]) for each in read("paul")] == ["lettre 0", "lettre 1"]
    assert [str(parsed(each)["Subject"]) for each in read("anne")] == ["lettre 0", "lettre 2"]
    courier.kept.close()


def test_a_connection_that_the_server_ended_is_no_delay(
    courier: MailboxCourier, read: Callable[[str], list[bytes]], today: datetime, make_mail: Mail
) -> None:
    """A kept connection, shut behind our back, is replaced: the letter lands once."""
    courier.deliver(job(make_mail(), today, SIGNED, "paul"))
    (held,) = courier.kept._held
    assert held.session.sock
    held.session.sock.shutdown(socket.SHUT_RDWR)
    assert isinstance(courier.deliver(job(make_mail(), today, SIGNED, "anne"))["anne"], Done)
    assert (len(read("paul")), len(read("anne"))) == (1, 1)
    courier.kept.close()


def test_a_letter_lands_as_it_came_with_our_verdict_on_top(
    courier: MailboxCourier, read: Callable[[str], list[bytes]], today: datetime, make_mail: Mail
) -> None:
    """Both mailboxes have the very bytes below our fields; one Return-Path; the sentence says whose word it
    is."""
    raw = make_mail("Un résumé.\n.\n", (("IHE_XDM.zip", "application/zip", b"PK\x03\x04\x00"),))
    outcomes = courier.deliver(job(raw, today, SIGNED, "paul", "anne"))
    assert all(isinstance(each, Done) and each.note == "" for each in outcomes.values())
    assert len(outcomes) == 2
    for name in ("paul", "anne"):
        (letter,) = read(name)
        assert letter.endswith(raw)
        shown = parsed(letter)
        assert shown.get_all("Return-Path") == [f"<{FROM}>"]
        assert shown["X-Pli-Signature"] == "valid"
        assert shown["X-Pli-Signer"] == "mailbox"
        assert shown["X-Pli-Words"] == "Signé par Marie MARTIN, certificat de l'adresse de l'expéditeur."
        assert "by mss.parc.example (Pli) with ESMTPS id 01abc" in "".join(shown.get_all("Received"))


def test_fields_of_our_family_written_by_a_stranger_do_not_arrive(
    courier: MailboxCourier, read: Callable[[str], list[bytes]], today: datetime, make_mail: Mail
) -> None:
    """CVE-2026-27443: only our own word stands in X-Pli-*."""
    raw = make_mail(X_Pli_Signature="valid", X_Pli_Words="Signé par le roi")
    courier.deliver(job(raw, today, Verdict(), "paul"))
    shown = parsed(read("paul")[0])
    assert shown.get_all("X-Pli-Signature") == ["none"]
    assert shown.get_all("X-Pli-Words") == ["Lettre non signée."]


def test_each_recipient_has_its_own_reply(
    courier: MailboxCourier, read: Callable[[str], list[bytes]], today: datetime, make_mail: Mail
) -> None:
    """RFC 2033 §4.2: an unknown mailbox is Never, the other one has the letter."""
    outcomes = courier.deliver(job(make_mail(), today, SIGNED, "nobody", "paul"))
    assert isinstance(outcomes["paul"], Done)
    assert isinstance(outcomes["nobody"], Never)
    assert outcomes["nobody"].reason == Reason.MAILBOX_REFUSED
    assert len(read("paul")) == 1


def altered(pki: Pki, trust: TrustStore, today: datetime, raw: bytes) -> tuple[bytes, Verdict]:
    """A letter changed on the way, and what the intake says of it."""
    issued = pki.smime(FROM, "Marie MARTIN", "LILAS", "1750000001")
    letter = smime.sign(raw, issued.signer(), today).replace(b"positif", b"negatif")
    return letter, smime.judge(scan(letter), trust, today)


def test_a_letter_whose_signature_fails_is_delivered_as_a_warning(
    courier: MailboxCourier,
    read: Callable[[str], list[bytes]],
    pki: Pki,
    trust: TrustStore,
    today: datetime,
    make_mail: Mail,
) -> None:
    """Not as itself, and marked: French, then English, the original inside byte for byte."""
    attachments = (("IHE_XDM.zip", "application/zip", b"PK\x03\x04"),)
    raw, verdict = altered(pki, trust, today, make_mail("positif\n", attachments, Subject="XDM/1.0/DDM+CR VIAL"))
    outcomes = courier.deliver(job(raw, today, verdict, "paul", "anne"))
    assert [each.note for each in outcomes.values() if isinstance(each, Done)] == [AS_WARNING, AS_WARNING]
    (letter,) = read("paul")
    assert len(read("anne")) == 1
    shown = parsed(letter)
    assert shown["Subject"].startswith("[SIGNATURE NON VALIDE] XDM/1.0/DDM+CR")
    assert shown["From"] == f"Pli <postmaster@{DOMAIN}>"
    assert shown["X-Pli-Warning"] == "signature-invalid; fault=digest-mismatch"
    assert shown["X-Pli-Signature"] == "invalid"
    text, enclosed = shown.iter_parts()
    words_told = text.get_content()
    assert "son contenu n'est plus celui qui a été signé" in words_told
    assert words_told.index("pas remise telle quelle") < words_told.index("is not delivered as itself")
    assert enclosed.get_content_type() == "message/rfc822"
    assert scan(letter).parts[2].body == raw


def test_nothing_in_a_warning_letter_is_taken_for_a_letter(
    pki: Pki, trust: TrustStore, today: datetime, make_mail: Mail, courier: MailboxCourier,
    read: Callable[[str], list[bytes]],
) -> None:  # fmt: skip
    """It is automatic mail and its archive is not one of its parts, so that nothing in it is ever filed."""
    attachments = (("IHE_XDM.zip", "application/zip", b"PK\x03\x04"),)
    raw, verdict = altered(pki, trust, today, make_mail("positif\n", attachments))
    courier.deliver(job(raw, today, verdict, "paul"))
    message = scan(read("paul")[0])
    assert mime.automatic(message, null_sender=False) == "auto-submitted"
    assert [part.type for part in message.parts] == ["multipart/mixed", "text/plain", "message/rfc822"]


@pytest.mark.parametrize(
    "state", [SignatureState.NONE, SignatureState.CANNOT_TELL, SignatureState.PARTIAL, SignatureState.VALID]
)
def test_only_a_failed_signature_makes_a_warning(
    courier: MailboxCourier,
    read: Callable[[str], list[bytes]],
    today: datetime,
    make_mail: Mail,
    state: SignatureState,
) -> None:
    """The twin: a letter that nobody signed, or whose signature cannot be judged, is itself, and says so."""
    raw = make_mail()
    verdict = Verdict(state, Signer.AUTHOR if state is SignatureState.VALID else None, "Quelqu'un")
    courier.deliver(job(raw, today, verdict, "paul"))
    (letter,) = read("paul")
    assert letter.endswith(raw)
    assert parsed(letter)["X-Pli-Warning"] is None
    assert parsed(letter)["X-Pli-Words"] == words(verdict)


def test_an_establishment_seals_and_never_signs(today: datetime) -> None:
    """Design §7: never 'signé par Dr Y' for an organisation's certificate."""
    sealed = words(Verdict(SignatureState.VALID, Signer.ESTABLISHMENT, "IMAGERIE DES LILAS"))
    assert sealed == "Scellé par l'établissement IMAGERIE DES LILAS."


def test_no_server_is_later(today: datetime, make_mail: Mail) -> None:
    """The letter waits for the mailbox server."""
    closed = socket.create_server(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    closed.close()
    courier = MailboxCourier("127.0.0.1", port, "mss.parc.example", lambda: today)
    (outcome,) = courier.deliver(job(make_mail(), today, Verdict(), "paul")).values()
    assert outcome == Later(Reason.MAILBOX_DELAYED, "ConnectionRefusedError")
