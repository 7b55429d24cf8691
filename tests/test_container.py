"""The container files of docs/container: of the shape that their norms want, and about what is really here."""

from __future__ import annotations

import copy
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfile_parse import DockerfileParser
from jsonschema import Draft7Validator, ValidationError

from gateway.install import surroundings
from gateway.install.answers import Answers

ROOT = Path(__file__).resolve().parent.parent
CONTAINER = ROOT / "docs" / "container"
SCHEMA = json.loads((ROOT / "tests" / "vectors" / "compose-spec.json").read_text("utf-8"))
"""github.com/compose-spec/compose-spec, schema/compose-spec.json (Apache-2.0)."""
INSTRUCTIONS = {
    "FROM", "RUN", "CMD", "LABEL", "EXPOSE", "ENV", "ADD", "COPY", "ENTRYPOINT", "VOLUME", "USER", "WORKDIR", "ARG",
    "ONBUILD", "STOPSIGNAL", "HEALTHCHECK", "SHELL", "COMMENT",
}  # fmt: skip


@pytest.fixture
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CONTAINER / "compose.yaml").read_text("utf-8"))
    return found


@pytest.fixture
def steps() -> list[dict[str, str]]:
    """The Containerfile's instructions, in their order."""
    return _steps((CONTAINER / "Containerfile").read_bytes())


def _steps(text: bytes) -> list[dict[str, str]]:
    found: list[dict[str, str]] = DockerfileParser(fileobj=io.BytesIO(text)).structure
    return found


def test_the_compose_file_is_of_the_norms_shape(compose: dict[str, Any]) -> None:
    """The Compose Specification's own schema takes it; with a misspelt key it does not."""
    Draft7Validator(SCHEMA).validate(compose)
    wrong = copy.deepcopy(compose)
    wrong["services"]["node"]["volume"] = wrong["services"]["node"].pop("volumes")
    with pytest.raises(ValidationError):
        Draft7Validator(SCHEMA).validate(wrong)


def test_the_containerfile_is_made_of_instructions(steps: list[dict[str, str]]) -> None:
    """Each is one of the format's, begins with FROM Debian 12, and copies what is there."""
    assert {each["instruction"] for each in steps} <= INSTRUCTIONS
    bases = [each["value"].split()[0] for each in steps if each["instruction"] == "FROM"]
    assert bases == ["docker.io/library/debian:12-slim"] * 2
    copied = [each["value"].split()[:-1] for each in steps if each["instruction"] == "COPY"]
    ours = [name for names in copied for name in names if not names[0].startswith("--from=")]
    assert [name for name in ours if not (ROOT / name).exists()] == []
    assert {"certs", "directory", "relay", "dmp_bridge", "gateway", "docs", "setup.cfg"} <= set(ours)


def test_a_word_that_is_no_instruction_is_noticed() -> None:
    """The twin."""
    assert {each["instruction"] for each in _steps(b"FROM debian\nRUNS true\n")} - INSTRUCTIONS == {"RUNS"}


def test_no_key_gets_into_the_image(steps: list[dict[str, str]]) -> None:
    """What quickstart writes lies in volumes of both files."""
    kept = {str(Answers.model_fields[name].default) for name in ("etc", "data", "mail", "directory")}
    declared = next(each["value"] for each in steps if each["instruction"] == "VOLUME")
    assert set(json.loads(declared)) == kept


def test_the_services_serve_what_quickstart_wrote(compose: dict[str, Any], steps: list[dict[str, str]]) -> None:
    """The ports that the firewall opens, the files that the units name, one loopback for all."""
    services, opened = compose["services"], {str(port) for port in surroundings.OPEN}
    assert {each.partition(":")[2] for each in services["node"]["ports"]} == opened
    exposed = next(each["value"] for each in steps if each["instruction"] == "EXPOSE")
    assert set(exposed.split()) == opened
    assert {services[name]["network_mode"] for name in ("mailboxes", "directory")} == {"service:node"}
    used = {volume.split(":")[0] for each in services.values() for volume in each["volumes"]}
    assert used == set(compose["volumes"])
    assert "/etc/pli/dovecot/dovecot.conf" in services["mailboxes"]["entrypoint"]


def test_nothing_in_them_is_secret_or_privileged(compose: dict[str, Any]) -> None:
    """No service is privileged, and none has a password in its environment."""
    for service in compose["services"].values():
        assert not service.get("privileged")
        assert "environment" not in service
    assert not re.search(r"(?i)password|secret", (CONTAINER / "Containerfile").read_text("utf-8"))
