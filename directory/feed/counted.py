"""How many changes a plan holds: by kind, by type of mailbox or branch, and by establishment.

Promises: one look at each change; of a country's establishments a number each is held, and those with most changes are
told. Does not: hold a change, or a person's name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from directory.feed.limits import Kind

PLACES = 20
"""Establishments that a plan's head names."""


@dataclass
class Counted:
    kinds: Counter[Kind] = field(default_factory=Counter)
    groups: dict[str, Counter[str]] = field(default_factory=dict)
    _places: Counter[tuple[str, Kind]] = field(default_factory=Counter)

    def add(self, kind: Kind, branch: str, said: Mapping[str, str]) -> None:
        """`said`: the entry's fields, after the change or else before."""
        self.kinds[kind] += 1
        self.groups.setdefault(said.get("kind") or branch, Counter())[kind.value] += 1
        if place := _place(said):
            self._places[place, kind] += 1

    def by_group(self) -> dict[str, dict[str, int]]:
        return {name: dict(kinds) for name, kinds in sorted(self.groups.items())}

    def by_place(self) -> dict[str, dict[str, int]]:
        """Of the PLACES with most changes, those first."""
        sums: Counter[str] = Counter()
        for (place, _), count in self._places.items():
            sums[place] += count
        first = sorted(sums, key=lambda place: (-sums[place], place))[:PLACES]
        return {place: self._of(place) for place in first}

    def _of(self, place: str) -> dict[str, int]:
        return {kind.value: count for kind in Kind if (count := self._places[place, kind])}


def _place(said: Mapping[str, str]) -> str:
    """Number and name of the establishment; empty of none."""
    number = said.get("structure") or (f"FINESS:{said['finess']}" if "finess" in said else "")
    return f"{number} {said.get('name', '')}".strip() if number else ""
