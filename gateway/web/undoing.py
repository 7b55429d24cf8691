"""Ten seconds in which the author of a letter takes it back.

Promises: only the author's own letter; to anybody else there is none; what has left is said to have left. Does not:
keep the time (the spool does), so that it goes on whatever becomes of this process.
"""

from __future__ import annotations

from datetime import datetime

from starlette.responses import Response

from gateway import app, lookout
from gateway.web.roles import Face, Role
from gateway.web.visits import Visit
from relay import withdrawal
from relay.spooler import StoreDown, StoreRefused

_PATH = "/lettres/{letter}"


async def left(visit: Visit) -> Response:
    """The button, while it can be pressed; the page asks again by itself."""
    letter = str(visit.request.path_params["letter"])
    until = await visit.aside(_until, visit, letter)
    return visit.shown("undo.html", until=until, letter=letter)


def _until(visit: Visit, letter: str) -> datetime | None:
    trail = lookout.trail(visit.settings, letter)
    return until(visit, trail) if trail else None


def until(visit: Visit, trail: lookout.Trail) -> datetime | None:
    """Till when who looks may take it back."""
    return withdrawal.until(trail.letter, trail.recipients, visit.session.account, app.clock())


async def undo(visit: Visit) -> Response:
    letter, account = str(visit.request.path_params["letter"]), visit.session.account
    trail = await visit.aside(lookout.trail, visit.settings, letter)
    if trail is None or trail.letter.sender.lower() != account:
        return visit.wrong(404)
    try:
        tenant, client = visit.session.tenant, app.client(visit.settings)
        await visit.aside(withdrawal.withdraw, client, tenant, letter, account)
    except StoreRefused:
        return visit.shown("error.html", 409, heading=visit.t("undo-title"), what=visit.t("undo-too-late"))
    except StoreDown:
        return visit.wrong(503)
    return visit.moved(f"/lettres/{letter}")


PROFESSIONAL = frozenset({Role.PROFESSIONAL})

FACES = (
    Face(f"{_PATH}/annulation", left, PROFESSIONAL, quiet=True),
    Face(f"{_PATH}/annuler", undo, PROFESSIONAL, ("POST",)),
)
