"""Who may be one, asked of 10,000 labelled pairs: false automatic merges with a bound, recall, the hard kinds apart.

`./dev bench duplicates [PAIRS]`. The set and its noise are tests.bench.holders', which knows nothing of the rules.
Nobody to compare with: no ratio.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

from directory.duplicates import Decision, compare
from tests.bench.holders import HARD, ONE_HOLDER, SHARES, pairs
from tests.bench.matching import upper_bound


def bench(arguments: list[str]) -> dict[str, Any]:
    count = int(arguments[0]) if arguments else 10_000
    tally: Counter[tuple[str, Decision]] = Counter()
    for pair in pairs(count):
        tally[pair.kind, compare(pair.one, pair.other).decision] += 1
    for kind in SHARES:
        said = "  ".join(f"{decision}: {tally[kind, decision]}" for decision in Decision)
        print(f"{kind:<32} {'one' if kind in ONE_HOLDER else 'two'}  {said}", file=sys.stderr)
    one = sum(tally[kind, decision] for kind in ONE_HOLDER for decision in Decision)
    two = [kind for kind in SHARES if kind not in ONE_HOLDER]
    false = sum(tally[kind, Decision.SAME] for kind in two)
    asked = sum(tally[kind, decision] for kind in two for decision in Decision)
    found = sum(tally[kind, Decision.SAME] for kind in ONE_HOLDER)
    shown = sum(tally[kind, Decision.CANDIDATE] for kind in ONE_HOLDER)
    figures = {
        "pairs": count,
        "false_merges": false,
        "false_merges_bound_95": round(upper_bound(false, asked), 6),
        "recall_automatic": round(found / one, 4),
        "recall_with_candidates": round((found + shown) / one, 4),
    }
    figures |= {
        f"false_merges_{kind.replace(', ', '_').replace(' ', '_')}": tally[kind, Decision.SAME] for kind in HARD
    }
    return {"peer": "", "ratios": {}, "figures": figures, "conditions": {"seed": 1, "shares": SHARES}}
