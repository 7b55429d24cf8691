"""`pli policy` and `pli explain`: what is wanted of letters, where each value comes from, and what follows for one
address.

Promises: an unknown key or value is refused with the nearest known one; each change goes through the spooler and is
journalled with who made it. Does not: change the configuration's file.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.table import Table

from directory.model import Address
from gateway.command import LANGUAGE, Failure, out, with_settings
from gateway.config import Settings
from relay.policy import CHOICES, TOWARDS, Book, Level, Line, any_value, checked

LEVEL = click.Choice([Level.TENANT.value, Level.DOMAIN.value, Level.MAILBOX.value])
HOLDER = click.option("--for", "holder", default="", help="The domain or mailbox of this node that the level needs.")


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise Failure(str(error)) from None


@click.group()
def policy() -> None:
    """What is wanted of letters: signature, encryption, size, reports."""


@policy.command("show")
@click.option("--for", "mailbox", default="", help="A mailbox of this node.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@LANGUAGE
@with_settings
def policy_show(settings: Settings, mailbox: str, as_json: bool, lang: str) -> None:
    """Every value with where it comes from, for the tenant or for one mailbox."""
    from gateway import app
    from gateway.explanation import origin, ours

    with _in_words():
        own = ours(mailbox, app.node(settings)) if mailbox else None
    lines = list(_counting(app.book(settings)(), own))
    if as_json:
        for line in lines:
            row = {"key": line.key, "value": line.value, "level": line.level.value, "holder": line.holder}
            click.echo(json.dumps(row | {"by": line.by, "at": line.at.isoformat() if line.at else ""}))
        return
    table = Table(*(("clé", "valeur", "origine") if lang == "fr" else ("key", "value", "origin")))
    for line in lines:
        table.add_row(line.key, line.value, origin(line, lang))
    out.print(table)


def _counting(book: Book, own: Address | None) -> Iterator[Line]:
    """Of each key the nearest level's line: those for everybody, then those towards somebody."""
    nearest: dict[str, Line] = {}
    for line in book.given(own):
        nearest.setdefault(line.key, line)
    yield from (nearest[key] for key in CHOICES)
    yield from (nearest[key] for key in sorted(nearest) if key.startswith(TOWARDS))


@policy.command("set")
@click.argument("level", type=LEVEL)
@click.argument("key")
@click.argument("value")
@HOLDER
@with_settings
def policy_set(settings: Settings, level: str, key: str, value: str, holder: str) -> None:
    """Set KEY (or towards.DESTINATION.KEY) to VALUE, for the tenant, or one domain or mailbox of this node."""
    from gateway import app
    from relay.store import policies

    line = _line(settings, level, key, value, holder)
    with _in_words():
        before = policies.put(app.client(settings), settings.node.tenant, line)
    click.echo(f"{line.key} = {line.value}" + (f" (before: {before})" if before else ""))


@policy.command("unset")
@click.argument("level", type=LEVEL)
@click.argument("key")
@HOLDER
@with_settings
def policy_unset(settings: Settings, level: str, key: str, holder: str) -> None:
    """Take back what was set; the next level's value counts again."""
    from gateway import app
    from relay.store import policies

    with _in_words():
        value = any_value(key)
    line = _line(settings, level, key, value, holder)
    before = policies.remove(app.client(settings), settings.node.tenant, line)
    if not before:
        raise Failure(f"{key} was not set there; what the configuration's file says is changed in the file")
    click.echo(f"{line.key} (before: {before})")


def _line(settings: Settings, level: str, key: str, value: str, holder: str) -> Line:
    """Checked, and of a domain or mailbox of this node."""
    with _in_words():
        line = checked(Line(Level(level), holder, key, value, getpass.getuser()))
    if line.holder and line.holder.rpartition("@")[2] not in settings.node.domains:
        raise Failure(f"{line.holder} is not of this node: {', '.join(settings.node.domains)}")
    return line


@click.command()
@click.argument("address")
@click.option("--from", "sender", default="", help="The mailbox of this node that writes; else the tenant's policy.")
@LANGUAGE
@with_settings
def explain(settings: Settings, address: str, sender: str, lang: str) -> None:
    """Which mode would serve an address, which rule chose it, and by which value of policy."""
    from gateway import explanation

    try:
        for line in explanation.explain(settings, address, sender, lang):
            out.print(line, markup=False)
    except explanation.NotOurs as error:
        raise Failure(str(error)) from None
    except ValueError as error:
        raise Failure(f"'{address}' is not a mail address: {error}") from None
