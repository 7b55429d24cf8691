"""The work list: documents that wait for a person, the evidence side by side, and what he says.

Promises: only who has the role sees an identity, and each look is journalled in his name before it is answered; a
decision is his account's, with a reason that names nobody; what it sends waits ten seconds, in which it can be taken
back. Does not: file (the courier does, by its rules), or take a deposit back from a dossier.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial

from starlette.responses import Response

from certs.keys import KeeperDown
from dmp_bridge.worklist import Decision, Entry
from gateway import app, lookout, patients_desk, worklist_desk
from gateway.patients_desk import NotDone, Wanted
from gateway.web.roles import Face, Role
from gateway.web.visits import Visit
from gateway.web.worklist_sentences import WORKLIST
from gateway.worklist_desk import Beside
from relay import withdrawal
from relay.spooler import StoreDown, StoreRefused

PATH = "/liste-de-travail"
_DECISIONS = {"confirm": Decision.CONFIRMED, "correct": Decision.CORRECTED, "refuse": Decision.REFUSED}
_TRAIT_MOST = 100


async def waiting(visit: Visit) -> Response:
    lines = await visit.aside(worklist_desk.waiting, visit.settings, app.clock())
    told = [(each, _age(visit, each.age), _differing(visit, each.evidence)) for each in lines]
    return visit.shown("worklist.html", lines=told, why=_why(visit))


def _why(visit: Visit) -> object:
    return lambda reason: lookout.why(reason, visit.language)


def _age(visit: Visit, age: timedelta) -> str:
    minutes = max(0, int(age.total_seconds()) // 60)
    unit, count = ("minutes", minutes) if minutes < 60 else ("hours", minutes // 60)
    return visit.t("work-days", count=minutes // 1440) if minutes >= 1440 else visit.t(f"work-{unit}", count=count)


def _differing(visit: Visit, evidence: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(_trait(visit, name) for name, answer in evidence if answer == "differs")


def _trait(visit: Visit, name: str) -> str:
    """A name that has no words is shown as it is."""
    return visit.t(f"trait-{name}") if f"trait-{name}" in WORKLIST else name


# --- one entry ----------------------------------------------------------------------------------------------------


async def show(visit: Visit) -> Response:
    found = await _entry(visit)
    return visit.wrong(404) if found is None else await _beside(visit, found)


async def look(visit: Visit) -> Response:
    """Another patient of the register, by number, or by name and birth date."""
    found = await _entry(visit)
    if found is None:
        return visit.wrong(404)
    number, name, first = (_typed(visit, each) for each in ("number", "name", "first_name"))
    wanted = Wanted(number=number, name=name, first_name=first, born=_day(visit.form.get("born", "")))
    if not (number or name or wanted.born):
        return await _beside(visit, found, wrong=visit.t("work-look-none"))
    return await _beside(visit, found, wanted)


def _typed(visit: Visit, name: str) -> str:
    return " ".join(visit.form.get(name, "").split())[:_TRAIT_MOST]


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


async def _entry(visit: Visit) -> Entry | None:
    return await visit.aside(worklist_desk.found, visit.settings, str(visit.request.path_params["entry"]))


async def _beside(visit: Visit, found: Entry, wanted: Wanted | None = None, wrong: str = "") -> Response:
    try:
        async with visit.site.reading:
            seen = await visit.aside(_seen, visit, found, wanted)
    except NotDone as error:
        return await _beside(visit, found, wrong=visit.t(error.key))
    except (KeeperDown, StoreDown):
        return visit.wrong(503)
    if wanted and not wrong and len(seen.sides) == len(found.candidates):
        wrong = visit.t("work-look-none")
    told = {"seen": seen, "entry": found, "wrong": wrong, "why": _why(visit), "candidates": set(found.candidates)}
    told["trait"] = partial(_trait, visit)
    return visit.shown("entry.html", 422 if wrong else 200, **told)


def _seen(visit: Visit, found: Entry, wanted: Wanted | None) -> Beside:
    return worklist_desk.beside(visit.settings, visit.site.writing.papers, found, visit.session.account, wanted)


# --- deciding -----------------------------------------------------------------------------------------------------


async def decide(visit: Visit) -> Response:
    found, decision = await _entry(visit), _DECISIONS.get(visit.form.get("do", ""))
    if found is None:
        return visit.wrong(404)
    if decision is None:
        return visit.wrong(400)
    try:
        await visit.aside(_decided, visit, found, decision)
    except NotDone as error:
        return await _beside(visit, found, wrong=visit.t(error.key))
    except StoreRefused:
        return await _beside(visit, found, wrong=visit.t("work-closed"))
    except (KeeperDown, StoreDown):
        return visit.wrong(503)
    return visit.moved(f"{PATH}/{found.id}")


def _decided(visit: Visit, found: Entry, decision: Decision) -> None:
    who, why = visit.form.get("patient", ""), visit.form.get("why", "")
    by = visit.session.account
    patients_desk.decide(visit.settings, found.id, decision, who, why, by, withdrawal.WAIT_S)


async def undo(visit: Visit) -> Response:
    found = await _entry(visit)
    if found is None:
        return visit.wrong(404)
    try:
        await visit.aside(patients_desk.reopen, visit.settings, found, visit.session.account)
    except StoreRefused:
        return visit.shown("error.html", 409, heading=visit.t("work-undo"), what=visit.t("work-too-late"))
    except StoreDown:
        return visit.wrong(503)
    return visit.moved(f"{PATH}/{found.id}")


IDENTITY = frozenset({Role.IDENTITY})

FACES = (
    Face(PATH, waiting, IDENTITY, menu="work-menu"),
    Face(f"{PATH}/{{entry}}", show, IDENTITY),
    Face(f"{PATH}/{{entry}}/patients", look, IDENTITY, ("POST",)),
    Face(f"{PATH}/{{entry}}/decision", decide, IDENTITY, ("POST",)),
    Face(f"{PATH}/{{entry}}/annuler", undo, IDENTITY, ("POST",)),
)
