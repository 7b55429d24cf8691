"""`pli xdm` and `pli cda`: the real command on real files, without a node, each exit code and each refused twin."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dmp_bridge import installed
from dmp_bridge.model import HostProfile
from dmp_bridge.norms import norm
from gateway import checkers, documents
from gateway.cda_section import CdaSection
from gateway.cli import pli
from gateway.config import ConfigError
from gateway.demo import sample
from tests.hostile.archive_attacks import ATTACKS

AT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(pli, ["-c", "/nonexistent/pli.toml", *map(str, arguments)], catch_exceptions=False)


def told(result: Result) -> dict[str, Any]:
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


@pytest.fixture
def cr(tmp_path: Path) -> Path:
    path = tmp_path / "cr.xml"
    path.write_bytes(sample.report_cda(AT, sample.report_pdf(AT)))
    return path


@pytest.fixture
def archive(cr: Path, tmp_path: Path) -> Path:
    out = tmp_path / "IHE_XDM.ZIP"
    assert run("xdm", "write", out, cr).exit_code == 0
    return out


def test_what_is_packed_is_unpacked(archive: Path, cr: Path, tmp_path: Path) -> None:
    """The same bytes, under a name of ours."""
    result = run("xdm", "read", archive, "--to", tmp_path / "out")
    assert result.exit_code == 0
    assert "DOC0001.XML  18748-4 CR d'imagerie médicale  v1" in result.stdout
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["document-01.xml"]
    assert (tmp_path / "out" / "document-01.xml").read_bytes() == cr.read_bytes()


def test_nothing_is_written_over(archive: Path, cr: Path) -> None:
    """Unless that is said."""
    refused = run("xdm", "write", archive, cr)
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert run("xdm", "write", archive, cr, "--force").exit_code == 0


def test_an_archive_is_checked(archive: Path) -> None:
    """Layout and header: nothing to say of what we write."""
    found = told(run("xdm", "check", archive, "--json"))
    assert (found["ok"], found["remarks"], found["set_aside"]) == (True, [], 0)
    (document,) = found["documents"]
    assert (document["class"], document["pdf_copy"], document["errors"]) == ("31", True, [])


def test_a_hostile_archive_is_refused(archive: Path, tmp_path: Path) -> None:
    """By its rule, exit code 1, and no file is written."""
    bad = tmp_path / "bad.zip"
    bad.write_bytes(ATTACKS["upwards"][0](archive.read_bytes()))
    result = run("xdm", "read", bad, "--to", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stdout.startswith("refused: entry-name:")
    assert not (tmp_path / "out").exists()


def test_two_patients_are_not_packed(cr: Path, tmp_path: Path) -> None:
    """One sentence, exit code 2."""
    other = tmp_path / "other.xml"
    other.write_bytes(cr.read_bytes().replace(b"279035121518989", b"279035121518888"))
    result = run("xdm", "write", tmp_path / "x.zip", cr, other)
    assert result.exit_code == 2
    assert not (tmp_path / "x.zip").exists()


def test_a_document_is_checked(cr: Path) -> None:
    """Without an installation the header alone is judged, and the schemas cannot tell."""
    found = told(run("cda", "check", cr, "--json"))
    assert (found["ok"], found["errors"], found["remarks"]) == (True, [], [])
    assert found["schema"] == {"answer": "cannot-tell", "why": "not-installed", "made": [], "findings": []}
    assert "header: 0 errors; schemas: cannot-tell (not-installed)" in run("cda", "check", cr).stdout


def test_a_broken_document_is_told_clause_by_clause(cr: Path) -> None:
    """In French or English, with the element, and exit code 1."""
    cr.write_bytes(cr.read_bytes().replace(b'code="fr-FR"', b'code="en-US"').replace(b"18748-4", b"18748-3"))
    french, english = run("cda", "check", cr), run("cda", "check", cr, "--lang", "en")
    assert (french.exit_code, english.exit_code) == (1, 1)
    assert "error: languageCode : fr-FR (SM table 1, languageCode)" in french.stdout
    assert "error: languageCode is not fr-FR" in english.stdout
    assert "perhaps 18748-4 CR d'imagerie médicale was meant" in french.stdout


def test_what_is_no_document_is_refused(tmp_path: Path) -> None:
    """A DTD, or some other XML."""
    for content, rule in ((b"<!DOCTYPE x><ClinicalDocument/>", "xml-refused"), (b"<x/>", "no-clinical-document")):
        path = tmp_path / "x.xml"
        path.write_bytes(content)
        result = run("cda", "check", path)
        assert (result.exit_code, result.stdout.startswith(f"refused: {rule}:")) == (1, True)


def test_no_trait_of_the_patient_is_told(archive: Path, cr: Path) -> None:
    """Neither in lines nor in JSON."""
    for arguments in (("xdm", "check", archive), ("xdm", "read", archive, "--json"), ("cda", "check", cr, "--json")):
        shown = run(*arguments).stdout
        assert "PAT-TROIS" not in shown
        assert "279035121518989" not in shown


def test_what_cannot_be_installed_is_a_sentence(tmp_path: Path) -> None:
    """A folder that holds no schema; and without a configuration nobody knows where to."""
    (tmp_path / "empty").mkdir()
    result = run("cda", "install", tmp_path / "empty", "--folder", tmp_path / "cda")
    assert (result.exit_code, "holds no CDA_extended.xsd" in result.stderr) == (2, True)
    assert "no such configuration file" in run("cda", "install", tmp_path / "empty").stderr


class Told:
    """As much of a node's settings as the wiring asks."""

    def __init__(self, folder: Path) -> None:
        self.cda = CdaSection(folder=folder)


def test_a_norm_that_asks_for_schemas_is_not_served_without(tmp_path: Path) -> None:
    """National: the node does not start; a region's does, and nobody can tell."""
    settings: Any = Told(tmp_path)
    national = HostProfile("dmp", "https://127.0.0.1:1", "2.25.5", "2.25.6", norm=norm("national"))
    regional = HostProfile("region", "https://127.0.0.1:1", "2.25.5", "2.25.6")
    with pytest.raises(ConfigError, match="pli cda install"):
        checkers.schemas(settings, national)
    assert checkers.schemas(settings, regional) is None
    (tmp_path / installed.STAMP).write_text('{"files": 1, "at": "", "source": "", "completed": []}')
    assert checkers.schemas(settings, national) is not None
    assert documents.folder(settings) == tmp_path
