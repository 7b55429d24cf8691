"""Many mailboxes at once: what a directory has already of them, and adding the rest.

Promises: what is there is read page by page; additions are on their way together, and each has its own answer, so that
one that is refused hurts no other; asked again, what is there is said to be there. Nothing that stands is changed.
Additions of one call are made in any order: none may stand below another.
Does not: decide what is added (gateway.onboarding does), nor keep the journal.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import ldap
from ldap import modlist
from ldif import LDIFRecordList

from directory import delegated, entries, filters
from directory.desk import Kept

AT_ONCE = 200
"""Additions on their way together."""

Values = Mapping[str, Sequence[bytes]]


def present(connection: Any, suffix: str, domains: Iterable[str]) -> dict[str, Kept]:
    """address -> the mailbox that has it, of these domains, wherever it stands. Raises ldap.LDAPError."""
    found: dict[str, Kept] = {}
    for domain in domains:
        asked = filters.every(filters.equal("objectClass", entries.CLASS), filters.equal("pliDomain", domain))
        for dn, values in delegated.pages(connection, "", suffix, asked, entries.READ):
            one = Kept(dn, values)
            found[(one.text("mail") or one.text("mssAdresse")).lower()] = one
    return found


def names(connection: Any, base: str) -> frozenset[str]:
    """The DNs right below `base`, in lower case."""
    try:
        rows = connection.search_s(base, ldap.SCOPE_ONELEVEL, attrlist=["1.1"])
    except ldap.NO_SUCH_OBJECT:
        return frozenset()
    return frozenset(dn.lower() for dn, _ in rows if dn)


def added(connection: Any, wanted: Iterable[tuple[str, Values]], timeout_s: float) -> Iterator[tuple[str, str]]:
    """(dn, '') for what is new, (dn, 'there') for what was there, else the name of the refusal. Raises ldap.LDAPError
    where the directory does not answer: what was answered is done."""
    listed = iter(wanted)
    while batch := list(islice(listed, AT_ONCE)):
        sent = [(dn, connection.add_ext(dn, modlist.addModlist(_filled(values)))) for dn, values in batch]
        yield from ((dn, _answered(connection, number, timeout_s)) for dn, number in sent)


def records(text: str) -> list[tuple[str, Values]]:
    """Entries of an LDIF text of our own, parents first."""
    read = LDIFRecordList(io.StringIO(text))
    read.parse()
    return list(read.all_records)


def _filled(values: Values) -> dict[str, list[bytes]]:
    return {name: list(each) for name, each in values.items() if each}


def _answered(connection: Any, number: int, timeout_s: float) -> str:
    try:
        connection.result3(number, 1, timeout_s)
    except ldap.ALREADY_EXISTS:
        return "there"
    except (ldap.SERVER_DOWN, ldap.TIMEOUT, ldap.UNAVAILABLE, ldap.BUSY):
        raise
    except ldap.LDAPError as error:
        return type(error).__name__.lower()
    return ""
