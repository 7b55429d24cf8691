"""`pli dossier`: find and fetch documents, file again, take a deposit back, record a choice of host, run a host.

Promises: exit code 1 where the host says no or holds nothing, 2 where nothing could be asked; no identity is printed.
Does not: read or change anything by itself (gateway.dossier_desk does).
"""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click
from rich.table import Table

from gateway.command import LANGUAGE, Failure, out, with_settings
from gateway.config import Settings
from gateway.worklist_command import worklist

HOST = click.option("--host", default="", help="Name of a dossier host; the one of [dossier] otherwise.")


@contextmanager
def _in_words() -> Iterator[None]:
    from gateway.dossier_desk import NotDone
    from relay.spooler import StoreRefused

    try:
        yield
    except NotDone as why:
        click.echo(f"pli: {why}", err=True)
        sys.exit(1)
    except StoreRefused as why:
        raise Failure(f"not done: {why}") from None


@click.group()
def dossier() -> None:
    """Documents in patients' dossiers."""


dossier.add_command(worklist)
"""The same one as `pli worklist`: it is looked for under both names."""


@dossier.command("find")
@click.option("--document", default="", help="A document's uniqueId (an OID).")
@click.option("--patient", default="", help="The establishment's own identifier of a patient (IPP).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@HOST
@LANGUAGE
@with_settings
def dossier_find(settings: Settings, document: str, patient: str, as_json: bool, host: str, lang: str) -> None:
    """What a host holds: of one document, or of one patient of the register. Exit code 1 where that is nothing."""
    from gateway import dossier_desk

    if bool(document) == bool(patient):
        raise Failure("name --document or --patient")
    with _in_words():
        found = dossier_desk.find(settings, getpass.getuser(), document=document, patient=patient, host=host)
    if as_json:
        for each in found:
            click.echo(json.dumps(asdict(each)))
    else:
        names = (
            ("document", "état", "version", "octets") if lang == "fr" else ("document", "status", "version", "bytes")
        )
        table = Table(*names)
        for each in found:
            table.add_row(each.document, each.status, str(each.version), str(each.size))
        out.print(table)
    sys.exit(0 if found else 1)


@dossier.command("fetch")
@click.argument("document")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="A new file.")
@HOST
@with_settings
def dossier_fetch(settings: Settings, document: str, output: Path, host: str) -> None:
    """Write a document, byte by byte as the host holds it, into a file of mode 600."""
    from gateway import dossier_desk

    if output.exists():
        raise Failure(f"{output} exists already")
    with _in_words():
        data = dossier_desk.fetch(settings, getpass.getuser(), document, host)
    output.touch(mode=0o600)
    output.write_bytes(data)
    click.echo(f"{output}: {len(data)} bytes")


@dossier.command("file")
@click.argument("letter")
@with_settings
def dossier_file(settings: Settings, letter: str) -> None:
    """File the documents of a letter again, once what kept them out is mended."""
    from gateway import dossier_desk

    with _in_words():
        row = dossier_desk.file_again(settings, getpass.getuser(), letter)
    click.echo(f"{row.id}: queued for {row.route.target}")


@dossier.command("undo")
@click.argument("document")
@click.confirmation_option("--yes", prompt="Retirer ce document du dossier du patient ?", help="Do not ask.")
@with_settings
def dossier_undo(settings: Settings, document: str) -> None:
    """Take the deposit of a document back (dossier.undo_hours); earlier recipients are asked to delete it."""
    from gateway import dossier_desk

    with _in_words():
        done = dossier_desk.undo(settings, getpass.getuser(), document)
    click.echo(f"{done.reference}: {done.note}")


@dossier.command("choose")
@click.argument("patient")
@click.argument("host", required=False, default="")
@click.option("--since", type=click.DateTime(), help="From when on it counts (UTC); now otherwise.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line, of what was chosen so far.")
@with_settings
def dossier_choose(settings: Settings, patient: str, host: str, since: datetime | None, as_json: bool) -> None:
    """Record the HOST that a PATIENT (IPP) chose, or without HOST show what he chose. Counts at the next deposit."""
    from datetime import UTC

    from gateway import dossier_desk

    with _in_words():
        if host:
            begins = since.replace(tzinfo=UTC) if since else None
            at = dossier_desk.choose(settings, getpass.getuser(), patient, host, begins)
            click.echo(f"{host} from {at.isoformat(timespec='seconds')}")
            return
        for each in dossier_desk.chosen(settings, patient):
            told = {"host": each.host, "since": each.since.isoformat(), "by": each.recorded_by}
            click.echo(json.dumps(told) if as_json else f"{told['since']}  {told['host']}  ({told['by']})")


class _Host(click.Command):
    """Its options are the host's own."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from dmp_bridge.host import __main__ as host

        super().format_help(ctx, formatter)
        formatter.write("\n" + host.arguments().format_help().partition("\n\n")[2])


@dossier.command("host", cls=_Host, context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def dossier_host(options: tuple[str, ...]) -> None:
    """Run a dossier host of our own (docs/dossier-host.md)."""
    from dmp_bridge.host import __main__ as host

    host.run(host.arguments().parse_args(list(options)))
