"""A replica of a real slapd: it follows, says how far it is, and takes no writes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import ldap
import pytest

from directory import access, connection, slapd
from directory.following import standing
from directory.region import SUFFIX, ldif, region
from directory.replica import lag
from directory.slapd import FEEDER, Provider
from gateway.demo.servers import Slapd, free_port

ONE, LATER, OTHER = (
    "20261125093000.000000Z#000000#000#000000",
    "20261125093010.500000Z#000000#000#000000",
    "20261125090000.000000Z#000000#001#000000",
)


@pytest.mark.parametrize(
    ("provider", "replica", "seconds"),
    [
        ([ONE], [ONE], 0),
        ([LATER], [ONE], 10.5),
        ([ONE], [LATER], 0),
        ([LATER, OTHER], [OTHER, ONE], 10.5),
        ([ONE, OTHER], [ONE], None),
        ([ONE], [], None),
        ([], [ONE], None),
        (["x"], [ONE], None),
        (["x#y#z#t"], [ONE], None),
    ],
)
def test_how_far_behind(provider: list[str], replica: list[str], seconds: float | None) -> None:
    """The greatest over all servers that take writes; unknown where the replica has nothing of one of them."""
    told = lag(provider, replica)
    assert told.behind == (None if seconds is None else timedelta(seconds=seconds))
    assert told.in_step is (seconds == 0)


@pytest.fixture
def pair(own_slapd: Slapd, servers_folder: Path) -> Iterator[tuple[Slapd, Slapd]]:
    """The provider with the region, running, and its replica, not yet."""
    own_slapd.load(ldif(region()) + slapd.identity(access.REPLICA, "mot-replique", SUFFIX))
    own_slapd.start()
    provider = Provider(own_slapd.uri, "mot-replique")
    copy = replace(own_slapd, folder=servers_folder / "copie", port=free_port(), provider=provider)
    yield own_slapd, copy
    copy.stop()


def _linked(server: Slapd) -> ldap.ldapobject.LDAPObject:
    return connection.opened(server.uri, f"{FEEDER},{SUFFIX}", server.passwords.feeder, 5.0)


def _known(server: Slapd) -> list[str]:
    try:
        link = _linked(server)
        return standing(link, SUFFIX)
    except (ldap.INVALID_CREDENTIALS, ldap.NO_SUCH_OBJECT):
        return []


def _in_step(pair: tuple[Slapd, Slapd]) -> bool:
    ended = time.monotonic() + 30
    while time.monotonic() < ended:
        if lag(*map(_known, pair)).in_step:
            return True
        time.sleep(0.1)
    return False


def test_a_replica_follows_and_takes_no_writes(pair: tuple[Slapd, Slapd]) -> None:
    """It copies everything, passwords too, so that everybody reads there as here; a write is sent to the provider."""
    provider, copy = pair
    copy.start()
    assert _in_step(pair)
    dn = f"mail=marie.martin@medecin.mssante.example,ou=bal,{SUFFIX}"
    there, here = _linked(copy), _linked(provider)
    assert len(there.search_s(SUFFIX, ldap.SCOPE_SUBTREE, "(objectClass=mssBal)", ["1.1"])) == len(region())
    copy.stop()
    here.modify_s(dn, [(ldap.MOD_REPLACE, "displayName", [b"Dr Marie NOUVELLE"])])
    copy.start()
    assert _in_step(pair)
    there = _linked(copy)
    assert there.read_s(dn, attrlist=["displayName"]) == {"displayName": [b"Dr Marie NOUVELLE"]}
    with pytest.raises((ldap.REFERRAL, ldap.PARTIAL_RESULTS)):
        there.modify_s(dn, [(ldap.MOD_REPLACE, "displayName", [b"X"])])


def test_a_replica_that_does_not_follow_is_behind(pair: tuple[Slapd, Slapd]) -> None:
    """With a wrong password it still answers, from before a change: the probe says how far; with the right one it
    is in step again."""
    provider, copy = pair
    copy.start()
    assert _in_step(pair)
    copy.stop()
    dn = f"mail=marie.martin@medecin.mssante.example,ou=bal,{SUFFIX}"
    _linked(provider).modify_s(dn, [(ldap.MOD_REPLACE, "displayName", [b"Dr Marie NOUVELLE"])])
    deaf = replace(copy, provider=Provider(provider.uri, "faux"))
    deaf.start()
    told = lag(*map(_known, pair))
    assert told.behind
    assert not told.in_step
    deaf.stop()
    copy.start()
    assert _in_step(pair)
