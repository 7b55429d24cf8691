"""The wiring of look-ups: from one tenant's settings to the directories it asks, and to what is remembered of them.

Promises: each process has its own memory, which hears of changes in a thread of its own. Does not: decide what an
answer means.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from certs.model import Clock
from directory import connection, mapping
from directory.cache import DirectoryCache
from directory.fhir import FhirDirectory
from directory.following import Changes, Follower
from directory.ldap import LdapDirectory
from directory.lookup import Directory
from directory.mapping import BadMapping
from directory.pace import Pace
from directory.several import SeveralDirectories
from gateway.config import ConfigError, Settings
from gateway.directory_section import DirectorySection, NationalSection

Secret = Callable[[Path], bytes]


def regional(told: DirectorySection, secret: Secret, clock: Clock) -> LdapDirectory:
    """The region's own."""
    password = secret(told.password_file).decode()
    return LdapDirectory(told.uri, told.base, told.bind_dn, password, timeout_s=told.timeout_s, clock=clock)


def every(settings: Settings, secret: Secret, clock: Clock) -> SeveralDirectories:
    """All that are configured, the region's own first. Raises ConfigError."""
    members: list[Directory] = [regional(settings.directory, secret, clock)]
    if told := settings.national:
        members.append(_national(told, secret, clock))
    if api := settings.fhir:
        key = secret(api.key_file).decode().strip()
        members.append(FhirDirectory(api.url, key, Pace(api.calls_per_s), api.timeout_s))
    return SeveralDirectories(members)


def _national(told: NationalSection, secret: Secret, clock: Clock) -> LdapDirectory:
    try:
        shape = mapping.parse(told.mapping.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, BadMapping) as error:
        raise ConfigError(f"national.mapping: {error}") from None
    password = secret(told.password_file).decode()
    return LdapDirectory(
        *(told.uri, told.base, told.bind_dn, password),
        timeout_s=told.timeout_s,
        clock=clock,
        ca=told.ca,
        shape=shape,
    )


def remembered(told: DirectorySection, asked: Directory, clock: Clock) -> Directory:
    """`asked`, with a memory, where it is to have one."""
    return DirectoryCache(asked, clock, told.cache) if told.cache_entries else asked


def heard(told: DirectorySection, memory: Directory, secret: Secret, clock: Clock) -> Follower | None:
    """What tells a memory of changes, begun; None where there is no memory, or nobody is to be heard."""
    if not (told.cache_follow and isinstance(memory, DirectoryCache)):
        return None
    begun = _follower(told, memory, secret, clock)
    begun.start()
    return begun


def _follower(told: DirectorySection, cache: DirectoryCache, secret: Secret, clock: Clock) -> Follower:
    def opened() -> Changes:
        password = secret(told.password_file).decode()
        made = connection.opened(told.uri, told.bind_dn, password, told.timeout_s, make=Changes)
        assert isinstance(made, Changes)
        return made

    return Follower(opened, told.base, cache, clock, told.cache_poll_s)
