"""How long a settled letter's bytes are kept, and that nothing which is still needed goes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from relay import retention, spool
from relay.model import BodyRef, Done, Later, Letter, Mode, Never, Outcome, Reason, Recipient, Route, State
from relay.spooler import StoreRefused

Make = Callable[..., tuple[Letter, tuple[Recipient, ...]]]
DAYS = timedelta(days=30)
OURS, PARC = Route(Mode.MAILBOX, "lmtp", "ours"), Route(Mode.PEER_SIGNED, "parc.mssante.example", "peer")


def settled(store: Any, made: tuple[Letter, tuple[Recipient, ...]], *outcomes: Outcome) -> Letter:
    """Kept, and each of its lanes carried once."""
    letter, rows = made
    spool.keep(store.client, letter, rows, [])
    for outcome in outcomes:
        (claimed,) = spool.claim(store.client, "w", 1, 60, 4)
        spool.settle(store.client, claimed, "w", {each.id: outcome for each in claimed.recipients})
    return letter


def erased(store: Any) -> list[str]:
    gone: list[BodyRef] = []
    count = retention.forget(store.client, store.reader, gone.append, store.clock(), DAYS)
    assert count == len(gone)
    return [each.name for each in gone]


def events(store: Any, letter: Letter) -> list[str]:
    return [step.event for step in spool.timeline(store.reader, letter.tenant, letter.id)]


def test_a_settled_letter_loses_its_body_in_time(store: Any, make_letter: Make) -> None:
    """Not a moment before, once, and the journal says so; its row stays."""
    letter = settled(store, make_letter("L1"), Done("250 ok"))
    store.clock.on(days=29, hours=23)
    assert erased(store) == []
    store.clock.on(hours=2)
    assert erased(store) == [letter.body.name]
    assert erased(store) == []
    assert events(store, letter)[-1] == "body-erased"
    held = spool.letter(store.reader, letter.tenant, letter.id)
    assert held is not None
    assert held[0].body.name == retention.GONE


@pytest.mark.parametrize("outcome", [None, Later(Reason.PEER_DELAYED)])
def test_while_one_recipient_waits_the_body_stays(store: Any, make_letter: Make, outcome: Outcome | None) -> None:
    """Queued, or delayed: a year later it is still there."""
    settled(store, make_letter("L1", OURS), *([outcome] if outcome else []))
    store.clock.on(days=365)
    assert erased(store) == []


def test_the_last_recipient_counts(store: Any, make_letter: Make) -> None:
    """One is settled long ago, the other only now."""
    letter, rows = make_letter("L1", OURS, PARC)
    spool.keep(store.client, letter, rows, [])
    first, second = spool.claim(store.client, "w", 2, 86_400 * 60, 4)
    spool.settle(store.client, first, "w", {each.id: Done("ok") for each in first.recipients})
    store.clock.on(days=31)
    assert erased(store) == []
    spool.settle(store.client, second, "w", {each.id: Done("ok") for each in second.recipients})
    assert erased(store) == []
    store.clock.on(days=31)
    assert erased(store) == [letter.body.name]


def test_until_its_sender_is_told_the_body_stays(store: Any, make_letter: Make) -> None:
    """The notice of a failure is made from the letter."""
    letter = settled(store, make_letter("L1", PARC), Never(Reason.PEER_REFUSED))
    store.clock.on(days=31)
    assert erased(store) == []
    (told,) = spool.due_notices(store.reader)
    spool.noticed(store.client, letter.tenant, [each.id for each in told[1]])
    assert erased(store) == [letter.body.name]


def test_a_held_letter_keeps_its_body(store: Any, make_letter: Make) -> None:
    """A person is to look at it."""
    letter, rows = make_letter("L1", OURS)
    spool.keep(store.client, letter, rows, [])
    spool.act(store.client, letter.tenant, "hold", rows[0].id)
    store.clock.on(days=365)
    assert erased(store) == []


def test_what_is_gone_cannot_be_sent_again(store: Any, make_letter: Make) -> None:
    """resend says why; before, it sends."""
    letter = settled(store, make_letter("L1", PARC, notify=frozenset({"NEVER"})), Never(Reason.PEER_REFUSED))
    held = spool.letter(store.reader, letter.tenant, letter.id)
    assert held is not None
    (row,) = held[1]
    spool.act(store.client, letter.tenant, "resend", row.id)
    (claimed,) = spool.claim(store.client, "w", 1, 60, 4)
    spool.settle(store.client, claimed, "w", {row.id: Never(Reason.PEER_REFUSED)})
    store.clock.on(days=31)
    assert erased(store) == [letter.body.name]
    with pytest.raises(StoreRefused, match="erased"):
        spool.act(store.client, letter.tenant, "resend", row.id)


def test_a_resend_that_comes_between_saves_the_body(store: Any, make_letter: Make) -> None:
    """Asked again inside the write: what was due a moment ago is not any more."""
    letter = settled(store, make_letter("L1", PARC, notify=frozenset({"NEVER"})), Never(Reason.PEER_REFUSED))
    store.clock.on(days=31)
    held = spool.letter(store.reader, letter.tenant, letter.id)
    assert held is not None
    spool.act(store.client, letter.tenant, "resend", held[1][0].id)
    before = (store.clock() - DAYS).isoformat()
    assert store.client.write("relay.forget", letter.tenant, letter_id=letter.id, before=before) is False
    assert State.QUEUED in {
        each.state for each in (spool.letter(store.reader, letter.tenant, letter.id) or ((), ()))[1]
    }


def test_each_tenant_has_its_own_time(store: Any, make_letter: Make) -> None:
    """A tenant with a policy of its own keeps its bodies shorter or longer than the node does; others do not notice."""
    for name in ("lilas", "parc", "bois"):
        settled(store, make_letter(f"L-{name}", tenant=name, body=BodyRef(f"b-{name}", 3, "d")), Done("250 ok"))
    own = {"parc": timedelta(days=5), "bois": timedelta(days=60)}

    def gone() -> list[str]:
        found: list[BodyRef] = []
        retention.forget(store.client, store.reader, found.append, store.clock(), DAYS, own)
        return [each.name for each in found]

    store.clock.on(days=6)
    assert gone() == ["b-parc"]
    store.clock.on(days=25)
    assert gone() == ["b-lilas"]
    store.clock.on(days=30)
    assert gone() == ["b-bois"]
