"""Erasing a mailbox's letters: what goes, what stays, and that the journal neither tells nor breaks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from relay import erasure, indicators, journal, spool
from relay.model import BodyRef, Done, Event, Letter, Mode, Never, Reason, Recipient, Route
from relay.policy import Level, Line
from relay.spooler import StoreRefused
from relay.store import policies, publications, tables

Make = Callable[..., tuple[Letter, tuple[Recipient, ...]]]
PAUL = "r0@parc.mssante.example"
NAMES = {PAUL: "abcd@erased.invalid"}
WHY = {"by": "operator", "kind": "mailbox", "whose": "p:abcd"}
OURS, PARC = Route(Mode.MAILBOX, "lmtp", "ours"), Route(Mode.PEER_SIGNED, "parc.mssante.example", "peer")


def _kept(store: Any, made: tuple[Letter, tuple[Recipient, ...]], *outcomes: Any) -> Letter:
    letter, rows = made
    spool.keep(store.client, letter, rows, [Event("accepted", letter.id)])
    for outcome in outcomes:
        (claimed,) = spool.claim(store.client, "w", 1, 60, 4)
        spool.settle(store.client, claimed, "w", {each.id: outcome for each in claimed.recipients})
    return letter


def _erased(store: Any) -> tuple[int, list[str]]:
    gone: list[BodyRef] = []
    found = erasure.of_mailbox(store.reader, "lilas", PAUL)
    return erasure.erase(store.client, "lilas", found, NAMES, WHY, gone.append), [each.name for each in gone]


def _everything(store: Any) -> str:
    """Each value of each row."""
    with store.reader.connect() as conn:
        rows = [list(map(str, row)) for table in tables.metadata.sorted_tables for row in conn.execute(select(table))]
    return json.dumps(rows)


def test_a_settled_letter_is_erased_once(store: Any, make_letter: Make) -> None:
    """Its body goes, its rows name a pseudonym, the journal says who asked and verifies; then nothing is left."""
    letter = _kept(store, make_letter("L1"), Done(f"250 {PAUL} ok"))
    assert PAUL in _everything(store)
    before = [step.event for step in spool.timeline(store.reader, "lilas", "L1")]
    assert _erased(store) == (1, [letter.body.name])
    (recipient,) = (spool.letter(store.reader, "lilas", "L1") or ((), ()))[1]
    assert (recipient.address, recipient.reference) == (NAMES[PAUL], "")
    assert [step.event for step in spool.timeline(store.reader, "lilas", "L1")] == [*before, "erased"]
    assert journal.verify(store.reader) == ()
    assert spool.verify(store.reader) == ()
    assert _erased(store) == (0, [])


def test_another_mailboxs_letters_stay(store: Any, make_letter: Make) -> None:
    """The twin: a letter between others is not found, and another recipient of the same letter keeps his name."""
    _kept(store, make_letter("L1", OURS, PARC), Done("250"), Done("250"))
    assert _erased(store)[0] == 1
    found = spool.letter(store.reader, "lilas", "L1")
    assert found
    assert sorted(each.address for each in found[1]) == [NAMES[PAUL], "r1@parc.mssante.example"]
    assert erasure.of_mailbox(store.reader, "lilas", "nobody@parc.mssante.example") == []
    assert erasure.of_mailbox(store.reader, "parc", PAUL) == []


@pytest.mark.parametrize("outcomes", [(), (Never(Reason.PEER_REFUSED),)])
def test_what_is_in_custody_or_to_be_told_stays(store: Any, make_letter: Make, outcomes: tuple[Any, ...]) -> None:
    """It is named with its reason, and the write itself refuses."""
    _kept(store, make_letter("L1", PARC), *outcomes)
    (found,) = erasure.of_mailbox(store.reader, "lilas", PAUL)
    assert found.kept_for
    assert _erased(store) == (0, [])
    with pytest.raises(StoreRefused, match="custody"):
        store.client.write("relay.erase", "lilas", letter_id="L1", names=NAMES, why=WHY)


def test_what_was_counted_for_the_mailbox_is_counted_for_its_pseudonym(store: Any, make_letter: Make) -> None:
    """Counting the journal anew still equals what is shown, and no count names it any more."""
    _kept(store, make_letter("L1", OURS, PARC), Done("250"), Done("250"))
    _kept(store, make_letter("L2", OURS), Done("250"))
    assert PAUL in {row.mailbox for row in indicators.read(store.reader, "lilas")}
    assert _erased(store)[0] == 2
    shown = indicators.read(store.reader, "lilas")
    assert sum(row.number for row in shown if (row.mailbox, row.measure) == (NAMES[PAUL], "received")) == 2
    assert PAUL not in {row.mailbox for row in shown}
    assert indicators.recomputed(store.reader, "lilas") == shown


def test_what_was_set_for_the_mailbox_goes_with_it(store: Any) -> None:
    """Its policies and its row in the outbox, once; another's stay, and so does its own while it is published."""
    for holder in (PAUL, "r1@parc.mssante.example"):
        policies.put(store.client, "lilas", Line(Level.MAILBOX, holder, "receipt", "always", "operator"))
    publications.want(store.client, "lilas", {PAUL: "{}"}, "operator")
    assert erasure.beside(store.reader, "lilas", PAUL) == erasure.Kept(1, 1, published=True)
    assert erasure.forget(store.client, "lilas", PAUL, WHY) == 1
    publications.want(store.client, "lilas", {PAUL: ""}, "operator")
    assert erasure.beside(store.reader, "lilas", PAUL) == erasure.Kept(0, 1, published=False)
    assert erasure.forget(store.client, "lilas", PAUL, WHY) == 1
    assert erasure.forget(store.client, "lilas", PAUL, WHY) == 0
    assert [each.holder for each in policies.read(store.reader, "lilas")] == ["r1@parc.mssante.example"]
    assert erasure.forget(store.client, "parc", "r1@parc.mssante.example", WHY) == 0
    assert journal.verify(store.reader) == ()
