"""Room for large letters: so many come in at once, the others wait unread; small ones never wait, and nobody holds room
for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

Open = Callable[..., Any]
HEAD = b"From: anna@lilas.example\r\n\r\n"
LINE = b"x" * 998 + b"\r\n"
LARGE = HEAD + LINE * 1500


def begin(door: Any, by: str, data: bytes) -> Any:
    """A client in the middle of a letter; by BDAT its one chunk is announced whole."""
    client = door.logged_in()
    client.envelope()
    if by == "DATA":
        assert client.say("DATA").startswith("354 ")
    else:
        client.send(f"BDAT {len(LARGE)} LAST\r\n".encode())
    client.send(data)
    return client


def end(client: Any, by: str, data: bytes) -> str:
    client.send(data + (b".\r\n" if by == "DATA" else b""))
    return str(client.hear())


def small(door: Any) -> str:
    client = door.logged_in()
    client.envelope()
    return str(client.data(HEAD + b".\r\n"))


@pytest.mark.parametrize("by", ["DATA", "BDAT"])
def test_a_large_letter_waits_for_its_turn(open_door: Open, by: str) -> None:
    """One at once: the second is kept after the first, a small one before both, each byte for byte."""
    door = open_door(large_letters=1)
    first = begin(door, by, LARGE[:1_200_000])
    assert small(door).startswith("250 ")
    second = begin(door, by, b"")
    heard: list[str] = []
    thread = threading.Thread(target=lambda: heard.append(end(second, by, LARGE)))
    thread.start()
    assert small(door).startswith("250 ")
    assert end(first, by, LARGE[1_200_000:]).startswith("250 ")
    thread.join(30)
    assert heard[0].startswith("250 ")
    kept = [raw for _, raw, _ in door.intake.letters]
    assert kept == [HEAD, HEAD, LARGE, LARGE]
    assert [envelope.id in heard[0] for envelope, _, _ in door.intake.letters] == [False, False, False, True]


def test_with_room_for_two_nobody_waits(open_door: Open) -> None:
    """The twin: the second ends while the first stands still."""
    door = open_door(large_letters=2)
    first = begin(door, "DATA", LARGE[:1_200_000])
    assert end(begin(door, "DATA", b""), "DATA", LARGE).startswith("250 ")
    assert end(first, "DATA", LARGE[1_200_000:]).startswith("250 ")


def test_who_holds_room_too_long_is_ended(open_door: Open) -> None:
    """A large letter that stands still makes way for the next one."""
    door = open_door(large_letters=1, large_s=0.3)
    first = begin(door, "DATA", LARGE[:1_200_000])
    assert first.hear().startswith("421-4.4.2")
    door.spec.limits.__dict__["large_s"] = 60.0
    assert end(begin(door, "DATA", b""), "DATA", LARGE).startswith("250 ")
    assert [raw for _, raw, _ in door.intake.letters] == [LARGE]


def test_who_leaves_gives_his_room_back(open_door: Open) -> None:
    """A client that closes in mid-letter, one that sends too much, one that is refused."""
    door = open_door(large_letters=1, max_bytes=len(LARGE))
    begin(door, "DATA", LARGE[:1_200_000]).close()
    assert end(begin(door, "DATA", b""), "DATA", LARGE + LINE).startswith("552-5.3.4")
    assert end(begin(door, "DATA", b""), "DATA", LARGE + b"bare\n\r\n").startswith(("552-5.3.4", "554-5.6.0"))
    assert end(begin(door, "DATA", b""), "DATA", LARGE).startswith("250 ")
