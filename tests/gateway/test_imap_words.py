"""Folders and pages of letters, as a real Dovecot and as odd servers tell them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.throwaway import Pki
from gateway import imap_words
from gateway.demo.processes import free_port, new_folder
from gateway.demo.servers import Dovecot
from gateway.imap import Denied, Login, Mailbox
from gateway.imap_words import Folder

HERE, USER, PASSWORD = "127.0.0.1", "claire@lilas.example", "un mot de passe"
NAMED = "imap.lilas.example"
LETTER = """\
From: =?utf-8?q?Dr_Paul_=28ORL=29?= <paul@parc.example>\r
To: {to}\r
Subject: ({number}\r
Content-Type: multipart/signed; boundary=a\r
\r
--a\r
Content-Type: multipart/mixed; boundary=b\r
\r
--b\r
Content-Type: application/pdf; name="({number}"\r
\r
%PDF-\r
--b--\r
--a--\r
"""


class Inbox:
    """A Dovecot with one account, and a way in."""

    def __init__(self, folder: Path, pki: Pki) -> None:
        given = folder / "given"
        given.mkdir()
        pair = pki.tls_server(NAMED, "LILAS", "1750000001").write(given, "server")
        (given / "accounts").write_text(f"{USER}:{{PLAIN}}{PASSWORD}::::::\n")
        self.anchor = pki.root.certificate.public_bytes(Encoding.PEM).decode()
        ports = free_port(), free_port(), free_port()
        self.server = Dovecot(folder / "d", ports[0], ports[1], given / "accounts", *pair, NAMED, ports[2])

    def deliver(self, number: int) -> None:
        with closing(smtplib.LMTP(HERE, self.server.lmtp_port)) as client:
            letter = LETTER.format(to=USER, number=number).encode()
            assert client.sendmail("paul@parc.example", [USER], letter) == {}

    async def opened(self, folder: str = "") -> Mailbox:
        context = ssl.create_default_context(cadata=self.anchor)
        login = Login(USER, PASSWORD)
        return await Mailbox.opened(HERE, self.server.imaps_port, context, login, folder, 10.0, NAMED)


@pytest.fixture(scope="module")
def inbox() -> Iterator[Inbox]:
    made = Inbox(new_folder("pli-w-"), Pki.create(datetime.now(UTC)))
    made.server.start()
    for number in range(1, 8):
        made.deliver(number)
    yield made
    made.server.stop()


def test_a_page_of_letters_comes_by_sequence_number(inbox: Inbox) -> None:
    """The asked ones alone, rising, with what a list shows; a parenthesis in a file name or subject spoils nothing."""

    async def play() -> tuple[int, list[imap_words.Head], list[imap_words.Head]]:
        mailbox = await inbox.opened()
        await mailbox.select("INBOX", only_look=True)
        page = await mailbox.heads(3, 5)
        beyond = await mailbox.heads(mailbox.count, mailbox.count)
        await mailbox.log_out()
        return mailbox.count, page, beyond

    count, page, last = asyncio.run(play())
    assert count == 7
    assert [each.uid for each in page] == sorted(each.uid for each in page)
    assert [f"Subject: ({number}\r\n".encode() in each.fields for each, number in zip(page, (3, 4, 5), strict=True)]
    assert all(b"multipart/mixed" in each.inside for each in page)
    assert all(each.at is not None and each.size > 200 and not each.seen for each in page)
    assert b"(7\r\n" in last[0].fields


def test_a_mailbox_that_is_only_looked_at_cannot_be_changed(inbox: Inbox) -> None:
    """EXAMINE: a mark stays unset; selected, it is set, and the list shows it."""

    async def play() -> list[bool]:
        mailbox = await inbox.opened()
        seen = []
        for only_look in (True, False):
            await mailbox.select("INBOX", only_look=only_look)
            with contextlib.suppress(Denied):  # Dovecot answers OK and sets nothing
                await mailbox.mark_seen((await mailbox.heads(1, 1))[0].uid)
            seen.append((await mailbox.heads(1, 1))[0].seen)
        await mailbox.log_out()
        return seen

    assert asyncio.run(play()) == [False, True]


def test_folders_are_listed_as_people_named_them(inbox: Inbox) -> None:
    """And open by the server's own name."""

    async def play() -> tuple[list[Folder], int]:
        mailbox = await inbox.opened()
        assert (await mailbox._client.create('"&AMk-t&AOk- (2)"')).result == "OK"
        found = await mailbox.folders()
        await mailbox.select(next(each.name for each in found if each.shown == "Été (2)"))
        await mailbox.log_out()
        return found, mailbox.count

    found, count = asyncio.run(play())
    assert {each.shown for each in found} == {"INBOX", "Été (2)"}
    assert count == 0


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (rb'(\HasNoChildren) "." INBOX', "INBOX"),
        (rb'() NIL "A \"b\" \\ c"', 'A "b" \\ c'),
        (b'() "." "Tom &- Co"', "Tom & Co"),
        (b'() "." "&U,BTFw-"', "台北".replace("台北", base64.b64decode("U/BTFw==").decode("utf-16-be"))),
        (b'() "." "&!!-"', "&!!-"),
        (rb'(\Noselect) "." "Archives"', None),
        (b'() "." {4}', "{4}"),
        (b"no list at all", None),
        ('() "." "é"'.encode(), None),
    ],
)
def test_a_line_of_a_list(line: bytes, shown: str | None) -> None:
    """Modified UTF-7 (RFC 3501 §5.1.3); what cannot be opened or sent back is left out."""
    found = imap_words.folder(line)
    assert (found.shown if found else None) == shown


@pytest.mark.parametrize("lines", [[], [b"OK"], [b"1 FETCH (FLAGS ())"], [bytearray(b"x")], [b"1 FETCH (UID x)"]])
def test_what_tells_of_no_letter_is_none(lines: list[bytes | bytearray]) -> None:
    """No UID, no letter."""
    assert imap_words.heads(lines) == []


def test_an_answer_in_another_order_is_the_same() -> None:
    """A server chooses the order (RFC 3501 §7.4.2); a strange date is none."""
    lines: list[bytes | bytearray] = [b"4 FETCH (BODY[1.MIME] {1}", bytearray(b"i")]
    lines += [b' BODY[HEADER.FIELDS ("FROM")] {1}', bytearray(b"h")]
    lines += [b' INTERNALDATE "99-Foo-2026 00:00:00 +0000" UID 9']
    lines += [b" FLAGS (\\Seen $x))", b"5 FETCH (UID 10)", b"done"]
    first, second = imap_words.heads(lines)
    assert (first.uid, first.seen, first.fields, first.inside, first.at) == (9, True, b"h", b"i", None)
    assert (second.uid, second.seen, second.size) == (10, False, 0)
    assert "h" not in json.dumps(repr(first).partition("size")[2])
