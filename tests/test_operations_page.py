"""docs/operations.md is whole: every command, state and reason that an operator can meet stands in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from dmp_bridge.model import FilingReason
from gateway.cli import pli
from gateway.config import Settings, section
from relay.model import Reason, State

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "operations.md").read_text()


def commands(group: click.Group, path: str = "pli") -> Iterator[str]:
    """Each command as it is typed, without options."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}"


def test_every_command_stands_in_the_page() -> None:
    """A new command is described, or this fails."""
    typed = PAGE.replace("pli -c pli.toml ", "pli ").replace("pli -c FILE ", "pli ")
    assert [name for name in commands(pli) if name not in typed] == []


def test_every_reason_and_state_stands_in_the_page() -> None:
    """Nothing shows up in a queue that the page does not explain; and it explains nothing that does not exist."""
    reasons = {reason.value for reason in (*Reason, *FilingReason)}
    table = PAGE.partition("## Reasons")[2].partition("## What to do when")[0]
    named = set(re.findall(r"`([a-z0-9\-]+(?:\.[a-z0-9\-]+)?)`", re.sub(r"\|[^|\n]*\|\n", "|\n", table)))
    assert reasons - named == set()
    assert named - reasons - {"queue.expired"} == set()
    assert [state for state in State if f"| {state.value} (" not in PAGE] == []


def test_every_configuration_key_it_names_exists() -> None:
    """`section.key` in the page is a key of the configuration."""
    known = {
        f"{name}.{key}"
        for name, field in Settings.model_fields.items()
        if (model := section(field.annotation)) is not None
        for key in model.model_fields
    }
    sections = "|".join(name for name in Settings.model_fields if name != "peers")
    page = PAGE.replace("`carrier.surprise`", "")  # an event of the log
    reasons = {reason.value for reason in (*Reason, *FilingReason)}
    named = set(re.findall(rf"`((?:{sections})\.[a-z_]+)`", page)) - reasons
    assert named
    assert named - known == set()


def test_no_row_stands_twice() -> None:
    """A command, reason or key has one row, so that nobody mends one of two."""
    rows = re.findall(r"^\| (`[^|]+`) \|", PAGE, re.MULTILINE)
    assert "`dossier.host-forbids`" in rows
    assert sorted({row for row in rows if rows.count(row) > 1}) == []
