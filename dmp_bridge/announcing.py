"""Shows a patient what was filed hidden from him, once a professional has announced it: his entry loses the code that
hid it (ITI-57, dossier §1.7 and TD3.3b).

Promises: only that code goes, all else of the entry stays as the host holds it; the host is read afterwards; asked
twice it is done once; it is an event. An entry that was replaced or taken back meanwhile is left as it is. Does not:
decide whether the patient may see it (oppositions do).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from dmp_bridge import codes, ebrim, verdicts
from dmp_bridge.dmp import DossierClient, Held
from dmp_bridge.model import Code, Filing, FilingReason, Ins
from dmp_bridge.packing import UNDETERMINED
from dmp_bridge.patients import Writer
from relay import journal
from relay.model import Done, Event, Later, Never

SHOWN, GONE = "shown", "no-longer-current"
"""Notes of a Done."""


@dataclass(frozen=True)
class Announcing:
    client: DossierClient
    store: Writer

    def show(self, filing: Filing, patient: Ins, at: datetime) -> Done | Later | Never:
        """`patient`: his matricule as it is now. Never where the host does not hold the entry, refuses, or says that it
        did and did not."""
        held = self._held(filing.document_id)
        if not isinstance(held, Held):
            return held
        note = SHOWN if held.approved else GONE
        if held.approved and codes.INVISIBLE.code in held.confidentiality:
            answer = self._change(held, patient, at)
            if not isinstance(answer, Done):
                return answer
        facts = (("host", filing.host), ("document", filing.document_id), ("note", note))
        events = journal.pack([Event("dossier-announced", filing.letter_id, facts=facts)])
        self.store.write("filing.shown", filing.tenant, id=filing.id, events=events)
        return Done(filing.document_id, note)

    def _held(self, document_id: str) -> Held | Later | Never:
        held = self.client.find([document_id])
        if not isinstance(held, tuple):
            return held
        return next(iter(held), Never(FilingReason.NOT_IN_DOSSIER))

    def _change(self, held: Held, patient: Ins, at: datetime) -> Done | Later | Never:
        left = _left(held)
        if left is None or held.element is None:
            return Never(FilingReason.RULE_CANNOT_TELL, "a confidentiality code that no list holds")
        answer = self.client.set_confidentiality(held, left, self._lot(held, at), patient)
        if not isinstance(answer, Done):
            return answer
        seen = self._held(held.unique_id)
        if isinstance(seen, Held) and codes.INVISIBLE.code in seen.confidentiality:
            return Never(FilingReason.HOST_WRONG, "still hidden")
        return answer if isinstance(seen, Held) else seen

    def _lot(self, held: Held, at: datetime) -> ebrim.Submission:
        """The same entry shown is the same lot, however often it is asked."""
        assert held.element is not None, "looked at before"
        number = int.from_bytes(hashlib.sha256(f"{held.entry_id}\0{SHOWN}".encode()).digest()[:16], "big")
        source = self.client.profile.source_id
        return ebrim.Submission(f"2.25.{number}", source, at, verdicts.author(held.element), UNDETERMINED)


def _left(held: Held) -> tuple[Code, ...] | None:
    """All codes but the one that hides; None where one is not known."""
    found = [codes.confidentiality(each) for each in held.confidentiality if each != codes.INVISIBLE.code]
    known = tuple(each for each in found if each)
    return known if known and len(known) == len(found) else None
