"""Where a domain's letters go: its mail exchangers, looked up and put in order (RFC 5321 §5.1).

Promises: configured hosts come first and ask nobody; else MX by preference, equals shuffled anew for each letter, the
domain's own address where it has no MX; ourselves, and whoever is no better than us, are taken out, so that nothing
goes in circles. Trouble is a value: Later where asking again may help, Never where it may not. The time for one domain
is bounded, answers are kept no longer than their TTL. Does not: believe names (a certificate and the white list decide
whom we met, so DNS needs no proof of its own), or connect.
"""

from __future__ import annotations

import contextlib
import ipaddress
import random
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import NamedTuple, TypeAlias

import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.MX import MX

from relay.model import Later, Never, Reason

KEPT_S = 3600.0
"""The longest time that an answer is kept, whatever its TTL."""
OWN_S = 2.0
"""For the addresses of one of our own names: they are no condition."""
UNKNOWN_S = 60.0
"""How long our own addresses stay unknown before they are asked for again."""
SERVER_S = 1.0
"""How long one name server may think before the next is asked too: a dead one must not use up a domain's time."""
KEPT_MOST = 10_000
"""Domains."""
EXCHANGES_MOST = 20
"""Of one domain: the best ones. A national operator has a handful."""
ADDRESSES_MOST = 8
"""Of one exchange."""
_HOST_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")


class Host(NamedTuple):
    """One way to try: the name that is said in the handshake, and where to connect."""

    name: str
    port: int
    address: str = ""
    """Empty: the name is looked up by the system, as configured hosts are."""


Found: TypeAlias = Sequence[Host] | Later | Never
Where: TypeAlias = Callable[[str], Found]


@dataclass(frozen=True)
class Us:
    """By what we know ourselves in another's list."""

    names: frozenset[str] = frozenset()
    """Lower case, without a final dot."""
    addresses: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Exchange:
    """One MX record with the addresses of its host."""

    preference: int
    name: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class _Kept:
    exchanges: tuple[Exchange, ...]
    until: float


class _Trouble(Exception):
    """No answer now."""


class _Budget(NamedTuple):
    """The end of the time for one domain, and the shortest TTL seen so far."""

    end: float
    ttls: list[float]


@dataclass(frozen=True)
class Hosts:
    """Asks, keeps, orders. Shared freely between threads."""

    resolver: dns.resolver.Resolver
    configured: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Domain -> host and port, instead of a look-up."""
    us: Us = Us()
    port: int = 25
    total_s: float = 10.0
    now: Callable[[], float] = time.monotonic
    shuffle: Callable[[list[Exchange]], None] = random.SystemRandom().shuffle
    _kept: OrderedDict[str, _Kept] = field(default_factory=OrderedDict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def __call__(self, domain: str) -> Found:
        """Hosts of a domain, best first; never empty."""
        if named := self.configured.get(domain.lower()):
            return (Host(*named),)
        exchanges = self.exchanges(domain)
        if not isinstance(exchanges, tuple):
            return exchanges
        others = without_us(exchanges, self._ourselves())
        if not others:
            return Never(Reason.DOMAIN_LOOPS, ", ".join(each.name for each in exchanges))
        ordered = in_order(others, self.shuffle)
        return tuple(Host(each.name, self.port, address) for each in ordered for address in each.addresses)

    def exchanges(self, domain: str) -> tuple[Exchange, ...] | Later | Never:
        """A domain's exchanges that have addresses, best first, ours among them."""
        key = domain.lower().rstrip(".")
        with self._lock:
            kept = self._kept.get(key)
        if kept and self.now() < kept.until:
            return kept.exchanges
        budget = _Budget(self.now() + self.total_s, [KEPT_S])
        try:
            found = self._look_up(dns.name.from_text(f"{key}."), budget)
        except _Trouble as trouble:
            return Later(Reason.DNS_DOWN, str(trouble))
        except (dns.exception.DNSException, UnicodeError):
            return Never(Reason.DOMAIN_UNKNOWN, "no name that can be asked for")
        if isinstance(found, tuple):
            self._keep(key, _Kept(found, self.now() + min(budget.ttls)))
        return found

    def _ourselves(self) -> Us:
        """With the addresses of our names: another name may lead to us too. Unknown ones are no trouble."""
        found = set(self.us.addresses)
        for name in self.us.names:
            found |= self._addresses_of(name)
        return Us(self.us.names, frozenset(found))

    def _addresses_of(self, name: str) -> frozenset[str]:
        key = f"{name}."
        with self._lock:
            kept = self._kept.get(key)
        if kept is None or self.now() >= kept.until:
            budget = _Budget(self.now() + min(OWN_S, self.total_s), [KEPT_S])
            try:
                exchange = self._with_addresses(Exchange(0, name, ()), budget)
            except (_Trouble, dns.exception.DNSException, UnicodeError):
                exchange = Exchange(0, name, ())
                budget.ttls.append(UNKNOWN_S)
            kept = _Kept((exchange,), self.now() + min(budget.ttls))
            self._keep(key, kept)
        return frozenset(kept.exchanges[0].addresses)

    def _keep(self, key: str, value: _Kept) -> None:
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT_MOST:
                self._kept.popitem(last=False)

    # --- asking -------------------------------------------------------------------------------------------------

    def _look_up(self, name: dns.name.Name, budget: _Budget) -> tuple[Exchange, ...] | Never:
        try:
            answer = self._ask(name, dns.rdatatype.MX, budget)
        except dns.resolver.NXDOMAIN:
            return Never(Reason.DOMAIN_UNKNOWN)
        records = [each for each in answer or () if isinstance(each, MX)]
        if not records:  # RFC 5321 §5.1: an implicit MX of preference 0
            implicit = self._with_addresses(Exchange(0, _text(name), ()), budget)
            return (implicit,) if implicit.addresses else Never(Reason.DOMAIN_NO_HOST, "neither MX nor address")
        if refuses_mail(records):
            return Never(Reason.DOMAIN_NO_MAIL)
        return self._reachable(records, budget)

    def _reachable(self, records: Sequence[MX], budget: _Budget) -> tuple[Exchange, ...] | Never:
        """Those with addresses. One whose addresses nobody could tell now is no reason to give up the domain."""
        named = (Exchange(int(each.preference), _text(each.exchange), ()) for each in records)
        known = (each for each in named if _HOST_NAME.fullmatch(each.name))
        best = sorted(known, key=lambda each: (each.preference, each.name))[:EXCHANGES_MOST]
        found, trouble = [], None
        for each in best:
            try:
                found.append(self._with_addresses(each, budget))
            except _Trouble as error:
                trouble = error
        usable = tuple(each for each in found if each.addresses)
        if trouble:
            budget.ttls.append(0.0)  # half an answer is not kept
            if not usable:
                raise trouble
        return usable or Never(Reason.DOMAIN_NO_HOST, "no MX has an address")

    def _with_addresses(self, exchange: Exchange, budget: _Budget) -> Exchange:
        name = dns.name.from_text(f"{exchange.name}.")
        found: list[str] = []
        for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
            try:
                found += [each.to_text() for each in self._ask(name, kind, budget) or ()]
            except dns.resolver.NXDOMAIN:
                break
            except _Trouble:
                if not found:
                    raise
        return replace(exchange, addresses=tuple(found[:ADDRESSES_MOST]))

    def _ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType, budget: _Budget) -> dns.resolver.Answer | None:
        """None: the name exists, this kind of record does not. Raises NXDOMAIN, _Trouble."""
        left = budget.end - self.now()
        if left <= 0:
            raise _Trouble("no answer in time")
        try:
            answer = self.resolver.resolve(name, kind, lifetime=left, search=False)
        except dns.resolver.NoAnswer:
            return None
        except dns.resolver.NXDOMAIN:
            raise
        except dns.exception.Timeout:
            raise _Trouble("no answer in time") from None
        except (dns.exception.DNSException, OSError) as error:
            # SERVFAIL and REFUSED are NoNameservers; its text would name our servers
            raise _Trouble(type(error).__name__) from None
        # A CNAME on the way counts too
        budget.ttls.extend(float(each.ttl) for each in answer.response.answer)
        return answer


# --- the rules ------------------------------------------------------------------------------------------------------


def refuses_mail(records: Sequence[MX]) -> bool:
    """RFC 7505 §3: a single MX that names the root says that the domain takes no mail."""
    return len(records) == 1 and records[0].exchange == dns.name.root


def without_us(exchanges: Sequence[Exchange], us: Us) -> list[Exchange]:
    """RFC 5321 §5.1: where we are on the list, we and all who are no better than us are not asked."""
    ours = [each.preference for each in exchanges if is_us(each, us)]
    limit = min(ours, default=None)
    return [each for each in exchanges if limit is None or each.preference < limit]


def is_us(exchange: Exchange, us: Us) -> bool:
    return exchange.name in us.names or not us.addresses.isdisjoint(exchange.addresses)


def in_order(exchanges: Sequence[Exchange], shuffle: Callable[[list[Exchange]], None]) -> list[Exchange]:
    """RFC 5321 §5.1: lower preference first, equals in random order, so that they share the work."""
    ordered: list[Exchange] = []
    for _, equals in groupby(sorted(exchanges, key=lambda each: each.preference), key=lambda each: each.preference):
        group = list(equals)
        shuffle(group)
        ordered += group
    return ordered


# --- who is asked ---------------------------------------------------------------------------------------------------


def resolver(servers: Sequence[tuple[str, int]]) -> dns.resolver.Resolver:
    """Asks these name servers (address, port), or the system's, of which a machine may have none: then nobody."""
    made = dns.resolver.Resolver(configure=False)
    if servers:
        made.nameservers = [dns.nameserver.Do53Nameserver(address, port) for address, port in servers]
    else:
        with contextlib.suppress(dns.resolver.NoResolverConfiguration):
            made = dns.resolver.Resolver()
    made.timeout = SERVER_S
    return made


def own_addresses(listening: str) -> frozenset[str]:
    """The address of our door, where it listens on one."""
    try:
        address = ipaddress.ip_address(listening)
    except ValueError:
        return frozenset()
    return frozenset() if address.is_unspecified else frozenset({str(address)})


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()
