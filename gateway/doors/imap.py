"""The door by which letters come in from mailboxes that we hold at other operators: collected over IMAP.

Promises: each letter enters once, whatever is killed (relay.collected); one that is refused stays where it lies, with
its reason in the journal; nothing at the other operator is deleted or moved, what has entered is marked \\Seen; a
collector that fails tries again, ever more slowly, and says why. Does not: speak IMAP (gateway.imap does) or decide
what is refused (relay.intake does).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from certs.model import Clock
from directory import address
from directory.model import Address
from gateway.imap import Denied, Lost, Mailbox, Opens
from relay import collected, line_ends
from relay import message as mime
from relay.collected import State
from relay.fields import Malformed
from relay.intake import Intake
from relay.model import Asked, BodyRef, Door, DoorProof, Envelope, Origin, Reason, Receipt, Refusal, new_id
from relay.spooler import SpoolClient, StoreDown
from relay.store.bodies import BodyStore

T = TypeVar("T")
_log = structlog.get_logger(__name__)

# A letter that cannot be delivered here still lies in its mailbox there: nobody is told (RFC 3461 §4.1).
_ASKED = Asked(frozenset({"NEVER"}))


@dataclass(frozen=True)
class Pace:
    """Seconds."""

    poll_s: float = 120.0
    """At least so often the mailbox is looked at, whatever IDLE says."""
    first_pause_s: float = 2.0
    """After a failure; doubles up to `last_pause_s`."""
    last_pause_s: float = 300.0


@dataclass(frozen=True)
class Source:
    """A mailbox at another operator, and the mailbox of this node that gets its letters."""

    name: str
    host: str
    to: Address
    opens: Opens
    max_bytes: int
    pace: Pace = Pace()


class _Waits(Exception):
    """Something of ours is in the way; the letter is asked for again later."""


@dataclass(frozen=True)
class Collector:
    source: Source
    tenant: str
    intake: Intake
    bodies: BodyStore
    client: SpoolClient
    reader: Engine
    clock: Clock

    async def run(self, stop: asyncio.Event) -> None:
        """Collects until `stop`."""
        pace, loop = self.source.pace, asyncio.get_running_loop()
        pause = pace.first_pause_s
        while not stop.is_set():
            begun = loop.time()
            await self._told(*await self._session(stop))
            if loop.time() - begun > 10 * pause:
                pause = pace.first_pause_s
            # not all at once, when a server comes back
            await _stopped_within(stop, pause * random.uniform(0.8, 1.2))  # noqa: S311
            pause = min(2 * pause, pace.last_pause_s)

    async def _session(self, stop: asyncio.Event) -> tuple[State, str, str]:
        """One connection, to its end: how the collector is then."""
        try:
            mailbox = await self.source.opens()
            try:
                await self._watch(mailbox, stop)
            finally:
                await mailbox.log_out()
            return State.WAITING, "", "stopped"
        except Lost as error:
            return State.FAILING, Reason.COLLECTOR_LOST, str(error)
        except Denied as error:
            return State.FAILING, Reason.COLLECTOR_DENIED, str(error)
        except _Waits as error:
            return State.WAITING, str(error), ""
        except (StoreDown, SQLAlchemyError):
            return State.WAITING, Reason.STORE_DOWN, ""
        except Exception as surprise:  # whatever a server or a library throws: said by its type, and tried again
            return State.FAILING, Reason.SURPRISE, type(surprise).__name__

    async def _told(self, state: State, reason: str, detail: str) -> None:
        if detail == "stopped":
            return
        _log.warning("collector", source=self.source.name, state=state.value, reason=reason, detail=detail)
        try:
            await _apart(lambda: collected.report(self.client, self.tenant, self.source.name, state, reason, detail))
        except StoreDown:
            _log.warning("collector.not-reported", source=self.source.name)

    async def _watch(self, mailbox: Mailbox, stop: asyncio.Event) -> None:
        name = self.source.name
        await _apart(lambda: collected.report(self.client, self.tenant, name, State.WATCHING))
        stopped = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                await self.collect(mailbox, stop)
                waiting = asyncio.ensure_future(mailbox.wait(self.source.pace.poll_s))
                await asyncio.wait({waiting, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if waiting.done():
                    waiting.result()
                waiting.cancel()
        finally:
            stopped.cancel()

    async def collect(self, mailbox: Mailbox, stop: asyncio.Event) -> None:
        """Takes what is new, in rising order: what has not entered is asked for again, and what follows waits."""
        validity, name = mailbox.uid_validity, self.source.name
        last = await _apart(lambda: collected.last_uid(self.reader, self.tenant, name, validity))
        for uid in await mailbox.uids_after(last):
            if stop.is_set():
                return
            await self._one(mailbox, Origin(name, validity, uid))

    async def _one(self, mailbox: Mailbox, origin: Origin) -> None:
        size = await mailbox.size(origin.uid)
        if size is None:
            return  # deleted meanwhile by its owner
        if size > self.source.max_bytes:
            await self._refused(origin, "", Reason.TOO_LARGE)
            return
        raw = await mailbox.fetch(origin.uid)
        if raw is None:
            return
        if not line_ends.are_whole(raw):
            await self._refused(origin, "", Reason.BARE_LINE_END)
            return
        if await _apart(lambda: self._enter(origin, raw)):
            await mailbox.mark_seen(origin.uid)

    async def _refused(self, origin: Origin, digest: str, reason: str) -> None:
        _log.warning("collector.refused", source=origin.source, uid=origin.uid, reason=reason)
        await _apart(lambda: collected.refuse(self.client, self.tenant, origin, digest, reason))

    # --- in a thread

    def _enter(self, origin: Origin, raw: bytes) -> bool:
        """True: it is in custody. False: refused for good. Raises _Waits, StoreDown."""
        body = self._sealed(raw)
        answer = self._accepted(origin, raw, body)
        if isinstance(answer, Receipt):
            _log.info("collected", source=origin.source, uid=origin.uid, letter=answer.letter_id)
            return True
        if answer.certain:
            self.bodies.erase(body)
        if not answer.permanent:
            raise _Waits(answer.reason)
        _log.warning("collector.refused", source=origin.source, uid=origin.uid, reason=answer.reason)
        collected.refuse(self.client, self.tenant, origin, body.digest, answer.reason)
        return False

    def _sealed(self, raw: bytes) -> BodyRef:
        try:
            return self.bodies.put(raw)
        except OSError as error:
            raise _Waits(Reason.DISK_FULL) from error

    def _accepted(self, origin: Origin, raw: bytes, body: BodyRef) -> Receipt | Refusal:
        to = self.intake.check_recipient(self.source.to, Door.COLLECTED)
        if isinstance(to, Refusal):
            # The mailbox is our own configuration's: while it is unknown the letters wait where they are.
            return Refusal(to.reason, permanent=False)
        at = self.clock()
        envelope = Envelope(
            new_id(at),
            self.tenant,
            Door.COLLECTED,
            sender_of(raw),
            (replace(to, asked=_ASKED),),
            DoorProof(client=self.source.host),
            at,
            origin=origin,
        )
        return self.intake.accept(envelope, raw, body)


def sender_of(raw: bytes) -> Address | None:
    """The envelope's sender as the other operator noted it (Return-Path, RFC 5321 §4.4), else the author; None where
    that is the null sender, or cannot be read (the intake then says why)."""
    try:
        message = mime.scan(raw)
        paths = message.values("Return-Path")
        if paths:
            inside = paths[0].strip()
            return address.parse(inside[1:-1]) if inside[:1] == "<" and len(inside) > 2 else None
        authors = message.authors
    except (Malformed, address.BadAddress):
        return None
    return authors[0] if len(authors) == 1 else None


async def _apart(work: Callable[[], T]) -> T:
    """Blocking work, in a thread; it is waited for even when the task is cancelled, so that nothing is half done."""
    return await asyncio.shield(asyncio.to_thread(work))


async def _stopped_within(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


async def collect_all(collectors: list[Collector], stop: asyncio.Event) -> None:
    """Each mailbox on its own: one that fails delays no other."""
    await asyncio.gather(*(each.run(stop) for each in collectors))
