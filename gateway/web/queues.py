"""The queue by destination, and what an operator does to all that waits at one: hold, release, resend.

Promises: before anything moves it is shown how many and which, patients as pseudonyms; each act is journalled with the
session's account and its reason. Does not: decide what may move (gateway.custody and relay.acts do), or show a letter.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from gateway import app, custody, lookout, rule_sentences
from gateway.web.roles import Face, Role
from gateway.web.visits import Visit
from relay.store.reads import Waiting

ACTIONS = ("hold", "release", "resend")
"""Those of gateway.custody that need no letter opened."""
SHOWN = 20
_TARGET_MOST = 320


async def show(visit: Visit) -> Response:
    return await _queue(visit)


async def _queue(visit: Visit, said: str = "", status: int = 200) -> Response:
    rows = await visit.aside(lookout.queue_rows, visit.settings)
    return visit.shown("queue.html", status, rows=[_told(visit, each) for each in rows], actions=ACTIONS, said=said)


def _told(visit: Visit, row: dict[str, Any]) -> dict[str, Any]:
    """A line as it is read, with the acts that it allows."""
    why = lookout.why(row["reason"], visit.language) if row["reason"] else ""
    acts = [each for each in ACTIONS if row["state"] in custody.MOVED[each]]
    how = rule_sentences.route(row["mode"], "", visit.language)
    return {**row, "why": why, "word": visit.t(f"queue-{row['state']}"), "acts": acts, "how": how}


async def foreseen(visit: Visit) -> Response:
    """What an act would touch."""
    action, target = _asked(visit)
    if action not in ACTIONS:
        return visit.wrong(400)
    found = await visit.aside(_towards, visit, action, target)
    return await _foreseen(visit, action, target, found)


async def _foreseen(visit: Visit, action: str, target: str, found: list[Waiting], wrong: str = "") -> Response:
    if not found:
        return await _queue(visit, visit.t("queue-nothing", target=target), 404)
    lines = await visit.aside(_lines, visit, found[:SHOWN])
    told = {"action": action, "target": target, "count": len(found), "lines": lines, "wrong": wrong}
    return visit.shown("queue_act.html", 400 if wrong else 200, **told)


def _lines(visit: Visit, found: list[Waiting]) -> list[str]:
    """To whom, in which state, by which way, and the id that `pli trace` takes."""
    hide = app.pseudonyms(visit.settings)
    said = [(hide.address(each.address), visit.t(f"queue-{each.state.value}"), _way(visit, each)) for each in found]
    return [f"{to} – {state} – {way} ({each.id})" for (to, state, way), each in zip(said, found, strict=True)]


def _way(visit: Visit, row: Waiting) -> str:
    return rule_sentences.route(str(row.mode), "", visit.language)


async def done(visit: Visit) -> Response:
    """Does it to what is there now, and says to how many."""
    action, target = _asked(visit)
    if action not in ACTIONS:
        return visit.wrong(400)
    found = await visit.aside(_towards, visit, action, target)
    why = visit.form.get("why", "").strip()
    if not (found and why):
        return await _foreseen(visit, action, target, found, visit.t("queue-why-missing"))
    by = visit.session.account
    moved, refused = await visit.aside(custody.act, visit.settings, action, found, why, lambda _: None, by)
    told = visit.t(f"queue-done-{action}", count=moved, target=target)
    return await _queue(visit, f"{told} {visit.t('queue-refused', count=len(refused))}" if refused else told)


def _asked(visit: Visit) -> tuple[str, str]:
    return visit.form.get("action", ""), visit.form.get("target", "").strip()[:_TARGET_MOST]


def _towards(visit: Visit, action: str, target: str) -> list[Waiting]:
    return custody.towards(visit.settings, target, custody.MOVED[action])


OPERATORS = frozenset({Role.OPERATOR})

FACES = (
    Face("/file", show, OPERATORS, menu="queue-menu"),
    Face("/file/prevoir", foreseen, OPERATORS, ("POST",)),
    Face("/file/faire", done, OPERATORS, ("POST",)),
)
