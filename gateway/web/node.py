"""The node as its operator sees it: the other operators, processes and connectors, and where each value comes from.

Promises: what is another tenant's is not shown; a secret lies in a file, of which the name alone is seen. Does not:
look at anything itself (gateway.peers, health, collectors and provenance do), or change anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from gateway import collectors, health, lookout, peers, provenance, readiness
from gateway.config import Settings
from gateway.peers import ListAge, Peer
from gateway.provenance import Value
from gateway.web.queues import OPERATORS
from gateway.web.roles import Face
from gateway.web.visits import Visit


@dataclass(frozen=True)
class Looks:
    """How a node is, for one of its tenants."""

    processes: tuple[readiness.Check, ...]
    parts: tuple[readiness.Check, ...]
    files: tuple[readiness.Check, ...]
    connectors: list[dict[str, Any]]


async def operators(visit: Visit) -> Response:
    """Domains alone, no mailbox."""
    met, listed = await visit.aside(_met, visit.settings)
    reasons = {each.domain: lookout.why(each.reason, visit.language) if each.reason else "" for each in met}
    return visit.shown("peers.html", met=met, reasons=reasons, listed=listed)


def _met(settings: Settings) -> tuple[tuple[Peer, ...], ListAge]:
    return peers.met(settings), peers.white_list(settings)


async def state(visit: Visit) -> Response:
    return visit.shown("node.html", looks=await visit.aside(_looks, visit.site.settings, visit.settings))


def _looks(node: Settings, view: Settings) -> Looks:
    files = (*readiness.checks(view), *readiness.waiting(view))
    return Looks(health.alive(node), health.parts(view), files, collectors.health(view))


async def configuration(visit: Visit) -> Response:
    values = await visit.aside(_values, visit.site.settings, visit.session.tenant)
    if values is None:
        return visit.wrong(503)
    return visit.shown("configuration.html", values=values, file=visit.site.settings.file)


def _values(node: Settings, tenant: str) -> tuple[Value, ...] | None:
    if node.file is None:
        return None
    try:
        return provenance.of_tenant(provenance.values(node, node.file), tenant)
    except (OSError, ValueError):
        return None  # it was changed since the node started, and cannot be read


FACES = (
    Face("/pairs", operators, OPERATORS, menu="peers-menu"),
    Face("/etat", state, OPERATORS, menu="node-menu"),
    Face("/configuration", configuration, OPERATORS, menu="configuration-menu"),
)
