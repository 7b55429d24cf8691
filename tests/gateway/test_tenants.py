"""Several tenants in one file: what each view holds, what is refused, and whose keys and logins answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from gateway import app, config, entrance, readiness, roster, watching
from gateway.accounts import Accounts
from gateway.cli import pli
from gateway.demo import town as towns
from gateway.demo.town import Town
from gateway.openid import Person
from gateway.web import providers
from tests.gateway.several import ONE, TWO, put, same

# --- the views ----------------------------------------------------------------------------------------------------


def test_each_tenant_has_a_view_that_holds_nothing_of_another(town: Town) -> None:
    """Tenant, domains, keys and accounts are its own; ports, trust and paths are the node's."""
    whole = config.load(town.config)
    assert [view.node.tenant for view in whole.views] == [each.name for each in town.tenants]
    for view, tenant in zip(whole.views, town.tenants, strict=True):
        assert view.node.domains == (tenant.domain,)
        assert view.keeper.folder == tenant.folder / "keys"
        assert view.views == (view,)
        assert (view.doors, view.trust, view.paths) == (whole.doors, whole.trust, whole.paths)
        others = [each for each in town.tenants if each is not tenant]
        text = view.model_dump_json()
        assert [each.name for each in others if each.domain in text or str(each.folder) in text] == []


def test_a_node_of_one_is_its_own_view(town: Town, changed: Any) -> None:
    """The form of one tenant stays as it was: its only view is itself, and nobody has to be named."""

    def alone(told: dict[str, Any]) -> None:
        of = told.pop("tenants")[ONE]
        told["node"] |= {"tenant": ONE, "domains": of["domains"]}
        told |= {"keeper": of["keeper"], "accounts": of["accounts"]}

    whole = config.load(changed(alone))
    assert whole.views == (whole,)
    assert whole.view("") is whole.view(ONE) is whole


def test_a_section_of_its_own_counts_for_that_tenant_alone(changed: Any, town: Town) -> None:
    """Hostname, policy, delivery and TLS may be a tenant's; the others keep the node's."""

    def own(told: dict[str, Any]) -> None:
        certificate, key = town.peer
        told["tenants"][ONE] |= {
            "hostname": "mss.cabinet-01.example",
            "policy": {"sign": "establishment"},
            "delivery": {"lmtp_port": 2424},
            "tls": {"certificate": certificate, "key": key},
        }

    one, two, _ = config.load(changed(own)).views
    assert (one.node.hostname, one.policy.sign, one.delivery.lmtp_port) == (
        "mss.cabinet-01.example",
        "establishment",
        2424,
    )
    assert (two.node.hostname, two.policy.sign, two.delivery.lmtp_port) == (towns.HOST, None, town.lmtp)
    assert one.tls.key == town.peer[1] != two.tls.key


def test_whoever_forgets_the_view_reaches_nobodys_keys(town: Town) -> None:
    """The whole file of several tenants has no keeper, no accounts and no tenant: wiring fails on it."""
    whole = config.load(town.config)
    assert (whole.node.tenant, whole.node.domains, whole.keeper, whole.accounts) == ("", (), None, None)
    for wire in (app.bodies, app.pseudonyms, app.accounts, app.register):
        with pytest.raises(AttributeError):
            wire(whole)


def test_heads_are_sealed_by_each_in_a_folder_of_its_own(town: Town) -> None:
    """No tenant's seal lies among another's."""
    folders = {view.journal.heads for view in config.load(town.config).views}
    assert folders == {town.folder / "node" / "data" / "heads" / each.name for each in town.tenants}


@pytest.mark.parametrize(("tenant", "said"), [("", "this node serves several tenants"), ("x", "no tenant 'x'")])
def test_a_command_without_its_tenant_is_a_sentence(town: Town, tenant: str, said: str) -> None:
    """Exit code 2, and the names to choose from."""
    words = ["--config", str(town.config), "account", "list", *(["--tenant", tenant] if tenant else [])]
    done = CliRunner().invoke(pli, words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "name one of cabinet-01, cabinet-02, cabinet-03 with --tenant" in done.stderr


def test_a_command_with_its_tenant_acts_for_that_one(town: Town) -> None:
    """The twin: the list is of the one that was named."""
    done = CliRunner().invoke(pli, ["--config", str(town.config), "account", "list", "--tenant", TWO])
    assert (done.exit_code, done.output) == (0, f"secretariat@{TWO}.mssante.example  password\n")


# --- what is refused ----------------------------------------------------------------------------------------------

CLASHES = {
    "domain": (put("tenants", TWO, "domains", value=["Cabinet-01.mssante.example."]), "share the domain cabinet-01"),
    "key folder": (same("keeper", "folder"), "share the key folder"),
    "digest key": (same("keeper", "digest_key"), "share the key file"),
    "accounts": (same("accounts", "file"), "share the accounts file"),
    "no keys": (
        put("tenants", "cabinet-09", value={"domains": ["x.example"]}),
        "'tenants.cabinet-09.keeper' is missing",
    ),
    "tenant above": (put("node", "tenant", value="x"), "'node.tenant' is one tenant's"),
    "domains above": (put("node", "domains", value=["x.example"]), "'node.domains' is one tenant's"),
    "accounts above": (put("accounts", "file", value="/x"), r"\[accounts\] is one tenant's"),
    "delegation": (
        put(
            "tenants", ONE, "accounts", "delegations", value={f"a@{ONE}.mssante.example": [f"b@{TWO}.mssante.example"]}
        ),
        "is of none of its domains",
    ),
}


@pytest.mark.parametrize("name", CLASHES)
def test_a_file_in_which_two_would_share_is_refused(changed: Any, name: str) -> None:
    """One sentence that names both tenants and what they share; the twin is the file itself."""
    change, said = CLASHES[name]
    with pytest.raises(config.ConfigError, match=said):
        config.load(changed(change))
    assert config.load(changed(lambda told: None)).tenants


def test_a_tenant_is_named_like_a_folder(changed: Any) -> None:
    """Capitals, spaces and slashes name no tenant."""

    def renamed(told: dict[str, Any]) -> None:
        told["tenants"]["CABINET-1"] = told["tenants"].pop(ONE)

    with pytest.raises(config.ConfigError, match="lower-case letters, digits and dashes"):
        config.load(changed(renamed))


def test_a_key_folder_inside_anothers_is_refused(changed: Any, town: Town) -> None:
    """It would be read with it."""
    inside = town.tenants[0].folder / "keys" / "two"
    with pytest.raises(config.ConfigError, match="lies inside that of cabinet-01"):
        config.load(changed(put("tenants", TWO, "keeper", "folder", value=inside)))


def test_a_copied_key_is_told_by_the_check(changed: Any, town: Town, tmp_path: Path) -> None:
    """Two files with one key in them are one key; as it was built, every check is good."""
    copy = tmp_path / "digest.key"
    copy.write_bytes((town.tenants[0].folder / "digest.key").read_bytes())
    whole = config.load(changed(put("tenants", TWO, "keeper", "digest_key", value=copy)))
    bad = [check for check in readiness.checks(whole) if not check.ok]
    assert [(check.name, "cabinet-01" in check.sentence) for check in bad] == [
        ("tenants.cabinet-02.keeper.digest_key", True)
    ]
    assert [check for check in readiness.checks(config.load(town.config)) if not check.ok] == []


def test_what_expires_is_watched_for_each(town: Town) -> None:
    """Every tenant's seal is named with its tenant."""
    names = {each.name for each in watching.expiring(config.load(town.config), datetime.now(UTC))}
    assert {f"tenants.{each.name}.keeper/seal/seal" for each in town.tenants} <= names


def test_a_collector_of_any_tenant_makes_the_process(changed: Any, tmp_path: Path) -> None:
    """The node collects where one of its tenants has something to collect."""
    mailbox = {"host": "imap.example", "user": "u", "password_file": tmp_path / "p", "to": f"x@{TWO}.mssante.example"}
    assert "collector" in roster.names(config.load(changed(put("tenants", TWO, "collect", "loin", value=mailbox))))
    assert "collector" not in roster.names(config.load(changed(lambda told: None)))


def test_a_tenants_certificate_is_shown_under_its_own_name(changed: Any, town: Town) -> None:
    """Server name indication chooses; without one the node's is shown."""

    def own(told: dict[str, Any]) -> None:
        certificate, key = town.peer
        told["tenants"][ONE] |= {"hostname": "mss.un.example", "tls": {"certificate": certificate, "key": key}}

    chosen: list[Any] = []
    own_contexts = {"mss.un.example": lambda: "own"}
    usual = SimpleNamespace(sni_callback=None)
    made: Any = entrance.by_name(lambda: usual, own_contexts)()  # type: ignore[arg-type, dict-item, return-value]
    for name in ("MSS.un.example", "mss.deux.example", None):
        session = SimpleNamespace(context="usual")
        made.sni_callback(session, name, None)
        chosen.append(session.context)
    assert chosen == ["own", "usual", "usual"]
    assert config.load(changed(own)).views[0].tls.certificate == town.peer[0]


def test_people_sign_in_at_their_own_tenants_provider(changed: Any, town: Town, tmp_path: Path) -> None:
    """One that several share has one way back; a tenant's own opens no account of others; a line of one tenant's file
    for another's address is nobody's, whoever the provider says it is."""
    shared = {
        "issuer": "i",
        "audience": "a",
        "keys_url": "https://p.example/certs",
        "discovery_url": "https://p.example",
    }
    first, second = (each.address for each in town.tenants[:2])
    files = {ONE: tmp_path / "one", TWO: tmp_path / "two"}
    Accounts(files[ONE]).bind(first, "899700000001")
    Accounts(files[TWO]).bind(second, "899700000002")
    Accounts(files[TWO]).bind(first, "899700000002")

    def told(own: bool) -> Callable[[dict[str, Any]], None]:
        def change(said: dict[str, Any]) -> None:
            said["provider"] = shared
            for name, file in files.items():
                said["tenants"][name] = {**said["tenants"][name], "accounts": {"file": file}}
            if own:
                said["tenants"][TWO]["provider"] = {**shared, "issuer": "another", "name": "Le portail"}

        return change

    (house,) = providers.houses(config.load(changed(told(own=False))))
    assert house.tenants == tuple(each.name for each in town.tenants)
    assert house.accounts(Person(frozenset({"899700000001"}), "")) == (first,)
    assert house.accounts(Person(frozenset({"899700000002"}), "")) == (second,)
    usual, own = providers.houses(config.load(changed(told(own=True))))
    assert (usual.name, own.name, own.label, own.tenants) == (ONE, TWO, "Le portail", (TWO,))
    assert own.accounts(Person(frozenset({"899700000001"}), "")) == ()
    assert usual.accounts(Person(frozenset({"899700000002"}), "")) == ()
