"""What tests of the directory share: a private slapd with the invented region and a few awkward entries."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import ldap
import pytest

from directory import entries
from directory.address import parse
from directory.ldap import LdapDirectory
from directory.ldif import escaped, record
from directory.model import Capabilities, Entry, Kind, Replacement
from directory.region import SUFFIX, ldif, region
from directory.slapd import Passwords
from gateway.demo.servers import Slapd, free_port, new_folder

NORTH = "hopital-nord.mssante.example"
PASSWORDS = Passwords(relay="mot-relais", people="mot-annuaire", feeder="mot-gestion")


def at_test_time() -> datetime:
    return datetime(2026, 11, 25, 9, 30, tzinfo=UTC)


def person(address: str, given: str, family: str, rpps: str, **more: object) -> Entry:
    """A mailbox of one invented person."""
    entry = Entry(parse(address), Kind.PER, f"Dr {given} {family}", family, given, "Dr", rpps)
    return replace(entry, **more)  # type: ignore[arg-type]


def awkward_ldif() -> str:
    """Entries such as strangers make them."""
    certified = {"capabilities": Capabilities(smime=True, mdn=True, max_bytes=10_000)}
    twins = [
        person(f"deux.lieux@{NORTH}", "Deux", "LIEUX", "10900000500", town="Paris"),
        person(f"deux.lieux@{NORTH}", "Deux", "LIEUX", "10900000500", town="Meaux"),
        person(f"garde@{NORTH}", "Un", "MÉDECIN", "10900000518", **certified),
        person(f"garde@{NORTH}", "Autre", "MÉDECIN", "10900000526", red_list=True),
    ]
    red = person(f"solange.discrete@{NORTH}", "Solange", "DISCRÈTE", "10900000534", red_list=True)
    crowd = [person(f"foule{number}@{NORTH}", f"Foule{number}", "FOULE", "") for number in range(130)]
    records = [_at(f"cn=jumeau{number}", entry) for number, entry in enumerate(twins)]
    records += [_at(f"cn=foule{number}", entry) for number, entry in enumerate(crowd)]
    accent = person("renée@accents.example", "Renée", "ACCENT", "")
    records += [_at("cn=rouge", red), _at("cn=accent", accent), *_broken(), *_lapsed(), *_sought()]
    return "".join(records)


def _at(rdn: str, entry: Entry, **changed: Sequence[str | bytes]) -> str:
    values = {**entries.attributes(entry), "cn": [rdn.removeprefix("cn=")], **changed}
    values["objectClass"] = ["mssBal", "pliSource", "extensibleObject"]
    return record(f"{escaped_rdn(rdn)},ou=bal,{SUFFIX}", values)


def _sought() -> Iterator[str]:
    """One name as asked, behind 130 that begin with it; one holder's three mailboxes; who is away; who works where."""
    for number in range(130):
        yield _at(f"cn=pontet{number}", person(f"pontet{number}@{NORTH}", "Ana", f"PONTET{number}", ""))
    yield _at("cn=pont", person(f"zoe.pont@{NORTH}", "Zoé", "PONT", "10900000559"))
    for rank in (3, None, 1):
        box = person(f"b{rank or 0}.trio@{NORTH}", "Lise", "TRIO", "10900000567", preferred=rank)
        yield _at(f"cn=trio{rank}", box)
    times = (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    away = Replacement(parse(f"zoe.pont@{NORTH}"), *times)
    yield _at("cn=absent", person(f"paul.absent@{NORTH}", "Paul", "ABSENT", "10900000575", replacements=(away,)))
    unmarked = replace(person(f"sans.marque@{NORTH}", "Sans", "MARQUE", ""), red_list=False)
    yield record(f"mail={unmarked.address},ou=rouge,{SUFFIX}", entries.attributes(unmarked))
    for number, (place, state) in enumerate((("HÔPITAL NORD", "active"), ("CABINET", "active"), ("ANCIEN", "closed"))):
        yield record(f"pliKey=s{number},ou=situations,{SUFFIX}", _situation(f"s{number}", place, state))


def _situation(key: str, place: str, state: str) -> dict[str, list[str]]:
    identifiers = ["ANS:RPPS:10900000559:active", "ANS:FINESS:930000001:active"]
    values = {"objectClass": ["pliSituation", "pliSource"], "pliKey": [key], "o": [place], "hcMode": ["libéral"]}
    return values | {"hcIdentifier": identifiers, "lifecycleState": [state]}


def escaped_rdn(rdn: str) -> str:
    name, _, value = rdn.partition("=")
    return f"{name}={escaped(value)}"


def _broken() -> Iterator[str]:
    base = person(f"bizarre@{NORTH}", "Bizarre", "NOMS", "10900000542")
    yield _at("cn=bizarre", base, displayName=[b"a*b(c)\\d\x00e"], sn=[b"*)(mail=*"])
    spaced = replace(base, address=parse(f"espace@{NORTH}"))
    yield _at("cn=espace", spaced, mail=[f"espace@{NORTH} "], displayName=["Adresse suivie d'un blanc"])


def _lapsed() -> Iterator[str]:
    for name, said in {
        "ferme": {"lifecycleState": ["closed"]},
        "passe": {"validTo": ["20260101000000Z"]},
        "futur": {"validFrom": ["20270101000000Z"]},
        "actuel": {"validFrom": ["20260101000000Z"], "validTo": ["20270101000000Z"]},
    }.items():
        yield _at(f"cn={name}", person(f"{name}.vie@{NORTH}", name, "VIE", ""), **said)


@pytest.fixture
def servers_folder() -> Iterator[Path]:
    """A folder that private servers can enter, whoever runs the tests; it goes at the end."""
    folder = new_folder("pli-test-")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def regional() -> Iterator[Slapd]:
    """A running slapd with the region, for reading only."""
    folder = new_folder("pli-test-")
    server = Slapd(folder / "slapd", free_port(), SUFFIX, PASSWORDS)
    try:
        server.load(ldif(region()) + awkward_ldif())
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture
def own_slapd(servers_folder: Path) -> Iterator[Slapd]:
    """A slapd with the plain region, to stop and start; loaded, not yet running."""
    server = Slapd(servers_folder / "slapd", free_port(), SUFFIX, PASSWORDS)
    server.load(ldif(region()))
    yield server
    server.stop()


def relay_view(server: Slapd, **settings: object) -> LdapDirectory:
    """The directory as the relay sees it."""
    names = {"uri": server.uri, "base": SUFFIX, "bind_dn": server.relay_dn, "password": PASSWORDS.relay}
    return LdapDirectory(**{**names, "clock": at_test_time, **settings})  # type: ignore[arg-type]


@pytest.fixture
def directory(regional: Slapd) -> LdapDirectory:
    """The region as the relay sees it."""
    return relay_view(regional)


@pytest.fixture
def view_of_relay() -> Callable[..., LdapDirectory]:
    """For tests which make the directory's server themselves."""
    return relay_view


def connect(server: Slapd, dn: str = "", password: str = "") -> ldap.ldapobject.LDAPObject:
    """A plain LDAP client."""
    connection = ldap.initialize(server.uri)
    connection.simple_bind_s(dn, password)
    return connection


@pytest.fixture
def anonymous(regional: Slapd) -> Iterator[ldap.ldapobject.LDAPObject]:
    connection = connect(regional)
    yield connection
    connection.unbind_s()


@pytest.fixture
def professional(regional: Slapd) -> Iterator[ldap.ldapobject.LDAPObject]:
    connection = connect(regional, regional.people_dn, PASSWORDS.people)
    yield connection
    connection.unbind_s()


@pytest.fixture
def relay(regional: Slapd) -> Iterator[ldap.ldapobject.LDAPObject]:
    connection = connect(regional, regional.relay_dn, PASSWORDS.relay)
    yield connection
    connection.unbind_s()


@pytest.fixture
def feeder(regional: Slapd) -> Iterator[ldap.ldapobject.LDAPObject]:
    connection = connect(regional, f"cn=gestion,{SUFFIX}", PASSWORDS.feeder)
    yield connection
    connection.unbind_s()
