"""LDAP search filters (RFC 4515), the only place where one is written.

Promises: a value is only ever a value, whatever characters it holds.
Does not: check attribute names, which are ours.
"""

from __future__ import annotations

import string
from typing import NewType

Filter = NewType("Filter", str)

_PLAIN = frozenset(f"{string.ascii_letters}{string.digits}@.-_ ".encode())


def equal(attribute: str, value: str) -> Filter:
    return Filter(f"({attribute}={_escaped(value)})")


def present(attribute: str) -> Filter:
    return Filter(f"({attribute}=*)")


def begins(attribute: str, value: str) -> Filter:
    return Filter(f"({attribute}={_escaped(value)}*)")


def every(*filters: Filter) -> Filter:
    return Filter(f"(&{''.join(filters)})")


def some(*filters: Filter) -> Filter:
    """True for at least one; with none given, never (RFC 4526)."""
    return Filter(f"(|{''.join(filters)})")


def no(negated: Filter) -> Filter:
    return Filter(f"(!{negated})")


def _escaped(value: str) -> str:
    # RFC 4515 §3 asks it for NUL ( ) * \ alone; all but letters, digits and a few signs is safer still.
    octets = value.encode("utf-8", "surrogatepass")
    return "".join(chr(octet) if octet in _PLAIN else f"\\{octet:02x}" for octet in octets)
