"""Collected letters: each place in a foreign mailbox enters once, in one commit with its letter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import func, select

from relay import collected, spool
from relay.collected import State
from relay.model import BodyRef, Letter, Origin, Recipient
from relay.store.tables import collected as places
from relay.store.tables import journal, letters

Made = Callable[..., tuple[Letter, tuple[Recipient, ...]]]
FIRST = Origin("clinique", 7, 1)


def keep(store: Any, made: tuple[Letter, tuple[Recipient, ...]], origin: Origin) -> bool:
    letter, rows = made
    return spool.keep(store.client, letter, rows, [], origin)


def count(store: Any, table: Any) -> int:
    with store.reader.connect() as conn:
        return int(conn.scalar(select(func.count()).select_from(table)) or 0)


def test_a_place_enters_once(store: Any, make_letter: Made) -> None:
    """Fetched twice, as after a crash, the second letter of the same place is not kept."""
    assert keep(store, make_letter("l1"), FIRST)
    assert not keep(store, make_letter("l2"), FIRST)
    assert count(store, letters) == count(store, places) == 1


def test_two_places_are_two_letters(store: Any, make_letter: Made) -> None:
    """Its twin: the next UID, and the same UID of another mailbox, each enter, whatever their bytes."""
    assert keep(store, make_letter("l1"), FIRST)
    assert keep(store, make_letter("l2"), Origin("clinique", 7, 2))
    assert keep(store, make_letter("l3"), Origin("autre", 7, 1))
    assert count(store, letters) == 3


def test_the_letter_and_its_place_are_one_commit(store: Any, make_letter: Made) -> None:
    """A letter that is refused by the store leaves no place behind, so that it is asked for again."""
    letter, _ = make_letter("l1")
    try:
        spool.keep(store.client, letter, (), [], FIRST)
    except spool.StoreRefused:
        assert count(store, places) == count(store, letters) == 0
    else:
        raise AssertionError("a letter without recipients was kept")


def test_a_mailbox_that_is_renumbered_brings_nothing_twice(store: Any, make_letter: Made) -> None:
    """RFC 3501 §2.3.1.1: with another UIDVALIDITY every UID is new; the digest knows the letter, another one enters."""
    assert keep(store, make_letter("l1", body=BodyRef("a", 3, "digest-1")), FIRST)
    assert not keep(store, make_letter("l2", body=BodyRef("b", 3, "digest-1")), Origin("clinique", 8, 40))
    assert keep(store, make_letter("l3", body=BodyRef("c", 3, "digest-2")), Origin("clinique", 8, 41))
    assert collected.last_uid(store.reader, "lilas", "clinique", 8) == 41
    assert collected.last_uid(store.reader, "lilas", "clinique", 7) == 1
    assert collected.last_uid(store.reader, "lilas", "clinique", 9) == 0


def test_what_is_refused_is_told_once_and_not_asked_again(store: Any) -> None:
    """Refused for good: its place is settled, the journal names the reason, and a repeated refusal adds nothing."""
    for _ in range(2):
        collected.refuse(store.client, "lilas", FIRST, "", "message.too-large")
    assert collected.last_uid(store.reader, "lilas", "clinique", 7) == 1
    with store.reader.connect() as conn:
        events = conn.execute(select(journal.c.event, journal.c.facts)).all()
    assert [event for event, _ in events] == ["not-collected"]
    assert "message.too-large" in events[0].facts


def test_each_refused_letter_is_told(store: Any) -> None:
    """Two that were never read, since they are too large, are two refusals in two mailboxes' numbering."""
    collected.refuse(store.client, "lilas", FIRST, "", "message.too-large")
    collected.refuse(store.client, "lilas", Origin("clinique", 8, 1), "", "message.too-large")
    assert count(store, journal) == 2


def test_health_says_since_when(store: Any, make_letter: Made) -> None:
    """A collector says how it is; what stays the same keeps its moment, and the last good one is remembered."""
    begun = store.clock()
    collected.report(store.client, "lilas", "clinique", State.WATCHING)
    assert keep(store, make_letter("l1"), FIRST)
    collected.refuse(store.client, "lilas", Origin("clinique", 7, 2), "", "message.too-large")
    store.clock.on(minutes=5)
    for minutes in (0, 5):
        store.clock.on(minutes=minutes)
        collected.report(store.client, "lilas", "clinique", State.FAILING, "collector.lost", "ConnectionRefusedError")
    (health,) = collected.health(store.reader, "lilas")
    assert (health.state, health.reason) == (State.FAILING, "collector.lost")
    assert (health.well_at, (health.since - begun).seconds) == (begun, 300)
    assert (health.entered, health.refused) == (1, 1)


def test_health_is_a_tenants_own(store: Any) -> None:
    """Another tenant's collectors are not seen."""
    collected.report(store.client, "lilas", "clinique", State.WATCHING)
    assert collected.health(store.reader, "parc") == []
