"""`pli journal`: verify the record of what happened, and seal its heads.

Promises: every fault is a line, and the exit code says whether there was one. Does not: hold a rule of the journal
(relay.journal and relay.heads do).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from gateway.command import Failure, with_node, with_settings
from gateway.config import Settings


@click.group()
def journal() -> None:
    """The journal: what happened to every letter, in a chain of hashes."""


@journal.command("verify")
@click.option("--heads", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="A folder of sealed heads kept elsewhere, instead of the node's own.")  # fmt: skip
@with_node
def journal_verify(settings: Settings, heads: Path | None) -> None:
    """Find a changed, missing or added row, and a tail cut since a head was sealed."""
    from gateway import app, records

    faults, sealed = records.verify(settings, app.trust(settings)(), heads)
    click.echo(f"sealed heads compared: {sealed}")
    told(faults)


@journal.command("seal")
@with_settings
def journal_seal(settings: Settings) -> None:
    """Seal the heads now with the tenant's seal, beside the hourly ones; prints the file."""
    from gateway import records

    click.echo(str(records.seal(settings)))


def told(faults: Sequence[str]) -> None:
    for fault in faults:
        click.echo(f"BAD  {fault}")
    if faults:
        raise Failure(f"{len(faults)} faults")
    click.echo("ok")
