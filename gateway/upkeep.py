"""What a node does by the clock: it tells the national directory of its mailboxes, climbs the ladder of those that
nobody uses, looks how old the directory's sources are, and shows patients the results that were announced to them.

Promises: each work comes again and again until the node stops; one that could not be done is Later: tried again, ever
more slowly up to an hour, and said, in a line of the log, in `pli health` and as a metric, until it is done. A mailbox
that cannot be moved keeps no other one back. Does not: decide what is due (publishing, inactivity and the ledger do),
or let letters in or keep them out. Of several nodes on one database only one is told to do a work.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from certs import disk
from certs.model import Clock
from gateway import roster
from gateway.administration_section import Adapter
from gateway.config import ConfigError, Settings

FIRST_S = 5.0
"""After the start."""
ANNOUNCE_S, PUBLISH_S, HOUR_S, DAY_S = 10.0, 60.0, 3600.0, 86_400.0
LOOK_S = 1.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 60.0, HOUR_S
"""After a work that could not be done; doubles."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Done:
    """How a work went; `said`: a sentence for the operator, in which no person is named."""

    ok: bool
    said: str


@dataclass(frozen=True)
class Work:
    name: str
    tenant: str
    every_s: float
    act: Callable[[], Done]


def works(settings: Settings, clock: Clock) -> list[Work]:
    """What this node is told to do, for each of its tenants."""
    return [work for view in settings.views for work in _of(view, clock)]


def _of(view: Settings, clock: Clock) -> Iterator[Work]:
    tenant = view.node.tenant
    if view.publication.adapter is not Adapter.NONE:
        yield Work("publication", tenant, PUBLISH_S, lambda: _publish(view))
    if view.lifecycle.by:
        yield Work("unused mailboxes", tenant, DAY_S, lambda: _climb(view, clock()))
    if view.feed is not None:
        yield Work("sources of the directory", tenant, HOUR_S, lambda: _age(view, clock()))
    if roster.hides(view):
        yield Work("announced results", tenant, ANNOUNCE_S, lambda: _announce(view))


# --- the works ------------------------------------------------------------------------------------------------


def _publish(view: Settings) -> Done:
    from gateway import publishing
    from relay.store.publications import State

    publishing.run(view)
    counts, in_vain = publishing.counts(view), publishing.in_vain(view)
    said = f"{counts[State.DUE]} due, {in_vain} of them tried in vain, {counts[State.SENT]} await a report"
    refused = counts[State.REFUSED]
    words = f"{said}, {refused} refused: pli directory publish --status" if refused or in_vain else said
    return Done(not refused and not in_vain, words)


def _climb(view: Settings, now: datetime) -> Done:
    """The directory away, or the store down, ends a round; what one mailbox is in, its own act."""
    from gateway import inactivity
    from relay.spooler import StoreDown

    by, done, left = view.lifecycle.by, 0, 0
    for each in list(inactivity.idle(view, now, by)):
        try:
            done += bool(inactivity.act(view, each, by))
        except (ConfigError, StoreDown):
            raise
        except Exception as error:
            left += 1
            _log.warning("upkeep.mailbox-left", rung=each.rung.value, error=type(error).__name__)
    return Done(not left, f"{done} moved, {left} could not be: the log says why" if left else f"{done} moved")


def _age(view: Settings, now: datetime) -> Done:
    from directory.feed import sources
    from gateway import feeding

    held = feeding.ledger(view).every()
    limits = {each.source: timedelta(hours=sources.KNOWN[each.source].stale_hours) for each in held}
    old = [each.source for each in held if now - datetime.fromisoformat(each.dated) > limits[each.source]]
    return Done(not old, f"too old: {', '.join(old)}" if old else f"{len(held)} sources are fresh")


def _announce(view: Settings) -> Done:
    from gateway import announcing

    told = announcing.run(view)
    left = f", {told.left} could not be: the log says why" if told.left else ""
    return Done(not told.left, f"{told.shown} shown to their patients, {told.waiting} await their announcement{left}")


# --- by the clock -----------------------------------------------------------------------------------------------


@dataclass
class _Turn:
    work: Work
    due: datetime
    pause_s: float = FIRST_PAUSE_S
    late: bool = False


@dataclass
class Upkeep:
    """One node's."""

    works: list[Work]
    path: Path
    """What `pli health` reads."""
    clock: Clock
    _turns: list[_Turn] = field(default_factory=list)

    def run(self, stop: threading.Event) -> None:
        while not stop.wait(LOOK_S):
            self.look()

    def look(self) -> None:
        """Does what is due now."""
        now = self.clock()
        if not self._turns:
            self._turns = [_Turn(work, now + timedelta(seconds=FIRST_S)) for work in self.works]
        for turn in self._turns:
            if turn.due <= now:
                self._do(turn)

    def _do(self, turn: _Turn) -> None:
        done = _done(turn.work)
        self._say(turn, done)
        wait = turn.work.every_s if done.ok else min(turn.pause_s, turn.work.every_s)
        turn.pause_s = FIRST_PAUSE_S if done.ok else min(turn.pause_s * 2, LONGEST_PAUSE_S)
        turn.due = self.clock() + timedelta(seconds=wait * random.uniform(0.9, 1.1))  # noqa: S311
        _keep(self.path, turn.work, done, self.clock())

    def _say(self, turn: _Turn, done: Done) -> None:
        """Once when it begins to be late, once when it is not any more."""
        facts = {"work": turn.work.name, "tenant": turn.work.tenant, "said": done.said}
        if not done.ok and not turn.late:
            _log.error("alarm-upkeep-late", **facts)
        elif done.ok and turn.late:
            _log.info("upkeep-done-again", **facts)
        turn.late = not done.ok


def _done(work: Work) -> Done:
    """A surprise ends a turn, not the process."""
    try:
        return work.act()
    except ConfigError as error:
        return Done(False, str(error))
    except Exception as error:
        return Done(False, f"it could not be done ({type(error).__name__})")


# --- what is said of it ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """How one work last went."""

    work: str
    tenant: str
    ok: bool
    said: str
    at: str


def file_of(settings: Settings) -> Path:
    return settings.paths.run / "upkeep.json"


def said(settings: Settings) -> tuple[Said, ...]:
    """Of the works of these settings, those that were tried since the node started."""
    from gateway import app

    mine = {(each.name, each.tenant) for each in works(settings, app.clock)}
    return tuple(each for each in _read(file_of(settings)) if (each.work, each.tenant) in mine)


def _read(path: Path) -> list[Said]:
    try:
        return [Said(**each) for each in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError):
        return []


def _keep(path: Path, work: Work, done: Done, at: datetime) -> None:
    others = [each for each in _read(path) if (each.work, each.tenant) != (work.name, work.tenant)]
    now = Said(work.name, work.tenant, done.ok, done.said, at.isoformat(timespec="seconds"))
    disk.put(path, json.dumps([asdict(each) for each in (*others, now)], ensure_ascii=False).encode())


def serve(settings: Settings, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Until `stop`. A work under way then is left where it is: each can be cut and done again."""
    from gateway import app

    file_of(settings).unlink(missing_ok=True)
    upkeep = Upkeep(works(settings, app.clock), file_of(settings), app.clock)
    threading.Thread(target=upkeep.run, args=(stop,), daemon=True).start()
    ready()
    stop.wait()
