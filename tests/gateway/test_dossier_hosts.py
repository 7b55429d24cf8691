"""Several dossier hosts in the configuration: what is taken, what is refused, and in whose name they are asked."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dmp_bridge.norms import Assertion, LotSignature
from gateway import config, dossier_hosts
from gateway.demo import stage


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete configuration with every file that it names."""
    folder = tmp_path_factory.mktemp("hosts") / "demo"
    return stage.build(folder, datetime.now(UTC)).seats["lilas"].config


def changed(good: Path, tmp_path: Path, in_dossier: str, after: str = "") -> Path:
    text = good.read_text(encoding="utf-8")
    path = tmp_path / "pli.toml"
    path.write_text(text.replace("[dossier]", f"[dossier]\n{in_dossier}", 1) + after, encoding="utf-8")
    return path


def further(good: Path, name: str, more: str = "") -> str:
    told = config.load(good).dossier
    assert told is not None
    return (
        f'\n[dossiers.{name}]\nurl = "https://{name}.example"\nrepository_id = "2.25.9"\nsource_id = "2.25.2"\n'
        f'certificate = "{told.certificate}"\nkey = "{told.key}"\n{more}\n'
    )


def test_further_hosts_stand_beside_the_default_one(good: Path, tmp_path: Path) -> None:
    """The one of [dossier] comes first; each further one has the name of its section; one that is off is not called."""
    after = further(good, "nord") + further(good, "sud", "enabled = false")
    settings = config.load(changed(good, tmp_path, "", after))
    assert list(dossier_hosts.sections(settings)) == ["regional", "nord"]
    assert dossier_hosts.section(settings).name == "regional"
    assert dossier_hosts.section(settings, "nord").url == "https://nord.example"
    hosts = dossier_hosts.hosts(settings)
    assert (sorted(hosts.clients), hosts.default) == (["nord", "regional"], "regional")


@pytest.mark.parametrize("name", ["sud", "elsewhere"])
def test_a_host_that_is_not_there_is_named(good: Path, tmp_path: Path, name: str) -> None:
    """A host that is off, or unknown, is refused with the names of those that are."""
    settings = config.load(changed(good, tmp_path, "", further(good, "sud", "enabled = false")))
    with pytest.raises(config.ConfigError, match=f"'{name}' is no dossier host: regional"):
        dossier_hosts.section(settings, name)


def test_two_hosts_of_one_name_are_refused(good: Path, tmp_path: Path) -> None:
    """Rows tell hosts apart by their name."""
    settings = config.load(changed(good, tmp_path, "", further(good, "regional")))
    with pytest.raises(config.ConfigError, match="two dossier hosts are called 'regional'"):
        dossier_hosts.sections(settings)


def test_an_unknown_norm_is_refused(good: Path, tmp_path: Path) -> None:
    """The known ones are named."""
    with pytest.raises(config.ConfigError, match="'lunar' is none of: regional, regional-signed, national"):
        config.load(changed(good, tmp_path, 'norm = "lunar"'))


@pytest.mark.parametrize("told", ['norm = "national"', 'name = "national"', 'norm = "national"\nname = "dmp"'])
def test_the_national_norm_needs_the_deployers_homologation(good: Path, tmp_path: Path, told: str) -> None:
    """It ships disabled, whatever the host is called."""
    with pytest.raises(config.ConfigError, match="homologation"):
        config.load(changed(good, tmp_path, told))


def test_with_a_homologation_it_is_taken_and_never_shown(good: Path, tmp_path: Path) -> None:
    """The twin: the number is read from its file, stands in each assertion, and in no repr."""
    number = tmp_path / "homologation"
    number.write_text("HOMO-12345\n")
    told = f'norm = "national"\nname = "national"\nhomologation_file = "{number}"'
    settings = config.load(changed(good, tmp_path, told))
    standing = dossier_hosts.standing(settings, dossier_hosts.section(settings))
    assert (standing.norm.assertion, standing.norm.lot_signature) == (Assertion.INDIRECT, LotSignature.SHA1)
    assert (standing.norm.reads, standing.norm.updates, standing.norm.incoming) == (False, False, False)
    assert standing.software.homologation == "HOMO-12345"
    assert "HOMO" not in repr(standing)
    assert "HOMO" not in settings.model_dump_json()


def test_the_national_norm_files_nothing_that_came_in(good: Path, tmp_path: Path) -> None:
    """Incoming documents are never filed there (design §8)."""
    number = tmp_path / "homologation"
    number.write_text("1")
    told = f'norm = "national"\nhomologation_file = "{number}"\nfiles_incoming = true'
    with pytest.raises(config.ConfigError, match="files_incoming"):
        config.load(changed(good, tmp_path, told))
