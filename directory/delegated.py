"""What people do in the directory reaches it in their own name (proxied authorisation, RFC 4370).

Promises: the gateway's identity has no right of its own, so that slapd, not we, decides what is the administrator's,
the help desk's or the delegate's; modifiersName names whom it was. Does not: know who is logged in, nor ask our own
table of roles (directory.desk, the caller, does).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ldap
from ldap.controls import SimplePagedResultsControl
from ldap.controls.simple import ProxyAuthzControl

from directory.access import ADMINISTRATOR, TENANTS
from directory.filters import Filter

Values = Mapping[str, Sequence[bytes]]
PAGE = 400
"""Entries a page: less than what access.limits gives at once."""


def administrator(establishment: str, suffix: str) -> str:
    """His name in the directory."""
    return f"{ADMINISTRATOR},ou={ldap.dn.escape_dn_chars(establishment)},{TENANTS},{suffix}"


def change(connection: Any, as_whom: str, dn: str, values: Values) -> None:
    """Replaces attributes of `dn`; none: removes. `as_whom`: empty for the connection's own identity. Raises
    ldap.LDAPError: INSUFFICIENT_ACCESS is slapd's no."""
    changes = [(ldap.MOD_REPLACE, name, list(each) or None) for name, each in values.items()]
    connection.modify_ext_s(dn, changes, serverctrls=_as(as_whom))


def add(connection: Any, as_whom: str, dn: str, values: Values) -> None:
    """A new entry. Raises as `change`."""
    made = [(name, list(each)) for name, each in values.items() if each]
    connection.add_ext_s(dn, made, serverctrls=_as(as_whom))


def remove(connection: Any, as_whom: str, dn: str) -> None:
    """Raises as `change`."""
    connection.delete_ext_s(dn, serverctrls=_as(as_whom))


def search(connection: Any, as_whom: str, base: str, asked: Filter, names: Sequence[str]) -> list[tuple[str, Values]]:
    """What he sees of it below `base`; nothing where he may not even see the base."""
    try:
        rows = connection.search_ext_s(base, ldap.SCOPE_SUBTREE, asked, list(names), serverctrls=_as(as_whom))
    except ldap.NO_SUCH_OBJECT:
        return []
    return [(dn, values) for dn, values in rows if dn]


def pages(
    connection: Any, as_whom: str, base: str, asked: Filter, names: Sequence[str]
) -> Iterator[tuple[str, Values]]:
    """All that he sees, page by page. Raises ldap.LDAPError where he may not page through it."""
    control = SimplePagedResultsControl(True, size=PAGE, cookie="")
    while True:
        number = connection.search_ext(
            base, ldap.SCOPE_SUBTREE, asked, list(names), serverctrls=[control, *_as(as_whom)]
        )
        try:
            _, rows, _, answered = connection.result3(number)
        except ldap.NO_SUCH_OBJECT:
            return
        yield from ((dn, values) for dn, values in rows if dn)
        control.cookie = next((each.cookie for each in answered if isinstance(each, SimplePagedResultsControl)), "")
        if not control.cookie:
            return


def _as(as_whom: str) -> list[ProxyAuthzControl]:
    # Critical, as RFC 4370 §3 demands: a server without it would write in our own name.
    return [ProxyAuthzControl(True, f"dn:{as_whom}".encode())] if as_whom else []
