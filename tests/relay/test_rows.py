"""How a letter is written in rows: what was written before still reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from relay.model import SignatureState, Signer, Verdict
from relay.store.rows import letter_of, letter_row

TOLD = {"answer": "trusted", "chain": ["ab" * 32], "consulted": [{"kind": "crl", "name": "x#1", "digest": "cd" * 32}]}


def test_a_verdict_is_read_as_it_was_written(make_letter: Callable[..., Any]) -> None:
    """Evidence included, one entry per signer."""
    letter, _ = make_letter("L1")
    verdict = Verdict(SignatureState.VALID, Signer.MAILBOX, "Marie", "ab", findings=("one",), evidence=(TOLD, TOLD))
    written = replace(letter, verdict=verdict)
    assert letter_of(letter_row(written)) == written


def test_a_row_from_before_evidence_still_reads(make_letter: Callable[..., Any]) -> None:
    """The twin: rows of an earlier version have no such name in their JSON."""
    letter, _ = make_letter("L1")
    row = letter_row(letter)
    held = json.loads(row["verdict"])
    del held["evidence"]
    assert letter_of(row | {"verdict": json.dumps(held)}) == letter
