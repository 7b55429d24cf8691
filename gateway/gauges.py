"""What the store, the disk and the files of a node say, as Prometheus metrics.

Promises: read only, and cheap: the journal is read from where the last look ended; a destination has a name of its own
only among the few with most letters waiting, all others are one; a patient's address is no destination (its domain is).
Does not: name a mailbox, a person or a letter.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry
from sqlalchemy import Engine, and_, func, select
from sqlalchemy.exc import SQLAlchemyError

from dmp_bridge.model import FilingReason
from dmp_bridge.tables import worklist
from relay.model import Reason, State
from relay.store.publications import publications
from relay.store.tables import journal, letters, recipients

REASONS = frozenset({each.value for each in (*Reason, *FilingReason)})
WAITING = (State.QUEUED.value, State.RUNNING.value, State.HELD.value)
SETTLED = ("relayed", "delivered", "filed", "shown", "failed")
OTHERS = "others"
BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 43200, 172800, 432000)
AT_MOST = 50_000
"""Journal rows read at one look; what is left is read at the next."""


class Queue(Collector):
    """What waits now."""

    def __init__(
        self, engine: Engine, clock: Callable[[], datetime], destinations: int, tenants: tuple[str, ...] = ()
    ) -> None:
        self._engine, self._clock, self._most, self._tenants = engine, clock, destinations, tenants

    def collect(self) -> Iterator[Metric]:
        try:
            with self._engine.connect() as conn:
                yield from self._waiting(conn)
                yield self._destinations(conn)
                yield self._worklist(conn)
                yield self._publications(conn)
        except SQLAlchemyError:
            return  # the health says that the store cannot be read

    def _waiting(self, conn: Any) -> Iterator[Metric]:
        many = GaugeMetricFamily(
            "pli_queue_recipients", "Recipients not yet settled.", labels=["tenant", "state", "mode"]
        )
        oldest = GaugeMetricFamily("pli_queue_oldest_seconds", "Age of the oldest of them.", labels=["tenant", "mode"])
        r, ages = recipients, dict[tuple[str, str], datetime]()
        grouped = select(r.c.tenant, r.c.state, r.c.mode, func.count(), func.min(r.c.queued_at))
        for tenant, state, mode, count, since in conn.execute(
            grouped.where(r.c.state.in_(WAITING)).group_by(r.c.tenant, r.c.state, r.c.mode)
        ):
            many.add_metric([tenant, state, mode], count)
            ages[tenant, mode] = min(since, ages.get((tenant, mode), since))
        for (tenant, mode), since in ages.items():
            oldest.add_metric([tenant, mode], max(0.0, (self._clock() - since).total_seconds()))
        yield many
        yield oldest
        notices = GaugeMetricFamily("pli_notices_due", "Recipients whose sender is still to be told.")
        notices.add_metric([], conn.scalar(select(func.count()).where(r.c.notice == "due")) or 0)
        yield notices

    def _destinations(self, conn: Any) -> Metric:
        told = GaugeMetricFamily(
            "pli_destination_recipients", "Recipients that wait, by destination.", labels=["destination"]
        )
        r = recipients
        count = func.count()
        rows = conn.execute(
            select(r.c.target, count).where(r.c.state.in_(WAITING)).group_by(r.c.target).order_by(count.desc())
        ).all()
        for target, number in rows[: self._most]:
            told.add_metric([target], number)
        told.add_metric([OTHERS], sum(number for _, number in rows[self._most :]))
        return told

    def _worklist(self, conn: Any) -> Metric:
        told = GaugeMetricFamily("pli_worklist_documents", "Lines of the work list.", labels=["tenant"])
        rows = conn.execute(select(worklist.c.tenant, func.count().label("lines")).group_by(worklist.c.tenant))
        for tenant, number in (dict.fromkeys(self._tenants, 0) | {row.tenant: row.lines for row in rows}).items():
            told.add_metric([tenant], number)
        return told

    def _publications(self, conn: Any) -> Metric:
        told = GaugeMetricFamily(
            "pli_publications", "Mailboxes by how the national directory has them.", labels=["tenant", "state"]
        )
        p = publications
        for tenant, state, number in conn.execute(
            select(p.c.tenant, p.c.state, func.count()).group_by(p.c.tenant, p.c.state)
        ):
            told.add_metric([tenant, state], number)
        return told


class Happened:
    """What the journal says since this process began: counters and a histogram, brought up to date by `look`."""

    def __init__(self, engine: Engine, registry: CollectorRegistry) -> None:
        self._engine = engine
        self._read: dict[str, int] = {}
        self._events = Counter("pli_events", "Journal rows by event.", ["tenant", "event"], registry=registry)
        self._reasons = Counter(
            "pli_not_served", "Recipients delayed, held or failed, by reason.", ["event", "reason"], registry=registry
        )
        self._accepted = Counter("pli_accepted_letters", "Letters in custody, by door.", ["door"], registry=registry)
        self._bytes = Counter("pli_accepted_bytes", "Their octets.", ["door"], registry=registry)
        self._seconds = Histogram(
            "pli_settled_seconds", "From acceptance to settlement.", ["event"], buckets=BUCKETS, registry=registry
        )
        for event in SETTLED:
            self._seconds.labels(event)
        self._skip()

    def _skip(self) -> None:
        try:
            with self._engine.connect() as conn:
                rows = conn.execute(
                    select(journal.c.chain, func.max(journal.c.number).label("number")).group_by(journal.c.chain)
                )
                self._read = {row.chain: row.number for row in rows}
        except SQLAlchemyError:
            self._read = {}  # no table yet: everything is new

    def look(self) -> None:
        try:
            with self._engine.connect() as conn:
                for chain in conn.scalars(select(journal.c.chain).distinct()).all():
                    self._follow(conn, chain)
        except SQLAlchemyError:
            return

    def _follow(self, conn: Any, chain: str) -> None:
        j, since = journal, self._read.get(chain, 0)
        of = and_(letters.c.tenant == j.c.tenant, letters.c.id == j.c.letter_id)
        rows = select(j.c.number, j.c.tenant, j.c.event, j.c.at, j.c.facts, letters.c.received_at).outerjoin(
            letters, of
        )
        for row in conn.execute(rows.where(j.c.chain == chain, j.c.number > since).order_by(j.c.number).limit(AT_MOST)):
            self._read[chain] = row.number
            self._count(row, json.loads(row.facts))

    def _count(self, row: Any, facts: dict[str, str]) -> None:
        self._events.labels(row.tenant, row.event).inc()
        if row.event == "accepted":
            self._accepted.labels(facts.get("door", "")).inc()
            self._bytes.labels(facts.get("door", "")).inc(int(facts.get("size", 0)))
        if row.event in SETTLED and row.received_at is not None:
            self._seconds.labels(row.event).observe(max(0.0, (row.at - row.received_at).total_seconds()))
        if row.event in ("delayed", "failed", "quarantined"):
            reason = facts.get("reason", "")
            self._reasons.labels(row.event, reason if reason in REASONS else "other").inc()


class Disk(Collector):
    """Room for letters, and how old what must be renewed is."""

    def __init__(self, data: Path, heads: tuple[Path, ...], white_lists: tuple[Path, ...], clock: Any) -> None:
        self._data, self._heads, self._lists, self._clock = data, heads, white_lists, clock

    def collect(self) -> Iterator[Metric]:
        free = GaugeMetricFamily("pli_disk_free_bytes", "Free space where letters are kept.")
        free.add_metric([], shutil.disk_usage(self._data).free)
        yield free
        heads = GaugeMetricFamily(
            "pli_journal_sealed_age_seconds", "Since the journal's heads were last sealed; infinite where never."
        )
        files = [each.stat().st_mtime for folder in self._heads for each in folder.glob("*")]
        heads.add_metric([], self._clock().timestamp() - max(files, default=-math.inf))
        yield heads
        lists = GaugeMetricFamily("pli_white_list_file_age_seconds", "Since the white list's file last changed.")
        if changed := [each.stat().st_mtime for each in self._lists if each.exists()]:
            lists.add_metric([], self._clock().timestamp() - min(changed))
        yield lists
