"""The turns in which a letter itself comes: DATA, or BDAT in chunks (RFC 3030), and what is said after them.

Promises: what follows a BDAT command line is never read as a command, whatever is wrong with it; a letter is handed to
the intake once, whole and strict; one log line per transaction. Does not: read bytes (data does), or decide.
"""

# ruff: noqa: N802  (the library finds a command by its name)
from __future__ import annotations

import asyncio
from abc import ABC
from collections.abc import Awaitable, Callable

from gateway.doors import commands, data, replies
from gateway.doors.session import LINE_MOST, Session, Transaction
from gateway.doors.turns import Turn
from relay.model import BodyRef, Envelope, Reason, Receipt, Refusal, new_id


class Taking(Session, ABC):
    """A session that takes letters."""

    async def smtp_DATA(self, arg: str | None) -> None:
        if not (letter := self.transaction):
            return await self.answer(Turn.MAIL_FIRST)
        if arg:
            return await self.answer(Turn.SYNTAX)
        if letter.incoming:
            return await self.answer(Turn.CHUNKS_BEGUN)
        if not letter.addressees:
            return await self.answer(Turn.NO_RECIPIENT)
        await self.answer(Turn.DATA_GO)
        letter.incoming = self._incoming(letter)
        self._reset_timeout(self.spec.limits.data_s)
        await self._take(letter, letter.incoming, self._read_data)

    async def smtp_BDAT(self, arg: str | None) -> None:
        chunk = commands.chunk(arg)
        if not isinstance(chunk, commands.Chunk):
            # How many octets follow is not known: none of them may be taken for a command.
            self.end(Turn.SYNTAX)
        letter = self.transaction
        if not letter or not letter.addressees:
            await self._skip(chunk.size)
            return await self.answer(Turn.NO_RECIPIENT if letter else Turn.MAIL_FIRST)
        loop = asyncio.get_running_loop()
        if letter.incoming is None:
            letter.incoming = self._incoming(letter)
            letter.deadline = loop.time() + self.spec.limits.data_s
        self._reset_timeout(max(letter.deadline - loop.time(), 0.001))
        await self._take(letter, letter.incoming, self._reads(chunk))

    def _incoming(self, letter: Transaction) -> data.Incoming:
        """Sealed for the first recipient's tenant (relay.tenants seals for the others)."""
        bodies = self.spec.of(next(iter(letter.addressees))).bodies
        return data.Incoming(bodies, self.spec.limits.max_bytes, self.porter.room)

    def _reads(self, chunk: commands.Chunk) -> Reads:
        async def read(letter: Transaction, incoming: data.Incoming) -> Receipt | Refusal | None:
            await data.receive_chunk(self._reader, incoming, chunk.size, self.spec.limits, self.run)
            if not chunk.last and incoming.fault is None:
                await self.answer(Turn.CHUNK_TAKEN)
                return None
            if chunk.last:
                incoming.close()
            return await self._hand_over(letter, incoming)

        return read

    async def _skip(self, size: int) -> None:
        """The chunk of a command that was refused: read, and thrown away, within its budget."""
        limits = self.spec.limits
        if size > limits.max_bytes + limits.drain_bytes:
            self.end(Turn.CLOSING)
        try:
            await data.skip(self._reader, size, limits)
        except TimeoutError:
            self.end(Turn.SLOW)

    async def _read_data(self, letter: Transaction, incoming: data.Incoming) -> Receipt | Refusal | None:
        await data.receive(self._reader, incoming, self.spec.limits, self.run)
        return await self._hand_over(letter, incoming)

    async def _take(self, letter: Transaction, incoming: data.Incoming, read: Reads) -> None:
        """Reads on; once there is an outcome the transaction is over. None: more chunks are to come."""
        outcome: Receipt | Refusal | str | None = Refusal(Reason.SURPRISE, permanent=False)
        self._lines.widen(data.WAITING)
        try:
            outcome = await read(letter, incoming)
        except (asyncio.CancelledError, ConnectionError):
            # Once the intake was asked, the letter may be in custody: the journal knows.
            outcome = "answer-lost" if incoming.handed_over else "connection-lost"
            raise
        except TimeoutError:
            outcome = "slow"
            self.end(Turn.SLOW)
        except data.TooMuch:
            outcome = Refusal(Reason.TOO_LARGE, permanent=True)
            await self.answer(outcome)
            self.end(Turn.CLOSING)
        finally:
            self._lines.widen(LINE_MOST)
            if outcome is not None:
                self._log_letter(letter, outcome, incoming.size)
                self._set_post_data_state()
            if self.transport is not None:
                self._reset_timeout()

    async def _hand_over(self, letter: Transaction, incoming: data.Incoming) -> Receipt | Refusal:
        if incoming.fault:
            incoming.drop()
            outcome: Receipt | Refusal = Refusal(incoming.fault, replies.of(incoming.fault).code >= 500)
        else:
            incoming.handed_over = True
            outcome = await self.run(lambda: incoming.keep(self._accepting(letter)))
        if isinstance(outcome, Receipt):
            await self.answer(Turn.LETTER_KEPT, outcome.letter_id)
        else:
            await self.answer(outcome)
        return outcome

    def _accepting(self, letter: Transaction) -> Callable[[bytes, BodyRef], Receipt | Refusal]:
        now = self.spec.clock()
        envelope = Envelope(
            id=new_id(now),
            tenant=self.spec.tenant,
            door=self.spec.kind,
            sender=letter.sender,
            addressees=tuple(letter.addressees.values()),
            proof=letter.proof,
            received_at=now,
            envid=letter.asked.envid,
            return_full=letter.asked.return_full,
            require_tls=letter.asked.require_tls,
            utf8=letter.asked.utf8,
        )
        return lambda raw, body: self.spec.intake.accept(envelope, raw, body)

    def _log_letter(self, letter: Transaction, outcome: Receipt | Refusal | str, size: int) -> None:
        said = outcome if isinstance(outcome, str) else "accepted"
        self._log(
            "letter",
            outcome="refused" if isinstance(outcome, Refusal) else said,
            reason=str(outcome.reason) if isinstance(outcome, Refusal) else "",
            letter=outcome.letter_id if isinstance(outcome, Receipt) else "",
            sender=self._named(letter.sender),
            account=letter.proof.account,
            peer=letter.proof.peer,
            recipients=len(letter.addressees),
            recipients_refused=letter.refused,
            size=size,
        )


Reads = Callable[[Transaction, data.Incoming], Awaitable[Receipt | Refusal | None]]
