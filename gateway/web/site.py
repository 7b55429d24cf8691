"""The pages as one application: the table of faces behind the guard, the head of every answer, the errors.

Promises: each answer, an error too, carries the policy of content: no script but our file, no frame, nothing of others;
a surprise is a page and its type in the log, never its text. Does not: open a port (gateway.web.serving does).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from importlib.resources import files

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from certs.model import Clock
from gateway import app
from gateway.config import ConfigError, Settings
from gateway.doors.budgets import Guesses, Rate
from gateway.web.drafts import ALL, Drafts
from gateway.web.guard import guarded, visited
from gateway.web.people import People
from gateway.web.roles import Face
from gateway.web.sessions import Sessions
from gateway.writing import Writing

log = structlog.get_logger("gateway.web")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-src 'none'; frame-ancestors 'none'; base-uri 'none'"
)
HEAD = {
    "content-security-policy": POLICY,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
STATIC = {"pli.css": "text/css", "htmx.min.js": "text/javascript"}


class Site:
    """What the pages of one process share."""

    def __init__(self, settings: Settings, faces: Sequence[Face], clock: Clock) -> None:
        if settings.web is None:
            raise ConfigError("there are no pages: write a section [web]")
        self.settings, self.faces, self.clock = settings, tuple(faces), clock
        self.web = settings.web
        self.sessions = Sessions(clock, timedelta(minutes=settings.web.lock_minutes))
        self.people = People(settings.web.people or settings.paths.data / "people.json")
        self.upload_most = settings.web.upload_mb * 1024 * 1024
        self.drafts = Drafts(clock, timedelta(minutes=settings.web.lock_minutes), ALL * self.upload_most)
        self.logins = app.logins(settings)
        self.reading = asyncio.Semaphore(2)
        """Of those who wait for the process that reads papers: the others keep their threads."""
        self._making = threading.Lock()
        self._writing: Writing | None = None
        self.guesses = Guesses(10, 900.0, 30 * 86_400.0, clock)
        """Sign-ins of one login in a quarter of an hour; where it came in within a month it comes in again."""
        self.failures = Rate(30, 900.0, clock)
        """Sign-ins that failed, from one address block."""

    @property
    def writing(self) -> Writing:
        """Made when somebody first writes: it asks directories and follows them."""
        with self._making:
            self._writing = self._writing or Writing(self.settings)
            return self._writing

    def application(self) -> ASGIApp:
        routes = [Route(face.path, guarded(self, face), methods=list(face.methods)) for face in self.faces]
        routes += [Route(f"/static/{name}", _static(name, kind)) for name, kind in STATIC.items()]
        handlers = {HTTPException: self._told, Exception: self._surprise}
        return Headed(Starlette(routes=routes, exception_handlers=handlers))

    async def _told(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return visited(self, request, None).wrong(404 if error.status_code == 405 else error.status_code)

    async def _surprise(self, request: Request, error: Exception) -> Response:
        log.error("page-surprise", type=type(error).__name__)
        return visited(self, request, None).wrong(500)


class Headed:
    """Puts the head on every answer; pages are kept by no cache."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = {name for name, _ in message["headers"]}
                kept = "max-age=3600" if scope["path"].startswith("/static/") else "no-store"
                more = {**HEAD, "cache-control": kept}
                message["headers"] = [
                    *message["headers"],
                    *((name.encode(), value.encode()) for name, value in more.items() if name.encode() not in said),
                ]
            await send(message)

        await self._app(scope, receive, headed)


def _static(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    content = (files("gateway.web") / "static" / name).read_bytes()

    async def answer(_: Request) -> Response:
        return Response(content, media_type=kind)

    return answer
