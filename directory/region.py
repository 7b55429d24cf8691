"""An invented region for the demo, tests and benches: people, structures and mailboxes that nobody has.

Promises: the same seed gives the same region; homonyms, red-listed mailboxes and every kind of mailbox are in
it; identifiers have the right length and key and belong to nobody; certificates come only with the actors
whom the caller adds.
Does not: load anything, and is never on the serving path.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from directory import entries
from directory.address import parse
from directory.ldif import escaped, record
from directory.model import Capabilities, Entry, Kind, Provenance
from directory.names import fold, words

SUFFIX = "dc=ile-de-france,dc=annuaire"
DOMAINS = (
    "clinique-du-parc.mssante.example",
    "imagerie-des-lilas.mssante.example",
    "hopital-nord.mssante.example",
    "biologie-des-rives.mssante.example",
    "ehpad-les-tilleuls.mssante.example",
    "reseau-perinatal.mssante.example",
)
"""Of structures; private practices share the two below."""
TOWN_DOMAINS = ("medecin.mssante.example", "infirmier.mssante.example")

HOMONYMS = 4
"""People beside the first who are called like him, in other towns and professions."""

_FAMILIES = """
MARTIN BERNARD DUBOIS ROBERT RICHARD PETIT DURAND LEROY MOREAU SIMON LAURENT LEFÈVRE MICHEL GARCIA
DAVID BERTRAND ROUX VINCENT FOURNIER MOREL GIRARD ANDRÉ MERCIER LE-GOFF BLANC GUÉRIN BOYER GARNIER
CHEVALIER FRANÇOIS LEGRAND GAUTHIER PERRIN ROBIN CLÉMENT MORIN NICOLAS HENRY ROUSSEL MATHIEU GAUTIER
MASSON MARCHAND DUVAL DENIS DUMONT LEMAIRE NOËL MEYER DUFOUR MEUNIER BRUN BLANCHARD GIRAUD JOLY
RIVIÈRE LUCAS BRUNET GAILLARD BARBIER ARNAUD
"""
_GIVEN = """
Marie Jean Nathalie Michel Isabelle Pierre Sylvie Philippe Catherine Alain Françoise Nicolas Hélène
Christophe Anne-Sophie Laurent Céline Frédéric Émilie Julien Chloé Mathieu Aurélie Sébastien Léa
Thomas Inès Karim Fatou Linh Samuel Noémie Zoé Benoît Agnès Jérôme Maëlle Rémi Yasmine Loïc
"""
_PLACES = (
    ("Paris", "75019"),
    ("Les Lilas", "93260"),
    ("Créteil", "94000"),
    ("Saint-Denis", "93200"),
    ("L'Haÿ-les-Roses", "94240"),
    ("Évry-Courcouronnes", "91000"),
    ("Meaux", "77100"),
    ("Nanterre", "92000"),
)
_SITES = ("Clinique", "Centre hospitalier", "EHPAD", "Laboratoire", "Maison de santé", "Centre d'imagerie")
_PATRONS = ("des Tilleuls", "du Canal", "Saint-Roch", "de la Marne", "du Port", "Pasteur", "du Lac")
_SPECIALTIES = (
    ("Dr", "Médecine générale"),
    ("Dr", "Radiodiagnostic"),
    ("Dr", "Chirurgie orthopédique"),
    ("Dr", "Cardiologie"),
    ("Dr", "Gynécologie-obstétrique"),
    ("Dr", "Biologie médicale"),
    ("Mme", "Sage-femme"),
    ("M.", "Masseur-kinésithérapeute"),
)
_SERVICES = ("Cardiologie", "Urgences", "Orthopédie", "Maternité", "Gériatrie", "Imagerie")


@dataclass(frozen=True)
class _Structure:
    name: str
    finess: str
    domain: str
    town: str
    postal_code: str


def region(
    actors: Sequence[Entry] = (),
    *,
    seed: int = 1,
    people: int = 240,
    structures: int = 36,
    domains: Sequence[str] = DOMAINS,
) -> tuple[Entry, ...]:
    """Mailboxes of an invented region: `people` personal ones, those of the `structures`, then the `actors`.

    Actors come out as given, and each in place of an invented mailbox with the same address.
    """
    chance = random.Random(seed)  # noqa: S311  # invented people, not secrets
    places = [_structure(chance, number, domains) for number in range(structures)]
    persons, shared = _people(chance, places, people), _shared_mailboxes(places)
    invented = (*persons, *shared, *_practices(chance, structures // 6))
    mailboxes = {entry.address.key: replace(entry, provenance=_PROVENANCE) for entry in invented}
    return tuple({**mailboxes, **{actor.address.key: actor for actor in actors}}.values())


_PROVENANCE = Provenance(source="region-inventee", owner="pli")


def _structure(chance: random.Random, number: int, domains: Sequence[str]) -> _Structure:
    site, patron = _SITES[number % len(_SITES)], _PATRONS[number // len(_SITES) % len(_PATRONS)]
    domain = domains[number % len(domains)]
    name = f"{site} {patron}" if number >= len(domains) else domain.split(".")[0].replace("-", " ").upper()
    town, postal_code = chance.choice(_PLACES)
    # Department, then a serial far above those in use.
    finess = f"{postal_code[:2]}{9_900_000 + number:07d}"
    return _Structure(name, finess, domain, town, postal_code)


def _people(chance: random.Random, places: Sequence[_Structure], count: int) -> Iterator[Entry]:
    taken: set[str] = set()
    for number in range(count):
        # The first ones have one name; their addresses differ as an operator would make them differ.
        same = number <= HOMONYMS
        family = "MARTIN" if same else chance.choice(_FAMILIES.split())
        given = "Marie" if same else chance.choice(_GIVEN.split())
        place = places[number % len(places)]
        domain = chance.choice(TOWN_DOMAINS) if number % 3 == 0 else place.domain
        local = _free_local(f"{_slug(given)}.{_slug(family)}", domain, taken)
        yield _person(number, given, family, f"{local}@{domain}", place)


def _free_local(wanted: str, domain: str, taken: set[str]) -> str:
    """`wanted`, or with the first number that makes it unique in its domain."""
    local, number = wanted, 1
    while f"{local}@{domain}" in taken:
        number += 1
        local = f"{wanted}{number}"
    taken.add(f"{local}@{domain}")
    return local


def _person(number: int, given: str, family: str, address: str, place: _Structure) -> Entry:
    title, specialty = _SPECIALTIES[number % len(_SPECIALTIES)]
    return Entry(
        address=parse(address),
        kind=Kind.PER,
        display_name=f"{title} {given} {family}",
        family_name=family,
        given_name=given,
        title=title,
        rpps=with_luhn(f"109{number:07d}"),
        finess=place.finess,
        structure=place.name,
        specialty=specialty,
        town=place.town,
        postal_code=place.postal_code,
        red_list=number % 20 == 19,
        capabilities=_capabilities(number),
    )


def _capabilities(number: int) -> Capabilities:
    """Each combination is somewhere."""
    return Capabilities(xdm=number % 7 != 0, smime=(None, True, False)[number % 3], mdn=number % 2 == 0)


def _shared_mailboxes(places: Sequence[_Structure]) -> Iterator[Entry]:
    for number, place in enumerate(places):
        service = _SERVICES[number % len(_SERVICES)]
        yield _shared(f"{_slug(service)}{number}", Kind.ORG, f"{place.name} - {service}", service, place)
        if number % 3 == 0:
            yield _shared(f"application{number}", Kind.APP, f"{place.name} - Logiciel", "Informatique", place)


def _shared(local: str, kind: Kind, name: str, service: str, place: _Structure) -> Entry:
    return Entry(
        address=parse(f"{local}@{place.domain}"),
        kind=kind,
        display_name=name,
        finess=place.finess,
        structure=place.name,
        service=service,
        town=place.town,
        postal_code=place.postal_code,
        capabilities=Capabilities(xdm=True, smime=True, mdn=kind is Kind.APP, max_bytes=36_700_160),
    )


def _practices(chance: random.Random, count: int) -> Iterator[Entry]:
    for number in range(count):
        town, postal_code = chance.choice(_PLACES)
        family = chance.choice(_FAMILIES.split())
        yield Entry(
            address=parse(f"cabinet.{_slug(family)}{number}@{TOWN_DOMAINS[0]}"),
            kind=Kind.CAB,
            display_name=f"Cabinet du Dr {family}",
            rpps=with_luhn(f"108{number:07d}"),
            structure=f"Cabinet {family}",
            town=town,
            postal_code=postal_code,
        )


def _slug(name: str) -> str:
    return fold(name).replace(" ", "-")


def with_luhn(digits: str) -> str:
    """`digits` and their Luhn key (ISO/IEC 7812-1), as in RPPS numbers."""
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(reversed(digits))]
    return f"{digits}{-sum(value // 10 + value % 10 for value in doubled) % 10}"


# --- as LDIF ------------------------------------------------------------------------------------------


def ldif(mailboxes: Sequence[Entry], suffix: str = SUFFIX) -> str:
    """Records below ou=bal (ou=rouge: red list), ou=personnes, ou=structures; `directory.slapd` has the branches."""
    persons = {entry.rpps: entry for entry in mailboxes if entry.rpps and entry.kind is Kind.PER}
    structures = {entry.finess: entry for entry in mailboxes if entry.finess}
    return "".join(
        [
            *(_mailbox_record(entry, suffix) for entry in mailboxes),
            *(_person_record(entry, suffix) for entry in persons.values()),
            *(_structure_record(entry, suffix) for entry in structures.values()),
        ]
    )


def _mailbox_record(entry: Entry, suffix: str) -> str:
    name = f"{entries.attribute_of(entry.address)}={escaped(str(entry.address))}"
    branch = entries.RED_BRANCH if entry.red_list else "ou=bal"
    return record(f"{name},{branch},{suffix}", entries.attributes(entry))


def _person_record(entry: Entry, suffix: str) -> str:
    values = {
        "objectClass": ["inetOrgPerson", "pliPersonne"],
        "uid": [entry.rpps],
        "cn": [f"{entry.given_name} {entry.family_name}".strip()],
        "sn": [entry.family_name or entry.display_name],
        "givenName": [entry.given_name] if entry.given_name else [],
        "hcIdentifier": [f"{entries.ISSUER}:RPPS:{entry.rpps}:active"],
        "hcSpecialisation": [entry.specialty] if entry.specialty else [],
        "pliWord": list(words(entry.given_name, entry.family_name, entry.rpps)),
    }
    return record(f"uid={entry.rpps},ou=personnes,{suffix}", values)


def _structure_record(entry: Entry, suffix: str) -> str:
    values = {
        "objectClass": ["organization", "uidObject", "pliStructure"],
        "uid": [entry.finess],
        "o": [entry.structure or entry.finess],
        "l": [entry.town] if entry.town else [],
        "postalCode": [entry.postal_code] if entry.postal_code else [],
        "hcIdentifier": [f"{entries.ISSUER}:FINESS:{entry.finess}:active"],
        "pliWord": list(words(entry.structure, entry.finess)),
    }
    return record(f"uid={entry.finess},ou=structures,{suffix}", values)
