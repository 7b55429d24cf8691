"""Exim's client, the one at hand that sends BDAT (RFC 3030), at the peers' door; Postfix's server takes it, its client
never sends it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.demo import exim
from gateway.demo.processes import new_folder
from relay.model import Door, Reason, Refusal

pytestmark = pytest.mark.journey

MAIL = b"From: bert@parc.example\r\nSubject: Sortie\r\n\r\n.une ligne\r\n" + b"x" * 70 + b"\r\n"
BODY = b"\r\n\r\n.une ligne\r\n" + b"x" * 70 + b"\r\n"


@pytest.fixture
def folder() -> Iterator[Path]:
    made = new_folder("pli-x-")
    yield made
    shutil.rmtree(made, ignore_errors=True)


def said(door: Any, folder: Path) -> str:
    anchors = door.space.folder / "anchors" / "root.pem"
    return exim.hand_in(
        folder / "e",
        door.port,
        "bert@parc.example",
        "anna@lilas.example",
        MAIL,
        door.space.peer,
        anchors,
        "mss.parc.example",
    )


def test_exim_hands_a_letter_in_by_bdat(open_door: Callable[..., Any], folder: Path) -> None:
    """Over TLS of another library (GnuTLS), with its certificate, pipelined, in two chunks, the last one LAST."""
    door = open_door(Door.PEER)
    told = said(door, folder)
    assert "BDAT " in told
    assert " LAST" in told
    assert "DATA\n" not in told.replace("BDATA", "")
    ((envelope, raw, _),) = door.intake.letters
    assert raw.endswith(BODY)
    assert str(envelope.sender) == "bert@parc.example"


def test_exim_hears_a_refusal_after_its_last_chunk(open_door: Callable[..., Any], folder: Path) -> None:
    """The twin: 554, and Exim gives the letter up."""
    door = open_door(Door.PEER)
    door.intake.letter_refusal = Refusal(Reason.LOOP, permanent=True)
    told = said(door, folder)
    assert "554-5.4.6" in told
    assert "** anna@lilas.example" in told
    assert door.intake.letters == []
