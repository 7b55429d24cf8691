"""The door of identities: applications say over HTTPS who their patients are, one a request or a batch (FHIR R4, IHE
ITI-104).

Promises: nobody speaks without a client certificate that is judged now and is that of a named application; requests
have budgets of size, time and number; each patient is answered for himself, by a code, a reason and a place in words of
ours; a request's address and body, which hold identities, are in no log line. Does not: read what is said, or write it
(gateway.identities wires that).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from certs import tls
from certs.tls import PeerShown
from gateway.doors import web
from gateway.doors.budgets import Rate, block
from gateway.doors.certified import Certified
from gateway.doors.ports import bind
from gateway.doors.shown import Shown, following
from relay.peering import Turned

PATIENT, BATCH, ABOUT = "/fhir/Patient", "/fhir", "/fhir/metadata"
CODES = "urn:pli:identity-feed"
KINDS = ("application/fhir+json", "application/json")
BODY_S = 30.0
HEAD_MOST = 16 * 1024
_log = structlog.get_logger("gateway.doors")


class Said(StrEnum):
    """What became of what was said of one patient."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    OLDER = "older"
    """Its application has said something later since: that stands."""
    MERGED = "merged"
    REFUSED = "refused"
    LATER = "later"
    """The store does not answer: to be said again."""


_STATUS = {Said.CREATED: 201, Said.REFUSED: 422, Said.LATER: 503}
_ISSUES = {Said.REFUSED: ("error", "processing"), Said.LATER: ("error", "transient")}


@dataclass(frozen=True)
class Answer:
    said: Said
    words: str = ""
    at: str = ""
    """A path of FHIR."""

    @property
    def status(self) -> int:
        return _STATUS.get(self.said, 200)


Many: TypeAlias = tuple[Answer, ...]


@dataclass(frozen=True)
class FeedSpec:
    """One tenant's door. `judge`, `one` and `many` run in a thread."""

    tenant: str
    host: str
    port: int
    contexts: tls.Contexts
    judge: Callable[[PeerShown | None], Certified | Turned]
    one: Callable[[str, str, bytes], Answer]
    """(account, `Patient?…`, body): of one patient."""
    many: Callable[[str, bytes], Many | Answer]
    """Of each entry of a batch; one answer where it is no batch."""
    rate: Rate
    max_bytes: int = 1_048_576
    connections: int = 20


class _Away(Exception):
    """This request is answered without being read further."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


_WORDS = {
    403: "this certificate is not that of an application that may speak here",
    413: "larger than this door takes, or too slow",
    415: "FHIR in JSON is taken here",
    429: "too many requests: wait a minute",
    503: "whether this certificate is revoked cannot be told now: say it again",
}


class Feeding:
    """The answers of one door."""

    def __init__(self, spec: FeedSpec) -> None:
        self._spec = spec

    def routes(self) -> list[Route]:
        told = ((PATIENT, self._one, "PUT"), (BATCH, self._many, "POST"), (ABOUT, self._about, "GET"))
        return [Route(path, self._guarded(answer), methods=[method]) for path, answer, method in told]

    def _guarded(self, answer: Callable[[Request, str], Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                return await answer(request, await self._who(request))
            except _Away as away:
                facts = {"tenant": self._spec.tenant, "client": _client(request), "status": away.status}
                _log.warning("identities-turned-away", **facts, why=away.why)
                words = Answer(Said.REFUSED, _WORDS[away.status])
                return _fhir(outcome(words), away.status, {"retry-after": "60"} if away.status in (429, 503) else {})

        return guarded

    async def _who(self, request: Request) -> str:
        """The account of the application. Raises _Away."""
        if not self._spec.rate.take(block(_client(request))):
            raise _Away(429, "too-many")
        found = await asyncio.to_thread(self._spec.judge, request.state.shown)
        if isinstance(found, Turned):
            raise _Away(403 if found.permanent else 503, f"certificate-{found.detail}")
        return found.account

    async def _body(self, request: Request) -> bytes:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in KINDS:
            raise _Away(415, "content-type")
        data = await web.body(request, self._spec.max_bytes, BODY_S)
        if data is None:
            raise _Away(413, "too-large")
        return data

    async def _one(self, request: Request, account: str) -> Response:
        url = f"Patient?{request.url.query}"
        answer = await asyncio.to_thread(self._spec.one, account, url, await self._body(request))
        self._note(account, [answer])
        return _answered(answer)

    async def _many(self, request: Request, account: str) -> Response:
        answers = await asyncio.to_thread(self._spec.many, account, await self._body(request))
        self._note(account, [answers] if isinstance(answers, Answer) else answers)
        return _answered(answers) if isinstance(answers, Answer) else _fhir(batch(answers), 200)

    async def _about(self, _: Request, __: str) -> Response:
        return _fhir(capabilities(), 200)

    def _note(self, account: str, answers: Sequence[Answer]) -> None:
        """Counts, and reasons with their places: words of ours alone."""
        counted = {said.value: number for said, number in Counter(each.said for each in answers).items()}
        why = sorted({f"{each.at}: {each.words}" for each in answers if each.said in _ISSUES})
        facts = {"tenant": self._spec.tenant, "account": account, **counted}
        (_log.warning if why else _log.info)("identities-answered", **facts, **({"why": why[:10]} if why else {}))


def _client(request: Request) -> str:
    return request.client.host if request.client else ""


# --- what is answered -----------------------------------------------------------------------------------------------


def outcome(answer: Answer) -> dict[str, Any]:
    """OperationOutcome: the code, and for a refusal its reason and place."""
    severity, kind = _ISSUES.get(answer.said, ("information", "informational"))
    coded = {"coding": [{"system": CODES, "code": answer.said.value}]}
    issue: dict[str, Any] = {"severity": severity, "code": kind, "details": coded}
    issue |= {"diagnostics": answer.words} if answer.words else {}
    issue |= {"expression": [answer.at]} if answer.at else {}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def batch(answers: Many) -> dict[str, Any]:
    """batch-response: an answer for each entry, in their order."""
    entries = [{"response": {"status": str(each.status), "outcome": outcome(each)}} for each in answers]
    return {"resourceType": "Bundle", "type": "batch-response", "entry": entries}


def capabilities() -> dict[str, Any]:
    """What ITI-104 §3.104.4.1.3 asks a server to tell of itself."""
    patient = {
        "type": "Patient",
        "interaction": [{"code": "update"}],
        "updateCreate": False,
        "conditionalUpdate": True,
        "searchParam": [{"name": "identifier", "type": "token"}],
    }
    rest = {"mode": "server", "resource": [patient], "interaction": [{"code": "batch"}]}
    head = {"resourceType": "CapabilityStatement", "status": "active", "date": "2026-11-26", "kind": "instance"}
    told = {"fhirVersion": "4.0.1", "format": ["json"], "software": {"name": "Pli"}, "rest": [rest]}
    return {**head, "implementation": {"description": "Identities of patients (ITI-104)"}, **told}


def _answered(answer: Answer) -> Response:
    return _fhir(outcome(answer), answer.status, {"retry-after": "60"} if answer.said is Said.LATER else {})


def _fhir(told: dict[str, Any], status: int, more: dict[str, str] | None = None) -> Response:
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff", **(more or {})}
    return Response(json.dumps(told), status, headers, media_type=KINDS[0])


# --- the door -------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def opened(spec: FeedSpec) -> AsyncIterator[int]:
    """Serves while inside; gives the port. Raises PortUnusable."""
    app = Starlette(routes=Feeding(spec).routes(), exception_handlers={Exception: web.surprise})
    listener = bind(spec.host, spec.port, shared=False)
    told = web.quiet(app, spec.connections, HEAD_MOST, Shown)
    told.load()
    told.ssl = following(spec.contexts)
    async with web.running(told, listener) as got:
        yield got
