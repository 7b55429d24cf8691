"""Where a fetch may go: URLs and network addresses found in certificates, which strangers wrote (SSRF).

Promises: a URL has one reading or is refused; each network address that a name resolves to must be a public one,
and the connection is made to an address that was checked, never to the name again (no DNS rebinding). Does
not: connect, or know what is fetched (fetch does).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import urlsplit

IP: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve: TypeAlias = Callable[[str, int], Iterable[str]]
"""(host, port) -> numeric addresses. Raises OSError where the name has none."""

MAX_URL = 2048
PORTS = {"http": 80, "https": 443}
_EMBEDDING = tuple(map(ipaddress.ip_network, ("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16")))
"""IPv6 addresses that stand for an IPv4 one (RFC 4291 §2.5.5, RFC 6052, RFC 4380, RFC 3056)."""
_UNICAST = ipaddress.ip_network("2000::/3")


class Unreachable(ValueError):
    """We do not go there; the text says why."""


@dataclass(frozen=True)
class Target:
    """A URL, read once."""

    url: str
    scheme: str
    host: str
    port: int
    path: str
    """With its query."""


@dataclass(frozen=True)
class Reach:
    """What a policy lets us reach. `also`: host:port pairs of the operator's, taken as they are (a proxy, a mirror)."""

    also: frozenset[tuple[str, int]] = frozenset()
    resolve: Resolve = field(default=lambda host, port: resolve(host, port))

    def addresses(self, target: Target) -> tuple[str, ...]:
        """Numeric addresses to connect to. Raises Unreachable, or OSError where the name has none."""
        if (target.host, target.port) in self.also:
            return tuple(self.resolve(target.host, target.port))
        if target.port != PORTS[target.scheme]:
            raise Unreachable(f"port {target.port} is not one of the web's")
        found = tuple(self.resolve(target.host, target.port))
        for address in found:
            if not public(address):
                raise Unreachable(f"{target.host} is at {address}, which is no public address")
        return found


def resolve(host: str, port: int) -> Iterable[str]:
    """The system's resolver."""
    return dict.fromkeys(str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


def public(address: str) -> bool:
    """Whether a numeric address is one of the public internet: not private, loopback, link-local, CGNAT, multicast,
    reserved, nor an IPv6 address with an IPv4 one inside."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if not ip.is_global or ip.is_multicast or ip.is_reserved:
        return False
    return isinstance(ip, ipaddress.IPv4Address) or (
        ip in _UNICAST and not any(ip in network for network in _EMBEDDING)
    )


def target(url: str) -> Target:
    """A URL as we use it. Raises Unreachable for what is not plain http or https, or has two readings."""
    if len(url) > MAX_URL or not url.isascii() or any(ord(c) <= 0x20 or c in '\\\x7f<>"' for c in url):
        raise Unreachable("the address is no plain URL")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Unreachable("the address is no plain URL") from None
    if parts.scheme not in PORTS:
        raise Unreachable(f"'{parts.scheme[:16]}' addresses are not followed")
    host = parts.hostname or ""
    if "@" in parts.netloc or not _plain_host(host):
        raise Unreachable("the host of the address has two readings")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(url, parts.scheme, host.rstrip("."), PORTS[parts.scheme] if port is None else port, path)


def _plain_host(host: str) -> bool:
    """A name, a dotted quad or an IPv6 address; never a number in another spelling, which some resolvers take."""
    if not host or "%" in host:
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.rstrip(".").rpartition(".")[2][:1].isalpha() and not host.startswith(".")
    return True
