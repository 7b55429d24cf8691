"""What a person does to letters in custody: who and why, many at once, another way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from relay import acts, spool
from relay.model import Done, Event, Later, Letter, Mode, Never, Outcome, Reason, Recipient, Route, State
from relay.spooler import StoreRefused
from relay.store import reads

Make = Callable[..., tuple[Letter, tuple[Recipient, ...]]]
PARC = Route(Mode.PEER_SIGNED, "parc.mssante.example", "signed-by-default")
PLAIN = Route(Mode.PEER_PLAIN, "bois.mssante.example", "patient-space-plain")
DOSSIER = Route(Mode.DOSSIER, "regional", "xdm")


def _keep(store: Any, make: Make, *ids: str, route: Route = PARC, tenant: str = "lilas") -> None:
    for each in ids:
        letter, rows = make(each, route, tenant=tenant)
        assert spool.keep(store.client, letter, rows, [Event("accepted", each)])


def _settle(store: Any, outcome: Outcome) -> None:
    for claimed in spool.claim(store.client, "w1", 16, 60, 8):
        spool.settle(store.client, claimed, "w1", {each.id: outcome for each in claimed.recipients})


def _row(store: Any, id: str = "L1") -> Recipient:
    found = spool.letter(store.reader, "lilas", id)
    assert found
    return found[1][0]


def _last(store: Any, id: str = "L1") -> tuple[str, dict[str, str]]:
    step = spool.timeline(store.reader, "lilas", id)[-1]
    return step.event, dict(step.facts)


@pytest.mark.parametrize(
    ("action", "before", "event"),
    [
        ("hold", None, "held"),
        ("release", "hold", "released"),
        ("bounce", None, "bounced"),
        ("resend", "bounce", "resent"),
    ],
)
def test_each_act_says_who_and_why(store: Any, make_letter: Make, action: str, before: str | None, event: str) -> None:
    """In the journal, in the transaction that moves the recipient."""
    _keep(store, make_letter, "L1")
    if before:
        acts.act(store.client, "lilas", before, "L1-0", "anne", "before")
    acts.act(store.client, "lilas", action, "L1-0", "jeanne", "ticket 4711")
    name, facts = _last(store)
    assert (name, facts["by"], facts["why"]) == (event, "jeanne", "ticket 4711")


def test_a_reason_is_cut(store: Any, make_letter: Make) -> None:
    """A few words, no letter."""
    _keep(store, make_letter, "L1")
    acts.act(store.client, "lilas", "hold", "L1-0", "x", "y" * 5000)
    assert len(_last(store)[1]["why"]) == acts.WHY_MOST


def test_of_many_each_is_moved_or_refused_by_itself(store: Any, make_letter: Make) -> None:
    """One that is done already hurts nobody else; an unknown one neither."""
    _keep(store, make_letter, "L1")
    _settle(store, Done("250"))
    _keep(store, make_letter, "L2", "L3")
    refused = acts.act_each(store.client, "lilas", "hold", ["L1-0", "L2-0", "L3-0", "L9-0"], "x", "y")
    assert sorted(refused) == ["L1-0", "L9-0"]
    assert [_row(store, each).state for each in ("L1", "L2", "L3")] == [State.DONE, State.HELD, State.HELD]


def test_another_tenants_are_not_moved(store: Any, make_letter: Make) -> None:
    """By one's own tenant only."""
    _keep(store, make_letter, "L1", tenant="bois")
    assert list(acts.act_each(store.client, "lilas", "hold", ["L1-0"], "x", "y")) == ["L1-0"]
    assert reads.towards(store.reader, "lilas", PARC.target, [State.QUEUED]) == []


@pytest.mark.parametrize("before", ["queued", "held", "failed"])
def test_another_way_is_taken_at_once(store: Any, make_letter: Make, before: str) -> None:
    """Waiting, held or given up: it waits for the new destination now, by the rule that is told."""
    _keep(store, make_letter, "L1")
    if before == "queued":
        _settle(store, Later(Reason.PEER_DELAYED))
    if before == "held":
        acts.act(store.client, "lilas", "hold", "L1-0")
    if before == "failed":
        _settle(store, Never(Reason.PEER_REFUSED))
    acts.reroute(store.client, "lilas", "L1-0", PLAIN, "jeanne", "domain moved")
    (claimed,) = spool.claim(store.client, "w1", 16, 60, 8)
    assert claimed.recipients[0].route == PLAIN
    assert _last(store)[1] | {"attempt": ""} == {
        "by": "jeanne", "why": "domain moved", "mode": "peer-plain", "target": "bois.mssante.example",
        "rule": "patient-space-plain", "attempt": "",
    }  # fmt: skip
    assert spool.due_notices(store.reader) == []


def test_what_is_done_or_carried_keeps_its_way(store: Any, make_letter: Make) -> None:
    """The refused twins: it is with the other side, or in a worker's hands; and a dossier has one way only."""
    _keep(store, make_letter, "L1")
    spool.claim(store.client, "w1", 16, 60, 8)
    with pytest.raises(StoreRefused, match="not while it is running"):
        acts.reroute(store.client, "lilas", "L1-0", PLAIN)
    _keep(store, make_letter, "L2", route=DOSSIER)
    with pytest.raises(StoreRefused, match="one way only"):
        acts.reroute(store.client, "lilas", "L2-0", PLAIN)
    with pytest.raises(StoreRefused, match="one way only"):
        acts.reroute(store.client, "lilas", "L2-0", DOSSIER)


def test_those_at_a_destination_are_found_whatever_their_mode(store: Any, make_letter: Make) -> None:
    """By domain and state, the oldest first; others are left."""
    _keep(store, make_letter, "L1", "L2")
    _keep(store, make_letter, "L3", route=Route(Mode.PEER_PLAIN, PARC.target, "x"))
    _keep(store, make_letter, "L4", route=PLAIN)
    acts.act(store.client, "lilas", "hold", "L2-0")
    found = reads.towards(store.reader, "lilas", PARC.target, [State.QUEUED])
    assert [each.id for each in found] == ["L1-0", "L3-0"]
    assert reads.waiting(store.reader, "lilas", "L2-0") is not None
    assert reads.waiting(store.reader, "bois", "L2-0") is None
