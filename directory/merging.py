"""One holder on several entries: the others point at the one that stands for them, and can be parted again.

Promises: nothing is lost: a merge only adds `mergedInto`, parting only takes it away; an entry that stands for others
is itself merged into none, so that there are no chains and no rings; both still receive letters at their own address.
What is done is a value for whoever keeps the journal.
Does not: decide who is one (directory.duplicates, or a person), nor write the journal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ldap
from ldap.controls import SimplePagedResultsControl

from directory import entries, filters
from directory.model import Entry

PAGE = 1_000
MERGED = "mergedInto"


class CannotMerge(Exception):
    """The text is for people, in French."""


@dataclass(frozen=True)
class Done:
    """What changed, for the journal."""

    dn: str
    before: str
    """The entry that stood for it; empty for none."""
    after: str


def merge(connection: Any, dn: str, into: str) -> Done:
    """`dn` is from now on the same holder as `into`. Raises CannotMerge, ldap.LDAPError."""
    if dn.casefold() == into.casefold():
        raise CannotMerge("une fiche ne se fond pas dans elle-même")
    before, target = _stands_for(connection, dn), _stands_for(connection, into)
    if target:
        raise CannotMerge(f"cette fiche est déjà fondue dans {target} : choisissez celle-là")
    if standing := _merged_into(connection, dn):
        raise CannotMerge(f"{len(standing)} fiches sont fondues dans celle-ci : séparez-les, ou choisissez l'inverse")
    connection.modify_s(dn, [(ldap.MOD_REPLACE, MERGED, [into.encode()])])
    return Done(dn, before, into)


def unmerge(connection: Any, dn: str) -> Done:
    """`dn` is a holder of its own again. Raises CannotMerge, ldap.LDAPError."""
    before = _stands_for(connection, dn)
    if not before:
        raise CannotMerge("cette fiche n'est fondue dans aucune autre")
    connection.modify_s(dn, [(ldap.MOD_DELETE, MERGED, None)])
    return Done(dn, before, "")


def _stands_for(connection: Any, dn: str) -> str:
    try:
        rows = connection.search_s(dn, ldap.SCOPE_BASE, attrlist=[MERGED])
    except (ldap.NO_SUCH_OBJECT, ldap.INVALID_DN_SYNTAX):
        raise CannotMerge(f"il n'y a pas de fiche {dn}") from None
    return next((value.decode() for value in rows[0][1].get(MERGED, [])), "")


def _merged_into(connection: Any, dn: str) -> list[str]:
    base = dn.partition(",")[2]
    return [name for name, _ in connection.search_s(base, ldap.SCOPE_ONELEVEL, filters.equal(MERGED, dn), ["1.1"])]


def everything(connection: Any, base: str, source: str) -> Iterator[Entry]:
    """Every mailbox that can be read and is merged into none, page by page, as the feeder sees them."""
    control = SimplePagedResultsControl(True, size=PAGE, cookie="")
    asked = filters.every(filters.equal("objectClass", entries.CLASS), filters.no(filters.present(MERGED)))
    while True:
        number = connection.search_ext(base, ldap.SCOPE_SUBTREE, asked, list(entries.READ), serverctrls=[control])
        _, rows, _, answered = connection.result3(number)
        for dn, values in rows:
            if isinstance(read := entries.read(dn, values, source), Entry):
                yield read
        control.cookie = next((each.cookie for each in answered if isinstance(each, SimplePagedResultsControl)), "")
        if not control.cookie:
            return
