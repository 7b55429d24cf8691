"""What a peer answers, and what becomes of each recipient."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace

import pytest

from relay.couriers.peer import BY_PEER
from relay.model import (
    Asked,
    Done,
    Later,
    Mode,
    Never,
    Outcome,
    Reason,
)
from tests.relay.peers import (
    DOMAIN,
    Keeps,
    Mail,
    Scripted,
    Serve,
    World,
    Written,
    attempt,
    courier,
    job,
    one,
    real_peer,
)


@pytest.mark.parametrize("why", [Later(Reason.DNS_DOWN, "x"), Never(Reason.DOMAIN_NO_MAIL), Never(Reason.DOMAIN_LOOPS)])
def test_a_domain_without_hosts_is_answered_for_every_recipient(
    world: World, make_mail: Mail, why: Later | Never
) -> None:
    """What the look-up says is the outcome, and nobody is called."""
    nowhere = replace(courier(world, 1), where=lambda domain: why)
    assert nowhere.deliver(job(world, make_mail(), Mode.PEER_SIGNED, "paul", "anne")) == {"paul": why, "anne": why}
    assert nowhere.look(DOMAIN) == why


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ({"MAIL": "552 5.3.4 too big"}, Never(Reason.PEER_REFUSED, "552 5.3.4 too big")),
        ({"MAIL": "451 4.3.0 busy"}, Later(Reason.PEER_DELAYED, "451 4.3.0 busy")),
        ({"RCPT": "550 5.7.1 by policy"}, Never(Reason.PEER_REFUSED, "550 5.7.1 by policy")),
        ({"DATA": "451 4.3.0 busy"}, Later(Reason.PEER_DELAYED, "451 4.3.0 busy")),
        ({"DATA": "250 what"}, Later(Reason.PEER_DELAYED, "250 what")),
        ({".": "554 5.6.0 no"}, Never(Reason.PEER_REFUSED, "554 5.6.0 no")),
        ({".": "452 4.3.1 full"}, Later(Reason.PEER_DELAYED, "452 4.3.1 full")),
        ({".": "421 4.3.2 closing"}, Later(Reason.PEER_DELAYED, "421 4.3.2 closing")),
    ],
)
def test_a_reply_decides_by_its_class(
    world: World,
    scripted: Callable[..., Scripted],
    make_mail: Mail,
    replies: dict[str, str],
    expected: Outcome,
) -> None:
    """5xx is Never, anything else that is not a success is Later, at every step, without an alarm."""
    assert attempt(world, scripted(replies=replies), make_mail()) == (expected, [])


def test_mixed_replies_are_each_their_recipients(
    world: World, scripted: Callable[..., Scripted], make_mail: Mail
) -> None:
    """250, 550 and 451 in one transaction."""
    replies = {f"RCPT TO:<no@{DOMAIN}": "550 5.1.1 unknown", f"RCPT TO:<wait@{DOMAIN}": "451 4.2.1 later"}
    peer = scripted(replies=replies)
    task = job(world, make_mail(), Mode.PEER_SIGNED, "paul", "no", "wait")
    assert courier(world, peer.listen()).deliver(task) == {
        "paul": Done("250 2.0.0 taken"),
        "no": Never(Reason.PEER_REFUSED, "550 5.1.1 unknown"),
        "wait": Later(Reason.PEER_DELAYED, "451 4.2.1 later"),
    }


def test_a_connection_lost_in_data_is_later_except_for_whom_it_is_decided(
    world: World, scripted: Callable[..., Scripted], make_mail: Mail
) -> None:
    """A drop after 354 leaves the outcome unknown; a recipient refused before stays refused."""
    peer = scripted(hang_up_in_data=True, replies={f"RCPT TO:<no@{DOMAIN}": "550 5.1.1 unknown"})
    task = job(world, make_mail(), Mode.PEER_SIGNED, "paul", "no")
    answer = courier(world, peer.listen()).deliver(task)
    assert isinstance(answer["paul"], Later)
    assert answer["paul"].reason == Reason.PEER_UNREACHABLE
    assert answer["no"] == Never(Reason.PEER_REFUSED, "550 5.1.1 unknown")


def test_a_peer_that_stalls_is_cut_off(world: World, scripted: Callable[..., Scripted], make_mail: Mail) -> None:
    """However a server trickles, a delivery ends; the letter waits."""
    silent = socket.create_server(("127.0.0.1", 0))
    sender = replace(courier(world, silent.getsockname()[1]), total_s=0.2)
    outcome = one(sender.deliver(job(world, make_mail())))
    assert isinstance(outcome, Later)
    silent.close()


def test_nobody_there_is_later_and_the_next_host_is_tried(world: World, serve: Serve, make_mail: Mail) -> None:
    """Hosts are asked in order until one takes the letter; without any it waits, unsigned."""
    closed = socket.create_server(("127.0.0.1", 0))
    dead = closed.getsockname()[1]
    closed.close()
    alive = real_peer(world, serve, Keeps())
    written = Written()
    sender = courier(world, dead, written=written)
    assert one(sender.deliver(job(world, make_mail()))) == Later(Reason.PEER_UNREACHABLE, "ConnectionRefusedError")
    assert written.events == [], "no key is used for a letter that nobody is there to take"
    both = replace(sender, where=lambda domain: [("127.0.0.1", dead), ("127.0.0.1", alive)])
    assert isinstance(one(both.deliver(job(world, make_mail()))), Done)
    nowhere = replace(sender, where=lambda domain: [])
    assert one(nowhere.deliver(job(world, make_mail()))) == Later(Reason.PEER_UNREACHABLE, "no host is known")


def test_eight_bit_needs_a_peer_that_takes_it(world: World, scripted: Callable[..., Scripted], make_mail: Mail) -> None:
    """A letter that we may not convert is Never towards a peer without 8BITMIME; one that we sign is made
    7-bit."""
    raw = make_mail("été\n")
    without = scripted(extensions=())
    assert one(courier(world, without.listen()).deliver(job(world, raw, Mode.PEER_PLAIN))) == Never(Reason.PEER_NO_8BIT)
    assert attempt(world, scripted(extensions=()), raw)[0] == Done("250 2.0.0 taken")
    with_it = scripted()
    courier(world, with_it.listen()).deliver(job(world, raw, Mode.PEER_PLAIN))
    assert any(words.startswith("MAIL") and "BODY=8BITMIME" in words for words in with_it.said)


def test_tls_is_asked_of_each_further_hop_only_where_it_is_promised(
    world: World, scripted: Callable[..., Scripted], make_mail: Mail
) -> None:
    """RFC 8689: a letter with REQUIRETLS goes to a peer that promises it, with the word; to none that does not. Its
    twin without that wish goes to both, without the word."""
    wished = job(world, make_mail())
    wished = replace(wished, letter=replace(wished.letter, require_tls=True))
    for extensions, task, taken in (
        (("REQUIRETLS",), wished, True),
        ((), wished, False),
        (("REQUIRETLS",), job(world, make_mail()), True),
    ):
        peer = scripted(extensions=extensions)
        outcome = one(courier(world, peer.listen()).deliver(task))
        assert outcome == (Done("250 2.0.0 taken") if taken else Never(Reason.PEER_NO_REQUIRETLS))
        mails = [words for words in peer.said if words.startswith("MAIL")]
        assert [words.endswith("REQUIRETLS") for words in mails] == ([task is wished] if taken else [])


def test_a_letter_larger_than_the_peer_takes_is_never(
    world: World, scripted: Callable[..., Scripted], make_mail: Mail
) -> None:
    """RFC 1870: known before a byte is sent."""
    outcome, _ = attempt(world, scripted(extensions=("SIZE 100",)), make_mail())
    assert outcome == Never(Reason.TOO_LARGE, "the peer takes 100 bytes")


def test_what_the_sender_asked_goes_along(world: World, scripted: Callable[..., Scripted], make_mail: Mail) -> None:
    """RFC 3461: NOTIFY, ORCPT and ENVID for a peer that keeps them, who then owes the report; else not a
    word."""
    task = job(world, make_mail())
    asked = Asked(frozenset({"SUCCESS", "FAILURE"}), "rfc822;paul@x.example")
    task = replace(task, recipients=(replace(task.recipients[0], asked=asked),))
    keeps, ignores = scripted(extensions=("DSN",)), scripted(extensions=())
    assert one(courier(world, keeps.listen()).deliver(task)) == Done("250 2.0.0 taken", BY_PEER)
    assert f"RCPT TO:<paul@{DOMAIN}> NOTIFY=FAILURE,SUCCESS ORCPT=rfc822;paul@x.example" in keeps.said
    assert any("RET=HDRS ENVID=env-1" in words for words in keeps.said)
    assert one(courier(world, ignores.listen()).deliver(task)) == Done("250 2.0.0 taken")
    assert f"RCPT TO:<paul@{DOMAIN}>" in ignores.said


def test_a_patients_address_in_a_reply_is_not_kept(
    world: World, scripted: Callable[..., Scripted], make_mail: Mail
) -> None:
    """Replies are kept and shown: addresses and long numbers are taken out first."""
    words = "550 5.1.1 <279035121518989@patient.mssante.fr> 279035121518989 unknown"
    outcome, _ = attempt(world, scripted(replies={"RCPT": words}), make_mail())
    assert outcome == Never(Reason.PEER_REFUSED, "550 5.1.1 <…> … unknown")
