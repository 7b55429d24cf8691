"""The wiring of the directory's feed: its folder, its ledger, its identity, its journal.

Promises: an import that changes anything is in the journal, with who, which plan and how much, before and after it ran;
the plan that was applied is archived beside its report. Does not: decide what changes (directory.feed does).
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import ldap

from directory import connection
from directory.feed import applying, plan
from directory.feed.applying import Override, Report, Result, Target
from directory.feed.items import Source
from directory.feed.ledger import BusyLedger, Ledger
from directory.feed.limits import Kind
from directory.feed.plan import Head, Wish
from directory.merging import Done
from gateway import app
from gateway.config import ConfigError, Settings
from gateway.feed_section import FeedSection
from relay.journal import SpoolJournal
from relay.model import Event

LDAP_S = 30.0


class DirectoryAway(ConfigError):
    """The directory does not let us write; the text is for the operator."""


def section(settings: Settings) -> FeedSection:
    if settings.feed is None:
        raise ConfigError("feed: this node does not keep a directory; the section [feed] names who may write it")
    return settings.feed


def folder(settings: Settings) -> Path:
    return section(settings).folder or settings.paths.data / "directory"


def ledger(settings: Settings) -> Ledger:
    return Ledger(folder(settings) / "ledger.sqlite")


def wish(settings: Settings, now: datetime, dated: datetime | None, departments: tuple[str, ...]) -> Wish:
    told = section(settings)
    return Wish(now, dated, departments or told.departments, told.limits, told.kept_days)


def target(settings: Settings) -> Target:
    """Bound as the identity that writes. Raises DirectoryAway."""
    told = section(settings)
    try:
        link = connection.opened(
            settings.directory.uri, told.bind_dn, app.secret(told.password_file).decode(), settings.directory.timeout_s
        )
    except ldap.LDAPError as error:
        raise DirectoryAway(f"directory.uri: the directory does not let us in ({type(error).__name__})") from None
    return Target(link, settings.directory.base, LDAP_S)


@dataclass(frozen=True)
class Order:
    """Who applies which plan."""

    path: Path
    by: str
    override: Override | None


def apply(
    settings: Settings,
    source: Source,
    order: Order,
    progress: Callable[[int], None] | None,
    stop: Callable[[], bool],
) -> Report:
    """Applies, journals and archives. Raises FeedError, BusyLedger where another is at it, DirectoryAway, StoreDown."""
    with _alone(folder(settings)):
        return _applied(settings, source, order, progress, stop)


@contextmanager
def _alone(where: Path) -> Iterator[None]:
    """One import is applied at a time, whichever process does; a lock of the system's, which no crash leaves behind."""
    where.mkdir(parents=True, exist_ok=True)
    with (where / "applying.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyLedger("un autre import est en cours dans cet annuaire") from None
        yield


def _applied(
    settings: Settings,
    source: Source,
    order: Order,
    progress: Callable[[int], None] | None,
    stop: Callable[[], bool],
) -> Report:
    records, tenant = SpoolJournal(app.client(settings)), settings.node.tenant
    head, digest = plan.head_of(order.path), plan.digest_of(order.path)
    writer = target(settings)
    # A Ctrl-C is heard between two batches: while we wait for slapd it is no server that went away (EINTR).
    writer.connection.set_option(ldap.OPT_RESTART, 1)
    facts = _facts(head, digest, order)
    records.add(tenant, [Event("directory.import-begun", "", "", tuple(facts.items()))])
    try:
        report = applying.apply(
            ledger(settings), source, order.path, writer, app.clock(),
            override=order.override, progress=progress, stop=stop,
        )  # fmt: skip
    except ldap.LDAPError as error:
        records.add(tenant, [Event("directory.import-broken", "", "", (*facts.items(), ("why", type(error).__name__)))])
        raise DirectoryAway(
            f"the directory went away ({type(error).__name__}): apply the plan again, it goes on where it was"
        ) from None
    records.add(tenant, [Event("directory.import-ended", "", "", (*facts.items(), *told(report).items()))])
    _archive(folder(settings) / "plans", order.path, head, digest, facts | told(report))
    return report


def note(settings: Settings, event: str, done: Done, by: str, why: str) -> None:
    """One change by hand: who, which entry, before, after, why."""
    facts = {"dn": done.dn, "before": done.before, "after": done.after, "by": by, "because": why}
    SpoolJournal(app.client(settings)).add(settings.node.tenant, [Event(event, "", "", tuple(facts.items()))])


def _facts(head: Head, digest: str, order: Order) -> dict[str, Any]:
    facts = {"source": head.source, "plan": digest, "file": head.digest, "dated": head.dated, "by": order.by}
    if order.override:
        facts |= {"answers-for-it": order.override.name, "because": order.override.why}
    return facts


def told(report: Report) -> dict[str, Any]:
    counts = {
        f"{kind}-{result}": report.counts[kind, result]
        for kind in Kind
        for result in Result
        if report.counts[kind, result]
    }
    return {**counts, "stopped": report.stopped}


def _archive(where: Path, path: Path, head: Head, digest: str, report: dict[str, Any]) -> None:
    where.mkdir(parents=True, exist_ok=True)
    name = f"{head.source}-{head.dated[:16].replace(':', '')}-{digest[:12]}"
    if not (where / f"{name}.plan").exists():
        shutil.copyfile(path, where / f"{name}.plan")
    (where / f"{name}.report.json").write_text(json.dumps(report, ensure_ascii=False, indent=1))
