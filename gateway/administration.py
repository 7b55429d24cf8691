"""The wiring of those who keep mailboxes: from a person's name to a desk at which the roles and slapd both decide.

Promises: with [administration] nobody acts who is not named there; without it whoever may read the feeder's password is
the region's keeper, as before. A person of an establishment works for the tenant of that name alone. Does not: know
whether he is who he says (the shell's login, or the pages' session, does).
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager

import ldap

from directory import connection
from directory.desk import Desk
from directory.roles import Actor, Role
from gateway import app, feeding
from gateway.administration_section import AdministrationSection
from gateway.config import ConfigError, Settings


class NotNamed(ConfigError):
    """Nobody of this name keeps mailboxes; the text is for the operator."""


def actor(settings: Settings, by: str = "") -> Actor:
    """`by`: his name; the login otherwise. Raises NotNamed, ConfigError."""
    name, told = by or getpass.getuser(), settings.administration
    if told is None:
        feeding.section(settings)
        return Actor(name, Role.REGION)
    person = told.people.get(name)
    if person is None:
        raise NotNamed(f"administration.people: {name} is not named there, and may keep no mailbox")
    if person.role is not Role.ESTABLISHMENT:
        return Actor(name, person.role)
    own = person.establishment or settings.node.tenant
    if settings.node.tenant != own:
        raise NotNamed(f"administration.people: {name} keeps {own}, not {settings.node.tenant}")
    return Actor(name, person.role, own)


@contextmanager
def desk(settings: Settings, by: str = "") -> Iterator[Desk]:
    """Raises NotNamed, feeding.DirectoryAway, ConfigError."""
    who = actor(settings, by)
    if who.role is Role.REGION:
        target = feeding.target(settings)
        yield Desk(who, target.connection, target.suffix)
        return
    told = settings.administration
    assert told is not None  # actor() knows no other role without it
    link = _bound(settings, told)
    try:
        yield Desk(who, link, settings.directory.base)
    finally:
        link.unbind_s()


@contextmanager
def gateway(settings: Settings) -> Iterator[ldap.ldapobject.LDAPObject | None]:
    """The gateway's own connection, which has no right but to ask in the name of those who keep the directory; None
    without [administration]. Raises feeding.DirectoryAway."""
    if settings.administration is None:
        yield None
        return
    link = _bound(settings, settings.administration)
    try:
        yield link
    finally:
        link.unbind_s()


def _bound(settings: Settings, told: AdministrationSection) -> ldap.ldapobject.LDAPObject:
    password = app.secret(told.password_file).decode()
    try:
        return connection.opened(settings.directory.uri, told.bind_dn, password, settings.directory.timeout_s)
    except ldap.LDAPError as error:
        raise feeding.DirectoryAway(
            f"administration.bind_dn: the directory does not let the gateway in ({type(error).__name__})"
        ) from None
