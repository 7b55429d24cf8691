"""What happens to a letter in custody after it was opened: recipients added once, recipients set aside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from relay import additions, spool
from relay.model import Event, Extra, Mode, Quarantined, Reason, Route, State
from relay.spooler import StoreRefused

FOUND = Extra("dossier:region", Route(Mode.DOSSIER_SHOW, "region", "candidates.xdm"), "xdm")


def test_what_a_finder_adds_is_added_once(store: Any, make_letter: Callable[..., Any]) -> None:
    """A letter that is opened twice, after a crash, gains its dossier row once, with one line in the journal."""
    letter, rows = make_letter("L1")
    spool.keep(store.client, letter, rows, [Event("accepted", "L1")])
    for _ in range(2):
        additions.add(store.client, letter, [FOUND, FOUND], store.clock())
    held = spool.letter(store.reader, "lilas", "L1")
    assert held is not None
    assert sorted((row.address, row.state) for row in held[1]) == [
        ("dossier:region", State.QUEUED),
        ("r0@parc.mssante.example", State.QUEUED),
    ]
    queued = [step for step in spool.timeline(store.reader, "lilas", "L1") if step.event == "queued"]
    assert [dict(step.facts)["rule"] for step in queued] == ["candidates.xdm"]
    assert spool.verify(store.reader) == ()


def test_nothing_is_added_to_a_letter_that_is_not_there(store: Any, make_letter: Callable[..., Any]) -> None:
    """The twin: nor to another tenant's."""
    letter, rows = make_letter("L1")
    with pytest.raises(StoreRefused):
        additions.add(store.client, letter, [FOUND], store.clock())
    spool.keep(store.client, letter, rows, [Event("accepted", "L1")])
    theirs, _ = make_letter("L1", tenant="parc")
    with pytest.raises(StoreRefused):
        additions.add(store.client, theirs, [FOUND], store.clock())


def test_quarantine_holds_for_a_person_and_tells_nobody(store: Any, make_letter: Callable[..., Any]) -> None:
    """A quarantined recipient is held, owes its sender no notice, and a person lets it go."""
    letter, rows = make_letter("L1", notify=frozenset({"FAILURE", "SUCCESS"}))
    spool.keep(store.client, letter, rows, [Event("accepted", "L1")])
    (claimed,) = spool.claim(store.client, "w", 10, 60.0, 8)
    spool.settle(store.client, claimed, "w", {rows[0].id: Quarantined(Reason.SURPRISE)})
    held = spool.letter(store.reader, "lilas", "L1")
    assert held is not None
    assert (held[1][0].state, held[1][0].reason) == (State.HELD, "surprise")
    assert spool.due_notices(store.reader) == []
    assert spool.claim(store.client, "w", 10, 60.0, 8) == []
    spool.act(store.client, "lilas", "release", rows[0].id)
    (again,) = spool.claim(store.client, "w", 10, 60.0, 8)
    assert again.recipients[0].reason == "surprise"
