"""One request of a person, as pages see it: who, in which language, what the form said; and how they answer.

Promises: what is shown is escaped; an answer is in the visitor's language. Does not: let anybody in (gateway.web.guard
did).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gateway.web.roles import Face, Role
from gateway.web.sessions import Session
from gateway.web.wording import said

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.web.site import Site

P = ParamSpec("P")
T = TypeVar("T")

FORMS = {"minute": "%d/%m/%Y %H:%M", "second": "%d/%m/%Y %H:%M:%S", "hour": "%H:%M:%S"}
"""How a moment is written, in both languages as France does."""


@dataclass(frozen=True)
class Visit:
    """`name`: of the session, or of a visitor who is not signed in."""

    site: Site
    request: Request
    face: Face | None
    name: str
    language: str
    who: Session | None = None
    roles: frozenset[Role] = frozenset()
    """Of who is signed in, as they are now: one that was taken away is gone at the next click."""
    form: Mapping[str, str] = field(default_factory=dict)
    files: tuple[UploadFile, ...] = ()

    @property
    def session(self) -> Session:
        """Of a page that is not public there is one: the guard saw it."""
        assert self.who is not None
        return self.who

    @property
    def locked(self) -> Session | None:
        """A session that nobody used for too long: its person may take it up again."""
        return self.site.sessions.locked(self.name)

    @property
    def settings(self) -> Settings:
        """The view of the person's tenant."""
        return self.site.settings.view(self.session.tenant)

    def t(self, key: str, **values: object) -> str:
        return said(key, self.language, **values)

    async def aside(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """In a thread: whatever waits for a disk, a database, a directory."""
        return await asyncio.to_thread(work, *args, **kwargs)

    def when(self, moment: datetime | str | None, form: str = "minute") -> str:
        """In the time of the region, a key of FORMS; a text is ISO 8601 with its offset. Nothing for nothing."""
        if not moment:
            return ""
        read = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        with suppress(OverflowError):  # a letter may say that it is of the last day of year 9999
            read = read.astimezone(self.site.zone)
        return read.strftime(FORMS[form])

    def shown(self, template: str, status: int = 200, **values: Any) -> Response:
        page = _templates().get_template(template)
        text = page.render(visit=self, t=self.t, token=self.token, lang=self.language, when=self.when, **values)
        return HTMLResponse(text, status)

    def moved(self, path: str) -> Response:
        """After a change: elsewhere, by GET. `path` is one of ours."""
        return RedirectResponse(path, 303)

    def wrong(self, status: int) -> Response:
        known = status if status in (400, 403, 404, 413, 429, 503) else 500
        return self.shown("error.html", status, heading=self.t(f"error-{known}"), what=self.t(f"error-{known}-what"))

    def token(self) -> Markup:
        """The hidden field of a form."""
        return Markup('<input type="hidden" name="token" value="{}">').format(self.site.sessions.token(self.name))

    def menu(self) -> list[tuple[str, str, bool]]:
        """Path, words, whether it is here."""
        here = self.request.url.path
        return [
            (face.path, self.t(face.menu), here == face.path)
            for face in self.site.faces
            if face.menu and face.roles & self.roles
        ]


@cache
def _templates() -> Environment:
    loader = PackageLoader("gateway.web", "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
