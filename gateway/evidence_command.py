"""`pli evidence`: what proves a letter's acceptance, the decision to trust, and that it was handed over.

Promises: no content and no address; the look-up is journalled. Does not: gather or export (gateway.proving does).
"""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import click

from gateway.command import Failure, with_settings
from gateway.config import Settings


@click.command()
@click.argument("letter")
@click.option("--out", "folder", type=click.Path(path_type=Path),
              help="Write files there that anybody checks with openssl alone: CHECK.md says how.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True)
@with_settings
def evidence(settings: Settings, letter: str, folder: Path | None, as_json: bool) -> None:
    """What proves the way of LETTER (its id), and the sealed head that dates it."""
    from gateway import app, proving
    from relay.journal import SpoolJournal
    from relay.model import Event

    try:
        proof = proving.gathered(settings, letter)
        if folder:
            proving.export(settings, proof, folder)
    except (proving.NoEvidence, OSError) as error:
        raise Failure(str(error)) from None
    asked = Event("evidence-shown", letter, facts=(("by", getpass.getuser()),))
    SpoolJournal(app.client(settings)).add(settings.node.tenant, [asked])
    told = proving.as_json(proof)
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    for row in told["rows"]:
        facts = " ".join(f"{name}={value}" for name, value in row["facts"].items())
        click.echo(f"{row['at']} {row['event']} {row['recipient']} {facts}".rstrip())
    for each in told["trust"]:
        click.echo(f"trust {json.dumps(each, ensure_ascii=False)}")
    for each in told["dated"]:
        when = f"sealed at {each['sealed_at']} (row {each['head']})" if each["head"] else "not sealed yet"
        click.echo(f"chain {each['chain']}, row {each['row']}: {when}")
