"""`pli onboard FILE`: establishments and professionals from one table, with a dry run first.

Promises: bad rows are listed with their line and a named reason, the rest is applied; typed again, nothing changes.
Exit code 1 where a row was rejected. Does not: hold a rule of it (gateway.onboarding, gateway.onboarding_table).
"""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.command import Failure, with_node
from gateway.config import Settings
from gateway.directory_upkeep_command import BY

if TYPE_CHECKING:
    from gateway.onboarding import Arrived
    from gateway.onboarding_table import Table


@click.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", "mode", flag_value="dry", help="Say what would be done, and do nothing.")
@click.option("--apply", "mode", flag_value="apply", help="Do it.")
@click.option("--template", is_flag=True, help="Print the header of the table, with one row of each type.")
@click.option("--tenants", "homes", type=click.Path(file_okay=False, path_type=Path),
              help="Where new tenants' files go; tenants/ beside the configuration otherwise.")  # fmt: skip
@click.option("--because", "why", default="", help="Why: kept in the journal; needed with --apply.")
@BY
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def onboard(file: Path | None, mode: str | None, template: bool, **more: Any) -> None:
    """Make the tenants, structures and mailboxes of FILE: directory, accounts, certificate requests, publication."""
    if template:
        _show_template(more["as_json"])
        return
    if file is None or mode is None:
        raise click.UsageError("name a FILE, and --dry-run or --apply")
    if mode == "apply" and not more["why"]:
        raise click.UsageError("--apply needs --because: why, for the journal")
    _run(file, dry=mode == "dry", **more)


def _run(file: Path, **more: Any) -> None:
    context = click.get_current_context()

    def inside(settings: Settings) -> None:
        table = _table(file)
        done = _arrived(settings, table, Path(context.obj), **more)
        _show(table, done, more["dry"], more["as_json"])
        if done.rejected:
            sys.exit(1)

    under_settings: Any = with_node(inside)
    under_settings()


def _table(file: Path) -> Table:
    from gateway.onboarding_table import NotATable, read

    try:
        return read(file.read_bytes())
    except NotATable as error:
        raise Failure(f"{file}: {error}") from None


def _arrived(
    settings: Settings, table: Table, config: Path, *, dry: bool, homes: Path | None, by: str, why: str, as_json: bool
) -> Arrived:
    from gateway import onboarding
    from gateway.mailbox_command import in_words
    from gateway.mailboxes import Order

    where = onboarding.Where(config, homes or config.resolve().parent / "tenants")
    order = Order(by or getpass.getuser(), why)
    seen = {"tenant": 0, "mailbox": 0}

    def told(what: str, count: int) -> None:
        seen[what] += count
        if seen[what] % 1000 == 0:
            click.echo(f"{what}: {seen[what]}", err=True)

    with in_words():
        try:
            return onboarding.run(settings, table, where, order, dry=dry, progress=told)
        except OSError as error:
            raise Failure(f"{error.filename}: {error.strerror}") from None


def _show(table: Table, done: Arrived, dry: bool, as_json: bool) -> None:
    rejected = sorted(done.rejected, key=lambda each: each.line)
    if as_json:
        counts = {f"{what}-{how}": number for (what, how), number in sorted(done.counts.items()) if number}
        rows = [{"line": each.line, "reason": each.reason} for each in rejected]
        click.echo(json.dumps({"dry": dry, "rows": table.rows, **counts, "rejected": rows, "restart": done.restart}))
        return
    for each in rejected:
        click.echo(f"line {each.line}: {each.reason}")
    for (what, how), number in sorted(done.counts.items()):
        if number:
            click.echo(f"{number:>7}  {what}, {how}")
    click.echo(f"{table.rows} rows, {len(rejected)} rejected" + (", dry run: nothing was changed" if dry else ""))
    if done.restart:
        click.echo("the new tenants are served once the node is started again; send requests/*.csr to the authority")


def _show_template(as_json: bool) -> None:
    from gateway.onboarding_table import COLUMNS

    click.echo(json.dumps({"columns": COLUMNS}) if as_json else _template(), nl=as_json)


def _template() -> str:
    from gateway.onboarding_table import COLUMNS

    rows = [
        {"type": "tenant", "etablissement": "lilas", "raison_sociale": "IMAGERIE DES LILAS",
         "struct_idnat": "1930000017", "departement": "Seine-Saint-Denis (93)",
         "domaines": "imagerie-des-lilas.mssante.fr"},
        {"type": "structure", "raison_sociale": "CABINET DU CANAL", "struct_idnat": "930000025", "ville": "Pantin",
         "code_postal": "93500", "adresse": "cabinet.canal@imagerie-des-lilas.mssante.fr"},
        {"type": "boite", "adresse": "marie.martin@imagerie-des-lilas.mssante.fr", "categorie": "PER",
         "civilite": "Dr", "prenom": "Marie", "nom": "MARTIN", "rpps": "10987654323"},
    ]  # fmt: skip
    return "".join(
        f"{';'.join(line)}\n" for line in (COLUMNS, *([row.get(each, "") for each in COLUMNS] for row in rows))
    )
