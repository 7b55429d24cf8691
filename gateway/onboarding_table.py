"""The table by which many arrive at once: establishments with their domains, structures, and mailboxes.

Promises: every row becomes one arrival or one rejection with its line and a named reason, and a bad row hurts no other;
columns are found by name in any order, whatever the spreadsheet (UTF-8 with or without a mark, or Windows-1252). A
reason repeats nothing of the row. Does not: know what is there already, or write.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from directory.address import BadAddress, parse
from directory.duplicates import has_key
from directory.model import Entry, Kind, Provenance
from directory.names import fold
from gateway.install.answers import House

COLUMNS = (
    *("type", "etablissement", "raison_sociale", "struct_idnat", "departement", "domaines", "adresse", "categorie"),
    *("civilite", "prenom", "nom", "rpps", "specialite", "service", "ville", "code_postal", "liste_rouge"),
)
"""type: tenant (an establishment with domains here), structure, or boite."""
NEEDED = ("type", "adresse")
TABLE_MOST = 64 << 20
VALUE_MOST = 250
TENANT_MOST = 32
"""As gateway.tenants names them."""
SOURCE = "onboarding"
_YES = frozenset({"o", "oui", "yes", "true", "1"})

Row = Mapping[str, str]


class NotATable(Exception):
    """The file as a whole cannot be used; the text is for the operator."""


@dataclass(frozen=True)
class Rejected:
    line: int
    reason: str


@dataclass(frozen=True)
class Structure:
    line: int
    finess: str
    name: str
    town: str = ""
    postal_code: str = ""


@dataclass(frozen=True)
class Box:
    line: int
    entry: Entry


@dataclass
class Table:
    """What a file wants, in its order."""

    rows: int = 0
    houses: dict[str, tuple[int, House]] = field(default_factory=dict)
    structures: list[Structure] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


class _Bad(Exception):
    """The reason's name."""


def read(data: bytes) -> Table:
    """Raises NotATable."""
    if len(data) > TABLE_MOST:
        raise NotATable(f"the file has more than {TABLE_MOST >> 20} MB")
    table, seen = Table(), set[str]()
    for line, row in _rows(_text(data)):
        table.rows += 1
        try:
            _take(table, line, row, seen)
        except _Bad as reason:
            table.rejected.append(Rejected(line, str(reason)))
    return table


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _rows(text: str) -> Iterator[tuple[int, Row]]:
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=";")
    try:
        header = [fold(name).replace(" ", "_") for name in next(lines, [])]
        if missing := [name for name in NEEDED if name not in header]:
            raise NotATable(f"no column '{missing[0]}': `pli onboard --template` prints the header")
        for values in lines:
            if any(each.strip() for each in values):
                known = dict(zip(header, (each.strip() for each in values), strict=False))
                yield lines.line_num, {**dict.fromkeys(COLUMNS, ""), **known}
    except csv.Error as error:
        raise NotATable(f"line {lines.line_num} is not CSV: {error}") from None


# --- one row ------------------------------------------------------------------------------------------------------


def _take(table: Table, line: int, row: Row, seen: set[str]) -> None:
    for value in row.values():
        if len(value) > VALUE_MOST:
            raise _Bad("too-long")
        if not value.isprintable():
            raise _Bad("control-character")
    take = _TAKERS.get(row["type"].lower())
    if take is None:
        raise _Bad("type")
    take(table, line, row, seen)


def _house(table: Table, line: int, row: Row, seen: set[str]) -> None:
    told = {"name": row["etablissement"], "organisation": row["raison_sociale"], "establishment": row["struct_idnat"]}
    try:
        house = House(**told, department=row["departement"], domains=row["domaines"])
    except ValidationError as error:
        where = error.errors()[0]["loc"]
        raise _Bad(_NAMES.get(str(where[0]), "etablissement") if where else "etablissement") from None
    if len(house.name) > TENANT_MOST or house.name.endswith("-"):
        raise _Bad("etablissement")
    if house.name in table.houses:
        raise _Bad("twice")
    if any(domain in seen for domain in house.domains):
        raise _Bad("domain-twice")
    seen.update(house.domains)
    table.houses[house.name] = (line, house)


_NAMES = {"name": "etablissement", "organisation": "raison_sociale", "establishment": "struct_idnat",
          "department": "departement", "domains": "domaines"}  # fmt: skip


def _structure(table: Table, line: int, row: Row, seen: set[str]) -> None:
    finess = _finess(row)
    if not finess:
        raise _Bad("struct_idnat")
    if not row["raison_sociale"]:
        raise _Bad("raison_sociale")
    if f"structure {finess}" in seen:
        raise _Bad("twice")
    box = Box(line, _entry({**row, "categorie": row["categorie"] or "ORG"}, seen)) if row["adresse"] else None
    seen.add(f"structure {finess}")
    table.structures.append(Structure(line, finess, row["raison_sociale"], row["ville"], row["code_postal"]))
    if box:
        table.boxes.append(box)


def _box(table: Table, line: int, row: Row, seen: set[str]) -> None:
    table.boxes.append(Box(line, _entry(row, seen)))


def _entry(row: Row, seen: set[str]) -> Entry:
    """A mailbox; its address is taken once in a file."""
    try:
        address = parse(row["adresse"])
    except BadAddress:
        raise _Bad("address") from None
    kind = row["categorie"].upper()
    if address.is_patient:
        raise _Bad("patient-address")
    if kind not in ("PER", "ORG", "APP", "CAB"):
        raise _Bad("kind")
    finess, rpps = _finess(row), row["rpps"]
    if (kind in ("PER", "CAB") or rpps) and not has_key(rpps):
        raise _Bad("rpps")
    if kind in ("ORG", "APP") and not finess:
        raise _Bad("struct_idnat")
    if kind == "PER" and not row["nom"]:
        raise _Bad("nom")
    if address.key in seen:
        raise _Bad("address-twice")
    seen.add(address.key)
    person = " ".join(filter(None, (row["civilite"], row["prenom"], row["nom"])))
    place = " - ".join(filter(None, (row["raison_sociale"], row["service"])))
    return Entry(
        address,
        Kind(kind),
        person if kind == "PER" else place or str(address),
        row["nom"],
        row["prenom"],
        row["civilite"],
        rpps,
        finess,
        row["raison_sociale"],
        row["specialite"],
        row["service"],
        row["ville"],
        row["code_postal"],
        red_list=row["liste_rouge"].lower() in _YES,
        provenance=Provenance(SOURCE, owner=SOURCE),
    )


def _finess(row: Row) -> str:
    """Of Struct_IdNat 1 + FINESS, or the nine characters alone; '' where none is said."""
    said = row["struct_idnat"].upper()
    if not said:
        return ""
    bare = said[1:] if len(said) == 10 and said.startswith("1") else said
    if len(bare) != 9 or not bare.isascii() or not bare.isalnum():
        raise _Bad("struct_idnat")
    return bare


_TAKERS: dict[str, Callable[[Table, int, Row, set[str]], None]] = {
    "tenant": _house,
    "structure": _structure,
    "boite": _box,
}
