"""The tables of replies: complete, consistent, and ASCII on the wire."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmp_bridge.model import FilingReason
from gateway.doors import replies, turns
from gateway.doors.replies import FILINGS, REASONS, Reply
from gateway.doors.turns import TURNS, Turn
from relay.model import Reason, Refusal

LINE = re.compile(r"[2345]\d\d[- ]([245]\.\d{1,3}\.\d{1,3} )?[ -~]+")


def test_every_reason_has_its_row() -> None:
    """No reason can be answered without words."""
    assert set(REASONS) == set(Reason)
    assert set(FILINGS) == set(FilingReason)
    assert set(TURNS) == set(Turn)


@pytest.mark.parametrize("reply", [*REASONS.values(), *FILINGS.values(), *TURNS.values()], ids=str)
def test_a_row_is_consistent_and_short(reply: Reply) -> None:
    """Class of code and enhanced code agree (RFC 2034 §4); each line is ASCII and at most 512 octets."""
    lines = reply.wire().split("\r\n")
    assert all(LINE.fullmatch(line) and len(line) <= 510 for line in lines)
    assert all(line[3] == "-" for line in lines[:-1])
    assert lines[-1][3] == " "
    assert reply.enhanced[:1] in ("", str(reply.code)[0])


@pytest.mark.parametrize("reason", [*Reason, *FilingReason])
def test_a_reason_speaks_both_languages(reason: Reason | FilingReason) -> None:
    """French and English differ and neither is empty, on screens."""
    french, english = replies.sentence(reason), replies.sentence(reason, "en")
    assert french
    assert english
    assert french != english


def test_screens_keep_accents_and_the_wire_does_not() -> None:
    """The same row: accented for people, plain for SMTP, French first."""
    assert replies.sentence(Reason.TOO_LARGE) == "La lettre dépasse la taille admise."
    first, second = replies.refusal(Refusal(Reason.TOO_LARGE, True)).split("\r\n")
    assert first == "552-5.3.4 La lettre depasse la taille admise."
    assert second == "552 5.3.4 The letter is larger than what we take."


def test_permanence_is_the_refusals_own() -> None:
    """Policy may defer what is usually refused, and refuse what is usually deferred; the classes follow."""
    deferred = replies.refusal(Refusal(Reason.PEER_UNTRUSTED, permanent=False))
    refused = replies.refusal(Refusal(Reason.PEER_CANNOT_TELL, permanent=True))
    assert deferred.startswith("451-4.7.1 ")
    assert refused.startswith("554-5.7.5 ")


def test_suggestions_reach_the_wire() -> None:
    """The nearest addresses that the intake gave for an unknown recipient are said, without accents."""
    said = replies.refusal(Refusal(Reason.UNKNOWN_RECIPIENT, True, "Dr Zoé Lenôtre <zoe@a.example>"))
    assert said.endswith("\r\n550 5.1.1 Adresses proches, nearest addresses: Dr Zoe Lenotre <zoe@a.example>")


def test_private_details_do_not() -> None:
    """Twin: a detail meant for our operators is not told to a stranger."""
    said = replies.refusal(Refusal(Reason.DIRECTORY_DOWN, False, "ldap://10.0.0.7 refused"))
    assert "10.0.0.7" not in said


@given(st.text(max_size=2000))
def test_no_detail_can_make_a_line(detail: str) -> None:
    """Reply injection: whatever a detail holds, each line of the reply has its code and its size."""
    said = replies.refusal(Refusal(Reason.UNKNOWN_RECIPIENT, True, detail))
    assert all(LINE.fullmatch(line) and len(line) <= 510 for line in said.split("\r\n"))


def test_an_unknown_name_is_a_surprise_on_the_wire_and_itself_on_a_screen() -> None:
    """A reason that has no row loses nothing: 451."""
    assert replies.refusal(Refusal("no.such", False)).startswith("451-4.3.0 ")
    assert replies.sentence("no.such") == "no.such"


def test_a_turn_ends_with_its_detail() -> None:
    """The letter's id ends the 250, for the sender's log."""
    assert turns.said(Turn.LETTER_KEPT, "01abc").endswith("letter accepted: 01abc")
