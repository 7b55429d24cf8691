"""Who sees and changes what, role by role, asked with OpenLDAP's ldapsearch and, as somebody who writes a letter asks,
with lbdb, the address book of mutt and neomutt; and which rule each answer comes from."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import ldap
import pytest
from ldap.controls.simple import ProxyAuthzControl

from directory import access, delegated, entries, slapd
from directory.access import ADMINISTRATOR, DELEGATE, FEEDER, GATEWAY, PEOPLE, RELAY, SUPPORT, TENANTS
from directory.address import parse
from directory.ldif import record
from directory.model import Entry, Kind
from directory.region import SUFFIX
from directory.slapd import Passwords
from gateway.demo.servers import Slapd, free_port, new_folder

WORD = "mot-de-passe"
PASSWORDS = Passwords(relay=WORD, people=WORD, feeder=WORD)
LAST = "etab-45"
"""Made while slapd runs, long after its rules were written."""
OWN, OTHER = f"ou={LAST},{TENANTS},{SUFFIX}", f"ou=etab-1,{TENANTS},{SUFFIX}"
ADMIN = f"{ADMINISTRATOR},{OWN}"

ENTRIES = {
    "listed": f"mail=liste@x.example,ou=bal,{SUFFIX}",
    "in red": f"mail=rouge@x.example,ou=rouge,{SUFFIX}",
    "marked": f"mail=marque@x.example,ou=bal,{SUFFIX}",
    "own": f"mail=un@y.example,{OWN}",
    "own red": f"mail=deux@y.example,{OWN}",
    "other": f"mail=un@z.example,{OTHER}",
    "other red": f"mail=deux@z.example,{OTHER}",
}
LISTED = {"listed", "own", "other"}
ALL = frozenset(ENTRIES)
SEES: dict[str, frozenset[str]] = {
    "anonymous": frozenset(),
    "professional": frozenset(LISTED),
    "support": frozenset(LISTED),
    "delegate": frozenset(),
    "relay": ALL,
    "feeder": ALL,
    "gateway": frozenset(),
    "administrator": frozenset({"own", "own red"}),
    "gateway as administrator": frozenset({"own", "own red"}),
}
"""Role -> the entries whose address it reads."""
BOOKS = [role for role in SEES if role != "gateway as administrator"]
"""An address book asks in its own name alone."""
KINDS = {"delegate": frozenset(LISTED), **{role: seen for role, seen in SEES.items() if role != "delegate"}}
"""Role -> the entries whose type of mailbox it reads."""
OWNED = frozenset({"own", "own red"})
CHANGES = {
    "feeder": ALL,
    "administrator": OWNED,
    "gateway as administrator": OWNED,
    **dict.fromkeys(("anonymous", "professional", "support", "delegate", "relay", "gateway"), frozenset[str]()),
}
NAMES = {
    "professional": f"{PEOPLE},{SUFFIX}", "support": f"{SUPPORT},{SUFFIX}", "delegate": f"{DELEGATE},{SUFFIX}",
    "relay": f"{RELAY},{SUFFIX}", "feeder": f"{FEEDER},{SUFFIX}", "gateway": f"{GATEWAY},{SUFFIX}",
    "administrator": ADMIN, "gateway as administrator": f"{GATEWAY},{SUFFIX}",
}  # fmt: skip


def _mailbox(dn: str, red: bool) -> dict[str, list[str | bytes]]:
    address = dn.split(",")[0].removeprefix("mail=")
    return entries.attributes(replace(Entry(parse(address), Kind.ORG, "Boîte"), red_list=red))


def _ldif(names: dict[str, str]) -> str:
    return "".join(record(dn, _mailbox(dn, name in ("marked", "own red", "other red"))) for name, dn in names.items())


@contextmanager
def running() -> Iterator[Slapd]:
    """44 establishments when it starts; a 45th comes while it runs."""
    folder = new_folder("pli-acl-")
    server = Slapd(folder / "slapd", free_port(), SUFFIX, PASSWORDS)
    before = {name: dn for name, dn in ENTRIES.items() if OWN not in dn}
    identities = "".join(slapd.identity(rdn, WORD, SUFFIX) for rdn in (GATEWAY, SUPPORT, DELEGATE))
    establishments = "".join(slapd.establishment(f"etab-{number}", WORD, SUFFIX) for number in range(1, 45))
    try:
        server.load(identities + establishments + _ldif(before))
        server.start()
        late = slapd.establishment(LAST, WORD, SUFFIX) + _ldif({n: dn for n, dn in ENTRIES.items() if OWN in dn})
        _tool(server, "ldapadd", "feeder", [], late)
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def server() -> Iterator[Slapd]:
    with running() as started:
        yield started


def _tool(server: Slapd, tool: str, role: str, more: list[str], fed: str = "") -> str:
    """Debian's ldap-utils, as somebody would type it."""
    who = ["-D", NAMES[role], "-w", WORD] if role in NAMES else []
    as_whom = ["-e", f"!authzid=dn:{ADMIN}"] if role == "gateway as administrator" else []
    command = [tool, "-x", "-H", server.uri, *who, *as_whom, *more]
    return subprocess.run(command, input=fed, capture_output=True, text=True, check=False, timeout=60).stdout


def seen(server: Slapd, role: str, attribute: str, base: str = SUFFIX) -> frozenset[str]:
    """Of ENTRIES, those whose `attribute` an ldapsearch of this role prints."""
    printed = _tool(server, "ldapsearch", role, ["-LLL", "-o", "ldif-wrap=no", "-b", base, "(objectClass=mssBal)"])
    blocks = {block.splitlines()[0]: block for block in printed.split("\n\n") if block.strip()}
    return frozenset(name for name, dn in ENTRIES.items() if f"\n{attribute}: " in blocks.get(f"dn: {dn}", ""))


_BOOK = """\
$ldap_server = '{uri}';
$search_base = '{base}';
$ldap_bind_dn = '{who}';
$ldap_bind_password = '{word}';
$ldap_search_fields = 'pliWord mail';
$ldap_expected_answers = 'displayName mail o';
$ldap_result_email = '${{mail}}';
$ldap_result_realname = '${{displayName}}';
$ldap_result_comment = '${{o}}';
1;
"""
"""What docs/directory.md says under "An address book"."""


def booked(server: Slapd, role: str, asked: str = "boite") -> frozenset[str]:
    """Of ENTRIES, those whose address lbdbq answers to this role."""
    home = new_folder("pli-lbdb-")
    words = {"uri": server.uri, "base": base_of(role), "who": NAMES.get(role, ""), "word": WORD}
    try:
        (home / ".lbdb").mkdir()
        (home / ".lbdb" / "rc").write_text("METHODS=m_ldap\n")
        (home / ".lbdb" / "ldap.rc").write_text(_BOOK.format(**words))
        printed = _lbdbq(home, asked)
    finally:
        shutil.rmtree(home)
    found = {line.partition("\t")[0] for line in printed.splitlines()[1:]}
    return frozenset(name for name, dn in ENTRIES.items() if dn.split(",")[0].removeprefix("mail=") in found)


def _lbdbq(home: Path, asked: str) -> str:
    environment = {"HOME": str(home), "TMPDIR": str(home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    done = subprocess.run(["lbdbq", asked], env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.startswith("lbdbq: "), done.stderr
    return done.stdout


def _connected(server: Slapd, role: str) -> ldap.ldapobject.LDAPObject:
    link = ldap.initialize(server.uri)
    link.simple_bind_s(NAMES.get(role, ""), WORD if role in NAMES else "")
    return link


def _controls(role: str) -> list[ProxyAuthzControl]:
    return [ProxyAuthzControl(True, f"dn:{ADMIN}".encode())] if role == "gateway as administrator" else []


def allowed(act: Callable[[], object]) -> bool:
    try:
        act()
    except (ldap.INSUFFICIENT_ACCESS, ldap.NO_SUCH_OBJECT, ldap.STRONG_AUTH_REQUIRED):
        return False
    return True


def changed(
    server: Slapd, role: str, attribute: str = "mssDematerialisation", value: bytes = b"TRUE"
) -> frozenset[str]:
    """Of ENTRIES, those in which this role sets the attribute."""
    link, controls = _connected(server, role), _controls(role)
    change = [(ldap.MOD_REPLACE, attribute, [value])]

    def set_on(dn: str) -> bool:
        return allowed(lambda: link.modify_ext_s(dn, change, serverctrls=controls))

    done = frozenset(name for name, dn in ENTRIES.items() if set_on(dn))
    link.unbind_s()
    return done


def base_of(role: str) -> str:
    """An administrator's tree begins at his establishment."""
    return OWN if "administrator" in role else SUFFIX


# --- the table -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", SEES)
def test_each_role_sees_what_is_its_own(server: Slapd, role: str) -> None:
    """By ldapsearch: addresses, and kinds of mailboxes; the 45th establishment is like the first 44."""
    assert seen(server, role, "mail", base_of(role)) == SEES[role]
    assert seen(server, role, "mssType", base_of(role)) == KINDS[role]


@pytest.mark.parametrize("role", BOOKS)
def test_an_address_book_shows_each_role_what_is_its_own(server: Slapd, role: str) -> None:
    """By lbdb, asked by a word and by a whole address: what ldapsearch shows, and no more."""
    assert booked(server, role) == SEES[role]
    assert booked(server, role, "deux@y.example") == SEES[role] & {"own red"}


@pytest.mark.parametrize("role", CHANGES)
def test_each_role_changes_what_is_its_own(server: Slapd, role: str) -> None:
    """An administrator his establishment's, in person or through the gateway; the feeder all; others nothing."""
    assert changed(server, role) == CHANGES[role]


@pytest.mark.parametrize("role", [role for role in CHANGES if role != "feeder"])
def test_a_type_that_stands_does_not_change(server: Slapd, role: str) -> None:
    """Not even for the mailbox's own administrator: it is closed and another one made."""
    assert changed(server, role, "mssType", b"APP") == frozenset()


@pytest.mark.parametrize("role", NAMES)
def test_no_role_reads_a_password_or_whom_one_may_act_for(server: Slapd, role: str) -> None:
    """Nor can any but nobody write the latter."""
    printed = _tool(server, "ldapsearch", role, ["-b", base_of(role), "(objectClass=*)", "*", "authzTo"])
    assert "userPassword" not in printed
    assert "authzTo:" not in printed
    assert changed(server, role, "authzTo", b"dn.regex:.*") == frozenset()


@pytest.mark.parametrize(("role", "pages"), [("professional", False), ("support", False), ("administrator", True)])
def test_who_may_page(server: Slapd, role: str, pages: bool) -> None:
    """An administrator through his own; others not at all, so that nobody harvests the region."""
    asked = ["-E", "pr=1/noprompt", "-LLL", "-b", base_of(role), "(objectClass=mssBal)", "mail"]
    assert ("mail: " in _tool(server, "ldapsearch", role, asked)) is pages


# --- delegated writes ------------------------------------------------------------------------------------------------


def test_delegated_writes_are_the_administrators(server: Slapd) -> None:
    """Made, changed and removed through the gateway: the directory itself names him, not the gateway."""
    link, dn = _connected(server, "gateway"), f"mail=trois@y.example,{OWN}"
    whom = delegated.administrator(LAST, SUFFIX)
    values = {
        name: [v if isinstance(v, bytes) else v.encode() for v in each] for name, each in _mailbox(dn, False).items()
    }
    delegated.add(link, whom, dn, values)
    delegated.change(link, whom, dn, {"mssService": [b"Accueil"]})
    made = _connected(server, "feeder").search_s(dn, ldap.SCOPE_BASE, attrlist=["modifiersName", "mssService"])[0][1]
    assert made == {"modifiersName": [ADMIN.encode()], "mssService": [b"Accueil"]}
    delegated.remove(link, whom, dn)
    assert allowed(lambda: link.search_s(dn, ldap.SCOPE_BASE)) is False


@pytest.mark.parametrize("dn", [ENTRIES["other"], ENTRIES["listed"], ENTRIES["other red"]])
def test_delegated_writes_do_not_reach_another(server: Slapd, dn: str) -> None:
    """The twin: slapd refuses what is not the administrator's."""
    link = _connected(server, "gateway")
    with pytest.raises((ldap.INSUFFICIENT_ACCESS, ldap.NO_SUCH_OBJECT)):
        delegated.change(link, delegated.administrator(LAST, SUFFIX), dn, {"mssService": [b"X"]})


@pytest.mark.parametrize("whom", [f"{FEEDER},{SUFFIX}", f"{RELAY},{SUFFIX}", f"cn=x,{OWN}"])
def test_the_gateway_acts_for_administrators_alone(server: Slapd, whom: str) -> None:
    """Not for the feeder, who may do everything; and nobody but the gateway acts for anybody."""
    change = {"mssService": [b"X"]}
    with pytest.raises(ldap.LDAPError, match=r"not allowed|authoriz|assume"):
        delegated.change(_connected(server, "gateway"), whom, ENTRIES["own"], change)
    with pytest.raises(ldap.LDAPError, match=r"not allowed|authoriz|assume"):
        delegated.change(_connected(server, "support"), ADMIN, ENTRIES["own"], change)


def test_an_establishment_is_named_plainly() -> None:
    """A name that would be more than one part of a DN is refused."""
    for name in ("a,ou=b", "", "é", "A", "-a"):
        with pytest.raises(ValueError, match="hyphens"):
            slapd.establishment(name, WORD, SUFFIX)


# --- which rule does what ---------------------------------------------------------------------------------------------

ADMINISTRATORS = ("administrator", "gateway as administrator")
WITHOUT = {
    "_own_red": {(act, role, "own red") for act in ("sees", "changes") for role in ADMINISTRATORS},
    "_fixed_red": {("retypes", role, "own red") for role in ADMINISTRATORS},
    "_fixed": {("retypes", role, "own") for role in ADMINISTRATORS},
    "_red_branch": {("sees", "professional", "in red"), ("sees", "support", "in red"), ("kinds", "delegate", "in red")},
    "_red_mark": {("sees", "professional", "marked"), ("sees", "support", "marked"), ("kinds", "delegate", "marked")},
    "_adoption": {("kinds", "delegate", name) for name in LISTED},
    # An administrator's search begins at his establishment: where that cannot be read, nothing below it is found.
    "_tenants": {
        (act, role, name)
        for act, name in (("sees", "own"), ("changes", "own"), ("sees", "own red"))
        for role in ADMINISTRATORS
    },
    "_region": {("sees", role, name) for role in ("professional", "support") for name in LISTED},
}
"""Rule -> the cells of the table that are otherwise without it."""
OUTSIDERS = [role for role in SEES if role not in ("relay", "feeder")]
ASKING = [role for role in OUTSIDERS if role in BOOKS]


def table(server: Slapd) -> set[tuple[str, str, str]]:
    cells = {("sees", role, name) for role in OUTSIDERS for name in seen(server, role, "mail", base_of(role))}
    cells |= {("books", role, name) for role in ASKING for name in booked(server, role)}
    cells |= {("kinds", "delegate", name) for name in seen(server, "delegate", "mssType")}
    cells |= {("changes", role, name) for role in OUTSIDERS for name in changed(server, role)}
    return cells | {("retypes", role, name) for role in OUTSIDERS for name in changed(server, role, "mssType", b"APP")}


@pytest.mark.parametrize("rule", WITHOUT)
def test_each_rule_does_its_own_part(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one rule exactly its cells of the table are otherwise."""
    whole = {("sees", role, name) for role in OUTSIDERS for name in SEES[role]}
    whole |= {("changes", role, name) for role in OUTSIDERS for name in CHANGES[role]}
    whole |= {("books", role, name) for role in ASKING for name in SEES[role]}
    whole |= {("kinds", "delegate", name) for name in LISTED}
    monkeypatch.setattr(access, rule, lambda suffix: [])
    with running() as server:
        assert table(server) ^ whole == WITHOUT[rule] | _booked_of(WITHOUT[rule])


def _booked_of(cells: set[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    """The same for who asks by address book: he sees there what ldapsearch shows him."""
    return {("books", role, name) for act, role, name in cells if act == "sees" and role in ASKING}


def test_those_that_see_all_do_so_by_one_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the relay and the feeder see nothing, and the feeder changes nothing."""
    monkeypatch.setattr(access, "_trusted", lambda suffix: [])
    with running() as server:
        assert (seen(server, "relay", "mail"), seen(server, "feeder", "mail")) == (frozenset(), frozenset())
        assert changed(server, "feeder") == frozenset()


def test_passwords_are_kept_by_one_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it whoever reads an entry reads its password, and whoever sees the gateway's whom it may act for."""
    login = ["access to attrs=userPassword", "  by anonymous auth", "  by * break"]
    acting = ["access to attrs=authzTo", f'  by dn.exact="{RELAY},{SUFFIX}" read', "  by * auth"]
    monkeypatch.setattr(access, "_secrets", lambda suffix: [*login, *acting])
    with running() as server:
        printed = {
            role: _tool(server, "ldapsearch", role, ["-b", base_of(role), "(objectClass=*)", "*", "authzTo"])
            for role in NAMES
        }
    readers = {"professional", "support", "relay", "feeder", *ADMINISTRATORS}
    assert {role for role, text in printed.items() if "userPassword" in text} == readers
    assert {role for role, text in printed.items() if "authzTo:" in text} == {"relay"}


def test_no_rule_was_left_out() -> None:
    """Each is switched off above."""
    rules = {
        name
        for name, rule in vars(access).items()
        if name.startswith("_") and inspect.isfunction(rule) and rule.__annotations__["return"] == "list[str]"
    }
    assert rules - {"_by"} == {*WITHOUT, "_trusted", "_secrets"}
