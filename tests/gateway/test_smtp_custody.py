"""A door on the real intake, store, spooler and directory: from DATA to a row on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from directory.ldap import LdapDirectory
from directory.region import SUFFIX
from gateway.demo.servers import free_port
from relay import intake, spool
from relay.model import Door
from relay.partners import Listed, WhiteList

Open = Callable[..., Any]

ANNA, ZOE = "anna@lilas.example", "zoe.lambert@lilas.example"
BERT = "bert@parc.example"
MAIL = (
    b"From: anna@lilas.example\r\nTo: bert@parc.example\r\nSubject: essai\r\n"
    b"Message-ID: <1@lilas.example>\r\nDate: Wed, 25 Nov 2026 09:30:00 +0000\r\n\r\nBonjour.\r\n.\r\n"
)
FROM_BERT = MAIL.replace(b"From: anna@lilas.example", b"From: bert@parc.example")


def today() -> datetime:
    return datetime.now(UTC)


def test_a_250_means_a_body_and_a_row(open_door: Open, node: Any) -> None:
    """A letter of one of ours, resolved in the real directory, is in the store when its 250 is read."""
    door = open_door(intake=node.intake)
    client = door.logged_in()
    client.envelope(ANNA, BERT)
    assert client.say(f"RCPT TO:<{ZOE}>").startswith("250 ")
    told = client.data(MAIL)
    assert told.startswith("250 2.6.0 ")
    assert node.kept() == [("mailbox", 1), ("peer-signed", 1)]
    found = spool.letter(node.engine, "lilas", told.split()[-1])
    assert found is not None
    letter, recipients = found
    assert door.read(letter.body) == MAIL[:-3]
    assert sorted(each.address for each in recipients) == [BERT, ZOE]


def test_an_unknown_recipient_is_refused_at_rcpt(open_door: Open, node: Any) -> None:
    """Nearest addresses are for our own people only; a stranger learns nothing."""
    known = open_door(intake=node.intake).logged_in()
    known.say(f"MAIL FROM:<{ANNA}>")
    told = known.say("RCPT TO:<zoe.lamber@lilas.example>")
    assert told.startswith("550-5.1.1 ")
    assert ZOE in told
    peers = open_door(Door.PEER, intake=node.intake)
    peer = peers.secure(peers.space.peer)
    peer.say(f"MAIL FROM:<{BERT}>")
    told = peer.say("RCPT TO:<zoe.lamber@lilas.example>")
    assert told.startswith("550-5.1.1 ")
    assert ZOE not in told


def test_a_listed_peer_is_served(open_door: Open, node: Any) -> None:
    """The certificate of its session is the one listed for its domain, and From is of that domain."""
    door = open_door(Door.PEER, intake=node.intake)
    client = door.secure(door.space.peer)
    client.envelope(BERT, ANNA)
    assert client.data(FROM_BERT).startswith("250 2.6.0 ")
    assert node.kept() == [("mailbox", 1)]


def test_a_peer_speaks_for_nobody_else(open_door: Open, node: Any) -> None:
    """Twins: another's domain at MAIL, ours in From, a relay to a third party; nothing is kept."""
    door = open_door(Door.PEER, intake=node.intake)
    client = door.secure(door.space.peer)
    assert client.say(f"MAIL FROM:<{ANNA}>").startswith("550-5.7.1 ")
    client.envelope(BERT, ANNA)
    assert client.say("RCPT TO:<x@third.example>").startswith("550-5.7.1 ")
    assert client.data(MAIL).startswith("550-5.7.1 ")
    assert (node.kept(), door.stored()) == ([], [])


def test_an_account_speaks_for_nobody_else(open_door: Open, node: Any) -> None:
    """Twin: a login may not use a colleague's address."""
    client = open_door(intake=node.intake).logged_in()
    assert client.say(f"MAIL FROM:<{ZOE}>").startswith("550-5.7.1 Vous n'avez pas le droit")


def test_without_its_store_a_door_takes_nothing(open_door: Open, node: Any) -> None:
    """The spooler is gone: 451, the sender keeps the letter; it is back: the same session is served."""
    client = open_door(intake=node.intake).logged_in()
    node.end()
    client.envelope(ANNA, BERT)
    assert client.data(MAIL).startswith("451-4.3.0 ")
    node.start()
    client.envelope(ANNA, BERT)
    assert client.data(MAIL).startswith("250 2.6.0 ")
    assert node.kept() == [("peer-signed", 1)]


def test_without_its_directory_a_door_waits(open_door: Open, node: Any) -> None:
    """The directory is down: temporary refusal at RCPT."""
    nowhere = LdapDirectory(f"ldap://127.0.0.1:{free_port()}", SUFFIX, "cn=x", "r", clock=today)
    client = open_door(intake=replace(node.intake, directory=nowhere)).logged_in()
    client.say(f"MAIL FROM:<{ANNA}>")
    assert client.say(f"RCPT TO:<{BERT}>").startswith("451-4.4.3 L'annuaire")


def test_a_stale_white_list_stops_peers(open_door: Open, node: Any) -> None:
    """No list, no trust: peers are asked to come back."""
    old = WhiteList.of([Listed("parc.example", "CN=mss.parc.example")], today() - timedelta(hours=73))
    door = open_door(Door.PEER, intake=replace(node.intake, white_list=lambda: old))
    told = door.secure(door.space.peer).say(f"MAIL FROM:<{BERT}>")
    assert told.startswith("451-4.7.0 Notre liste blanche")


SMALL = "emil.etroit@parc.example"
HELENE = MAIL.replace(b"From: anna@lilas.example", "From: Hélène <hélène@parc.example>".encode())


def test_the_declared_size_is_held_against_each_recipients_route(
    open_door: Open, node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mailbox that takes 50 bytes is refused at RCPT by name, the other goes on; without the check both would."""
    door = open_door(intake=node.intake)
    for checked in (True, False):
        client = door.logged_in()
        if not checked:
            monkeypatch.setattr(intake, "too_large", lambda *_: False)
        assert client.say(f"MAIL FROM:<{ANNA}> SIZE=60").startswith("250 ")
        assert client.say(f"RCPT TO:<{SMALL}>").startswith("552-5.2.3 " if checked else "250 ")
        assert client.say(f"RCPT TO:<{BERT}>").startswith("250 ")
    client = door.logged_in()
    assert client.say(f"MAIL FROM:<{ANNA}> SIZE=40").startswith("250 ")
    assert client.say(f"RCPT TO:<{SMALL}>").startswith("250 ")


@pytest.mark.parametrize("said", [True, False])
def test_an_international_letter_enters_custody_where_it_was_announced(open_door: Open, node: Any, said: bool) -> None:
    """Its row and its trace say so (RFC 6531 §3.7.3); the same letter, not announced, is refused after DATA."""
    door = open_door(Door.PEER, intake=node.intake)
    client = door.secure(door.space.peer)
    assert client.say(f"MAIL FROM:<{BERT}>{' SMTPUTF8' if said else ''}").startswith("250 ")
    assert client.say(f"RCPT TO:<{ANNA}>").startswith("250 ")
    told = client.data(HELENE)
    if not said:
        assert told.startswith("553-5.6.7 ")
        return
    found = spool.letter(node.engine, "lilas", told.split()[-1])
    assert found is not None
    assert found[0].utf8
    assert "with UTF8SMTPS id" in found[0].trace
