"""One connection to an LDAP server, bound, as we want it.

Promises: outside this machine a password travels in TLS or not at all; no referral is followed. Raises ldap.LDAPError.
Does not: keep connections (directory.ldap pools them), nor say what an error means.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ldap


def opened(
    uri: str,
    bind_dn: str,
    password: str,
    timeout_s: float,
    ca: Path | None = None,
    make: Callable[[str], Any] = ldap.initialize,
) -> Any:
    """`ca` is the PEM file of whoever vouches for the server; `make` gives the client object of an URI."""
    connection = make(uri)
    connection.protocol_version = ldap.VERSION3
    connection.timeout = timeout_s
    connection.set_option(ldap.OPT_NETWORK_TIMEOUT, timeout_s)
    # A connection that only listens is told when the other machine is gone (seconds, tcp(7)).
    connection.set_option(ldap.OPT_X_KEEPALIVE_IDLE, 30)
    connection.set_option(ldap.OPT_X_KEEPALIVE_INTERVAL, 10)
    connection.set_option(ldap.OPT_X_KEEPALIVE_PROBES, 3)
    # A referral would carry our password to wherever it points.
    connection.set_option(ldap.OPT_REFERRALS, 0)
    connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
    if ca:
        connection.set_option(ldap.OPT_X_TLS_CACERTFILE, str(ca))
    connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
    if needs_start_tls(uri):
        connection.start_tls_s()
    connection.simple_bind_s(bind_dn, password)
    return connection


def needs_start_tls(uri: str) -> bool:
    """Whether passwords and answers would travel in clear to another machine."""
    parts = urlsplit(uri)
    return parts.scheme == "ldap" and parts.hostname not in ("127.0.0.1", "::1", "localhost")
