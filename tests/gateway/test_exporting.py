"""Files of indicators: exactly the columns of a template, whatever it says, and nothing a spreadsheet would run."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from gateway import exporting
from gateway.config import ConfigError
from gateway.exporting import Mailbox
from relay.indicators import Row

A, B = "a@lilas.example", "b@lilas.example"
ROWS = [
    Row("2026-11-03", A, "connected", "submission", 2, 0),
    Row("2026-11-03", A, "sent", "operator", 3, 3000),
    Row("2026-11-05", A, "connected", "imap-token", 1, 0),
    Row("2026-11-05", A, "sent", "patient", 1, 500),
    Row("2026-11-05", A, "document", "34112-3", 4, 0),
    Row("2026-11-05", "", "notices", "operator", 1, 0),
    Row("2026-11-05", "@patient.mssante.fr", "received", "internal", 1, 9),
]
BOXES = [Mailbox(A, "PER", "930000017"), Mailbox(B, "ORG", "930000017", red_list=True)]


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """What ships, written for one month."""
    made = [exporting.write(each, tmp_path, "lilas", "2026-11", ROWS, BOXES) for each in exporting.load()]
    return {path.name: path for path in made}


def test_the_files_are_named_by_their_templates(files: dict[str, Path]) -> None:
    """One for each template that ships, nothing half written beside them."""
    assert set(files) == {"Connexions_lilas_2026-11.csv", "Boites_lilas_2026-11.csv", "Documents_lilas_2026-11.csv"}
    assert {path.name for path in next(iter(files.values())).parent.iterdir()} == set(files)


def test_connexions_has_a_line_a_day_and_one_for_who_never_came(files: dict[str, Path]) -> None:
    """The field Date, in the template's format, and its word where there is no connection."""
    path = files["Connexions_lilas_2026-11.csv"]
    assert path.read_bytes().split(b"\r\n")[0] == b"Adresse;Type;Structure;Date;Connexions"
    assert [(row["Adresse"], row["Date"], row["Connexions"]) for row in _read(path)] == [
        (A, "03/11/2026", "2"),
        (A, "05/11/2026", "1"),
        (B, "NC", "0"),
    ]


def test_boites_has_a_line_for_each_mailbox(files: dict[str, Path]) -> None:
    """Sums of the month; a patient and the node itself are no mailbox."""
    first, second = _read(files["Boites_lilas_2026-11.csv"])
    assert (first["Adresse"], first["EnvoyesOperateur"], first["EnvoyesPatient"], first["OctetsEnvoyes"]) == (
        A,
        "3",
        "1",
        "3500",
    )
    assert (first["DerniereConnexion"], first["ListeRouge"], first["Domaine"]) == ("2026-11-05", "N", "lilas.example")
    assert (second["Adresse"], second["EnvoyesOperateur"], second["ListeRouge"]) == (B, "0", "O")


def test_a_template_of_the_operators_own_counts(tmp_path: Path) -> None:
    """Names, order, separator, encoding: all of it is data."""
    (tmp_path / "own.toml").write_text(
        'file = "own-{month}.txt"\nseparator = "|"\nline_end = "\\n"\nencoding = "latin-1"\nlines = "tenant"\n'
        '[[columns]]\nname = "Envoyés"\nmeasure = "sent"\n[[columns]]\nname = "Patients"\nmeasure = "sent"\n'
        'keys = ["patient"]\n'
    )
    (template,) = exporting.load(tmp_path)
    path = exporting.write(template, tmp_path, "lilas", "2026-11", ROWS, BOXES)
    assert path.read_bytes() == "Envoyés|Patients\n4|1\n".encode("latin-1")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('lines = "week"', "lines is one of"),
        ('lines = "key"', "need a measure"),
        ('lines = "tenant"\nfile = "../x"', "not a path"),
        ('lines = "tenant"\ncolour = 1', "no template"),
        ('lines = "tenant"\n[[columns]]\nname = "x"\nfield = "patient"', "unknown fields: patient"),
    ],
)
def test_a_template_that_cannot_be_is_refused_with_a_sentence(tmp_path: Path, line: str, told: str) -> None:
    """Its file and its fault are named."""
    file = "" if "file =" in line else 'file = "x.csv"\n'
    columns = "" if "[[columns]]" in line else '\n[[columns]]\nname = "x"\nmeasure = "sent"\n'
    (tmp_path / "bad.toml").write_text(f"{file}{line}{columns}")
    with pytest.raises(ConfigError, match=told):
        exporting.load(tmp_path)


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@sum"])
def test_a_cell_is_never_a_formula(cell: str) -> None:
    """A spreadsheet that opens the file computes nothing."""
    assert exporting.plain(cell) == f"'{cell}"
    assert exporting.plain("1-1") == "1-1"
