"""Whose keys answer and whose logins count among several tenants, and each check that stands before another's."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from certs.keys import to_text, wrap_key
from directory.address import parse
from gateway import app, config, keeper, logins, neighbours, tenants
from gateway.accounts import Accounts
from gateway.demo.cast import PASSWORD
from gateway.demo.town import Town
from gateway.keyring import KeyRing
from relay import tenants as relayed
from tests.gateway.several import ONE, TWO, same


@pytest.fixture
def held(town: Town) -> Any:
    """A keeper of all tenants' keys, answering in this process, and what it journalled."""
    told: list[tuple[str, dict[str, str]]] = []
    folders = {each.name: each.folder / "keys" for each in town.tenants}
    made = keeper.Keeper(folders, Path("unused"), frozenset({0}), lambda event, facts: told.append((event, facts)))
    return SimpleNamespace(keeper=made, told=told, town=town)


def seal_key(town: Town, number: int) -> str:
    ring = KeyRing.load(town.tenants[number].folder / "keys")
    return hashlib.sha256(next(iter(ring.by_key.values())).signer.certificate).hexdigest()


def sign(held: Any, tenant: str, key: str) -> dict[str, Any]:
    digest = to_text(hashlib.sha256(b"x").digest())
    request = {"ask": "sign", "key": key, "digest": digest, "hash": "sha256", "letter": "L", "tenant": tenant}
    answer: dict[str, Any] = held.keeper.answer(request, 0)
    return answer


def unwrap(held: Any, tenant: str, whose: int) -> dict[str, Any]:
    public = bytes.fromhex((held.town.tenants[whose].folder / "body.pub").read_text())
    request = {"ask": "unwrap", "wrapped": to_text(wrap_key(public, b"k" * 32)), "letter": "L", "tenant": tenant}
    answer: dict[str, Any] = held.keeper.answer(request, 0)
    return answer


def test_a_tenants_keys_answer_its_own_work(held: Any) -> None:
    """Its seal signs, its body key opens, and the journal has it under its name."""
    assert "ok" in sign(held, ONE, seal_key(held.town, 0))
    assert "ok" in unwrap(held, TWO, 1)
    assert [(event, facts["tenant"]) for event, facts in held.told] == [("key-used", ONE), ("unsealed", TWO)]


@pytest.mark.parametrize("tenant", [TWO, "", "nobody", None, 7])
def test_anothers_keys_do_not(held: Any, tenant: Any) -> None:
    """By key, by body or by name, nothing of the first tenant's answers; nothing is released."""
    assert "refused" in sign(held, tenant, seal_key(held.town, 0))
    assert "refused" in unwrap(held, tenant, 0)
    domain = held.town.tenants[0].domain
    for ask in ({"ask": "seal", "domain": domain}, {"ask": "openers", "address": f"x@{domain}", "after": "0"}):
        answer = held.keeper.answer({**ask, "tenant": tenant}, 0)
        assert answer.get("ok") in (None, {"openers": [], "more": False})
    assert held.told == []


def test_one_tenants_broken_folder_leaves_the_others_renewed(town: Town, tmp_path: Path) -> None:
    """On SIGHUP each folder is read apart; of the broken one the held keys stay."""
    for each in town.tenants[:2]:
        shutil.copytree(each.folder / "keys", tmp_path / each.name)
    made = keeper.Keeper({each.name: tmp_path / each.name for each in town.tenants[:2]}, Path("x"), frozenset(), print)
    (tmp_path / ONE / "body.key").write_text("broken")
    before = dict(made._rings)
    assert made.reload() is False
    assert made._rings[ONE] is before[ONE]
    assert made._rings[TWO] is not before[TWO]


# --- logins -------------------------------------------------------------------------------------------------------


@pytest.fixture
def households(town: Town, tmp_path: Path) -> logins.Logins:
    """The second tenant's file has a line for an address of the first one's, with a password and a certificate."""
    one, two = town.tenants[:2]
    files = {each.name: tmp_path / each.name for each in (one, two)}
    for each in (one, two):
        shutil.copy(each.folder / "accounts" / each.domain, files[each.name])
    stolen = Accounts(files[two.name])
    stolen.add(one.address, "intrusion")
    stolen.bind_certificate(one.address, _der(town))
    return logins.Logins(
        [logins.Household(each.name, frozenset({each.domain}), Accounts(files[each.name])) for each in (one, two)]
    )


def _der(town: Town) -> bytes:
    return neighbours.shown(town.peer[0])()


def test_a_login_is_asked_of_its_own_tenant(town: Town, households: logins.Logins) -> None:
    """An address's domain says whose file counts; a line for it elsewhere lets nobody in."""
    one, two = town.tenants[:2]
    assert households.verify(one.address, PASSWORD) == one.address
    assert households.verify(two.address.upper(), PASSWORD) == two.address
    assert households.verify(one.address, "intrusion") is None
    assert households.verify(f"{one.address}/poste", PASSWORD) is None
    assert households.verify("x@nowhere.example", PASSWORD) is None
    assert households.certificate(_der(town)) is None
    assert households.certificate(_der(town), one.address) is None


def test_an_account_may_use_what_its_own_tenant_says(town: Town, households: logins.Logins) -> None:
    """Its own address, and nothing of the neighbour's."""
    one, two = town.tenants[:2]
    assert households.may_use(one.address, parse(one.address))
    assert not households.may_use(one.address, parse(two.address))
    assert not households.may_use("x@nowhere.example", parse(one.address))


# --- each check matters -------------------------------------------------------------------------------------------


def _keys_of_another(town: Town, households: logins.Logins, changed: Any, held: Any) -> bool:
    return "ok" in sign(held, TWO, seal_key(town, 0))


def _account_of_another(town: Town, households: logins.Logins, changed: Any, held: Any) -> bool:
    return households.certificate(_der(town)) == town.tenants[0].address


def _letter_of_another(town: Town, households: logins.Logins, changed: Any, held: Any) -> bool:
    services: Any = {TWO: SimpleNamespace(opened=lambda letter: b"opened by two")}
    try:
        return relayed.opened(services)(SimpleNamespace(tenant=ONE)) == b"opened by two"  # type: ignore[arg-type]
    except relayed.TenantUnknown:
        return False


def _recipient_of_another(town: Town, households: logins.Logins, changed: Any, held: Any) -> bool:
    views = config.load(town.config).views
    desks: Any = [
        SimpleNamespace(intake=SimpleNamespace(node=app.node(view)), tenant=view.node.tenant) for view in views
    ]
    to: Any = SimpleNamespace(address=parse(town.tenants[0].address))
    return [desk.tenant for desk, _ in relayed.split(desks, [to])] != [ONE]


def _file_of_another(town: Town, households: logins.Logins, changed: Any, held: Any) -> bool:
    try:
        return bool(config.load(changed(same("keeper", "folder"))))
    except config.ConfigError:
        return False


CHECKS: dict[str, tuple[Any, str, Callable[..., Any], Callable[..., bool]]] = {
    "keys": (keeper, "ring_of", lambda rings, tenant: rings[ONE], _keys_of_another),
    "logins": (logins, "at_home", lambda account, household: True, _account_of_another),
    "letters": (relayed, "service_of", lambda services, letter: next(iter(services.values())), _letter_of_another),
    "recipients": (relayed, "desk_of", lambda desks, recipient: desks[-1], _recipient_of_another),
    "files": (tenants, "clashes", lambda told: iter(()), _file_of_another),
}


@pytest.mark.parametrize("off", [None, *CHECKS])
def test_switching_a_check_off_lets_exactly_its_attack_in(
    off: str | None, monkeypatch: pytest.MonkeyPatch, town: Town, households: logins.Logins, changed: Any, held: Any
) -> None:
    """With all checks on nobody reaches another tenant's keys, account, letter, recipient or files; with one off,
    exactly what it stands before."""
    if off:
        module, name, blind, _ = CHECKS[off]
        monkeypatch.setattr(module, name, blind)
    reached = {name for name, (_, _, _, attack) in CHECKS.items() if attack(town, households, changed, held)}
    assert reached == ({off} if off else set())


def test_a_client_of_the_keeper_asks_for_one_tenant(town: Town) -> None:
    """The connections are all tenants', what is asked over them is one's."""
    one, two = (app.keeper_client(view) for view in config.load(town.config).views[:2])
    assert (one._whose, two._whose) == ({"tenant": ONE}, {"tenant": TWO})
    assert one._idle is two._idle
