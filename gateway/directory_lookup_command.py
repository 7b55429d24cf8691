"""`pli directory find | search | card | replica`: what the directories know, and how far a copy of ours is behind.

Promises: nothing changes; each field says which directory it comes from; red-listed mailboxes are found by their exact
address, and neither listed nor exported. Does not: use what is remembered: the directories are asked.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import click

from directory.model import Address, DirectoryDown, Entry, NotFound, Situation
from directory.several import Described
from gateway.command import LANGUAGE, Failure, with_settings
from gateway.config import Settings

JSON = click.option("--json", "as_json", is_flag=True, help="JSON, one object per line.")
FIELDS = (
    *(
        "kind",
        "display_name",
        "rpps",
        "finess",
        "structure",
        "specialty",
        "service",
        "town",
        "postal_code",
        "preferred",
    ),
    "red_list",
)
_MORE = {"fr": "Il y en a d'autres : précisez votre recherche.", "en": "There are more: narrow your search."}


@click.command()
@click.argument("address")
@JSON
@LANGUAGE
@with_settings
def find(settings: Settings, address: str, as_json: bool, lang: str) -> None:
    """The mailbox with exactly this ADDRESS, where its holder practises, and who replaces him."""
    from gateway import app

    told = _described(settings, address)
    if isinstance(told, NotFound):
        _show(told.suggestions, as_json)
        click.echo("closed" if told.closed else "not found", err=True)
        sys.exit(1)
    entry = told.entry
    places = app.directory(settings).situations(entry.rpps) if entry.rpps else ()
    where = () if isinstance(places, DirectoryDown) else places
    other = entry.replaced_by(app.clock())
    if as_json:
        click.echo(json.dumps(_as_json(told, where, other), ensure_ascii=False))
        _show(told.others, True)
        return
    _show((entry,), False)
    for line in _details(told, where, other, lang == "fr"):
        click.echo(f"    {line}")
    _show(told.others, False)


@click.command()
@click.argument("words", nargs=-1, required=True)
@JSON
@LANGUAGE
@with_settings
def search(settings: Settings, words: tuple[str, ...], as_json: bool, lang: str) -> None:
    """Mailboxes that hold every one of WORDS, without accents or case: name, specialty, town, structure, numbers."""
    from gateway import app

    answer = app.directories(settings).search(" ".join(words))
    if isinstance(answer, DirectoryDown):
        raise Failure(f"the directory does not answer ({answer.detail})")
    _show(answer.entries, as_json)
    if answer.truncated:
        click.echo(_MORE[lang], err=True)
    if not answer.entries:
        sys.exit(1)


@click.command()
@click.argument("address")
@JSON
@with_settings
def card(settings: Settings, address: str, as_json: bool) -> None:
    """The mailbox with this ADDRESS as a vCard 4.0, for an address book."""
    from directory import vcard

    told = _described(settings, address)
    if isinstance(told, NotFound):
        click.echo("closed" if told.closed else "not found", err=True)
        sys.exit(1)
    if told.entry.red_list:
        raise Failure("this mailbox is on the red list: it is not exported")
    text = vcard.card(told.entry)
    said = json.dumps({"address": str(told.entry.address), "vcard": text}, ensure_ascii=False)
    click.echo(said if as_json else text, nl=as_json)


@click.command()
@click.argument("uri")
@click.option("--ca", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="PEM, for the replica's TLS.")
@click.option("--most", default=60.0, show_default=True, help="Seconds behind; more is exit code 1.")
@JSON
@with_settings
def replica(settings: Settings, uri: str, ca: Path | None, most: float, as_json: bool) -> None:
    """How far the replica at URI is behind directory.uri (contextCSN). Exit code 1 where it is too far, or empty."""
    from directory.replica import lag

    ours, theirs = _standing(settings, settings.directory.uri, None), _standing(settings, uri, ca)
    behind = lag(ours, theirs).behind
    seconds = None if behind is None else behind.total_seconds()
    if as_json:
        click.echo(json.dumps({"behind_s": seconds, "provider": ours, "replica": theirs}))
    else:
        click.echo("the replica is empty" if seconds is None else f"{seconds:.3f} s behind")
    if seconds is None or seconds > most:
        sys.exit(1)


def _standing(settings: Settings, uri: str, ca: Path | None) -> list[str]:
    import ldap

    from directory import connection, following
    from gateway import app

    told = settings.directory
    password = app.secret(told.password_file).decode()
    try:
        link = connection.opened(uri, told.bind_dn, password, told.timeout_s, ca)
        return following.standing(link, told.base)
    except (ldap.NO_SUCH_OBJECT, ldap.INVALID_CREDENTIALS):
        # A replica that has nothing yet does not know us either.
        if uri != told.uri:
            return []
        raise Failure("directory.bind_dn: the directory does not let us in") from None
    except ldap.LDAPError as error:
        raise Failure(f"{uri} does not answer ({type(error).__name__})") from None


# --- showing -------------------------------------------------------------------------------------------------------


def _described(settings: Settings, address: str) -> Described | NotFound:
    from directory.address import BadAddress, parse
    from gateway import app

    try:
        wanted = parse(address)
    except BadAddress as error:
        raise Failure(f"'{address}' is not a mail address: {error}") from None
    told = app.directories(settings).described(wanted)
    if isinstance(told, DirectoryDown):
        raise Failure(f"the directory does not answer ({told.detail})")
    return told


def _details(told: Described, places: Iterable[Situation], other: Address | None, french: bool) -> Iterable[str]:
    for place in places:
        text = ", ".join(filter(None, (place.structure, place.role, place.mode, place.town)))
        yield f"{'exerce' if french else 'practises'}: {text}"
    if other:
        yield f"{'remplacé par' if french else 'replaced by'} {other}"
    if told.entry.red_list:
        yield "liste rouge" if french else "red list"
    if (count := len(told.entry.certificates)) > 0:
        yield f"{count} certificat(s)" if french else f"{count} certificate(s)"
    for source in dict.fromkeys(origin.source for origin in told.origins.values()):
        names = [name for name, origin in told.origins.items() if origin.source == source]
        yield f"{source}: {', '.join(sorted(names))}"


def _as_json(told: Described, places: Iterable[Situation], other: Address | None) -> dict[str, object]:
    more: dict[str, object] = {
        "capabilities": asdict(told.entry.capabilities),
        "certificates": len(told.entry.certificates),
        "situations": [asdict(each) for each in places],
        "replaced_by": str(other) if other else None,
        "origins": {name: origin.source for name, origin in told.origins.items()},
    }
    return _row(told.entry) | more


def _row(entry: Entry) -> dict[str, object]:
    told = {name: getattr(entry, name) for name in FIELDS}
    said = entry.provenance
    provenance = {"source": said.source, "dn": said.dn, "owner": said.owner}
    return {"address": str(entry.address)} | told | {"provenance": provenance}


def _show(entries: Iterable[Entry], as_json: bool) -> None:
    for entry in entries:
        where = ", ".join(filter(None, (entry.specialty, entry.structure, entry.town)))
        if as_json:
            click.echo(json.dumps(_row(entry), ensure_ascii=False))
        else:
            click.echo(f"{entry.address}  {entry.kind}  {entry.display_name}" + (f"  ({where})" if where else ""))
