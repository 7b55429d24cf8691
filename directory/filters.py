"""LDAP search filters (RFC 4515), the only place where one is written.

Promises: a value is only ever a value, whatever characters it holds; an attribute is asked for only in a way that its
directory has an index for, so that no question reads a whole region. Raises Unindexed otherwise.
Does not: send anything.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import NewType

Filter = NewType("Filter", str)

Indexes = Mapping[str, frozenset[str]]
"""attribute -> what its index answers: eq, sub (beginnings), pres, as in slapd.conf(5)."""

_EQ, _SUB = frozenset({"eq"}), frozenset({"eq", "sub"})

OURS: Indexes = {
    **dict.fromkeys(("objectClass", "mail", "mssAdresse", "hcIdentifier", "mssListeRouge"), _EQ),
    **dict.fromkeys(("pliDomain", "pliKey", "dataSource", "lifecycleState"), _EQ),
    **dict.fromkeys(("pliWord", "sn", "cn"), _SUB),
    "mergedInto": frozenset({"eq", "pres"}),
    # The last three: for whoever follows the changes (RFC 4533), or asks for them by date.
    **dict.fromkeys(("entryUUID", "entryCSN", "modifyTimestamp"), _EQ),
}
"""Of a directory of ours; `directory.slapd` writes its configuration from it."""

BEGINNINGS = frozenset({"pliWord"})
"""Of these only beginnings are asked for: an index of what stands in the middle would be most of the directory, and of
the time that a change takes."""

_PLAIN = frozenset(f"{string.ascii_letters}{string.digits}@.-_ ".encode())


class Unindexed(ValueError):
    """The directory would have to read every entry; the text names the attribute and the index."""


def equal(attribute: str, value: str, indexes: Indexes = OURS) -> Filter:
    return Filter(f"({_indexed(attribute, 'eq', indexes)}={_escaped(value)})")


def present(attribute: str, indexes: Indexes = OURS) -> Filter:
    return Filter(f"({_indexed(attribute, 'pres', indexes)}=*)")


def begins(attribute: str, value: str, indexes: Indexes = OURS) -> Filter:
    return Filter(f"({_indexed(attribute, 'sub', indexes)}={_escaped(value)}*)")


def since(attribute: str, value: str, indexes: Indexes = OURS) -> Filter:
    """Values not before this one."""
    return Filter(f"({_indexed(attribute, 'eq', indexes)}>={_escaped(value)})")


def every(*filters: Filter) -> Filter:
    return Filter(f"(&{''.join(filters)})")


def some(*filters: Filter) -> Filter:
    """True for at least one; with none given, never (RFC 4526)."""
    return Filter(f"(|{''.join(filters)})")


def no(negated: Filter) -> Filter:
    return Filter(f"(!{negated})")


def _indexed(attribute: str, kind: str, indexes: Indexes) -> str:
    if kind not in indexes.get(attribute, ()):
        raise Unindexed(f"{attribute} has no index '{kind}'")
    return attribute


def _escaped(value: str) -> str:
    # RFC 4515 §3 asks it for NUL ( ) * \ alone; all but letters, digits and a few signs is safer still.
    octets = value.encode("utf-8", "surrogatepass")
    return "".join(chr(octet) if octet in _PLAIN else f"\\{octet:02x}" for octet in octets)
