"""`pli directory identity`: the entries by which the gateway, the help desk, a delegate or a replica log in at slapd.

Promises: the password comes from a file and leaves as a hash. Does not: write to a directory: whom the gateway may act
for is loaded offline (slapadd), since nobody may write it online (directory.access).
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from gateway.command import Failure, with_node
from gateway.config import Settings
from gateway.directory_upkeep_command import JSON

_NAMES = ("passerelle", "assistance", "delegue", "replique")


@click.command()
@click.argument("name", type=click.Choice(_NAMES))
@click.option("--password-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="Its first line; the node reads the same file.")  # fmt: skip
@JSON
@with_node
def identity(settings: Settings, name: str, password_file: Path, as_json: bool) -> None:
    """Print the LDIF of one identity, for slapadd: passerelle may act for administrators, help desk and delegate."""
    from directory import slapd

    lines = password_file.read_text("utf-8").splitlines()
    if not lines or not lines[0].strip():
        raise Failure(f"{password_file}: an empty password protects nothing")
    text = slapd.identity(f"cn={name}", lines[0].strip(), settings.directory.base)
    click.echo(json.dumps({"name": name, "ldif": text}) if as_json else text, nl=as_json)
