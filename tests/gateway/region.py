"""A node that keeps a region: a real slapd with a few mailboxes, a spooler, and browsers before its pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from directory import access, entries, slapd
from directory.address import parse
from directory.ldif import record
from directory.model import Entry, Kind
from directory.region import SUFFIX, with_luhn
from directory.slapd import Passwords
from gateway import config
from gateway.accounts import Accounts
from gateway.demo.servers import Slapd, free_port, new_folder
from gateway.web.faces import FACES
from gateway.web.roles import Role
from gateway.web.site import Site
from tests.gateway.browsing import ANNE, Browser
from tests.gateway.spooling import spooler

WORD = "mot-de-passe"
NOW = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
LILAS, PARC = "lilas", "parc"

_NODE = """
[node]
name = "n1"
hostname = "mss.lilas.example"
tenant = "lilas"
domains = ["lilas.example"]
[paths]
data = "{folder}/data"
run = "{folder}/run"
[doors]
[tls]
certificate = "{folder}/tls.pem"
key = "{folder}/tls.key"
[trust]
folder = "{folder}/trust"
white_list = "{folder}/list.xml"
[directory]
uri = "{uri}"
base = "{suffix}"
bind_dn = "cn=relais,{suffix}"
timeout_s = 60
password_file = "{folder}/word"
[feed]
bind_dn = "cn=gestion,{suffix}"
password_file = "{folder}/word"
[keeper]
folder = "{folder}/keys"
body_public_key = "{folder}/body.pub"
digest_key = "{folder}/digest"
pseudonym_key = "{folder}/pseudonym"
[accounts]
file = "{folder}/accounts"
[delivery]
lmtp_port = 24
[web]
"""
ADMINISTRATION = """
[administration]
bind_dn = "cn=passerelle,{suffix}"
password_file = "{folder}/word"
[administration.people]
"anne@lilas.example" = {{ role = "region" }}
"""


def person(address: str, given: str, family: str, number: int, **more: Any) -> Entry:
    rpps = with_luhn(f"10{number:08d}")
    return replace(Entry(parse(address), Kind.PER, f"Dr {given} {family}", family, given, "Dr", rpps), **more)


PEOPLE = (
    person("lea.martin@parc.example", "Léa", "MARTIN", 1, specialty="Radiologie", town="Meaux", structure="CLINIQUE"),
    person("lea.martin@cabinet.example", "Léa", "MARTIN", 1, specialty="Radiologie", town="Meaux"),
    person("l.martin@autre.example", "Lea", "MARTIN", 7, rpps="", specialty="Radiologie", town="Meaux"),
    person("rose.discrete@parc.example", "Rose", "DISCRÈTE", 2, red_list=True),
    person("paul.seul@parc.example", "Paul", "SEUL", 3, town="Melun"),
)


def _entries() -> str:
    """Identities, two establishments, and mailboxes: of the region, and one of an establishment's own."""
    told = "".join(slapd.identity(rdn, WORD, SUFFIX) for rdn in (access.GATEWAY, access.SUPPORT, access.DELEGATE))
    told += "".join(slapd.establishment(name, WORD, SUFFIX) for name in (LILAS, PARC))
    for one in PEOPLE:
        branch = "rouge" if one.red_list else "bal"
        told += record(f"mail={one.address},ou={branch},{SUFFIX}", entries.attributes(one))
    own = Entry(parse("accueil@lilas.example"), Kind.ORG, "Accueil LILAS", structure="LILAS", service="Accueil")
    return told + record(f"mail={own.address},ou={LILAS},{access.TENANTS},{SUFFIX}", entries.attributes(own))


@dataclass
class Region:
    folder: Path
    server: Slapd
    settings: config.Settings
    site: Site

    def browser(self, *roles: Role, language: str = "fr") -> Browser:
        return Browser(self.site, *roles, language=language)

    def without_administration(self) -> Site:
        settings = config.load(_written(self.folder, self.server, "alone.toml", ""))
        return Site(settings, FACES, lambda: NOW)


def _written(folder: Path, server: Slapd, name: str, more: str) -> Path:
    path = folder / name
    path.write_text((_NODE + more).format(folder=folder, uri=server.uri, suffix=SUFFIX))
    return path


@contextmanager
def opened() -> Iterator[Region]:
    folder = new_folder("pli-region-")
    server = Slapd(folder / "slapd", free_port(), SUFFIX, Passwords(WORD, WORD, WORD))
    server.load(_entries())
    server.start()
    for name in ("run", "data", "keys"):
        (folder / name).mkdir()
    for name in ("word", "pseudonym", "digest", "body.pub"):
        (folder / name).write_text(WORD if name == "word" else "00" * 32)
    Accounts(folder / "accounts").open({ANNE: ""})
    settings = config.load(_written(folder, server, "pli.toml", ADMINISTRATION))
    try:
        with spooler(settings), closing(Site(settings, FACES, lambda: NOW)) as site:
            yield Region(folder, server, settings, site)
    finally:
        server.stop()
        shutil.rmtree(folder)
