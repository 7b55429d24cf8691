"""What expires when: certificates and revocation lists as they lie in files, each with the days left and a level.

Promises: everything that a source holds is told, a file that cannot be read too, by name; a certificate that was
followed by a newer one for all its addresses is no alarm. Does not: judge trust, know settings (gateway.watching does),
nor say anything of a key but whether its file opens.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

from cryptography import x509

from certs import crl, disk, keyfiles
from certs.identities import UNREADABLE, identity
from certs.identities import read as certificate_of

METRIC = "pli_certificate_expires_seconds"


class Level(StrEnum):
    OK = "ok"
    SOON = "soon"
    URGENT = "urgent"
    OVER = "over"
    UNREADABLE = "unreadable"


Pace: TypeAlias = tuple[timedelta, timedelta]
"""How long before its end a thing is 'soon', and 'urgent'."""
CERTIFICATE: Pace = (timedelta(days=60), timedelta(days=15))
LISTING: Pace = (timedelta(hours=24), timedelta(hours=6))
"""CRLs and the white list are renewed every few days by themselves."""


@dataclass(frozen=True)
class Expiring:
    """One thing with an end, at the moment it was looked at."""

    name: str
    """Where it is, as 'keeper/mailbox/martin'."""
    at: datetime
    until: datetime | None
    """None: it could not be read."""
    pace: Pace = CERTIFICATE
    replaced: bool = False
    """Another one does its work."""
    fault: str = ""

    @property
    def days(self) -> float | None:
        """Left, negative when it is over."""
        return None if self.until is None else (self.until - self.at) / timedelta(days=1)

    @property
    def level(self) -> Level:
        if self.until is None:
            return Level.UNREADABLE
        if self.replaced:
            return Level.OK
        left = self.until - self.at
        soon, urgent = self.pace
        if left < timedelta(0):
            return Level.OVER
        return Level.URGENT if left <= urgent else Level.SOON if left <= soon else Level.OK


@dataclass(frozen=True)
class Chains:
    """A PEM file whose first certificate is ours, or a folder of PEM files, each certificate counting."""

    name: str
    path: Path


@dataclass(frozen=True)
class Pairs:
    """A folder of the keeper's (certs.keyfiles), several certificates for one address."""

    name: str
    path: Path


@dataclass(frozen=True)
class Listings:
    """A folder of CRLs."""

    name: str
    path: Path


Source: TypeAlias = Chains | Pairs | Listings


def watched(sources: Iterable[Source], at: datetime, more: Iterable[Expiring] = ()) -> tuple[Expiring, ...]:
    """Everything in `sources`, and `more` that was read elsewhere: what cannot be read first, then by its end."""
    found = [*more, *(each for source in sources for each in _of(source, at))]
    return tuple(sorted(found, key=lambda each: (each.until is not None, each.until or at, each.name)))


def _of(source: Source, at: datetime) -> Iterator[Expiring]:
    if not os.access(source.path, os.R_OK | (os.X_OK if source.path.is_dir() else 0)):
        if source.path.exists():
            yield Expiring(source.name, at, None, fault=f"{source.path} may not be read by this user")
        elif isinstance(source, Chains):
            yield Expiring(source.name, at, None, fault=f"{source.path} is missing")
        return
    match source:
        case Chains():
            yield from _chains(source, at)
        case Pairs():
            yield from _pairs(source, at)
        case Listings():
            for file in _files(source.path, ".pem", ".der", ".crl"):
                yield from _told(f"{source.name}/{file.name}", at, lambda file=file: _listed(file), LISTING)  # type: ignore[misc]


def _files(folder: Path, *endings: str) -> Sequence[Path]:
    return sorted(each for each in folder.iterdir() if each.suffix in endings)


def _told(name: str, at: datetime, read: Callable[[], datetime], pace: Pace = CERTIFICATE) -> Iterator[Expiring]:
    try:
        yield Expiring(name, at, read(), pace)
    except (*UNREADABLE, OSError) as error:
        yield Expiring(name, at, None, pace, fault=str(error))


def _chains(source: Chains, at: datetime) -> Iterator[Expiring]:
    if source.path.is_file():
        yield from _told(source.name, at, lambda: keyfiles.certificates_of(source.path)[0].not_valid_after_utc)
        return
    for file in _files(source.path, ".pem"):
        yield from _told(f"{source.name}/{file.name}", at, lambda file=file: _first_end(file))  # type: ignore[misc]


def _first_end(file: Path) -> datetime:
    return min(each.not_valid_after_utc for each in keyfiles.certificates_of(file))


def _listed(file: Path) -> datetime:
    data = file.read_bytes()
    listing = x509.load_pem_x509_crl(data) if b"-----BEGIN" in data else x509.load_der_x509_crl(data)
    until = crl.read(crl.der(listing)).until
    if until is None:
        raise ValueError(f"{file.name} does not say when the next one comes")  # RFC 5280 §5.1.2.5
    return until


# --- the keeper's folders ----------------------------------------------------------------------------------


def _pairs(source: Pairs, at: datetime) -> Iterator[Expiring]:
    held: list[tuple[str, bytes]] = []
    for file in _files(source.path, ".pem", ".p12"):
        name = f"{source.name}/{file.stem}"
        try:
            held.append((name, keyfiles.pair(file).der))
        except (*UNREADABLE, OSError) as error:
            yield Expiring(name, at, None, fault=str(error))
    for name, der in held:
        replaced = _followed(der, [other for _, other in held if other != der], at)
        yield Expiring(name, at, certificate_of(der).not_valid_after_utc, replaced=replaced)


def _followed(der: bytes, others: Sequence[bytes], at: datetime) -> bool:
    """Whether, for each of its addresses, another certificate ends later and is in use before this one is over."""
    ends = certificate_of(der).not_valid_after_utc
    heirs = [other for other in others if _takes_over(other, max(ends, at), ends)]
    named = {address for other in heirs for address in identity(other).addresses}
    return set(identity(der).addresses) <= named


def _takes_over(other: bytes, before: datetime, ends: datetime) -> bool:
    read = certificate_of(other)
    return read.not_valid_before_utc <= before and read.not_valid_after_utc > ends


# --- metrics -----------------------------------------------------------------------------------------------


def metrics(tenant: str, found: Iterable[Expiring]) -> str:
    """Prometheus text format: the moment of each end in seconds since 1970, 0 for what cannot be read.

    A moment, not a time left: a file that is no longer written stays true.
    """
    lines = [f"# HELP {METRIC} Moment at which it ends, Unix time; 0: cannot be read.", f"# TYPE {METRIC} gauge"]
    lines += [
        f'{METRIC}{{tenant="{_quoted(tenant)}",name="{_quoted(each.name)}"}} '
        f"{0 if each.until is None else int(each.until.timestamp())}"
        for each in found
        if not each.replaced
    ]
    return "\n".join(lines) + "\n"


def write_metrics(file: Path, tenant: str, found: Iterable[Expiring]) -> None:
    """For node_exporter's textfile collector (NAME.prom): whole or not at all, readable by all."""
    disk.put(file, metrics(tenant, found).encode(), disk.PUBLIC)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
