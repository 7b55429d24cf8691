"""Identities printed on a PDF that comes without a document: found by a process apart, proposed to a person.

Promises: a bounded number of PDFs of a letter is looked at, each within the budget of the workshop; what is found is
a line on the work list, whatever it says. Does not: file, believe a symbol, or keep a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from certs.keys import KeeperDown
from dmp_bridge import matrices, worklist
from dmp_bridge.matrices import Imprint
from dmp_bridge.model import FilingReason
from dmp_bridge.patients import Register, Writer
from dmp_bridge.workshop import Budget, Unanswered, Workshop
from relay.message import Malformed, Message, Part, scan
from relay.model import Courier, Done, Job, Later, Letter, Never, Outcome, Reason
from relay.spooler import StoreDown

RULE = "candidates.printed"
"""The name of the route of such a letter."""
PROPOSED, NOTHING = "proposed", "nothing-printed"
"""Notes of a Done."""
MOST_PDFS = 5
MOST_BYTES = 16 * 1024 * 1024
BUDGET = Budget(seconds=10, memory=768 * 2**20, start_s=30)

Look: TypeAlias = Callable[[bytes], Sequence[bytes]]
"""The symbols on the pages of a PDF; none where they cannot be looked at."""


def looker(budget: Budget = BUDGET) -> Look:
    """By pdfium and zxing-cpp, in a warm process."""
    shop = Workshop("pictures", budget=budget)

    def look(pdf: bytes) -> Sequence[bytes]:
        answer = shop.ask({}, pdf)
        if isinstance(answer, Unanswered) or "symbols" not in answer:
            return ()
        return [bytes.fromhex(each) for each in answer["symbols"]]

    return look


def is_pdf(part: Part) -> bool:
    return not part.is_multipart and (part.type == "application/pdf" or part.filename.casefold().endswith(".pdf"))


@dataclass(frozen=True)
class PrintedCourier:
    """Takes the letters in which only a printed identity may be found; hands all others on."""

    beyond: Courier
    register: Register
    store: Writer
    look: Look
    host: str

    def deliver(self, job: Job) -> dict[str, Outcome]:
        if not all(each.route.rule == RULE for each in job.recipients):
            return self.beyond.deliver(job)
        outcome = self._outcome(job)
        return {each.id: outcome for each in job.recipients}

    def _outcome(self, job: Job) -> Outcome:
        try:
            found = imprints(scan(job.raw()), self.look)
            for each in found:
                self._propose(job.letter, each)
        except Malformed as malformed:
            return Never(FilingReason.NOT_A_DOCUMENT, str(malformed))
        except KeeperDown:
            return Later(Reason.KEEPER_DOWN)
        except StoreDown:
            return Later(Reason.STORE_DOWN)
        return Done("", PROPOSED if found else NOTHING)

    def _propose(self, letter: Letter, imprint: Imprint) -> None:
        """With what agrees in the register; a certain match is a proposal too, for a printed symbol proves nothing."""
        match = self.register.match(letter.tenant, imprint.patient)
        self.store.write(
            "worklist.add",
            letter.tenant,
            letter_id=letter.id,
            document_id="",
            host=self.host,
            reason=str(FilingReason.PRINTED),
            **worklist.told(match),
        )


def imprints(message: Message, look: Look) -> tuple[Imprint, ...]:
    """What the PDFs of a letter print, each symbol once, in order."""
    found: dict[bytes, Imprint] = {}
    for pdf in _pdfs(message):
        for symbol in look(pdf):
            imprint = matrices.read(symbol)
            if imprint is not None:
                found.setdefault(symbol, imprint)
    return tuple(found.values())


def _pdfs(message: Message) -> Iterator[bytes]:
    parts = [part for part in message.parts if is_pdf(part)]
    for part in parts[:MOST_PDFS]:
        try:
            content = part.decode(MOST_BYTES)
        except Malformed:
            continue
        if content.startswith(b"%PDF-"):
            yield content
