"""`pli health`: how this node is, for a person, a script or a load balancer.

Promises: a line per look; exit code 0 where it is ready, 1 where it is not, 2 where it could not be asked. What is only
late (LATE: done by the clock for the directory) changes none. Does not: look at anything itself (gateway.health does).
"""

from __future__ import annotations

import json
import sys

import click

from gateway.command import with_node
from gateway.config import Settings


@click.command()
@click.option("--alive", is_flag=True, help="Only whether its processes answer.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: {ok, checks, kept: [{name, ok, sentence}]}.")
@with_node
def health(settings: Settings, alive: bool, as_json: bool) -> None:
    """Do the processes answer, and can letters go in and out?"""
    from gateway import health as looks

    checks = looks.alive(settings) if alive else looks.ready(settings)
    late = () if alive else looks.kept(settings)
    ok = all(check.ok for check in checks)
    if as_json:
        told = {"checks": [each.__dict__ for each in checks], "kept": [each.__dict__ for each in late]}
        click.echo(json.dumps({"ok": ok} | told, ensure_ascii=False))
    else:
        for each in checks:
            click.echo(f"{'ok  ' if each.ok else 'BAD '} {each.name}: {each.sentence}")
        for each in late:
            click.echo(f"{'ok  ' if each.ok else 'LATE'} {each.name}: {each.sentence}")
    sys.exit(0 if ok else 1)
