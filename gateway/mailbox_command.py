"""`pli mailbox`: one mailbox from its making to its end, by whoever may (docs/directory.md).

Promises: every change says who and why, is asked of the roles and of slapd, and is journalled with before and after;
address and type never change. Does not: hold a rule of it (gateway.mailboxes and directory.desk do).
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from directory.model import Address, Entry, Kind
from directory.roles import Act
from gateway.command import Failure, with_settings
from gateway.config import Settings
from gateway.directory_upkeep_command import BY, JSON, WHY

if TYPE_CHECKING:
    from directory.desk import Kept
    from directory.merging import Done


@click.group()
def mailbox() -> None:
    """Mailboxes of this tenant: make, suspend, resume, close, hide, and those that nobody uses."""


@contextmanager
def in_words() -> Iterator[None]:
    """Refusals of the roles, of slapd and of the mailbox's own state, in one sentence."""
    import ldap

    from directory.desk import AddressTaken, Immutable, NoSuchMailbox
    from directory.lifecycle import CannotMove
    from directory.roles import NotYours
    from gateway.accounts import BadAccount
    from gateway.mailboxes import NotOurs

    try:
        yield
    except AddressTaken as error:
        raise Failure(f"{error}: there is, or was, such a mailbox; an address is never given again") from None
    except NoSuchMailbox as error:
        raise Failure(f"{error}: no such mailbox that you may see") from None
    except Immutable as error:
        raise Failure(f"{error} does not change: close the mailbox and make another one") from None
    except (NotYours, CannotMove, NotOurs, BadAccount) as error:
        raise Failure(str(error)) from None
    except ldap.LDAPError as error:
        raise Failure(f"the directory did not take it ({type(error).__name__})") from None


def address_of(text: str) -> Address:
    from directory.address import BadAddress, parse

    try:
        return parse(text)
    except BadAddress as error:
        raise Failure(f"'{text}' is not a mail address: {error}") from None


def _told(done: Done, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"dn": done.dn, "before": done.before, "after": done.after}, ensure_ascii=False))
    else:
        click.echo(f"{done.dn}: {done.before or '-'} → {done.after or '-'}")


# --- making -------------------------------------------------------------------------------------------------------


@mailbox.command("create")
@click.argument("address")
@click.option("--kind", type=click.Choice(["PER", "ORG", "APP", "CAB"]), required=True, help="It never changes.")
@click.option("--name", "display_name", required=True, help="As people read it.")
@click.option("--rpps", default="", help="Of its holder; his token of Pro Santé Connect then opens it.")
@click.option("--finess", default="")
@click.option("--structure", default="")
@click.option("--service", default="")
@click.option("--specialty", default="")
@click.option("--town", default="")
@click.option("--postal-code", default="")
@click.option("--family-name", default="")
@click.option("--given-name", default="")
@click.option("--red-list", is_flag=True, help="Not shown to anybody.")
@click.option("--establishment", help="By the region's keeper: in whose subtree; the region's own otherwise.")
@WHY
@BY
@JSON
@with_settings
def create(settings: Settings, address: str, kind: str, why: str, by: str, as_json: bool, **said: Any) -> None:
    """Make the mailbox ADDRESS: directory entry, account without a password, and its publication."""
    from directory.duplicates import has_key
    from gateway import mailboxes

    one, place = address_of(address), said.pop("establishment")
    if one.is_patient:
        raise Failure("a citizen's mailbox is in no directory, and is not made here")
    if said["rpps"] and not has_key(said["rpps"]):
        raise Failure("this is no RPPS number: eleven digits with their key")
    with in_words():
        _told(mailboxes.create(settings, Entry(one, Kind(kind), **said), _order(by, why), place), as_json)


def _order(by: str, why: str) -> Any:
    from gateway.mailboxes import Order

    return Order(by or getpass.getuser(), why)


# --- moving -------------------------------------------------------------------------------------------------------


def _moving(act: Act, said: str) -> Callable[..., None]:
    @mailbox.command(act.value, help=said)
    @click.argument("address")
    @WHY
    @BY
    @JSON
    @with_settings
    def command(settings: Settings, address: str, why: str, by: str, as_json: bool) -> None:
        from gateway import mailboxes

        with in_words():
            _told(mailboxes.move(settings, address_of(address), act, _order(by, why)), as_json)

    moved: Callable[..., None] = command
    return moved


suspend = _moving(Act.SUSPEND, "Suspend ADDRESS: no login by any proof, letters for it are refused; nothing is lost.")
resume = _moving(Act.RESUME, "Open ADDRESS again as it was.")
close = _moving(Act.CLOSE, "Close ADDRESS for good: its logins go, its address is never given again; its letters stay.")


@mailbox.command("red-list")
@click.argument("address")
@click.option("--off", is_flag=True, help="Show it again.")
@WHY
@BY
@JSON
@with_settings
def red_list(settings: Settings, address: str, off: bool, why: str, by: str, as_json: bool) -> None:
    """Hide ADDRESS from everybody: it is reached by its exact address alone."""
    from gateway import mailboxes

    with in_words():
        _told(mailboxes.red_list(settings, address_of(address), not off, _order(by, why)), as_json)


@mailbox.command("change")
@click.argument("address")
@click.argument("attribute")
@click.argument("value")
@WHY
@BY
@JSON
@with_settings
def change(settings: Settings, address: str, attribute: str, value: str, why: str, by: str, as_json: bool) -> None:
    """Give ATTRIBUTE of ADDRESS another VALUE (mssService, displayName, l, …); an empty one takes it away."""
    from gateway import mailboxes

    with in_words():
        _told(mailboxes.change(settings, address_of(address), attribute, value, _order(by, why)), as_json)


@mailbox.command("certificates")
@click.argument("address")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@WHY
@BY
@JSON
@with_settings
def certificates(settings: Settings, address: str, files: tuple[Path, ...], why: str, by: str, as_json: bool) -> None:
    """Publish in the directory the certificates (PEM) with which others encrypt to ADDRESS; none: take them away."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from gateway import mailboxes

    try:
        # Of each file the first: its chain stands behind it, and is not the mailbox's.
        held = [x509.load_pem_x509_certificate(file.read_bytes()).public_bytes(Encoding.DER) for file in files]
    except (OSError, ValueError) as error:
        raise Failure(f"a file holds no certificate in PEM ({type(error).__name__})") from None
    with in_words():
        try:
            done = mailboxes.certify(settings, address_of(address), held, _order(by, why))
        except mailboxes.NotFor as error:
            raise Failure(str(error)) from None
    _told(done, as_json)


# --- looking ------------------------------------------------------------------------------------------------------


@mailbox.command("list")
@click.option("--state", type=click.Choice(["pending", "active", "suspended", "closed"]), help="Only these.")
@BY
@JSON
@with_settings
def list_(settings: Settings, state: str | None, by: str, as_json: bool) -> None:
    """The mailboxes of this tenant that you may see: address, kind, state."""
    from gateway import administration

    with in_words(), administration.desk(settings, by) as at:
        for domain in settings.node.domains:
            for kept in at.every(domain.lower()):
                if not state or kept.state == state:
                    _show(kept, as_json)


def _show(kept: Kept, as_json: bool) -> None:
    row = {"address": kept.text("mail") or kept.text("mssAdresse"), "kind": kept.text("mssType")}
    row |= {"state": kept.state.value, "name": kept.text("displayName")}
    red = kept.text("mssListeRouge") == "TRUE"
    more = "  liste rouge" if red else ""
    said = f"{row['address']}  {row['kind']}  {row['state']}{more}"
    click.echo(json.dumps(row | {"red_list": red}, ensure_ascii=False) if as_json else said)


@mailbox.command("adoption")
@BY
@JSON
@with_settings
def adoption(settings: Settings, by: str, as_json: bool) -> None:
    """How many mailboxes of which kind and state each structure has: no name, no address."""
    from gateway import administration

    with in_words(), administration.desk(settings, by) as at:
        for each in at.adoption():
            row = {"structure": each.structure, "kind": each.kind, "state": each.state, "number": each.number}
            said = f"{each.number:>6}  {each.kind:<4} {each.state:<9} {each.structure}"
            click.echo(json.dumps(row, ensure_ascii=False) if as_json else said)


@mailbox.command("inactive")
@click.option("--apply", "applying", is_flag=True, help="Do what each rung asks for: write to him, suspend, withdraw.")
@BY
@JSON
@with_settings
def inactive(settings: Settings, applying: bool, by: str, as_json: bool) -> None:
    """Mailboxes that nobody used for long, with the rung of [lifecycle] on which each stands."""
    from gateway import app, inactivity

    who = by or getpass.getuser()
    with in_words():
        for each in list(inactivity.idle(settings, app.clock(), by)):
            done = inactivity.act(settings, each, who) if applying else ""
            row = {"address": each.address.key, "state": each.state.value, "used": each.used.date().isoformat()}
            row |= {"rung": each.rung.value, "done": done}
            said = f"{row['address']}  {row['state']}  {row['used']}  {row['rung']}  {done}"
            click.echo(json.dumps(row) if as_json else said.rstrip())
