"""What every command of `pli` shares: the configuration, and failures in one sentence.

Promises: a wrong configuration, or a part of the node that does not answer, is one sentence on standard error and exit
code 2; a command acts for one tenant, named by --tenant where the node serves several, or says of itself that it is the
whole node's.
Does not: hold a command (cli, and a file for each family, do).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from gateway import config as configuration
from gateway.config import ConfigError, Settings

F = TypeVar("F", bound=Callable[..., Any])
out = Console(soft_wrap=True, highlight=False)

LANGUAGE = click.option("--lang", type=click.Choice(["fr", "en"]), default="fr", help="Langue des phrases.")


TENANT = click.option("--tenant", default="", help="For which tenant; needed where this node serves several.")


class Failure(click.ClickException):
    """One sentence, exit code 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(f"pli: {self.format_message()}", err=True)


@contextmanager
def in_words() -> Iterator[None]:
    """Turns what the operator can mend into a sentence."""
    try:
        yield
    except ConfigError as error:
        raise Failure(str(error)) from None


def settings_of(context: click.Context) -> Settings:
    """The configuration named by --config; read when a command needs it."""
    path: Path = context.obj
    return configuration.load(path)


def with_settings(command: F) -> F:
    """Passes one tenant's settings as the first argument, and failures in words; adds --tenant to the command."""

    @click.pass_context
    @wraps(command)
    def wrapped(context: click.Context, *args: Any, **kwargs: Any) -> Any:
        with in_words(), _parts_in_words():
            settings = settings_of(context).view(kwargs.pop("tenant"))
            _log_apart(settings)
            return command(settings, *args, **kwargs)

    return TENANT(wrapped)  # type: ignore[return-value]  # click's decorators lose the type


def with_node(command: F) -> F:
    """The same with the whole node's settings, for a command that is no tenant's: `settings.views` are the tenants'."""

    @click.pass_context
    @wraps(command)
    def wrapped(context: click.Context, *args: Any, **kwargs: Any) -> Any:
        with in_words(), _parts_in_words():
            settings = settings_of(context)
            _log_apart(settings)
            return command(settings, *args, **kwargs)

    return wrapped  # type: ignore[return-value]  # as above


@contextmanager
def _parts_in_words() -> Iterator[None]:
    """The same for a part of the node that does not answer; apart, since the supervisor imports no part."""
    from sqlalchemy.exc import OperationalError

    from certs.keys import KeeperDown
    from relay.policy import PolicyDown
    from relay.spooler import StoreDown

    try:
        yield
    except StoreDown:
        raise Failure("the node's spooler does not answer: start it with `pli serve`") from None
    except KeeperDown:
        raise Failure(
            "the node's keeper does not answer: start it with `pli serve`, and type this under the node's account"
        ) from None
    except OperationalError as error:
        raise Failure(_unmade(error.orig)) from None
    except PolicyDown as error:
        raise Failure(_unmade(error)) from None


def _unmade(why: object) -> str:
    return f"the node's database cannot be read ({why}): `pli serve` or `pli migrate` makes it"


def _log_apart(settings: Settings) -> None:
    """Alarms of the parts go to standard error, scrubbed like a process's; standard output is the answer alone."""
    from gateway import app
    from gateway.log import configure
    from relay.pseudonym import Pseudonyms

    try:
        names = app.log_names(settings)
    except (ConfigError, ValueError):  # `pli config check` says so
        names = Pseudonyms(os.urandom(32))
    configure("ERROR", None, "command", names.scrub)
