"""A person's own letters and where each of them is; for the support, anybody's, audited.

Promises: one timeline per recipient, in the words of `pli trace`, fresh without a reload; who sent a letter sees all
its recipients, who got it himself alone (another may be a Bcc); who is neither learns not even that it exists; the
support sees no content, and each of its looks is journalled before it is answered. Does not: show a letter's text or
documents.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from starlette.responses import Response

from directory.model import PATIENT_DOMAIN
from gateway import lookout
from gateway.lookout import Trail
from gateway.web import undoing
from gateway.web.roles import Face, Role
from gateway.web.visits import Visit
from relay.model import State

_PATH, DOSSIER = "/lettres/{letter}", "dossier:"
_TONES = {State.DONE: "good", State.FAILED: "bad"}


@dataclass(frozen=True)
class Line:
    """One recipient of a letter, on the page."""

    name: str
    state: str
    tone: str
    steps: tuple[str, ...]


async def shown(visit: Visit) -> Response:
    return await _timeline(visit, "letter.html")


async def steps(visit: Visit) -> Response:
    """The part of the page that asks again by itself, until everything is settled."""
    return await _timeline(visit, "steps.html")


async def _timeline(visit: Visit, template: str) -> Response:
    trail = await visit.aside(_mine, visit, str(visit.request.path_params["letter"]))
    if trail is None:
        return visit.wrong(404)
    lines = _lines(visit, trail)
    settled = all(each.tone in _TONES.values() for each in lines)
    own = lookout.own_lines(trail, visit.language, visit.site.zone)
    until = undoing.until(visit, trail)
    return visit.shown(template, trail=trail, own=own, lines=lines, settled=settled, until=until)


def _mine(visit: Visit, letter: str) -> Trail | None:
    trail, account = lookout.trail(visit.settings, letter), visit.session.account
    if trail is None or trail.letter.sender.lower() == account:
        return trail
    got = _as_got(trail, account)
    return got if got.recipients else None


def _as_got(trail: Trail, account: str) -> Trail:
    """What its recipient may see of it: his own row, and no step of another's."""
    rows = tuple(row for row in trail.recipients if row.address.lower() == account)
    own = {"", *(row.id for row in rows)}
    return replace(trail, recipients=rows, steps=tuple(step for step in trail.steps if step.recipient in own))


# --- the support --------------------------------------------------------------------------------------------------


async def search(visit: Visit) -> Response:
    return visit.shown("search.html", asked={}, found=None)


async def found(visit: Visit) -> Response:
    """By sender, recipient or Message-ID; pseudonyms for patients, no content."""
    asked = {name: visit.form.get(name, "").strip()[:320] for name in ("sender", "recipient", "message_id")}
    trails = await visit.aside(_sought, visit, asked) if any(asked.values()) else []
    return visit.shown("search.html", asked=asked, found=[_told(visit, each) for each in reversed(trails)])


def _sought(visit: Visit, asked: dict[str, str]) -> list[Trail]:
    sender, recipient, message_id = asked["sender"], asked["recipient"], asked["message_id"]
    by = visit.session.account
    return lookout.trace(visit.settings, message_id=message_id, sender=sender, recipient=recipient, by=by)


def _told(visit: Visit, trail: Trail) -> dict[str, object]:
    return {
        "trail": trail,
        "own": lookout.own_lines(trail, visit.language, visit.site.zone),
        "lines": _lines(visit, trail),
    }


# --- words ----------------------------------------------------------------------------------------------------------


def followed(visit: Visit, trails: list[Trail]) -> list[tuple[Trail, str, list[Line]]]:
    """Each with its author, and where it is for whom."""
    return [(each, _author(visit, each), _lines(visit, each)) for each in trails]


def followed_as_got(visit: Visit, trails: list[Trail]) -> list[tuple[Trail, str, list[Line]]]:
    return followed(visit, [_as_got(each, visit.session.account) for each in trails])


def _author(visit: Visit, trail: Trail) -> str:
    """A patient is told from a professional without his address (ECO.3.1.1)."""
    sender = trail.letter.sender
    if sender.lower().endswith(f"@{PATIENT_DOMAIN}"):
        return visit.t("letters-patient")
    return sender or visit.t("letters-notice")


def named(visit: Visit, address: str) -> str:
    """A dossier of patients is a recipient too (dmp_bridge.candidates)."""
    return visit.t("letters-dossier", host=address.removeprefix(DOSSIER)) if address.startswith(DOSSIER) else address


def _lines(visit: Visit, trail: Trail) -> list[Line]:
    return [
        Line(
            named(visit, trail.names[row.id]),
            visit.t(f"state-{row.state.value}"),
            _TONES.get(row.state, "wait"),
            tuple(lookout.recipient_lines(trail, row.id, visit.language, visit.site.zone)),
        )
        for row in trail.recipients
    ]


EVERYBODY = frozenset(Role)
SUPPORT = frozenset({Role.SUPPORT})

FACES = (
    Face(_PATH, shown, EVERYBODY),
    Face(f"{_PATH}/suivi", steps, EVERYBODY, quiet=True),
    Face("/ou-est-ma-lettre", search, SUPPORT, menu="search-menu"),
    Face("/ou-est-ma-lettre", found, SUPPORT, ("POST",)),
)
