"""Mailboxes that take no letter: whom a refusal names, and whom it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from directory import address
from relay import bounced, spool
from relay.answers import Answer
from relay.bounces import Bounce
from relay.model import Done, Event, Letter, Mode, Never, Outcome, Reason, Recipient, Route, Word
from relay.store import answered

Make = Callable[..., tuple[Letter, tuple[Recipient, ...]]]
PARC = Route(Mode.PEER_SIGNED, "parc.mssante.example", "test")
OURS = Route(Mode.MAILBOX, "lmtp", "ours")
TO = "paul@parc.mssante.example"
UNKNOWN = Never(Reason.PEER_REFUSED, "550 5.1.1 <…>: Recipient address rejected")


def send(store: Any, make: Make, id: str, outcome: Outcome, to: str = TO, route: Route = PARC) -> None:
    letter, (row,) = make(id, route)
    assert spool.keep(store.client, letter, [replace(row, address=to)], [Event("accepted", id)])
    (claimed,) = spool.claim(store.client, "w1", 4, 60, 8)
    spool.settle(store.client, claimed, "w1", {f"{id}-0": outcome})


def named(store: Any, tenant: str = "lilas", days: int = 1) -> frozenset[str]:
    return bounced.addresses(store.reader, tenant, store.clock() - timedelta(days=days))


@pytest.mark.parametrize(
    "detail", ["550 5.1.1 <…>: Recipient address rejected", "550 5.2.1 disabled", "550 User unknown", "553 5.1.3 odd"]
)
def test_a_server_that_knows_nobody_names_the_mailbox(store: Any, make_letter: Make, detail: str) -> None:
    """By its status or by its words, a peer or a mailbox of ours; to the tenant that sent alone, and for a time."""
    send(store, make_letter, "L1", Never(Reason.PEER_REFUSED, detail), TO.replace("paul", "Paul"))
    send(store, make_letter, "L2", Never(Reason.MAILBOX_REFUSED, detail), "lea@lilas.mssante.example", OURS)
    assert named(store) == {TO, "lea@lilas.mssante.example"}
    assert named(store, "bois") == frozenset()
    assert named(store, days=-1) == frozenset()


@pytest.mark.parametrize(
    "outcome",
    [
        Never(Reason.PEER_REFUSED, "552 5.2.2 mailbox full"),
        Never(Reason.PEER_REFUSED, "552 5.3.4 too large"),
        Never(Reason.PEER_REFUSED, "550 5.7.1 we do not like you"),
        Never(Reason.PEER_REFUSED, "550"),
        Never(Reason.DOMAIN_UNKNOWN, "5.1.1"),
        Done("250 2.1.5"),
    ],
)
def test_another_refusal_says_nothing_of_the_mailbox(store: Any, make_letter: Make, outcome: Outcome) -> None:
    """Full, too large, a policy, no reason at all, a domain that is not there; beside one that does."""
    send(store, make_letter, "L1", outcome)
    assert named(store) == frozenset()
    send(store, make_letter, "L2", UNKNOWN)
    assert named(store) == {TO}


def test_a_letter_that_arrived_since_clears_it(store: Any, make_letter: Make) -> None:
    """And one that arrived before does not."""
    send(store, make_letter, "L1", Done("250"))
    store.clock.on(seconds=60)
    send(store, make_letter, "L2", UNKNOWN)
    assert named(store) == {TO}
    store.clock.on(seconds=60)
    send(store, make_letter, "L3", Done("250"))
    assert named(store) == frozenset()


@pytest.mark.parametrize(("bounce", "code", "is_named"), [(Bounce.UNKNOWN, "", 1), (Bounce.FULL, "5.1.1", 0)])
def test_a_report_of_failure_counts_as_it_was_read(
    store: Any, make_letter: Make, bounce: Bounce, code: str, is_named: int
) -> None:
    """A letter that was taken, and given back by a report, in the word that was found in it."""
    send(store, make_letter, "L1", Done("250"))
    told = Answer("said-undelivered", Word.UNDELIVERED, (address.parse(TO),), ("<L1@lilas>",), code=code, bounce=bounce)
    letter, rows = make_letter("R1", OURS, sender="")
    assert spool.keep(store.client, letter, rows, [Event("accepted", "R1")], None, answered.pack([told], str))
    assert len(named(store)) == is_named


def test_a_patient_is_never_named(store: Any, make_letter: Make) -> None:
    """Nobody learns from this that a patient has, or has not, a mailbox."""
    send(store, make_letter, "L1", UNKNOWN, "299010000000001@patient.mssante.fr")
    assert named(store) == frozenset()
    send(store, make_letter, "L2", UNKNOWN)
    assert named(store) == {TO}
