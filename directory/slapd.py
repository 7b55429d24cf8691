"""A private OpenLDAP server's configuration and its fixed entries, for a regional directory.

Promises: `prepare` writes a whole slapd.conf in a folder, so that a slapd started from it reads nothing of
the machine's own; anonymous readers see nothing; professionals see all but the red list, and at most 100
entries a search, without paging; only the relay and the feeder see the red list; only the feeder writes.
Does not: find or start slapd (whoever runs it does), nor fill the directory.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import argon2

from directory import filters
from directory.ldif import record

SCHEMA = resources.files("directory.schema").joinpath("pli.schema").read_bytes()
"""Read at import: who prepares may by then be an account to which our code is closed."""

RELAY = "cn=relais"
PEOPLE = "cn=annuaire"
FEEDER = "cn=gestion"

BRANCHES = ("personnes", "structures", "situations", "bal", "rouge", "groupes", "services")
"""Organisational units of the tree, directory §6.5."""

SEARCH_LIMIT = 100
"""Entries of one search for professionals (directory §6.5)."""

_STANDARD_SCHEMAS = ("core", "cosine", "inetorgperson")


@dataclass(frozen=True)
class Software:
    """Where one OpenLDAP 2.5 lies."""

    modules: Path
    """Folder of back_mdb.so and argon2.so."""
    schemas: Path
    """Folder of core.schema and its like."""


@dataclass(frozen=True)
class Passwords:
    """Of the three identities."""

    relay: str = field(repr=False)
    people: str = field(repr=False)
    feeder: str = field(repr=False)

    @staticmethod
    def random() -> Passwords:
        return Passwords(*(secrets.token_urlsafe(18) for _ in range(3)))


def prepare(folder: Path, suffix: str, software: Software, max_bytes: int = 1 << 30) -> Path:
    """Writes slapd.conf and an empty database folder below `folder`; answers the configuration's path.

    `max_bytes` is the mdb map: a sparse file, and the most that the directory may grow to.
    """
    (folder / "data").mkdir(mode=0o700, parents=True, exist_ok=True)
    schema, conf = folder / "pli.schema", folder / "slapd.conf"
    for path in (schema, conf):
        path.unlink(missing_ok=True)
    schema.write_bytes(SCHEMA)
    lines = [*_head(folder, schema, software), *_database(folder, suffix, max_bytes), *_access(suffix)]
    conf.write_text("\n".join(lines) + "\n")
    return conf


def _head(folder: Path, schema: Path, software: Software) -> list[str]:
    return [
        *(f'include "{software.schemas / name}.schema"' for name in _STANDARD_SCHEMAS),
        f'include "{schema}"',
        f'pidfile "{folder / "slapd.pid"}"',
        f'argsfile "{folder / "slapd.args"}"',
        f'modulepath "{software.modules}"',
        "moduleload back_mdb",
        "moduleload argon2",
        "moduleload syncprov",
        "threads 4",
        "idletimeout 0",
        # A request may not be larger than any that our clients make.
        "sockbuf_max_incoming 262143",
        "sockbuf_max_incoming_auth 8388607",
        "require LDAPv3",
    ]


def _database(folder: Path, suffix: str, max_bytes: int) -> list[str]:
    return [
        "database mdb",
        f'suffix "{suffix}"',
        f'directory "{folder / "data"}"',
        f"maxsize {max_bytes}",
        *(f"index {attribute} {','.join(sorted(kinds))}" for attribute, kinds in filters.OURS.items()),
        *_limits(suffix),
        *_changes(),
    ]


def _changes() -> list[str]:
    """Changes are told to whoever may read and asks for them (RFC 4533): the relay's cache, a replica."""
    return ["overlay syncprov", "syncprov-checkpoint 1000 10", "syncprov-sessionlog 10000"]


def _limits(suffix: str) -> list[str]:
    return [
        f'limits dn.exact="{FEEDER},{suffix}" size=unlimited time=unlimited',
        f'limits dn.exact="{RELAY},{suffix}" size=10000 time=30',
        # No paging, so that nobody walks through the whole region.
        f"limits * size.soft={SEARCH_LIMIT} size.hard={SEARCH_LIMIT} size.prtotal=disabled time=30",
    ]


def _access(suffix: str) -> list[str]:
    readers = [f'by dn.exact="{RELAY},{suffix}" read', f'by dn.exact="{FEEDER},{suffix}" write']
    return [
        "access to attrs=userPassword",
        f'  by dn.exact="{FEEDER},{suffix}" =w',
        "  by anonymous auth",
        "  by * none",
        # Before the general rule: the first that matches decides, so a red-listed entry does not even exist.
        f'access to dn.subtree="{suffix}" filter=(mssListeRouge=TRUE)',
        *(f"  {who}" for who in readers),
        "  by * none",
        f'access to dn.subtree="{suffix}"',
        *(f"  {who}" for who in readers),
        f'  by dn.exact="{PEOPLE},{suffix}" read',
        "  by * none",
    ]


def foundation(suffix: str, passwords: Passwords) -> str:
    """LDIF of the suffix, the branches and the three identities."""
    records = [record(suffix, _top(suffix))]
    records += [
        record(f"ou={name},{suffix}", {"objectClass": ["organizationalUnit"], "ou": [name]}) for name in BRANCHES
    ]
    named = {RELAY: passwords.relay, PEOPLE: passwords.people, FEEDER: passwords.feeder}
    records += [record(f"{rdn},{suffix}", _identity(rdn, password)) for rdn, password in named.items()]
    return "".join(records)


def _top(suffix: str) -> Mapping[str, Sequence[str]]:
    name = suffix.split(",")[0].removeprefix("dc=")
    return {"objectClass": ["dcObject", "organization"], "dc": [name], "o": [f"Annuaire {name}"]}


def _identity(rdn: str, password: str) -> Mapping[str, Sequence[str]]:
    # The passwords are random and long: a cheap hash is enough, and each new connection pays for it.
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
    return {
        "objectClass": ["organizationalRole", "simpleSecurityObject"],
        "cn": [rdn.removeprefix("cn=")],
        "userPassword": ["{ARGON2}" + hasher.hash(password)],
    }
