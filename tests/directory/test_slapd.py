"""Who may see and do what in the directory that `directory.slapd` configures; asked by a plain LDAP client."""

from __future__ import annotations

import ldap
import ldap.modlist
import pytest
from ldap.controls import SimplePagedResultsControl
from ldap.ldapobject import LDAPObject

from directory.region import SUFFIX, region
from directory.slapd import Passwords, foundation
from gateway.demo.servers import ServerTrouble, Slapd

RED = "(mail=solange.discrete@hopital-nord.mssante.example)"
SHOWN = "(mail=marie.martin@medecin.mssante.example)"
SHOWN_DN = f"mail=marie.martin@medecin.mssante.example,ou=bal,{SUFFIX}"
RED_DN = f"cn=rouge,ou=bal,{SUFFIX}"


def ask(client: LDAPObject, query: str, base: str = SUFFIX) -> list[tuple[str, dict[str, list[bytes]]]]:
    return list(client.search_s(base, ldap.SCOPE_SUBTREE, query))


def test_professionals_see_listed_mailboxes(professional: LDAPObject) -> None:
    """A professional's client finds a listed mailbox and whom it belongs to."""
    assert [dn for dn, _ in ask(professional, SHOWN)] == [SHOWN_DN]


def test_anonymous_sees_nothing(anonymous: LDAPObject) -> None:
    """Without a name not even the tree exists."""
    with pytest.raises(ldap.NO_SUCH_OBJECT):
        ask(anonymous, SHOWN)


@pytest.mark.parametrize("query", [RED, "(mssListeRouge=TRUE)", "(pliWord=solange)", "(sn=DISCRÈTE)"])
def test_professionals_do_not_see_the_red_list(professional: LDAPObject, query: str) -> None:
    """Neither by address, nor by name, nor by the mark itself."""
    assert ask(professional, query) == []


def test_a_red_listed_entry_does_not_exist_for_professionals(professional: LDAPObject) -> None:
    """Read by its own name, or compared, the answer is that of an absent entry."""
    with pytest.raises(ldap.NO_SUCH_OBJECT):
        ask(professional, "(objectClass=*)", RED_DN)
    with pytest.raises(ldap.NO_SUCH_OBJECT):
        professional.compare_s(RED_DN, "sn", b"DISCR\xc3\x88TE")


def test_the_relay_sees_the_red_list(relay: LDAPObject) -> None:
    """The relay can route to a red-listed mailbox."""
    assert [dn for dn, _ in ask(relay, RED)] == [RED_DN]


def test_nobody_reads_a_password(professional: LDAPObject, relay: LDAPObject, feeder: LDAPObject) -> None:
    """Hashes of the identities' passwords are never given, not even to the feeder."""
    for client in (professional, relay, feeder):
        assert all("userPassword" not in values for _, values in ask(client, "(cn=relais)"))


def test_one_search_gives_a_professional_a_hundred(professional: LDAPObject) -> None:
    """A search that matches more stops at 100 and says so."""
    number = professional.search_ext(SUFFIX, ldap.SCOPE_SUBTREE, "(objectClass=mssBal)")
    for _ in range(100):
        assert professional.result(number, 0)[0] == ldap.RES_SEARCH_ENTRY
    with pytest.raises(ldap.SIZELIMIT_EXCEEDED):
        professional.result(number, 0)


def test_nobody_pages_through_the_region(professional: LDAPObject) -> None:
    """The paged-results control does not go round the limit."""
    pages = SimplePagedResultsControl(True, size=50, cookie="")
    number = professional.search_ext(SUFFIX, ldap.SCOPE_SUBTREE, "(objectClass=mssBal)", serverctrls=[pages])
    with pytest.raises(ldap.LDAPError):
        professional.result3(number)


def test_the_feeder_reads_the_whole_region(feeder: LDAPObject) -> None:
    """The identity that feeds the directory has no limit."""
    assert len(ask(feeder, "(objectClass=mssBal)")) > len(region())


def test_only_the_feeder_writes(professional: LDAPObject, relay: LDAPObject, feeder: LDAPObject) -> None:
    """Others are refused the change that the feeder makes."""
    change = [(ldap.MOD_REPLACE, "mssDematerialisation", [b"TRUE"])]
    for client in (professional, relay):
        with pytest.raises(ldap.INSUFFICIENT_ACCESS):
            client.modify_s(SHOWN_DN, change)
    feeder.modify_s(SHOWN_DN, change)
    assert ask(feeder, SHOWN)[0][1]["mssDematerialisation"] == [b"TRUE"]


def test_a_wrong_password_is_refused(regional: Slapd) -> None:
    """A known identity with a wrong password gets nothing."""
    with pytest.raises(ldap.INVALID_CREDENTIALS):
        ldap.initialize(regional.uri).simple_bind_s(regional.relay_dn, "faux")


@pytest.mark.parametrize(
    "entry",
    [
        "objectClass: mssBal\nmssType: PER\ndisplayName: Sans adresse\n",
        "objectClass: mssBal\nmail: a@x.fr\nmssType: PER\ndisplayName: X\nmssListeRouge: peut-être\n",
        "objectClass: mssBal\nmail: a@x.fr\nmssType: PER\ndisplayName: X\ninconnu: X\n",
    ],
)
def test_the_schema_refuses_a_bad_entry(own_slapd: Slapd, entry: str) -> None:
    """A mailbox without address, a mark that is no boolean and an unknown attribute are not loaded."""
    with pytest.raises(ServerTrouble):
        own_slapd.load(f"dn: cn=x,ou=bal,{SUFFIX}\n{entry}\n")


def test_passwords_are_not_shown() -> None:
    """Neither printing passwords nor the entries made from them shows one."""
    passwords = Passwords.random()
    shown = repr(passwords) + foundation(SUFFIX, passwords)
    assert not any(secret in shown for secret in (passwords.relay, passwords.people, passwords.feeder))
