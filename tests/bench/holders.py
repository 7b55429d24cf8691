"""A labelled set of pairs of directory entries: the same holder seen twice through noise, or two who look alike.

Promises: the same seed gives the same set; the label is known because the pair was made so; nothing of what compares
them is imported. Does not: judge.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from directory.address import parse
from directory.model import Entry, Kind, Provenance

_FAMILIES = """Martin Bernard Dubois Robert Richard Petit Durand Leroy Moreau Simon Laurent Lefèvre Le-Goff Garcia David
Bertrand Roux Vincent Fournier Morel Girard André Mercier Guérin Boyer François Legrand Clément Noël Béziat Ouédraogo
Nguyen Haddad Benali Traoré Kowalski Ferreira Schmitt Etcheverry Kerbrat Lagarde Villeneuve Chabert Quintin"""
_GIVEN = """Marie Jean Nathalie Michel Isabelle Pierre Sylvie Philippe Catherine Alain Françoise Nicolas Hélène
Anne-Sophie Laurent Céline Frédéric Émilie Julien Chloé Mathieu Aurélie Sébastien Léa Thomas Inès Karim Linh Zoé"""
_TRADES = ("Médecine générale", "Radiodiagnostic", "Cardiologie", "Biologie médicale", "Sage-femme", "Infirmier")
_TOWNS = ("75011", "93260", "94000", "77100", "35000", "69003", "13001", "59000")

SHARES = {
    "accents and case": 12, "hyphens": 8, "married name": 10, "slip in the name": 10, "moved": 12, "number missing": 12,
    "number with a slip": 4, "other trade's words": 4,
    "homonyms": 10, "homonyms, same trade and town": 6, "siblings at one practice": 5, "couple": 4, "strangers": 3,
}  # fmt: skip
"""Of a hundred pairs; the first eight kinds are one holder, the others two."""
ONE_HOLDER = tuple(SHARES)[:8]
HARD = ("homonyms, same trade and town", "siblings at one practice", "couple")


@dataclass(frozen=True)
class Pair:
    kind: str
    one: Entry
    other: Entry

    @property
    def same(self) -> bool:
        return self.kind in ONE_HOLDER


def pairs(count: int, seed: int = 1) -> Iterator[Pair]:
    chance = random.Random(seed)
    kinds = [kind for kind, share in SHARES.items() for _ in range(share)]
    for number in range(count):
        kind = kinds[number % len(kinds)]
        one = _person(chance, 2 * number)
        other = _seen_again(chance, kind, one, number) if kind in ONE_HOLDER else _another(chance, kind, one, number)
        yield Pair(kind, one, other)


def _person(chance: random.Random, number: int) -> Entry:
    given, family = chance.choice(_GIVEN.split()), chance.choice(_FAMILIES.split())
    return Entry(
        parse(f"p{number}@a.example"), Kind.PER, f"{given} {family}", family.upper(), given, rpps=_rpps(number),
        specialty=chance.choice(_TRADES), postal_code=chance.choice(_TOWNS), finess=f"93{chance.randrange(900):07d}",
        provenance=Provenance("one", f"cn={number}"),
    )  # fmt: skip


def _rpps(number: int) -> str:
    """Ten digits and the key of ISO/IEC 7812-1, computed here anew."""
    digits = f"101{number:07d}"
    total = sum(sum(divmod(int(digit) * (2 - place % 2), 10)) for place, digit in enumerate(reversed(digits)))
    return digits + str(-total % 10)


def _seen_again(chance: random.Random, kind: str, one: Entry, number: int) -> Entry:
    other = replace(one, address=parse(f"q{number}@b.example"), provenance=Provenance("two", f"cn=q{number}"))
    plain = str.maketrans("ÉÈÊËÀÂÎÏÔÛÙÇéèêëàâîïôûùç", "EEEEAAIIOUUCeeeeaaiiouuc")
    match kind:
        case "accents and case":
            family = one.family_name.translate(plain).lower()
            return replace(other, family_name=family, given_name=one.given_name.upper())
        case "hyphens":
            family, given = (name.replace("-", " ") for name in (one.family_name, one.given_name))
            return replace(other, family_name=family, given_name=given)
        case "married name":
            return replace(other, family_name=f"{one.family_name}-{chance.choice(_FAMILIES.split()).upper()}")
        case "slip in the name":
            return replace(other, family_name=_slip(chance, one.family_name), rpps="")
        case "moved":
            return replace(other, postal_code=chance.choice(_TOWNS), finess=f"35{chance.randrange(900):07d}")
        case "number missing":
            return replace(other, rpps="")
        case "number with a slip":
            place = chance.randrange(11)
            wrong = str((int(one.rpps[place]) + chance.randrange(1, 10)) % 10)
            return replace(other, rpps=one.rpps[:place] + wrong + one.rpps[place + 1 :])
        case _:
            return replace(other, specialty="Spécialité non dite", rpps="")


def _slip(chance: random.Random, name: str) -> str:
    place = chance.randrange(1, len(name))
    return name[:place] + name[place + 1 :] if chance.random() < 0.5 else name[:place] + name[place - 1] + name[place:]


def _another(chance: random.Random, kind: str, one: Entry, number: int) -> Entry:
    other = _person(chance, 2 * number + 1)
    without = {"rpps": ""} if chance.random() < 0.5 else {}
    match kind:
        case "homonyms":
            return replace(other, family_name=one.family_name, given_name=one.given_name, **without)
        case "homonyms, same trade and town":
            same = {"specialty": one.specialty, "postal_code": one.postal_code}
            return replace(other, family_name=one.family_name, given_name=one.given_name, **same, **without)
        case "siblings at one practice":
            same = {"specialty": one.specialty, "postal_code": one.postal_code, "finess": one.finess}
            return replace(other, family_name=one.family_name, given_name=_other_given(chance, one), **same, **without)
        case "couple":
            same = {"postal_code": one.postal_code, "finess": one.finess, "address": one.address}
            return replace(other, family_name=one.family_name, given_name=_other_given(chance, one), **same, **without)
        case _:
            return other


def _other_given(chance: random.Random, one: Entry) -> str:
    return chance.choice([each for each in _GIVEN.split() if each != one.given_name])
