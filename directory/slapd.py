"""A private OpenLDAP server's configuration and its fixed entries, for a regional directory.

Promises: `prepare` writes a whole slapd.conf in a folder, so that a slapd started from it reads nothing of
the machine's own; who sees and writes what stands in directory.access.
Does not: find or start slapd (whoever runs it does), nor fill the directory.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import argon2

from directory import access, filters
from directory.access import FEEDER as FEEDER
from directory.access import GATEWAY as GATEWAY
from directory.access import PEOPLE as PEOPLE
from directory.access import RELAY as RELAY
from directory.connection import needs_start_tls
from directory.ldif import record

SCHEMA = resources.files("directory.schema").joinpath("pli.schema").read_bytes()
"""Read at import: who prepares may by then be an account to which our code is closed."""

BRANCHES = ("personnes", "structures", "situations", "bal", "rouge", "etablissements", "groupes", "services")
"""Organisational units of the tree, directory §6.5."""

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
    """Of the fixed identities."""

    relay: str = field(repr=False)
    people: str = field(repr=False)
    feeder: str = field(repr=False)
    gateway: str = field(default="", repr=False)
    """Empty: it has no entry, and nobody keeps mailboxes through it."""

    @staticmethod
    def random() -> Passwords:
        return Passwords(*(secrets.token_urlsafe(18) for _ in range(3)))


@dataclass(frozen=True)
class Provider:
    """The server of which this one is a replica (RFC 4533)."""

    uri: str
    password: str = field(repr=False)
    """Of access.REPLICA there."""


def prepare(
    folder: Path, suffix: str, software: Software, max_bytes: int = 1 << 30, provider: Provider | None = None
) -> Path:
    """Writes slapd.conf and an empty database folder below `folder`; answers the configuration's path.

    `max_bytes` is the mdb map: a sparse file, and the most that the directory may grow to. With a `provider` the server
    is its replica: it begins empty, and only reads are answered.
    """
    (folder / "data").mkdir(mode=0o700, parents=True, exist_ok=True)
    schema, conf = folder / "pli.schema", folder / "slapd.conf"
    for path in (schema, conf):
        path.unlink(missing_ok=True)
    schema.write_bytes(SCHEMA)
    conf.touch(mode=0o600)
    conf.write_text(configuration(folder, suffix, software, max_bytes, provider))
    return conf


def configuration(
    folder: Path, suffix: str, software: Software, max_bytes: int = 1 << 30, provider: Provider | None = None
) -> str:
    """The text of slapd.conf for a server whose data lie in `folder`/data and whose schema is `folder`/pli.schema."""
    lines = [*_head(folder, folder / "pli.schema", software), *_database(folder, suffix, max_bytes)]
    return "\n".join([*lines, *_replica(suffix, provider), *access.rules(suffix)]) + "\n"


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
        "threads 16",
        # Nobody here asks for a beginning of two letters (directory.shape), and their lists are the longest to change.
        "index_substr_if_minlen 3",
        "idletimeout 0",
        # A request may not be larger than any that our clients make.
        "sockbuf_max_incoming 262143",
        "sockbuf_max_incoming_auth 8388607",
        "require LDAPv3",
        "authz-policy to",
    ]


def _database(folder: Path, suffix: str, max_bytes: int) -> list[str]:
    return [
        "database mdb",
        f'suffix "{suffix}"',
        f'directory "{folder / "data"}"',
        f"maxsize {max_bytes}",
        *(f"index {attribute} {','.join(_kinds(attribute))}" for attribute in filters.OURS),
        *access.limits(suffix),
        *_changes(),
    ]


def _kinds(attribute: str) -> list[str]:
    sub = "subinitial" if attribute in filters.BEGINNINGS else "sub"
    return sorted(sub if kind == "sub" else kind for kind in filters.OURS[attribute])


def _changes() -> list[str]:
    """Changes are told to whoever may read and asks for them (RFC 4533): the relay's cache, a replica."""
    return ["overlay syncprov", "syncprov-checkpoint 1000 10", "syncprov-sessionlog 10000"]


def _replica(suffix: str, provider: Provider | None) -> list[str]:
    """A consumer (slapd.conf(5)). Its rootdn has no password and no entry: the replication alone is it."""
    if provider is None:
        return []
    tls = " starttls=critical tls_reqcert=demand" if needs_start_tls(provider.uri) else ""
    who = f'binddn="{access.REPLICA},{suffix}" credentials="{provider.password}"'
    return [
        f'rootdn "cn=replication,{suffix}"',
        f'syncrepl rid=001 provider={provider.uri} type=refreshAndPersist retry="1 10 5 +"'
        f' searchbase="{suffix}" bindmethod=simple {who}{tls}',
        f"updateref {provider.uri}",
    ]


def foundation(suffix: str, passwords: Passwords) -> str:
    """LDIF of the suffix, the branches and the fixed identities."""
    records = [record(suffix, _top(suffix))]
    records += [
        record(f"ou={name},{suffix}", {"objectClass": ["organizationalUnit"], "ou": [name]}) for name in BRANCHES
    ]
    named = {RELAY: passwords.relay, PEOPLE: passwords.people, FEEDER: passwords.feeder}
    records += [record(f"{rdn},{suffix}", _identity(rdn, password)) for rdn, password in named.items()]
    if passwords.gateway:
        records.append(identity(GATEWAY, passwords.gateway, suffix))
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


def identity(rdn: str, password: str, suffix: str) -> str:
    """LDIF of one more identity: access.GATEWAY, SUPPORT, DELEGATE or REPLICA."""
    values = dict(_identity(rdn, password))
    if rdn == GATEWAY:
        values["authzTo"] = access.acts_for(suffix)
    return record(f"{rdn},{suffix}", values)


def establishment(name: str, password: str, suffix: str) -> str:
    """LDIF of one establishment's subtree and its administrator; `name` is of [a-z0-9-]. Raises ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError("an establishment's name is of a-z, 0-9 and hyphens")
    own = f"ou={name},{access.TENANTS},{suffix}"
    branch = record(own, {"objectClass": ["organizationalUnit"], "ou": [name]})
    return branch + record(f"{access.ADMINISTRATOR},{own}", _identity(access.ADMINISTRATOR, password))


_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
