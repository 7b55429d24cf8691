"""Duplicates of the regional directory, side by side: what agrees, what does not, a merge, and taking it back.

Promises: looking goes on without the page and changes nothing; a merge is done for the account that is signed in, with
its reason, by the same desk as the command (gateway.duplicates_desk), and can be taken back at once or later. Does not:
merge by itself: what the deterministic rule finds is first on the list.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from starlette.responses import Response

from directory.duplicates import Answer, Compared
from directory.model import Entry
from gateway import duplicates_desk
from gateway.config import ConfigError
from gateway.duplicates_desk import NotMerged, Pairs
from gateway.web.roles import Face, Role
from gateway.web.visits import Visit
from gateway.web.works import Work

PATH, NAME = "/annuaire/doublons", "duplicates"
_MOST, _SHOWN = 200, 25
SIGNS = {Answer.YES: "+", Answer.NO: "−", Answer.CANNOT_TELL: "?"}
"""A sign in front, not only a colour (RGAA 3.1)."""
SIDES = ("display_name", "rpps", "specialty", "structure", "service", "town", "postal_code", "finess")


@dataclass
class Looked:
    """What is on the page: what was found, and what was merged since."""

    pairs: Pairs
    merged: dict[str, str] = field(default_factory=dict)
    """dn -> into."""


async def show(visit: Visit) -> Response:
    return _page(visit)


def _page(visit: Visit, wrong: str = "", status: int = 200, said: str = "") -> Response:
    work = _work(visit)
    looked = work.result if work is not None and isinstance(work.result, Looked) else None
    listed = looked.pairs.listed[:_SHOWN] if looked else ()
    return visit.shown(
        "duplicates.html", status, work=work, looked=looked, pairs=[_told(each) for each in listed], wrong=wrong,
        said=said, fields=SIDES,
    )  # fmt: skip


def _work(visit: Visit) -> Work | None:
    return visit.site.works.of(visit.session.tenant, NAME)


def _told(pair: Compared) -> dict[str, object]:
    """As it is read: the one whose name comes first stands for both, unless a person says otherwise."""
    one, other = sorted((pair.one, pair.other), key=lambda each: each.provenance.dn)
    evidence = [(name, SIGNS[answer], answer) for name, answer in pair.evidence.items()]
    return {"one": one, "other": other, "evidence": evidence, "score": pair.score, "decision": pair.decision}


async def look(visit: Visit) -> Response:
    settings, most = visit.settings, _MOST

    def act(work: Work) -> Looked:
        return Looked(duplicates_desk.look(settings, most, work.told, work.stop.is_set))

    begun = visit.site.works.begin(visit.session.tenant, NAME, visit.session.account, act, ConfigError)
    return visit.moved(PATH) if begun else _page(visit, visit.t("work-busy"), 409)


async def progress(visit: Visit) -> Response:
    """The part of the page that asks again by itself, until it is done."""
    return visit.shown("work.html", work=_work(visit), here=PATH)


async def stop(visit: Visit) -> Response:
    work = _work(visit)
    if work is not None:
        work.stop.set()
    return visit.moved(PATH)


# --- merging ------------------------------------------------------------------------------------------------------


async def merge(visit: Visit) -> Response:
    return await _done(visit, merging=True)


async def part(visit: Visit) -> Response:
    return await _done(visit, merging=False)


async def _done(visit: Visit, *, merging: bool) -> Response:
    """Of two that are on the list: no other entry is moved from here."""
    dn, into, why = (visit.form.get(name, "").strip() for name in ("dn", "into", "why"))
    work = _work(visit)
    looked = work.result if work is not None else None
    if not isinstance(looked, Looked) or not _listed(looked, dn, into):
        return visit.wrong(404)
    if not why:
        return _page(visit, visit.t("queue-why-missing"), 422)
    desk = duplicates_desk
    act = partial(desk.merge, visit.settings, dn, into) if merging else partial(desk.part, visit.settings, dn)
    try:
        await visit.aside(act, visit.session.account, why[:200])
    except (NotMerged, ConfigError) as error:
        return _page(visit, str(error), 409)
    if merging:
        looked.merged[dn] = into
    else:
        looked.merged.pop(dn, None)
    return _page(visit, said=visit.t("duplicates-merged" if merging else "duplicates-parted"))


def _listed(looked: Looked, dn: str, into: str) -> bool:
    return any({_dn(each.one), _dn(each.other)} == {dn, into} for each in looked.pairs.listed)


def _dn(entry: Entry) -> str:
    return entry.provenance.dn


KEEPER = frozenset({Role.DIRECTORY})

FACES = (
    Face(PATH, show, KEEPER, menu="duplicates-menu"),
    Face(PATH, look, KEEPER, ("POST",)),
    Face(f"{PATH}/avancement", progress, KEEPER, quiet=True),
    Face(f"{PATH}/arret", stop, KEEPER, ("POST",)),
    Face(f"{PATH}/fusion", merge, KEEPER, ("POST",)),
    Face(f"{PATH}/separation", part, KEEPER, ("POST",)),
)
