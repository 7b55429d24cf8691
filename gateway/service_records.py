"""What DNS must say of this node: where its domains' mail goes, and where mail clients find it (RFC 6186, RFC 8314).

Promises: one record a line, as zone files write it; what is not offered is said too, so that no client tries it in
clear. A look at what is published changes nothing. Does not: publish.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import dns.exception
import dns.rdatatype
import dns.resolver

from gateway.config import Settings

NOT_OFFERED = "0 0 0 ."
"""RFC 2782: a target of '.' says that the service is decidedly not there (RFC 6186 §3.4)."""


class Record(NamedTuple):
    name: str
    """With its final dot."""
    kind: str
    data: str

    def __str__(self) -> str:
        return f"{self.name} IN {self.kind} {self.data}"


class State(StrEnum):
    OK = "ok"
    MISSING = "missing"
    OTHER = "other"
    """Something else is published."""
    CANNOT_TELL = "cannot-tell"


@dataclass(frozen=True)
class Seen:
    record: Record
    state: State
    found: tuple[str, ...] = ()
    """What is published there."""


def records(settings: Settings) -> tuple[Record, ...]:
    return tuple(each for domain in settings.node.domains for each in _of(settings, domain))


def _of(settings: Settings, domain: str) -> Iterator[Record]:
    host, told = settings.node.hostname, settings.clients
    if settings.doors.peers:
        yield Record(f"{domain}.", "MX", f"10 {host}.")
    ports = {
        "_submission": told.submission_port if settings.doors.submission else None,
        "_submissions": told.submissions_port,
    }
    for name, port in ports.items():
        data = f"0 1 {port} {told.submission_host or host}." if port else NOT_OFFERED
        yield Record(f"{name}._tcp.{domain}.", "SRV", data)
    yield Record(f"_imaps._tcp.{domain}.", "SRV", f"0 1 {told.imap_port} {told.imap_host or host}.")
    for name in ("_imap", "_pop3", "_pop3s"):
        yield Record(f"{name}._tcp.{domain}.", "SRV", NOT_OFFERED)
    if settings.doors.autoconfig:
        for name in ("autoconfig", "autodiscover"):
            yield Record(f"{name}.{domain}.", "CNAME", f"{host}.")


def seen(record: Record, resolver: dns.resolver.Resolver, total_s: float) -> Seen:
    """What is published in a record's place. More of a kind than ours is well: a domain may have a second MX."""
    try:
        answer = resolver.resolve(record.name, record.kind, lifetime=total_s, search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return Seen(record, State.MISSING)
    except (dns.exception.DNSException, OSError):
        return Seen(record, State.CANNOT_TELL)
    found = tuple(sorted(each.to_text() for each in answer))
    ours = {each.lower() for each in found}
    return Seen(record, State.OK if record.data.lower() in ours and _alone(record, ours) else State.OTHER, found)


def _alone(record: Record, published: set[str]) -> bool:
    """Beside 'not offered' nothing else may stand (RFC 2782)."""
    return record.data != NOT_OFFERED or len(published) == 1
