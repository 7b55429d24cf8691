"""`pli directory load`: the first plan of a region into a slapd that is stopped.

Promises: says how far it is; a refusal is one sentence and nothing was loaded. Does not: load (gateway.loading does).
"""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import click

from gateway.command import with_settings
from gateway.config import Settings


@click.command()
@click.argument("path", metavar="PLAN", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--slapd-conf", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option(
    "--slapadd", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=Path("/usr/sbin/slapadd"),
    show_default=True, help="The program.",
)  # fmt: skip
@click.option("--by", default="", help="Who loads it; your login otherwise.")
@click.option("--json", "as_json", is_flag=True, help="JSON, one object.")
@with_settings
def load(settings: Settings, path: Path, slapd_conf: Path, slapadd: Path, by: str, as_json: bool) -> None:
    """Load PLAN, a first one that only creates, while slapd is stopped: much faster than to apply it."""
    from directory.feed import plan, sources
    from directory.feed.lines import FeedError
    from gateway import loading
    from gateway.command import Failure
    from gateway.directory_command import bar

    try:
        head = plan.head_of(path)
        with bar("charge", 2 * sum(head.counts.values()), whole=False) as told:
            server = loading.Server(slapd_conf, slapadd)
            count = loading.load(settings, sources.KNOWN[head.source], path, server, by or getpass.getuser(), told)
    except FeedError as error:
        raise Failure(str(error)) from None
    click.echo(json.dumps({"loaded": count}) if as_json else f"{count} entries loaded: start slapd")
