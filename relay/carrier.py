"""The carrier: takes what is due, hands it to the courier of its route, records the outcome, tells the sender.

Promises: a courier's exception is Later and a log line with its type only; leases are renewed while a courier
works; an outcome is recorded before anything else is done, and asked again until the store answers. Killed at any
moment, what it carried is carried by another when the lease ends. Does not: speak a protocol, or judge a mode.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Protocol, TypeAlias

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from certs.keys import KeeperDown
from certs.model import Clock
from relay import overdue, spool
from relay.model import BodyRef, Courier, Done, Job, Later, Letter, Mode, Never, Outcome, Quarantined, Reason, Recipient
from relay.schedule import FACTORY, Policy
from relay.spool import Claimed
from relay.spooler import SpoolClient, StoreDown, StoreRefused

NOTHING = overdue.Swept(0, 0, 0, 0)
_log = structlog.get_logger(__name__)


class Opens(Protocol):
    """relay.store.bodies.BodyStore, as far as it is needed here."""

    def read(self, ref: BodyRef, unwrap: Callable[[bytes], bytes]) -> bytes: ...


class Unwraps(Protocol):
    """certs.keys.KeeperClient, as far as it is needed here."""

    def unwrap(self, wrapped: bytes, letter_id: str) -> bytes: ...


Opened: TypeAlias = Callable[[Letter], bytes]
"""A letter's bytes as received, by its tenant's keys."""


def opener(bodies: Opens, keeper: Unwraps) -> Opened:
    """One tenant's, or of a node that serves but one."""
    return lambda letter: bodies.read(letter.body, lambda key: keeper.unwrap(key, letter.id))


Notice: TypeAlias = Callable[[Letter, tuple[Recipient, ...], Callable[[], bytes]], bool]
"""Answers whether there was anything to say."""
Scrub: TypeAlias = Callable[[str], str]


@dataclass(frozen=True)
class Pace:
    """How much at once, and how often. Seconds."""

    threads: int = 16
    per_target: int = 8
    lease_s: float = 60.0
    idle_s: float = 0.2
    """Between two looks at an empty queue."""
    gather_s: float = 0.02
    """Between two looks while there is something to carry; letters end one by one, and a look costs what a signature
    does."""
    pause_s: float = 1.0
    """After the store did not answer."""
    slow_s: float = 5.0
    """A letter that takes longer gives its place to another, and keeps its thread: what stalls is its peer."""
    threads_most: int = 128
    sweep_s: float = 60.0
    """Between two looks for what has waited too long."""
    policy: Policy = FACTORY


class Carrier:
    """One worker: a name, a pool of threads, and the letters that it leased."""

    def __init__(
        self,
        client: SpoolClient,
        engine: Engine,
        opened: Opened,
        couriers: Mapping[Mode, Courier],
        notice: Notice,
        clock: Clock,
        worker: str,
        pace: Pace = Pace(),
        scrub: Scrub = str,
    ) -> None:
        """`worker`: unique among those that run. `scrub`: takes patients' identities out of a courier's words
        before they are recorded."""
        self._client = client
        self._engine = engine
        self._opened = opened
        self._couriers = dict(couriers)
        self._notice = notice
        self._clock = clock
        self._worker = worker
        self._pace = pace
        self._scrub = scrub
        self._leased: dict[str, Claimed] = {}
        self._notice_waits: dict[str, datetime] = {}
        self._stopped = threading.Event()
        self._closing = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Carries until `stop` is set; then finishes what it holds, and returns."""
        self._closing.clear()
        with self._working() as pool:
            running: dict[Future[None], float] = {}
            told = swept = looked = next_look = -math.inf
            while not stop.is_set():
                now = time.monotonic()
                free = self._free(running, now)
                enough = 4 * free >= self._pace.threads  # a few at once: a claim costs the same for one
                if enough and now >= next_look:
                    begun = self._begin(pool, free)
                    running |= dict.fromkeys(begun, now)
                    looked, next_look = now, now + (self._pace.gather_s if begun else self._pace.idle_s)
                if now - told >= self._pace.idle_s:
                    told = now
                    self._tell()
                if now - swept >= self._pace.sweep_s:
                    swept = now
                    self._sweep()
                pause = max(0.0, next_look - time.monotonic()) if enough else self._pace.idle_s
                if running:
                    ended, _ = wait(running, pause, FIRST_COMPLETED)
                    running = {each: begun for each, begun in running.items() if each not in ended}
                    if ended:  # which made room towards where it went
                        next_look = min(next_look, looked + self._pace.gather_s)
                else:
                    stop.wait(pause)
            self._closing.set()

    def _free(self, running: Mapping[Future[None], float], now: float) -> int:
        """Places for letters: one whose peer stalls counts no more, so that no number of dead peers fills them all."""
        pace = self._pace
        quick = sum(now - begun < pace.slow_s for begun in running.values())
        return max(0, min(pace.threads - quick, pace.threads_most - len(running)))

    def _sweep(self) -> None:
        try:
            found = overdue.sweep(self._client, self._pace.policy)
        except (StoreDown, StoreRefused) as error:
            _log.warning("carrier.cannot-sweep", error=type(error).__name__)
            return
        if found.woken:
            _log.error("alarm-lane-slept", lanes=found.woken)
        if found != NOTHING:
            _log.info("overdue", expired=found.expired, warned=found.warned, silent=found.silent)

    def step(self) -> int:
        """One round, to its end: how many letters were carried."""
        with self._working() as pool:
            begun = self._begin(pool, self._pace.threads)
            wait(begun)
            self._sweep()
            self._tell()
            return len(begun)

    @contextmanager
    def _working(self) -> Iterator[ThreadPoolExecutor]:
        self._stopped.clear()
        renewer = threading.Thread(target=self._renew, name=f"{self._worker}-leases", daemon=True)
        renewer.start()
        try:
            with ThreadPoolExecutor(self._pace.threads_most, thread_name_prefix=self._worker) as pool:
                yield pool
        finally:
            self._stopped.set()
            renewer.join()

    # --- leases

    def _begin(self, pool: ThreadPoolExecutor, free: int) -> set[Future[None]]:
        if free <= 0 or not self._something_is_due():
            return set()
        pace = self._pace
        try:
            claimed = spool.claim(self._client, self._worker, free, pace.lease_s, pace.per_target)
        except (StoreDown, StoreRefused) as error:
            _log.warning("carrier.cannot-claim", error=type(error).__name__)
            self._stopped.wait(pace.pause_s)
            return set()
        self._leased |= {each.lease: each for each in claimed}
        return {pool.submit(self._carry, each) for each in claimed}

    def _something_is_due(self) -> bool:
        """Asked of a reader, so that an idle node does not write."""
        try:
            return spool.is_due(self._engine, self._clock())
        except SQLAlchemyError as error:
            _log.warning("carrier.cannot-read", error=type(error).__name__)
            return True

    def _renew(self) -> None:
        """Three times in the life of a lease, so that one lost answer does not lose it."""
        while not self._stopped.wait(self._pace.lease_s / 3):
            for claimed in list(self._leased.values()):
                try:
                    spool.renew(self._client, claimed, self._worker, self._pace.lease_s)
                except (StoreDown, StoreRefused) as error:
                    _log.warning("carrier.not-renewed", letter=claimed.letter.id, error=type(error).__name__)

    # --- one letter

    def _carry(self, claimed: Claimed) -> None:
        try:
            self._settle(claimed, self._deliver(claimed))
        except Exception as surprise:  # nobody looks into the future; the lease ends, and it is carried again
            _log.error("carrier.surprise", letter=claimed.letter.id, error=type(surprise).__name__)
        finally:
            self._leased.pop(claimed.lease, None)

    def _deliver(self, claimed: Claimed) -> dict[str, Outcome]:
        letter, recipients = claimed.letter, claimed.recipients
        courier = self._couriers.get(recipients[0].route.mode)
        if courier is None:
            return {each.id: Later(Reason.NO_ROUTE, "no courier for this mode") for each in recipients}
        job = Job(letter, recipients, self._raw(letter), claimed.attempt)
        try:
            return {key: self._clean(outcome) for key, outcome in courier.deliver(job).items()}
        except KeeperDown:
            return {each.id: Later(Reason.KEEPER_DOWN) for each in recipients}
        except StoreDown:
            return {each.id: Later(Reason.STORE_DOWN) for each in recipients}
        except Exception as surprise:
            # Its text may hold what nobody should read: the type is enough to begin with.
            kind = type(surprise).__name__
            _log.error("carrier.surprise", letter=letter.id, mode=recipients[0].route.mode.value, error=kind)
            return {each.id: Later(Reason.SURPRISE, kind) for each in recipients}

    def _raw(self, letter: Letter) -> Callable[[], bytes]:
        """Opens the body when it is first asked for, once."""
        return cache(lambda: self._opened(letter))

    def _clean(self, outcome: Outcome) -> Outcome:
        match outcome:
            case Done(reference, _):
                return replace(outcome, reference=self._scrub(reference))
            case Later(_, detail) | Never(_, detail) | Quarantined(_, detail):
                return replace(outcome, detail=self._scrub(detail))
            case _:
                raise TypeError("not an outcome")

    def _settle(self, claimed: Claimed, outcomes: Mapping[str, Outcome]) -> None:
        """Until the store answers, or we are told to end: what is not recorded would be delivered again."""
        while True:
            try:
                pace = self._pace
                spool.settle(self._client, claimed, self._worker, outcomes, (), pace.policy, pace.per_target)
                return
            except StoreRefused as refusal:
                _log.error("carrier.not-settled", letter=claimed.letter.id, why=str(refusal))
                return
            except StoreDown as error:
                _log.warning("carrier.settles-later", letter=claimed.letter.id, error=type(error).__name__)
                if self._closing.wait(self._pace.pause_s):
                    return

    # --- notices

    def _tell(self) -> None:
        try:
            due = spool.due_notices(self._engine)
        except SQLAlchemyError as error:
            _log.warning("carrier.cannot-read", error=type(error).__name__)
            return
        for letter, recipients in due:
            if self._notice_waits.get(letter.id, self._clock()) <= self._clock():
                self._tell_one(letter, recipients)

    def _tell_one(self, letter: Letter, recipients: tuple[Recipient, ...]) -> None:
        try:
            told = self._notice(letter, recipients, self._raw(letter))
            spool.noticed(self._client, letter.tenant, [each.id for each in recipients], told)
            self._notice_waits.pop(letter.id, None)
        except Exception as surprise:
            # It stays due; the pause keeps one that fails from being tried at every turn.
            self._notice_waits[letter.id] = self._clock() + timedelta(seconds=10 * self._pace.pause_s)
            _log.warning("carrier.notice-delayed", letter=letter.id, error=type(surprise).__name__)
