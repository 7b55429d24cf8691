"""Several writes to a directory as one: all of them or none, and one sync of its disk (RFC 5805).

Promises: what was sent within a transaction takes effect when it is committed, or not at all where the server refuses
one of them (Undone); a connection has one at a time. Does not: show what was sent before it is committed, or try again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import ldap
from ldap.controls import RequestControl
from ldap.extop import ExtendedRequest

_START, _SPECIFICATION, _END = "1.3.6.1.1.21.1", "1.3.6.1.1.21.2", "1.3.6.1.1.21.3"
_COMMIT, _ABORT = b"\x30\x02\x04\x00", b"\x30\x05\x01\x01\x00\x04\x00"
"""TxnEndReq (§3.3) of slapd's transactions, which have no identifier: a connection has one."""

AWAY = (ldap.SERVER_DOWN, ldap.TIMEOUT, ldap.UNAVAILABLE, ldap.BUSY)
"""The server does not answer: of a commit nobody knows whether it was made."""

Send = Callable[[list[RequestControl]], int]
"""Sends one write with these controls; the number of the request."""


class Undone(Exception):
    """The server refused one of them: none was made. The text is its name for that."""


def offered(connection: Any) -> bool:
    """Raises ldap.LDAPError."""
    rows = connection.search_s("", ldap.SCOPE_BASE, attrlist=["supportedExtension"])
    held = {each.decode() for _, values in rows for each in values.get("supportedExtension", ())}
    return {_START, _END} <= held


def committed(connection: Any, writes: Sequence[Send], timeout_s: float) -> None:
    """Makes them all. Raises Undone, and of ldap.LDAPError those of AWAY."""
    try:
        _asked(connection, ExtendedRequest(_START, None), timeout_s)
        numbers = [send([_Within()]) for send in writes]
        for number in numbers:
            connection.result3(number, 1, timeout_s)
        _asked(connection, ExtendedRequest(_END, _COMMIT), timeout_s)
    except AWAY:
        raise
    except ldap.LDAPError as error:
        # Where a write was refused before the end the transaction still stands.
        with suppress(ldap.LDAPError):
            _asked(connection, ExtendedRequest(_END, _ABORT), timeout_s)
        raise Undone(type(error).__name__) from None


def _asked(connection: Any, request: ExtendedRequest, timeout_s: float) -> None:
    connection.result4(connection.extop(request), 1, timeout_s, 0, 0, 1)


class _Within(RequestControl):  # type: ignore[misc]
    """Critical, with an empty identifier, as slapd asks it."""

    def __init__(self) -> None:
        super().__init__(_SPECIFICATION, True, b"")

    def encodeControlValue(self) -> bytes:  # noqa: N802
        return b""
