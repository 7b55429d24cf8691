"""How much one search gives to whom, on a real slapd with a region larger than anybody's limit; and which line each
limit comes from."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import ldap
import pytest
from ldap.controls import SimplePagedResultsControl

from directory import access, slapd
from directory.access import ADMINISTRATOR, DELEGATE, FEEDER, PEOPLE, RELAY, REPLICA, SUPPORT, TENANTS
from directory.region import SUFFIX
from directory.slapd import Passwords
from gateway.demo.servers import Slapd, free_port, new_folder

WORD = "mot-de-passe"
HOME = f"ou=etab-1,{TENANTS},{SUFFIX}"
ALL = 10_001
WHO = {
    "professional": f"{PEOPLE},{SUFFIX}", "support": f"{SUPPORT},{SUFFIX}", "delegate": f"{DELEGATE},{SUFFIX}",
    "administrator": f"{ADMINISTRATOR},{HOME}", "relay": f"{RELAY},{SUFFIX}", "feeder": f"{FEEDER},{SUFFIX}",
    "replica": f"{REPLICA},{SUFFIX}",
}  # fmt: skip
GIVES = {
    "professional": (100, 0), "support": (100, 0), "delegate": (500, ALL), "administrator": (500, ALL),
    "relay": (10_000, 10_000), "feeder": (ALL, ALL), "replica": (ALL, ALL),
}  # fmt: skip
"""Role -> entries in one search, and in pages of 500."""
LINES = {
    "feeder": {"feeder"}, "replica": {"replica"}, "relay": {"relay"}, "administrator": {"administrator"},
    "delegate": {"delegate"}, "everybody else": {"professional", "support"},
}  # fmt: skip
"""Lines of access.limits in their order -> the roles that are given otherwise without it."""


def _boxes() -> Iterator[str]:
    for number in range(ALL):
        address = f"b{number}@x.example"
        yield f"dn: mail={address},{HOME}\nobjectClass: mssBal\nmail: {address}\nmssType: ORG\ndisplayName: B\n\n"


@pytest.fixture(scope="module")
def region() -> Iterator[Slapd]:
    """Loaded, not yet running."""
    folder = new_folder("pli-limits-")
    server = Slapd(folder / "slapd", free_port(), SUFFIX, Passwords(WORD, WORD, WORD))
    identities = [slapd.identity(rdn, WORD, SUFFIX) for rdn in (SUPPORT, DELEGATE, REPLICA)]
    try:
        server.load([*identities, slapd.establishment("etab-1", WORD, SUFFIX), *_boxes()])
        yield server
    finally:
        shutil.rmtree(folder)


@contextmanager
def running(server: Slapd) -> Iterator[Slapd]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


def given(server: Slapd) -> dict[str, tuple[int, int]]:
    return {role: (_at_once(server, dn), _in_pages(server, dn)) for role, dn in WHO.items()}


def _link(server: Slapd, dn: str) -> ldap.ldapobject.LDAPObject:
    link = ldap.initialize(server.uri)
    link.simple_bind_s(dn, WORD)
    return link


def _at_once(server: Slapd, dn: str) -> int:
    link = _link(server, dn)
    return _received(link, link.search(HOME, ldap.SCOPE_SUBTREE, "(objectClass=mssBal)", ["1.1"]))


def _received(link: ldap.ldapobject.LDAPObject, number: int) -> int:
    """Entries that came before the end, or before slapd stopped."""
    count = 0
    try:
        while True:
            kind, rows = link.result(number, all=0, timeout=60)
            if kind == ldap.RES_SEARCH_RESULT:
                return count
            count += len(rows)
    except (ldap.SIZELIMIT_EXCEEDED, ldap.ADMINLIMIT_EXCEEDED):
        return count


def _in_pages(server: Slapd, dn: str) -> int:
    link, count = _link(server, dn), 0
    page = SimplePagedResultsControl(True, size=500, cookie="")
    try:
        while True:
            number = link.search_ext(HOME, ldap.SCOPE_SUBTREE, "(objectClass=mssBal)", ["1.1"], serverctrls=[page])
            _, rows, _, controls = link.result3(number, timeout=60)
            count += len(rows)
            page.cookie = next(each.cookie for each in controls if each.controlType == page.controlType)
            if not page.cookie:
                return count
    except (ldap.SIZELIMIT_EXCEEDED, ldap.ADMINLIMIT_EXCEEDED, ldap.UNWILLING_TO_PERFORM):
        return count


def test_each_identity_is_given_what_is_its_own(region: Slapd) -> None:
    """A hundred and no pages, so that nobody harvests; more for who counts, keeps his own, carries letters or feeds."""
    with running(region) as server:
        assert given(server) == GIVES


@pytest.mark.parametrize("line", LINES)
def test_each_line_is_its_own_identitys(region: Slapd, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it exactly that one is given otherwise."""
    whole, place = access.limits(SUFFIX), list(LINES).index(line)
    assert len(whole) == len(LINES)
    monkeypatch.setattr(access, "limits", lambda _: [*whole[:place], *whole[place + 1 :]])
    with running(region) as server:
        told = given(server)
    assert {role for role in WHO if told[role] != GIVES[role]} == LINES[line]
