"""`pli directory duplicates | merge | unmerge | quality`: what a keeper of the directory looks at, and mends.

Promises: a merge says who and why, is journalled, and can be undone; what the deterministic rule finds is merged only
when `--automatic` asks for it. Does not: show red-listed mailboxes to whoever may not write the directory.
"""

from __future__ import annotations

import getpass
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from itertools import islice

import click

from directory.duplicates import Answer, Compared, Decision
from directory.merging import Done
from directory.quality import Finding
from gateway.command import LANGUAGE, Failure, with_settings
from gateway.config import Settings

JSON = click.option("--json", "as_json", is_flag=True, help="JSON, one object per line.")
BY = click.option("--by", default="", help="Who decides; your login otherwise.")
WHY = click.option("--because", "why", required=True, help="Why: kept in the journal.")


@click.command()
@click.option("--automatic", is_flag=True, help="Merge those of one RPPS and one name; the others are only shown.")
@click.option("--limit", default=50, show_default=True, help="Candidates shown, likeliest first; 0: all.")
@BY
@JSON
@LANGUAGE
@with_settings
def duplicates(settings: Settings, automatic: bool, limit: int, by: str, as_json: bool, lang: str) -> None:
    """Entries that may be one holder, likeliest first: what agrees (+), what does not (-), what is not said (?)."""
    from gateway import duplicates_desk

    found = duplicates_desk.look(settings, sys.maxsize, lambda _: None, lambda: False)
    for each in islice(found.listed, limit or None):
        click.echo(_json(each) if as_json else _side_by_side(each, lang))
    click.echo(f"{found.same_count} same, {found.candidates_count} candidates", err=True)
    if automatic:
        with _in_words():
            duplicates_desk.require(settings, by)
        done = sum(_merged(settings, each, by) for each in found.listed if each.decision is Decision.SAME)
        click.echo(f"{done} merged", err=True)


def _merged(settings: Settings, pair: Compared, by: str) -> bool:
    """The later DN into the earlier one; False where an earlier merge of this run settled it."""
    from gateway import duplicates_desk

    into, dn = sorted((pair.one.provenance.dn, pair.other.provenance.dn))
    try:
        duplicates_desk.merge(settings, dn, into, by or getpass.getuser(), "one-number, one-name")
    except duplicates_desk.Settled:
        return False
    return True


@contextmanager
def _in_words() -> Iterator[None]:
    from gateway import duplicates_desk

    try:
        yield
    except duplicates_desk.NotMerged as error:
        raise Failure(str(error)) from None


def _json(pair: Compared) -> str:
    evidence = {name: answer.value for name, answer in pair.evidence.items()}
    told = {"decision": pair.decision, "score": pair.score, "evidence": evidence}
    sides = {name: {"dn": e.provenance.dn, "address": str(e.address), "name": e.display_name, "rpps": e.rpps}
             for name, e in (("one", pair.one), ("other", pair.other))}  # fmt: skip
    return json.dumps(told | sides, ensure_ascii=False)


_SIGNS = {Answer.YES: "+", Answer.NO: "-", Answer.CANNOT_TELL: "?"}
_FRENCH = {
    "one-number": "RPPS", "one-name": "nom", "name-alike": "nom proche", "one-trade": "spécialité", "one-town": "ville",
    "one-structure": "structure", "one-service": "service", "one-address": "adresse",
}  # fmt: skip


def _side_by_side(pair: Compared, lang: str) -> str:
    words = {name: _FRENCH[name] if lang == "fr" else name for name in pair.evidence}
    evidence = "  ".join(f"{_SIGNS[answer]}{words[name]}" for name, answer in pair.evidence.items())
    lines = [f"{pair.decision} {pair.score}  {evidence}"]
    for entry in (pair.one, pair.other):
        lines.append(f"    {entry.provenance.dn}")
        said = (str(entry.address), entry.display_name, entry.rpps, entry.specialty, entry.structure, entry.town)
        lines.append("      " + ", ".join(filter(None, said)))
    return "\n".join(lines)


@click.command()
@click.argument("dn")
@click.option("--into", required=True, metavar="DN", help="The entry that stands for both.")
@WHY
@BY
@JSON
@with_settings
def merge(settings: Settings, dn: str, into: str, why: str, by: str, as_json: bool) -> None:
    """Say that the entry DN is the same holder as another: a search shows that one; letters reach both addresses."""
    from gateway import duplicates_desk

    with _in_words():
        _tell(duplicates_desk.merge(settings, dn, into, by or getpass.getuser(), why), as_json)


@click.command()
@click.argument("dn")
@WHY
@BY
@JSON
@with_settings
def unmerge(settings: Settings, dn: str, why: str, by: str, as_json: bool) -> None:
    """Take a merge of the entry DN back."""
    from gateway import duplicates_desk

    with _in_words():
        _tell(duplicates_desk.part(settings, dn, by or getpass.getuser(), why), as_json)


def _tell(done: Done, as_json: bool) -> None:
    said = f"{done.dn}: {done.before or '-'} → {done.after or '-'}"
    click.echo(json.dumps(asdict(done), ensure_ascii=False) if as_json else said)


_FAULTS = {
    "no-structure": ("sans structure", "no structure"),
    "no-finess": ("structure sans FINESS", "a structure without FINESS"),
    "no-service": ("boîte d'organisation sans service", "an organisation's mailbox without service"),
    "no-holder": ("boîte personnelle sans RPPS", "a person's mailbox without RPPS"),
    "wrong-rpps": ("RPPS à la clé fausse", "an RPPS with a wrong key"),
    "unknown-kind": ("type inconnu", "an unknown kind"),
    "expired-certificate": ("aucun certificat en cours de validité", "no certificate in force"),
    "wrong-certificate": ("certificat d'une autre adresse", "a certificate of another address"),
    "stale": ("aucune source n'en a parlé depuis six mois", "no source has spoken of it for half a year"),
    "bouncing": ("lettres rendues : personne à cette adresse", "letters came back: nobody at this address"),
    "several-holders": ("un RPPS, plusieurs noms", "one RPPS, several names"),
}
"""French, English."""
BOUNCED = timedelta(days=90)
"""How far back letters that came back are looked at."""


@click.command()
@click.option("--only", default="", help="One kind of finding.")
@JSON
@LANGUAGE
@with_settings
def quality(settings: Settings, only: str, as_json: bool, lang: str) -> None:
    """What is wrong with the directory: counts, or the entries with --only or --json. Exit code 1 if anything is.

    What bounces is known of the letters of the tenant for which this is typed.
    """
    from directory.quality import NAMES

    if only and only not in NAMES:
        raise Failure(f"'{only}' is none of: {', '.join(NAMES)}")
    counts: Counter[str] = Counter()
    for each in _found(settings):
        if only and each.name != only:
            continue
        counts[each.name] += 1
        if as_json or only:
            click.echo(json.dumps(asdict(each)) if as_json else f"{each.address}  {each.dn}")
    if not as_json and not only:
        for name in NAMES:
            click.echo(f"{counts[name]:>8}  {name:<19}  {_FAULTS[name][lang == 'en']}")
    if counts:
        sys.exit(1)


def _found(settings: Settings) -> Iterator[Finding]:
    from directory import merging
    from directory.quality import findings
    from gateway import app, feeding
    from relay import bounced

    target, now = feeding.target(settings), app.clock()
    came_back = bounced.addresses(app.reader(settings.database_url), settings.node.tenant, now - BOUNCED)
    everything = merging.everything(target.connection, target.suffix, settings.directory.uri)
    return findings(everything, now, came_back)
