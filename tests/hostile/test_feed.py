"""Files of the directory's feed made to harm are refused, or their lines rejected, before anything grows.

Time and memory of each: `./dev bench refusals`.
"""

from __future__ import annotations

import tracemalloc

import pytest

from directory.feed import finess, ldif_records
from tests.hostile.feed_attacks import ATTACKS, made_of

MOST_MEMORY = 64 * 2**20


def peak(attack: str) -> tuple[str, int]:
    """What is made of it, and how many bytes its reader took at most."""
    source, make, _ = ATTACKS[attack]
    data = make()
    tracemalloc.start()
    try:
        return made_of(source, data), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_file_is_bounded(attack: str) -> None:
    """Each comes to nothing by its own rule, within 64 MB."""
    answer, most = peak(attack)
    assert answer == ATTACKS[attack][2]
    assert most < MOST_MEMORY


BUDGETS = {
    "FINESS: an entity of two million lists": (finess, "MAX_LISTS", 1 << 30),
    "FINESS: an establishment without an end": (finess, "MAX_OBJECT", 4 << 20),
    "LDIF: 250,000 values": (ldif_records, "MAX_LINES", 1 << 30),
}


@pytest.mark.parametrize("attack", BUDGETS)
def test_without_its_budget_it_would_be_read(monkeypatch: pytest.MonkeyPatch, attack: str) -> None:
    """The twin: each of these is held back by its budget and by nothing else."""
    module, name, lifted = BUDGETS[attack]
    _, usual = peak(attack)
    monkeypatch.setattr(module, name, lifted)
    answer, most = peak(attack)
    assert answer != ATTACKS[attack][2] or most > 4 * usual
