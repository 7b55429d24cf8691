"""The wiring of tenants as neighbours: each one's desk, and the certificate that it would show to the others.

Promises: only the carrier's process needs what is here; what a tenant hands over enters by the other one's own intake.
Does not: decide, or run anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway import app
from gateway.config import Settings
from relay.couriers.neighbour import House, Street
from relay.intake import Intake
from relay.journal import SpoolJournal
from relay.tenants import Desk


def street(settings: Settings, shared: app.Common, entries: Mapping[str, Intake]) -> Street:
    """All tenants of the node; `entries`: each one's intake."""
    houses = [_house(view, entries[view.node.tenant]) for view in settings.views]
    journal = SpoolJournal(shared.client)
    return Street(tuple(houses), shared.trust, shared.white_list, journal, app.clock, unsure=settings.trust.cannot_tell)


def _house(view: Settings, entry: Intake) -> House:
    return House(Desk(entry, app.bodies(view)), view.node.hostname, shown(view.tls.certificate))


def shown(file: Path) -> Callable[[], bytes]:
    """The end certificate of a chain, read again each time: it may have been renewed."""
    return lambda: x509.load_pem_x509_certificates(file.read_bytes())[0].public_bytes(Encoding.DER)
