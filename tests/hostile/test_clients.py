"""What a client at a door may try before anybody knows who it is, and how it may leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Open = Callable[..., Any]
LETTER = b"From: anna@lilas.example\r\nSubject: essai\r\n\r\nBonjour.\r\n.\r\n"


@pytest.mark.parametrize("piece", [b"A" * 65536, b"NOOP ", b"\xff" * 4096])
def test_a_command_without_end_is_cut_before_login(open_door: Open, piece: bytes) -> None:
    """Unbounded literals (Stalwart CVE-2025-61600, Cyrus CVE-2024-34055): no line is collected for ever."""
    door = open_door()
    client = door.client()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        client.send(piece * (64 * 1024 * 1024 // len(piece)))
    assert door.client().greeting.startswith("220 ")
    assert door.intake.senders == []


def test_a_long_command_is_refused_and_the_next_one_heard(open_door: Open) -> None:
    """The twin: a line that ends, beyond what RFC 5321 §4.5.3.1.4 allows, costs its sender that line only."""
    client = open_door().client()
    assert client.say("NOOP " + "x" * 20_000).startswith("500")
    assert client.say("NOOP") == "250 2.0.0 OK"


def test_a_client_that_leaves_without_a_word_loses_nothing(open_door: Open) -> None:
    """No QUIT after the 250: the letter is in custody all the same, and the door serves the next one."""
    door = open_door()
    client = door.logged_in()
    client.envelope()
    assert client.data(LETTER).startswith("250 ")
    client.close()
    assert door.logged_in().say("NOOP") == "250 2.0.0 OK"
    assert len(door.intake.letters) == len(door.stored()) == 1
