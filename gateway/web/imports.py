"""Imports of the regional directory: a file brought, its plan read with before and after, applied by a person.

Promises: nothing changes before somebody read the plan and said so; limits that are passed ask for the name of who
answers for it and why; applying goes on without the page, shows how far it is, can be stopped, and goes on when asked
again. Does not: decide what changes, or whether it may (gateway.imports_desk, as for the command).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any

from starlette.datastructures import UploadFile
from starlette.responses import Response

from directory.feed import plan, sources
from directory.feed.applying import Override, Report, Result
from directory.feed.items import Source
from directory.feed.limits import Kind
from directory.feed.lines import FeedError
from directory.feed.plan import Change, Head
from directory.roles import NotYours
from gateway import feed_files, feeding, imports_desk, kept_plans, plan_parts, saved_columns
from gateway.config import ConfigError
from gateway.feeding import Order
from gateway.imports_desk import Wanted
from gateway.kept_plans import Kept
from gateway.web.roles import Face, Role
from gateway.web.visits import Visit
from gateway.web.works import Work

PATH, PLANNING = "/annuaire/imports", "plan"
_SAVED = "colonnes:"
_CONFLICTS = 50
_MOST = 200


class NotImported(Exception):
    """The text is for people."""


async def show(visit: Visit) -> Response:
    return await _list(visit)


async def _list(visit: Visit, wrong: str = "", status: int = 200) -> Response:
    try:
        rows = await visit.aside(_rows, visit)
    except ConfigError:
        return visit.shown("imports.html", status, kept=False, rows=(), work=None, sources=(), wrong=wrong, most=0)
    choices, trouble = await visit.aside(_choices, visit)
    return visit.shown(
        "imports.html", status, kept=True, rows=rows, work=_work(visit, PLANNING), wrong=wrong or trouble,
        sources=choices, most=visit.site.web.import_mb,
    )  # fmt: skip


def _choices(visit: Visit) -> tuple[dict[str, str], str]:
    """Sources, and tables whose columns were named once and saved; why these are not shown, where one is broken."""
    known = {name: each.title for name, each in sources.KNOWN.items()}
    try:
        saved = saved_columns.every(visit.settings)
    except FeedError as error:
        return known, str(error)
    titles = {f"{_SAVED}{name}": f"{known[each.source]} : {name}" for name, each in saved.items()}
    return known | titles, ""


def _source(visit: Visit, word: str) -> Source | None:
    """Raises FeedError."""
    if word.startswith(_SAVED):
        return saved_columns.named(visit.settings, word.removeprefix(_SAVED)).as_source()
    return sources.KNOWN.get(word)


def _rows(visit: Visit) -> list[dict[str, Any]]:
    return [
        {"kept": each, "head": plan.head_of(each.plan), "state": _state(visit, each)}
        for each in kept_plans.every(visit.settings)
    ]


def _state(visit: Visit, kept: Kept) -> str:
    work = _work(visit, kept.id)
    if work is not None and work.ended is None:
        return "running"
    became = kept_plans.became(kept)
    if not became:
        return "waiting"
    return "stopped" if became.get("stopped", True) else "applied"


def _work(visit: Visit, name: str) -> Work | None:
    return visit.site.works.of(visit.session.tenant, name)


# --- planning -----------------------------------------------------------------------------------------------------


async def bring(visit: Visit) -> Response:
    """A file, kept in a private folder and then read without the page."""
    brought = next((each for each in visit.files if each.filename), None)
    dated = moment(visit.form.get("dated", ""), visit.site.zone)
    try:
        source = await visit.aside(_source, visit, visit.form.get("source", ""))
        if brought is None or source is None:
            return await _list(visit, visit.t("import-file-missing"), 422)
        kept = await visit.aside(_received, visit, source.name, brought)
    except (FeedError, ConfigError, NotYours) as error:
        return await _list(visit, str(error), 409)
    file = kept.file
    wanted = Wanted(source, file, visit.site.clock(), dated)
    settings = visit.settings

    def act(work: Work) -> str:
        work.total = 0 if feed_files.is_archive(file) else file.stat().st_size
        try:
            imports_desk.make_plan(settings, wanted, kept.plan, work.told)
        except BaseException:
            kept_plans.forget(kept)
            raise
        kept_plans.made(kept)
        kept_plans.forget_oldest(settings)
        return kept.id

    if not _begun(visit, PLANNING, act):
        await visit.aside(kept_plans.forget, kept)
        return await _list(visit, visit.t("work-busy"), 409)
    return visit.moved(PATH)


def _received(visit: Visit, source: str, brought: UploadFile) -> Kept:
    by, now = visit.session.account, visit.site.clock()
    imports_desk.require(visit.settings, by)
    return kept_plans.receive(visit.settings, source, brought.filename or "", brought.file, by, now)


def moment(text: str, zone: tzinfo) -> datetime | None:
    """Of a field `datetime-local`: in the time that the pages show."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _begun(visit: Visit, name: str, act: Callable[[Work], Any]) -> bool:
    def told(work: Work) -> Any:
        try:
            return act(work)
        except (FeedError, ConfigError, NotYours) as error:
            raise NotImported(str(error)) from None

    return visit.site.works.begin(visit.session.tenant, name, visit.session.account, told, NotImported)


async def planning(visit: Visit) -> Response:
    """The part of the page that asks again by itself."""
    return visit.shown("work.html", work=_work(visit, PLANNING), here=PATH, counted="work-octets")


# --- one plan -----------------------------------------------------------------------------------------------------


async def read(visit: Visit) -> Response:
    """The plan from its beginning, or a further part of it."""
    kept = await _kept(visit)
    return visit.wrong(404) if kept is None else await _plan(visit, kept)


async def _kept(visit: Visit) -> Kept | None:
    try:
        return await visit.aside(kept_plans.of, visit.settings, str(visit.request.path_params["plan"]))
    except ConfigError:
        return None


async def _plan(visit: Visit, kept: Kept, wrong: str = "", status: int = 200) -> Response:
    kind = visit.form.get("kind", "")
    match, place = visit.form.get("match", "").strip()[:_MOST], _place(visit.form.get("place", ""))
    try:
        told = await visit.aside(_told, visit, kept, kind, match, place)
    except FeedError as error:
        return await _list(visit, str(error), 409)
    return visit.shown("import.html", status, wrong=wrong, kind=kind, match=match, place=place, **told)


def _place(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0


def _told(visit: Visit, kept: Kept, kind: str, match: str, place: int) -> dict[str, Any]:
    head, became, work = plan.head_of(kept.plan), kept_plans.became(kept), _work(visit, kept.id)
    shown = plan_parts.changes(kept.plan, kind, match, place)
    return {
        "kept": kept, "head": head, "became": became, "work": work, "state": _state(visit, kept), "kinds": list(Kind),
        "why_not": imports_desk.why_not(visit.settings, head), "total": _total(head), "shown": shown,
        "signs": _signs,
    }  # fmt: skip


def _total(head: Head) -> int:
    return sum(head.counts.values())


def _signs(change: Change) -> list[tuple[str, str, str]]:
    """Field, before, after: of those that differ."""
    before, after = change.before or {}, change.after or {}
    return [(name, before.get(name, ""), after.get(name, "")) for name in change.fields]


async def rejected(visit: Visit) -> Response:
    """The lines that were not read, with number and reason."""
    kept = await _kept(visit)
    if kept is None:
        return visit.wrong(404)
    head, rows = await visit.aside(lambda: (plan.head_of(kept.plan), plan_parts.rejected(kept.plan)))
    return visit.shown("import_rejected.html", kept=kept, head=head, rows=rows)


# --- applying -----------------------------------------------------------------------------------------------------


async def apply(visit: Visit) -> Response:
    kept = await _kept(visit)
    if kept is None:
        return visit.wrong(404)
    try:
        head = await visit.aside(_may, visit, kept)
    except (FeedError, ConfigError, NotYours) as error:
        return await _plan(visit, kept, str(error), 409)
    name, why = (" ".join(visit.form.get(each, "").split())[:_MOST] for each in ("answers", "why"))
    if head.breaches and not (name and why):
        return await _plan(visit, kept, visit.t("import-override-missing"), 422)
    order = Order(kept.plan, visit.session.account, Override(name, why) if head.breaches else None)
    if not _begun(visit, kept.id, _applying(visit, kept, order, _total(head))):
        return await _plan(visit, kept, visit.t("work-busy"), 409)
    return visit.moved(f"{PATH}/{kept.id}")


def _may(visit: Visit, kept: Kept) -> Head:
    imports_desk.require(visit.settings, visit.session.account)
    head = plan.head_of(kept.plan)
    if why := imports_desk.why_not(visit.settings, head):
        raise FeedError(why)
    return head


def _applying(visit: Visit, kept: Kept, order: Order, total: int) -> Callable[[Work], None]:
    settings, clock = visit.settings, visit.site.clock

    def act(work: Work) -> None:
        work.total = total
        begun = {"by": order.by, "begun": clock().isoformat()}
        kept_plans.note(kept, begun)
        report = imports_desk.apply(settings, order, work.stepped, work.stop.is_set, kept.digest)
        kept_plans.note(kept, begun | {"ended": clock().isoformat()} | _became(report))

    return act


def _became(report: Report) -> dict[str, Any]:
    conflicts = [{"dn": each.dn, "why": each.why} for each in report.conflicts[:_CONFLICTS]]
    results = {result.value: report.of(result) for result in Result}
    return {"stopped": report.stopped, "results": results, "told": feeding.told(report), "conflicts": conflicts}


async def progress(visit: Visit) -> Response:
    """The part of the page that asks again by itself."""
    kept = await _kept(visit)
    if kept is None:
        return visit.wrong(404)
    return visit.shown("work.html", work=_work(visit, kept.id), here=f"{PATH}/{kept.id}")


async def stop(visit: Visit) -> Response:
    """Between two batches; what was done stays done."""
    kept = await _kept(visit)
    if kept is None:
        return visit.wrong(404)
    if (work := _work(visit, kept.id)) is not None:
        work.stop.set()
    return visit.moved(f"{PATH}/{kept.id}")


async def drop(visit: Visit) -> Response:
    """A plan that nobody wants; not one that is being applied."""
    kept = await _kept(visit)
    if kept is None:
        return visit.wrong(404)
    if _state(visit, kept) == "running":
        return await _plan(visit, kept, visit.t("work-busy"), 409)
    await visit.aside(kept_plans.forget, kept)
    return visit.moved(PATH)


KEEPER = frozenset({Role.DIRECTORY})

FACES = (
    Face(PATH, show, KEEPER, menu="import-menu"),
    Face(PATH, bring, KEEPER, ("POST",), large=True),
    Face(f"{PATH}/avancement", planning, KEEPER, quiet=True),
    Face(f"{PATH}/{{plan}}", read, KEEPER, ("GET", "POST")),
    Face(f"{PATH}/{{plan}}/rejets", rejected, KEEPER),
    Face(f"{PATH}/{{plan}}/avancement", progress, KEEPER, quiet=True),
    Face(f"{PATH}/{{plan}}/appliquer", apply, KEEPER, ("POST",)),
    Face(f"{PATH}/{{plan}}/arret", stop, KEEPER, ("POST",)),
    Face(f"{PATH}/{{plan}}/abandon", drop, KEEPER, ("POST",)),
)
