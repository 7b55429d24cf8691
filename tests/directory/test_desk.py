"""Each role × each act, refused twice: by our table of roles, and without it by slapd's own rules."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import ldap
import pytest

from directory import access, desk, entries, roles, slapd
from directory.address import parse
from directory.desk import AddressTaken, Desk, Immutable, NoSuchMailbox
from directory.ldif import record
from directory.lifecycle import CannotMove
from directory.model import Entry, Kind
from directory.region import SUFFIX
from directory.roles import Act, Actor, NotYours, Role
from directory.slapd import Passwords
from gateway.demo.servers import Slapd, free_port, new_folder

WORD = "mot-de-passe"
NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
LILAS, PARC = "lilas", "parc"
ACTORS = {
    "region": Actor("anne", Role.REGION),
    "own": Actor("bob", Role.ESTABLISHMENT, LILAS),
    "other": Actor("carl", Role.ESTABLISHMENT, PARC),
    "delegate": Actor("dora", Role.DELEGATE),
    "support": Actor("emil", Role.SUPPORT),
}
MAY: dict[str, frozenset[Act]] = {
    "region": frozenset(Act),
    "own": frozenset(Act) - {Act.MERGE, Act.IMPORT},
    "other": frozenset(),
    "delegate": frozenset({Act.COUNT}),
    "support": frozenset({Act.SEE}),
}
"""Whose acts upon a mailbox of `lilas` go through."""


def _mailbox(address: str, **more: object) -> Entry:
    return replace(Entry(parse(address), Kind.ORG, "Accueil", structure="LILAS", service="Accueil"), **more)  # type: ignore[arg-type]


def _own(address: str, **more: object) -> str:
    values = entries.attributes(_mailbox(address, **more))
    if address.startswith(Act.RESUME):
        values["lifecycleState"] = ["suspended"]
    return record(f"mail={address},ou={LILAS},{access.TENANTS},{SUFFIX}", values)


@pytest.fixture(scope="module")
def server() -> Iterator[Slapd]:
    folder = new_folder("pli-desk-")
    made = Slapd(folder / "slapd", free_port(), SUFFIX, Passwords(WORD, WORD, WORD))
    identities = "".join(slapd.identity(rdn, WORD, SUFFIX) for rdn in (access.GATEWAY, access.SUPPORT, access.DELEGATE))
    places = "".join(slapd.establishment(name, WORD, SUFFIX) for name in (LILAS, PARC))
    boxes = "".join(_own(f"{act}.{who}@lilas.example") for act in Act for who in ACTORS)
    try:
        made.load(identities + places + boxes + _own("rouge@lilas.example", red_list=True))
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


@pytest.fixture
def seat(server: Slapd) -> Iterator[Callable[[str], Desk]]:
    links = []

    def at(who: str) -> Desk:
        bound = access.FEEDER if who == "region" else access.GATEWAY
        link = ldap.initialize(server.uri)
        link.simple_bind_s(f"{bound},{SUFFIX}", WORD)
        links.append(link)
        return Desk(ACTORS[who], link, SUFFIX)

    yield at
    for link in links:
        link.unbind_s()


def _act(at: Desk, act: Act, who: str) -> object:
    """One act upon a mailbox of `lilas` that is this cell's alone; raises where it did not happen."""
    address = parse(f"{act}.{who}@lilas.example")
    new = _mailbox(f"neuve.{who}@lilas.example")
    acts: dict[Act, Callable[[], object]] = {
        Act.SEE: lambda: at.see(address, LILAS),
        Act.COUNT: lambda: _some(at.adoption(LILAS)),
        Act.CREATE: lambda: at.create(new, LILAS),
        Act.CHANGE: lambda: at.change(address, "mssService", "Imagerie", LILAS),
        Act.SUSPEND: lambda: at.move(address, Act.SUSPEND, NOW, LILAS),
        Act.RESUME: lambda: at.move(address, Act.RESUME, NOW, LILAS),
        Act.CLOSE: lambda: at.move(address, Act.CLOSE, NOW, LILAS),
        Act.RED_LIST: lambda: at.red_list(address, True, LILAS),
        Act.MERGE: lambda: at.require(Act.MERGE, LILAS),
        Act.IMPORT: lambda: at.require(Act.IMPORT, LILAS),
        Act.PUBLISH: lambda: at.require(Act.PUBLISH, LILAS),
    }
    return acts[act]()


def _some(counted: list[desk.Adoption]) -> None:
    if not counted:
        raise NoSuchMailbox("nothing is seen")


CELLS = [(who, act) for who in ACTORS for act in Act]


@pytest.mark.parametrize(("who", "act"), CELLS)
def test_each_role_does_what_is_its_own_and_no_more(seat: Callable[[str], Desk], who: str, act: Act) -> None:
    """The table, cell by cell: done, or refused with who, what and where before anything is asked of the server."""
    if act in MAY[who]:
        _act(seat(who), act, who)
        return
    with pytest.raises(NotYours) as refused:
        _act(seat(who), act, who)
    assert (refused.value.actor, refused.value.act) == (ACTORS[who], act)


OURS_ALONE = {Act.MERGE, Act.IMPORT, Act.PUBLISH}
"""What does not go to the server in one's own name: there our table is the only one."""


@pytest.mark.parametrize(
    ("who", "act"), [(who, act) for who, act in CELLS if act not in MAY[who] and act not in OURS_ALONE]
)
def test_without_our_table_the_server_still_refuses(
    seat: Callable[[str], Desk], who: str, act: Act, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the check switched off every refused cell is no NotYours any more, and still nothing happens."""
    monkeypatch.setattr(roles, "permitted", lambda actor, act, establishment: True)
    with pytest.raises((NoSuchMailbox, ldap.INSUFFICIENT_ACCESS, ldap.NO_SUCH_OBJECT, ldap.ADMINLIMIT_EXCEEDED)):
        _act(seat(who), act, who)


def test_what_a_delegate_counts_names_nobody(seat: Callable[[str], Desk]) -> None:
    """Structure, kind and state with a number; through the server no name or address comes at all."""
    counted = seat("delegate").adoption()
    assert {(each.structure, each.kind) for each in counted} == {("LILAS", "ORG")}
    assert sum(each.number for each in counted) >= len(CELLS)


def test_counts_go_on_over_several_pages(seat: Callable[[str], Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    """A region is more than one page: the same counts page by page as at once."""
    whole = seat("delegate").adoption()
    monkeypatch.setattr("directory.delegated.PAGE", 7)
    assert seat("delegate").adoption() == whole


@pytest.mark.parametrize(("who", "sees"), [("region", True), ("own", True), ("other", False), ("support", False)])
def test_the_red_list_is_seen_by_its_own_alone(seat: Callable[[str], Desk], who: str, sees: bool) -> None:
    """The help desk sees who is who, and not those who asked not to be seen."""
    if sees:
        assert seat(who).see(parse("rouge@lilas.example"), LILAS).text("mssListeRouge") == "TRUE"
    else:
        with pytest.raises((NoSuchMailbox, NotYours)):
            seat(who).see(parse("rouge@lilas.example"), LILAS)


def test_a_mailbox_lives_once(seat: Callable[[str], Desk]) -> None:
    """Made, suspended, resumed, closed; what is closed does not come back, nor is its address given again."""
    at, one = seat("own"), parse("vie@lilas.example")
    made = at.create(_mailbox("vie@lilas.example"))
    assert (made.before, made.after) == ("", "active")
    assert [
        (done.before, done.after) for done in (at.move(one, act, NOW) for act in (Act.SUSPEND, Act.SUSPEND, Act.RESUME))
    ] == [("active", "suspended"), ("suspended", "suspended"), ("suspended", "active")]
    assert at.move(one, Act.CLOSE, NOW).after == "closed"
    assert at.see(one).text("validTo") == "20261125093000Z"
    for act in (Act.RESUME, Act.SUSPEND):
        with pytest.raises(CannotMove):
            at.move(one, act, NOW)
    with pytest.raises(AddressTaken):
        at.create(_mailbox("vie@lilas.example"))


@pytest.mark.parametrize("attribute", ["mail", "mssType", "mssAdresse", "lifecycleState", "userCertificate", "pliWord"])
def test_address_and_type_do_not_change(seat: Callable[[str], Desk], attribute: str) -> None:
    """Not even for the region's keeper, whom slapd would let; states change by their own acts."""
    for who in ("region", "own"):
        with pytest.raises(Immutable):
            seat(who).change(parse(f"see.{who}@lilas.example"), attribute, "x", LILAS)


def test_a_changed_name_is_found_by_its_words(seat: Callable[[str], Desk]) -> None:
    """The words of a search follow; before and after are told."""
    at, one = seat("own"), parse("see.own@lilas.example")
    done = at.change(one, "mssService", "Rhumatologie")
    assert (done.before, done.after) == ("mssService=Accueil", "mssService=Rhumatologie")
    assert b"rhumatologie" in at.see(one).values["pliWord"]


def test_the_server_names_who_it_was(server: Slapd, seat: Callable[[str], Desk]) -> None:
    """modifiersName is the administrator, not the gateway."""
    seat("own").red_list(parse("count.own@lilas.example"), True)
    link = ldap.initialize(server.uri)
    link.simple_bind_s(f"{access.FEEDER},{SUFFIX}", WORD)
    dn = f"mail=count.own@lilas.example,ou={LILAS},{access.TENANTS},{SUFFIX}"
    name = link.search_s(dn, ldap.SCOPE_BASE, attrlist=["modifiersName"])[0][1]["modifiersName"]
    assert name == [f"cn=admin,ou={LILAS},{access.TENANTS},{SUFFIX}".encode()]
    link.unbind_s()


def test_an_entry_is_read_as_its_keeper_needs_it() -> None:
    """A state that nobody knows is closed: such a mailbox takes no letters."""
    assert desk.Kept("x", {}).state == "active"
    assert desk.Kept("x", {"lifecycleState": [b"strange"]}).state == "closed"
