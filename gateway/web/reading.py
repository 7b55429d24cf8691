"""One letter read: who wrote it, whose signature it bears, its text, and what is enclosed, looked at or taken home.

Promises: what strangers wrote is taken apart in a process without keys, and shown as text, prose of our own elements or
pictures that are drawn anew; a file is handed out under a plain name, to be saved and never to be opened in the page.
Does not: follow a link, fetch anything that a letter names, decrypt, or say that a letter is true.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial, wraps
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from starlette.responses import Response

from dmp_bridge.reading import ITEM, Item, Reading
from dmp_bridge.workshop import Unanswered
from gateway import lookout, reading_desk
from gateway.web import boxes, inbox, prose_html
from gateway.web.boxes import Place
from gateway.web.reading_sentences import READING
from gateway.web.roles import Face, Role
from gateway.web.visits import Visit

T = TypeVar("T")

_PATH = f"{inbox.PATH}/{{validity}}/{{uid}}"
_ITEM = f"{_PATH}/piece/{{item}}"
TYPE = "application/octet-stream"
"""Of every file: what it is called says what opens it."""
APART = "sandbox; default-src 'none'"
_PAGES_MOST = 3


def _answering(page: Callable[[Visit], Awaitable[Response]]) -> Callable[[Visit], Awaitable[Response]]:
    """What may be missing, as a page."""

    @wraps(page)
    async def answered(visit: Visit) -> Response:
        try:
            return await page(visit)
        except boxes.Absent:
            return visit.wrong(404)
        except boxes.Unreachable:
            return visit.shown("unreachable.html", 503)
        except boxes.TooLarge:
            return visit.shown("unshown.html", 413, why=visit.t("read-why-too-large"), path="")

    return answered


@_answering
async def show(visit: Visit) -> Response:
    place = boxes.place_of(visit)
    async with visit.site.letters:
        raw = await boxes.letter(visit, place, read=True)
        found = await visit.aside(visit.site.reader.letter, raw)
        if isinstance(found, Unanswered):
            return visit.shown("unshown.html", 422, why=why(visit, found.why), path=_whole(place))
        standing = await visit.aside(reading_desk.standing, visit.settings, visit.session.account, raw)
    waits = await visit.aside(_waits, visit, standing)
    told: dict[str, Any] = {
        "found": found,
        "standing": standing,
        "sentence": standing.sentence(visit.language),
        "waits": waits,
    }
    told |= {"items": [(each, _links(place, each)) for each in found.items], "at": _at(found, standing.letter)}
    return visit.shown("reading.html", **told, why=partial(why, visit), prose=partial(_prose, visit),
                       size=partial(size, visit), back=_listed(place), whole=_whole(place))  # fmt: skip


def _waits(visit: Visit, standing: reading_desk.Standing) -> tuple[str, ...]:
    if standing.letter is None or Role.IDENTITY not in visit.roles:
        return ()
    return reading_desk.waits(visit.settings, standing.letter.id)


def _at(found: Reading, letter: Any) -> datetime | None:
    return found.at or (letter.received_at if letter else None)


def _prose(visit: Visit, nodes: Any) -> str:
    return prose_html.shown(nodes, visit.t("read-picture"))


def why(visit: Visit, name: str) -> str:
    """In words: a reason of ours, or what became of the question."""
    if f"read-why-{name}" in READING:
        return visit.t(f"read-why-{name}")
    told = lookout.why(name, visit.language)
    return told if told != name else visit.t("read-why-broken")


def size(visit: Visit, octets: int) -> str:
    if octets < 1024:
        return visit.t("read-octets", count=octets)
    if octets < 1024 * 1024:
        return visit.t("read-kilo", count=octets // 1024)
    return visit.t(
        "read-mega", count=f"{octets / 1024 / 1024:.1f}".replace(".", "," if visit.language == "fr" else ".")
    )


# --- where things are -------------------------------------------------------------------------------------------------


def _asked(place: Place) -> str:
    return urlencode({"dossier": place.folder})


def _listed(place: Place) -> str:
    return f"{inbox.PATH}?{_asked(place)}"


def _whole(place: Place) -> str:
    return f"{inbox.PATH}/{place.validity}/{place.uid}/original?{_asked(place)}"


def _links(place: Place, item: Item) -> dict[str, str]:
    return _paths(place, item.id, shown=item.kind not in ("file", "letter") and not item.why)


def _paths(place: Place, item: str, *, shown: bool = True) -> dict[str, str]:
    here = f"{inbox.PATH}/{place.validity}/{place.uid}"
    inside, asked = f"{here}/piece/{quote(item, safe='')}", _asked(place)
    return {
        "letter": f"{here}?{asked}", "show": f"{inside}?{asked}" if shown else "", "file": f"{inside}/fichier?{asked}",
        "page": f"{inside}/page",
    }  # fmt: skip


# --- what is enclosed -------------------------------------------------------------------------------------------------


@_answering
async def preview(visit: Visit) -> Response:
    place, item = boxes.place_of(visit), _item(visit)
    found = await _made(visit, place, visit.site.reader.preview, item)
    if isinstance(found, Unanswered):
        return _unshown(visit, place, item, found)
    paths = _paths(place, item)
    return visit.shown("preview.html", found=found, paths=paths, asked=_asked(place), why=partial(why, visit),
                       prose=partial(_prose, visit))  # fmt: skip


def _unshown(visit: Visit, place: Place, item: str, found: Unanswered) -> Response:
    if found.why == "absent":
        return visit.wrong(404)
    return visit.shown("unshown.html", 422, why=why(visit, found.why), path=_paths(place, item)["file"])


async def _made(visit: Visit, place: Place, work: Callable[..., T], *what: object) -> T:
    """Fetched again for each question: no letter is kept in this process."""
    async with visit.site.letters:
        raw = await boxes.letter(visit, place)
        return await visit.aside(work, raw, *what)


def _item(visit: Visit) -> str:
    item = str(visit.request.path_params["item"])
    if not ITEM.fullmatch(item):
        raise boxes.Absent
    return item


@_answering
async def picture(visit: Visit) -> Response:
    place, item, number = boxes.place_of(visit), _item(visit), str(visit.request.path_params["number"])
    if not (number.isascii() and number.isdigit() and len(number) <= _PAGES_MOST):
        raise boxes.Absent
    found = await _made(visit, place, visit.site.reader.picture, item, int(number))
    if isinstance(found, Unanswered):
        return visit.wrong(404 if found.why == "absent" else 503)
    return Response(found, media_type="image/png", headers={"content-security-policy": APART})


@_answering
async def file(visit: Visit) -> Response:
    place, item = boxes.place_of(visit), _item(visit)
    found = await _made(visit, place, visit.site.reader.file, item)
    if isinstance(found, Unanswered):
        return _unshown(visit, place, item, found)
    return handed_out(found.name or visit.t("read-file-name"), found.data)


@_answering
async def original(visit: Visit) -> Response:
    """The letter as it lies there."""
    async with visit.site.letters:
        raw = await boxes.letter(visit, boxes.place_of(visit))
    return handed_out(visit.t("read-letter-name"), raw)


def handed_out(name: str, data: bytes) -> Response:
    """To be saved (RFC 6266): never shown in the page's origin, whatever it is."""
    plain = "".join(each if each.isascii() and (each.isalnum() or each in " ._-") else "_" for each in name)
    told = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    return Response(data, media_type=TYPE, headers={"content-disposition": told, "content-security-policy": APART})


PROFESSIONAL = frozenset({Role.PROFESSIONAL})

FACES = (
    Face(_PATH, show, PROFESSIONAL),
    Face(f"{_PATH}/original", original, PROFESSIONAL),
    Face(_ITEM, preview, PROFESSIONAL),
    Face(f"{_ITEM}/page/{{number}}", picture, PROFESSIONAL),
    Face(f"{_ITEM}/fichier", file, PROFESSIONAL),
)
