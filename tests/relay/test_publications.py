"""The outbox towards the national directory, written by a real spooler: what is wanted against what is published."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from relay.spooler import SpoolClient, Spooler
from relay.store import engine, publications, tables
from relay.store.migrations import upgrade
from relay.store.publications import Settled, State

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
ANNA, BERT = "anna@lilas.example", "bert@lilas.example"


@dataclass
class Box:
    client: SpoolClient
    rows: Engine
    file: Path
    now: list[datetime] = field(default_factory=lambda: [NOW])

    def want(self, **wishes: str) -> int:
        names = {"anna": ANNA, "bert": BERT}
        return publications.want(self.client, "lilas", {names[who]: text for who, text in wishes.items()}, "eve")

    def settle(self, *told: Settled) -> None:
        publications.settle(self.client, "lilas", told)

    def one(self, address: str = ANNA) -> tuple[str, str, State, int, str]:
        row = next(each for each in publications.listed(self.rows, "lilas") if each.address == address)
        return row.wanted, row.published, row.state, row.attempts, row.reason

    def due(self) -> list[str]:
        return [each.address for each in publications.due(self.rows, "lilas", self.now[0])]

    def events(self) -> list[tuple[str, str]]:
        asked = "select event, facts from journal order by number"
        return [(event, json.loads(facts)["mailbox"]) for event, facts in sqlite3.connect(self.file).execute(asked)]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    url = f"sqlite:///{tmp_path / 'pli.sqlite'}"
    upgrade(url, [tables.metadata])
    made = Box(SpoolClient(tmp_path / "s.sock", 5.0), engine.reader_engine(url), tmp_path / "pli.sqlite")
    writer, stop = engine.writer_engine(url), threading.Event()
    spooler = Spooler(writer, tmp_path / "s.sock", publications.WRITES, lambda: made.now[0])
    thread = threading.Thread(target=spooler.serve, args=(stop,))
    thread.start()
    assert spooler.ready.wait(10)
    yield made
    stop.set()
    thread.join(10)
    made.client.close()
    made.rows.dispose()
    writer.dispose()


def test_a_wish_is_kept_once(box: Box) -> None:
    """Asked again it is no change, and no row of the journal."""
    assert box.want(anna="v1", bert="v1") == 2
    assert box.want(anna="v1", bert="v1") == 0
    assert box.due() == [ANNA, BERT]
    assert box.events() == [("publication-wanted", ANNA), ("publication-wanted", BERT)]
    assert publications.counts(box.rows, "lilas") == {
        State.DUE: 2, State.SENT: 0, State.DONE: 0, State.REFUSED: 0,
    }  # fmt: skip


def test_what_was_never_wanted_is_not_withdrawn(box: Box) -> None:
    """Twin: nothing is there, nothing is asked for."""
    assert box.want(anna="") == 0
    assert publications.listed(box.rows, "lilas") == []


def test_an_answer_settles_the_wish_that_was_sent(box: Box) -> None:
    """Done: published; a wish that came meanwhile stays due, and what is there is known."""
    box.want(anna="v1")
    box.want(anna="v2")
    box.settle(Settled(ANNA, "v1", State.DONE))
    assert box.one() == ("v2", "v1", State.DUE, 0, "")
    box.settle(Settled(ANNA, "v2", State.DONE))
    assert box.one() == ("v2", "v2", State.DONE, 0, "")
    assert box.due() == []
    box.want(anna="")
    box.settle(Settled(ANNA, "", State.DONE))
    assert [event for event, _ in box.events()][-1] == "unpublished"


def test_later_is_due_again_when_it_was_said(box: Box) -> None:
    """Not before; each try is counted."""
    box.want(anna="v1")
    box.settle(Settled(ANNA, "v1", State.DUE, "status-500", NOW + timedelta(minutes=5)))
    assert (box.one()[3:], box.due()) == ((1, "status-500"), [])
    box.now[0] = NOW + timedelta(minutes=5)
    assert box.due() == [ANNA]


def test_a_report_that_does_not_come_is_asked_for_again(box: Box) -> None:
    """Sent is not done."""
    box.want(anna="v1")
    box.settle(Settled(ANNA, "v1", State.SENT, "", NOW + timedelta(days=3)))
    assert box.due() == []
    box.now[0] = NOW + timedelta(days=3)
    assert box.due() == [ANNA]


@pytest.mark.parametrize(
    ("told", "after"),
    [
        (lambda: [], State.DONE),
        (lambda: [Settled(ANNA, "v2", State.DUE, "no-answer-in-time", NOW)], State.DUE),
        (lambda: [Settled(ANNA, "v2", State.SENT, "", NOW + timedelta(days=3))], State.DUE),
        (lambda: [Settled(ANNA, "v2", State.REFUSED, "not-accepted")], State.DONE),
    ],
)
def test_going_back_is_no_change_unless_something_was_tried(
    box: Box, told: Callable[[], list[Settled]], after: State
) -> None:
    """A try whose fate is not known may have changed what is there: it is put right, and remembered as tried."""
    box.want(anna="v1")
    box.settle(Settled(ANNA, "v1", State.DONE))
    box.want(anna="v2")
    box.settle(*told())
    box.want(anna="v1")
    assert box.one()[1:4] == ("v1", after, int(after is State.DUE))


def test_what_was_refused_waits_for_a_person(box: Box) -> None:
    """It is not due; asked for again by name it is; the refusal is in the journal once."""
    box.want(anna="v1")
    for _ in range(2):
        box.settle(Settled(ANNA, "v1", State.REFUSED, "holder-unknown"))
    assert (box.due(), box.one()[4]) == ([], "holder-unknown")
    assert [event for event, _ in box.events()] == ["publication-wanted", "publication-refused"]
    assert publications.again(box.client, "lilas") == 1
    assert box.due() == [ANNA]


def test_another_tenant_has_its_own(box: Box) -> None:
    """Neither sees what the other wants; an answer for nobody's row is nothing."""
    box.want(anna="v1")
    publications.settle(box.client, "parc", [Settled(ANNA, "v1", State.DONE)])
    assert publications.listed(box.rows, "parc") == []
    assert box.one()[2] is State.DUE
