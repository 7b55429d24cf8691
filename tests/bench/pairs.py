"""A labelled set of identities: a population with twins, namesakes and families, and what becomes of them on paper.

Promises: the same seed gives the same set; nothing of the matcher, nor of the product, is imported: the noise is not
made to its measure. Does not: know how anybody compares. Names, places and rates are invented, after what identity
desks report: married names, accents, clipped and exchanged names, days for months, another's number on the form.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

_SURNAMES = """
MARTIN BERNARD THOMAS PETIT ROBERT RICHARD DURAND DUBOIS MOREAU LAURENT SIMON MICHEL LEFÈVRE LEROY ROUX DAVID
BERTRAND MOREL FOURNIER GIRARD BONNET DUPONT LAMBERT FONTAINE ROUSSEAU VINCENT MULLER LE-GOFF FAURE ANDRÉ MERCIER
BLANC GUÉRIN BOYER GARNIER CHEVALIER FRANÇOIS LEGRAND GAUTHIER GARCIA PERRIN ROBIN CLÉMENT MORIN NICOLAS HENRY
ROUSSEL MATHIEU GAUTIER MASSON MARCHAND DUVAL DENIS DUMONT MARIE LEMAIRE NOËL MEYER DUFOUR MEUNIER BRUN BLANCHARD
GIRAUD JOLY RIVIÈRE LUCAS BRUNET GAILLARD BARBIER ARNAUD MARTINEZ GÉRARD ROCHE RENARD SCHMITT ROY LEROUX COLIN VIDAL
CARON PICARD ROGER FABRE AUBERT LEMOINE RENAUD DUMAS LACROIX OLIVIER PHILIPPE BOURGEOIS PIERRE BENOÎT REY LECLERC
PAYET ROLLAND LECLERCQ D'HAUTERIVE DE-LA-TOUR SAINT-ANDRÉ BEN-AMAR TRAN NGUYEN DIALLO TRAORÉ
"""
SURNAMES = _SURNAMES.split()
_WOMEN = """
MARIE JEANNE FRANÇOISE MONIQUE CATHERINE NATHALIE ISABELLE JACQUELINE SYLVIE ANNE MARTINE MADELEINE NICOLE SUZANNE
HÉLÈNE CHRISTINE MARGUERITE DENISE LOUISE CHRISTIANE CÉLINE SANDRINE VALÉRIE STÉPHANIE JULIE AURÉLIE ÉMILIE CAMILLE
LÉA CHLOÉ MANON EMMA INÈS JADE ZOÉ MARINE MARION ANNE-MARIE MARIE-LOUISE MARIE-CLAUDE CLAUDE DOMINIQUE
"""
WOMEN = _WOMEN.split()
_MEN = """
JEAN PIERRE MICHEL ANDRÉ PHILIPPE RENÉ LOUIS ALAIN JACQUES BERNARD MARCEL DANIEL ROGER ROBERT PAUL CLAUDE CHRISTIAN
HENRI GEORGES NICOLAS FRANÇOIS PATRICK GÉRARD CHRISTOPHE JOSEPH ÉRIC LAURENT FRÉDÉRIC THOMAS JULIEN ALEXANDRE LUCAS
HUGO ENZO LÉO GABRIEL RAPHAËL JEAN-PIERRE JEAN-CLAUDE JEAN-MARC DOMINIQUE CAMILLE
"""
MEN = _MEN.split()
PLACES = [
    f"{department:02}{commune:03}"
    for department in (13, 26, 31, 33, 35, 38, 42, 59, 69, 75, 92)
    for commune in range(1, 40)
]
ROOT = "1.2.250.1.213.1.4.10"


@dataclass(frozen=True)
class Person:
    """Somebody who exists. `ins`: 15 characters."""

    key: int
    birth_name: str
    first: str
    given: str
    born: date
    sex: str
    place: str
    ins: str
    status: str = "qualified"
    used_name: str = ""


@dataclass(frozen=True)
class Pair:
    """What a document says, and who it is (the key of a registered person, or None)."""

    kind: str
    said: Person
    truth: int | None


@dataclass(frozen=True)
class World:
    registered: tuple[Person, ...]
    pairs: tuple[Pair, ...]


SHARES = {
    "same": 0.40,
    "stranger": 0.15,
    "twins": 0.15,
    "parent-and-child": 0.15,
    "swapped-sex": 0.075,
    "anothers-ins": 0.075,
}


def world(size: int, seed: int = 20261125) -> World:
    """`size` labelled pairs, and the register against which they are asked."""
    maker = _Maker(random.Random(seed))
    for kind, share in SHARES.items():
        for _ in range(round(size * share)):
            maker.add(kind)
    maker.chance.shuffle(maker.pairs)
    return World(tuple(maker.registered), tuple(maker.pairs))


class _Maker:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.registered: list[Person] = []
        self.pairs: list[Pair] = []
        self._numbers: dict[str, int] = {}
        self._made = 0

    def add(self, kind: str) -> None:
        person = self._person()
        if kind == "same":
            self._about(kind, self._enrol(person))
        elif kind == "stranger":
            self.pairs.append(Pair(kind, self._noisy(person), None))
        elif kind == "twins":
            self._relatives(kind, person, self._twin(person))
        elif kind == "parent-and-child":
            self._relatives(kind, person, self._child(person))
        elif kind == "swapped-sex":
            other = "M" if person.sex == "F" else "F"
            known = self._enrol(person)
            self.pairs.append(Pair(kind, replace(self._noisy(known), sex=other), known.key))
        else:
            self._with_anothers_ins(kind, person)

    def _relatives(self, kind: str, person: Person, other: Person) -> None:
        """The document is of one of them; the register knows both, or the other alone."""
        self._enrol(other)
        if self.chance.random() < 0.5:
            self._about(kind, self._enrol(person))
        else:
            self.pairs.append(Pair(kind, self._noisy(person), None))

    def _with_anothers_ins(self, kind: str, person: Person) -> None:
        """The form bears the number of the twin, of the parent, or of whoever was before him at the desk."""
        other = self.chance.choice((self._twin, self._child, lambda _: self._person()))(person)
        known = self._enrol(person) if self.chance.random() < 0.7 else None
        other = self._enrol(other)
        said = replace(self._noisy(person), ins=other.ins)
        self.pairs.append(Pair(kind, said, known.key if known else None))

    def _about(self, kind: str, person: Person) -> None:
        self.pairs.append(Pair(kind, self._noisy(person), person.key))

    # --- people -----------------------------------------------------------------------------------------------------

    def _enrol(self, person: Person) -> Person:
        """As a hospital knows him: most are qualified, some are not yet."""
        status = self.chance.choices(("qualified", "retrieved", "validated", "provisional"), (86, 5, 5, 4))[0]
        known = replace(person, status=status, ins=person.ins if status in ("qualified", "retrieved") else "")
        self.registered.append(known)
        return known

    def _person(self) -> Person:
        sex = self.chance.choice("FM")
        born = date(1930, 1, 1) + timedelta(days=self.chance.randrange(94 * 365))
        # A few names are everywhere
        name = SURNAMES[min(int(self.chance.expovariate(1 / 25)), len(SURNAMES) - 1)]
        return self._named(name, self._first(sex), born, sex, self.chance.choice(PLACES))

    def _first(self, sex: str) -> str:
        return self.chance.choice(WOMEN if sex == "F" else MEN)

    def _named(self, name: str, first: str, born: date, sex: str, place: str) -> Person:
        self._made += 1
        others = self.chance.sample(WOMEN if sex == "F" else MEN, self.chance.randrange(3))
        used = self.chance.choice(SURNAMES) if sex == "F" and self.chance.random() < 0.4 else ""
        given = " ".join((first, *others))
        return Person(self._made, name, first, given, born, sex, place, self._ins(born, sex, place), used_name=used)

    def _ins(self, born: date, sex: str, place: str) -> str:
        """Sex, year, month, place, order: people born in one place in one month differ in the last digits alone."""
        stem = f"{'1' if sex == 'M' else '2'}{born:%y%m}{place}"
        self._numbers[stem] = self._numbers.get(stem, self.chance.randrange(1, 400)) + 1
        body = f"{stem}{self._numbers[stem]:03}"
        return f"{body}{97 - int(body) % 97:02}"

    def _twin(self, person: Person) -> Person:
        """Same name, day and place; sometimes of one sex, with first names that look alike."""
        sex = person.sex if self.chance.random() < 0.6 else "FM"[person.sex == "F"]
        first = self._first(sex)
        while first == person.first:
            first = self._first(sex)
        if self.chance.random() < 0.2:
            first = (
                person.first[:-1] + self.chance.choice("AEINO")
                if person.first[-1] not in "AEINO"
                else person.first + "NE"
            )
        return self._named(person.birth_name, first, person.born, sex, person.place)

    def _child(self, person: Person) -> Person:
        """Both names handed down; some on the parent's birthday."""
        years = self.chance.randrange(18, 40)
        day = min(person.born.day, 28) if self.chance.random() < 0.1 else self.chance.randrange(1, 29)
        month = person.born.month if self.chance.random() < 0.2 else self.chance.randrange(1, 13)
        born = date(person.born.year + years, month, day)
        return self._named(person.birth_name, person.first, born, person.sex, person.place)

    # --- paper ------------------------------------------------------------------------------------------------------

    def _noisy(self, person: Person) -> Person:
        """What is written of somebody elsewhere."""
        said = replace(person, status="")
        for rate, change in self._changes():
            if self.chance.random() < rate:
                said = change(said)
        return said

    def _changes(self) -> Iterator[tuple[float, object]]:
        yield 0.30, lambda p: replace(p, birth_name=_unaccented(p.birth_name), first=_unaccented(p.first))
        yield 0.15, lambda p: replace(p, birth_name=p.birth_name.replace("-", " "), first=p.first.replace("-", " "))
        yield 0.08, lambda p: replace(p, birth_name=p.used_name or p.birth_name)
        yield 0.05, lambda p: replace(p, birth_name=self._typo(p.birth_name))
        yield 0.04, lambda p: replace(p, first=self._typo(p.first))
        yield 0.04, lambda p: replace(p, first=p.first.partition("-")[0])
        yield 0.02, lambda p: replace(p, first=p.given.split(" ")[-1])
        yield 0.01, lambda p: replace(p, birth_name=p.first, first=p.birth_name)
        yield 0.03, lambda p: replace(p, born=self._other_day(p.born))
        yield 0.01, lambda p: replace(p, sex="FM"[p.sex == "F"])
        yield 0.25, lambda p: replace(p, place="")
        yield 0.25, lambda p: replace(p, ins="")
        yield 0.03, lambda p: replace(p, ins=self._wrong_digit(p.ins))

    def _typo(self, text: str) -> str:
        at = self.chance.randrange(len(text))
        letter = self.chance.choice("ABCDEFGHILMNOPRSTUV")
        kind = self.chance.randrange(4)
        if kind == 0:
            return text[:at] + letter + text[at:]
        if kind == 1 and len(text) > 2:
            return text[:at] + text[at + 1 :]
        if kind == 2 and at + 1 < len(text):
            return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        return text[:at] + letter + text[at + 1 :]

    def _other_day(self, born: date) -> date:
        """Day for month, a digit, a year off."""
        choice = self.chance.randrange(3)
        if choice == 0 and born.day <= 12:
            return born.replace(month=born.day, day=born.month)
        if choice == 1:
            return born + timedelta(days=self.chance.choice((-10, -1, 1, 10)))
        return born.replace(year=born.year + self.chance.choice((-10, -1, 1)), day=min(born.day, 28))

    def _wrong_digit(self, ins: str) -> str:
        if not ins:
            return ins
        at = self.chance.randrange(5, 13)
        return ins[:at] + self.chance.choice("0123456789") + ins[at + 1 :]


def _unaccented(text: str) -> str:
    return text.translate(str.maketrans("ÀÂÄÇÉÈÊËÎÏÔÖÙÛÜ", "AAACEEEEIIOOUUU"))
