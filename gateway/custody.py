"""A person's acts on letters in custody: by whom, why, on what; and a way chosen anew.

Promises: what is shown before is what would be done; a way is chosen by the same rules as on entry, on the letter
itself, which the keeper opens; words for the journal lose patients' identities. Does not: hold a rule (relay.acts and
relay.intake do).
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence

from gateway import app
from gateway.config import Settings
from relay import acts, spool
from relay.intake import Intake
from relay.message import scan
from relay.model import Reason, Route, State
from relay.spooler import StoreRefused
from relay.store import reads
from relay.store.reads import Waiting

MOVED = {
    "hold": (State.QUEUED,),
    "release": (State.HELD,),
    "resend": (State.FAILED,),
    "reroute": (State.QUEUED, State.HELD, State.FAILED),
    "bounce": (State.QUEUED, State.HELD),
}
"""Which of a destination's recipients an act on all of them means; relay.acts has what is allowed at all."""


def towards(settings: Settings, target: str, states: Sequence[State]) -> list[Waiting]:
    reader = app.reader(settings.database_url)
    return reads.towards(reader, settings.node.tenant, target.strip().lower(), states)


def one(settings: Settings, recipient_id: str) -> Waiting | None:
    return reads.waiting(app.reader(settings.database_url), settings.node.tenant, recipient_id)


def plan(settings: Settings, action: str, found: Sequence[Waiting]) -> list[str]:
    """A line for each: its id, its state, and for a new way which."""
    hide = app.pseudonyms(settings)
    entry = app.intake(settings) if action == "reroute" else None
    lines = []
    for each in found:
        line = f"{each.id}  {each.state.value}  {hide.address(each.address)}  {each.mode}"
        lines.append(f"{line} -> {_told(_way(settings, entry, each))}" if entry else line)
    return lines


def _told(way: Route | str) -> str:
    return f"{way.mode.value} {way.target} ({way.rule})" if isinstance(way, Route) else f"none: {way}"


def act(
    settings: Settings, action: str, found: Sequence[Waiting], why: str, progress: Callable[[int], None], by: str = ""
) -> tuple[int, dict[str, str]]:
    """How many were moved, and why others were not, by id. `by`: who does it; whoever is logged in at the machine
    otherwise. Raises StoreDown, KeeperDown, PolicyDown."""
    by = by or getpass.getuser()
    why = app.pseudonyms(settings).scrub(" ".join(why.split()))[: acts.WHY_MOST]
    refused: dict[str, str] = {}
    if action == "reroute":
        entry = app.intake(settings)
        for each in found:
            refused |= _rerouted(settings, entry, each, why, by)
            progress(1)
    else:
        for first in range(0, len(found), acts.AT_ONCE):
            some = [each.id for each in found[first : first + acts.AT_ONCE]]
            client, tenant = app.client(settings), settings.node.tenant
            refused |= acts.act_each(client, tenant, action, some, by, why)
            progress(len(some))
    return len(found) - len(refused), refused


def _rerouted(settings: Settings, entry: Intake, each: Waiting, why: str, by: str) -> dict[str, str]:
    way = _way(settings, entry, each)
    if not isinstance(way, Route):
        return {each.id: way}
    try:
        acts.reroute(entry.client, settings.node.tenant, each.id, way, by, why)
    except StoreRefused as error:
        return {each.id: str(error)}
    return {}


def _way(settings: Settings, entry: Intake, each: Waiting) -> Route | str:
    """The way of today; or the name of the reason why there is none."""
    held = spool.letter(app.reader(settings.database_url), settings.node.tenant, each.letter_id)
    row = next((row for row in held[1] if row.id == each.id), None) if held else None
    if held is None or row is None or not held[0].body.name:
        return str(Reason.NO_ROUTE)
    if each.mode.startswith("dossier"):
        return "reroute: a dossier is reached one way only"
    letter, keys = held[0], app.keeper_client(settings)
    raw = app.bodies(settings).read(letter.body, lambda wrapped: keys.unwrap(wrapped, letter.id))
    return entry.route_again(letter, row, scan(raw))
