"""Several tenants of one node: what of the file is whose, and where two of them would share what must not be shared.

Promises: a view holds one tenant's settings and the node's, nothing of another tenant; a file in which two tenants
share a domain, a key, a login file or a certificate of their own is refused, one sentence for each fault. Does not:
read the files that are named (gateway.readiness does), or wire anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.tenants_section import TenantSection

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
"""A tenant is a folder's name, a column's value and a word of the environment, which knows no case."""

_REPLACED = ("tls", "delivery", "policy", "clients", "provider")
"""Sections of the node that a tenant may have of its own."""
OWN = ("keeper", "accounts", "dossier", "dossiers", "collect", "hl7", "identities", "insi")
"""Sections that are a tenant's alone: with several, the node has none."""


class Clash(Exception):
    """The file cannot be used: one sentence for each fault."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("; ".join(sentences))
        self.sentences = tuple(sentences)


# --- the views ----------------------------------------------------------------------------------------------------


def view(whole: Settings, name: str) -> Settings:
    """The settings of one tenant, as if it were alone on the node."""
    told = whole.tenants[name]
    own: dict[str, Any] = {each: getattr(told, each) for each in OWN}
    nearer = {each: getattr(told, each) for each in _REPLACED if getattr(told, each) is not None}
    parts = {"node": _node(whole, name, told), "journal": _journal(whole, name), "tenants": {}}
    return whole.model_copy(update=own | nearer | parts)


def _node(whole: Settings, name: str, told: TenantSection) -> Any:
    named = ("hostname", "facility", "practice_setting", "product_number")
    nearer = {each: getattr(told, each) for each in named if getattr(told, each)}
    domains = tuple(each.lower().rstrip(".") for each in told.domains)
    own = {"tenant": name, "domains": domains, "establishment": told.establishment}
    return whole.node.model_copy(update=own | nearer)


def _journal(whole: Settings, name: str) -> Any:
    """Each seals the journal's heads with its own seal, in a folder of its own."""
    folder = (whole.journal.heads or whole.paths.data / "heads") / name
    return whole.journal.model_copy(update={"heads": folder})


# --- what is refused ----------------------------------------------------------------------------------------------


def together(whole: Settings) -> None:
    """Raises Clash where the file is neither one tenant's nor that of several who share nothing."""
    faults = [*_of_several(whole)] if whole.tenants else [*_of_one(whole)]
    if faults:
        raise Clash(faults)


def _of_one(whole: Settings) -> Iterator[str]:
    needed = {
        "node.tenant": whole.node.tenant,
        "node.domains": whole.node.domains,
        "keeper": whole.keeper,
        "accounts": whole.accounts,
    }
    yield from (f"'{key}' is missing; docs/configuration.md describes it" for key, value in needed.items() if not value)


def _of_several(whole: Settings) -> Iterator[str]:
    for key in ("tenant", "domains", "establishment"):
        if getattr(whole.node, key):
            yield f"'node.{key}' is one tenant's: with [tenants.NAME] write it there"
    for key in OWN:
        if getattr(whole, key):
            yield f"[{key}] is one tenant's: with [tenants.NAME] write [tenants.NAME.{key}]"
    for name, told in whole.tenants.items():
        yield from _alone(name, told)
    yield from clashes(whole.tenants)


def _alone(name: str, told: TenantSection) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        yield f"'tenants.{name}': a tenant is named by up to 32 lower-case letters, digits and dashes"
    ours = {each.lower() for each in told.domains}
    for login, others in told.accounts.delegations.items():
        for each in (login, *others):
            if each.rpartition("@")[2].lower() not in ours:
                yield f"'tenants.{name}.accounts.delegations': {each} is of none of its domains"


def clashes(tenants: Mapping[str, TenantSection]) -> Iterator[str]:
    """What two tenants would share: by it one would read, sign or log in as the other."""
    held: dict[tuple[str, str], str] = {}
    for name, told in tenants.items():
        for what, value in _private(told):
            other = held.setdefault((what, value), name)
            if other != name:
                yield f"tenants {other} and {name} share {what} {value}: each needs its own"
    yield from _nested({name: told.keeper.folder for name, told in tenants.items()})


def _private(told: TenantSection) -> Iterator[tuple[str, str]]:
    """(what it is, which one): none may be named by two tenants."""
    for domain in {each.lower().rstrip(".") for each in told.domains}:
        yield "the domain", domain
    files = {
        "the key folder": [told.keeper.folder],
        "the key file": [told.keeper.body_public_key, told.keeper.digest_key, told.keeper.pseudonym_key],
        "the accounts file": [told.accounts.file],
        "the TLS key": [told.tls.key] if told.tls else [],
        "the dossier key": [each.key for each in (told.dossier, *told.dossiers.values()) if each],
    }
    for what, paths in files.items():
        for path in {each.resolve() for each in paths}:
            yield what, str(path)


def _nested(folders: Mapping[str, Path]) -> Iterator[str]:
    """A key folder inside another's would be read with it."""
    real = {name: folder.resolve() for name, folder in folders.items()}
    for name, folder in real.items():
        for other, above in real.items():
            if name != other and above in folder.parents:
                yield f"the key folder of tenant {name} lies inside that of {other}: each needs its own"
