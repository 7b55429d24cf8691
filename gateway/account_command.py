"""`pli account`: who may log in, by which password, device, subject of the OpenID provider or client certificate.

Promises: a password is asked for or read from a file, never taken from the command line; an application password is
shown once. Does not: make the mailbox (Dovecot does, on its first letter) or its directory entry.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.accounts import Accounts, BadAccount
from gateway.command import Failure, with_settings
from gateway.config import Settings

T = TypeVar("T")


@click.group()
def account() -> None:
    """Accounts: logins of the mail doors and of Dovecot."""


def _ours(settings: Settings, login: str) -> None:
    """An account is an address of its own tenant: a line for another's would be a way into that one's mailbox."""
    _, at, domain = login.partition("/")[0].lower().rpartition("@")
    if at and domain not in {each.lower() for each in settings.node.domains}:
        raise Failure(f"{login} is of no domain of {settings.node.tenant}: {', '.join(settings.node.domains)}")


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
    _ours(settings, login)
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
    _ours(settings, login)
    password = _kept(settings, lambda accounts: accounts.add_device(login, device))
    click.echo(f"{login.lower()}/{device} {password}")


@account.command("bind")
@click.argument("login")
@click.argument("subject")
@with_settings
def account_bind(settings: Settings, login: str, subject: str) -> None:
    """Let SUBJECT of the OpenID provider (Pro Santé Connect) log in as LOGIN."""
    _ours(settings, login)
    _kept(settings, lambda accounts: accounts.bind(login, subject))


@account.command("certificate")
@click.argument("login")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--by-address", is_flag=True, help="Bind the only address in it instead of its subject.")
@with_settings
def account_certificate(settings: Settings, login: str, file: Path, by_address: bool) -> None:
    """Let the client certificate in FILE (PEM or DER), and its successors of the same name, log in as LOGIN."""
    _ours(settings, login)
    try:
        der = _first_certificate(file.read_bytes())
        bound = _kept(settings, lambda accounts: accounts.bind_certificate(login, der, by_address=by_address))
    except ValueError:
        raise Failure(f"{file} holds no certificate that can be read") from None
    click.echo(bound)


def _first_certificate(data: bytes) -> bytes:
    """Of a PEM chain the first one, as a TLS client shows it."""
    if not data.lstrip().startswith(b"-----BEGIN"):
        return data
    return x509.load_pem_x509_certificates(data)[0].public_bytes(Encoding.DER)


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
    """Every login, its kind, and the subjects and certificates bound to it."""
    for line in _kept(settings, lambda accounts: accounts.lines()):
        kind = "application" if line.device else ("password" if line.hash.startswith("$") else "bound only")
        row = {
            "login": line.name,
            "kind": kind,
            "subjects": list(line.subjects),
            "certificates": list(line.certificates),
        }
        words = " ".join((*line.subjects, *line.certificates))
        click.echo(json.dumps(row) if as_json else f"{line.name}  {kind}  {words}".rstrip())
