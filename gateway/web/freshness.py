"""How old what the directory's sources said is, at the pages.

Promises: what the command `pli directory freshness` says (gateway.freshness). Does not: bring a newer file
(gateway.web.imports does).
"""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import Response

from gateway import freshness
from gateway.config import ConfigError
from gateway.freshness import Fresh
from gateway.web.region import KEEPERS
from gateway.web.roles import Face
from gateway.web.visits import Visit

PATH = "/annuaire/fraicheur"


async def show(visit: Visit) -> Response:
    try:
        found = await visit.aside(freshness.every, visit.settings, visit.site.clock())
    except ConfigError:
        return visit.shown("freshness.html", rows=(), never=(), kept=False)
    rows = [_told(visit, each) for each in found]
    return visit.shown("freshness.html", rows=rows, never=freshness.never(found), kept=True)


def _told(visit: Visit, fresh: Fresh) -> dict[str, object]:
    return {"fresh": fresh, "age": _lasting(visit, fresh.age), "limit": _lasting(visit, fresh.limit)}


def _lasting(visit: Visit, time: timedelta) -> str:
    """Days from two on, else hours."""
    hours = max(0, int(time.total_seconds()) // 3600)
    return visit.t("fresh-days", count=hours // 24) if hours >= 48 else visit.t("fresh-hours", count=hours)


FACES = (Face(PATH, show, KEEPERS, menu="fresh-menu"),)
