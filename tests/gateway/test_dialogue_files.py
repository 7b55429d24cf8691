"""Dialogues as golden files: what a client says and what a door must answer, word for word, each with a sentence why.

A file of dialogues/: its first line is the sentence; `door:` says which door and how it is begun, then words in order:
`clear` (before TLS), `tls` (after STARTTLS), `hello` (and EHLO), `login` (and AUTH), `stranger` (no certificate), and
limits such as max_recipients=2.
`C: ` is a line that the client sends, with its CRLF; several without an answer between them go in one piece. `S: ` is a
line that the door must answer, the whole of it, where `…` stands for anything. In a line of the client <LF>, <CR>,
<NUL>, <E9> (no UTF-8), <x600> (so many letters x) stand for the octets; <-> at its end: no CRLF. `S: [end]`: the
session is over.
`kept:` is how many letters the intake was given in the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from relay.model import Door

FILES = sorted((Path(__file__).resolve().parent / "dialogues").glob("*.txt"))
ANNA, PASSWORD = "anna@lilas.example", "correct horse"
_OCTETS = re.compile(r"<(LF|CR|NUL|E9|x\d+)>")
_NAMES = {"LF": "\n", "CR": "\r", "NUL": "\0", "E9": "\udce9"}


@dataclass(frozen=True)
class Dialogue:
    why: str
    kind: Door
    begun: tuple[str, ...]
    limits: dict[str, int]
    turns: tuple[tuple[str, str], ...]
    """('C' or 'S', text)."""
    kept: int


def read(text: str) -> Dialogue:
    """Raises ValueError for a file that says something unknown."""
    why, head, *lines = text.splitlines()
    name, *words = head.removeprefix("door: ").split()
    limits = {key: int(value) for key, _, value in (word.partition("=") for word in words) if value}
    *turns, kept = [f"{line} " if line in ("C:", "S:") else line for line in lines if line]
    if not head.startswith("door: ") or not kept.startswith("kept: ") or not why.endswith("."):
        raise ValueError("a sentence, then door:, and kept: at the end")
    if any(line[:3] not in ("C: ", "S: ") for line in turns):
        raise ValueError("a turn begins with C: or S:")
    begun = tuple(word for word in words if "=" not in word)
    return Dialogue(why, Door(name), begun, limits, tuple((line[0], line[3:]) for line in turns), int(kept[6:]))


def octets(line: str) -> bytes:
    """What the client sends for one C: line."""
    end = "" if line.endswith("<->") else "\r\n"
    named = _OCTETS.sub(lambda found: _NAMES.get(found[1]) or "x" * int(found[1][1:]), line.removesuffix("<->"))
    return (named + end).encode("utf-8", "surrogateescape")


def wanted(line: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, line.split("…"))))


def begin(door: Any, begun: tuple[str, ...]) -> Any:
    """A client, as far into the session as the file says."""
    shown = door.space.peer if door.spec.kind is Door.PEER and "stranger" not in begun else None
    client = door.client()
    if "clear" in begun:
        return client
    client.say("EHLO client.example")
    client.start_tls(door.context(shown))
    if "tls" in begun:
        return client
    client.say("EHLO client.example")
    if "login" in begun:
        assert client.log_in(ANNA, PASSWORD).startswith("235 ")
    return client


def play(dialogue: Dialogue, open_door: Callable[..., Any]) -> None:
    """Raises AssertionError where the door says anything else."""
    door = open_door(dialogue.kind, **dialogue.limits)
    client = begin(door, dialogue.begun)
    pending, heard = b"", [] if "clear" not in dialogue.begun else [client.greeting]
    for who, text in dialogue.turns:
        if who == "C":
            pending += octets(text)
            continue
        if pending:
            client.send(pending)
            pending = b""
        if text == "[end]":
            assert client.hear() == ""
            continue
        heard = heard or client.hear().split("\n")
        assert wanted(text).fullmatch(heard[0]), f"{heard[0]!r} is not {text!r}"
        heard = heard[1:]
    assert not heard, "the door said more"
    assert len(door.intake.letters) == dialogue.kept


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_door_answers_as_written(open_door: Callable[..., Any], file: Path) -> None:
    """Each file, played against a door over a socket."""
    play(read(file.read_text("utf-8")), open_door)


def test_a_dialogue_that_is_not_as_written_is_seen(open_door: Callable[..., Any]) -> None:
    """The twin: another answer, an answer too many, a letter too many."""
    good = "Why.\ndoor: submission login\nC: NOOP\nS: 250 2.0.0 OK\nkept: 0\n"
    play(read(good), open_door)
    for bad in (
        good.replace("250 2.0.0 OK", "250 2.0.0 NO"),
        good.replace("C: NOOP", "C: VRFY x").replace("250 2.0.0 OK", "252-2.7.0 …"),
        good.replace("kept: 0", "kept: 1"),
    ):
        with pytest.raises(AssertionError):
            play(read(bad), open_door)


@pytest.mark.parametrize("spoilt", ["Why\ndoor: peer\nkept: 0", "Why.\nkept: 0\n\n", "W.\ndoor: peer\nX: a\nkept: 0"])
def test_a_file_that_cannot_be_read_is_refused(spoilt: str) -> None:
    """No sentence, no door, an unknown turn."""
    with pytest.raises(ValueError, match=r"sentence|turn|unpack"):
        read(spoilt)


def test_there_are_enough_and_each_says_why() -> None:
    """Both doors, before and after TLS, at least fifteen."""
    read_all = [read(file.read_text("utf-8")) for file in FILES]
    assert len(read_all) >= 15
    assert {each.kind for each in read_all} == {Door.PEER, Door.SUBMISSION}
    assert {"clear", "tls", "hello", "login"} <= {word for each in read_all for word in each.begun}
    assert len({each.why for each in read_all}) == len(read_all)
