"""What strangers try at the doors: hidden letters, letters without end, silence, lost connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Open = Callable[..., Any]

ANNA = "anna@lilas.example"
BERT = "bert@parc.example"
PASSWORD = "correct horse"
INS = "279035121518989"
LETTER = b"From: anna@lilas.example\r\nSubject: essai\r\n\r\nBonjour.\r\n"


@pytest.mark.parametrize(
    "end",
    [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r\n\0.\r\n", b"\r\r\n.\r\r\n"],
)
def test_smtp_smuggling(open_door: Open, end: bytes) -> None:
    """CVE-2023-51764 and kin, on the wire: neither the letter hidden in another nor that other comes to be."""
    door = open_door()
    client = door.logged_in()
    client.envelope()
    hidden = b"MAIL FROM:<ceo@lilas.example>\r\nRCPT TO:<bert@parc.example>\r\nDATA\r\nX: y\r\n\r\nevil\r\n.\r\n"
    assert client.data(LETTER + b"last line" + end + hidden).startswith("554-5.6.0 ")
    assert client.say("NOOP") == "250 2.0.0 OK"
    assert (door.intake.letters, door.stored()) == ([], [])
    assert [str(sender) for sender, _ in door.intake.senders] == [ANNA]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\r\n", b"\n\r\n"])
def test_commands_end_with_crlf_too(open_door: Open, end: bytes) -> None:
    """A command hidden behind a bare CR or LF in another is not carried out: the session ends."""
    door = open_door()
    client = door.logged_in()
    client.send(b"NOOP" + end + b"MAIL FROM:<anna@lilas.example>\r\nQUIT\r\n")
    assert client.hear().startswith("500-5.5.2 Chaque commande finit par CRLF")
    assert client.hear() == ""
    assert door.intake.senders == []


def test_a_letter_of_the_limit_is_taken(open_door: Open) -> None:
    """Exactly max_bytes, dots not counted."""
    door = open_door(max_bytes=100_000)
    client = door.logged_in()
    client.envelope()
    assert client.data(b".." + b"a" * 99_997 + b"\r\n.\r\n").startswith("250 ")
    assert len(door.intake.letters[0][1]) == 100_000


def test_a_letter_over_the_limit_is_not(open_door: Open) -> None:
    """Twin: one octet more is 552 after it was drained, nothing is stored, and the session goes on."""
    door = open_door(max_bytes=600_000)
    client = door.logged_in()
    client.envelope()
    assert client.data(b"a" * 599_999 + b"\r\n.\r\n").startswith("552-5.3.4 ")
    assert door.stored() == []
    client.envelope()
    assert client.data(LETTER + b".\r\n").startswith("250 ")


def test_a_letter_without_end_is_cut(open_door: Open) -> None:
    """Beyond limit and drain the session ends: what still comes is not read as commands."""
    door = open_door(max_bytes=1000, drain_bytes=100_000)
    client = door.logged_in()
    client.envelope()
    assert client.say("DATA").startswith("354 ")
    client.send(b"MAIL FROM:<a@b.example>\r\n" * 5000)
    assert client.hear().startswith("552-5.3.4 ")
    assert client.hear().startswith("421-4.3.2 ")
    assert (client.hear(), door.stored()) == ("", [])


def test_silence_in_data_ends_the_session(open_door: Open) -> None:
    """A peer that stops in mid-DATA is told so and shown out; nothing stays of its letter."""
    door = open_door(chunk_s=0.2)
    client = door.logged_in()
    client.envelope()
    assert client.data(LETTER).startswith("421-4.4.2 ")
    assert (client.hear(), door.stored(), door.intake.letters) == ("", [], [])


def test_dripping_in_data_ends_the_session(open_door: Open) -> None:
    """One byte a while is not silence, but DATA as a whole has its time too."""
    door = open_door(chunk_s=5, data_s=0.5)
    client = door.logged_in()
    client.envelope()
    assert client.say("DATA").startswith("354 ")
    while not client.hears(0.05):
        client.send(b"x")
    assert client.hear().startswith("421-4.4.2 ")


def test_silence_between_commands_ends_the_session(open_door: Open) -> None:
    """RFC 5321 §4.5.3.2.7: said before the connection is closed."""
    client = open_door(command_s=0.3).client()
    assert client.hear().startswith("421-4.4.2 ")


def test_a_connection_lost_in_data_leaves_nothing(open_door: Open) -> None:
    """Half a letter is no letter: no row is asked for, no body stays."""
    door = open_door()
    client = door.logged_in()
    client.envelope()
    client.say("DATA")
    client.send(LETTER + b"a" * 700_000)
    client.close()
    door.stop()
    door.join()
    assert (door.intake.letters, door.stored()) == ([], [])
