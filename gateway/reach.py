"""Who of those who keep or read the directory sees one entry, and what each may do to it: our own table of roles beside
the answer of the server itself.

Promises: the server is asked as each of them (proxied authorisation, RFC 4370), so that what is shown is what its rules
say now; where this node may not ask for others, the answer is that nobody can tell. Does not: try a change, or let
anybody do anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ldap

from directory import access, delegated, desk, entries, filters, roles
from directory.model import Entry
from directory.roles import Act, Actor, Role
from gateway import administration, feeding
from gateway.config import ConfigError, Settings

READERS = "readers"
"""Professionals and their address books, who keep nothing."""
ELSEWHERE = "elsewhere"
"""The administrator of another establishment."""


@dataclass(frozen=True)
class Reach:
    """Of one of them. `who`: a role, or one of the names above; `sees`: None where nobody can tell."""

    who: str
    acts: tuple[Act, ...]
    sees: bool | None
    attributes: tuple[str, ...] = ()
    """Those that the server showed."""


def of_entry(settings: Settings, entry: Entry) -> tuple[Reach, ...]:
    """Of every role, in the order of the table. Raises ldap.LDAPError, ConfigError."""
    dn, base = entry.provenance.dn, settings.directory.base
    own = establishment(dn, base)
    with _links(settings) as (region, gateway):
        told = [_reach(who, actor, own, dn, base, _link(actor, region, gateway)) for who, actor in _actors(own)]
    return (*told, Reach(READERS, (), not entry.red_list))


def establishment(dn: str, base: str) -> str:
    """In whose subtree it stands; empty: in the region's own."""
    below = f",{access.TENANTS},{base}".lower()
    if not dn.lower().endswith(below):
        return ""
    return str(ldap.dn.str2dn(dn[: -len(below)])[-1][0][1])


def _actors(own: str) -> Iterator[tuple[str, Actor]]:
    yield Role.REGION, Actor("", Role.REGION)
    if own:
        yield Role.ESTABLISHMENT, Actor("", Role.ESTABLISHMENT, own)
    yield ELSEWHERE, Actor("", Role.ESTABLISHMENT, f"{own}-autre")
    yield Role.DELEGATE, Actor("", Role.DELEGATE)
    yield Role.SUPPORT, Actor("", Role.SUPPORT)


def _reach(who: str, actor: Actor, own: str, dn: str, base: str, link: Any) -> Reach:
    acts = tuple(act for act in Act if roles.permitted(actor, act, own))
    if link is None:
        return Reach(who, acts, None)
    shown = _shown(link, desk.whom(actor, base), dn)
    return Reach(who, acts, bool(shown), tuple(sorted(shown, key=str.lower)))


def _shown(link: Any, whom: str, dn: str) -> Sequence[str]:
    try:
        rows = delegated.search(link, whom, dn, filters.equal("objectClass", entries.CLASS), ["*"])
    except ldap.INSUFFICIENT_ACCESS:
        return []
    return [name for found, values in rows if found.lower() == dn.lower() for name in values]


def _link(actor: Actor, region: Any, gateway: Any) -> Any:
    return region if actor.role is Role.REGION else gateway


@contextmanager
def _links(settings: Settings) -> Iterator[tuple[Any, Any]]:
    """The feeder's, and the gateway's where there is one; None where there is none."""
    try:
        region: Any = feeding.target(settings).connection
    except ConfigError:
        region = None
    try:
        with administration.gateway(settings) as link:
            yield region, link
    finally:
        if region is not None:
            region.unbind_s()
