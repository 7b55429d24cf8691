"""Writes of an establishment's administrator reach the directory in his name (proxied authorisation, RFC 4370).

Promises: the gateway's identity has no right of its own, so that slapd, not we, decides what is the administrator's;
modifiersName names him. Does not: know who is logged in (the caller does).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ldap
from ldap.controls.simple import ProxyAuthzControl

from directory.access import ADMINISTRATOR, TENANTS

Values = Mapping[str, Sequence[bytes]]


def administrator(establishment: str, suffix: str) -> str:
    """His name in the directory."""
    return f"{ADMINISTRATOR},ou={ldap.dn.escape_dn_chars(establishment)},{TENANTS},{suffix}"


def change(connection: Any, as_whom: str, dn: str, values: Values) -> None:
    """Replaces attributes of `dn`; none: removes. Raises ldap.LDAPError: INSUFFICIENT_ACCESS is slapd's no."""
    changes = [(ldap.MOD_REPLACE, name, list(each) or None) for name, each in values.items()]
    connection.modify_ext_s(dn, changes, serverctrls=[_as(as_whom)])


def add(connection: Any, as_whom: str, dn: str, values: Values) -> None:
    """A new entry. Raises as `change`."""
    made = [(name, list(each)) for name, each in values.items() if each]
    connection.add_ext_s(dn, made, serverctrls=[_as(as_whom)])


def remove(connection: Any, as_whom: str, dn: str) -> None:
    """Raises as `change`."""
    connection.delete_ext_s(dn, serverctrls=[_as(as_whom)])


def _as(as_whom: str) -> ProxyAuthzControl:
    # Critical, as RFC 4370 §3 demands: a server without it would write in our own name.
    return ProxyAuthzControl(True, f"dn:{as_whom}".encode())
