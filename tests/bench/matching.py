"""Whose is it, asked of a whole register about 10,000 labelled documents: false automatic merges with a bound, recall.

`python -m tests.bench matching [PAIRS]`. The set and its noise are tests.bench.pairs', which knows nothing of the
matcher.
Nobody to compare with: no ratio.
"""

from __future__ import annotations

import math
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs import keys
from dmp_bridge import patients, tables
from dmp_bridge.model import Ins, InsStatus, Matched, Patient, Traits
from dmp_bridge.patients import Register
from relay.pseudonym import Pseudonyms
from relay.spooler import SpoolClient, Spooler
from relay.store import bodies
from relay.store.engine import reader_engine, writer_engine
from tests.bench.pairs import ROOT, SHARES, Pair, Person, World, world

TENANT, NUMBERS = "bench", "2.25.1"
HARD = ("twins", "parent-and-child", "swapped-sex", "anothers-ins")


@dataclass
class Tally:
    """Of one kind of pair."""

    asked: int = 0
    registered: int = 0
    right: int = 0
    """Matched by itself, and it is he."""
    wrong: int = 0
    """Matched by itself, and it is another: a false automatic merge."""
    first: int = 0
    """Not matched; he is the first candidate."""
    shown: int = 0
    """Not matched; he is among the candidates."""
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, pair: Pair, found: Any) -> None:
        self.asked += 1
        self.registered += pair.truth is not None
        if isinstance(found, Matched):
            self.right += found.patient_id == _id(pair.truth)
            self.wrong += found.patient_id != _id(pair.truth)
            return
        self.reasons[found.reason.value] += 1
        self.first += pair.truth is not None and found.candidates[:1] == (_id(pair.truth),)
        self.shown += pair.truth is not None and _id(pair.truth) in found.candidates


def bench(arguments: list[str]) -> dict[str, Any]:
    """Figures of the whole set and of each hard class."""
    size = int(arguments[0]) if arguments else 10_000
    made = world(size)
    begun = time.perf_counter()
    tallies = measured(made)
    spent = time.perf_counter() - begun
    whole = _sum(tallies)
    figures = _figures("", whole)
    for kind in HARD:
        figures |= _figures(f"{kind.replace('-', '_')}_", tallies[kind])
    for kind, tally in {**tallies, "all": whole}.items():
        print(_line(kind, tally))
    print(f"reasons of doubt: {dict(whole.reasons.most_common())}")
    conditions = {"pairs": whole.asked, "registered": len(made.registered), "seconds": round(spent, 1)}
    return {"peer": "", "ratios": {}, "figures": figures, "conditions": conditions}


def _line(kind: str, tally: Tally) -> str:
    bound = upper_bound(tally.wrong, tally.asked)
    share = tally.right / tally.registered if tally.registered else 0.0
    seen = (tally.right + tally.shown) / tally.registered if tally.registered else 0.0
    return (
        f"{kind:17} asked {tally.asked:6} false merges {tally.wrong} (95 % below {bound:.2e}) "
        f"automatic {share:6.1%} automatic or shown {seen:6.1%}"
    )


def _figures(name: str, tally: Tally) -> dict[str, float]:
    known = max(1, tally.registered)
    return {
        f"{name}false_merges": tally.wrong,
        f"{name}false_merges_below": upper_bound(tally.wrong, tally.asked),
        f"{name}recall_automatic": round(tally.right / known, 4),
        f"{name}recall_first_shown": round((tally.right + tally.first) / known, 4),
        f"{name}recall_shown": round((tally.right + tally.shown) / known, 4),
    }


def _sum(tallies: dict[str, Tally]) -> Tally:
    whole = Tally()
    for tally in tallies.values():
        for name in ("asked", "registered", "right", "wrong", "first", "shown"):
            setattr(whole, name, getattr(whole, name) + getattr(tally, name))
        whole.reasons += tally.reasons
    return whole


def upper_bound(wrong: int, asked: int) -> float:
    """The rate above which so few would be seen in one of twenty tries (Clopper-Pearson, one-sided, 95 %)."""
    if asked == 0 or wrong >= asked:
        return 1.0
    low, high = wrong / asked, 1.0
    for _ in range(60):
        rate = (low + high) / 2
        low, high = (rate, high) if _at_most(wrong, asked, rate) > 0.05 else (low, rate)
    return high


def _at_most(wrong: int, asked: int, rate: float) -> float:
    """Probability of so many or fewer."""
    if rate >= 1.0:
        return 0.0
    terms = (
        math.lgamma(asked + 1) - math.lgamma(k + 1) - math.lgamma(asked - k + 1)
        + k * math.log(rate) + (asked - k) * math.log1p(-rate)
        for k in range(wrong + 1)
    ) if rate > 0 else (0.0,)  # fmt: skip
    return math.fsum(math.exp(term) for term in terms)


# --- the register -------------------------------------------------------------------------------------------------


def measured(made: World) -> dict[str, Tally]:
    """Each pair asked of a real register in a real store, by kind."""
    tallies = {kind: Tally() for kind in SHARES}
    with tempfile.TemporaryDirectory(prefix="pli-matching-") as folder, _register(Path(folder), made) as register:
        for pair in made.pairs:
            tallies[pair.kind].add(pair, register.match(TENANT, _patient(pair.said)))
    return tallies


@contextmanager
def _register(folder: Path, made: World) -> Iterator[Register]:
    private = X25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    url, names, stop = f"sqlite:///{folder / 'store.db'}", Pseudonyms(b"k" * 32), threading.Event()
    engine = writer_engine(url)
    tables.metadata.create_all(engine)
    spooler = Spooler(engine, folder / "spool", patients.WRITES, lambda: datetime.now(UTC))
    thread = threading.Thread(target=spooler.serve, args=(stop,))
    thread.start()
    try:
        spooler.ready.wait(10)
        known = [_patient(each, enrolled=True) for each in made.registered]
        patients.put(SpoolClient(folder / "spool"), TENANT, known, names, lambda data: bodies.seal_bytes(public, data))
        yield Register(
            reader_engine(url), names, lambda blob: bodies.open_bytes(blob, lambda key: keys.unwrap_key(private, key))
        )
    finally:
        stop.set()
        thread.join(10)


def _patient(person: Person, *, enrolled: bool = False) -> Patient:
    ins = Ins(person.ins, ROOT) if person.ins else None
    traits = Traits(person.birth_name, person.first, person.given, person.born, person.sex, person.place)
    if not enrolled:
        return Patient(ins, traits)
    return Patient(ins, traits, ((NUMBERS, str(person.key)),), InsStatus(person.status), _id(person.key))


def _id(key: int | None) -> str:
    return f"row-{key}" if key is not None else ""
