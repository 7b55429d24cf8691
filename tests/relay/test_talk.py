"""Two and three nodes that talk, with failures at every turn: letters end, and nobody answers an answer for ever.

Real intakes, spoolers, stores, carriers and notices; the wire between the nodes, the mailboxes and the directory take
the places of foreign parties. More examples: PLI_TALK_EXAMPLES=500 pytest tests/relay/test_talk.py
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certs.chain import TrustStore
from relay.model import (
    Done,
    Door,
    DoorProof,
    Job,
    Outcome,
    Receipt,
    Word,
)
from tests.relay.talking import NAMES, Boxes, Hand, Pli, World, begin_node, domain, mail, mdn

EXAMPLES = int(os.environ.get("PLI_TALK_EXAMPLES", "5"))


# --- the stage ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(trust: TrustStore, today: datetime, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(Hand(today))
    stops = [begin_node(made, name, trust, today, tmp_path_factory.mktemp(name)) for name in NAMES]
    yield made
    for stop in stops:
        stop()


# --- the property -------------------------------------------------------------------------------------------

TEMPERS = st.sampled_from(["plain", "full", "closed", "absent", "reader", "robot"])
LETTERS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(["plain", "absent", "reader"]), st.sampled_from(NAMES), TEMPERS,
              st.sampled_from([(), ("SUCCESS", "FAILURE", "DELAY"), ("NEVER",)]), st.booleans()),
    min_size=1, max_size=4,
)  # fmt: skip
TROUBLES = st.lists(st.sampled_from(["fine", "down", "refused", "answer lost"]), max_size=12)


def _check(world: World, sent: list[Any], troubles: list[str], names: tuple[str, ...]) -> None:
    before, lost = {name: node.count() for name, node in world.nodes.items()}, world.lost
    world.troubles = list(troubles)
    submitted = 0
    for ours, who, theirs, temper, notify, receipt in sent:
        sender, to = f"{who}@{domain(_in(ours, names))}", f"{temper}@{domain(_in(theirs, names))}"
        more = {"Disposition_Notification_To": f"<{sender}>"} if receipt else {}
        answer = world.nodes[_in(ours, names)].submit(sender, (to,), mail(sender, to, **more), notify=frozenset(notify))
        submitted += isinstance(answer, Receipt)
    world.rest()
    made = sum(node.count() - before[name] for name, node in world.nodes.items())
    # For each letter and each copy of it: itself on two nodes; a warning and an end from each node, on two nodes; an
    # answer of the mailbox, on two nodes, with what that may cost in its turn, which nobody answers.
    assert submitted <= made <= 24 * (submitted + world.lost - lost)


def _in(name: str, names: tuple[str, ...]) -> str:
    return names[NAMES.index(name) % len(names)]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(LETTERS, TROUBLES)
def test_two_nodes_come_to_rest(world: World, sent: list[Any], troubles: list[str]) -> None:
    """Whatever is written, refused, delayed, lost, answered by machines: it ends, and was not much."""
    _check(world, sent, troubles, NAMES[:2])


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(LETTERS, TROUBLES)
def test_three_nodes_come_to_rest(world: World, sent: list[Any], troubles: list[str]) -> None:
    """The same among three."""
    _check(world, sent, troubles, NAMES)


def test_the_count_would_see_a_loop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the rule of automatic mail switched off two absent people write to each other for ever, and it is seen."""
    from relay import intake

    monkeypatch.setattr(intake.mime, "automatic", lambda message, null_sender: "")
    monkeypatch.setattr(Boxes, "_outcome", _politely)
    world.troubles = []  # of a letter before, that nobody met; and nobody is still held for dead
    world.clock.on(hours=24)
    ours, theirs = f"absent@{domain('lilas')}", f"absent@{domain('parc')}"
    world.nodes["lilas"].submit(ours, (theirs,), mail(ours, theirs))
    with pytest.raises(AssertionError, match="for ever"):
        _rest_soon(world)
    monkeypatch.undo()
    world.rest()


def _politely(self: Boxes, job: Job, address: str) -> Outcome:
    """An absent person's box that answers with its own address, whatever is not automatic."""
    if job.letter.sender and not job.letter.verdict.automatic:
        answer = mail(address, job.letter.sender, "Absent", Auto_Submitted="auto-replied")
        self.node().submit(address, (job.letter.sender,), answer)
    return Done("250 saved")


def _rest_soon(world: World) -> None:
    for _ in range(6):
        carried = sum(node.carrier.step() for node in world.nodes.values())
    assert not carried, "they talk for ever"


# --- a receipt, and who may give it ---------------------------------------------------------------------------


def _asked(world: World) -> tuple[Pli, str, str, str]:
    """A letter from lilas to parc that asks for a receipt and was delivered to somebody who gives none."""
    ours, sender, to = world.nodes["lilas"], f"plain@{domain('lilas')}", f"plain@{domain('parc')}"
    raw = mail(sender, to, Disposition_Notification_To=f"<{sender}>")
    answer = ours.submit(sender, (to,), raw)
    assert isinstance(answer, Receipt)
    world.rest()
    return ours, answer.letter_id, to, raw.partition(b"Message-ID: ")[2].partition(b"\r\n")[0].decode()


def test_a_receipt_from_its_peer_moves_the_timeline(world: World) -> None:
    """Asked, handed over, read: by the operator that may speak for the reader, about our very letter."""
    ours, letter_id, to, message_id = _asked(world)
    assert ours.rows(letter_id)[0].word is Word.AWAITED
    proof = DoorProof(peer="CN=parc")
    report = mdn(to, f"plain@{domain('lilas')}", message_id)
    assert isinstance(ours.takes(Door.PEER, "", (f"plain@{domain('lilas')}",), report, proof), Receipt)
    assert ours.rows(letter_id)[0].word is Word.READ
    world.rest()


@pytest.mark.parametrize("case", ["another operator", "another letter", "a mailbox elsewhere"])
def test_a_forged_receipt_moves_nothing(world: World, case: str) -> None:
    """The refused twins: an operator that may not speak for the reader, a letter that is not ours, and a report that
    was only found in a mailbox at another operator's."""
    ours, letter_id, to, message_id = _asked(world)
    sender = f"plain@{domain('lilas')}"
    reporter = f"x@{domain('bois')}" if case == "another operator" else to
    report = mdn(reporter, sender, "<other@x>" if case == "another letter" else message_id, final=to)
    door, proof = Door.PEER, DoorProof(peer="CN=bois" if case == "another operator" else "CN=parc")
    if case == "a mailbox elsewhere":
        door, proof = Door.COLLECTED, DoorProof()
    assert isinstance(ours.takes(door, "", (sender,), report, proof), Receipt)
    assert ours.rows(letter_id)[0].word is Word.AWAITED
    world.rest()


def test_a_reader_of_ours_speaks_for_himself_alone(world: World) -> None:
    """Between two mailboxes of one node the login says who reads."""
    ours, sender, to = world.nodes["lilas"], f"plain@{domain('lilas')}", f"other@{domain('lilas')}"
    raw = mail(sender, to, Disposition_Notification_To=f"<{sender}>")
    answer = ours.submit(sender, (to,), raw)
    assert isinstance(answer, Receipt)
    world.rest()
    message_id = raw.partition(b"Message-ID: ")[2].partition(b"\r\n")[0].decode()
    assert isinstance(
        ours.submit("", (sender,), mdn(f"third@{domain('lilas')}", sender, message_id, final=to)), Receipt
    )
    assert ours.rows(answer.letter_id)[0].word is Word.AWAITED
    assert isinstance(ours.submit("", (sender,), mdn(to, sender, message_id)), Receipt)
    assert ours.rows(answer.letter_id)[0].word is Word.READ
    world.rest()
