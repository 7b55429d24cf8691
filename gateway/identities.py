"""The wiring of the identity feed over HTTPS: what an application says of a patient in, what became of it out, and the
patient in the register.

Promises: 'created', 'updated', 'merged' only once the register has it on the disk; what one application says of a
domain that is not its own is refused; the process has no key that opens an identity. Does not: speak HTTP
(gateway.doors.identities), or read FHIR (dmp_bridge.pixm).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import structlog

from certs import tls
from certs.model import Clock
from dmp_bridge import enrolment, pixm
from dmp_bridge.pixm import Speaker, Unfit
from gateway import app, entrance, patients_desk
from gateway.config import ConfigError, Settings
from gateway.doors import identities as door
from gateway.doors.budgets import Rate
from gateway.doors.certified import Certified, Judge
from gateway.doors.identities import Answer, FeedSpec, Many, Said
from gateway.doors.ports import PortUnusable
from gateway.identities_section import IdentitiesSection
from relay.model import Reason
from relay.peering import Turned
from relay.pseudonym import Pseudonyms
from relay.spooler import StoreDown, StoreRefused
from relay.store.bodies import seal_bytes

_log = structlog.get_logger(__name__)

FEED_IN = tls.Role("identities-in", serves=True, theirs=ssl.CERT_REQUIRED, resumes=False)
_SAID = {"new": Said.CREATED, "changed": Said.UPDATED, "older": Said.OLDER, "kept": Said.MERGED}
_LATER = Answer(Said.LATER, "the store does not answer: say it again")


@dataclass(frozen=True)
class Feed:
    """One tenant's register, fed by its applications."""

    tenant: str
    client: enrolment.Writer
    pseudonyms: Pseudonyms
    seal: enrolment.Seal
    domains: Mapping[str, str]
    """By account: of which domain it is the source."""
    clock: Clock
    entries_most: int = 200
    lifted: Callable[[str], object] = lambda _: None
    """Told of a patient who refuses something no more: what waited for that is sent."""

    def one(self, account: str, url: str, data: bytes) -> Answer:
        """Of one request: `Patient?identifier=…` and its body."""
        told = pixm.document(data)
        return _refused(told) if isinstance(told, Unfit) else self._said(account, url, told)

    def many(self, account: str, data: bytes) -> Many | Answer:
        """Of each entry of a batch, each its own transaction."""
        told = pixm.document(data)
        if isinstance(told, Unfit):
            return _refused(told)
        entries = told.get("entry")
        if (told.get("resourceType"), told.get("type")) != ("Bundle", "batch") or not isinstance(entries, list):
            return Answer(Said.REFUSED, "a Bundle of type batch: each patient is taken for himself", "Bundle.type")
        if not 0 < len(entries) <= self.entries_most:
            return Answer(Said.REFUSED, f"at most {self.entries_most} patients a batch, and one", "Bundle.entry")
        return tuple(self._entry(account, each) for each in entries)

    def _entry(self, account: str, entry: Any) -> Answer:
        resource, request = (entry.get(name) if isinstance(entry, dict) else None for name in ("resource", "request"))
        if not isinstance(resource, dict) or not isinstance(request, dict) or request.get("method") != "PUT":
            return Answer(Said.REFUSED, "a patient, and a request of method PUT", "Bundle.entry")
        return self._said(account, request.get("url"), resource)

    def _said(self, account: str, url: object, resource: dict[str, Any]) -> Answer:
        named = pixm.asked(url) if isinstance(url, str) else Unfit("a request has its url", "Bundle.entry.request")
        if isinstance(named, Unfit):
            return _refused(named)
        notice = pixm.read(resource, named, Speaker(f"api:{account}"[:64], self.domains[account]), self.clock())
        return _refused(notice) if isinstance(notice, Unfit) else self._fed(notice)

    def _fed(self, notice: enrolment.Notice) -> Answer:
        try:
            fed = enrolment.feed(self.client, self.tenant, notice, self.pseudonyms, self.seal)
        except StoreRefused as refused:
            return Answer(Said.REFUSED, str(refused), "Patient.link")
        except StoreDown:
            return _LATER
        except Exception as surprise:  # a mistake of ours is not the application's: it may be said again
            _log.error("identities-surprise", error=type(surprise).__name__)
            return replace(_LATER, words="something went wrong here: say it again")
        if fed.lifted:
            self._go_on(fed.patient_id)
        said = _SAID[fed.outcome]
        return Answer(Said.UNCHANGED if fed.same and said is Said.UPDATED else said)

    def _go_on(self, patient_id: str) -> None:
        """It is in the register, whatever becomes of this: what is not sent stays on the work list."""
        try:
            self.lifted(patient_id)
        except Exception as surprise:
            _log.error("identities-not-sent-again", error=type(surprise).__name__)


def _refused(unfit: Unfit) -> Answer:
    return Answer(Said.REFUSED, unfit.words, unfit.at)


# --- the process ----------------------------------------------------------------------------------------------------


def serve(settings: Settings, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Opens every tenant's door and serves until `stop`. Raises ConfigError where a port or a file cannot be used."""
    specs = [spec_of(view, view.identities) for view in settings.views if view.identities]
    try:
        asyncio.run(_serve(specs, stop, ready))
    except PortUnusable as error:
        raise ConfigError(str(error)) from None


async def _serve(specs: list[FeedSpec], stop: threading.Event, ready: Callable[[], None]) -> None:
    async with contextlib.AsyncExitStack() as doors:
        for spec in specs:
            await doors.enter_async_context(door.opened(spec))
        ready()
        await asyncio.to_thread(stop.wait)


def feed_of(settings: Settings, section: IdentitiesSection) -> Feed:
    public, names = app.body_key(settings), app.pseudonyms(settings)
    return Feed(
        tenant=settings.node.tenant,
        client=app.client(settings),
        pseudonyms=names,
        seal=lambda data: seal_bytes(public(), data),
        domains=section.systems,
        clock=app.clock,
        entries_most=section.entries,
        lifted=partial(_lifted, settings),
    )


def _lifted(settings: Settings, patient_id: str) -> None:
    """What waited for it is sent; a refusal that stands elsewhere keeps it back."""
    sent = patients_desk.send_waiting(settings, patient_id, "api", pixm.EVENT)
    _log.info("identities-lifted", tenant=settings.node.tenant, sent=sent)


def spec_of(settings: Settings, section: IdentitiesSection) -> FeedSpec:
    """The door of one tenant: its certificate, its accounts, its register."""
    feed, trust = feed_of(settings, section), app.trust(settings)
    judge = Judge(trust, app.accounts(settings), settings.trust.cannot_tell, app.clock)
    return FeedSpec(
        tenant=settings.node.tenant,
        host=section.host,
        port=section.port,
        contexts=entrance.contexts_of(settings, FEED_IN, trust),
        judge=lambda shown: named(judge.judge(shown), section.systems),
        one=feed.one,
        many=feed.many,
        rate=Rate(section.requests_per_minute, 60.0, app.clock),
        max_bytes=section.max_bytes,
        connections=section.connections,
    )


def named(found: Certified | Turned, systems: Mapping[str, str]) -> Certified | Turned:
    """A mailbox's certificate opens its mail, and not the register: its account must be named here."""
    if isinstance(found, Certified) and found.account.lower() not in systems:
        return Turned(Reason.AUTH_FAILED, "not-named", permanent=True)
    return replace(found, account=found.account.lower()) if isinstance(found, Certified) else found
