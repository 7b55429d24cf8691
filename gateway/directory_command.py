"""`pli directory`: keep a regional directory by plan, review and apply (look-ups: gateway.directory_lookup_command).

Promises: planning and reviewing change nothing; applying says who, tells how far it is, stops at Ctrl-C between two
batches and goes on when typed again. Does not: look up.
"""

from __future__ import annotations

import getpass
import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from directory.feed import sources
from directory.feed.applying import Override, Report, Result
from directory.feed.items import Source
from directory.feed.limits import Kind
from directory.feed.lines import FeedError, normalised
from directory.feed.plan import Change, Head
from directory.roles import NotYours
from gateway import saved_columns
from gateway.command import LANGUAGE, Failure, out, with_settings
from gateway.config import Settings
from gateway.directory_load_command import load
from gateway.directory_lookup_command import card, find, replica, search
from gateway.directory_upkeep_command import duplicates, merge, quality, unmerge
from gateway.identity_command import identity
from gateway.publish_command import publish

JSON = click.option("--json", "as_json", is_flag=True, help="JSON, one object per line.")
PATH = click.Path(exists=True, dir_okay=False, path_type=Path)

_WORDS = {
    "fr": {
        Kind.CREATE: "créées", Kind.UPDATE: "changées", Kind.RETURN: "revenues", Kind.DEACTIVATE: "fermées",
        Kind.REMOVE: "retirées",
    },
    "en": {
        Kind.CREATE: "created", Kind.UPDATE: "changed", Kind.RETURN: "returned", Kind.DEACTIVATE: "closed",
        Kind.REMOVE: "removed",
    },
}  # fmt: skip
_WITHHELD = {
    "fr": {
        "cut": "le fichier est coupé : sa dernière ligne n'est pas finie",
        "short": "le fichier est court : un dixième de moins que le précédent",
        "many-rejected": "plus d'une ligne sur cent est rejetée",
        "stale": "le fichier est trop vieux",
    },
    "en": {
        "cut": "the file is cut: its last line has no end",
        "short": "the file is short: a tenth less than the last one",
        "many-rejected": "more than one line in a hundred is rejected",
        "stale": "the file is too old",
    },
}


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except (FeedError, NotYours) as error:
        raise Failure(str(error)) from None


@click.group()
def directory() -> None:
    """Look up the regional directory, and keep it: plan, review, apply."""


# --- planning --------------------------------------------------------------------------------------------------


def _source(settings: Settings, name: str | None, told: Mapping[str, Any]) -> Source:
    """`told`: the options. What is saved is what was said, once it holds together."""
    if told["saved"]:
        if name or told["mapping"] or told["save"]:
            raise Failure("--columns says what FILE is and how its columns are called: no --source, --column or --save")
        return saved_columns.named(settings, told["saved"]).as_source()
    if not name:
        raise Failure("say what FILE is: --source, or --columns with a name that --save gave")
    if name not in saved_columns.KINDS:
        if told["mapping"] or told["save"]:
            raise Failure("--column maps a table of one's own or another directory: --source tableau or ldif")
        return sources.KNOWN[name]
    said = saved_columns.Saved(name, _paired(told["mapping"]), told["encoding"], told["separator"])
    if told["save"]:
        saved_columns.keep(settings, told["save"], said)
    return said.as_source()


def _paired(words: Sequence[str]) -> dict[str, str]:
    """'code postal=CP': name of the template's column -> name in the file. Raises FeedError."""
    columns: dict[str, str] = {}
    for word in words:
        ours, _, theirs = (each.strip() for each in word.partition("="))
        name = normalised(ours).replace(" ", "_")
        if not name or not theirs:
            raise FeedError(f"« {word} » ne dit pas COLONNE=EN-TÊTE")
        if name in columns:
            raise FeedError(f"la colonne « {name} » est donnée deux fois")
        columns[name] = theirs
    return columns


@directory.command("plan")
@click.argument("file", type=PATH)
@click.option("--source", "name", type=click.Choice(sorted(sources.KNOWN)), help="What FILE is.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The plan; FILE.plan otherwise.")
@click.option("--dated", type=click.DateTime(), help="When the source made FILE (UTC); read from its name otherwise.")
@click.option("--department", "departments", multiple=True, help="Only postal codes that begin so; repeat it.")
@click.option(
    "--column",
    "mapping",
    multiple=True,
    metavar="NAME=COLUMN",
    help="Of `tableau` and `ldif`: COLUMN in FILE for NAME.",
)
@click.option("--encoding", type=click.Choice(saved_columns.ENCODINGS), default="utf-8", help="Of `tableau`.")
@click.option("--separator", default=";", help="Of `tableau`.")
@click.option("--save", default="", metavar="NAME", help="Keep --source, --column, --encoding, --separator as NAME.")
@click.option("--columns", "saved", default="", metavar="NAME", help="What FILE is, as --save kept it.")
@JSON
@LANGUAGE
@with_settings
def plan_(
    settings: Settings, file: Path, name: str | None, out: Path | None, dated: datetime | None, **more: Any
) -> None:
    """Read FILE, plain or in its source's archive, and write what it would change, changing nothing."""
    from gateway import app, feed_files, imports_desk
    from gateway.imports_desk import Wanted

    with _in_words():
        source = _source(settings, name, more)
        said = dated.replace(tzinfo=UTC) if dated else None
        target = out or file.with_name(file.name + ".plan")
        with bar("lecture", 0 if feed_files.is_archive(file) else file.stat().st_size) as told:
            wanted = Wanted(source, file, app.clock(), said, more["departments"])
            head = imports_desk.make_plan(settings, wanted, target, told)
    if more["as_json"]:
        click.echo(json.dumps(asdict(head) | {"path": str(target)}, ensure_ascii=False))
    else:
        _summary(head, more["lang"])
        click.echo(str(target))


@contextmanager
def bar(what: str, total: int, whole: bool = True) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error where somebody looks. `whole`: told the sum so far, else each step."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total or None)
        yield lambda count: progress.update(task, completed=count) if whole else progress.advance(task, count)


def _summary(head: Head, lang: str) -> None:
    words, french = _WORDS[lang], lang == "fr"
    out.print(f"{head.title} — {head.file}, {head.dated[:16]}", markup=False)
    read = f"{head.lines} lignes, {head.rejected} rejetées, {head.outside} hors territoire, {head.items} entrées"
    if not french:
        read = f"{head.lines} lines, {head.rejected} rejected, {head.outside} elsewhere, {head.items} entries"
    out.print(read, markup=False)
    table = Table("", *(words[kind] for kind in Kind))
    for group, counts in head.groups.items():
        table.add_row(group, *(str(counts.get(kind.value, 0)) for kind in Kind))
    table.add_row("total", *(str(head.counts[kind.value]) for kind in Kind))
    out.print(table)
    if head.places:
        out.print("où il y a le plus de changements :" if french else "where most changes are:", markup=False)
    for place, counts in head.places.items():
        said = ", ".join(f"{count} {words[Kind(kind)]}" for kind, count in counts.items())
        out.print(f"  {place}: {said}", markup=False)
    for rule in head.withheld:
        out.print(("personne n'est fermé : " if french else "nobody is closed: ") + _WITHHELD[lang][rule], markup=False)
    for each in head.breaches:
        share = f"{each.changes} {words[each.kind]} / {each.held}"
        out.print(("seuil dépassé : " if french else "limit passed: ") + share, markup=False)


@directory.command()
@click.argument("path", metavar="PLAN", type=PATH)
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), help="Only these changes.")
@click.option("--match", default="", help="Only changes in which this text stands.")
@click.option("--limit", default=20, show_default=True, help="Changes shown; 0: all.")
@click.option("--rejected", is_flag=True, help="The rejected lines, with number and reason.")
@JSON
@LANGUAGE
@with_settings
def review(settings: Settings, path: Path, kind: str | None, match: str, limit: int, **more: Any) -> None:
    """What PLAN would change: counts, limits, then before and after of each entry."""
    from directory.feed import plan
    from gateway import plan_parts

    with _in_words():
        head = plan.head_of(path)
        if more["rejected"]:
            for row in plan.rejected_of(path):
                click.echo(json.dumps(asdict(row)) if more["as_json"] else f"{row.number}: {row.reason}")
            return
        if not more["as_json"]:
            _summary(head, more["lang"])
        shown = 0
        for change in plan.changes_of(path):
            if (kind and change.kind != kind) or match.casefold() not in plan_parts.text(change):
                continue
            if limit and shown == limit:
                click.echo("…", err=True)
                break
            shown += 1
            _diff(change, more["as_json"], more["lang"])


def _diff(change: Change, as_json: bool, lang: str) -> None:
    """With a sign in front, not only a colour (directory §7.4)."""
    if as_json:
        click.echo(json.dumps({"fields": change.fields} | asdict(change), ensure_ascii=False))
        return
    before, after = change.before or {}, change.after or {}
    name = (after or before).get("address") or (after or before).get("name") or change.key
    click.echo(f"{_WORDS[lang][change.kind]}: {name}")
    for each in change.fields:
        if each in before:
            click.echo(click.style(f"  - {each}: {before[each]}", fg="red"))
        if each in after:
            click.echo(click.style(f"  + {each}: {after[each]}", fg="green"))


# --- applying --------------------------------------------------------------------------------------------------


@directory.command("apply")
@click.argument("path", metavar="PLAN", type=PATH)
@click.option("--by", default="", help="Who applies it; your login otherwise.")
@click.option("--override", default="", metavar="NAME", help="Who answers for limits that are passed.")
@click.option("--because", default="", help="Why they may be passed.")
@JSON
@LANGUAGE
@with_settings
def apply_(settings: Settings, path: Path, by: str, override: str, because: str, as_json: bool, lang: str) -> None:
    """Make the changes of PLAN. Ctrl-C stops between two batches; typed again, it goes on."""
    from directory.feed import plan
    from gateway import imports_desk
    from gateway.feeding import Order

    if bool(override) != bool(because):
        raise Failure("--override and --because come together: who answers for it, and why")
    with _in_words():
        head = plan.head_of(path)
        answering = Override(override, because) if override else None
        order = Order(path, by or getpass.getuser(), answering)
        with bar("application", sum(head.counts.values()), whole=False) as told, _stoppable() as stopped:
            report = imports_desk.apply(settings, order, told, stopped)
    _tell(report, as_json, lang)
    if report.stopped or report.of(Result.CONFLICT):
        sys.exit(1)


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Ctrl-C is heard between two batches."""
    asked: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


def _tell(report: Report, as_json: bool, lang: str) -> None:
    from gateway import feeding

    if as_json:
        conflicts = [asdict(each) for each in report.conflicts]
        click.echo(json.dumps(feeding.told(report) | {"conflicts": conflicts}, ensure_ascii=False))
        return
    french = lang == "fr"
    for kind in Kind:
        if count := report.counts[kind, Result.DONE]:
            click.echo(f"{count} {_WORDS[lang][kind]}")
    if count := report.of(Result.ALREADY):
        click.echo(f"{count} déjà faites" if french else f"{count} done already")
    for each in report.conflicts:
        click.echo(f"{'conflit' if french else 'conflict'}: {each.dn}: {each.why}", err=True)
    if report.stopped:
        click.echo("arrêté ; la même commande continue" if french else "stopped; the same command goes on", err=True)


@directory.command()
@JSON
@LANGUAGE
@with_settings
def freshness(settings: Settings, as_json: bool, lang: str) -> None:
    """How old what each source last said is. Exit code 1 where one is too old."""
    from gateway import app
    from gateway import freshness as told

    found = told.every(settings, app.clock())
    for each in found:
        if as_json:
            hours = {"age_hours": round(each.age.total_seconds() / 3600, 1), "stale": each.stale}
            click.echo(json.dumps(asdict(each.taken) | hours))
        else:
            word = ("PÉRIMÉ" if lang == "fr" else "STALE") if each.stale else "ok"
            click.echo(f"{word:<7} {each.taken.source:<18} {each.taken.dated[:16]}  {each.taken.rows}")
    if any(each.stale for each in found):
        sys.exit(1)


@directory.command()
@JSON
@with_settings
def columns(settings: Settings, as_json: bool) -> None:
    """How tables of one's own name their columns, as `plan --save` kept it."""
    with _in_words():
        found = saved_columns.every(settings)
    for name, each in found.items():
        pairs = ", ".join(f"{ours}={theirs}" for ours, theirs in each.columns.items())
        shape = f"{each.source}, {each.encoding}, « {each.separator} »"
        click.echo(
            json.dumps({"name": name} | asdict(each), ensure_ascii=False) if as_json else f"{name}: {shape} {pairs}"
        )


# --- what is needed to begin -----------------------------------------------------------------------------------


@directory.command()
@JSON
def template(as_json: bool) -> None:
    """The header of a table of one's own, for a spreadsheet."""
    click.echo(json.dumps({"columns": sources.TEMPLATE}) if as_json else ";".join(sources.TEMPLATE))


@directory.command()
@click.option("--out", "folder", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--mailboxes", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option(
    "--day", type=click.IntRange(0, 365), default=0, show_default=True, help="A later day of the same country."
)
@JSON
def generate(folder: Path, mailboxes: int, seed: int, day: int, as_json: bool) -> None:
    """An invented country in the formats of the national files, to try an import."""
    from directory.feed import generator

    for name, path in generator.write(generator.Country(mailboxes, seed, day), folder).items():
        click.echo(json.dumps({"source": name, "path": str(path)}) if as_json else str(path))


@directory.command()
@JSON
def schema(as_json: bool) -> None:
    """The schema of a regional directory, in slapd.conf form."""
    from directory import slapd

    text = slapd.SCHEMA.decode()
    click.echo(json.dumps({"schema": text}, ensure_ascii=False) if as_json else text, nl=as_json)


for each in (find, search, card, replica, load):
    directory.add_command(each)
directory.add_command(duplicates)
directory.add_command(merge)
directory.add_command(unmerge)
directory.add_command(quality)
directory.add_command(publish)
directory.add_command(identity)
