"""`pli erase`: the letters of a mailbox or of a patient, shown first, erased with --yes, with a report.

Promises: without --yes nothing changes; the report names no person; exit code 1 where something could not go yet. Does
not: hold a rule of it (gateway.erasing, relay.erasure).
"""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gateway.command import Failure, with_settings
from gateway.config import Settings

YES = click.option("--yes", is_flag=True, help="Erase; without it, only say what would be erased.")
REPORT = click.option("--report", "file", type=click.Path(path_type=Path), help="Write the report there too (JSON).")
JSON = click.option("--json", "as_json", is_flag=True, help="The report as JSON.")


@click.group()
def erase() -> None:
    """Erase letters for the sake of a person: bodies' keys are destroyed, rows keep pseudonyms."""


@erase.command("mailbox")
@click.argument("address")
@YES
@REPORT
@JSON
@with_settings
def erase_mailbox(settings: Settings, address: str, yes: bool, file: Path | None, as_json: bool) -> None:
    """The letters from ADDRESS and to it."""
    from directory.address import BadAddress, parse
    from gateway import erasing

    try:
        wanted = erasing.mailbox(settings, str(parse(address)))
    except BadAddress:
        raise Failure("this is no address") from None
    _done(settings, wanted, yes, file, as_json)


@erase.command("patient")
@click.option("--ins", default="", help="The matricule; asked for where it is not given, so that no history keeps it.")
@YES
@REPORT
@JSON
@with_settings
def erase_patient(settings: Settings, ins: str, yes: bool, file: Path | None, as_json: bool) -> None:
    """The letters from or to a patient, those whose documents are about him, and his rows of the register."""
    from gateway import erasing

    matricule = "".join((ins or click.prompt("matricule INS", hide_input=True, err=True)).split())
    if len(matricule) not in (13, 15) or not matricule.isalnum():
        raise Failure("a matricule INS has 13 characters, or 15 with its key")
    _done(settings, erasing.patient(settings, matricule, _progress), yes, file, as_json)


def _progress(count: int) -> None:
    if count % 100 == 0:
        click.echo(f"letters opened: {count}", err=True)


def _done(settings: Settings, wanted: object, yes: bool, file: Path | None, as_json: bool) -> None:
    from gateway import erasing

    assert isinstance(wanted, erasing.Wanted)
    told = erasing.erase(settings, wanted, getpass.getuser()) if yes else erasing.report(wanted)
    text = json.dumps(told, indent=1)
    if file:
        file.write_text(text + "\n")
    if as_json:
        click.echo(text)
    else:
        word = f"{told['erased']} letters erased" if yes else f"{len(told['letters'])} letters would be erased (--yes)"
        click.echo(f"{told['whose']}: {word}, {len(told['kept'])} not yet, {told['unread']} unread")
        for letter, why in told["kept"].items():
            click.echo(f"{letter}: {why}")
        _say_register(told, yes)
        if told["still_published"]:
            click.echo(
                "the mailbox is still published, and its row stays: pli mailbox close, then pli directory publish"
            )
    if told["kept"] or told["still_published"] or told["register_waits"]:
        sys.exit(1)


def _say_register(told: Mapping[str, Any], yes: bool) -> None:
    rows = ", ".join(f"{count} {name}" for name, count in told["register"].items() if count)
    if told["register_waits"]:
        click.echo(f"register: {rows}: not while a letter about him is under way; ask again")
    elif rows:
        click.echo(f"register: {rows} {'erased' if yes else 'would be erased'}")
    if told["bore_the_matricule_once"]:
        click.echo(f"register: {told['bore_the_matricule_once']} who bore it once and bear another matricule stay")
