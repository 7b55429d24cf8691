"""The pages as one application: the table of faces behind the guard, the head of every answer, the errors.

Promises: each answer, an error too, carries the policy of content: no script but our file, no frame, nothing of others;
a surprise is a page and its type in the log, never its text. Does not: open a port (gateway.web.serving does).
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from importlib.resources import files
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from certs import tls
from certs.chain import TrustStore
from certs.model import Clock
from directory.ldap import LdapDirectory
from directory.several import SeveralDirectories
from dmp_bridge.reading import Reader
from gateway import app
from gateway.config import ConfigError, Settings
from gateway.doors.budgets import Guesses, Rate
from gateway.doors.certified import Judge
from gateway.web.drafts import ALL, Drafts
from gateway.web.guard import guarded, visited
from gateway.web.kept import Kept
from gateway.web.people import People
from gateway.web.providers import House, houses
from gateway.web.roles import Face
from gateway.web.sessions import Sessions
from gateway.web.works import Works
from gateway.writing import Writing

log = structlog.get_logger("gateway.web")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'none'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
HEAD = {
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
        idle, kept = timedelta(minutes=settings.web.lock_minutes), timedelta(hours=settings.web.locked_hours)
        self.zone = ZoneInfo(settings.web.time_zone)
        self.sessions = Sessions(clock, idle, kept)
        self.people = People(settings.web.people or settings.paths.data / "people.json")
        self.upload_most = settings.web.upload_mb * 1024 * 1024
        self.import_most = settings.web.import_mb * 1024 * 1024
        self.drafts = Drafts(clock, idle + kept, ALL * self.upload_most)
        self.logins = app.logins(settings)
        self.url, self.certificate_url = _urls(settings)
        self.asking = asyncio.Semaphore(2)
        """Of those who wait for a provider's answer."""
        self.reading = asyncio.Semaphore(2)
        """Of those who wait for the process that reads papers: the others keep their threads."""
        self.letters = asyncio.Semaphore(4)
        """Of those who hold a letter in memory."""
        self.reader, self.boxes = Reader(), Kept()
        self._making = threading.Lock()
        self._writing: Writing | None = None
        self.works = Works(clock)
        self.guesses = Guesses(10, 900.0, 30 * 86_400.0, clock)
        """Sign-ins of one login in a quarter of an hour; where it came in within a month it comes in again."""
        self.failures = Rate(30, 900.0, clock)
        """Sign-ins that failed, from one address block."""

    @cached_property
    def houses(self) -> tuple[House, ...]:
        """Providers at which people sign in."""
        return houses(self.settings)

    @cached_property
    def trust(self) -> Callable[[], TrustStore]:
        return app.trust(self.settings)

    @cached_property
    def regional(self) -> LdapDirectory:
        """The region's own directory, asked each time."""
        return app.directory(self.settings)

    @cached_property
    def directories(self) -> SeveralDirectories:
        """With the national ones that are configured."""
        return app.directories(self.settings)

    @cached_property
    def certificates(self) -> Judge:
        return Judge(self.trust, self.logins, self.settings.trust.cannot_tell, self.clock)

    @property
    def writing(self) -> Writing:
        """Made when somebody first writes: it asks directories and follows them."""
        with self._making:
            self._writing = self._writing or Writing(self.settings)
            return self._writing

    def close(self) -> None:
        """Ends the processes that read for it, and what hears of changes."""
        self.reader.close()
        with self._making:
            if self._writing:
                self._writing.close()

    def imap_context(self) -> ssl.SSLContext:
        """Towards the mailboxes' server: its name counts, and our anchors or those that are named."""
        return tls.context(tls.CLIENT_OUT, None, self.trust(), self.web.imap_authorities)

    def application(self) -> ASGIApp:
        policy = f"{POLICY} {self.certificate_url}" if self.certificate_url else POLICY
        return self._application(beside=False, head={"content-security-policy": policy})

    def application_beside(self) -> ASGIApp:
        """Of the port that asks for certificates. Each try is a session of its own, so that a browser asks again."""
        return self._application(beside=True, head={"content-security-policy": POLICY, "connection": "close"})

    def _application(self, *, beside: bool, head: Mapping[str, str]) -> ASGIApp:
        faces = [face for face in self.faces if face.beside is beside]
        routes = [Route(face.path, guarded(self, face), methods=list(face.methods)) for face in faces]
        routes += [Route(f"/static/{name}", _static(name, kind)) for name, kind in STATIC.items()]
        handlers = {HTTPException: self._elsewhere if beside else self._told, Exception: self._surprise}
        return Headed(Starlette(routes=routes, exception_handlers=handlers), {**HEAD, **head})

    async def _elsewhere(self, _: Request, __: Exception) -> Response:
        return RedirectResponse(f"{self.url}/", 303)

    async def _told(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return visited(self, request, None).wrong(404 if error.status_code == 405 else error.status_code)

    async def _surprise(self, request: Request, error: Exception) -> Response:
        log.error("page-surprise", type=type(error).__name__)
        return visited(self, request, None).wrong(500)


class Headed:
    """Puts the head on every answer; pages are kept by no cache."""

    def __init__(self, app: ASGIApp, head: Mapping[str, str]) -> None:
        self._app, self._head = app, head

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = {name for name, _ in message["headers"]}
                kept = "max-age=3600" if scope["path"].startswith("/static/") else "no-store"
                more = {**self._head, "cache-control": kept}
                message["headers"] = [
                    *message["headers"],
                    *((name.encode(), value.encode()) for name, value in more.items() if name.encode() not in said),
                ]
            await send(message)

        await self._app(scope, receive, headed)


def _urls(settings: Settings) -> tuple[str, str]:
    """Where people reach the pages, and the port that asks for certificates; empty where there is none."""
    assert settings.web is not None
    url = settings.web.url or f"https://{settings.node.hostname}:{settings.web.port}"
    beside = settings.web.certificate_port
    return url, f"https://{_host(url)}:{beside}" if beside else ""


def _host(url: str) -> str:
    host = urlsplit(url).hostname or ""
    return f"[{host}]" if ":" in host else host


def _static(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    content = (files("gateway.web") / "static" / name).read_bytes()

    async def answer(_: Request) -> Response:
        return Response(content, media_type=kind)

    return answer
