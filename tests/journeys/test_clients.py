"""Mail clients that are not ours, at both doors and at the mailboxes: what each did is seen by another."""

from __future__ import annotations

import re
import subprocess
from email import message_from_bytes
from email.message import Message
from email.policy import default
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from gateway.demo import clients
from gateway.demo.cast import PASSWORD, RADIOLOGIST, SURGEON
from gateway.demo.clients import Login, Unseen
from gateway.demo.looks import message_id
from gateway.demo.postfix import generator, resolving

pytestmark = pytest.mark.journey

FROM, TO = str(RADIOLOGIST.address), str(SURGEON.address)


# --- neomutt --------------------------------------------------------------------------------------------------

_NEOMUTT = """\
set from = "{sender}"
set realname = "Claire Moreau"
set use_envelope_from = no
set smtp_url = "smtp://{user}@127.0.0.1:{port}"
set smtp_pass = "{password}"
set smtp_authenticators = "plain"
set ssl_starttls = yes
set ssl_force_tls = yes
set certificate_file = "{ca}"
set ssl_ca_certificates_file = "{ca}"
set copy = no
set send_charset = "utf-8"
set sendmail = "/bin/false"
set header_cache = ""
set sleep_time = 0
"""


def neomutt(world: Any, folder: Path, password: str, subject: str, attached: Path) -> subprocess.CompletedProcess[str]:
    """Hands in a letter with an attachment, as a person at a terminal would."""
    rc = folder / "neomuttrc"
    user = quote(FROM, safe="")
    port = world.lilas.ports.submission
    rc.write_text(_NEOMUTT.format(sender=FROM, user=user, port=port, password=password, ca=world.ca))
    return subprocess.run(
        ["neomutt", "-n", "-F", str(rc), "-s", subject, "-a", str(attached), "--", TO],
        input="Bonjour,\n\nvoici l'image de Zoé.\n.\nFin\n", capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "LC_ALL": "C.UTF-8", "TERM": "dumb"},
    )  # fmt: skip


def test_a_letter_by_neomutt_is_fetched_by_mbsync(world: Any, tmp_path: Path) -> None:
    """Text with accents and a lone dot, an attachment byte for byte: written in one client, read in another, signed
    on the way."""
    picture = tmp_path / "image.bin"
    picture.write_bytes(bytes(range(256)) * 40)
    subject = f"Échographie {world.serial}"
    done = neomutt(world, tmp_path, PASSWORD, subject, picture)
    assert (done.returncode, done.stderr) == (0, ""), done
    found: Message = world.until(lambda: fetched(world, tmp_path, subject), "the letter in the Maildir")
    assert found.get_content_type() == "multipart/signed"
    text, attachment = [part for part in found.walk() if not part.is_multipart()][:2]
    assert "voici l'image de Zoé.\n.\nFin" in text.get_content().replace("\r\n", "\n")  # type: ignore[attr-defined]
    assert attachment.get_payload(decode=True) == picture.read_bytes()


def test_neomutt_with_another_password_hands_nothing_in(world: Any, tmp_path: Path) -> None:
    """The twin: the client says so, and its letter comes nowhere."""
    (tmp_path / "image.bin").write_bytes(b"x")
    subject = f"Refusée {world.serial}"
    done = neomutt(world, tmp_path, "un autre", subject, tmp_path / "image.bin")
    assert done.returncode != 0
    assert "authentication" in done.stderr.lower() + done.stdout.lower()
    mail = world.plain(FROM, TO)
    with world.submission(world.lilas, FROM) as client:
        assert client.sendmail(FROM, [TO], mail) == {}
    world.received(world.parc, SURGEON.address, message_id(mail))
    assert fetched(world, tmp_path, subject) is None


# --- mbsync ---------------------------------------------------------------------------------------------------

_MBSYNC = """\
IMAPAccount parc
Host {host}
Port {port}
User "{user}"
Pass "{password}"
SSLType STARTTLS
SystemCertificates no
CertificateFile {ca}
AuthMechs LOGIN

IMAPStore far
Account parc

MaildirStore near
Path {folder}/
Inbox {folder}/inbox

Channel all
Far :far:
Near :near:
Patterns INBOX
Create Near
Sync Pull
SyncState *
"""


def mbsync(world: Any, folder: Path, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    """Brings the surgeon's mailbox into a Maildir."""
    (folder / "maildir").mkdir(exist_ok=True)
    rc = folder / "mbsyncrc"
    port = world.parc.ports.imap
    host = world.parc.who.hostname
    (folder / "hosts").write_text(f"127.0.0.1 {host}\n")
    told = {"host": host, "port": port, "user": TO, "password": password, "ca": world.ca, "folder": folder / "maildir"}
    rc.write_text(_MBSYNC.format(**told))
    return subprocess.run(
        ["mbsync", "-c", str(rc), "-a"], capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "LC_ALL": "C.UTF-8", **resolving(folder / "hosts")},
    )  # fmt: skip


def fetched(world: Any, folder: Path, subject: str) -> Message | None:
    """The letter with this subject, after a round of mbsync."""
    done = mbsync(world, folder)
    assert done.returncode == 0, done
    letters = [message_from_bytes(path.read_bytes(), policy=default) for path in (folder / "maildir").rglob("*/*:2,*")]
    letters += [message_from_bytes(path.read_bytes(), policy=default) for path in (folder / "maildir").rglob("new/*")]
    return next((each for each in letters if each["Subject"] == subject), None)


def test_mbsync_with_another_password_fetches_nothing(world: Any, tmp_path: Path) -> None:
    """The twin: the mailbox stays shut."""
    done = mbsync(world, tmp_path, "un autre")
    assert done.returncode != 0
    assert not [path for path in (tmp_path / "maildir").rglob("*") if path.is_file() and path.stat().st_size > 1000]


# --- swaks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_letter_by_swaks(world: Any, mechanism: str) -> None:
    """By either login; the reply names the letter, and the recipient's mailbox holds it."""
    mail = world.plain(FROM, TO, "swaks", mechanism)
    path = world.paper(f"swaks-{mechanism}.eml", mail)
    said = clients.run(
        "swaks", "--server", "127.0.0.1", "--port", str(world.lilas.ports.submission), "--tls", "--tls-verify",
        "--tls-ca-path", str(world.ca), "--auth", mechanism, "--auth-user", FROM, "--auth-password", PASSWORD,
        "--from", FROM, "--to", TO, "--data", f"@{path}",
    ).decode()  # fmt: skip
    assert re.search(r"250 2\.6\.0 .*: \w{26}$", said, re.MULTILINE)
    assert mechanism.encode() in world.received(world.parc, SURGEON.address, message_id(mail))


def test_swaks_from_somebody_else_is_refused(world: Any) -> None:
    """The twin: a login may not write as another's."""
    login = Login(FROM, PASSWORD)
    said = clients.refused(world.lilas.ports.submission, login, f"ris@{RADIOLOGIST.address.domain}", TO, world.ca)
    assert said.startswith("550")


# --- openssl s_client -----------------------------------------------------------------------------------------


def s_client(world: Any, port: int, said: str, *more: str) -> str:
    """A session typed by hand: what is said after TLS, line by line; both what openssl and the door answer."""
    done = subprocess.run(
        ["openssl", "s_client", "-starttls", "smtp", "-connect", f"127.0.0.1:{port}", "-name", "main.example",
         "-crlf", "-ign_eof", *more],
        input=said, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def trusting(world: Any) -> tuple[str, ...]:
    return ("-CAfile", str(world.ca), "-verify_return_error", "-verify_ip", "127.0.0.1")


def test_a_peer_by_openssl(world: Any) -> None:
    """TLS 1.3 with both certificates verified; then SMTP by hand up to an accepted recipient."""
    certificate, key = world.lilas.tls
    pair = ("-cert", str(certificate), "-key", str(key), "-cert_chain", str(certificate))
    lines = f"EHLO mss.example\nMAIL FROM:<{FROM}>\nRCPT TO:<{TO}>\nQUIT\n"
    said = s_client(world, world.parc.ports.peers, lines, *trusting(world), *pair)
    assert "Verify return code: 0 (ok)" in said
    assert "TLSv1.3" in said
    for answer in ("250 2.1.0", "250 2.1.5", "221 2.0.0"):
        assert answer in said


def test_a_peer_by_openssl_without_a_certificate_is_refused(world: Any) -> None:
    """The twin: the session stands, and no letter begins in it."""
    lines = f"EHLO mss.example\nMAIL FROM:<{FROM}>\nQUIT\n"
    said = s_client(world, world.parc.ports.peers, lines, *trusting(world))
    assert "550-5.7.1 Presentez le certificat" in said


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1", "-tls1_2"])
def test_old_tls_is_refused(world: Any, version: str) -> None:
    """No session with versions that are given up (RFC 8996), at either door; the twin: 1.2 is still one."""
    for port in (world.parc.ports.peers, world.parc.ports.submission):
        before = _failed_by_version(world)
        said = s_client(world, port, "EHLO mss.example\nQUIT\n", version, "-cipher", "ALL:@SECLEVEL=0")
        if version == "-tls1_2":
            assert "221 2.0.0" in said
        else:
            assert "Cipher is (NONE)" in said
            world.until(lambda: _failed_by_version(world) > before, "the door's own line")  # noqa: B023


def _failed_by_version(world: Any) -> int:
    lines = (world.parc.folder / "pli.log").read_text("utf-8").splitlines()
    return sum('"tls-failed"' in line and '"version"' in line for line in lines)


# --- smtp-source ----------------------------------------------------------------------------------------------


def test_a_generator_without_tls_gets_nothing_in(world: Any) -> None:
    """smtp-source knows no TLS: refused at its first MAIL at either door. Behind Postfix, which knows, its letters are
    taken (test_postfix)."""
    for port in (world.parc.ports.peers, world.lilas.ports.submission):
        with pytest.raises(Unseen, match=r"530.5\.7\.0"):
            clients.run(*generator(), "-f", FROM, "-t", TO, "-m", "1", f"inet:127.0.0.1:{port}")
