"""`pli quickstart`: a node that could go to work, on a machine that has nothing of it yet.

Promises: what is not answered by option or file is asked on a terminal, and refused by name without one; what was done,
what was left alone and what remains is printed, the first administrator's password once. Does not: hold a rule of it
(gateway.install does).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.command import Failure

if TYPE_CHECKING:
    from gateway.install.answers import Answers
    from gateway.install.founding import Founded

_HOUSE = ("name", "organisation", "establishment", "department", "domains")


@click.command()
@click.option("--answers", "file", type=click.Path(dir_okay=False, path_type=Path), help="A TOML file with answers.")
@click.option("--hostname", help="DNS name of this machine.")
@click.option("--tenant", "name", help="Short name of the establishment.")
@click.option("--organisation", help="Raison sociale.")
@click.option("--establishment", help="Struct_IdNat: 1 + FINESS, 3 + SIRET.")
@click.option("--department", help="Name and number, as in 'Paris (75)'.")
@click.option("--domain", "domains", multiple=True, help="A mail domain of it; may be repeated.")
@click.option("--administrator", help="Mailbox of the first administrator.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@click.option("--unattended", is_flag=True, help="Ask nothing: what is not answered is an error.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def quickstart(
    file: Path | None,
    hostname: str | None,
    administrator: str | None,
    dry_run: bool,
    unattended: bool,
    as_json: bool,
    **house: Any,
) -> None:
    """Write a new node: configuration, keys, certificate requests, DNS records, firewall, units, servers beside it."""
    from gateway.install import answers as answering
    from gateway.install import founding

    try:
        said = answering.read(file) if file else {}
        said |= {key: each for key, each in (("hostname", hostname), ("administrator", administrator)) if each}
        _house(said, house)
        if not unattended and sys.stdin.isatty():
            _ask(said)
        told = answering.told(said)
        founded = founding.found(told, dry=dry_run)
    except (answering.NotAnswered, ValueError) as error:
        raise Failure(str(error)) from None
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}") from None
    click.echo(json.dumps(_told(founded), ensure_ascii=False)) if as_json else _show(told, founded, dry_run)


def _house(said: dict[str, Any], given: Mapping[str, Any]) -> None:
    """The options' establishment: the one of the file, with what they say otherwise."""
    wanted = {key: each for key, each in given.items() if each}
    listed = said.setdefault("tenants", [{}])
    if wanted and len(listed) > 1:
        raise Failure("the answers file names several tenants: options for one of them say nothing of which")
    if wanted:
        listed[0] |= wanted


def _ask(said: dict[str, Any]) -> None:
    """On a terminal, what is not answered yet; French first, with the shape by example."""
    from gateway.install.answers import Answers, House

    _prompt(said, Answers, "hostname")
    for house in said["tenants"]:
        for key in _HOUSE:
            _prompt(house, House, key)
    _prompt(said, Answers, "administrator")


def _prompt(said: dict[str, Any], model: Any, key: str) -> None:
    field = model.model_fields[key]
    if key not in said:
        said[key] = click.prompt(f"{field.description} ({field.examples[0]})", err=True)


# --- what is printed ------------------------------------------------------------------------------------------


def _show(told: Answers, founded: Founded, dry: bool) -> None:
    from gateway.install.placing import Fate, beside

    if dry:
        click.echo("dry run: nothing is written")
    for each in founded.placed:
        more = f": edited, left as it is; the new text is {beside(each.path)}" if each.fate is Fate.LEFT else ""
        click.echo(f"{each.fate.value:<9} {each.path}{more}")
    click.echo(f"clock     {founded.clock}")
    if founded.password:
        click.echo(f"\nFirst administrator: {founded.administrator}\nPassword, shown this once: {founded.password}")
    click.echo("\nDNS records to publish:")
    for record in founded.records:
        click.echo(f"  {record}")
    click.echo("\nLeft to do by hand:")
    for number, task in enumerate(founded.left, 1):
        click.echo(f"{number:>3}. {task.what}")
        if task.command:
            click.echo(f"     $ {task.command}")
    click.echo("\nPli is not homologated; what may not be claimed: pli config check")


def _told(founded: Founded) -> dict[str, Any]:
    return {
        "placed": [{"path": str(each.path), "fate": each.fate.value} for each in founded.placed],
        "requests": [
            {"profile": each.profile, "request": str(each.request), "certificate": str(each.certificate)}
            for each in founded.requests
        ],
        "records": list(founded.records),
        "clock": founded.clock.value,
        "administrator": founded.administrator,
        "password": founded.password,
        "left": [{"what": each.what, "command": each.command} for each in founded.left],
    }
