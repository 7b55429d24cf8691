"""The private slapd and Dovecot: they run unprivileged, do their work, and end when told."""

from __future__ import annotations

import imaplib
import os
import smtplib
import socket
import ssl
from pathlib import Path

import ldap
import pytest

from directory.region import SUFFIX, ldif, region
from gateway.demo.processes import account
from gateway.demo.servers import Dovecot, ServerTrouble, Slapd, free_port

CLAIRE = "claire.moreau@lilas.example"
PAUL = "paul.bernard@lilas.example"
PASSWORD = "un mot de passe"
LETTER = b"From: ris@lilas.example\r\nSubject: Essai\r\n\r\n8 bits : \xc3\xa9\r\n..point\r\n"


def owner(pid: int | None) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def people(server: Slapd) -> int:
    client = ldap.initialize(server.uri)
    client.simple_bind_s(server.relay_dn, server.passwords.relay)
    return len(client.search_s(f"ou=personnes,{SUFFIX}", ldap.SCOPE_ONELEVEL))


def test_slapd_serves_what_was_loaded(slapd: Slapd) -> None:
    """The region is loaded offline, then served by an unprivileged slapd."""
    slapd.load(ldif(region()))
    slapd.start()
    assert people(slapd) == 240
    assert owner(slapd.pid) == account().uid != 0


def test_slapd_keeps_what_it_holds(slapd: Slapd) -> None:
    """Stopped and started, the directory is the same; loaded anew, it is only what was loaded."""
    slapd.load(ldif(region(people=5)))
    for _ in range(2):
        slapd.start()
        assert people(slapd) == 5
        slapd.stop()
        assert slapd.pid is None
    slapd.load(ldif(region(people=7)))
    slapd.start()
    assert people(slapd) == 7


def test_a_bad_ldif_is_said(slapd: Slapd) -> None:
    """What slapadd refuses comes as one French sentence with its reason."""
    with pytest.raises(ServerTrouble, match=r"L'annuaire n'a pas pu être chargé"):
        slapd.load("dn: cn=x\nobjectClass: inconnue\n\n")


def test_a_taken_port_is_said(slapd: Slapd) -> None:
    """Somebody listens already: the sentence names the port, and nothing was started."""
    slapd.load("")
    with (
        socket.create_server(("127.0.0.1", slapd.port)),
        pytest.raises(ServerTrouble, match=f"{slapd.port} .* déjà pris"),
    ):
        slapd.start()
    assert slapd.pid is None


def deliver(server: Dovecot, *recipients: str) -> dict[str, tuple[int, bytes]]:
    """One transaction (RFC 2033 §4.2: one reply per accepted recipient after DATA); answers what was refused."""
    client = smtplib.LMTP("127.0.0.1", server.lmtp_port)
    client.ehlo()
    client.mail("ris@lilas.example", ["BODY=8BITMIME"])
    replies = {recipient: client.rcpt(recipient) for recipient in recipients}
    taken = [recipient for recipient, (code, _) in replies.items() if code == 250]
    assert client.docmd("DATA")[0] == 354
    client.send(LETTER + b".\r\n")
    replies |= {recipient: client.getreply() for recipient in taken}
    client.quit()
    return {recipient: reply for recipient, reply in replies.items() if reply[0] != 250}


def mailbox(server: Dovecot, root: Path, user: str, password: str = PASSWORD) -> imaplib.IMAP4:
    client = imaplib.IMAP4("127.0.0.1", server.imap_port)
    client.starttls(ssl.create_default_context(cafile=str(root)))
    client.login(user, password)
    client.select()
    return client


def stored(client: imaplib.IMAP4) -> list[bytes]:
    numbers = client.search(None, "ALL")[1][0].split()
    return [client.fetch(number.decode(), "(RFC822)")[1][0][1] for number in numbers]


def test_a_letter_is_delivered_and_read(dovecot: Dovecot, host_keys: tuple[Path, Path, Path]) -> None:
    """One LMTP transaction to two mailboxes; each reads it over IMAP with STARTTLS, bytes unchanged."""
    dovecot.start()
    assert deliver(dovecot, CLAIRE, PAUL.upper()) == {}
    for user in (CLAIRE, PAUL):
        client = mailbox(dovecot, host_keys[2], user)
        (letter,) = stored(client)
        assert letter.endswith(LETTER.replace(b"\r\n..", b"\r\n."))
        assert letter.startswith(b"Return-Path: <ris@lilas.example>\r\n")
        client.logout()
    assert owner(dovecot.pid) == account().uid != 0


def test_an_unknown_mailbox_is_refused_alone(dovecot: Dovecot, host_keys: tuple[Path, Path, Path]) -> None:
    """The unknown recipient gets 550 at RCPT, the known one gets the letter."""
    dovecot.start()
    refused = deliver(dovecot, "personne@lilas.example", CLAIRE)
    assert {address: code for address, (code, _) in refused.items()} == {"personne@lilas.example": 550}
    assert len(stored(mailbox(dovecot, host_keys[2], CLAIRE))) == 1


@pytest.mark.parametrize(("user", "password"), [(CLAIRE, "faux"), ("personne@lilas.example", PASSWORD)])
def test_a_wrong_login_is_refused(
    dovecot: Dovecot, host_keys: tuple[Path, Path, Path], user: str, password: str
) -> None:
    """A wrong password and an unknown user both fail."""
    dovecot.start()
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        mailbox(dovecot, host_keys[2], user, password)


def test_letters_outlive_a_kill(dovecot: Dovecot, host_keys: tuple[Path, Path, Path]) -> None:
    """Killed without warning and started again, Dovecot still has what it said 250 to."""
    dovecot.start()
    deliver(dovecot, CLAIRE)
    assert dovecot.pid
    os.killpg(dovecot.pid, 9)
    dovecot.stop()
    dovecot.start()
    assert len(stored(mailbox(dovecot, host_keys[2], CLAIRE))) == 1


def test_nothing_of_a_letter_is_logged(dovecot: Dovecot) -> None:
    """Dovecot's log names neither sender nor subject."""
    dovecot.start()
    deliver(dovecot, CLAIRE)
    log = (dovecot.folder / "dovecot.log").read_text()
    assert "saved mail to INBOX" in log
    assert "ris@lilas.example" not in log
    assert "Essai" not in log


def test_a_path_too_long_for_sockets_is_said(dovecot: Dovecot, servers_folder: Path) -> None:
    """Unix sockets have short names: the folder is refused before anything starts."""
    long = Dovecot(servers_folder / ("d" * 90), *(free_port() for _ in range(2)), dovecot.accounts,
                   dovecot.certificate, dovecot.key)  # fmt: skip
    with pytest.raises(ServerTrouble, match="trop long"):
        long.start()


def test_a_broken_certificate_is_said(dovecot: Dovecot) -> None:
    """A certificate which is none is refused before anything starts."""
    broken = Dovecot(
        dovecot.folder, dovecot.imap_port, dovecot.lmtp_port, dovecot.accounts, dovecot.accounts, dovecot.key
    )
    with pytest.raises(ServerTrouble, match=r"ne peut pas servir"):
        broken.start()
    assert broken.pid is None
