"""An import of the directory by a person: planned, looked at, applied; what the command and the pages do alike.

Promises: who may import is asked of the roles (Act.IMPORT) before a plan is made and again before it is applied; what
is applied is the plan that was looked at, by its digest; a plan with broken limits needs a named person and a reason.
Does not: show anything, keep plans (gateway.kept_plans does), or write the journal (gateway.feeding does).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from directory import roles
from directory.feed import applying, plan, sources
from directory.feed.applying import Override, Report
from directory.feed.items import Source
from directory.feed.lines import FeedError
from directory.feed.plan import Head
from directory.roles import Act, NotYours
from gateway import administration, feed_files, feeding
from gateway.config import Settings
from gateway.feeding import Order


@dataclass(frozen=True)
class Wanted:
    """Of which source, and what whoever plans says of the file."""

    source: Source
    file: Path
    now: datetime
    dated: datetime | None = None
    """When the source made it; read from the file's name otherwise."""
    departments: tuple[str, ...] = ()


def make_plan(settings: Settings, wanted: Wanted, target: Path, told: Callable[[int], None]) -> Head:
    """Reads the file and writes `target`, changing nothing. `told`: the octets read. Raises FeedError, ConfigError."""
    wish = feeding.wish(settings, wanted.now, wanted.dated, wanted.departments)
    how = feed_files.opened(wanted.source)
    return plan.make(feeding.ledger(settings), wanted.source, wanted.file, target, wish, told, opened=how)


def why_not(settings: Settings, head: Head) -> str:
    """Why this plan is not applied whoever answers for it, in French; empty where it may be."""
    last = feeding.ledger(settings).last(head.source)
    return applying.refusal(head, sources.KNOWN[head.source], last, Override("-", "-"))


def apply(
    settings: Settings, order: Order, told: Callable[[int], None] | None, stop: Callable[[], bool], digest: str = ""
) -> Report:
    """`told`: how many changes were looked at, batch by batch. `digest`: of the plan that was looked at, where it is
    known. Raises FeedError, NotYours, ConfigError, StoreDown."""
    require(settings, order.by)
    if digest and plan.digest_of(order.path) != digest:
        raise FeedError("ce plan n'est plus celui qui a été lu : refaites-le")
    head = plan.head_of(order.path)
    return feeding.apply(settings, sources.KNOWN[head.source], order, told, stop)


def require(settings: Settings, by: str) -> None:
    """What every source says of everybody is the region's to take. Raises NotYours, ConfigError."""
    who = administration.actor(settings, by)
    if not roles.permitted(who, Act.IMPORT, who.establishment):
        raise NotYours(who, Act.IMPORT, who.establishment)
