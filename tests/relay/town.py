"""Three tenants on one store, and a directory of what is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from directory.address import parse
from directory.model import Address, Entry, Found, Kind, Listing, Lookup, NotFound
from relay.couriers.neighbour import Street
from relay.model import (
    Addressee,
    Door,
    DoorProof,
    Envelope,
    Receipt,
    Refusal,
    new_id,
)
from relay.store import tables
from relay.tenants import Desk, Reception

NAMES = ("lilas", "parc", "nord")
FAR = "loin.mssante.example"
FAR_DN = "CN=mss.loin.example,O=LOIN,C=FR"
PROOF = DoorProof(peer=FAR_DN, peer_fingerprint="ab" * 32, client="192.0.2.9", helo="mss.loin.example")


def box(name: str) -> str:
    return f"secretariat@{name}.mssante.example"


class Known:
    """A directory of what is told."""

    def __init__(self, *addresses: str) -> None:
        self.entries = {each: Entry(parse(each), Kind.ORG, "Secrétariat") for each in addresses}

    def find(self, address: Address) -> Lookup:
        entry = self.entries.get(address.key)
        return Found(entry) if entry else NotFound()

    def search(self, text: str, limit: int = 100) -> Listing:
        return Listing(())


@dataclass(frozen=True)
class Town:
    """Three tenants on one store."""

    desks: dict[str, Desk]
    reception: Reception
    street: Street
    rows: Engine
    folder: Path
    today: datetime
    stop: Callable[[], None]

    def letters(self) -> dict[str, Any]:
        """Those in custody, by tenant."""
        with self.rows.connect() as conn:
            return {row.tenant: row for row in conn.execute(select(tables.letters))}

    def bodies(self, name: str) -> int:
        return sum(1 for _ in (self.folder / name).glob("??/*"))

    def taken(self, raw: bytes, *to: str) -> Receipt | Refusal:
        """As at the door: sealed for the first recipient's tenant, then handed over."""
        first = next(desk for desk in self.desks.values() if desk.intake.node.serves(parse(to[0])))
        addressees = tuple(Addressee(parse(each)) for each in to)
        told = Envelope(new_id(self.today), "", Door.PEER, parse(f"labo@{FAR}"), addressees, PROOF, self.today)
        return self.reception.accept(told, raw, first.bodies.put(raw))
