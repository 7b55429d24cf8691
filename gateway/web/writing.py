"""The page on which a professional writes: recipient cards, documents, text, a look at all of it, then it is sent.

Promises: works without a script (each step is a button of one form); a recipient whose name others bear is taken only
after the question was answered, and here that is checked again when the letter is sent; what is uploaded is read by a
process apart; a letter sent twice is one letter. Does not: judge (the intake does), or keep time (the spool does).
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import structlog
from starlette.datastructures import UploadFile
from starlette.responses import Response

from directory import address
from directory.model import DirectoryDown
from dmp_bridge.model import Patient
from dmp_bridge.papers import Seen
from gateway import lookout, patients_desk, recipient_cards, writing
from gateway.outgoing import About
from gateway.patients_desk import Wanted
from gateway.recipient_cards import Search
from gateway.web.drafts import PAPERS, RECIPIENTS, Draft
from gateway.web.roles import Face, Role
from gateway.web.visits import Visit
from gateway.writing import Brought, Filing, NotWritten, Wish
from relay.intake import Intake
from relay.model import new_id
from relay.spooler import StoreDown

log = structlog.get_logger("gateway.web")

PATH = "/ecrire"
UNFIT = 422
"""RFC 9110 §15.5.21: understood, and cannot be done so."""
Act: TypeAlias = Callable[[Visit, Draft, str], Awaitable[Response]]


async def form(visit: Visit) -> Response:
    """A new letter; or, after a lock, the one that was being written."""
    known = visit.site.drafts.known(visit.name, visit.request.query_params.get("brouillon", ""))
    if known is None or known.sent:
        return _page(visit, Draft("", visit.name, visit.site.clock()))
    return _page(visit, known)


async def kept(visit: Visit) -> Response:
    """What is being typed, some seconds after the last key: it outlives a lock."""
    return visit.shown("draft.html", draft=keep(visit))


def keep(visit: Visit) -> Draft:
    draft = visit.site.drafts.of(visit.name, visit.form.get("draft", ""))
    if not draft.sent:
        _typed(visit, draft)
    return draft


async def found(visit: Visit) -> Response:
    """The list alone, while somebody types."""
    return visit.shown("found.html", found=await _sought(visit), why=_why(visit))


async def changed(visit: Visit) -> Response:
    """Every button of the form but the last: `do` says which, what was typed and brought is kept each time."""
    draft = visit.site.drafts.of(visit.name, visit.form.get("draft", ""))
    async with draft.turn:
        if draft.sent:
            return visit.moved(f"/lettres/{draft.letter}")
        _typed(visit, draft)
        if wrong := await _brought(visit, draft):
            return _page(visit, draft, wrong=wrong)
        act, _, what = visit.form.get("do", "").partition(":")
        return await _ACTS.get(act, _search)(visit, draft, what)


def _page(visit: Visit, draft: Draft, *, wrong: str = "", found: Search | None = None, status: int = 0) -> Response:
    status = status or (UNFIT if wrong else 200)
    bare = any(each.look.kind != "documents" for each in draft.papers.values())
    most, types = visit.site.web.upload_mb, writing.types() if bare else ()
    return visit.shown(
        "write.html", status, draft=draft, wrong=wrong, found=found, types=types, most=most, why=_why(visit)
    )


def _why(visit: Visit) -> Callable[[str], str]:
    return partial(lookout.why, language=visit.language)


def _typed(visit: Visit, draft: Draft) -> None:
    told = visit.form
    draft.subject = told.get("subject", draft.subject).strip()[:200]
    draft.text = told.get("text", draft.text)
    about = {"patient": told.get("patient"), "type_code": told.get("type"), "title": told.get("title")}
    given = {name: " ".join(value.split())[:100] for name, value in about.items() if value is not None}
    draft.about = replace(draft.about, **given)


# --- recipients ---------------------------------------------------------------------------------------------------


async def _search(visit: Visit, draft: Draft, _: str) -> Response:
    return _page(visit, draft, found=await _sought(visit))


async def _sought(visit: Visit) -> Search | None:
    """None where no word was typed: nobody was looked for."""
    words = visit.form.get("search", "").strip()

    def look() -> Search:
        own = address.parse(visit.session.account)
        return recipient_cards.search(_intake(visit), words, own, visit.language)

    return await visit.aside(look) if words else None


def _intake(visit: Visit) -> Intake:
    return visit.site.writing.intake(visit.session.tenant)


async def _add(visit: Visit, draft: Draft, what: str) -> Response:
    if len(draft.to) >= RECIPIENTS:
        return _page(visit, draft, wrong=visit.t("write-too-many"))
    return _page(visit, draft, wrong=await visit.aside(_added, visit, draft, what))


def _added(visit: Visit, draft: Draft, what: str) -> str:
    """'' where it was taken, or a question is put first; else why not."""
    intake = _intake(visit)
    entry = recipient_cards.named(intake, what)
    if entry is None:
        return visit.t("write-no-recipient")
    same = recipient_cards.homonyms(intake, entry)
    if isinstance(same, DirectoryDown):
        return visit.t("write-directory-down")
    draft.asked = same
    return "" if same else _accepted(visit, draft, what)


def _accepted(visit: Visit, draft: Draft, what: str) -> str:
    intake = _intake(visit)
    entry = recipient_cards.named(intake, what)
    if entry is None:
        return visit.t("write-no-recipient")
    card = recipient_cards.card(intake, entry, address.parse(visit.session.account), visit.language)
    if card.refused:
        return _why(visit)(card.refused)
    draft.to[entry.address.key] = card
    return ""


async def _which(visit: Visit, draft: Draft, _: str) -> Response:
    """The answer to the question about a name: one of those who were shown."""
    chosen = visit.form.get("which", "")
    if chosen not in {str(each.address) for each in draft.asked}:
        return _page(visit, draft, wrong=visit.t("write-homonyms-answer"))
    draft.asked = ()
    return _page(visit, draft, wrong=await visit.aside(_accepted, visit, draft, chosen))


async def _nobody(visit: Visit, draft: Draft, _: str) -> Response:
    """None of them was meant."""
    draft.asked = ()
    return _page(visit, draft)


async def _drop(visit: Visit, draft: Draft, what: str) -> Response:
    draft.to.pop(what, None)
    return _page(visit, draft)


# --- papers -------------------------------------------------------------------------------------------------------


async def _brought(visit: Visit, draft: Draft) -> str:
    """Takes what was uploaded; why not all of it."""
    for upload in visit.files:
        if upload.filename and (wrong := await _taken(visit, draft, upload)):
            return wrong
    return ""


async def _taken(visit: Visit, draft: Draft, upload: UploadFile) -> str:
    data, name = await upload.read(), _plain_name(upload.filename or "")
    if len(draft.papers) >= PAPERS:
        return visit.t("write-too-many-papers")
    if draft.size + len(data) > visit.site.upload_most:
        return f"{visit.t('error-413')}. {visit.t('error-413-what')}"
    async with visit.site.reading:
        look = await visit.aside(visit.site.writing.papers.look, data)
    if not look.kind:
        log.info("paper-refused", why=look.refused[0].reason if look.refused else "")
        return visit.t("write-not-a-document", name=name)
    draft.papers[secrets.token_urlsafe(6)] = Brought(name, data, look)
    visit.site.drafts.made_room(draft)
    return ""


def _plain_name(name: str) -> str:
    """As it is shown, and stands beside a PDF in the mail: one line, no folder."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(char for char in last if char.isprintable())[-100:] or "document"


async def _drop_paper(visit: Visit, draft: Draft, what: str) -> Response:
    draft.papers.pop(what, None)
    return _page(visit, draft)


# --- checking and sending -----------------------------------------------------------------------------------------


async def _check(visit: Visit, draft: Draft, _: str) -> Response:
    """All of it once more, with whose the documents are and where they would go, before it is sent."""
    if wrong := _lacking(visit, draft):
        return _page(visit, draft, wrong=wrong)
    try:
        async with visit.site.reading:
            seen, whose = await visit.aside(_looked_over, visit, draft)
    except NotWritten as error:
        return _page(visit, draft, wrong=_said(visit, error))
    return visit.shown("check.html", draft=draft, seen=seen, whose=whose, why=_why(visit))


def _lacking(visit: Visit, draft: Draft) -> str:
    if draft.asked:
        return visit.t("write-homonyms-answer")
    return "" if draft.to else visit.t("write-to-first")


def _looked_over(visit: Visit, draft: Draft) -> tuple[list[tuple[Seen, Filing]], Patient | None]:
    """What the documents say, with where they would be filed; and the patient whose number was typed, journalled."""
    site, settings = visit.site, visit.settings
    writing.compose(settings, site.writing, _wish(visit, draft))
    seen = [each for paper in draft.papers.values() for each in paper.look.documents]
    told = [(each, writing.filing(settings, each)) for each in seen]
    bare = any(paper.look.kind != "documents" for paper in draft.papers.values())
    if not (bare and draft.about.patient):
        return told, None
    known = patients_desk.find(settings, Wanted(number=draft.about.patient))
    patients_desk.reveal(settings, known, visit.session.account)
    return told, known[0].patient


def _wish(visit: Visit, draft: Draft) -> Wish:
    to = tuple(card.entry.address for card in draft.to.values())
    papers, about = tuple(draft.papers.values()), draft.about
    return Wish(visit.session.account, to, draft.subject, draft.text, papers, about)


async def send(visit: Visit) -> Response:
    draft = visit.site.drafts.known(visit.name, visit.form.get("draft", ""))
    if draft is None:
        return visit.moved(PATH)
    async with draft.turn:
        if draft.sent:
            return visit.moved(f"/lettres/{draft.letter}")
        if wrong := _lacking(visit, draft):
            return _page(visit, draft, wrong=wrong)
        draft.letter = draft.letter or new_id(visit.site.clock())
        return await _sent(visit, draft)


async def _sent(visit: Visit, draft: Draft) -> Response:
    client = visit.request.client.host if visit.request.client else ""
    wish, site = _wish(visit, draft), visit.site
    try:
        async with site.reading:
            await visit.aside(writing.send, visit.settings, site.writing, wish, draft.letter, client)
    except NotWritten as error:
        return _page(visit, draft, wrong=_said(visit, error))
    except StoreDown:
        return _page(visit, draft, wrong=visit.t("write-again"), status=503)
    draft.sent = True
    draft.papers, draft.text, draft.subject, draft.about = {}, "", "", About()
    return visit.moved(f"/lettres/{draft.letter}")


def _said(visit: Visit, error: NotWritten) -> str:
    if error.key:
        return visit.t(error.key)
    return f"{_why(visit)(error.reason)}{f' ({error.detail})' if error.detail else ''}"


_ACTS: dict[str, Act] = {
    "search": _search,
    "add": _add,
    "which": _which,
    "nobody": _nobody,
    "drop": _drop,
    "drop-paper": _drop_paper,
    "next": _check,
}

PROFESSIONAL = frozenset({Role.PROFESSIONAL})

FACES = (
    Face(PATH, form, PROFESSIONAL, menu="write-menu"),
    Face(PATH, changed, PROFESSIONAL, ("POST",), upload=True, keeps=keep),
    Face(f"{PATH}/brouillon", kept, PROFESSIONAL, ("POST",), upload=True, keeps=keep),
    Face(f"{PATH}/destinataires", found, PROFESSIONAL, ("POST",)),
    Face(f"{PATH}/envoi", send, PROFESSIONAL, ("POST",)),
)
