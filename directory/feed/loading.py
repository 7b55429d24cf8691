"""The first plan of a region as LDIF for slapadd(8), and the ledger that then says it was taken.

Promises: entries and ledger are those that an ordinary apply would have made; a plan that is more than a first one, or
one whose source has been taken already, is refused. Loaded and not noted, the plan is applied as any: what is there is
taken as it is. Does not: run slapadd (gateway.loading does), nor look at what the directory holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path

from directory.feed import ledger, plan, records
from directory.feed.items import FIELDS, Source
from directory.feed.ledger import Ledger, Taken
from directory.feed.limits import Kind
from directory.feed.plan import Head
from directory.ldif import record

BATCH = 5_000


def refusal(head: Head, source: Source, last: Taken | None) -> str:
    """Why this plan cannot be loaded, in French; empty where it can."""
    if head.source != source.name:
        return f"ce plan est pour la source {head.source}"
    if source.owns:
        return f"la source {source.name} complète des fiches, elle n'en crée pas : appliquez ce plan"
    if last is not None:
        return "un fichier de cette source a déjà été appliqué : appliquez ce plan"
    if any(count for kind, count in head.counts.items() if kind != Kind.CREATE.value):
        return "ce plan n'est pas une première charge : il ne fait pas que créer"
    return ""


def ldif_of(path: Path, source: Source, suffix: str, now: datetime) -> Iterator[str]:
    """Each entry as an apply at this moment would make it. Raises FeedError."""
    for change in plan.changes_of(path):
        said = change.after or {}
        made = records.attributes(source.name, change.branch, change.key, said) | records.seen(now)
        yield record(records.dn(change.branch, change.key, said, suffix), made)


def note(book: Ledger, source: Source, path: Path, now: datetime, progress: Callable[[int], None]) -> None:
    """The source has said all of it. Raises FeedError, BusyLedger."""
    head, changes = plan.head_of(path), plan.changes_of(path)
    with book.opened() as link:
        while batch := list(islice(changes, BATCH)):
            for change in batch:
                values = tuple((change.after or {}).get(name, "") for name in FIELDS[change.branch])
                ledger.hold(link, source.name, change.branch, change.key, values)
            link.commit()
            progress(len(batch))
        ledger.finished(link, Taken(source.name, head.dated, head.digest, head.items, now.isoformat()))
        link.commit()
