"""`pli account code` and `pli account role`: the second factor and the roles of the pages.

Promises: a secret is shown once, when it is made. Does not: set a password (gateway.account_command does).
"""

from __future__ import annotations

import click

from gateway.command import Failure, with_settings
from gateway.config import Settings
from gateway.web.people import People
from gateway.web.roles import Role

GRANTED = [role.value for role in Role if role is not Role.PROFESSIONAL]


def _people(settings: Settings, login: str) -> People:
    if settings.web is None:
        raise Failure("this node has no pages: write a section [web]")
    if login.lower().rpartition("@")[2] not in {each.lower() for each in settings.node.domains}:
        raise Failure(f"{login} is of no domain of {settings.node.tenant}: {', '.join(settings.node.domains)}")
    return People(settings.web.people or settings.paths.data / "people.json")


@click.command("code")
@click.argument("login")
@with_settings
def account_code(settings: Settings, login: str) -> None:
    """A new secret of one-time codes for LOGIN: an otpauth address for an authenticator program, shown once."""
    click.echo(_people(settings, login).enrol(login))


@click.command("role")
@click.argument("login")
@click.argument("roles", nargs=-1, type=click.Choice(GRANTED))
@with_settings
def account_role(settings: Settings, login: str, roles: tuple[str, ...]) -> None:
    """LOGIN has these ROLES at the pages from now on, beside that of a professional; none: that one alone."""
    _people(settings, login).give(login, frozenset(Role(each) for each in roles))
