"""The one place where a request is let in: size, origin, session, role, the form's token.

Promises: a page runs only for who may open it, and a change only by a form that we made for that session. Does not:
know what pages do.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from gateway.web.roles import SMALL, Face, allowed
from gateway.web.sessions import COOKIE, is_token
from gateway.web.visits import Visit
from gateway.web.wording import LANGUAGES, preferred

if TYPE_CHECKING:
    from gateway.web.site import Site

log = structlog.get_logger("gateway.web")

LANGUAGE = "__Host-langue"
SAFE = frozenset({"GET", "HEAD"})


class TooLarge(Exception):
    """A request's body is over what its page takes."""


def guarded(site: Site, face: Face) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        visit = visited(site, request, face)
        if _from_elsewhere(request):
            return visit.shown("on.html", here=_here(request))
        answered = await _answered(visit, face)
        _looked_at(visit, face)
        if not request.cookies.get(COOKIE) and "set-cookie" not in answered.headers:
            keep(answered, COOKIE, visit.name)
        return answered

    return answer


def _from_elsewhere(request: Request) -> bool:
    """Somebody follows a link, or comes back from a provider: the browser keeps the session's cookie back (SameSite). A
    page of ours asks again, and then it comes along; a session that stands is neither hidden nor replaced."""
    cross = request.headers.get("sec-fetch-site") == "cross-site"
    return cross and request.method in SAFE and not request.cookies.get(COOKIE)


def _here(request: Request) -> str:
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path


def visited(site: Site, request: Request, face: Face | None) -> Visit:
    name = request.cookies.get(COOKIE, "") or secrets.token_urlsafe(32)
    session = site.sessions.of(name, awake=face is not None and not face.quiet)
    if session and not site.logins.is_open(session.account):
        site.sessions.end(name)  # suspended, or gone, since it signed in
        session = None
    chosen = request.cookies.get(LANGUAGE, "")
    language = chosen if chosen in LANGUAGES else preferred(request.headers.get("accept-language", ""))
    roles = site.people.person(session.account).roles if session else frozenset()
    return Visit(site, request, face, name, language, session, roles)


def keep(answer: Response, name: str, value: str) -> None:
    answer.set_cookie(name, value, path="/", secure=True, httponly=True, samesite="strict")


async def _answered(visit: Visit, face: Face) -> Response:
    if visit.who is None and not face.public:
        return await _locked_out(visit, face)
    if not allowed(face, visit.roles):
        log.info("page-refused", path=face.path, why="role")
        return visit.wrong(403)
    if visit.request.method in SAFE:
        answered: Response = await face.page(visit)
        return answered
    return await _changed(visit, face)


def _looked_at(visit: Visit, face: Face) -> None:
    """Where somebody goes on after a lock."""
    page = visit.request.method == "GET" and not face.quiet and not visit.request.headers.get("hx-request")
    if visit.who and page and not face.public:
        visit.who.at = visit.request.url.path


def _to_sign_in(visit: Visit, face: Face) -> Response:
    answer = visit.moved("/entrer")
    if face.quiet or visit.request.headers.get("hx-request"):
        answer = Response(status_code=204)
        answer.headers["HX-Redirect"] = "/entrer"
    return answer


async def _locked_out(visit: Visit, face: Face) -> Response:
    """A form that comes too late is kept where its face says what of it, once it is known for ours; nothing is done."""
    if face.keeps and visit.request.method not in SAFE and visit.locked:
        kept = replace(face, page=_kept, public=True)
        refused = await _changed(visit, kept)
        if refused.status_code not in (204, 303):
            return refused
    return _to_sign_in(visit, face)


async def _kept(visit: Visit) -> Response:
    face = visit.face
    if face and face.keeps:
        face.keeps(visit)
    return Response(status_code=204)


async def _changed(visit: Visit, face: Face) -> Response:
    if not _from_us(visit.request, face):
        return visit.wrong(403)
    most = visit.site.import_most if face.large else visit.site.upload_most if face.upload else SMALL
    try:
        form = await _form(visit.request, most)
    except TooLarge:
        return visit.wrong(413)
    except (MultiPartException, ValueError):
        return visit.wrong(400)
    try:
        words = {key: value for key, value in form.items() if isinstance(value, str)}
        if not is_token(visit.site.sessions, visit.name, words.get("token", "")):
            log.info("page-refused", path=face.path, why="token")
            return visit.wrong(403)
        files = tuple(each for _, each in form.multi_items() if isinstance(each, UploadFile))
        answered: Response = await face.page(replace(visit, form=words, files=files))
        return answered
    finally:
        await form.close()


def _from_us(request: Request, face: Face) -> bool:
    """A browser says where a form came from (Fetch Metadata); one that says nothing has the token alone. Another port
    of this host is another origin of the same site: there too the token proves the form."""
    ours = ("same-origin", "none", "same-site") if face.beside else ("same-origin", "none")
    return request.headers.get("sec-fetch-site", "same-origin") in ours


async def _form(request: Request, most: int) -> FormData:
    """Counted as it comes: a length that is said may lie."""
    counted = 0

    async def receive() -> Message:
        nonlocal counted
        message = await request.receive()
        counted += len(message.get("body", b""))
        if counted > most:
            raise TooLarge
        return message

    return await Request(request.scope, receive)._get_form(max_files=10, max_fields=100, max_part_size=SMALL)
