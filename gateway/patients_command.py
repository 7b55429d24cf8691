"""`pli patients`: the register of patients, who is who in it, and what they object to.

Promises: no identity is printed unless --reveal asks for it, which is journalled first; exit code 2 and a sentence
where nothing was done. Does not: read or change anything by itself (gateway.patients_desk does).
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
from typing import Any

import click
from rich.table import Table

from dmp_bridge.model import Flag
from gateway.command import LANGUAGE, Failure, out, with_settings
from gateway.config import Settings

WHY = click.option("--why", required=True, help="The reason; it stands in the journal and may not name the patient.")
FLAG = click.argument("flag", type=click.Choice([each.value for each in Flag]))
DOCUMENT = click.option("--document", default="", help="For one document (its uniqueId) instead of all.")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")


@contextmanager
def in_words() -> Iterator[None]:
    """What a person can mend, in a sentence and exit code 2."""
    from gateway.patients_desk import NotDone
    from relay.spooler import StoreRefused

    try:
        yield
    except NotDone as why:
        raise Failure(str(why)) from None
    except StoreRefused as why:
        raise Failure(f"not done: {why}") from None


@click.group()
def patients() -> None:
    """The register of patients of this establishment. PATIENT: its own number (IPP), or an id of the register (p:…)."""


@patients.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_settings
def patients_import(settings: Settings, file: Path, as_json: bool) -> None:
    """Read patients from a CSV file; lines that cannot be used are told with their number and reason."""
    from gateway import app

    def moved(count: int) -> None:
        done[0] += count
        if sys.stderr.isatty():
            click.echo(f"\r{done[0]} patients …", nl=False, err=True)

    done = [0]
    loaded, rejected = app.import_patients(settings, file, moved)
    if sys.stderr.isatty() and loaded:
        click.echo("\r\033[K", nl=False, err=True)
    if as_json:
        click.echo(json.dumps({"patients": loaded, "rejected": list(rejected)}, ensure_ascii=False))
    else:
        for line in rejected:
            click.echo(f"pli: {line}", err=True)
        click.echo(f"{loaded} patients, {len(rejected)} lines rejected")
    if rejected:
        sys.exit(2)


@patients.command("find")
@click.option("--number", default="", help="The establishment's own number (IPP), or an id of the register.")
@click.option("--ins", default="", help="A matricule, now or formerly borne.")
@click.option("--name", default="", help="Birth name.")
@click.option("--first-name", default="", help="First given name.")
@click.option("--born", type=click.DateTime(["%Y-%m-%d"]), help="Birth date, YYYY-MM-DD.")
@click.option("--reveal", is_flag=True, help="Show identities; journalled.")
@JSON
@LANGUAGE
@with_settings
def patients_find(settings: Settings, reveal: bool, as_json: bool, lang: str, born: datetime | None, **by: str) -> None:
    """Who is it: those who could be meant, likeliest first. Exit code 1 where there is nobody."""
    from gateway import patients_desk

    if not (by["number"] or by["ins"] or born or (by["name"] and by["first_name"])):
        raise Failure("name --number, --ins, --born, or --name with --first-name")
    with in_words():
        found = patients_desk.find(settings, patients_desk.Wanted(**by, born=born.date() if born else None))
        if reveal and found:
            patients_desk.reveal(settings, found, getpass.getuser())
    rows = [patients_desk.as_json(each, revealed=reveal) for each in found]
    _show(rows, as_json, lang)
    if not rows:
        sys.exit(1)


def _show(rows: list[dict[str, Any]], as_json: bool, lang: str) -> None:
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    heads = {
        "fr": ("patient", "statut", "source", "refus", "identité"),
        "en": ("patient", "status", "source", "refused", "identity"),
    }
    table = Table(*heads[lang])
    for row in rows:
        told = row.get("traits", {})
        identity = " ".join(
            filter(None, (told.get("birth_name"), told.get("first_given_name"), told.get("birth_date")))
        )
        table.add_row(row["id"], row["status"], row["source"], ", ".join(row["flags"]), identity)
    out.print(table)


@patients.command("ask")
@click.argument("patient")
@with_settings
def patients_ask(settings: Settings, patient: str) -> None:
    """Ask INSi whose matricule PATIENT's traits are, where [insi] is on; the answer is noted. Exit code 2 otherwise."""
    from gateway import insi_desk, patients_desk

    with in_words():
        (known,) = patients_desk.find(settings, patients_desk.Wanted(number=patient))
        status = insi_desk.ask(settings, known.patient)
    click.echo(status)


@patients.command("merge")
@click.argument("prior")
@click.argument("survivor")
@WHY
@with_settings
def patients_merge(settings: Settings, prior: str, survivor: str, why: str) -> None:
    """PRIOR is SURVIVOR from now on; unmerge takes them apart again, nothing is lost."""
    from gateway import patients_desk

    with in_words():
        patients_desk.merge(settings, prior, survivor, why, getpass.getuser())
    click.echo("merged")


@patients.command("unmerge")
@click.argument("prior")
@WHY
@with_settings
def patients_unmerge(settings: Settings, prior: str, why: str) -> None:
    """PRIOR is a patient of its own again."""
    from gateway import patients_desk

    with in_words():
        patients_desk.unmerge(settings, prior, why, getpass.getuser())
    click.echo("taken apart")


@patients.command("oppose")
@click.argument("patient")
@FLAG
@DOCUMENT
@WHY
@with_settings
def patients_oppose(settings: Settings, patient: str, flag: str, document: str, why: str) -> None:
    """Note what PATIENT refuses, or what must not be seen by him yet."""
    from gateway import patients_desk

    with in_words():
        patients_desk.oppose(settings, patient, Flag(flag), document, why, getpass.getuser())
    click.echo(f"noted: {flag}")


@patients.command("lift")
@click.argument("patient")
@FLAG
@DOCUMENT
@WHY
@with_settings
def patients_lift(settings: Settings, patient: str, flag: str, document: str, why: str) -> None:
    """PATIENT refuses it no more, or has been told: what waited for that is sent. Exit code 1 where nothing stood."""
    from gateway import patients_desk

    with in_words():
        lifted, sent = patients_desk.lift(settings, patient, Flag(flag), document, why, getpass.getuser())
    click.echo(f"{lifted} lifted, {sent} documents sent again")
    if not lifted:
        sys.exit(1)


@patients.command("flags")
@click.argument("patient")
@JSON
@with_settings
def patients_flags(settings: Settings, patient: str, as_json: bool) -> None:
    """All that PATIENT ever refused: who noted it, when, why, and when it was lifted."""
    from gateway import patients_desk

    with in_words():
        rows = [asdict(each) for each in patients_desk.history(settings, patient)]
    _list(rows, as_json, ("flag", "document_id", "source", "set_by", "set_at", "why", "lifted_by", "lifted_at"))


@patients.command("links")
@click.argument("patient")
@JSON
@with_settings
def patients_links(settings: Settings, patient: str, as_json: bool) -> None:
    """What was linked to PATIENT (numbers of senders, documents, merged rows), by whom, when and why."""
    from gateway import patients_desk

    with in_words():
        rows = [asdict(each) for each in patients_desk.linked(settings, patient)]
    _list(rows, as_json, ("id", "kind", "learned_from", "made_by", "made_at", "why", "ended_by", "ended_at"))


@patients.command("unlink")
@click.argument("link")
@WHY
@with_settings
def patients_unlink(settings: Settings, link: str, why: str) -> None:
    """End a link (ids: pli patients links). What was filed by it stays filed: pli dossier undo."""
    from gateway import patients_desk

    with in_words():
        patients_desk.unlink(settings, link, why, getpass.getuser())
    click.echo("ended")


def _list(rows: list[dict[str, Any]], as_json: bool, columns: tuple[str, ...]) -> None:
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False, default=lambda at: at.isoformat(timespec="seconds")))
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*(str(row[name] or "") for name in columns))
    out.print(table)
