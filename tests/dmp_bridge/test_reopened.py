"""A decision of the work list taken back: what it learned ends, what waits stays, and nothing that left returns."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from dmp_bridge import links, worklist
from dmp_bridge.model import Doubtful, FilingReason
from gateway.demo.sample import PATIENT
from relay import acts, spool
from relay.model import (
    BodyRef,
    Door,
    DoorProof,
    Event,
    Letter,
    Mode,
    Never,
    Recipient,
    Route,
    State,
    Verdict,
    new_id,
)
from relay.spooler import StoreRefused

TENANT = "tilleuls"
NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
"""The writer's clock stands there."""
SAID = {"by": "jeanne@tilleuls.mssante.fr", "why": "pièce d'identité vue"}
DOSSIER = Route(Mode.DOSSIER, "regional", "candidates.xdm")


def _waits(custody: Any, document: str = "1.2.3", letter: str = "") -> str:
    """An entry about a patient whose INS is missing, with its letter's row to the dossier failed; the entry's id."""
    custody.know(TENANT, PATIENT)
    letter = letter or _kept(custody)
    told = {"letter_id": letter, "document_id": document, "host": "regional"}
    unsure = replace(PATIENT, ins=None, local_ids=(("1.9", "labo-77"),))
    found = custody.register.match(TENANT, unsure, document)
    assert isinstance(found, Doubtful)
    entry: str = custody.client.write("worklist.add", TENANT, reason=found.reason.value, **told, **worklist.told(found))
    return entry


def _kept(custody: Any) -> str:
    letter = Letter(new_id(NOW), TENANT, Door.SUBMISSION, "a@tilleuls.mssante.fr", "<1@x>", BodyRef("b", 1, "d"), NOW,
                    "", Verdict(), DoorProof())  # fmt: skip
    row = Recipient(f"{letter.id[:24]}-0", letter.id, TENANT, "dossier:regional", DOSSIER, State.QUEUED)
    spool.keep(custody.client, letter, [row], [Event("accepted", letter.id)])
    for claimed in spool.claim(custody.client, "w", 16, 60, 8):
        outcome = {each.id: Never(FilingReason.INS_ABSENT) for each in claimed.recipients}
        spool.settle(custody.client, claimed, "w", outcome)
    return letter.id


def _decide(custody: Any, entry: str, decision: str, wait_s: float = 60) -> None:
    held = _entry(custody, entry)
    whose = {"patient_id": held.candidates[0]} if decision == "confirmed" else {}
    custody.client.write("worklist.decide", TENANT, entry=entry, decision=decision, **whose, **SAID)
    if decision == "confirmed":
        for row in _rows(custody, held.letter_id):
            if row.state is State.FAILED:
                acts.act(custody.client, TENANT, "resend", row.id, **SAID, after_s=wait_s)


def _reopen(custody: Any, entry: str, tenant: str = TENANT) -> None:
    custody.client.write("worklist.reopen", tenant, entry=entry, by=SAID["by"])


def _entry(custody: Any, entry: str) -> worklist.Entry:
    held = worklist.entry(custody.engine, TENANT, entry)
    assert held is not None
    return held


def _rows(custody: Any, letter: str) -> tuple[Recipient, ...]:
    found = spool.letter(custody.engine, TENANT, letter)
    assert found is not None
    return found[1]


def test_a_confirmation_is_taken_back_before_it_leaves(custody: Any) -> None:
    """The entry is open again, the delivery stands as before with its reason, what was learned counts no more; who did
    it is in the journal; and it can be decided anew."""
    entry = _waits(custody)
    letter = _entry(custody, entry).letter_id
    _decide(custody, entry, "confirmed")
    assert links.standing(custody.engine, TENANT, "document", ["1.2.3"])
    _reopen(custody, entry)
    held = _entry(custody, entry)
    assert (held.open, held.decision, held.patient_id, held.decided_at) == (True, "", "", None)
    (row,) = _rows(custody, letter)
    assert (row.state, row.reason) == (State.FAILED, FilingReason.INS_ABSENT)
    assert links.standing(custody.engine, TENANT, "document", ["1.2.3"]) == {}
    (said,) = custody.facts("worklist-reopened")
    assert said == {"entry": entry, "decision": "confirmed", "by": SAID["by"]}
    assert spool.claim(custody.client, "w", 16, 60, 8) == []
    _decide(custody, entry, "confirmed", wait_s=0)
    assert [each.letter.id for each in spool.claim(custody.client, "w", 16, 60, 8)] == [letter]


def test_a_link_that_it_replaced_counts_again(custody: Any) -> None:
    """The sender's number means whom it meant before."""
    first, second = _waits(custody, "1.2.3"), _waits(custody, "1.2.4")
    _decide(custody, first, "confirmed")
    before = links.standing(custody.engine, TENANT, "local", _presented(custody))
    other = replace(PATIENT, ins=None, local_ids=((PATIENT.local_ids[0][0], "AUTRE"),))
    custody.know(TENANT, other)
    known = custody.register.numbered(TENANT, *other.local_ids[0])
    told = {"entry": second, "decision": "corrected", "patient_id": known.id, **SAID}
    custody.client.write("worklist.decide", TENANT, **told)
    for row in _rows(custody, _entry(custody, second).letter_id):
        acts.act(custody.client, TENANT, "resend", row.id, **SAID, after_s=60)
    assert set(links.standing(custody.engine, TENANT, "local", _presented(custody)).values()) == {known.id}
    _reopen(custody, second)
    assert links.standing(custody.engine, TENANT, "local", _presented(custody)) == before != {}


def _presented(custody: Any) -> list[str]:
    with custody.engine.connect() as conn:
        asked = "SELECT key FROM patient_links WHERE kind = 'local'"
        return list(dict.fromkeys(conn.exec_driver_sql(asked).scalars()))


def test_a_refusal_is_taken_back_whenever(custody: Any) -> None:
    """It sent nothing."""
    entry = _waits(custody)
    _decide(custody, entry, "refused")
    _reopen(custody, entry)
    assert _entry(custody, entry).open


def test_what_has_left_stays_decided(custody: Any) -> None:
    """The refused twin, and one that is open."""
    entry = _waits(custody)
    with pytest.raises(StoreRefused, match="it is open"):
        _reopen(custody, entry)
    _decide(custody, entry, "confirmed", wait_s=0)
    spool.claim(custody.client, "w", 16, 60, 8)
    with pytest.raises(StoreRefused, match="it has left"):
        _reopen(custody, entry)
    assert not _entry(custody, entry).open
    assert links.standing(custody.engine, TENANT, "document", ["1.2.3"])


def test_another_document_of_the_letter_is_not_left_behind(custody: Any) -> None:
    """Both go with one delivery: just decided together, neither is taken back alone."""
    first = _waits(custody, "1.2.3")
    second = _waits(custody, "1.2.4", _entry(custody, first).letter_id)
    for each in (first, second):
        _decide(custody, each, "confirmed")
    with pytest.raises(StoreRefused, match="another decision"):
        _reopen(custody, first)


def test_anothers_entry_is_not_reopened(custody: Any) -> None:
    """By its own tenant alone."""
    entry = _waits(custody)
    _decide(custody, entry, "refused")
    with pytest.raises(StoreRefused, match="no such entry"):
        _reopen(custody, entry, "bois")
    assert not _entry(custody, entry).open
