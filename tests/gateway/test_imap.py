"""The wrapper around aioimaplib, against a real Dovecot and against servers that misbehave."""

from __future__ import annotations

import asyncio
import json
import smtplib
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.throwaway import Pki
from gateway.demo.processes import Account, Programs, free_port, new_folder, place
from gateway.demo.servers import Dovecot
from gateway.imap import Denied, Login, Lost, Mailbox

HERE = "127.0.0.1"
USER, PASSWORD = "collecte@autre.example", "un mot de passe"

# A passdb each for passwords, tokens (validated here, against the issuer's public key) and client certificates.
_MORE = """
auth_failure_delay = 0
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
auth_mechanisms = plain login external xoauth2
ssl_ca = <{folder}/authorities.pem
ssl_verify_client_cert = yes
ssl_require_crl = no
auth_ssl_username_from_cert = yes
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2.conf
}}
passdb {{
  driver = static
  mechanisms = external
  args = nopassword
}}
"""
_OAUTH2 = """\
introspection_url = http://127.0.0.1:{port}/introspection
introspection_mode = post
username_attribute = sub
active_attribute = active
active_value = true
"""


class OtherOperator(Dovecot):
    """A Dovecot of somebody else: IMAP over TLS from the first byte, three ways to log in."""

    def _prepare(self, folder: Path, software: Programs, who: Account) -> Path:
        conf = super()._prepare(folder, software, who)
        place(folder, "authorities.pem", (self.accounts.parent / "authorities.pem").read_bytes(), who)
        port = (self.accounts.parent / "issuer").read_text()
        place(folder, "oauth2.conf", _OAUTH2.format(port=port).encode(), who)
        text = conf.read_text() + _MORE.format(folder=folder)
        return place(folder, "dovecot.conf", text.encode(), who)

    def deliver(self, letter: bytes, sender: str = "ris@parc.example") -> None:
        with closing(smtplib.LMTP(HERE, self.lmtp_port)) as client:
            assert client.sendmail(sender, [USER], letter) == {}


class Issuer(BaseHTTPRequestHandler):
    """Who gave the tokens: says of each whether it holds, and for whom (RFC 7662)."""

    def do_POST(self) -> None:
        asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        user, _, good = asked["token"][0].partition("/")
        answer = json.dumps({"active": good == "good", "sub": user}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        return


class Other:
    """The other operator with what its customers need: anchors, a client certificate, an issuer of tokens."""

    def __init__(self, folder: Path, pki: Pki) -> None:
        self.issuer = ThreadingHTTPServer((HERE, 0), Issuer)
        threading.Thread(target=self.issuer.serve_forever, daemon=True).start()
        given = folder / "given"
        given.mkdir()
        server = pki.tls_server("imap.autre.example", "AUTRE", "1750000009")
        certificate, key = server.write(given, "server")
        self.anchors = given / "authorities.pem"
        self.anchors.write_bytes(pki.root.certificate.public_bytes(Encoding.PEM) + _pem(pki))
        (given / "issuer").write_text(str(self.issuer.server_port))
        (given / "accounts").write_text(f"{USER}:{{PLAIN}}{PASSWORD}::::::\n")
        self.client = pki.auth_client(USER, "LILAS", "1750000001").write(given, "client")
        self.server = OtherOperator(
            folder / "dovecot",
            free_port(),
            free_port(),
            given / "accounts",
            certificate,
            key,
            "imap.autre.example",
            free_port(),
        )

    def token(self, user: str = USER, good: str = "good") -> str:
        return f"{user}/{good}"

    def stop(self) -> None:
        self.server.stop()
        self.issuer.shutdown()
        self.issuer.server_close()

    def context(self, client: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.anchors)
        if client:
            context.load_cert_chain(*self.client)
        return context

    async def opened(self, login: Login, context: ssl.SSLContext | None = None, folder: str = "INBOX") -> Mailbox:
        return await Mailbox.opened(HERE, self.server.imaps_port, context or self.context(), login, folder, 10.0)


def _pem(pki: Pki) -> bytes:
    return pki.authority.certificate.public_bytes(Encoding.PEM)


@pytest.fixture(scope="module")
def other(today_pki: Pki) -> Iterator[Other]:
    made = Other(new_folder("pli-imap-"), today_pki)
    made.server.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def today_pki() -> Pki:
    return Pki.create(datetime.now(UTC))


WITH_PASSWORD = Login(USER, PASSWORD)


def letter(number: int, size: int = 20) -> bytes:
    return (
        f"From: ris@parc.example\r\nTo: {USER}\r\nMessage-ID: <{number}@parc.example>\r\n"
        f"Subject: {number}\r\n\r\n".encode()
        + b"x) {5} * \r\n" * (size // 10)
    )


def test_letters_are_read_whole(other: Other) -> None:
    """By UID, rising, bytes as they lie there, whatever they look like; reading changes no flag."""

    async def play() -> tuple[list[int], list[bytes | None], int, int | None]:
        mailbox = await other.opened(WITH_PASSWORD)
        uids = await mailbox.uids_after(0)
        bodies = [await mailbox.fetch(uid) for uid in uids]
        size = await mailbox.size(uids[0])
        gone = await mailbox.fetch(uids[-1] + 1000)
        assert gone is None
        await mailbox.log_out()
        return uids, bodies, mailbox.uid_validity, size

    for number, size in ((1, 20), (2, 300_000)):
        other.server.deliver(letter(number, size))
    uids, bodies, validity, size = asyncio.run(play())
    assert uids == sorted(uids)
    assert validity > 0
    assert len(uids) >= 2
    assert [
        body is not None and body.endswith(letter(n, s))
        for body, (n, s) in zip(bodies, ((1, 20), (2, 300_000)), strict=False)
    ] == [True, True]
    assert size == len(bodies[0] or b"")


def test_nothing_new_is_nothing(other: Other) -> None:
    """RFC 3501 §6.4.8: a range above the last UID names the last letter; it is not new."""
    other.server.deliver(letter(3))

    async def play() -> list[int]:
        mailbox = await other.opened(WITH_PASSWORD)
        last = (await mailbox.uids_after(0))[-1]
        new = await mailbox.uids_after(last)
        mailbox.close()
        return new

    assert asyncio.run(play()) == []


@pytest.mark.parametrize("way", ["password", "token", "certificate"])
def test_three_ways_to_log_in(other: Other, way: str) -> None:
    """A password, a bearer token (XOAUTH2), or the client certificate alone (EXTERNAL)."""
    login = {"password": WITH_PASSWORD, "token": Login(USER, token=other.token()), "certificate": Login(USER)}[way]

    async def play() -> int:
        mailbox = await other.opened(login, other.context(client=way == "certificate"))
        await mailbox.log_out()
        return mailbox.uid_validity

    assert asyncio.run(play()) > 0


@pytest.mark.parametrize("way", ["wrong password", "expired token", "token of another", "no certificate", "no folder"])
def test_who_may_not_is_denied(other: Other, way: str) -> None:
    """Each way has its refusal, which is not a lost connection."""
    login, folder = {
        "wrong password": (Login(USER, "faux"), "INBOX"),
        "expired token": (Login(USER, token=other.token(good="expired")), "INBOX"),
        "token of another": (Login(USER, token=other.token("autre@autre.example")), "INBOX"),
        "no certificate": (Login(USER), "INBOX"),
        "no folder": (WITH_PASSWORD, "Absent"),
    }[way]
    with pytest.raises(Denied):
        asyncio.run(other.opened(login, folder=folder))


def test_a_server_nobody_vouches_for_is_not_spoken_to(other: Other) -> None:
    """Its certificate is judged before a password is sent."""
    with pytest.raises(Lost, match="certificate"):
        asyncio.run(other.opened(WITH_PASSWORD, ssl.create_default_context()))


def test_a_user_name_cannot_be_a_command() -> None:
    """It is written as an atom; what has a space, a quote or a line end is refused before."""
    for user in ("a b", 'a"b', "a\r\nb", "a(b", ""):
        with pytest.raises(ValueError, match="user name"):
            Login(user, "x")


def test_idle_wakes_for_a_new_letter(other: Other) -> None:
    """A letter that comes while we wait ends the wait at once, and is there."""

    async def play() -> list[int]:
        mailbox = await other.opened(WITH_PASSWORD)
        last = (await mailbox.uids_after(0))[-1]
        waiting = asyncio.ensure_future(mailbox.wait(60.0))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await asyncio.to_thread(other.server.deliver, letter(4))
        await asyncio.wait_for(waiting, 20)
        new = await mailbox.uids_after(last)
        await mailbox.mark_seen(new[0])
        await mailbox.wait(0.2)  # nothing comes: the wait ends by itself, the connection goes on
        assert await mailbox.uids_after(new[0]) == []
        await mailbox.log_out()
        return new

    other.server.deliver(letter(5))
    assert len(asyncio.run(play())) == 1


# --- servers that misbehave ---------------------------------------------------------------------------------

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GREETING = b"* OK bonjour\r\n"


async def _answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: dict[bytes, bytes]) -> bytes:
    """Speaks until a command has no answer here; gives that command's tag."""
    writer.write(GREETING)
    while line := await reader.readline():
        tag, _, rest = line.strip().partition(b" ")
        found = [answer for word, answer in answers.items() if rest.upper().startswith(word)]
        if not found:
            return tag
        writer.write(found[0].replace(b"TAG", tag))
    return b""


POLITE = {
    b"CAPABILITY": b"* CAPABILITY IMAP4rev1 IDLE\r\nTAG OK\r\n",
    b"LOGIN": b"TAG OK\r\n",
    b"SELECT": b"* 1 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\nTAG OK\r\n",
    b"UID SEARCH": b"* SEARCH 1\r\nTAG OK\r\n",
}


def against(today_pki: Pki, folder: Path, script: Script, then: Callable[[Mailbox], Awaitable[Any]]) -> Any:
    """Opens a mailbox at a scripted server over TLS, and goes on with it."""
    certificate, key = today_pki.tls_server("imap.faux.example", "FAUX", "1750000010").write(folder, "faux")
    (folder / "root.pem").write_bytes(today_pki.root.certificate.public_bytes(Encoding.PEM))

    async def play() -> Any:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)

        async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await script(reader, writer)
            writer.close()

        server = await asyncio.start_server(session, HERE, 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        client = ssl.create_default_context(cafile=folder / "root.pem")
        try:
            mailbox = await Mailbox.opened(HERE, port, client, WITH_PASSWORD, timeout_s=1.0)
            try:
                return await then(mailbox)
            finally:
                mailbox.close()
        finally:
            server.close()

    return asyncio.run(play())


def test_a_server_that_drops_while_we_idle(today_pki: Pki, tmp_path: Path) -> None:
    """The library's own wait would hang for ever; ours is Lost."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _answered(reader, writer, POLITE)
        writer.write(b"+ idling\r\n")
        await writer.drain()

    with pytest.raises(Lost):
        against(today_pki, tmp_path, script, lambda mailbox: mailbox.wait(30.0))


def test_a_server_that_falls_silent(today_pki: Pki, tmp_path: Path) -> None:
    """A command without an answer ends with its time."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _answered(reader, writer, POLITE)
        await asyncio.sleep(20)

    with pytest.raises(Lost):
        against(today_pki, tmp_path, script, lambda mailbox: mailbox.fetch(1))


def test_a_server_that_ends_in_the_middle_of_a_letter(today_pki: Pki, tmp_path: Path) -> None:
    """Half a letter is no letter."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _answered(reader, writer, POLITE)
        writer.write(b"* 1 FETCH (UID 1 BODY[] {1000}\r\nFrom: x@")
        await writer.drain()

    with pytest.raises(Lost):
        against(today_pki, tmp_path, script, lambda mailbox: mailbox.fetch(1))


def test_a_mailbox_without_uid_validity_is_denied(today_pki: Pki, tmp_path: Path) -> None:
    """Without it no letter can be told from another."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _answered(reader, writer, POLITE | {b"SELECT": b"* 1 EXISTS\r\nTAG OK\r\n"})

    async def never(mailbox: Mailbox) -> None:
        raise AssertionError("it was opened")

    with pytest.raises(Denied, match="UIDVALIDITY"):
        against(today_pki, tmp_path, script, never)


def test_a_server_that_says_goodbye_first(today_pki: Pki, tmp_path: Path) -> None:
    """BYE as a greeting is no mailbox."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* BYE trop de monde\r\n")
        await writer.drain()

    with pytest.raises(Lost):
        against(today_pki, tmp_path, script, lambda mailbox: mailbox.fetch(1))


def test_a_fetch_that_brings_another_size(today_pki: Pki, tmp_path: Path) -> None:
    """The literal's own length counts, and what stands around it is not taken for a letter."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tag = await _answered(reader, writer, POLITE)
        writer.write(b"* 1 FETCH (UID 1 BODY[] {5}\r\nab)\r\n)\r\n" + tag + b" OK\r\n")
        await writer.drain()
        await reader.readline()

    assert against(today_pki, tmp_path, script, lambda mailbox: mailbox.fetch(1)) == b"ab)\r\n"
