"""The labelled set, in small: no false automatic merge, and the twin in which the matcher's checks are switched off.

Its full size: `python -m tests.bench matching` (10,000 pairs).
"""

from __future__ import annotations

import ast
import math
from pathlib import Path

import pytest

from dmp_bridge import matching
from tests.bench import matching as bench
from tests.bench import pairs

SIZE = 160


def test_nobody_is_merged_with_another_by_itself() -> None:
    """Twins, parent and child of one name, the other sex, another's number: zero; whoever is registered is shown."""
    tallies = bench.measured(pairs.world(SIZE, seed=7))
    assert {kind: tally.wrong for kind, tally in tallies.items()} == dict.fromkeys(pairs.SHARES, 0)
    assert tallies["stranger"].right == 0
    known = sum(each.registered for each in tallies.values())
    assert sum(each.right for each in tallies.values()) > known / 4
    assert sum(each.right + each.shown for each in tallies.values()) > known * 0.95


def test_without_the_traits_there_would_be_false_merges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switched off, the comparison lets another's number through: the set would tell."""
    monkeypatch.setattr(matching, "_suffices", lambda name, answer: True)
    assert bench.measured(pairs.world(SIZE, seed=7))["anothers-ins"].wrong > 0


def test_the_noise_knows_nothing_of_the_matcher() -> None:
    """Its module imports the standard library alone."""
    tree = ast.parse(Path(pairs.__file__).read_text("utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported == {"__future__", "random", "collections.abc", "dataclasses", "datetime"}


def test_the_set_is_the_same_for_the_same_seed_and_has_every_class() -> None:
    """Labels and shares are what they say; documents differ from what is registered."""
    one, other = pairs.world(400), pairs.world(400)
    assert one == other
    assert {kind: round(400 * share) for kind, share in pairs.SHARES.items()} == {
        kind: sum(each.kind == kind for each in one.pairs) for kind in pairs.SHARES
    }
    known = {each.key: each for each in one.registered}
    assert all(each.truth is None or each.truth in known for each in one.pairs)
    swapped = [each for each in one.pairs if each.kind == "swapped-sex" and each.truth is not None]
    assert all(each.said.sex != known[each.truth or 0].sex for each in swapped)


def test_the_bound_is_that_of_clopper_and_pearson() -> None:
    """Zero of n: 1 - 0.05^(1/n); and a tabled value for a few."""
    assert bench.upper_bound(0, 10_000) == pytest.approx(1 - 0.05 ** (1 / 10_000))
    assert bench.upper_bound(0, 10_000) < 3e-4
    assert bench.upper_bound(2, 100) == pytest.approx(0.0616, abs=5e-4)
    assert bench.upper_bound(3, 3) == 1.0
    assert math.isclose(bench.upper_bound(1, 1000), 0.004735, abs_tol=2e-5)
