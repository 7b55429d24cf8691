"""Letters to and from addresses beyond ASCII (RFC 6531 to 6533): between two Plis and Dovecot, and with Postfix."""

from __future__ import annotations

import smtplib
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from directory.address import parse
from gateway.demo import clients
from gateway.demo.cast import LILAS, PARC, PASSWORD
from gateway.demo.postfix import Postfix
from relay.couriers.utf8 import in_ascii

pytestmark = pytest.mark.journey

NORD = "hopital-nord.mssante.example"
HELENE, RENEE, ZOE = f"hélène@{LILAS}", f"renée@{PARC}", f"zoé@{NORD}"
UTF8 = ["SMTPUTF8", "BODY=8BITMIME"]


@pytest.fixture(scope="module")
def postfix(make_postfix: Callable[..., Postfix]) -> Iterator[Postfix]:
    host = make_postfix()
    host.start()
    yield host
    host.stop()


def mail(number: int, sender: str, to: str) -> bytes:
    fields = (
        f"From: Hélène <{sender}>\r\nTo: {to}\r\nSubject: Opérée\r\nMessage-ID: <utf8.{number}@journeys.example>\r\n"
    )
    return f"{fields}Content-Type: text/plain; charset=utf-8\r\n\r\nTout va bien.\r\n".encode()


def log_in(world: Any) -> smtplib.SMTP:
    """smtplib encodes a login in ASCII; RFC 4616 says UTF-8."""
    client = smtplib.SMTP("127.0.0.1", world.lilas.ports.submission, local_hostname="poste.example", timeout=30)
    client.starttls()
    client.ehlo()
    said = client.docmd("AUTH", "PLAIN " + b64encode(f"\0{HELENE}\0{PASSWORD}".encode()).decode())
    assert said[0] == 235
    return client


def submit(world: Any, number: int, to: str) -> str:
    with log_in(world) as client:
        assert client.sendmail(HELENE, [to], mail(number, HELENE, to), UTF8, []) == {}
    return str(world.trail(world.lilas, "--message-id", f"<utf8.{number}@journeys.example>")["letter"])


def test_from_one_mailbox_beyond_ascii_to_another(world: Any) -> None:
    """Through both doors, sealed by the house, into Dovecot, which knows the mailbox by its ASCII name; the header is
    as it was written, both traces say UTF8SMTP."""
    letter = submit(world, 1, RENEE)
    assert world.settled(world.lilas, letter) == {"peer-signed": ("done", "")}
    got = world.received(world.parc, parse(in_ascii(RENEE)), "<utf8.1@journeys.example>")
    assert f"From: Hélène <{HELENE}>\r\nTo: {RENEE}\r\n".encode() in got
    assert b" with UTF8SMTPSA id" in got
    assert b" with UTF8SMTPS id" in got


def test_without_the_word_it_is_refused(world: Any) -> None:
    """The twin: the same client does not say SMTPUTF8."""
    with log_in(world) as client:
        client.command_encoding = "utf-8"
        assert client.docmd(f"MAIL FROM:<{HELENE}>")[1].startswith(b"5.6.7")


def test_postfix_takes_it_and_sends_its_own(world: Any, postfix: Postfix) -> None:
    """To Postfix, which says SMTPUTF8; and from Postfix to a mailbox of ours."""
    before = len(postfix.letters())
    letter = submit(world, 2, ZOE)
    assert world.settled(world.lilas, letter) == {"peer-signed": ("done", "")}
    (kept,) = world.until(lambda: postfix.letters()[before:], "the letter in Postfix's mailbox")
    assert b"(Postfix) with UTF8SMTPS" in kept
    assert f"To: {ZOE}".encode() in kept
    with smtplib.SMTP("127.0.0.1", postfix.inside, timeout=30) as client:
        assert client.sendmail(ZOE, [RENEE], mail(3, ZOE, RENEE), UTF8, []) == {}
    got = world.received(world.parc, parse(in_ascii(RENEE)), "<utf8.3@journeys.example>")
    assert f"From: Hélène <{ZOE}>".encode() in got
    assert b"(Postfix) with UTF8SMTP id" in got


def test_postfix_without_smtputf8_never_gets_it(world: Any, postfix: Postfix) -> None:
    """The twin: the letter is Never with that reason, nothing of it lies there, and its sender has a global report."""
    before = postfix.letters()
    postfix.stop()
    old = replace(postfix, utf8=False)
    old.start()
    try:
        letter = submit(world, 4, ZOE)
        assert world.settled(world.lilas, letter) == {"peer-signed": ("failed", "peer.no-smtputf8")}
    finally:
        old.stop()
        postfix.start()
    assert postfix.letters() == before
    report = world.received(world.lilas, parse(in_ascii(HELENE)), f"<failed.{letter}@mss.{LILAS}>")
    assert b"Content-Type: message/global-delivery-status" in report
    assert f"Final-Recipient: utf-8; {ZOE}".encode() in report
    assert b"Status: 5.6.7" in report


def test_dovecot_is_asked_by_its_own_name_only(world: Any) -> None:
    """Over LMTP Dovecot 2.3 reads no such address: what the courier does is needed."""
    client = smtplib.LMTP("127.0.0.1", world.parc.ports.lmtp, timeout=30)
    client.ehlo()
    client.command_encoding = "utf-8"
    client.docmd(f"MAIL FROM:<{ZOE}>")
    assert client.docmd(f"RCPT TO:<{RENEE}>")[0] == 501
    assert client.docmd(f"RCPT TO:<{in_ascii(RENEE)}>")[0] == 250
    client.quit()
    assert clients.Login(in_ascii(RENEE), PASSWORD).user.isascii()
