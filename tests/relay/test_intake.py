"""The intake before DATA, on a real store, a real spooler and a real directory: who may write, and to whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from directory.address import parse
from directory.ldap import LdapDirectory
from directory.model import Address
from directory.region import SUFFIX
from gateway.demo.servers import free_port
from relay.model import (
    Addressee,
    Door,
    DoorProof,
    Reason,
    Refusal,
)
from relay.policy import Book, Level, Line, PolicyDown
from tests.relay.house import ACCOUNT, ANNE, CLOSED, FROM_PEER, MARIE, OUR_DN, OURS, PATIENT, PAUL, PEER, House


@pytest.mark.parametrize(
    ("door", "address", "reason"),
    [
        (Door.SUBMISSION, ANNE, None),
        (Door.SUBMISSION, PAUL, None),
        (Door.SUBMISSION, PATIENT, None),
        (Door.SUBMISSION, f"rouge@{OURS}", None),
        (Door.SUBMISSION, f"nobody@{OURS}", Reason.UNKNOWN_RECIPIENT),
        (Door.SUBMISSION, f"nobody@{PEER}", Reason.UNKNOWN_RECIPIENT),
        (Door.SUBMISSION, "x@elsewhere.example", Reason.NOT_LISTED),
        (Door.SUBMISSION, "27707279035121518989@patient.mssante.fr", Reason.RECIPIENT_SYNTAX),
        (Door.SUBMISSION, "2770763220829106@patient.mssante.fr", Reason.RECIPIENT_SYNTAX),
        (Door.PEER, ANNE, None),
        (Door.PEER, f"nobody@{OURS}", Reason.UNKNOWN_RECIPIENT),
        (Door.PEER, PAUL, Reason.NO_RELAY),
        (Door.PEER, PATIENT, Reason.NO_RELAY),
        (Door.NOTICE, PAUL, None),
        (Door.NOTICE, "x@elsewhere.example", Reason.NOT_LISTED),
    ],
)
def test_a_recipient_is_known_or_refused_by_name(house: House, door: Door, address: str, reason: Reason | None) -> None:
    """What is knowable at RCPT is refused at RCPT; peers are never relayed for."""
    answer = house.intake.check_recipient(parse(address), door)
    if reason is None:
        assert isinstance(answer, Addressee)
        assert str(answer.address) == address
    else:
        assert isinstance(answer, Refusal)
        assert (answer.reason, answer.permanent) == (reason, True)


def test_nearest_entries_are_told_to_our_own_people_only(house: House) -> None:
    """A slip gets a suggestion at our own doors, a stranger learns nothing, and nobody hears of the red
    list."""
    slip = parse(f"marie.martn@{OURS}")
    own = house.intake.check_recipient(slip, Door.SUBMISSION)
    theirs = house.intake.check_recipient(slip, Door.PEER)
    assert isinstance(own, Refusal)
    assert isinstance(theirs, Refusal)
    assert MARIE in own.detail
    assert theirs.detail == ""
    red = house.intake.check_recipient(parse(f"roug@{OURS}"), Door.SUBMISSION)
    assert isinstance(red, Refusal)
    assert "rouge" not in red.detail


@pytest.mark.parametrize("door", [Door.SUBMISSION, Door.PEER])
def test_a_closed_mailbox_is_refused_by_a_name_of_its_own(house: House, door: Door) -> None:
    """Known and not in force is not unknown: the sender learns that the address was right."""
    closed = house.intake.check_recipient(parse(CLOSED), door)
    unknown = house.intake.check_recipient(parse(f"jamais.vue@{OURS}"), door)
    assert isinstance(closed, Refusal)
    assert isinstance(unknown, Refusal)
    assert (closed.reason, unknown.reason) == (Reason.RECIPIENT_CLOSED, Reason.UNKNOWN_RECIPIENT)
    assert closed.permanent


def test_a_directory_that_is_down_delays(house: House, today: datetime) -> None:
    """Temporary: the other side keeps the letter."""
    nowhere = LdapDirectory(f"ldap://127.0.0.1:{free_port()}", SUFFIX, "cn=x", "r", clock=lambda: today)
    answer = replace(house.intake, directory=nowhere).check_recipient(parse(ANNE), Door.PEER)
    assert answer == Refusal(Reason.DIRECTORY_DOWN, permanent=False)


@pytest.mark.parametrize(
    ("door", "sender", "proof", "reason"),
    [
        (Door.SUBMISSION, MARIE, ACCOUNT, None),
        (Door.SUBMISSION, None, ACCOUNT, None),
        (Door.SUBMISSION, ANNE, ACCOUNT, Reason.SENDER_NOT_ALLOWED),
        (Door.SUBMISSION, PAUL, ACCOUNT, Reason.SENDER_NOT_ALLOWED),
        (Door.PAGE, MARIE, ACCOUNT, None),
        (Door.PAGE, ANNE, ACCOUNT, Reason.SENDER_NOT_ALLOWED),
        (Door.PAGE, MARIE, DoorProof(), Reason.SENDER_NOT_ALLOWED),
        (Door.PEER, PAUL, FROM_PEER, None),
        (Door.PEER, None, FROM_PEER, None),
        (Door.PEER, MARIE, FROM_PEER, Reason.PEER_NOT_LISTED),
        (Door.PEER, PAUL, replace(FROM_PEER, peer=OUR_DN), Reason.PEER_NOT_LISTED),
        (Door.PEER, PAUL, replace(FROM_PEER, peer=""), Reason.PEER_NOT_LISTED),
        (Door.COMMAND, MARIE, DoorProof(), None),
        (Door.COMMAND, PAUL, DoorProof(), Reason.SENDER_NOT_ALLOWED),
    ],
)
def test_who_may_speak_for_whom(
    house: House, door: Door, sender: str | None, proof: DoorProof, reason: Reason | None
) -> None:
    """An account for its own address, a peer for the domains of its certificate, nobody for another."""
    answer = house.intake.check_sender(parse(sender) if sender else None, proof, door)
    assert (answer and answer.reason) == reason


def test_a_stale_white_list_delays_whatever_it_should_decide(house: House, today: datetime) -> None:
    """Too old to trust: peers and other domains wait, our own mailboxes do not."""
    late = replace(house.intake, clock=lambda: today + timedelta(hours=73))
    stale = Refusal(Reason.WHITE_LIST_STALE, permanent=False)
    assert late.check_sender(parse(PAUL), FROM_PEER, Door.PEER) == stale
    assert late.check_recipient(parse(PAUL), Door.SUBMISSION) == stale
    assert isinstance(late.check_recipient(parse(ANNE), Door.SUBMISSION), Addressee)


@pytest.mark.parametrize(
    ("policy", "known", "refused"),
    [
        ("as-stated", True, False),
        ("as-stated", None, False),
        ("as-stated", False, True),
        ("qualified", True, False),
        ("qualified", None, True),
        ("qualified", False, True),
    ],
)
def test_whose_address_a_patients_may_be(house: House, policy: str, known: bool | None, refused: bool) -> None:
    """ECO.2.2.6: what our register knows decides; of whom it does not know, policy. Nobody else is asked about."""
    lines = [Line(Level.TENANT, "", "patient_ins", policy)]
    asked: list[Address] = []
    intake = replace(house.intake, book=lambda: Book(lines), qualified=lambda one: asked.append(one) or known)
    patient, marie = Addressee(parse("279035121518989@patient.mssante.fr")), parse(MARIE)
    expected = Refusal(Reason.PATIENT_NOT_QUALIFIED, permanent=True) if refused else None
    assert intake.check_route(patient, marie, 0) == expected
    assert intake.check_route(Addressee(parse(PAUL)), marie, 0) is None
    assert asked == [patient.address]

    def down() -> Book:
        raise PolicyDown("gone")

    assert replace(intake, book=down).check_route(patient, marie, 0) == Refusal(Reason.STORE_DOWN, permanent=False)
