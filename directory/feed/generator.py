"""An invented country in the formats of the national files: for tests, benches and trying out an import.

Promises: the same seed, size and day give the same bytes; a later day is the earlier one with people who came, left and
moved; homonyms, several places of practice, errors and addresses on two rows are among them, these at 169 in half a
million (directory §3.5). Nobody in it exists: domains end in .example.
Does not: hold more than one mailbox at a time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

from directory.names import fold
from directory.region import with_luhn

FIRST_DAY = datetime(2026, 11, 2, 2, 13, tzinfo=UTC)
PER_STRUCTURE = 40
"""Mailboxes to one structure, on average."""

HEADERS = dict(
    line.split("\t")
    for line in resources.files("directory.feed").joinpath("headers.txt").read_text("utf-8").splitlines()
)
"""Name of a source -> the first line of its file, as the national ones have it (directory §3.3 to §3.5)."""

FILES = {
    "mssante": "Extraction_Correspondance_MSSante_{stamp}.txt",
    "personne-activite": "PS_LibreAcces_Personne_activite_{stamp}.txt",
    "savoir-faire": "PS_LibreAcces_SavoirFaire_{stamp}.txt",
    "diplomes": "PS_LibreAcces_Dipl_AutExerc_{stamp}.txt",
    "finess": "etalab-cs1100507-invente_{stamp}.csv",
}

FAMILIES = [
    "MARTIN",
    "BERNARD",
    "DUBOIS",
    "ROBERT",
    "RICHARD",
    "PETIT",
    "DURAND",
    "LEROY",
    "MOREAU",
    "SIMON",
    "LAURENT",
    "LEFÈVRE",
    "MICHEL",
    "GARCIA",
    "DAVID",
    "BERTRAND",
    "ROUX",
    "VINCENT",
    "FOURNIER",
    "MOREL",
    "GIRARD",
    "ANDRÉ",
    "MERCIER",
    "LE-GOFF",
    "BLANC",
    "GUÉRIN",
    "BOYER",
    "GARNIER",
    "CHEVALIER",
    "FRANÇOIS",
    "LEGRAND",
    "GAUTHIER",
    "PERRIN",
    "ROBIN",
    "CLÉMENT",
    "MORIN",
    "NICOLAS",
    "HENRY",
    "ROUSSEL",
    "MATHIEU",
    "MASSON",
    "MARCHAND",
    "DUVAL",
    "DENIS",
    "LEMAIRE",
    "NOËL",
    "MEYER",
]
GIVEN = [
    "Marie",
    "Jean",
    "Nathalie",
    "Michel",
    "Isabelle",
    "Pierre",
    "Sylvie",
    "Philippe",
    "Catherine",
    "Alain",
    "Françoise",
    "Nicolas",
    "Hélène",
    "Christophe",
    "Anne-Sophie",
    "Laurent",
    "Céline",
    "Frédéric",
    "Émilie",
    "Julien",
    "Chloé",
    "Mathieu",
    "Aurélie",
    "Sébastien",
    "Léa",
    "Thomas",
    "Inès",
    "Karim",
    "Fatou",
    "Linh",
]
_TOWNS = (("PARIS", "75011"), ("LES LILAS", "93260"), ("CRÉTEIL", "94000"), ("MEAUX", "77100"), ("RENNES", "35000"))
_PROFESSIONS = (
    ("10", "Médecin", "SM54", "Médecine générale", "DR"),
    ("10", "Médecin", "SM44", "Radiodiagnostic", "DR"),
    ("21", "Pharmacien", "", "", "M"),
    ("50", "Sage-femme", "", "", "MME"),
    ("60", "Infirmier", "", "", "MME"),
)
_SITES = ("CENTRE HOSPITALIER", "CLINIQUE", "EHPAD", "LABORATOIRE", "CENTRE D'IMAGERIE")
_SERVICES = ("Cardiologie", "Urgences", "Gériatrie", "Imagerie", "Secrétariat médical")
_DIPLOMA = "Diplôme d'État de docteur en médecine"


@dataclass(frozen=True)
class Country:
    """`mailboxes` rows on the first day; of a hundred, seventeen are organisational (directory §3.5)."""

    mailboxes: int
    seed: int = 1
    day: int = 0

    @property
    def stamp(self) -> str:
        return f"{FIRST_DAY + timedelta(days=self.day):%Y%m%d%H%M}"


@dataclass(frozen=True)
class Holder:
    """One mailbox, with the person or service behind it."""

    number: int
    organisation: bool
    family: str
    given: str
    rpps: str
    profession: tuple[str, str, str, str, str]
    place: int
    address: str
    service: str
    moved: bool


def holders(country: Country) -> Iterator[Holder]:
    """Those who are there on the country's day."""
    for number in range(country.mailboxes + _daily(country) * country.day):
        if not _left(country, number):
            yield _holder(country, number)


def _daily(country: Country) -> int:
    """Mailboxes opened each day: 340 of half a million (directory §3.5)."""
    return max(1, country.mailboxes * 340 // 500_000)


def _left(country: Country, number: int) -> bool:
    """One in 1,100 goes each day: as many as 36,119 in 75 days (directory §3.5)."""
    begun = max(0, (number - country.mailboxes) // _daily(country) + 1)
    return any(_chance(country, number, f"leaves{day}").random() < 1 / 1_100 for day in range(begun, country.day))


def _chance(country: Country, number: int, what: str) -> random.Random:
    return random.Random(f"{country.seed}/{number}/{what}")  # noqa: S311  # invented people, not secrets


def _holder(country: Country, number: int) -> Holder:
    chance = _chance(country, number, "holder")
    structures = max(1, country.mailboxes // PER_STRUCTURE)
    # Few structures hold most mailboxes (directory §3.5).
    place = min(int(structures * chance.random() ** 2), structures - 1)
    moved = any(_chance(country, number, f"moves{day}").random() < 1 / 2_000 for day in range(1, country.day + 1))
    family, given = chance.choice(FAMILIES), chance.choice(GIVEN)
    organisation = chance.random() < 0.17
    service = chance.choice(_SERVICES) if organisation else ""
    local = fold(service or f"{given} {family}").replace(" ", ".")
    return Holder(
        number=number,
        organisation=organisation,
        family=family,
        given=given,
        rpps=with_luhn(f"109{number:07d}"),
        profession=chance.choice(_PROFESSIONS),
        place=(place + 1) % structures if moved else place,
        address=f"{local}{number}@structure{place}.mssante.example",
        service=service,
        moved=moved,
    )


def finess(place: int) -> str:
    return f"93{9_000_000 + place:07d}"


def structure_name(place: int) -> str:
    return f"{_SITES[place % len(_SITES)]} INVENTÉ {place}"


def write(country: Country, folder: Path) -> dict[str, Path]:
    """The five files; answers where each lies."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = {
        "mssante": mailbox_lines(country),
        "personne-activite": _activities(country),
        "savoir-faire": _skills(country),
        "diplomes": _diplomas(country),
        "finess": _structures(country),
    }
    paths = {name: folder / FILES[name].format(stamp=country.stamp) for name in lines}
    for name, path in paths.items():
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.write(HEADERS[name] + "\n")
            file.writelines(lines[name])
    return paths


def mailbox_lines(country: Country) -> Iterator[str]:
    for each in holders(country):
        yield _mailbox_line(country, each)
        if each.number % 2_959 == 1:  # 169 in half a million
            yield _mailbox_line(country, each, further=True)
        if each.number % 10_007 == 3:
            yield "PER|pas une adresse" + "|" * 30 + "\n"


def _mailbox_line(country: Country, each: Holder, further: bool = False) -> str:
    place = each.place + further
    town, postal = _TOWNS[place % len(_TOWNS)]
    code, profession, skill_code, skill, title = each.profession
    who = (
        ("", "", "", "", "", "")
        if each.organisation
        else ("8", each.rpps, f"8{each.rpps}", title, each.family, each.given)
    )
    kind, number, national, title, family, given = who
    trade = ("", "", "", "", "", "") if each.organisation else ("C", "Civil", code, profession, skill_code, skill)
    values = (
        *("ORG" if each.organisation else "PER", each.address, kind, number, national, "FINESS", finess(place)),
        *(each.service, title, family, given, *trade, "O" if each.number % 3 else "N", structure_name(place), ""),
        *("", "", "1", "", "RUE", "DE L'INVENTION", "", f"{postal} {town}", postal, postal[:2], "FRANCE"),
    )
    return "|".join(values) + "|\n"


def _activities(country: Country) -> Iterator[str]:
    for each in holders(country):
        if each.organisation:
            continue
        for place in {each.place, each.place + (each.number % 8 == 0)}:
            yield _activity_line(each, place)


def _activity_line(each: Holder, place: int) -> str:
    town, postal = _TOWNS[place % len(_TOWNS)]
    code, profession, skill_code, skill, title = each.profession
    values = (
        *(
            "8",
            each.rpps,
            f"8{each.rpps}",
            title,
            title,
            "",
            "",
            each.family,
            each.given,
            code,
            profession,
            "C",
            "Civil",
        ),
        *("S" if skill else "", "Spécialité ordinale" if skill else "", skill_code, skill, "S", "Salarié"),
        *("", "", finess(place), finess(place), f"F{finess(place)}", structure_name(place), "", "", "", "1", "", "RUE"),
        *("RUE", "DE L'INVENTION", "", f"{postal} {town}", postal, f"{postal[:2]}001", town, "99000", "FRANCE"),
        *("0100000000", "", "", "", postal[:2], "", "", "Invention", "SA01", "Établissement", "", "", "", "", "GENR01"),
        "Activité standard de soin",
    )
    return "|".join(values) + "|\n"


def _skills(country: Country) -> Iterator[str]:
    for each in holders(country):
        code, profession, skill_code, skill, _ = each.profession
        if skill and not each.organisation:
            who = ("8", each.rpps, f"8{each.rpps}", each.family, each.given, code, profession, "C", "Civil")
            yield "|".join((*who, "S", "Spécialité ordinale", skill_code, skill)) + "|\n"
            if each.number % 9 == 0:
                yield "|".join((*who, "C", "Compétence", "C03", "Allergologie")) + "|\n"


def _diplomas(country: Country) -> Iterator[str]:
    for each in holders(country):
        if not each.organisation and each.profession[1] == "Médecin":
            who = ("8", each.rpps, f"8{each.rpps}", each.family, each.given)
            yield "|".join((*who, "DE", "Diplôme d'État", "DE09", _DIPLOMA, "", "", "", "")) + "|\n"


def _structures(country: Country) -> Iterator[str]:
    for place in range(max(1, country.mailboxes // PER_STRUCTURE) + 1):
        town, postal = _TOWNS[place % len(_TOWNS)]
        values = (
            *("structureet", finess(place), finess(place), structure_name(place), structure_name(place), "", "", "1"),
            *("RUE", "DE L'INVENTION", "", "", "001", postal[:2], "INVENTION", f"{postal} {town}", "0100000000", ""),
            *(
                "355",
                "Centre Hospitalier (C.H.)",
                "1102",
                "Centres Hospitaliers",
                "",
                "8610Z",
                "03",
                "ARS",
                "1",
                "Public",
            ),
            *("2000-01-01", "2000-01-01", "2026-11-02", ""),
        )
        yield ";".join(values) + "\n"
        yield f"geolocalisation;{finess(place)};650000.0;6860000.0;1,INVENTION;2026-11-02\n"
