"""The roll of patients as a file: what `pli patients import` reads.

Promises: one CSV with named columns, UTF-8, read whole before anything is written; each error names its
line and column, never the value. Does not: write to the register (dmp_bridge.patients does).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from dmp_bridge import cda
from dmp_bridge.model import INS_ROOTS, Ins, InsStatus, Patient, Traits

COLUMNS = (
    "ipp",
    "matricule",
    "oid",
    "statut",
    "nom_naissance",
    "premier_prenom",
    "prenoms",
    "date_naissance",
    "sexe",
    "lieu_naissance",
)
STATUSES = {
    "provisoire": InsStatus.PROVISIONAL,
    "récupérée": InsStatus.RETRIEVED,
    "recuperee": InsStatus.RETRIEVED,
    "validée": InsStatus.VALIDATED,
    "validee": InsStatus.VALIDATED,
    "qualifiée": InsStatus.QUALIFIED,
    "qualifiee": InsStatus.QUALIFIED,
    "": InsStatus.UNSTATED,
}
MAX_LINES = 2_000_000


@dataclass(frozen=True)
class LineError:
    line: int
    column: str
    words: str
    """French, for the person who made the file; holds no value of it."""

    def __str__(self) -> str:
        return f"ligne {self.line}, {self.column} : {self.words}" if self.column else self.words


@dataclass(frozen=True, repr=False)
class Roll:
    patients: tuple[Patient, ...]
    errors: tuple[LineError, ...] = ()


class _Wrong(ValueError):
    def __init__(self, column: str, words: str) -> None:
        super().__init__(words)
        self.column, self.words = column, words


def load_csv(data: bytes, local_root: str) -> Roll:
    """The patients of a file; separator ';' or ','. `local_root` is the OID under which its 'ipp' column
    stands."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return Roll((), (LineError(0, "", "Le fichier n'est pas en UTF-8."),))
    first = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in first else ",", strict=True)
    absent = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if absent:
        return Roll((), (LineError(1, ", ".join(absent), "colonne absente"),))
    return _lines(reader, local_root)


def _lines(reader: csv.DictReader[str], local_root: str) -> Roll:
    patients: dict[tuple[str, str], Patient] = {}
    errors: list[LineError] = []
    try:
        for row in reader:
            try:
                patient = _patient(row, local_root)
                if patient.local_ids[0] in patients:
                    raise _Wrong("ipp", "déjà présent plus haut")
                patients[patient.local_ids[0]] = patient
            except _Wrong as wrong:
                errors.append(LineError(reader.line_num, wrong.column, wrong.words))
            if reader.line_num > MAX_LINES:
                raise csv.Error("too many lines")
    except csv.Error:
        errors.append(LineError(reader.line_num, "ligne", "illisible : guillemets ou longueur"))
    return Roll(tuple(patients.values()), tuple(errors))


def _patient(row: Mapping[str, str | None], local_root: str) -> Patient:
    value = {name: (row.get(name) or "").strip() for name in COLUMNS}
    if None in row:
        raise _Wrong("ligne", "trop de colonnes")
    if not value["ipp"]:
        raise _Wrong("ipp", "absent")
    status = STATUSES.get(value["statut"].lower())
    if status is None:
        raise _Wrong("statut", "attendu : provisoire, récupérée, validée ou qualifiée")
    ins = _ins(value["matricule"].replace(" ", ""), value["oid"])
    patient = Patient(ins, _traits(value), ((local_root, value["ipp"]),), status)
    if status is InsStatus.QUALIFIED and (ins is None or not patient.traits.complete):
        raise _Wrong("statut", "une identité qualifiée porte un matricule INS et quatre traits")
    return patient


def _ins(matricule: str, root: str) -> Ins | None:
    if not matricule:
        return None
    if root not in INS_ROOTS:
        raise _Wrong("oid", "ce n'est pas un OID d'INS")
    ins = Ins(matricule, root)
    if not cda.well_formed(ins):
        raise _Wrong("matricule", "attendu : 15 caractères et une clé juste")
    return ins


def _traits(value: Mapping[str, str]) -> Traits:
    sex = value["sexe"].upper()
    if sex not in ("", "M", "F", "UN"):
        raise _Wrong("sexe", "attendu : M, F ou UN")
    names = (value["nom_naissance"], value["premier_prenom"], value["prenoms"])
    return Traits(*names, _day(value["date_naissance"]), sex, value["lieu_naissance"])


def _day(text: str) -> date | None:
    """AAAA-MM-JJ or JJ/MM/AAAA."""
    if not text:
        return None
    french = re.fullmatch(r"(\d\d)/(\d\d)/(\d{4})", text)
    try:
        return date(int(french[3]), int(french[2]), int(french[1])) if french else date.fromisoformat(text)
    except ValueError:
        raise _Wrong("date_naissance", "attendue : AAAA-MM-JJ ou JJ/MM/AAAA") from None
