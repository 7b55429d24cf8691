"""The crash test: processes of the sender's node are killed under load, and nothing that was accepted is lost.

Small here. In full: PLI_KILLS=1000 .venv/bin/pytest tests/crash --timeout=0 -s
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest

from gateway.demo import looks

KILLS = int(os.environ.get("PLI_KILLS", "20"))
SEED = int(os.environ.get("PLI_KILLS_SEED", "1"))
FULL = "PLI_KILLS=1000 .venv/bin/pytest tests/crash --timeout=0 -s"

# What may be delivered again: per Message-ID and letter kept, how many workers died over it.
LAPSES = """
SELECT letters.message_id, letters.id, count(journal.number) FROM letters
LEFT JOIN journal ON journal.letter_id = letters.id AND journal.event = 'lapsed'
    AND journal.recipient_id IN (SELECT id FROM recipients WHERE mode = 'peer-signed')
GROUP BY letters.id
"""
NOT_DONE = "SELECT mode, state, reason FROM recipients WHERE state != 'done'"

pytestmark = pytest.mark.journey


def test_nothing_accepted_is_lost_and_nothing_is_filed_twice(scene: Any) -> None:
    """Each letter answered 250 is delivered, more than once only where a crash hid an answer; each document is
    in the dossier once; the store holds, and what crashes leave is swept."""
    load, killer = scene.load(SEED), scene.killer(SEED)
    orphan = scene.orphan()
    load.start()
    try:
        for _ in range(KILLS):
            killer.strike(lambda: scene.under_way(load))
    finally:
        load.finish()
    scene.quiet()
    _told(scene, load, killer)
    _delivered(scene, load)
    _filed(scene, load)
    assert scene.rows(scene.lilas, NOT_DONE) == []
    for seat in (scene.lilas, scene.parc):
        assert looks.pli(seat, "verify").strip() == "ok"
    assert orphan.exists() is not bool(killer.killed["spooler"] or killer.killed["node"])
    scene.held = True


def _delivered(scene: Any, load: Any) -> None:
    found, kept, most = scene.mailbox(), Counter[str](), Counter[str]()
    for message_id, _, lapses in scene.rows(scene.lilas, LAPSES):
        kept[message_id] += 1
        most[message_id] += 1 + lapses
    assert [each for each in load.answered if not found[each]] == []
    # RFC 1047: where the answer to the final dot was lost, both sides are right to have the letter.
    assert [each for each in found if kept[each] > 1 + load.unsure[each]] == []
    assert [each for each in found if found[each] > most[each]] == []


def _filed(scene: Any, load: Any) -> None:
    documents = [document for document in load.answered.values() if document is not None]
    assert documents
    assert [each.unique_id for each in documents if len(scene.entries(each)) != 1] == []


def _told(scene: Any, load: Any, killer: Any) -> None:
    found = scene.mailbox()
    struck = ", ".join(f"{number} {target}" for target, number in sorted(killer.killed.items()))
    print(
        f"\n{KILLS} kills ({struck}), seed {SEED}: {len(load.answered)} letters answered 250,"
        f" {sum(document is not None for document in load.answered.values())} with a document,"
        f" {sum(load.unsure.values())} answers lost,"
        f" {sum(found.values()) - len(found)} delivered again. In full: {FULL}"
    )
