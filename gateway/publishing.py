"""The wiring of publication: what is wanted of our mailboxes, and one round of telling the national directory.

Promises: a round reads what came back, then sends what is due; each answer is kept before the next batch is sent, so
that a round that is cut repeats little; pauses between tries grow as publication.retry_s says, spread among mailboxes.
Does not: run by itself (gateway.upkeep, or somebody who types `pli directory publish`, does), nor decide what a try
means (the adapters do).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from directory.announcement import Announcement, Fate, Publisher, Told, Wish, of_entry
from directory.dropping import FileDrop
from directory.model import Entry
from directory.pace import Pace
from directory.patching import FhirPatcher
from gateway import app
from gateway.administration_section import Adapter, PublicationSection
from gateway.config import ConfigError, Settings
from relay import schedule
from relay.schedule import Policy
from relay.store import publications
from relay.store.publications import Publication, Settled, State

BATCH = 100
"""Answers of one write."""


@dataclass
class Round:
    """What one round did, by fate."""

    reported: Counter[Fate] = field(default_factory=Counter)
    sent: Counter[Fate] = field(default_factory=Counter)


def wish(settings: Settings, entries: Iterable[Entry], by: str, *, published: bool = True) -> int:
    """Keeps what is wanted of them; how many changed. Of a kind that is not published nothing is wanted."""
    kinds = settings.publication.kinds
    texts = {each.address.key: of_entry(each).text() if published and each.kind in kinds else "" for each in entries}
    return publications.want(app.client(settings), settings.node.tenant, texts, by) if texts else 0


@contextmanager
def publisher(settings: Settings, now: datetime) -> Iterator[Publisher | None]:
    """None: no adapter is configured. Raises ConfigError."""
    told = settings.publication
    if told.adapter is Adapter.DROP and told.folder:
        yield FileDrop(told.folder, now)
    elif told.adapter is Adapter.FHIR_PATCH and told.key_file:
        key = app.secret(told.key_file).decode()
        patcher = FhirPatcher(told.url, key, Pace(told.calls_per_s), told.timeout_s)
        try:
            yield patcher
        finally:
            patcher.close()
    else:
        yield None


def run(settings: Settings, progress: Callable[[int], None] = lambda _: None) -> Round:
    """One round. Raises ConfigError, StoreDown."""
    now, done = app.clock(), Round()
    with publisher(settings, now) as to:
        if to is None:
            return done
        try:
            _read_reports(settings, to, now, done)
            for batch in _batches(_due(settings, now)):
                answers = list(to.publish([_wish(each) for each in batch]))
                _keep(settings, {each.address: each for each in batch}, answers, now)
                done.sent.update(each.fate for each in answers)
                progress(len(batch))
                if len(answers) < len(batch):
                    break  # the other side has enough: the rest is due as before
        except OSError as error:
            raise ConfigError(f"publication.folder: {error.filename}: {error.strerror}") from None
    return done


def counts(settings: Settings) -> dict[State, int]:
    return publications.counts(app.reader(settings.database_url), settings.node.tenant)


def in_vain(settings: Settings) -> int:
    """Mailboxes that are due, and were tried before."""
    return sum(each.attempts > 0 for each in listed(settings, (State.DUE,)))


def listed(settings: Settings, states: Sequence[State]) -> list[Publication]:
    return publications.listed(app.reader(settings.database_url), settings.node.tenant, states)


def known(settings: Settings) -> frozenset[str]:
    """Mailboxes of which something was wanted once."""
    return frozenset(each.address for each in listed(settings, tuple(State)))


def is_wanted(settings: Settings, address: str) -> bool:
    row = publications.one(app.reader(settings.database_url), settings.node.tenant, address)
    return bool(row and row.wanted)


def again(settings: Settings) -> int:
    return publications.again(app.client(settings), settings.node.tenant)


# --- one round ----------------------------------------------------------------------------------------------------


def _due(settings: Settings, now: datetime) -> Iterator[Publication]:
    yield from publications.due(app.reader(settings.database_url), settings.node.tenant, now, limit=100_000)


def _batches(rows: Iterator[Publication]) -> Iterator[list[Publication]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _wish(row: Publication) -> Wish:
    wanted, published = Announcement.of_text(row.wanted), Announcement.of_text(row.published)
    return Wish(row.address, wanted, published, row.attempts)


def _read_reports(settings: Settings, to: Publisher, now: datetime, done: Round) -> None:
    """A report is about a wish by its reference: one about an older wish says nothing of this one."""
    for batch in to.reports():
        known = {each.address: each for each in listed(settings, tuple(State))}
        ours = [each for each in batch if each.address in known]
        said = [each for each in ours if _wish(known[each.address]).reference == each.reference]
        _keep(settings, known, said, now)
        done.reported.update(each.fate for each in said)


def _keep(settings: Settings, known: dict[str, Publication], answers: Sequence[Told], now: datetime) -> None:
    told = settings.publication
    settled = [_settled(told, known[each.address], each, now) for each in answers]
    publications.settle(app.client(settings), settings.node.tenant, settled)


_STATES = {Fate.DONE: State.DONE, Fate.SENT: State.SENT, Fate.LATER: State.DUE, Fate.NEVER: State.REFUSED}


def _settled(told: PublicationSection, row: Publication, answer: Told, now: datetime) -> Settled:
    due_at = None
    if answer.fate is Fate.SENT:
        due_at = now + timedelta(seconds=told.report_s)
    if answer.fate is Fate.LATER:
        policy = Policy(told.retry_s, lifetime_s=timedelta.max.total_seconds() / 1e4)
        due_at = schedule.next_due(policy, row.address, row.attempts + 1, now, now)
    return Settled(row.address, row.wanted, _STATES[answer.fate], answer.reason, due_at)
