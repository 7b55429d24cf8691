"""The regional directory at the pages: search, one entry with who says each field, and who may see or change it.

Promises: a mailbox of the red list is shown to the region's keeper alone, by its exact address; who says a field, and
who reaches an entry, is asked anew each time, of the directories themselves. Does not: change anything, or follow a
patient's address, which is in no directory (operator §1.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ldap
import structlog
from starlette.responses import Response

from directory import address
from directory.model import Address, DirectoryDown, Entry, Listing, NotFound, Situation
from directory.several import Described
from gateway import reach
from gateway.config import ConfigError
from gateway.reach import Reach
from gateway.web.roles import Face, Role
from gateway.web.visits import Visit

log = structlog.get_logger("gateway.web")

PATH = "/annuaire"
_WORDS_MOST = 200
FIELDS = (
    *("display_name", "title", "family_name", "given_name", "rpps", "finess", "structure", "specialty", "service"),
    *("town", "postal_code", "kind", "preferred"),
)
"""Of an entry, as they are shown."""


@dataclass(frozen=True)
class Line:
    """One field, and who says so."""

    name: str
    value: str
    source: str
    owner: str


@dataclass(frozen=True)
class Told:
    """All of one entry's page."""

    entry: Entry
    lines: tuple[Line, ...]
    others: tuple[Entry, ...]
    situations: tuple[Situation, ...]
    replaced_by: Address | None
    reaches: tuple[Reach, ...]


async def form(visit: Visit) -> Response:
    return visit.shown("region.html", words="", found=None, wrong="")


async def found(visit: Visit) -> Response:
    words = " ".join(visit.form.get("words", "").split())[:_WORDS_MOST]
    if not words:
        return visit.shown("region.html", 422, words="", found=None, wrong=visit.t("region-words-missing"))
    answer = await visit.aside(_sought, visit, words)
    if answer is None:
        return visit.shown("region.html", 503, words=words, found=None, wrong=visit.t("write-directory-down"))
    return visit.shown("region.html", words=words, found=answer, wrong="")


def _sought(visit: Visit, words: str) -> Listing | None:
    """Of an address its mailbox, of words all that hold every one; None where no directory answers."""
    if "@" in words:
        told = _described(visit, words)
        if isinstance(told, DirectoryDown):
            return None
        return Listing((told.entry, *told.others) if isinstance(told, Described) else ())
    listing = visit.site.directories.search(words)
    return None if isinstance(listing, DirectoryDown) else listing


def _described(visit: Visit, text: str) -> Described | NotFound | DirectoryDown:
    try:
        told = visit.site.directories.described(address.parse(text))
    except address.BadAddress:
        return NotFound()
    hidden = isinstance(told, Described) and told.entry.red_list and Role.DIRECTORY not in visit.roles
    return NotFound() if hidden else told


# --- one entry ----------------------------------------------------------------------------------------------------


async def entry(visit: Visit) -> Response:
    told = await visit.aside(_told, visit, str(visit.request.path_params["address"]))
    if told is None:
        return visit.wrong(404)
    if isinstance(told, DirectoryDown):
        return visit.wrong(503)
    return visit.shown("region_entry.html", told=told, reach_word=lambda who: visit.t(f"reach-{who}"))


def _told(visit: Visit, text: str) -> Told | DirectoryDown | None:
    described = _described(visit, text)
    if not isinstance(described, Described):
        return described if isinstance(described, DirectoryDown) else None
    one, origins = described.entry, described.origins
    said = ((name, getattr(one, name)) for name in FIELDS)
    lines = tuple(_line(name, value, origins.get(name)) for name, value in said if value not in ("", None))
    places = visit.site.regional.situations(one.rpps) if one.rpps else ()
    where = () if isinstance(places, DirectoryDown) else tuple(places)
    return Told(one, lines, described.others, where, one.replaced_by(visit.site.clock()), _reaches(visit, one))


def _line(name: str, value: Any, origin: Any) -> Line:
    return Line(name, str(value), origin.source if origin else "", origin.owner if origin else "")


def _reaches(visit: Visit, one: Entry) -> tuple[Reach, ...]:
    """Of an entry of the region's own directory; the rules of others are theirs."""
    if not one.provenance.dn.lower().endswith(visit.settings.directory.base.lower()):
        return ()
    try:
        return reach.of_entry(visit.settings, one)
    except (ldap.LDAPError, ConfigError) as error:
        log.warning("reach-not-asked", error=type(error).__name__)
        return ()


KEEPERS = frozenset({Role.DIRECTORY, Role.SUPPORT})

FACES = (
    Face(PATH, form, KEEPERS, menu="region-menu"),
    Face(PATH, found, KEEPERS, ("POST",)),
    Face(f"{PATH}/fiche/{{address}}", entry, KEEPERS),
)
