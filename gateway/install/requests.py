"""Certificate requests of a new node, one for each profile of IGC-Santé that it needs (spec/operator.md §2.2).

Promises: a key lies where the node will look for its certificate, private, and is made once; all requests lie in one
folder, to be sent. Does not: send them; nor ask for other people's mailboxes (`pli certs request` does).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from certs import pkcs10
from certs.keys import SEAL_LOCAL_PART
from certs.pkcs10 import Wanted
from gateway.install.answers import House
from gateway.install.layout import Layout
from gateway.install.placing import Fate, Placed


@dataclass(frozen=True)
class Request:
    profile: str
    """As the authority calls it."""
    purpose: str
    wanted: Wanted
    request: Path
    certificate: Path
    """Where the node looks for the answer, its chain after it."""

    @property
    def key(self) -> Path:
        return self.certificate.with_suffix(".key")


def requests(layout: Layout) -> tuple[Request, ...]:
    """The host's own, in the name of the administrator's establishment; then each tenant's seals."""
    told, home = layout.answers, layout.answers.home
    host = Request(
        "SERV SSL",
        "shown to operators and mail clients",
        _named(home, told.hostname, hosts=(told.hostname,)),
        layout.requests / "server.csr",
        layout.tls / "server.pem",
    )
    client = Request(
        "ORG AUTH_CLI",
        "who we are to a dossier host",
        _named(home, f"dossier.{told.hostname}"),
        layout.requests / "auth-cli.csr",
        layout.tls / "auth-cli.pem",
    )
    seals = (each for house in told.tenants for each in _seals(layout, house))
    return (host, client, *seals, *_mailbox(layout))


def _seals(layout: Layout, house: House) -> Iterator[Request]:
    """RFC 3183 §3.1: domain-signing-authority@ the domain."""
    for domain in house.domains:
        yield Request(
            "ORG SIGN (cachet)",
            f"seals the letters of {domain}",
            _named(house, domain, addresses=(f"{SEAL_LOCAL_PART}@{domain}",)),
            layout.requests / f"seal-{domain}.csr",
            layout.keys(house) / "seal" / f"{domain}.pem",
        )


def _mailbox(layout: Layout) -> Iterator[Request]:
    """The first mailbox's: what it signs with, and what is encrypted to it."""
    told = layout.answers
    keys, local = layout.keys(told.home), told.administrator.rpartition("@")[0]
    for profile, purpose, folder in (
        ("S/MIME organisation", "signs", "mailbox"),
        ("ORG CONF (confidentialité)", "opens what is encrypted to", "decrypt"),
    ):
        yield Request(
            profile,
            f"{purpose} {told.administrator}",
            _named(told.home, told.administrator, addresses=(told.administrator,)),
            layout.requests / f"{folder}-{local}.csr",
            keys / folder / f"{local}.pem",
        )


def _named(house: House, name: str, addresses: tuple[str, ...] = (), hosts: tuple[str, ...] = ()) -> Wanted:
    unit, department = house.establishment, house.department
    return Wanted(name[:64], house.organisation, unit, department, addresses=addresses, hosts=hosts)


def fate_of(each: Request) -> Fate:
    """Made once: a second request would be for a second key."""
    return Fate.KEPT if each.key.exists() or each.certificate.exists() else Fate.MADE


def make(each: Request, *, dry: bool) -> Placed:
    """The key and its request. Raises ValueError, OSError."""
    fate = fate_of(each)
    if fate is Fate.MADE and not dry:
        pkcs10.write(each.wanted, "rsa2048", each.request, each.key)
    return Placed(each.request, fate)
