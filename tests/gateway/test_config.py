"""The configuration: what it refuses, and in which words."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway import config, readiness
from gateway.demo import stage
from gateway.manual import markdown


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete configuration with every file that it names."""
    folder = tmp_path_factory.mktemp("stage") / "demo"
    return stage.build(folder, datetime.now(UTC)).seats["lilas"].config


def _changed(good: Path, tmp_path: Path, old: str, new: str) -> Path:
    text = good.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "pli.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_a_complete_file_is_read_and_every_check_is_good(good: Path) -> None:
    """A complete configuration loads, and each file that it names is found and private where it must be."""
    settings = config.load(good)
    assert settings.node.name == "lilas"
    assert [check for check in readiness.checks(settings) if not check.ok] == []


def test_an_unknown_key_is_refused_with_the_nearest_known_one(good: Path, tmp_path: Path) -> None:
    """A misspelt key stops the start and names the key that was meant."""
    path = _changed(good, tmp_path, '"hostname" =', '"hostnam" =')
    with pytest.raises(config.ConfigError, match=r"unknown key 'node\.hostnam'; did you mean 'hostname'\?"):
        config.load(path)


def test_an_unknown_section_is_refused(good: Path, tmp_path: Path) -> None:
    """A section that nobody reads is refused rather than ignored."""
    path = _changed(good, tmp_path, "[delivery]", "[open-relay]\nx = 1\n[delivery]")
    with pytest.raises(config.ConfigError, match="unknown key 'open-relay'"):
        config.load(path)


def test_a_missing_key_is_named(good: Path, tmp_path: Path) -> None:
    """A key that is needed and absent is named with the page that describes it."""
    path = _changed(good, tmp_path, '"tenant" = "lilas"', "")
    with pytest.raises(config.ConfigError, match=r"'node\.tenant' is missing"):
        config.load(path)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    """No configuration file is a sentence that says how to name one."""
    with pytest.raises(config.ConfigError, match="no such configuration file; name another with --config"):
        config.load(tmp_path / "absent.toml")


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    """Something else than TOML is refused in words."""
    path = tmp_path / "pli.toml"
    path.write_text("this is not = = toml", encoding="utf-8")
    with pytest.raises(config.ConfigError, match="not readable as TOML"):
        config.load(path)


def test_the_national_profile_ships_disabled(good: Path, tmp_path: Path) -> None:
    """A national dossier host cannot be configured: homologation is the deployer's."""
    path = _changed(good, tmp_path, "[dossier]", '[dossier]\n"name" = "national"')
    with pytest.raises(config.ConfigError, match="ships disabled"):
        config.load(path)


def test_the_environment_overrides_a_key(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLI_SECTION__KEY wins over the file."""
    monkeypatch.setenv("PLI_NODE__HOSTNAME", "other.example")
    assert config.load(good).node.hostname == "other.example"


def test_a_secret_open_to_others_is_told(good: Path) -> None:
    """A key that others may read is a bad check with the command that mends it."""
    settings = config.load(good)
    settings.tls.key.chmod(0o644)
    try:
        bad = [check for check in readiness.checks(settings) if not check.ok]
        assert [check.name for check in bad] == ["tls.key private"]
        assert "chmod go-rwx" in bad[0].sentence
    finally:
        settings.tls.key.chmod(0o600)


def test_the_manual_is_the_one_in_docs() -> None:
    """docs/configuration.md says what the settings say."""
    page = Path(config.__file__).parent.parent / "docs" / "configuration.md"
    assert page.read_text(encoding="utf-8") == markdown()
