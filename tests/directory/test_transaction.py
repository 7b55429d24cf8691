"""Several writes as one on a real slapd: all or none, heard by whoever follows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ldap
import pytest

from directory import access, connection, slapd, transaction
from directory.address import parse
from directory.cache import DirectoryCache, How
from directory.following import Changes, Follower, standing
from directory.ldap import LdapDirectory
from directory.model import Found
from directory.region import SUFFIX, ldif, region
from directory.replica import lag
from directory.slapd import FEEDER, Provider
from gateway.demo.servers import Slapd, free_port

PLACE = f"ou=bal,{SUFFIX}"
LIMIT_S = 60.0


def linked(server: Slapd) -> Any:
    return connection.opened(server.uri, f"{FEEDER},{SUFFIX}", server.passwords.feeder, 10.0)


@pytest.fixture
def link(own_slapd: Slapd) -> Iterator[Any]:
    own_slapd.start()
    made = linked(own_slapd)
    yield made
    made.unbind_s()


def entries(link: Any) -> dict[str, dict[str, list[bytes]]]:
    return dict(link.search_s(PLACE, ldap.SCOPE_ONELEVEL, "(objectClass=mssBal)"))


def names(link: Any, dns: list[str], to: bytes) -> list[transaction.Send]:
    def one(dn: str) -> transaction.Send:
        changes = [(ldap.MOD_REPLACE, "displayName", [to])]
        return lambda controls: int(link.modify_ext(dn, changes, serverctrls=controls))

    return [one(dn) for dn in dns]


def test_all_are_made_at_once(link: Any, own_slapd: Slapd) -> None:
    """Changed, added and removed; nobody sees any of it before the end, everybody all of it then."""
    dns = sorted(entries(link))
    assert transaction.offered(link)
    other = linked(own_slapd)
    new = {"objectClass": [b"mssBal"], "mssType": [b"ORG"], "displayName": [b"Neuve"], "mail": [b"n@x.example"]}
    seen: list[int] = []

    def added(controls: list[Any]) -> int:
        seen.append(sum(each["displayName"] == [b"Nouveau"] for each in entries(other).values()))
        return int(link.add_ext(f"mail=n@x.example,{PLACE}", list(new.items()), serverctrls=controls))

    def removed(controls: list[Any]) -> int:
        return int(link.delete_ext(dns[0], serverctrls=controls))

    transaction.committed(link, [*names(link, dns[1:], b"Nouveau"), added, removed], 10.0)
    assert seen == [0]
    now = entries(other)
    assert {each["displayName"][0] for each in now.values()} == {b"Nouveau", b"Neuve"}
    assert len(now) == len(dns)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (f"mail=personne@x.example,{PLACE}", "NO_SUCH_OBJECT"),
        ("pas un nom", "INVALID_DN_SYNTAX"),
    ],
    ids=["refused at the end", "refused at once"],
)
def test_one_that_is_refused_undoes_all(link: Any, wrong: str, why: str) -> None:
    """With slapd's name for it; the connection goes on, and has its next one."""
    before = entries(link)
    dns = sorted(before)
    with pytest.raises(transaction.Undone, match=why):
        transaction.committed(link, names(link, [dns[0], wrong, dns[1]], b"Nouveau"), 10.0)
    assert entries(link) == before
    transaction.committed(link, names(link, dns[:2], b"Nouveau"), 10.0)
    assert [entries(link)[dn]["displayName"] for dn in dns[:2]] == [[b"Nouveau"]] * 2


def test_a_server_that_goes_away_is_not_undone(link: Any, own_slapd: Slapd) -> None:
    """Whether it was made nobody knows: that is another answer, and whoever asked looks again."""
    writes = names(link, sorted(entries(link))[:2], b"Nouveau")

    def gone(controls: list[Any]) -> int:
        own_slapd.stop()
        return writes[1](controls)

    with pytest.raises(transaction.AWAY):
        transaction.committed(link, [writes[0], gone], 10.0)


def until(look: Callable[[], bool]) -> bool:
    ended = time.monotonic() + LIMIT_S
    while time.monotonic() < ended:
        if look():
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("away", [False, True], ids=["while it follows", "while it is away"])
def test_a_replica_gets_all_of_it(own_slapd: Slapd, servers_folder: Path, away: bool) -> None:
    """RFC 4533 tells each change of a transaction, to one that listens and to one that comes back."""
    own_slapd.load(ldif(region()) + slapd.identity(access.REPLICA, "mot-replique", SUFFIX))
    own_slapd.start()
    copy = replace(
        own_slapd, folder=servers_folder / "copie", port=free_port(), provider=Provider(own_slapd.uri, "mot-replique")
    )
    copy.start()
    here = linked(own_slapd)

    def same() -> bool:
        """All that is there, and that it knows how far it has read."""
        try:
            there = linked(copy)
            return entries(there) == entries(here) and lag(standing(here, SUFFIX), standing(there, SUFFIX)).in_step
        except (ldap.INVALID_CREDENTIALS, ldap.NO_SUCH_OBJECT):
            return False

    try:
        assert until(same)
        if away:
            copy.stop()
        dns = sorted(entries(here))
        transaction.committed(
            here, [*names(here, dns[2:], b"Nouveau"), lambda c: here.delete_ext(dns[0], serverctrls=c)], 10
        )
        if away:
            copy.start()
        assert until(same)
        assert len(entries(here)) == len(dns) - 1
    finally:
        copy.stop()


def test_a_cache_that_listens_hears_it(link: Any, own_slapd: Slapd) -> None:
    """The relay's answers follow, though nothing had grown old."""
    known = parse("marie.martin@medecin.mssante.example")
    asking = LdapDirectory(
        own_slapd.uri, SUFFIX, own_slapd.relay_dn, own_slapd.passwords.relay, clock=lambda: datetime.now(UTC)
    )
    cache = DirectoryCache(asking, lambda: datetime.now(UTC))

    def opened() -> Changes:
        made = connection.opened(own_slapd.uri, own_slapd.relay_dn, own_slapd.passwords.relay, 5.0, make=Changes)
        assert isinstance(made, Changes)
        return made

    def name() -> str:
        answer = cache.find(known)
        return answer.entry.display_name if isinstance(answer, Found) else ""

    follower = Follower(opened, SUFFIX, cache, lambda: datetime.now(UTC), poll_s=0.2)
    follower.start()
    try:
        assert until(lambda: cache.freshness().how is How.FOLLOWED)
        assert name() == "Dr Marie MARTIN"
        transaction.committed(link, names(link, sorted(entries(link)), b"Nouveau"), 10.0)
        assert until(lambda: name() == "Nouveau")
    finally:
        follower.stop()
