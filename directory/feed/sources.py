"""The files that we read: their columns by name, and what a row of each wants in the directory.

Promises: the columns are those of directory §3.3 to §3.5 and of the FINESS extraction; only what is used is named.
Does not: read lines (directory.feed.lines, finess and ldif_records do).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from directory.feed import finess, items
from directory.feed.items import Branch, Item, Refused, Source
from directory.feed.ldif_records import BETWEEN, Records
from directory.feed.lines import Column, FeedError, Readable, Shape, normalised

_TOWN = re.compile(r"(?:\d{5} )?(?P<town>.*?)(?: CEDEX(?: \d+)?)?")


def _column(field: str, *names: str, key: bool = False) -> Column:
    return Column(field, names, key)


# --- mailboxes: Extraction_Correspondance_MSSante (directory §3.5) -----------------------------------------------

_MAILBOX = (
    _column("kind", "type de bal", key=True),
    _column("address", "adresse bal", key=True),
    _column("person_type", "type identifiant pp"),
    _column("person_number", "identifiant pp", key=True),
    _column("structure_type", "type identifiant structure"),
    _column("structure_number", "identification structure", key=True),
    _column("service", "service de rattachement"),
    _column("title", "civilite d exercice"),
    _column("family", "nom d exercice"),
    _column("given", "prenom d exercice"),
    _column("profession", "libelle profession"),
    _column("specialty", "libelle savoir faire"),
    _column("paperless", "dematerialisation"),
    _column("company", "raison sociale"),
    _column("sign", "enseigne commerciale"),
    _column("line6", "l6ligneacheminement"),
    _column("postal_code", "code postal"),
)


def _mailboxes(row: dict[str, str]) -> Iterator[Item]:
    yield items.mailbox(
        row
        | {
            "person": items.person(row["person_type"], row["person_number"]),
            "structure": items.structure(row["structure_type"], row["structure_number"]),
            "name": row["company"] or row["sign"],
            "town": _town(row["line6"]),
        }
    )


def _town(line: str) -> str:
    """'75019 PARIS CEDEX 19' is PARIS."""
    found = _TOWN.fullmatch(line)
    return found["town"] if found else line


# --- people: PS_LibreAcces (directory §3.3, §3.4) ----------------------------------------------------------------

_ACTIVITY = (
    _column("national", "identification nationale pp", key=True),
    _column("title", "libelle civilite d exercice"),
    _column("family", "nom d exercice", key=True),
    _column("given", "prenom d exercice"),
    _column("profession", "libelle profession"),
    _column("mode", "libelle mode exercice"),
    _column("siret", "numero siret site"),
    _column("finess", "numero finess site"),
    _column("technical", "identifiant technique de la structure"),
    _column("company", "raison sociale site"),
    _column("sign", "enseigne commerciale site"),
    _column("postal_code", "code postal"),
    _column("town", "libelle commune"),
    _column("phone", "telephone"),
    _column("sector", "code secteur d activite"),
    _column("role", "libelle role"),
    _column("activity", "libelle genre activite"),
)


def _activities(row: dict[str, str]) -> Iterator[Item]:
    """The person, and where he practises: one row for each exercise and activity (directory §3.3)."""
    who = items.person_of(row["national"])
    if not who:
        raise Refused("person-identifier")
    yield items.item(Branch.PERSONS, who, row | {"person": who})
    where = (
        items.structure("FINESS", row["finess"])
        or items.structure("SIRET", row["siret"])
        or items.structure("ID", row["technical"])
    )
    if not where:
        return
    key = "|".join((who, where, row["mode"], row["role"], row["activity"])).casefold()
    name = row["company"] or row["sign"]
    yield items.item(Branch.SITUATIONS, key, row | {"person": who, "structure": where, "name": name})


_SKILL = (
    _column("national", "identification nationale pp", key=True),
    _column("specialties", "libelle savoir faire", key=True),
)
_DIPLOMA = (
    _column("national", "identification nationale pp", key=True),
    _column("diplomas", "libelle diplome obtenu", key=True),
)


def _attribute_of_person(row: dict[str, str]) -> Iterator[Item]:
    who = items.person_of(row["national"])
    if not who:
        raise Refused("person-identifier")
    yield items.item(Branch.PERSONS, who, row | {"person": who})


# --- structures: FINESS (directory §3.7), the extraction that names no columns -----------------------------------

FINESS_HEADER = (
    *("structureet", "nofinesset", "nofinessej", "rs", "rslongue", "complrs", "compldistrib", "numvoie", "typvoie"),
    *("voie", "compvoie", "lieuditbp", "commune", "departement", "libdepartement", "ligneacheminement", "telephone"),
    *("telecopie", "categetab", "libcategetab", "categagretab", "libcategagretab", "siret"),
)

_FINESS = (
    _column("finess", "nofinesset", key=True),
    _column("legal_finess", "nofinessej"),
    _column("short", "rs", key=True),
    _column("long", "rslongue"),
    _column("line6", "ligneacheminement"),
    _column("phone", "telephone"),
    _column("category", "libcategetab"),
    _column("siret", "siret"),
)


def _structures(row: dict[str, str]) -> Iterator[Item]:
    number = items.structure("FINESS", row["finess"]).partition(":")[2]
    if not number:
        raise Refused("finess")
    postal_code = row["line6"][:5] if row["line6"][:5].isdecimal() else ""
    named = row | {"finess": number, "name": row["long"] or row["short"], "postal_code": postal_code}
    yield items.item(Branch.STRUCTURES, number, named | {"town": _town(row["line6"])})


# --- a table of one's own ----------------------------------------------------------------------------------------

TEMPLATE = (
    *("type", "adresse", "rpps", "finess", "service", "civilite", "nom", "prenom", "profession", "specialite"),
    *("structure", "ville", "code_postal"),
)
"""The header of the template that `pli directory template` prints."""

_OWN_FIELDS = {
    **{"type": "kind", "adresse": "address", "rpps": "rpps", "finess": "finess", "service": "service"},
    **{"civilite": "title", "nom": "family", "prenom": "given", "profession": "profession"},
    **{"specialite": "specialty", "structure": "name", "ville": "town", "code_postal": "postal_code"},
}


def _own(row: dict[str, str]) -> Iterator[Item]:
    who = items.person(items.RPPS, row["rpps"])
    yield items.mailbox(row | {"person": who, "structure": items.structure("FINESS", row["finess"]), "paperless": ""})


def own_table(mapping: dict[str, str], encoding: str = "utf-8", separator: str = ";") -> Source:
    """Mailboxes from a table of one's own. `mapping`: name of the template's column -> name in the file. What is named
    must be there: a heading with a slip in it would leave its values out of the directory; and it is that column alone,
    even where it is called like another of ours.

    Raises FeedError for a column that the template does not have, or one that it needs and that is named as another.
    """
    theirs = {_known(name): normalised(heading) for name, heading in mapping.items()}
    columns = tuple(_own_column(theirs, name) for name in TEMPLATE)
    return Source("tableau", "Tableau de l'établissement", columns, _own, Shape(separator, True, encoding))


def _own_column(theirs: dict[str, str], name: str) -> Column:
    ours, needed = normalised(name), name in ("type", "adresse", *theirs)
    taken = name not in theirs and ours in theirs.values()
    if taken and needed:
        raise FeedError(f"la colonne « {name} » manque : son nom est donné pour une autre")
    return Column(_OWN_FIELDS[name], () if taken else (theirs.get(name, ours),), needed)


# --- another directory's export ----------------------------------------------------------------------------------

_ATTRIBUTES = {
    **{"kind": ("msstype",), "address": ("mail", "mssadresse"), "identifiers": ("hcidentifier",)},
    **{"rpps": ("rpps",), "finess": ("finess",), "service": ("mssservice",), "title": ("title",), "family": ("sn",)},
    **{"given": ("givenname",), "profession": ("hcprofession",), "specialty": ("hcspecialisation",), "name": ("o",)},
    **{"town": ("l",), "postal_code": ("postalcode",)},
}
"""Field -> the attributes of our schema, or others' (ISO 21091, RFC 4519), in which it stands."""
_IDENTIFIER = re.compile(r"[^:]*:(RPPS|FINESS):([0-9A-Za-z]+)(?::.*)?", re.IGNORECASE)


def _exported(row: dict[str, str]) -> Iterator[Item]:
    told = {name: value.partition(BETWEEN)[0] for name, value in row.items()}
    found = filter(None, map(_IDENTIFIER.fullmatch, row["identifiers"].split(BETWEEN)))
    numbers = {each[1].lower(): each[2] for each in found}
    who = items.person(items.RPPS, told["rpps"] or numbers.get("rpps", ""))
    where = items.structure("FINESS", told["finess"] or numbers.get("finess", ""))
    yield items.mailbox(told | {"person": who, "structure": where, "paperless": ""})


def ldif(mapping: dict[str, str]) -> Source:
    """Mailboxes of another directory. `mapping`: name of the template's column -> its attribute there.

    Raises FeedError for a column that the template does not have.
    """
    wanted = {_OWN_FIELDS[_known(name)]: (attribute.lower(),) for name, attribute in mapping.items()}
    names = _ATTRIBUTES | wanted
    columns = tuple(Column(each, names[each], key=each == "address") for each in _ATTRIBUTES)
    return Source("ldif", "Export LDIF d'un annuaire", columns, _exported, opened=_records)


def _records(file: Readable, columns: Sequence[Column], _: Shape) -> Records:
    return Records(file, columns)


def _known(name: str) -> str:
    if name not in TEMPLATE:
        raise FeedError(f"« {name} » n'est pas une colonne du modèle : {', '.join(TEMPLATE)}")
    return name


MSSANTE = Source(
    "mssante",
    "Extraction nationale des boîtes MSSanté",
    _MAILBOX,
    _mailboxes,
    files=r"Extraction_Correspondance_MSSante_\d{12}\.txt",
)
ACTIVITIES = Source(
    "personne-activite",
    "Professionnels et activités (RPPS)",
    _ACTIVITY,
    _activities,
    files=r"PS_LibreAcces_Personne_activite_\d{12}\.txt",
)
SKILLS = Source(
    "savoir-faire",
    "Savoir-faire (RPPS)",
    _SKILL,
    _attribute_of_person,
    gathers=frozenset({"specialties"}),
    owns=frozenset({"specialties"}),
    files=r"PS_LibreAcces_SavoirFaire_\d{12}\.txt",
)
DIPLOMAS = Source(
    "diplomes",
    "Diplômes et autorisations (RPPS)",
    _DIPLOMA,
    _attribute_of_person,
    gathers=frozenset({"diplomas"}),
    owns=frozenset({"diplomas"}),
    files=r"PS_LibreAcces_Dipl_AutExerc_\d{12}\.txt",
)
FINESS = Source(
    "finess",
    "Établissements (FINESS)",
    _FINESS,
    _structures,
    shape=Shape(";", header=FINESS_HEADER, only=b"structureet;"),  # coordinates stand in the same file
    opened=finess.opened,
    stale_hours=24 * 62,
)

KNOWN = {each.name: each for each in (MSSANTE, ACTIVITIES, SKILLS, DIPLOMAS, FINESS, own_table({}), ldif({}))}
"""By the name that commands take."""
