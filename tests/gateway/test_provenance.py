"""Where a value of the configuration comes from: it is said of each, and the one that counts is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway import config, provenance
from gateway.cli import pli
from gateway.install import answers, node_file
from gateway.provenance import Source, Value

SAID = {
    "hostname": "mss.lilas.example",
    "administrator": "anne@lilas.example",
    "tenants": [
        {
            "name": "lilas",
            "organisation": "IMAGERIE",
            "establishment": "1930000017",
            "department": "Paris (75)",
            "domains": ["lilas.example"],
        }
    ],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pli.toml"
    path.write_text(node_file.text(answers.told({**SAID, "etc": str(tmp_path)})))
    return path


def _found(file: Path) -> dict[str, Value]:
    return {each.key: each for each in provenance.values(config.load(file), file)}


def test_the_file_and_the_factory_are_told_apart(file: Path) -> None:
    """A key that stands in the file, and one that nobody wrote."""
    found = _found(file)
    assert (found["node.hostname"].source, found["node.hostname"].where) == (Source.FILE, str(file))
    assert (found["carrier.threads"].value, found["carrier.threads"].source) == ("16", Source.FACTORY)
    assert found["node.domains"].value == "lilas.example"


def test_what_the_environment_overrides_is_the_environment_s(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its value is shown, with the variable's name, whether or not the file says otherwise."""
    monkeypatch.setenv("PLI_CARRIER__THREADS", "7")
    monkeypatch.setenv("PLI_MONITOR__PORT", "9999")
    found = _found(file)
    assert found["carrier.threads"] == Value("carrier.threads", "7", Source.ENVIRONMENT, "PLI_CARRIER__THREADS")
    assert found["monitor.port"] == Value("monitor.port", "9999", Source.ENVIRONMENT, "PLI_MONITOR__PORT")


def test_every_key_is_there_once(file: Path) -> None:
    """Nothing of the configuration is left out, nothing said twice."""
    keys = [each.key for each in provenance.values(config.load(file), file)]
    assert len(keys) == len(set(keys))
    assert {each.partition(".")[0] for each in keys} == set(config.Settings.model_fields)


def test_the_command_shows_it(file: Path) -> None:
    """`pli config show --sources`; without the option it is JSON as before."""
    done = CliRunner().invoke(pli, ["--config", str(file), "config", "show", "--sources"])
    assert done.exit_code == 0, done.output
    assert f"node.hostname = mss.lilas.example  (file {file})" in done.output
    assert "carrier.threads = 16  (factory)" in done.output
    assert CliRunner().invoke(pli, ["--config", str(file), "config", "show"]).output.startswith("{")
