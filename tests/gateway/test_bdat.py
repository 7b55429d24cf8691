"""BDAT (RFC 3030): a letter in chunks of counted octets; none of them is ever a command."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Open = Callable[..., Any]
LETTER = b"From: anna@lilas.example\r\nSubject: essai\r\n\r\nBonjour.\r\n.\r\n..deux\r\n"
EVIL = b"MAIL FROM:<ceo@lilas.example>\r\nRCPT TO:<bert@parc.example>\r\nDATA\r\n"


def chunk(client: Any, data: bytes, last: bool = False) -> str:
    client.send(f"BDAT {len(data)}{' LAST' if last else ''}\r\n".encode() + data)
    return str(client.hear())


def ready(open_door: Open, **limits: float) -> tuple[Any, Any]:
    door = open_door(**limits)
    client = door.logged_in()
    client.envelope()
    return door, client


@pytest.mark.parametrize("cuts", [(), (10,), (1, 2, 3), (len(LETTER) - 4,), tuple(range(1, len(LETTER)))])
def test_a_letter_in_chunks_arrives_byte_for_byte(open_door: Open, cuts: tuple[int, ...]) -> None:
    """However it is cut, in the middle of a line end too; its dots are octets like all others."""
    door, client = ready(open_door)
    edges = (0, *cuts, len(LETTER))
    for start, end in itertools.pairwise(edges):
        last = end == len(LETTER)
        assert chunk(client, LETTER[start:end], last).startswith("250 2.6.0 " if last else "250 2.0.0 ")
    assert [raw for _, raw, _ in door.intake.letters] == [LETTER]
    assert door.read(door.intake.letters[0][2]) == LETTER


def test_an_empty_last_chunk_ends_it(open_door: Open) -> None:
    """RFC 3030 §2: BDAT 0 LAST."""
    door, client = ready(open_door)
    assert chunk(client, LETTER).startswith("250 ")
    assert chunk(client, b"", last=True).startswith("250 2.6.0 ")
    assert [raw for _, raw, _ in door.intake.letters] == [LETTER]


def test_two_letters_in_one_session(open_door: Open) -> None:
    """After LAST a new transaction begins, by BDAT or by DATA."""
    door, client = ready(open_door)
    assert chunk(client, LETTER, last=True).startswith("250 ")
    client.envelope()
    assert client.data(LETTER.replace(b"\r\n.", b"\r\n..") + b".\r\n").startswith("250 ")
    client.envelope()
    assert chunk(client, LETTER, last=True).startswith("250 ")
    assert [raw for _, raw, _ in door.intake.letters] == [LETTER] * 3


@pytest.mark.parametrize("before", ["", "mail"])
def test_no_octet_of_a_chunk_is_a_command(open_door: Open, before: str) -> None:
    """Refused for want of a sender or a recipient, its octets are read and thrown away all the same."""
    door = open_door()
    client = door.logged_in()
    if before:
        assert client.say("MAIL FROM:<anna@lilas.example>").startswith("250 ")
    asked = len(door.intake.senders)
    assert chunk(client, EVIL, last=True).startswith("554-5.5.1" if before else "503-5.5.1")
    assert client.say("NOOP") == "250 2.0.0 OK"
    assert len(door.intake.senders) == asked
    assert door.intake.letters == []


def test_a_count_that_cannot_be_read_ends_the_session(open_door: Open) -> None:
    """How many octets follow is not known, so nothing that follows is read."""
    for count in ("x", "-1", "12 FIRST", "", "1 LAST LAST", "99999999999999999999"):
        door, client = ready(open_door)
        asked = len(door.intake.senders)
        client.send(f"BDAT {count}\r\n".encode() + EVIL)
        assert client.hear().startswith("501-5.5.2")
        assert client.hear() == ""
        assert len(door.intake.senders) == asked


@pytest.mark.parametrize(
    "spoiled", [b"a\nb\r\n", b"a\rb\r\n", b"\n.\n", b"\r\n.\n", b"a\0b\r\n", b"last line\r", b"\r\r\n"]
)
def test_a_bare_line_end_spoils_it_wherever_chunks_break(open_door: Open, spoiled: bytes) -> None:
    """Another hop, to which we pass it on by DATA, could see a second letter: whole or octet by octet, refused."""
    for size in (len(spoiled), 1):
        door, client = ready(open_door)
        assert chunk(client, LETTER).startswith("250 ")
        answers = [chunk(client, spoiled[at : at + size]) for at in range(0, len(spoiled), size)]
        answers.append(chunk(client, b"", last=True))
        refused = [answer for answer in answers if answer.startswith("554-5.6.0")]
        assert len(refused) == 1
        assert client.say("NOOP") == "250 2.0.0 OK"
        assert (door.intake.letters, door.stored()) == ([], [])


def test_after_a_refused_chunk_the_transaction_is_over(open_door: Open) -> None:
    """RFC 3030 §2: what still comes of it is answered 503 and read as octets."""
    door, client = ready(open_door)
    assert chunk(client, b"a\nb\r\n").startswith("554")
    assert chunk(client, EVIL, last=True).startswith("503-5.5.1")
    assert door.intake.letters == []


def test_data_does_not_follow_bdat(open_door: Open) -> None:
    """RFC 3030 §3: the two ways are not mixed within one letter; RSET drops what has come."""
    door, client = ready(open_door)
    assert chunk(client, LETTER).startswith("250 ")
    assert client.say("DATA").startswith("503-5.5.1")
    assert client.say("RSET").startswith("250 ")
    assert (door.intake.letters, door.stored()) == ([], [])
    client.envelope()
    assert chunk(client, LETTER, last=True).startswith("250 ")


def test_over_the_limit_is_refused_and_far_over_ends(open_door: Open) -> None:
    """One octet too many is 552; a count beyond every budget ends the session before it is read."""
    door, client = ready(open_door, max_bytes=600_000)
    assert chunk(client, b"a" * 599_998 + b"\r\n").startswith("250 ")
    assert chunk(client, b"b", last=True).startswith("552-5.3.4")
    assert door.stored() == []
    client.envelope()
    client.send(b"BDAT 100000000000\r\n")
    assert client.hear().startswith("552-5.3.4")
    assert client.hear().startswith("421-")
    assert client.hear() == ""


def test_silence_in_a_chunk_ends_the_session(open_door: Open) -> None:
    """The timer of DATA is also that of a chunk."""
    _, client = ready(open_door, chunk_s=0.2)
    client.send(b"BDAT 100\r\nabc")
    assert client.hear().startswith("421-4.4.2")
    assert client.hear() == ""


def test_a_slow_row_of_chunks_ends_the_session(open_door: Open) -> None:
    """The whole letter has its time, not each chunk anew."""
    door, client = ready(open_door, data_s=0.5, chunk_s=5.0)
    assert chunk(client, b"a\r\n").startswith("250 ")
    client.send(b"BDAT 100\r\nabc")
    assert client.hear().startswith("421-4.4.2")
    assert (door.intake.letters, door.stored()) == ([], [])


def test_a_connection_lost_between_chunks_leaves_nothing(open_door: Open) -> None:
    """No body stays of a letter that never ended."""
    door, client = ready(open_door)
    assert chunk(client, b"a" * 400_000 + b"\r\n").startswith("250 ")
    client.close()
    other = door.logged_in()
    assert other.say("NOOP") == "250 2.0.0 OK"
    assert door.stored() == []


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=5))
def test_any_octets_in_any_chunks(open_door: Open, data: bytes, cuts: list[int]) -> None:
    """Kept byte for byte where every line ends by CRLF and no NUL is inside; refused otherwise; never anything else."""
    door, client = ready(open_door)
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    answers = [chunk(client, data[a:b]) for a, b in itertools.pairwise(edges)]
    answers.append(chunk(client, b"", last=True))
    strict = b"\0" not in data and data.count(b"\r\n") == data.count(b"\r") == data.count(b"\n")
    assert [raw for _, raw, _ in door.intake.letters] == ([data] if strict else [])
    assert any(answer.startswith("554") for answer in answers) is not strict
