"""`pli account`: who may log in, by which password, device or subject of the OpenID provider.

Promises: a password is asked for or read from a file, never taken from the command line; an application password is
shown once. Does not: make the mailbox (Dovecot does, on its first letter) or its directory entry.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from gateway.accounts import Accounts, BadAccount
from gateway.command import Failure, with_settings
from gateway.config import Settings

T = TypeVar("T")


@click.group()
def account() -> None:
    """Accounts: logins of the mail doors and of Dovecot."""


def _kept(settings: Settings, change: Callable[[Accounts], T]) -> T:
    try:
        return change(Accounts(settings.accounts.file))
    except BadAccount as error:
        raise Failure(str(error)) from None
    except OSError as error:
        raise Failure(f"{settings.accounts.file}: {error.strerror}") from None


@account.command("password")
@click.argument("login")
@click.option("--password-file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Its first line; asked for otherwise.")  # fmt: skip
@with_settings
def account_password(settings: Settings, login: str, password_file: Path | None) -> None:
    """Add LOGIN, an address of this node, or give it another password."""
    if password_file:
        password = (password_file.read_text("utf-8").splitlines() or [""])[0]
    else:
        password = click.prompt("Mot de passe", hide_input=True, confirmation_prompt=True)
    _kept(settings, lambda accounts: accounts.add(login, password))


@account.command("application")
@click.argument("login")
@click.argument("device")
@with_settings
def account_application(settings: Settings, login: str, device: str) -> None:
    """A password for one DEVICE of LOGIN, shown once; it logs in as LOGIN/DEVICE."""
    password = _kept(settings, lambda accounts: accounts.add_device(login, device))
    click.echo(f"{login.lower()}/{device} {password}")


@account.command("bind")
@click.argument("login")
@click.argument("subject")
@with_settings
def account_bind(settings: Settings, login: str, subject: str) -> None:
    """Let SUBJECT of the OpenID provider (Pro Santé Connect) log in as LOGIN."""
    _kept(settings, lambda accounts: accounts.bind(login, subject))


@account.command("remove")
@click.argument("login")
@with_settings
def account_remove(settings: Settings, login: str) -> None:
    """Remove LOGIN with its devices, or LOGIN/DEVICE alone. The mailbox and its letters stay."""
    if not _kept(settings, lambda accounts: accounts.remove(login)):
        raise Failure(f"{login} is no account here")


@account.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@with_settings
def account_list(settings: Settings, as_json: bool) -> None:
    """Every login, its kind, and the subjects bound to it."""
    for line in _kept(settings, lambda accounts: accounts.lines()):
        kind = "application" if line.device else ("password" if line.hash.startswith("$") else "token only")
        row = {"login": line.name, "kind": kind, "subjects": list(line.subjects)}
        click.echo(json.dumps(row) if as_json else f"{line.name}  {kind}  {' '.join(line.subjects)}".rstrip())
