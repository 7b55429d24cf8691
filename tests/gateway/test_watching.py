"""What expires in a node: a whole configuration's files, and the words for an operator."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from certs.expiry import Level
from gateway import config
from gateway.cli import pli
from gateway.config import Settings
from gateway.demo import stage
from gateway.watching import expiring, sentence, warnings


@pytest.fixture(scope="module")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stage.build(tmp_path_factory.mktemp("stage") / "demo", datetime.now(UTC)).seats["lilas"].config


@pytest.fixture(scope="module")
def settings(config_file: Path) -> Settings:
    return config.load(config_file)


def test_a_node_s_certificates_and_lists_are_all_looked_at(settings: Settings) -> None:
    """TLS, keeper, anchors, intermediates, CRLs, the white list and its signer: all there, none unreadable."""
    found = {each.name: each for each in expiring(settings, datetime.now(UTC))}
    assert all(each.fault == "" for each in found.values())
    kinds = {name.rpartition("/")[0] or name for name in found}
    assert {"tls.certificate", "keeper/mailbox", "keeper/seal", "trust/anchors", "trust/intermediates", "trust/crls",
            "trust"} <= kinds  # fmt: skip
    assert {"trust/white-list", "trust/white-list-signer"} <= found.keys()


def test_soon_is_told_and_over_is_to_be_mended(settings: Settings) -> None:
    """Fresh: nothing to say. Near its end: told, with the days. After it: to be mended."""
    now = datetime.now(UTC)
    tls = next(each for each in expiring(settings, now) if each.name == "tls.certificate")
    assert tls.until is not None
    assert "tls.certificate" not in {check.name for check in warnings(settings, now)}
    soon = {check.name: check for check in warnings(settings, tls.until - timedelta(days=20))}["tls.certificate"]
    assert (soon.ok, "in 20 days: renew it" in soon.sentence) == (True, True)
    over = {check.name: check for check in warnings(settings, tls.until + timedelta(days=2))}["tls.certificate"]
    assert (over.ok, "2 days ago: renew it" in over.sentence) == (False, True)


def test_a_white_list_that_is_not_believed_is_told(settings: Settings) -> None:
    """A white list altered by one byte has no end: it is unreadable, and the sentence names it."""
    kept = settings.trust.white_list.read_bytes()
    try:
        settings.trust.white_list.write_bytes(kept.replace(b"lilas", b"lilac", 1))
        found = {each.name: each for each in expiring(settings, datetime.now(UTC))}
    finally:
        settings.trust.white_list.write_bytes(kept)
    assert found["trust/white-list"].level is Level.UNREADABLE
    assert str(settings.trust.white_list) in sentence(found["trust/white-list"])
    assert "trust/white-list-signer" not in found


def test_config_check_says_what_is_missing_among_the_lists(config_file: Path, settings: Settings) -> None:
    """`pli config check` ends badly and names a certificate that cannot be read; without it, it ends well."""
    spoilt = settings.trust.folder / "intermediates" / "zz.pem"
    assert CliRunner().invoke(pli, ["--config", str(config_file), "config", "check"]).exit_code == 0
    spoilt.write_text("rubbish")
    try:
        answer = CliRunner().invoke(pli, ["--config", str(config_file), "config", "check"])
    finally:
        spoilt.unlink()
    assert answer.exit_code != 0
    assert "BAD  trust/intermediates/zz.pem" in answer.output
