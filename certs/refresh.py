"""Lists and OCSP answers, fetched before they are needed: what is due, what it is worth, what is kept.

Promises: asks only for the addresses of certificates whose chain reached an anchor; what comes back is kept only when
it is what it claims to be (a list of this issuer, signed by who may, no older than the copy; an answer to our
very question): what is worse never replaces what is better. Each fetch is reported once. Does not: choose the
certificates, loop, or open sockets (`fetch` is passed in).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPCertStatus

from certs import crl, ocsp, revocation, scope, sources
from certs.cache import Cache, Resource, State
from certs.crl import Crl, name_key
from certs.fetch import NotFetched, Outcome
from certs.model import Clock
from certs.revocation import Question, Revocations, Standing

AHEAD = timedelta(minutes=10)
"""By how much the date of what is fetched may be ahead of our clock."""
SOON = timedelta(hours=12)
"""A copy that ends within this time while its address fails wants a person."""


class Fetch(Protocol):
    """certs.fetch.fetch with its reach and budget."""

    def __call__(self, url: str, *, body: bytes | None = None, body_type: str = "") -> Outcome: ...


Report = Callable[[str, dict[str, str]], None]
"""(event, facts) of one fetch."""


@dataclass(frozen=True)
class Worth:
    """Of something fetched: until when it counts; or why it is not kept."""

    until: datetime | None = None
    refused: str = ""


@dataclass(frozen=True)
class Refresh:
    known: Callable[[], Revocations]
    """All that is held, read again when a copy changes."""
    cache: Cache
    fetch: Fetch
    clock: Clock
    chance: Callable[[], float]
    """0 to 1: so that not all nodes come at once."""
    report: Report

    def round(self, questions: Sequence[Question]) -> None:
        """Fetches what is due for these certificates, and forgets what none of them names any more."""
        listed = self._lists(questions)
        answered = self._answers(questions)
        self.cache.forget(frozenset(resource.key for resource in (*listed, *answered)), self.clock())

    # --- lists ------------------------------------------------------------------------------------------------------

    def _lists(self, questions: Sequence[Question]) -> list[Resource]:
        """Several certificates name one address: what is there must be of use to one of them."""
        by_url: dict[str, list[Question]] = {}
        for asked in questions:
            for url in sources.of(asked.certificate).crls:
                by_url.setdefault(url, []).append(asked)
        for url in list(by_url):
            self._list(Resource("crls", url), by_url[url])
            for delta in self._deltas(Resource("crls", url)):
                by_url.setdefault(delta, []).extend(by_url[url])
        for url in by_url:
            self._list(Resource("crls", url), by_url[url])
        return [Resource("crls", url) for url in by_url]

    def _deltas(self, resource: Resource) -> tuple[str, ...]:
        held = self._held_list(resource)
        return sources.deltas(held.listing) if held is not None else ()

    def _list(self, resource: Resource, questions: Sequence[Question]) -> None:
        if not self.cache.state(resource).due(self.clock()):
            return
        with self.cache.alone(resource) as mine:
            if mine:
                self._keep(resource, self.fetch(resource.url), lambda data: self._list_best(resource, data, questions))

    def _list_best(self, resource: Resource, data: bytes, questions: Sequence[Question]) -> Worth:
        worths = [self._list_worth(resource, data, asked) for asked in questions]
        return next((worth for worth in worths if not worth.refused), worths[0])

    def _list_worth(self, resource: Resource, data: bytes, asked: Question) -> Worth:
        try:
            new = crl.read(data)
        except ValueError:
            return Worth(refused="the bytes are no CRL")
        held = self._held_list(resource)
        refused = list_of_another(new, asked) or list_worse(new, held, self.clock())
        if not refused and self.known().signer(new, asked) is None:
            refused = "nobody signed it who may"
        return Worth(new.until, refused)

    def _held_list(self, resource: Resource) -> Crl | None:
        held = self.cache.held(resource)
        try:
            return crl.read(held) if held is not None else None
        except ValueError:
            return None  # a copy that a disk spoiled is worth nothing

    # --- answers ----------------------------------------------------------------------------------------------------

    def _answers(self, questions: Sequence[Question]) -> list[Resource]:
        """Where lists decide, no responder is asked: it learns who writes to whom."""
        kept = []
        for asked in questions:
            resources = _responders(asked.certificate)
            undecided = resources and self.known().answer(asked).standing in (Standing.UNKNOWN, Standing.STALE)
            for resource in resources:
                if undecided or self.cache.held(resource) is not None:
                    kept.append(resource)
                    self._answer(resource, asked)
        return kept

    def _answer(self, resource: Resource, asked: Question) -> None:
        if not self.cache.state(resource).due(self.clock()):
            return
        with self.cache.alone(resource) as mine:
            if mine:
                self._ask_responder(resource, asked)

    def _ask_responder(self, resource: Resource, asked: Question) -> None:
        """By SHA-256, then by SHA-1 where the responder knows no other CertID."""
        *first, last = [ocsp.question(asked.certificate, asked.issuers[0], each) for each in ocsp.ID_HASHES]
        for question in (*first, last):
            outcome = self.fetch(resource.url, body=question.der, body_type=ocsp.REQUEST_TYPE)
            if isinstance(outcome, NotFetched) or question is last:
                break
            if not self._answer_worth(resource, outcome.body, question, asked).refused:
                break
        self._keep(resource, outcome, lambda data: self._answer_worth(resource, data, question, asked))

    def _answer_worth(self, resource: Resource, data: bytes, question: ocsp.Question, asked: Question) -> Worth:
        try:
            answer = ocsp.read(data)
        except ValueError as error:
            return Worth(refused=str(error))
        single = answer.about(asked.certificate, asked.issuers[0])
        if single is None:
            return Worth(refused="it is about another certificate")
        refused = ocsp.replayed(question, answer) or answer_worse(single, self._held_single(resource, asked))
        if not refused and single.this_update > self.clock() + AHEAD:
            refused = "its date is in the future"
        if not refused and not self.known().entitled(answer, asked):
            refused = "nobody signed it who may"
        return Worth(revocation.answer_until(single, self.known().patience), refused)

    def _held_single(self, resource: Resource, asked: Question) -> ocsp.Single | None:
        held = self.cache.held(resource)
        try:
            return ocsp.read(held).about(asked.certificate, asked.issuers[0]) if held is not None else None
        except ValueError:
            return None

    # --- keeping ----------------------------------------------------------------------------------------------------

    def _keep(self, resource: Resource, outcome: Outcome, worth: Callable[[bytes], Worth]) -> None:
        at = self.clock()
        if isinstance(outcome, NotFetched):
            why = " ".join(part for part in (outcome.why.value, outcome.detail) if part)
            return self._failed(resource, at, why, outcome.after_s)
        found = worth(outcome.body)
        if found.refused:
            return self._failed(resource, at, found.refused)
        self._say("revocation-fetched", self.cache.keep(resource, outcome.body, at, found.until, self.chance()))

    def _failed(self, resource: Resource, at: datetime, why: str, after_s: float = 0.0) -> None:
        state = self.cache.failed(resource, at, why, self.chance(), after_s)
        # Never fetched: the standing of its certificates is unknown, and a node may be new; else a copy ends
        alarm = bool(state.fetched) and state.over(at + SOON)
        self._say("alarm-revocation-expires" if alarm else "revocation-not-fetched", state)

    def _say(self, event: str, state: State) -> None:
        facts = {"url": state.url, "until": state.until, "again": state.not_before}
        if state.failures:
            facts |= {"why": state.why, "since": state.since, "failures": str(state.failures)}
        self.report(event, facts)


def _responders(certificate: x509.Certificate) -> list[Resource]:
    about = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
    return [Resource("ocsp", url, about) for url in sources.of(certificate).ocsp]


# --- what comes back must be what it claims -------------------------------------------------------------------------


def list_of_another(new: Crl, asked: Question) -> str:
    """Why a list is not one for this certificate; empty if it is."""
    if new.doubt:
        return f"the list is not usable: {new.doubt}"
    points = [point for point in scope.points(asked.certificate) if point is not None]
    stated = [scope.named(point.crl_issuer) for point in points if point.crl_issuer]
    issuers = frozenset({name_key(asked.certificate.issuer)}).union(*stated)
    return "" if new.issuer in issuers else "the list is of another issuer"


def list_worse(new: Crl, held: Crl | None, at: datetime) -> str:
    """Why a list does not take the place of the one held; empty if it may."""
    if new.this_update > at + AHEAD:
        return "its date is in the future"
    if held is None or new.digest == held.digest:
        return ""
    if new.this_update < held.this_update or held.later_than(new):
        return "the list is older than the one held"
    if over(new, at) and not over(held, at):
        return "the list is over, the one held is not"
    return ""


def over(listing: Crl, at: datetime) -> bool:
    return listing.until is None or listing.until < at


def answer_worse(single: ocsp.Single, held: ocsp.Single | None) -> str:
    """Why an answer does not take the place of the one held; empty if it may."""
    if single.status is OCSPCertStatus.UNKNOWN:
        return "the responder does not know the certificate"
    if held is not None and single.this_update < held.this_update:
        return "the answer is older than the one held"
    return ""
