"""`pli xdm` and `pli cda`: documents and archives looked at by hand, schemas installed.

Promises: what is refused is told by rule, clause and element, with exit code 1; nothing of a file is written but where
`--to` says, under names of our own; `--json` prints one object. Does not: send, file, or need a running node.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from gateway.command import LANGUAGE, Failure, in_words, settings_of

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _told(found: dict[str, Any], lines: list[str], as_json: bool, ok: bool) -> None:
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(lines))
    if not ok:
        sys.exit(1)


# --- archives ---------------------------------------------------------------------------------------------------


@click.group()
def xdm() -> None:
    """Archives IHE_XDM.ZIP: read, written, checked."""


@xdm.command("read")
@click.argument("file", type=FILE)
@click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), help="Write the documents here.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def xdm_read(file: Path, folder: Path | None, as_json: bool) -> None:
    """List the documents of an archive; with --to, write them as document-01.xml and so on."""
    from gateway import documents

    found = documents.archive(file.read_bytes())
    if folder is not None and found["ok"]:
        documents.extract(file.read_bytes(), folder)
    _told(found, documents.archive_lines(found), as_json, found["ok"])


@xdm.command("check")
@click.argument("file", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@LANGUAGE
def xdm_check(file: Path, as_json: bool, lang: str) -> None:
    """Check an archive: layout, metadata against the files, and the header of each document."""
    from gateway import documents

    found = documents.archive(file.read_bytes(), headers=True, language=lang)
    _told(found, documents.archive_lines(found), as_json, found["ok"])


@xdm.command("write")
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--source", default="", help="OID of this sending system; a new one otherwise.")
@click.option("--force", is_flag=True, help="Write over OUT.")
def xdm_write(out: Path, files: tuple[Path, ...], source: str, force: bool) -> None:
    """Pack CDA documents of one patient into the archive OUT."""
    from gateway import app, documents

    if out.exists() and not force:
        raise Failure(f"{out} is there already; --force writes over it")
    try:
        packed = documents.pack([file.read_bytes() for file in files], source, app.clock())
    except documents.NotPacked as error:
        raise Failure(str(error)) from None
    out.write_bytes(packed)
    click.echo(f"{out}: {len(packed)} bytes")


# --- documents --------------------------------------------------------------------------------------------------


@click.group()
def cda() -> None:
    """CDA documents checked, and the schemas of others installed."""


@cda.command("install")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Elsewhere than the node's own.")
@click.pass_context
def cda_install(context: click.Context, source: Path, folder: Path | None) -> None:
    """Install schemas, schematrons and value sets from a folder or ZIP of ANS (testContenuCDA)."""
    from dmp_bridge import installed
    from gateway import app, documents

    with in_words():
        place = folder or documents.folder(settings_of(context))
    click.echo(f"reading {source} …", err=True)
    try:
        stamp = installed.install(source, place, app.clock())
    except (installed.NotInstalled, OSError) as error:
        raise Failure(str(error)) from None
    click.echo(f"{stamp.files} files in {place}; the carrier takes them up when it is started again")
    for name in stamp.completed:
        click.echo(f"note {name} was not among them: made from the value set of that OID")


@cda.command("check")
@click.argument("file", type=FILE)
@click.option("--schemas", type=click.Path(exists=True, file_okay=False, path_type=Path), help="An installation.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@LANGUAGE
@click.pass_context
def cda_check(context: click.Context, file: Path, schemas: Path | None, as_json: bool, lang: str) -> None:
    """Check one document: its header by our own rules, and by the installed schemas and schematrons."""
    from gateway import documents

    place = schemas or _folder(context)
    if place is not None and not as_json:
        click.echo("the schematrons are made ready, this takes some seconds …", err=True)
    found = documents.check(file.read_bytes(), place, lang)
    _told(found, documents.check_lines(found), as_json, found["ok"])


def _folder(context: click.Context) -> Path | None:
    """The node's installation; None where this machine has no configuration: the header is checked all the same."""
    from gateway import documents

    if not Path(context.obj).is_file():
        return None
    with in_words():
        return documents.folder(settings_of(context))
