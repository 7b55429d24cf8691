"""Indicators: each event counts for a mailbox and a day in its own transaction, and counting anew gives the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from relay import indicators, spool
from relay.indicators import Row, Seen, counts
from relay.journal import SpoolJournal
from relay.message import scan
from relay.model import Done, Door, Event, Mode, Never, Reason, Route
from relay.spooler import StoreRefused
from relay.store.days import indicator_days

MARIE = "marie.martin@lilas.mssante.example"
PEER = Route(Mode.PEER_SIGNED, "parc.mssante.example", "mssante")
INSIDE = Route(Mode.MAILBOX, "lmtp", "ours")
DOSSIER = Route(Mode.DOSSIER, "regional", "xdm")


def _told(rows: list[Row]) -> dict[tuple[str, str, str], tuple[int, int]]:
    return {(row.mailbox, row.measure, row.key): (row.number, row.octets) for row in rows}


def _kept(store: Any, letter: Any, rows: Any, **accepted: str) -> None:
    events = [Event("accepted", letter.id, facts=tuple(accepted.items()))]
    events += [Event("queued", letter.id, row.id) for row in rows]
    spool.keep(store.client, letter, rows, events)


def _settled(store: Any, **outcomes: Any) -> None:
    """By the mode of a recipient."""
    for claimed in spool.claim(store.client, "w", 10, 60, 8):
        found = {row.id: outcomes[row.route.mode.name] for row in claimed.recipients}
        spool.settle(store.client, claimed, "w", found)


@pytest.fixture
def busy(store: Any, make_letter: Callable[..., Any]) -> Any:
    """A store where something happened: two letters out, one in, one of them to a dossier, on two days."""
    letter, rows = make_letter("01a", PEER, INSIDE, DOSSIER)
    _kept(store, letter, rows, xdm="1", nil="PLI-1", ins="O", codes="34112-3,PRESC-BIO")
    _settled(store, PEER_SIGNED=Done("250"), MAILBOX=Done("250"), DOSSIER=Done("1.2.3", "filed"))
    facts = (("note", "filed"), ("type", "34112-3"), ("patient", "p-1"), ("structure", "1750000018"))
    store.clock.on(minutes=7)
    SpoolJournal(store.client).add("lilas", [Event("dossier-filed", "01a", facts=facts)])
    store.clock.on(days=1)
    letter, rows = make_letter("01b", PEER)
    _kept(store, letter, rows)
    _settled(store, PEER_SIGNED=Never(Reason.PEER_NOT_LISTED))
    letter, rows = make_letter("01c", INSIDE, sender="paul@parc.mssante.example")
    _kept(store, replace(letter, door=Door.PEER), rows)
    _settled(store, MAILBOX=Done("250"))
    return store


def test_what_a_mailbox_did_is_counted_by_day(busy: Any) -> None:
    """Sent by whose side the recipient is on, what the letters held, what was served, what came in."""
    rows = indicators.read(busy.reader, "lilas")
    first, second = sorted({row.day for row in rows})
    told = _told([row for row in rows if row.day == first])
    assert told[MARIE, "sent", "operator"] == (1, 3)
    assert told[MARIE, "sent", "internal"] == (1, 3)
    assert told[MARIE, "letters", "xdm"] == (1, 3)
    assert told[MARIE, "ins", "O"] == told[MARIE, "product", "PLI-1"] == (1, 0)
    assert told[MARIE, "cda", "34112-3"] == told[MARIE, "cda", "PRESC-BIO"] == (1, 0)
    assert {key for _, measure, key in told if measure == "served"} == {"peer-signed", "mailbox", "dossier"}
    assert told[MARIE, "document", "34112-3"] == told["", "fed", "p-1"] == (1, 0)
    assert told["", "filed-by", "1750000018"] == told["", "filed-after", "7"] == (1, 0)
    assert told["r1@parc.mssante.example", "received", "internal"] == (1, 3)
    told = _told([row for row in rows if row.day == second])
    assert told[MARIE, "failed", "peer.not-listed"] == (1, 0)
    assert told[MARIE, "letters", "other"] == (1, 3)
    assert told["r0@parc.mssante.example", "received", "operator"] == (1, 3)
    assert ("paul@parc.mssante.example", "letters", "other") not in told


def test_counting_the_journal_anew_gives_what_is_shown(busy: Any) -> None:
    """Of all, and of one month; and a row that somebody changed shows."""
    shown = indicators.read(busy.reader, "lilas")
    assert shown
    assert indicators.recomputed(busy.reader, "lilas") == shown
    assert (
        indicators.recomputed(busy.reader, "lilas", "1999-01") == indicators.read(busy.reader, "lilas", "1999-01") == []
    )
    with busy.writer.begin() as conn:
        conn.execute(update(indicator_days).where(indicator_days.c.measure == "failed").values(number=7))
    assert indicators.recomputed(busy.reader, "lilas") != indicators.read(busy.reader, "lilas")


def test_what_was_there_already_counts_no_deposit() -> None:
    """The twin of a deposit: a document that came again is no second one, for nobody and after no time."""
    again = Seen("dossier-filed", {"note": "already-in-dossier", "structure": "1"}, Door.SUBMISSION, MARIE, minutes=3)
    assert counts(again) == ()
    fresh = [(each.measure, each.key) for each in counts(replace(again, facts={"note": "filed", "structure": "1"}))]
    assert fresh == [("document", ""), ("fed", ""), ("filed-by", "1"), ("filed-after", "3")]


def test_a_letter_that_is_not_kept_counts_nothing(store: Any, make_letter: Callable[..., Any]) -> None:
    """The count is in the transaction of the events: what is taken back was never counted; what is kept twice, once."""
    letter, rows = make_letter("01a", PEER)
    with pytest.raises(StoreRefused):
        spool.keep(store.client, letter, [replace(rows[0], letter_id="other")], [Event("accepted", "01a")])
    assert indicators.read(store.reader, "lilas") == []
    _kept(store, letter, rows)
    _kept(store, letter, rows)
    assert _told(indicators.read(store.reader, "lilas"))[MARIE, "letters", "other"] == (1, 3)


def test_another_tenants_days_are_not_seen(busy: Any) -> None:
    """Each tenant reads its own."""
    assert indicators.read(busy.reader, "parc") == indicators.recomputed(busy.reader, "parc") == []


def test_a_patient_is_no_mailbox() -> None:
    """He stands as all patients; what is sent to him is counted for its sender."""
    patient = "279035121518989@patient.mssante.fr"
    sent = Seen("queued", {}, Door.SUBMISSION, MARIE, 10, Mode.PEER_PLAIN, patient)
    assert [(each.mailbox, each.key) for each in counts(sent)] == [(MARIE, "patient")]
    came = Seen("delivered", {}, Door.PEER, patient, 10, Mode.MAILBOX, MARIE)
    assert [(each.mailbox, each.key) for each in counts(came)] == [(MARIE, "patient")]
    assert indicators.shown(patient) == "@patient.mssante.fr"


def test_a_notice_of_ours_is_nobodys_letter() -> None:
    """It counts as a notice, for whoever gets it as one."""
    notice = Seen("queued", {}, Door.NOTICE, "", 10, Mode.MAILBOX, MARIE)
    assert [(each.mailbox, each.measure) for each in counts(notice)] == [("", "notices")]
    assert [each.key for each in counts(replace(notice, event="delivered"))] == ["notice"]
    assert counts(replace(notice, event="accepted")) == ()


def test_a_day_is_a_french_day() -> None:
    """Half an hour before midnight in London it is tomorrow in Paris."""
    late = datetime(2026, 11, 25, 23, 30, tzinfo=UTC)
    assert indicators.day_of(late) == "2026-11-26"
    assert indicators.day_of(late - timedelta(hours=1)) == "2026-11-25"


def test_what_a_letter_says_of_itself_is_read_as_plain_words(make_mail: Callable[..., bytes]) -> None:
    """The four fields of the sender's product; what is no word, or may be a matricule, is left out."""
    archive = (("IHE_XDM.ZIP", "application/zip", b"PK"),)
    good = make_mail(attachments=archive, X_MSS_INS="O", X_MSS_NIL="NIL-1234", X_MSS_CODECDA="34112-3, PRESC-BIO")
    told = dict(indicators.about(scan(good)))
    assert told == {"xdm": "1", "nil": "NIL-1234", "ins": "O", "codes": "34112-3,PRESC-BIO"}
    bad = make_mail(X_MSS_INS="oui", X_MSS_NIL="279035121518989", X_MSS_CODECDA="x;y,<b>")
    assert indicators.about(scan(bad)) == ()


def test_what_is_asked_of_a_region_counts_too(store: Any, make_letter: Callable[..., Any]) -> None:
    """Read, unread, put right, looked up: from the events, and counted anew the same."""
    letter, rows = make_letter("01a", PEER)
    _kept(store, letter, rows)
    own = {"letter_id": "01a", "recipient_id": rows[0].id}
    filed = (("note", "filed"), ("type", "34112-3"), ("patient", "p-1"), ("replaces", "1"))
    events = [
        Event("said-read", **own, facts=(("minutes", "7"),)),
        Event("said-read", **own, facts=(("minutes", "150"),)),
        Event("silent", **own),
        Event("dossier-filed", "01a", facts=filed),
        Event("dossier-undone", "01a"),
        Event("looked-up", "01a", facts=(("by", "eve"), ("search", "1"))),
        Event("looked-up", "01a", facts=(("by", "eve"),)),
    ]
    SpoolJournal(store.client).add("lilas", events)
    shown = indicators.read(store.reader, "lilas")
    told = {(row.mailbox, row.measure, row.key): row.number for row in shown}
    assert told[MARIE, "read", "7"] == told[MARIE, "read", "120"] == told[MARIE, "unread", ""] == 1
    assert told["", "correction", "replaced"] == told["", "correction", "taken-back"] == 1
    assert told["", "looked-up", ""] == 1
    assert indicators.recomputed(store.reader, "lilas") == shown


@pytest.mark.parametrize("said", [{}, {"minutes": ""}, {"minutes": "-3"}, {"minutes": "bientôt"}])
def test_a_reading_without_its_time_counts_none(said: dict[str, str]) -> None:
    """Twin: rows of before, or of somebody else's letter."""
    assert counts(Seen("said-read", said, Door.SUBMISSION, MARIE)) == ()
    assert counts(Seen("said-read", {"minutes": "3"}, Door.PEER, MARIE)) == ()
