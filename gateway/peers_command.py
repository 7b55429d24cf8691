"""`pli peers`: the other operators as this node last met them.

Promises: domains alone are named. Does not: call anybody (`pli audit` does).
"""

from __future__ import annotations

import json
from datetime import datetime

import click
from rich import box
from rich.table import Table

from gateway.command import LANGUAGE, out, with_settings
from gateway.config import Settings

_HEADS = {
    "fr": ("domaine", "dernier envoi", "dernière réception", "en attente", "pas appelé avant", "motif"),
    "en": ("domain", "last sent", "last received", "waiting", "not called before", "reason"),
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@LANGUAGE
@with_settings
def peers(settings: Settings, as_json: bool, lang: str) -> None:
    """When a letter last went to each operator and came from it, and why one is not called."""
    from gateway import lookout
    from gateway import peers as operators

    found = operators.met(settings)
    if as_json:
        for each in found:
            told = {name: _moment(value) for name, value in each.__dict__.items()}
            click.echo(json.dumps(told, ensure_ascii=False))
        return
    table = Table(*_HEADS[lang], box=box.SIMPLE, pad_edge=False)
    for each in found:
        reason = lookout.why(each.reason, lang) if each.reason else ""
        moments = [at.isoformat(timespec="seconds") if at else "" for at in (each.sent_at, each.came_at, each.until)]
        table.add_row(each.domain, moments[0], moments[1], str(each.waiting), moments[2], reason)
    out.print(table)


def _moment(value: object) -> object:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
