"""The trace field that we put on top, and the loops that it shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from directory.model import Address
from relay import trace
from relay.message import scan
from relay.model import Door, DoorProof, Envelope

PROOF = DoorProof(tls="TLSv1.3 TLS_AES_256_GCM_SHA384", client="192.0.2.7", helo="poste.example")


@pytest.fixture
def envelope(now: datetime) -> Envelope:
    """A letter of one of our people."""
    return Envelope("01abc", "lilas", Door.SUBMISSION, Address("a", "lilas.example"), (), PROOF, now)


def test_the_field_says_from_whom_how_and_when(envelope: Envelope) -> None:
    """Greeting, address, TLS version and suite as two words, protocol, id and date."""
    assert trace.received(envelope, "mss.lilas.example") == (
        "Received: from poste.example ([192.0.2.7])\r\n"
        "\t(using TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
        "\tby mss.lilas.example (Pli) with ESMTPSA id 01abc;\r\n"
        "\tWed, 25 Nov 2026 09:30:00 +0000\r\n"
    )


def test_what_the_other_end_said_cannot_leave_its_place(envelope: Envelope) -> None:
    """Line ends, brackets and spaces of a greeting never reach the field."""
    proof = replace(PROOF, helo="x\r\nBcc: (y) z", client="[::1]\n")
    field = trace.received(replace(envelope, proof=proof), "mss.lilas.example")
    assert field.startswith("Received: from xBcc:yz ([::1])\r\n")
    assert field.count("\r\n") == 4


def test_a_notice_has_no_other_end(envelope: Envelope) -> None:
    """What we wrote ourselves says by which door."""
    field = trace.received(replace(envelope, door=Door.NOTICE), "mss.lilas.example")
    assert field.startswith("Received: by mss.lilas.example (Pli, notice) id 01abc;")


@pytest.mark.parametrize(("hops", "looping"), [(50, False), (51, True)])
def test_a_letter_that_goes_in_circles_is_known_by_its_hops(hops: int, looping: bool) -> None:
    """RFC 5321 §6.3: too many Received fields are a loop; one fewer is a long way."""
    assert trace.is_looping(scan(b"Received: by x\r\n" * hops + b"\r\nBonjour\r\n")) is looping
