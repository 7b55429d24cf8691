"""The white list, fetched on a timer: conditional, verified, sane, and the last good one kept.

Promises: the file that doors and carrier read is replaced only by a list that is believed and newer, whole or not at
all; each list that was in use is kept for audit; an old list is an alarm before it is a refusal. Does not: judge a
list (relay.partners does), refuse anything (relay.intake does), or fetch inside a session.
"""

from __future__ import annotations

import random
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import structlog

from certs import disk, fetch
from certs.chain import TrustStore
from certs.fetch import Budget, Fetched, Outcome, Why
from certs.model import Clock
from gateway import app
from gateway.config import Settings
from relay.partners import MAX_BYTES, WhiteList

_log = structlog.get_logger(__name__)

BUDGET = Budget(most_bytes=MAX_BYTES, total_s=120.0)
FIRST_PAUSE_S = 60.0
"""After a failure; doubles up to the poll. The publisher's host limits each address hard (operator.md §2.2)."""

Get = Callable[[str], Outcome]
"""With the validator of what is held."""


@dataclass
class Lists:
    """One node's white list: where it comes from, where it lies."""

    path: Path
    history: Path
    get: Get
    store: Callable[[], TrustStore]
    signer: str
    clock: Clock
    kept: int = 30
    alarm_after: timedelta = timedelta(hours=24)
    _validator: str = ""
    _held: WhiteList | None = field(default=None, repr=False)
    _alarmed: bool = False

    def round(self) -> bool:
        """Looks once. False: it failed, and is to be tried again sooner."""
        held = self._in_use()
        outcome = self.get(self._validator if held else "")
        well = self._take(outcome, held)
        self._watch_age()
        return well

    def _take(self, outcome: Outcome, held: WhiteList | None) -> bool:
        if isinstance(outcome, Fetched):
            return self._judge(outcome, held)
        if outcome.why is Why.NOT_MODIFIED:
            return True
        _log.warning("white-list-not-fetched", why=outcome.why.value, detail=outcome.detail)
        return False

    def _judge(self, found: Fetched, held: WhiteList | None) -> bool:
        answer = WhiteList.load(found.body, self.store(), self.clock(), held, signer=self.signer)
        if not isinstance(answer, WhiteList):
            _log.error("alarm-white-list-not-believed", fault=answer.fault.value, detail=answer.detail)
            return False
        self._validator = found.validator
        if held is None or answer.generated_at > held.generated_at:
            self._put(found.body, answer)
        return True

    def _put(self, data: bytes, answer: WhiteList) -> None:
        self.history.mkdir(mode=0o700, parents=True, exist_ok=True)
        disk.put(self.history / f"{answer.generated_at:%Y%m%dT%H%M%SZ}.xml", data, disk.PUBLIC)
        disk.put(self.path, data, disk.PUBLIC)
        self._held = answer
        for old in sorted(self.history.glob("*.xml"))[: -self.kept]:
            old.unlink()
        _log.info("white-list-new", generated=f"{answer.generated_at:%Y-%m-%dT%H:%M:%SZ}", domains=len(answer.entries))

    def _in_use(self) -> WhiteList | None:
        """The list that doors and carrier read now: somebody may have put another file there."""
        try:
            data = self.path.read_bytes()
        except OSError:
            return None
        answer = WhiteList.load(data, self.store(), self.clock(), signer=self.signer)
        self._held = answer if isinstance(answer, WhiteList) else None
        return self._held

    def _watch_age(self) -> None:
        """Once when it grows old, once when it is fresh again."""
        age = self.clock() - self._held.generated_at if self._held else None
        old = age is None or age > self.alarm_after
        if old and not self._alarmed:
            hours = "none" if age is None else str(int(age.total_seconds() // 3600))
            _log.error("alarm-white-list-old", hours=hours)
        elif self._alarmed and not old:
            _log.info("white-list-fresh-again")
        self._alarmed = old


def lists(settings: Settings, get: Get | None = None) -> Lists:
    from gateway.refresher import reach

    told, store = settings.trust, app.trust(settings)
    url, walls = told.white_list_url, reach(settings)

    def fetched(held: str) -> Outcome:
        return fetch.fetch(url, walls, BUDGET, context=_context(store()), held=held)

    return Lists(
        path=told.white_list,
        history=settings.paths.data / "white-lists",
        get=get or fetched,
        store=store,
        signer=told.white_list_signer,
        clock=app.clock,
        kept=told.white_list_kept,
        alarm_after=timedelta(hours=told.white_list_alarm_hours),
    )


def _context(store: TrustStore) -> ssl.SSLContext:
    """The publisher's host shows a certificate of the trust space itself (operator.md §2.3)."""
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=store.anchors_pem())
    return context


def keep_fresh(settings: Settings, stop: threading.Event) -> None:
    """Looks until `stop`; after a failure sooner, but ever more slowly."""
    running, poll = lists(settings), settings.trust.white_list_poll_s
    pause = FIRST_PAUSE_S
    while True:
        well = _guarded(running)
        wait = poll if well else min(pause, poll)
        pause = FIRST_PAUSE_S if well else pause * 2
        if stop.wait(wait * random.uniform(0.9, 1.1)):  # noqa: S311
            return


def _guarded(running: Lists) -> bool:
    """A surprise ends a look, not the timer."""
    try:
        return running.round()
    except Exception as error:
        _log.error("white-list-surprise", error=type(error).__name__)
        return False
