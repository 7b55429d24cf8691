"""`pli indicators`: the activity of a tenant's mailboxes, on the screen, as files, or counted anew.

Promises: what is exported is what is shown; --recompute compares with the journal and ends with 2 where they differ.
Does not: count or format (relay.indicators and gateway.exporting do).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from gateway.command import LANGUAGE, Failure, out, with_settings
from gateway.config import Settings
from relay.indicators import Row

_HEADS = {"fr": ("indicateur", "détail", "nombre", "octets"), "en": ("measure", "key", "number", "octets")}


def _month(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if value and not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", value):
        raise click.BadParameter("a month is YYYY-MM")
    return value


@click.command()
@click.option("--month", default="", callback=_month, help="YYYY-MM; everything otherwise.")
@click.option("--export", type=click.Path(file_okay=False, path_type=Path), help="Write a month's files into a folder.")
@click.option("--templates", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="A folder of templates of your own, instead of those that ship.")  # fmt: skip
@click.option("--recompute", is_flag=True, help="Count anew from the journal, and say where the display differs.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: {rows, indicators}.")
@LANGUAGE
@with_settings
def indicators(
    settings: Settings,
    month: str,
    export: Path | None,
    templates: Path | None,
    recompute: bool,
    as_json: bool,
    lang: str,
) -> None:
    """What mailboxes sent and received, what was filed; by day, as the operator's files want it."""
    from relay import indicators as counting
    from relay.store import engine

    reader = engine.reader_engine(settings.database_url)
    rows = counting.read(reader, settings.node.tenant, month)
    if recompute:
        _compare(rows, counting.recomputed(reader, settings.node.tenant, month))
    elif export:
        _export(settings, rows, month, export, templates)
    else:
        _show(settings, rows, as_json, lang)


def _compare(shown: Sequence[Row], counted: Sequence[Row]) -> None:
    """Line by line: '-' is shown and was not counted, '+' was counted and is not shown."""
    differing = [("-", row) for row in shown if row not in set(counted)]
    differing += [("+", row) for row in counted if row not in set(shown)]
    for sign, row in differing:
        click.echo(f"BAD  {sign} {json.dumps(row.__dict__, ensure_ascii=False)}")
    if differing:
        raise Failure(f"{len(differing)} rows differ from the journal")
    click.echo(f"ok   {len(counted)} rows, as the journal says")


def _export(settings: Settings, rows: Sequence[Row], month: str, folder: Path, templates: Path | None) -> None:
    from gateway import exporting
    from gateway import indicators as reporting

    if not month:
        raise Failure("files are of one month: name it with --month YYYY-MM")
    wanted = exporting.load(templates or exporting.SHIPPED)
    boxes = reporting.mailboxes(settings, rows)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each in wanted:
            path = exporting.write(each, folder, settings.node.tenant, month, rows, boxes)
            click.echo(str(path))
    except OSError as error:
        raise Failure(f"{folder} cannot be written: {error.strerror}") from None


def _show(settings: Settings, rows: Sequence[Row], as_json: bool, lang: str) -> None:
    from gateway import app, exporting
    from gateway import indicators as reporting

    regional = reporting.regional(settings, rows, app.clock())
    if as_json:
        told = {"rows": [exporting.as_json(row) for row in rows], "indicators": [each.__dict__ for each in regional]}
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    table = Table(*_HEADS[lang])
    for (measure, key), (number, octets) in reporting.totals(rows).items():
        table.add_row(measure, key, str(number), str(octets or ""))
    out.print(table)
    for each in regional:
        out.print(f"{each.name}: {each.why if each.value is None else f'{each.value:g}'}")
