"""`pli backup` and `pli restore`: a copy of the running node, and a node from a copy.

Promises: progress goes to standard error, one line of result to standard output; what cannot be done is one sentence
and exit code 2. Does not: hold a rule of what a copy is (gateway.backup).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from gateway.command import Failure, with_node
from gateway.config import Settings

_EVERY = 1000


def _progress(what: str, count: int) -> None:
    if count % _EVERY == 0:
        click.echo(f"{what}: {count}", err=True)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--link", is_flag=True, help="Hard links to the bodies: quick, on the same file system, no second disk.")
@click.option("--json", "as_json", is_flag=True)
@with_node
def backup(settings: Settings, folder: Path, link: bool, as_json: bool) -> None:
    """Copy this node while it runs into FOLDER: database, sealed bodies, the journal's heads. Keys are not in it."""
    from gateway import app, records
    from gateway import backup as copying

    heads = [records.folder(view) for view in settings.views]
    try:
        count = copying.make(settings.database_url, settings.paths.data, heads, folder, app.clock(), _progress, link)
    except (copying.NoBackup, OSError) as error:
        raise Failure(f"no copy was made: {error}") from None
    told = {"folder": str(folder), "bodies": count}
    click.echo(json.dumps(told) if as_json else f"{folder}: {count} bodies. Keys and configuration are kept apart.")


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True)
@with_node
def restore(settings: Settings, folder: Path, as_json: bool) -> None:
    """Put the copy in FOLDER where this configuration keeps its data, which must be empty; then run `pli verify`."""
    from gateway import backup as copying
    from gateway import records

    heads = [records.folder(view) for view in settings.views]
    try:
        count = copying.restore(settings.database_url, settings.paths.data, heads, folder, _progress)
    except (copying.NoBackup, OSError) as error:
        raise Failure(f"not restored: {error}") from None
    click.echo(json.dumps({"bodies": count}) if as_json else f"{count} bodies; now: pli verify")
    sys.stdout.flush()
